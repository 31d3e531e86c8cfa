"""The ways to write an axis, and what it is to analysis and reader."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from contested.cli import main
from contested.errors import ConfigError
from contested.studies import Study, expand, load_study, open_study
from contested.studies.axes import study_axes
from contested.studies.cells import cell_names, cell_table
from contested.studies.checks import misfits
from contested.studies.file import dump_study
from contested.studies.plan import cost, count_conditions

DEFAULTS = {"model": {"name": "org/encoder"}, "task": {"annotated": {"path": "people.jsonl"}}}


def study(folder: Path, axes: dict[str, Any], *sets: str, **further: Any) -> Study:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"defaults": DEFAULTS, "axes": axes, **further}, sort_keys=False))
    return load_study(file, sets)


def problems(folder: Path, axes: dict[str, Any], **further: Any) -> str:
    with pytest.raises(ConfigError) as found:
        study(folder, axes, **further)
    return "\n".join(found.value.problems)


def test_a_dotted_key_with_values_is_an_axis_and_every_combination_runs(tmp_path: Path) -> None:
    found = study(tmp_path, {"training.epochs": [1, 3], "training.learning_rate": ["1e-4", 1.0e-3], "seed": [1, 2]})
    cells = expand(found)
    assert found.name == "mine"
    assert [(cell.config.training.epochs, cell.config.training.learning_rate, cell.config.seed) for cell in cells] == [
        (epochs, rate, seed) for epochs in (1, 3) for rate in (1e-4, 1e-3) for seed in (1, 2)
    ]
    epochs, rate = study_axes(found)
    assert (epochs.name, epochs.key, dict(epochs.values)) == ("training.epochs", "training.epochs", {"1": 1, "3": 3})
    assert dict(rate.values) == {"0.0001": 1e-4, "0.001": 1e-3}
    assert epochs.numeric
    assert rate.numeric
    assert count_conditions(cells) == 4


def test_methods_are_called_by_their_labels(tmp_path: Path) -> None:
    found = study(tmp_path, {"method": ["full", {"name": "lora", "r": 8}, {"name": "lora", "r": 16}, "ia3"]})
    assert list(found.axes["method"]) == ["full", "lora-r8", "lora-r16", "ia3"]
    assert [cell.config.method.label for cell in expand(found)] == ["full", "lora-r8", "lora-r16", "ia3"]
    assert not study_axes(found)[0].numeric


def test_methods_of_one_label_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    loras = [{"name": "lora", "r": 4, "alpha": alpha} for alpha in (4, 16)]
    found = study(tmp_path, {"method": [*loras, {"name": "vera", "r": 8}, {"name": "vera", "r": 16}, "vera"]})
    assert list(found.axes["method"]) == ["lora-r4-alpha-4", "lora-r4-alpha-16", "vera-r-8", "vera-r-16", "vera"]
    assert [cell.config.method.label for cell in expand(found)] == ["lora-r4", "lora-r4", "vera", "vera", "vera"]
    assert "the value lora-r4 is given more than once" in problems(tmp_path, {"method": [loras[0], loras[0]]})


def test_models_are_called_by_the_end_of_their_names_where_that_tells_them_apart(tmp_path: Path) -> None:
    found = study(tmp_path, {"model.name": ["org/small", "org/large", "./own/model"]})
    assert list(found.axes["model.name"]) == ["small", "large", "own"]
    assert expand(found)[2].config.model.name == str(tmp_path / "own" / "model")
    assert list(study(tmp_path, {"model.name": ["a/model", "b/model"]}).axes["model.name"]) == ["a", "b"]
    same = study(tmp_path, {"model.name": ["a/small", "b/small"]})
    assert list(same.axes["model.name"]) == ["a/small", "b/small"]


def test_values_may_be_settings_none_and_yes_or_no(tmp_path: Path) -> None:
    noise = {"share": 0.3, "rule": "uniform"}
    found = study(
        tmp_path,
        {"task.noise": [None, noise], "task.soft_labels": [False, True]},
        exclude=[
            {"where": {"task.soft_labels": True, "task.noise": "share-0.3-rule-uniform"}, "reason": "no soft noise"}
        ],
    )
    assert list(found.axes["task.noise"]) == ["none", "share-0.3-rule-uniform"]
    assert list(found.axes["task.soft_labels"]) == ["false", "true"]
    assert not study_axes(found)[1].numeric
    assert [cell.excluded for cell in expand(found)] == ["", "", "", "no soft noise"]


def test_no_axis_is_needed(tmp_path: Path) -> None:
    (cell,) = expand(study(tmp_path, {}))
    assert cell.coordinates == {}
    assert cell.run_id.startswith("lora-r4-s42-")
    assert cell.label == "all runs"


def test_an_unknown_key_names_the_nearest_and_all_problems_come_at_once(tmp_path: Path) -> None:
    text = problems(
        tmp_path,
        {"training.epoch": [1, 2], "epochs": [1], "x": 3, "y": {"a": 1}, "training.batch_size": [8, 8], "seed": []},
        groups={"all": {"where": {"training.epoch": "*", "sede": 1}}},
    )
    assert (
        "axes.training.epoch: a run's configuration has no key 'training.epoch'; did you mean 'training.epochs'?"
        in text
    )
    assert "axes.epochs: a run's configuration has no key 'epochs'; did you mean 'training.epochs'?" in text
    assert "axes.x: expected a list of values of one key, or settings by name, got 3" in text
    assert "axes.y.a: expected settings of a run" in text
    assert "axes.training.batch_size: the value 8 is given more than once" in text
    assert "axes.seed: has no value; give at least one" in text
    assert "there is no axis 'sede'; did you mean 'seed'?" in text
    assert "there is no axis 'training.epoch'" not in text


def test_a_value_out_of_range_is_named_under_its_axis(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        expand(study(tmp_path, {"training.epochs": [1, 0]}))
    assert [text.partition(":")[0] for text in found.value.problems] == ["axes.training.epochs"]


def test_a_keyed_axis_has_a_name_of_its_own(tmp_path: Path) -> None:
    found = study(tmp_path, {"rate": {"key": "training.learning_rate", "values": [1.0e-4, 1.0e-3]}})
    (rate,) = study_axes(found)
    assert (rate.name, rate.key, rate.numeric) == ("rate", "training.learning_rate", True)


def test_numbers_with_names_of_their_own_are_called_by_them(tmp_path: Path) -> None:
    found = study(tmp_path, {"length": {"short": {"training": {"epochs": 1}}, "long": {"training": {"epochs": 5}}}})
    (length,) = study_axes(found)
    assert (length.numeric, list(length.values.values())) == (False, ["short", "long"])


def test_ids_and_names_say_what_differs(tmp_path: Path) -> None:
    axes = {
        "model.name": ["org/small", "org/large"],
        "task": {"plain": {}, "soft": {"task": {"soft_labels": True}}},
        "training.epochs": [1, 3],
        "seed": [1, 2],
    }
    found = study(tmp_path, axes)
    cells = expand(found)
    names = cell_names(found, cells)
    assert [cell.run_id.rpartition("-")[0] for cell in cells[:2]] == ["small-s1", "small-s2"]
    assert cells[-1].run_id.rpartition("-")[0] == "large-soft-epochs-3-s2"
    assert names[cells[0].run_id] == "small, epochs 1, seed 1"
    assert names[cells[-1].run_id] == "large, soft, epochs 3, seed 2"
    assert cells[0].label == "small, epochs 1"


def test_one_more_value_of_a_number_renames_no_run(tmp_path: Path) -> None:
    before = {cell.run_id for cell in expand(study(tmp_path, {"seed": [1, 2]}))}
    after = {cell.run_id for cell in expand(study(tmp_path, {"training.epochs": [5, 9], "seed": [1, 2]}))}
    digests = [{run_id.rpartition("-")[2] for run_id in ids} for ids in (before, after)]
    # Five epochs are the default.
    assert digests[0] < digests[1]


def test_the_table_has_a_column_for_each_axis_but_the_seed(tmp_path: Path) -> None:
    found = study(tmp_path, {"training.epochs": [1, 3], "seed": [1, 2]})
    cells = expand(found)
    table = cell_table(found, cells, {cells[0].run_id: "complete"})
    assert table["training.epochs"].tolist() == [1, 1, 3, 3]
    assert table["seed"].tolist() == [1, 2, 1, 2]
    assert table["status"].tolist() == ["complete", "missing", "missing", "missing"]
    # Runs that differ in their seed alone have one setting.
    assert table["setting"].nunique() == 2


def test_set_gives_an_axis_values(tmp_path: Path) -> None:
    axes = {"training.epochs": [1, 3], "backbone": {"a": {"model": {"name": "org/a"}}}}
    found = study(
        tmp_path,
        axes,
        "axes.training.epochs=[2]",
        "axes.training.learning_rate=[1e-4,1e-3]",
        "seeds=[7]",
        "axes.backbone.a.model.name=org/b",
    )
    cells = expand(found)
    assert [(cell.config.training.epochs, cell.config.training.learning_rate) for cell in cells] == [
        (2, 1e-4),
        (2, 1e-3),
    ]
    assert {(cell.config.seed, cell.config.model.name) for cell in cells} == {(7, "org/b")}
    with pytest.raises(ConfigError, match=r"no axis backbone; it has training\.epochs"):
        study(tmp_path, {"training.epochs": [1]}, "backbone=org/x")


def test_a_study_reads_back_as_it_was_written(tmp_path: Path) -> None:
    found = study(tmp_path, {"method": ["full", {"name": "lora", "r": 8}], "training.epochs": [1, 3], "seed": [1]})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.yaml").write_text(dump_study(found))
    again = open_study(tmp_path / "out")
    assert expand(again) == expand(found)
    assert again.report is None


def test_a_report_is_asked_for_by_name_and_presets_of_the_paper_do(tmp_path: Path) -> None:
    assert load_study("paper-main").report == "paper"
    assert study(tmp_path, {}).report is None
    assert "report: there is no report 'papre'; did you mean 'paper'?" in problems(tmp_path, {}, report="papre")
    known = [{"artefact": "table1", "quantity": "rho_mean", "value": 0.3}]
    assert "expected: known values are shown by a report" in problems(tmp_path, {}, expected=known)
    (tmp_path / "child.yaml").write_text("extends: paper-main\nreport: null\n")
    child = load_study(tmp_path / "child.yaml")
    assert (child.report, child.expected) == (None, [])


def test_folders_of_before_reported_every_study_as_the_paper(tmp_path: Path) -> None:
    content = yaml.safe_load(dump_study(study(tmp_path, {"seed": [1]})))
    del content["report"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    assert open_study(tmp_path).report == "paper"
    assert load_study(tmp_path / "study.yaml").report is None


def test_set_reaches_a_list_within_a_named_value(tmp_path: Path) -> None:
    axes = {"data": {"a": {"task": {"bulk": {"path": "bulk.jsonl"}}}}}
    found = study(tmp_path, axes, f"axes.data.a.task.bulk.path=[{tmp_path}/b.jsonl, {tmp_path}/c.jsonl]")
    assert list(found.axes) == ["data"]
    (cell,) = expand(found)
    assert cell.config.task.bulk is not None
    assert cell.config.task.bulk.path == [f"{tmp_path}/b.jsonl", f"{tmp_path}/c.jsonl"]


def test_the_plan_counts_the_annotated_file_and_takes_facts_of_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "people.jsonl").write_text("{}\n" * 100)
    facts = {"params": 2.0e6, "body": 1.0e6, "layers": 2, "hidden": 8}
    (cell,) = expand(study(tmp_path, {}, facts=facts))
    assert (cell.facts.annotated, cell.facts.params) == (100, 2.0e6)
    # 80 of 100 train, in batches of 32: 3 steps in each of 5 epochs.
    assert cost(cell).steps == 3 * cell.config.training.epochs
    assert cost(cell).flops > 0
    # What the file says of an axis' value comes first.
    (named,) = expand(study(tmp_path, {"data": {"x": {"facts": {"annotated": 50}}}}, facts=facts))
    assert (named.facts.annotated, named.facts.params) == (50, 2.0e6)


def test_a_plan_counts_all_of_a_bulk_without_a_size_and_says_where_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people.jsonl").write_text("{}\n" * 100)
    for name, lines in (("a.jsonl", 40), ("b.csv", 41)):
        (tmp_path / name).write_text("{}\n" * lines)
    bulks = {"few": {"size": 8}, "files": {"size": None}, "hub": {"size": None, "path": None, "hub": "org/bulk"}}
    paths = {"path": ["a.jsonl", "b.csv"]}
    axes = {"bulk": {name: {"task": {"bulk": paths | given}} for name, given in bulks.items()}}
    cells = expand(study(tmp_path, axes, facts={"params": 2.0e6}))
    # 80 of 100 annotated ones train; in batches of 32 with 8, 80 or nobody knows how many others.
    assert [cost(cell).steps for cell in cells] == [15, 25, None]
    assert [math.isnan(cost(cell).flops) for cell in cells] == [False, False, True]
    assert main(["study", "plan", str(tmp_path / "mine.yaml")]) == 0
    said = capsys.readouterr().out
    assert "task.bulk.size: null takes all examples, and how many those are is not known here" in " ".join(said.split())


def test_a_plan_names_methods_that_are_not_there_each_once(tmp_path: Path) -> None:
    axes = {"method": ["lora", "lorra", {"name": "vera", "r": 8}, {"name": "vera", "rank": 8}], "seed": [1, 2]}
    unknown, option = misfits(expand(study(tmp_path, axes)))
    assert unknown == "There is no method 'lorra'; did you mean 'lora'?"
    assert option.startswith("The method vera does not know 'rank'.")
    assert misfits(expand(study(tmp_path, {"method": ["lora", "full", "ia3"]}))) == []


@pytest.mark.parametrize(
    ("config", "limit"), [({}, 64), ({"model_type": "roberta", "pad_token_id": 1}, 62), ({"model_type": "bert"}, 64)]
)
def test_a_plan_names_inputs_longer_than_a_backbone_reads(tmp_path: Path, config: dict[str, Any], limit: int) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text(json.dumps({"max_position_embeddings": 64, **config}))
    axes = {"model.name": ["./encoder"], "model.max_length": [limit, limit + 1], "seed": [1, 2]}
    where = tmp_path / "encoder"
    assert misfits(expand(study(tmp_path, axes))) == [
        f"max_length is {limit + 1}, but {where} reads at most {limit} tokens; lower max_length"
    ]
