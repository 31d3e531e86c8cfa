from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from contested.config import Configurations, check_config, identifying, load_config
from contested.errors import ConfigError
from contested.options import METHODS, PEFT, LoRA
from contested.options.methods import Tuner

MINIMAL = """
model: {name: roberta-base}
task:
  annotated: {path: data/people.jsonl}
  bulk: {path: [a.jsonl, /abs/b.jsonl]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(MINIMAL)
    return path


def test_defaults_are_the_papers(file: Path) -> None:
    config = load_config(file)
    assert config.method.options == {"r": 4, "lora_alpha": 8, "lora_dropout": 0.05, "bias": "none"}
    training = config.training
    assert (training.learning_rate, training.epochs, training.batch_size) == (2e-5, 5, 32)
    assert (training.weight_decay, training.warmup_fraction, training.min_lr_fraction) == (0.01, 0.06, 0.1)
    assert (config.tracking.every, config.model.max_length, config.seed) == (100, 128, 42)
    assert config.task.bulk is not None
    assert config.task.bulk.size == 20_000


def test_paths_are_taken_from_the_files_folder(file: Path) -> None:
    config = load_config(file)
    assert config.task.annotated.path == str(file.parent / "data" / "people.jsonl")
    assert config.task.bulk is not None
    assert config.task.bulk.path == [str(file.parent / "a.jsonl"), "/abs/b.jsonl"]
    assert config.model.name == "roberta-base"


def test_overrides(file: Path) -> None:
    config = load_config(file, ["method.r=16", "training.learning_rate=1e-3", "tracking.epoch_ends=false", "seed=7"])
    assert isinstance(config.method, LoRA)
    assert config.method.options["lora_alpha"] == 32
    assert (config.training.learning_rate, config.tracking.epoch_ends, config.seed) == (1e-3, False, 7)


def test_another_method_by_override(file: Path) -> None:
    file.write_text(MINIMAL + "method: {name: lora, r: 8}\n")
    assert load_config(file, ["method=full"]).method.name == "full"
    assert load_config(file, ["method.name=ia3"]).method.name == "ia3"
    vera = load_config(file, ["method.name=peft", "method.type=vera", "method.options.r=64"]).method
    assert isinstance(vera, PEFT)
    assert vera.options == {"r": 64}


def test_a_tuner_of_its_own_section_hands_peft_its_fields_and_whatever_else() -> None:
    class OfTomorrow(Tuner):
        name: Literal["of-tomorrow"] = "of-tomorrow"
        r: int = 8

    assert OfTomorrow().options == {"r": 8}
    made = OfTomorrow(r=2, target_modules=["query"], extra={"bias": "none"})
    assert made.options == {"r": 2, "target_modules": ["query"], "bias": "none"}
    assert made.label == "of-tomorrow"
    assert made.differing() == {"name": "of-tomorrow", "r": 2, "target_modules": ["query"], "extra": {"bias": "none"}}


def test_every_problem_at_once_with_the_nearest_key(file: Path) -> None:
    overrides = ["training.learningrate=1e-3", "method.rank=4", "training.epochs=0", "task.split_sed=1", "sede=3"]
    overrides += ["epochs=3", "training.every=10", "task.text_columns=[premise, 3]"]
    with pytest.raises(ConfigError) as caught:
        load_config(file, overrides)
    assert sorted(caught.value.problems) == [
        "epochs: unknown key; did you mean 'training.epochs'?",
        "method.rank: unknown key; known here: name, r, alpha, dropout, target_modules, extra",
        "sede: unknown key; did you mean 'seed'?",
        "task.split_sed: unknown key; did you mean 'split_seed'?",
        "task.text_columns[1]: input should be a valid string, got 3",
        "training.epochs: input should be greater than or equal to 1, got 0",
        "training.every: unknown key; did you mean 'tracking.every' or 'probes.every'?",
        "training.learningrate: unknown key; did you mean 'learning_rate'?",
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: [1", "is not valid YAML"),
        ("- 1", "must hold keys and values (model:, task:, …), but holds [1]"),
        ("", "must hold keys and values (model:, task:, …), but is empty"),
        ("task: {annotated: {path: x}}", "model: is required and missing"),
        (
            MINIMAL + "method: [lora]",
            f"method: expected one of {', '.join(METHODS)}, or the name of another PEFT tuner",
        ),
        ("model: {name: m}\ntask: {annotated: {path: x}, bulk: {size: 3}}", "give either path"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, wanted: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "c.yaml")
    assert wanted in str(caught.value)


def test_a_missing_file_and_a_broken_override(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Cannot read the configuration .*No such file"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="expected key=value"):
        load_config(file, ["seed"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=9223372036854775808", "seed: input should be less than or equal to 9223372036854775807"),
        ("task.split_seed=4294967296", "task.split_seed: input should be less than 4294967296"),
        ("execution.threads=1000000000", "execution.threads: input should be less than or equal to 1024"),
        ("training.epochs=1000000000000", "training.epochs: input should be less than or equal to 100000"),
        ("method.r=1000000000", "r: input should be less than or equal to 65536"),
        ("training.learning_rate=.inf", "training.learning_rate: input should be a finite number"),
        ("training.learning_rate=1e999", "training.learning_rate: input should be a finite number"),
        ("task.categories=[.nan]", "task.categories"),
        ("method.extra={a: [{b: .nan}]}", "expected finite numbers, got nan"),
        ("task.annotated.options={x: .inf}", "expected finite numbers, got inf"),
        (
            "training.epochs=yes",
            "training.epochs: input should be a valid integer, unable to parse string as an integer, got 'true'",
        ),
        ("seed=off", "seed: input should be a valid integer"),
        ("task.categories=[no, yes]", "task.categories"),
        ("method.r=true", "r: input should be a valid integer"),
    ],
)
def test_numbers_that_nothing_can_run_with_are_refused(tmp_path, override, said):
    file = tmp_path / "run.yaml"
    file.write_text("model: {name: x}\ntask: {annotated: {path: a.jsonl}}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file, [override])
    assert said in str(caught.value)


def test_configurations_that_share_sections_are_checked_and_identified_as_each_alone() -> None:
    task = {"annotated": {"path": "people.jsonl"}}
    given = [
        {"model": {"name": "a"}, "task": task, "training": {"epochs": 1}},
        {"model": {"name": "a"}, "task": task, "training": {"epochs": 1}, "seed": 7, "method": "full"},
        {"model": {"name": "a"}, "task": task, "training": {"epochs": 2}, "probes": {"every": 5}, "method": "lora"},
        {"model": {"name": "b"}, "task": task, "name": "named", "seed": 42, "execution": {"threads": 2}},
    ]
    together = Configurations()
    for content in given:
        alone, found = check_config(content, "alone"), together.check(content, "together")
        assert found == alone
        assert together.identifying(found) == identifying(alone)
    first, second = (together.check(content, "") for content in given[:2])
    assert first.training is second.training
    assert first.alert is second.alert


def test_what_equals_a_checked_section_in_python_alone_is_refused_as_ever() -> None:
    together = Configurations()
    content = {"model": {"name": "a"}, "task": {"annotated": {"path": "people.jsonl"}}}
    assert together.check({**content, "training": {"epochs": 1}}, "").training.epochs == 1
    with pytest.raises(ConfigError, match="epochs"):
        together.check({**content, "training": {"epochs": True}}, "")
    with pytest.raises(ConfigError, match="validation_fraction above 0"):
        together.check(
            {**content, "task": {**content["task"], "validation_fraction": 0}, "tracking": {"validation": True}}, ""
        )
