from __future__ import annotations

from typing import Any

import pytest

from contested.checking import check
from contested.config import RunConfig
from contested.errors import ConfigError
from contested.options import PEFT, LoRA, TaskOptions

NEEDED: dict[str, Any] = {"model": {"name": "m"}, "task": {"annotated": {"path": "a"}}}


def problems(section: Any, content: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(section, content, "The content")
    number = len(caught.value.problems)
    assert caught.value.message == f"The content has {number} problem{'s' if number > 1 else ''}:"
    return list(caught.value.problems)


def test_a_problem_of_a_method_is_told_under_the_keys_that_were_written() -> None:
    assert problems(RunConfig, {**NEEDED, "method": {"name": "lora", "r": 0, "rang": 4}}) == [
        "method.r: input should be greater than or equal to 1, got 0",
        "method.rang: unknown key; known here: name, r, alpha, dropout, target_modules, extra",
    ]
    assert problems(RunConfig, {**NEEDED, "method": 3}) == [
        "method: expected one of full, lora, ia3, peft, or the name of another PEFT tuner, got 3"
    ]


@pytest.mark.parametrize(
    ("categories", "wanted"),
    [
        ("tercils", "categories: input should be 'fixed', 'terciles' or 'quartiles', got 'tercils'"),
        ({"names": ["a", "b"]}, "categories.bounds: is required and missing"),
        ([0.3, "x"], "categories[1]: input should be a valid number, unable to parse string as a number, got 'x'"),
    ],
)
def test_of_several_ways_to_write_a_value_the_one_that_was_meant_speaks(categories: Any, wanted: str) -> None:
    assert problems(TaskOptions, {"categories": categories}) == [wanted]


def test_other_problems_stand_beside_those_of_such_a_value() -> None:
    found = problems(TaskOptions, {"categories": "x", "noise": {"share": 0}, "split_seed": "y"})
    assert [problem.split(":")[0] for problem in found] == ["split_seed", "categories", "noise.share"]


def test_a_value_in_the_place_of_keys_is_told_which_keys_belong_there() -> None:
    assert problems(RunConfig, {**NEEDED, "task": {"annotated": {"path": "a"}, "noise": 0.3}, "probes": 5}) == [
        "task.noise: expected keys and values (share, rule), got 0.3",
        "probes: expected keys and values (gradient_norms, every, head, mode), got 5",
    ]


def test_what_is_right_is_returned_with_its_numbers_read() -> None:
    assert check(LoRA, {"dropout": "1e-2"}, "It") == LoRA(dropout=0.01)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (
            lambda: LoRA(r=True),
            ["r: input should be a valid integer, unable to parse string as an integer, got 'true'"],
        ),
        (
            lambda: LoRA(rank=3, dropout=1),
            [
                "dropout: input should be less than 1, got 1",
                "rank: unknown key; known here: name, r, alpha, dropout, target_modules, extra",
            ],
        ),
        (lambda: PEFT(), ["type: is required and missing"]),
    ],
)
def test_sections_made_in_python_are_refused_in_the_same_words(make: Any, wanted: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert list(caught.value.problems) == wanted
