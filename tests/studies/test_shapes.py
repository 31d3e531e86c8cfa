"""Tests of contested.studies.shapes: what a study file must look like before its parts are laid over each other."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from contested.errors import ConfigError
from contested.studies import expand, load_study
from contested.studies.cells import MAX_CELLS
from contested.studies.mini import shrink

DEFAULTS: dict[str, Any] = {"model": {"name": "org/a"}, "task": {"annotated": {"path": "/a.jsonl"}}}


def load(tmp_path: Path, content: Any, *sets: str, mini: bool = False) -> Any:
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps(content))  # JSON is YAML
    return load_study(file, sets, reshape=(lambda made: shrink(made, tmp_path)) if mini else None)


def problems(tmp_path: Path, content: Any, *sets: str) -> str:
    """What is said, alike of the study and of its miniature."""
    said = set()
    for mini in (False, True):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, content, *sets, mini=mini)
        said.add(str(caught.value))
    assert len(said) == 1
    return said.pop()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1], "must hold keys and values (name:, axes:, groups:, …), but holds [1]"),
        ({"axes": [1]}, "axes: expected keys and values, got [1]"),
        ({"extends": "paper", "axes": [1]}, "axes: expected keys and values, got [1]"),
        ({"extends": "paper", "groups": "abc"}, "groups: expected keys and values, got 'abc'"),
        ({"extends": ["paper"]}, "extends: expected a text, got ['paper']"),
        ({"extends": "paper", "overrides": 3}, "overrides: expected a list, got 3"),
        ({"overrides": [3]}, "overrides[0]: expected keys and values (where, …), got 3"),
        ({"overrides": [{"where": 3, "set": 4}]}, "overrides[0].where: expected keys and values, got 3"),
        ({"exclude": {"a": 1}}, "exclude: expected a list, got {'a': 1}"),
        ({"expected": [[]]}, "expected[0]: expected keys and values (where, …), got []"),
        ({"data": [1]}, "data: expected keys and values, got [1]"),
        ({"facts": 3}, "facts: expected keys and values, got 3"),
        ({"groups": {"g": "abc"}}, "groups.g: expected keys and values (where, …), got 'abc'"),
        ({"groups": {"g": {"where": "abc"}}}, "groups.g.where: expected keys and values, got 'abc'"),
        ({"name": {"a": 1}}, "name: expected a text, got {'a': 1}"),
        ({"axes": {"a": {"key": ["seed"], "values": [1]}}}, "axes.a.key: expected a key of a run's configuration"),
        ({"axes": {"a": {"b": {"model": 3}}}}, "axes.a.b.model: expected keys and values (name, revision, max_length)"),
        ({"axes": {"a": {"b": {"facts": [1]}}}}, "axes.a.b.facts: expected keys and values, got [1]"),
        ({"axes": {"task": [{"annotated": 3}]}}, "axes.task.annotated: expected keys and values (path, format,"),
        ({"axes": {"a": {"key": "model", "values": [3]}}}, "axes.a.model: expected keys and values (name,"),
        ({"defaults": {"task": {"annotated": "x"}, "probes": 3}}, "defaults.probes: expected keys and values"),
        ({"overrides": [{"where": {}, "set": {"training": None}}]}, "overrides[0].set.training: expected keys and"),
        ({"overrides": [{"where": {}, "set": {}}] * 1001}, "overrides: a study has at most 1,000, got 1,001"),
        ({"axes": {str(number): [1] for number in range(101)}}, "axes: a study has at most 100, got 101"),
    ],
)  # fmt: skip
def test_parts_of_another_kind_are_told(tmp_path: Path, content: Any, said: str) -> None:
    assert said in problems(tmp_path, content)


def test_all_parts_of_another_kind_are_told_at_once(tmp_path: Path) -> None:
    content = {"axes": 1, "groups": [], "data": "x", "overrides": {}, "defaults": {"model": 1, "task": {"bulk": 2}}}
    told = [line.partition(":")[0] for line in problems(tmp_path, content).splitlines()]
    assert told[1:] == [
        f"  - {key}" for key in ("data", "axes", "groups", "overrides", "defaults.model", "defaults.task.bulk")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("axes=3", "with --set 'axes=3' has 1 problem:\n  - axes: expected keys and values, got 3"),
        ("groups.g=[1]", "groups.g: expected keys and values (where, …), got [1]"),
        ("defaults.task=x", "defaults.task: expected keys and values"),
        ("backbone.a=/m", "--set backbone.a: the study's axis backbone is a list without names; give it other values"),
    ],
)
def test_what_is_set_has_a_shape_too(tmp_path: Path, text: str, said: str) -> None:
    content = {"defaults": DEFAULTS, "axes": {"backbone": ["org/b"], "seed": [1]}, "groups": {"g": {"where": {}}}}
    assert said in problems(tmp_path, content, text, "seeds=[1, 2]")


def test_values_that_are_no_list_are_told_where_they_replace_others(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(json.dumps({"defaults": DEFAULTS, "axes": {"seed": [1, 2]}}))
    content = {"extends": "base.yaml", "axes": {"seed": {"key": "seed", "values": 1}}}
    assert "axes.seed.values: expected a list of values, got 1" in problems(tmp_path, content)


def test_an_empty_part_is_as_none(tmp_path: Path) -> None:
    empty = dict.fromkeys(["data", "facts", "axes", "groups", "overrides", "exclude", "expected"])
    for mini in (False, True):
        study = load(tmp_path, {**empty, "defaults": DEFAULTS}, mini=mini)
        assert len(expand(study)) == 1


def test_a_miniature_takes_what_a_study_takes(tmp_path: Path) -> None:
    content = {
        "defaults": {**DEFAULTS, "task": {**DEFAULTS["task"], "bulk": None}},
        "facts": {"params": None, "decoder": True},
        "axes": {
            "dataset": {"d": {"task": {"annotated": {"path": "/b.jsonl"}, "bulk": {"path": "/c.jsonl"}}}},
            "seed": [1],
        },
        "overrides": [{"where": {"seed": 1}, "set": {"training": {"epochs": 2}}}],
    }
    assert [len(expand(load(tmp_path, content, mini=mini))) for mini in (False, True)] == [1, 1]


def test_a_grid_that_nobody_means_is_refused_at_once(tmp_path: Path) -> None:
    axes = {f"a{number}": {str(value): {} for value in range(100)} for number in range(100)}
    began = time.perf_counter()
    with pytest.raises(
        ConfigError, match=rf"more than {MAX_CELLS:,} cells; the largest of its groups, all, has 100 × 100 × .* × …"
    ):
        expand(load(tmp_path, {"name": "x", "defaults": DEFAULTS, "axes": axes}))
    assert time.perf_counter() - began < 10


def test_many_values_take_time_in_proportion(tmp_path: Path) -> None:
    """Long axes of settings, and conditions that are all wrong: neither is held against itself, value by value."""
    settings = [{"name": "lora", "r": 4, "alpha": number + 1} for number in range(3_000)]
    unknown = {"g": {"where": {"method": [f"x{number}" for number in range(20_000)]}}}
    began = time.perf_counter()
    with pytest.raises(ConfigError, match=r"there is no value 'x0'; there are lora-r4-alpha-1, .* \(3,000 in all\)"):
        load(tmp_path, {"defaults": DEFAULTS, "axes": {"method": settings}, "groups": unknown})
    assert time.perf_counter() - began < 10


def test_names_of_settings_that_differ_in_one_part(tmp_path: Path) -> None:
    methods = [
        {"name": "lora", "alpha": 8, "dropout": 0.1},
        {"name": "lora"},
        {"name": "lora", "alpha": 16, "dropout": 0.1},
    ]
    study = load(tmp_path, {"defaults": DEFAULTS, "axes": {"method": methods}})
    # All three are lora-r4; the second has neither part, in which the others differ from it.
    names = ["lora-r4-alpha-8-dropout-0.1", "lora-r4", "lora-r4-alpha-16-dropout-0.1"]
    assert list(study.axes["method"]) == names
