"""What the manifest says of a task that was given as an object equals what trained, option by option."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import pandas as pd
import pytest

import contested as ct
from contested import tasks
from contested.config import check_config
from contested.errors import ConfigError, DataError
from contested.options import BulkSample, Section, TaskOptions, default
from contested.runs import load_task
from contested.runs import run as module

# Options that matter only beside others, or whose values no rule below makes.
SPECIAL: dict[str, dict[str, Any]] = {
    "text_columns": {"text_columns": ["hypothesis"]},
    "intervention_seed": {"intervention_seed": 3, "noise": {"share": 0.5}},
    "bulk_size": {"bulk_size": 31},
    "bulk_seed": {"bulk_seed": 5, "bulk_size": 40},
}


def away(annotation: Any, usual: Any) -> Any:
    """A value that an option may have besides its default."""
    if get_origin(annotation) is Literal:
        return next(value for value in get_args(annotation) if value != usual)
    if get_origin(annotation) in {Union, UnionType}:
        return away(next(part for part in get_args(annotation) if part is not NoneType), usual)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        needed = {name: field for name, field in annotation.model_fields.items() if field.is_required()}
        return {name: away(field.annotation, None) for name, field in needed.items()}
    made = {bool: not usual, int: (usual or 0) + 1, float: 0.5 if usual != 0.5 else 0.25}.get(annotation)
    assert made is not None, f"no rule makes a value of {annotation}: give the option a case in SPECIAL"
    return made


# Every option there is, away from its default: one that is added is among them.
CASES: dict[str, dict[str, Any]] = {
    name: SPECIAL.get(name) or {name: away(field.annotation, field.get_default(call_default_factory=True))}
    for prefix, section in (("", TaskOptions), ("bulk_", BulkSample))
    for name, field in ((f"{prefix}{key}", field) for key, field in section.model_fields.items())
}


def test_cases_are_away_from_the_defaults() -> None:
    assert {name for name in CASES if "seed" not in name} >= {"noise", "soft_labels", "composition", "bulk_size"}
    assert CASES["composition"] == {"composition": "low"}
    assert CASES["noise"] == {"noise": {"share": 0.5}}
    assert CASES["class_weights"] == {"class_weights": False}
    assert CASES["split_seed"] == {"split_seed": 43}


@pytest.fixture
def files(annotated: Any, bulk: pd.DataFrame, tmp_path: Path) -> dict[str, Path]:
    people = annotated.fields.assign(uid=annotated.example_ids, label_counts=annotated.label_counts.tolist())
    people.to_json(tmp_path / "people.jsonl", orient="records", lines=True)
    bulk.to_json(tmp_path / "bulk.jsonl", orient="records", lines=True)
    return {"annotated": tmp_path / "people.jsonl", "bulk": tmp_path / "bulk.jsonl"}


class Recorded:
    """A run from Python: what trained, and what its manifest says."""

    def __init__(self, manifest: dict[str, Any], trained: tasks.TaskData) -> None:
        self.manifest = manifest
        self.trained = trained


@pytest.fixture
def record(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Recorded]:
    """Trains a task object for a few steps, and keeps the data that the loop was given."""
    given: list[tasks.TaskData] = []
    execute = module.execute

    def keeping(config: Any, data: tasks.TaskData, **options: Any) -> Any:
        given.append(data)
        return execute(config, data, **options)

    monkeypatch.setattr(module, "execute", keeping)

    def train(task: tasks.TextClassificationTask, **options: Any) -> Recorded:
        result = ct.train(
            str(checkpoint("bert")),
            ct.LoRA(r=2),
            task,
            out=tmp_path / f"run-{len(given)}",
            training={"epochs": 1, "batch_size": 32, "learning_rate": 5e-3},
            execution={"threads": 1},
            **{"max_length": 60, **options},
        )
        return Recorded(json.loads((result.path / "manifest.json").read_text()), given[-1])

    return train


def same(found: Any, wanted: Any) -> bool:
    return (found is None) == (wanted is None) and (found is None or np.array_equal(found, wanted))


@pytest.mark.parametrize("option", sorted(CASES))
def test_the_manifest_says_what_trained(
    record: Callable[..., Recorded], files: dict[str, Path], annotated: Any, option: str
) -> None:
    people = ct.read_annotations(files["annotated"], label_names=annotated.label_names)
    bulk = ct.read_bulk(files["bulk"], label_names=annotated.label_names)
    case = CASES[option]
    found = record(ct.NLITask(people, bulk, **case), seed=11)
    said = found.manifest["config"]["task"]
    # What was given, and the default of everything else.
    options = {name: default(TaskOptions, name) for name in TaskOptions.model_fields}
    given = {name: value for name, value in case.items() if not name.startswith("bulk_")}
    # A section that was given in part has its own defaults for the rest.
    whole = TaskOptions.model_validate(given).model_dump(mode="json")
    assert {name: said[name] for name in options} == options | {name: whole[name] for name in given}
    assert all(value == whole[name] or value.items() <= whole[name].items() for name, value in given.items())
    sample = {"size": case.get("bulk_size"), "seed": case.get("bulk_seed", 42)}  # 100 rows: all, where not asked
    assert {name: said["bulk"][name] for name in (*sample, "in_memory")} == {**sample, "in_memory": 100}
    assert said["annotated"]["path"] == str(files["annotated"])
    # The recorded configuration, with the file that the table was read from, makes the same data again.
    content = json.loads(json.dumps(found.manifest["config"]))
    content["task"]["bulk"] = {"path": str(files["bulk"]), **sample}
    config = check_config(content, "of the manifest")
    again = load_task(config).prepare(config.seed)
    assert again.fingerprint == found.manifest["identity"]["data"] == found.trained.fingerprint
    assert again.counts == found.trained.counts
    for part in ("train_labels", "train_targets", "class_weights"):
        assert same(getattr(again, part), getattr(found.trained, part)), part
    # The case is one: without the option something else trains.
    rest = {name: value for name, value in case.items() if name != option}
    plain = ct.NLITask(people, bulk, **rest).prepare(11)
    assert plain.fingerprint != again.fingerprint or not same(plain.class_weights, again.class_weights)


def test_length_seed_name_and_method_are_recorded(
    record: Callable[..., Recorded], annotated: Any, bulk: pd.DataFrame
) -> None:
    found = record(ct.NLITask(annotated, bulk, bulk_size=20), max_length=33, seed=5, name="mine")
    config = found.manifest["config"]
    assert (config["model"]["max_length"], config["seed"], config["name"]) == (33, 5, "mine")
    assert (config["method"]["name"], config["method"]["r"]) == ("lora", 2)
    assert config["training"]["epochs"] == 1
    assert found.manifest["run_id"] == "mine"


def test_own_categories_are_recorded_by_name(
    record: Callable[..., Recorded], files: dict[str, Path], annotated: Any
) -> None:
    people = ct.read_annotations(files["annotated"], label_names=annotated.label_names)
    own = ct.Categories(("agreed", "split"), (0.5,))
    found = record(ct.NLITask(people, categories=own))
    assert found.manifest["config"]["task"]["categories"] == {"names": ["agreed", "split"], "bounds": [0.5]}
    again = load_task(check_config(found.manifest["config"], "of the manifest")).prepare()
    assert again.category_names == ("agreed", "split")
    assert again.fingerprint == found.trained.fingerprint
    bounds = ct.NLITask(people, categories=ct.Categories.from_bounds([0.3, 0.6]))
    assert bounds.section.categories == [0.3, 0.6]


def test_annotations_that_no_file_holds_are_said_to_be_in_memory(
    record: Callable[..., Recorded], files: dict[str, Path], annotated: Any, bulk: pd.DataFrame
) -> None:
    people = ct.read_annotations(files["annotated"], label_names=annotated.label_names)
    part = people.select(np.arange(30))
    found = record(ct.NLITask(part, bulk, bulk_size=20))
    said = found.manifest["config"]["task"]
    assert (said["annotated"]["in_memory"], said["annotated"]["path"]) == (30, None)
    config = check_config(found.manifest["config"], "of the manifest")
    assert config.task.missing_files == [
        "task.annotated: its 30 examples were given in memory, from Python; no file is known that holds them",
        "task.bulk: its 100 examples were given in memory, from Python; no file is known that holds them",
    ]
    with pytest.raises(DataError, match="given in memory"):
        load_task(config)
    with pytest.raises(ConfigError, match="given in memory"):
        ct.train_config(config, out=files["bulk"].parent / "again")


def test_several_files_are_recorded_and_read_again(files: dict[str, Path], tmp_path: Path) -> None:
    lines = files["annotated"].read_text().splitlines(keepends=True)
    parts = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for part, chosen in zip(parts, (lines[::2], lines[1::2]), strict=True):
        part.write_text("".join(chosen))
    people = ct.read_annotations(parts)
    section = tasks.TextClassificationTask(people).section
    assert section.files == [str(part) for part in parts]
    again = load_task(check_config({"model": {"name": "none"}, "task": section.model_dump(exclude_none=True)}, "run"))
    assert again.annotated.example_ids == people.example_ids


def test_covariates_are_recorded_as_they_were_read(files: dict[str, Path], annotated: Any, tmp_path: Path) -> None:
    genres = pd.DataFrame({"example_id": annotated.example_ids, "topic": "news"})
    genres.to_csv(tmp_path / "genres.csv", index=False)
    people = ct.read_annotations(files["annotated"], label_names=annotated.label_names)
    joined = tasks.with_covariates(people, tmp_path / "genres.csv")
    section = ct.NLITask(joined).section
    assert section.annotated.covariates == str(tmp_path / "genres.csv")
    assert section.annotated.options == {"label_names": list(annotated.label_names)}
    # A second file of covariates has no place in a configuration, so that none is claimed.
    genres.rename(columns={"topic": "other"}).to_csv(tmp_path / "more.csv", index=False)
    assert tasks.with_covariates(joined, tmp_path / "more.csv").reading is None
    assert tasks.with_covariates(annotated, tmp_path / "genres.csv").reading is None


def test_wrong_options_of_a_task_are_told_as_those_of_a_configuration(annotated: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        ct.NLITask(annotated, noise={"share": 2}, compositon="low", split_seed=-1)
    assert sorted(caught.value.problems) == [
        "compositon: unknown key; did you mean 'composition'?",
        "noise.share: input should be less than or equal to 1, got 2",
        "split_seed: input should be greater than or equal to 0, got -1",
    ]
    with pytest.raises(ConfigError, match="categories: input should be 'fixed', 'terciles' or 'quartiles', got 'x'"):
        ct.NLITask(annotated, categories="x")
