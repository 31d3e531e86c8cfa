"""Options of tuners: what PEFT would tell late, in its own words or not at all is one message before any weight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import contested as ct
from contested import models
from contested.errors import ConfigError, ModelError

LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture
def refused(checkpoint: Callable[[str], Path]) -> Callable[..., str]:
    """What is said where options of a method are refused."""

    def attempt(method: str = "lora", **options: Any) -> str:
        with pytest.raises(ModelError) as caught:
            models.build(str(checkpoint("bert")), label_names=LABELS, method=method, options=options)
        return str(caught.value)

    return attempt


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"init_lora_weights": [1]}, "init_lora_weights is [1]; expected true or false or one of gaussian, "),
        ({"init_lora_weights": None}, "init_lora_weights is None; expected true or false"),
        ({"r": "8"}, "r is '8'; expected a whole number"),
        ({"r": 1.5}, "r is 1.5; expected a whole number"),
        ({"r": True}, "r is True; expected a whole number"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan; expected a number"),
        ({"lora_dropout": -1}, "lora_dropout is -1; expected a number from 0 to less than 1"),
        ({"target_modules": 3}, "target_modules is 3; expected a list or a text"),
        ({"target_modules": [1]}, "target_modules is [1]; expected a list or a text"),
        ({"modules_to_save": "classifier"}, "modules_to_save is 'classifier'; expected a list"),
        ({"modules_to_save": [1]}, "modules_to_save is [1]; expected a list"),
        ({"rank_pattern": 3}, "rank_pattern is 3; expected keys and values"),
        ({"layer_replication": [[0, "x"]]}, "layer_replication is [[0, 'x']]; expected a list"),
        ({"eva_config": 3}, "eva_config is 3; expected keys and values"),
        ({"use_dora": "yes"}, "use_dora is 'yes'; expected true or false"),
        ({"inference_mode": True}, "inference_mode is set by the run itself; leave it out"),
        ({"revision": "main"}, "revision is set by the run itself; leave it out"),
        ({"base_model_name_or_path": "x"}, "base_model_name_or_path is set by the run itself; leave it out"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights loftq cannot be used here: it quantises"),
        ({"target_modules": []}, "target_modules is empty; leave it out for the architecture's own, or name"),
        ({"target_modules": ["all-linear"]}, "in a list; give the word alone (target_modules=all-linear)"),
        ({"target_modules": "query"}, "'query' matches the whole name of no module in 'bert'; give a list of names"),
        ({"target_modules": "((query"}, "is no regular expression (missing ), unterminated subpattern at position 1)"),
        ({"modules_to_save": ["poler"]}, "modules_to_save: the module 'poler' does not exist in 'bert'"),
        ({"peft_type": "ia3"}, "peft_type is set by the run itself; leave it out"),
    ],
)
def test_a_value_of_another_kind_is_named(refused: Callable[..., str], options: dict[str, Any], told: str) -> None:
    said = refused(**options)
    assert told in said
    assert len(said.splitlines()) == 2


def test_all_of_them_are_named_at_once(refused: Callable[..., str]) -> None:
    said = refused(r="8", use_dora=1, bias=["none"])
    assert "r is '8'" in said
    assert "use_dora is 1; expected true or false" in said
    assert "bias is ['none']; expected one of none, all, lora_only" in said


@pytest.mark.parametrize(
    ("method", "options", "told"),
    [
        ("lora", {"r": 10**9}, "r is 1,000,000,000, and the widest layer of the model has 32 numbers"),
        ("vera", {"r": 10**30}, "and the widest layer of the model has 32 numbers"),
        ("lora", {"rank_pattern": {"query": 10**8}}, "rank_pattern[query] is 100,000,000, and the widest layer"),
        ("prompt_tuning", {"num_virtual_tokens": 10**12}, "num_virtual_tokens is 1,000,000,000,000, and the model"),
    ],
)
def test_an_adapter_many_times_the_model_is_refused_before_it_is_made(
    refused: Callable[..., str], method: str, options: dict[str, Any], told: str
) -> None:
    assert told in refused(method, **options)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lora", {"r": 2, "lora_alpha": 0.5, "target_modules": ("query",), "layers_to_transform": 0}),
        ("lora", {"r": 40, "init_lora_weights": "gaussian", "rank_pattern": {"query": 1}, "lora_dropout": 0}),
        ("lora", {"r": 2, "layer_replication": [[0, 2], (1, 2)], "target_modules": "all-linear"}),
        ("vera", {"r": 256}),
        ("prompt_tuning", {"num_virtual_tokens": 4, "prompt_tuning_init": "RANDOM"}),
    ],
)
def test_what_peft_reads_is_taken(checkpoint: Callable[[str], Path], method: str, options: dict[str, Any]) -> None:
    assert models.build(str(checkpoint("bert")), label_names=LABELS, method=method, options=options).trainable_params


@pytest.mark.parametrize(
    ("targets", "adapted"),
    [("all-linear", 13), (r".*layer\.0\..*\.(query|value)", 2), (["query"], 2)],
)
def test_targets_are_names_a_pattern_or_all_linear_layers(
    checkpoint: Callable[[str], Path], targets: Any, adapted: int
) -> None:
    method = ct.LoRA(r=2, target_modules=targets)
    built = models.build(str(checkpoint("bert")), label_names=LABELS, method="lora", options=method.options)
    assert sum(name.endswith("lora_A.default") for name, _ in built.module.named_modules()) == adapted


def test_what_peft_does_not_use_is_said(checkpoint: Callable[[str], Path], recwarn: pytest.WarningsRecorder) -> None:
    options = {"r": 2, "rank_pattern": {"nothing": 8}}
    built = models.build(str(checkpoint("bert")), label_names=LABELS, method="lora", options=options)
    [note] = built.notes
    assert note.startswith("PEFT warns: The following rank_pattern keys did not match any targeted module")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("method", "extra", "key"),
    [
        (ct.LoRA, {"r": 5}, "r has a key of its own, method.r"),
        (ct.LoRA, {"lora_alpha": 5}, "lora_alpha has a key of its own, method.alpha"),
        (ct.LoRA, {"target_modules": ["key"]}, "target_modules has a key of its own, method.target_modules"),
        (ct.IA3, {"feedforward_modules": []}, "feedforward_modules has a key of its own, method.feedforward_modules"),
    ],
)
def test_a_field_with_a_key_of_its_own_is_given_there(method: Any, extra: dict[str, Any], key: str) -> None:
    # Else the run's name would say another rank than it has.
    with pytest.raises(ConfigError) as caught:
        method(extra=extra)
    assert caught.value.problems[0].startswith(f"extra: {key}, got ")
