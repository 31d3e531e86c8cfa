from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from contested.cli import main
from contested.errors import ConfigError, RunError
from contested.overrides import merge
from contested.studies import PRESETS, expand, folder, load_study, open_study
from contested.studies.file import dump_study
from contested.studies.folder import StudyFolder, begin, forget_failure, note_failure, run_folder
from contested.studies.index import Recorded, identity_key
from contested.studies.inputs import short_bulk
from contested.studies.mini import shrink
from contested.studies.plan import cost, count_conditions, plan_json

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"dir": "data"},
    "defaults": {"task": {"bulk": {"path": "{data.dir}/bulk.jsonl", "size": 50}}},
    "axes": {
        "backbone": {"a": {"model": {"name": "org/a"}}, "b": {"model": {"name": "org/b"}}},
        "method": {"lora": {"method": {"name": "lora", "r": 4, "dropout": 0.1}}, "full": {"method": {"name": "full"}}},
        "dataset": {"d": {"task": {"annotated": {"path": "{data.dir}/people.jsonl"}}}},
        "seed": [1, 2],
    },
    "groups": {"main": {"where": {"backbone": "*", "method": "*", "seed": "*"}}},
}


def write(folder: Path, content: dict[str, Any], name: str = "study.yaml") -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def test_the_paper_has_25_conditions_and_54_runs_in_the_main_matrix() -> None:
    cells = expand(load_study("paper"))
    running = [cell for cell in cells if not cell.excluded]
    main = [cell for cell in running if "main" in cell.groups]
    assert count_conditions(cells) == 25
    assert len(main) == 54
    # 25 conditions × 3 seeds − 2 exclusions, IA3 3, ranks 1, 2, 8, 32 of two models, three compositions and two
    # noise levels and soft labels at three seeds each.
    assert len(running) == 73 + 3 + 8 + 9 + 6 + 3
    assert {cell.run_id.rsplit("-", 1)[0] for cell in cells if cell.excluded} == {
        "deberta-full-snli-s456",
        "qwen-3b-lora-r16-snli-s456",
    }


def test_gradients_are_probed_in_the_runs_of_the_main_matrix() -> None:
    probed = [cell for cell in expand(load_study("paper")) if cell.config.probes.every]
    assert {(cell.coordinates["backbone"], cell.coordinates["method"], cell.config.seed) for cell in probed} == {
        ("roberta", "lora-r4", 42),
        ("roberta", "full", 42),
    }
    assert all({"main", "gradients"} <= set(cell.groups) for cell in probed)


def test_presets_share_the_papers_run_ids() -> None:
    whole = {cell.run_id for cell in expand(load_study("paper"))}
    for name in PRESETS:
        cells = expand(load_study(name))
        assert cells, name
        if name.startswith("paper"):
            assert {cell.run_id for cell in cells} <= whole, name


def test_lr_control_crosses_methods_with_rates() -> None:
    cells = expand(load_study("lr-control"))
    assert len(cells) == 4 * 6 * 3
    assert {cell.config.training.learning_rate for cell in cells} == {2e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3}
    # At the paper's rate they are the paper's own runs.
    whole = {cell.run_id for cell in expand(load_study("paper")) if not cell.config.probes.every}
    assert sum(cell.run_id in whole for cell in cells) == 4 * 3 - 2


def test_relative_paths_are_taken_from_the_file_and_ids_do_not_hang_on_it(tmp_path: Path) -> None:
    ids = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        cells = expand(load_study(write(tmp_path / name, SMALL)))
        assert cells[0].config.task.annotated.path == str(tmp_path / name / "data" / "people.jsonl")
        ids.append([cell.run_id for cell in cells])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 8
    assert ids[0][0].startswith("a-lora-d-s1-")


def test_an_id_changes_with_any_setting_that_changes_the_run(tmp_path: Path) -> None:
    file = write(tmp_path, SMALL)
    plain = {cell.run_id for cell in expand(load_study(file))}
    assert plain == {cell.run_id for cell in expand(load_study(file, ["defaults.execution.threads=1"]))}
    for change in ("defaults.training.epochs=2", "defaults.task.bulk.size=40", "defaults.task.soft_labels=true"):
        assert not plain & {cell.run_id for cell in expand(load_study(file, [change]))}, change


def test_another_method_does_not_inherit_options(tmp_path: Path) -> None:
    cells = expand(load_study(write(tmp_path, SMALL), ["defaults.method={name: lora, dropout: 0.3}"]))
    assert {cell.config.method.label for cell in cells} == {"lora-r4", "full"}


def test_another_source_of_the_bulk_replaces_the_one_below() -> None:
    below = {"bulk": {"hub": "x", "split": "train", "size": 3}}
    assert merge(below, {"bulk": {"path": "y"}}) == {"bulk": {"size": 3, "path": "y"}}
    assert merge(below, {"bulk": {"size": 4}}) == {"bulk": {"hub": "x", "split": "train", "size": 4}}


def test_one_backbone_in_the_place_of_all(tmp_path: Path) -> None:
    (tmp_path / "My_Model").mkdir()
    cells = expand(load_study("paper", [f"backbone={tmp_path / 'My_Model'}", f"data.dir={tmp_path}"]))
    assert {cell.config.model.name for cell in cells} == {str(tmp_path / "My_Model")}
    assert {cell.coordinates["backbone"] for cell in cells} == {"my-model"}
    one = expand(load_study("paper", ["backbone.bert=org/other"]))
    assert {cell.config.model.name for cell in one if cell.coordinates["backbone"] == "bert"} == {"org/other"}
    assert count_conditions(one) == 25


def test_fewer_seeds_cut_groups_and_exclusions() -> None:
    cells = expand(load_study("paper-main", ["seeds=[42]"]))
    assert len(cells) == 18
    assert expand(load_study("paper-deberta", ["seeds=42"]))[0].config.seed == 42


def test_a_study_may_extend_a_preset(tmp_path: Path) -> None:
    mine = {"extends": "paper-main", "name": "mine", "axes": {"seed": [7]}, "groups": {"extra": {"where": {}}}}
    study = load_study(write(tmp_path, mine))
    assert study.select == ["main"]
    assert {cell.config.seed for cell in expand(study)} == {7}
    assert load_study(write(tmp_path, {**mine, "select": "extra"})).select == ["extra"]


def test_a_study_that_extends_itself_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"extends": "b.yaml"}, "a.yaml")
    write(tmp_path, {"extends": "a.yaml"}, "b.yaml")
    with pytest.raises(ConfigError, match="extends itself"):
        load_study(tmp_path / "a.yaml")


def test_the_written_study_reads_back_to_the_same_cells(tmp_path: Path) -> None:
    for name in ("paper", "lr-control"):
        study = load_study(name, [f"data.dir={tmp_path}"])
        (tmp_path / "again.yaml").write_text(dump_study(study))
        assert expand(load_study(tmp_path / "again.yaml")) == expand(study)


def test_the_analyses_wanted_change_no_run(tmp_path: Path) -> None:
    file = write(tmp_path, {**SMALL, "analyses": ["rank"]})
    asked = load_study(file)
    assert asked.analyses == ["rank"]
    assert load_study(write(tmp_path, SMALL, "all.yaml")).analyses is None
    again = write(tmp_path, {"extends": "study.yaml", "name": "again"}, "again.yaml")
    sets = ["analyses=[rank,rate]"]
    for study in (load_study(again, sets), load_study("lr-control", sets), load_study(file, ["analyses=[]"])):
        (tmp_path / "written.yaml").write_text(dump_study(study))
        assert load_study(tmp_path / "written.yaml") == study
        assert study.analyses == ([] if study.name == "small" else ["rank", "rate"])
    assert expand(load_study(file, sets)) == expand(asked)


def test_a_folder_goes_on_with_other_analyses(tmp_path: Path) -> None:
    file = write(tmp_path, SMALL)
    begin(load_study(file), tmp_path / "out")
    begin(load_study(file, ["analyses=[rank,rate]"]), tmp_path / "out")
    assert open_study(tmp_path / "out").analyses == ["rank", "rate"]
    assert expand(open_study(tmp_path / "out")) == expand(load_study(file))


def test_every_mistake_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    content = {
        **SMALL,
        "select": ["mian"],
        "groups": {"main": {"where": {"backbone": "c", "sede": 1}}},
    }
    with pytest.raises(ConfigError) as caught:
        load_study(write(tmp_path, content))
    text = "\n".join(caught.value.problems)
    assert "select: there is no group 'mian'; did you mean 'main'?" in text
    assert "groups.main.where.backbone: there is no value 'c'" in text
    assert "groups.main.where: there is no axis 'sede'; did you mean 'seed'?" in text


def test_a_wrong_setting_names_key_and_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        expand(load_study(write(tmp_path, SMALL), ["defaults.training.epoch=3"]))
    assert caught.value.problems == ("defaults.training.epoch: unknown key; did you mean 'epochs'?",)


def test_unknown_studies_and_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'paper-main'"):
        load_study("paper-mian")
    with pytest.raises(ConfigError, match=r"no such backbone; did you mean 'roberta'"):
        load_study("paper", ["backbone.robert=x"])
    with pytest.raises(ConfigError, match="expected key=value"):
        load_study("paper", ["data.dir"])


def test_a_variable_without_a_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"uses \{data.dir\}.*--set data.dir="):
        load_study(write(tmp_path, {**SMALL, "data": {}}))


def test_a_papers_run_costs_what_its_arithmetic_says() -> None:
    cell = expand(load_study("paper-main"))[0]
    found = cost(cell)
    assert (found.steps, found.checkpoints) == (3315, 39)
    # 85.1 M weights × 4 × 864 tokens per step, and × 2 × 27 tokens × 1,514 examples per tracking pass.
    assert found.flops == pytest.approx(3315 * 4 * 85.1e6 * 864 + 39 * 2 * 85.1e6 * 27 * 1514)
    assert 1.2 < found.flops / 1e15 < 1.3


def test_the_plan_for_machines_is_whole() -> None:
    from contested.studies.plan import Device

    found = plan_json(
        expand(load_study("paper")), Device("CPU, 2 cores", 1e11, 2, 8e9), {}, lambda cell: cost(cell).seconds(1e11)
    )
    assert found["conditions"] == 25
    assert found["runs"] == 102
    assert found["groups"]["main"] == 54
    assert found["excluded"] == 2
    assert len(found["cells"]) == 104
    assert all(cell["flops"] > 0 for cell in found["cells"])


def test_the_miniature_keeps_every_group_and_condition(tmp_path: Path) -> None:
    mini = load_study("paper", reshape=lambda content: shrink(content, tmp_path))
    cells = expand(mini)
    assert count_conditions(cells) == 25
    assert {name for cell in cells for name in cell.groups} == set(load_study("paper").groups)
    assert {cell.config.seed for cell in cells} == {42, 123}
    assert mini.expected == []


PAGE = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")


def test_the_pages_example_is_a_study(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(PAGE.split("```yaml\n")[1].split("```")[0])
    cells = expand(load_study(file))
    # Two methods, two rates, two seeds, of which full fine-tuning at seed 123 is excluded at both rates.
    assert len(cells) == 8
    assert sum(bool(cell.excluded) for cell in cells) == 2
    assert {cell.config.training.batch_size for cell in cells if cell.coordinates["method"] == "full"} == {16}
    assert {cell.config.method.label for cell in cells} == {"full", "lora-r4"}


def test_the_pages_counts_are_those_of_the_presets() -> None:
    told = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (\d+) \|", PAGE, re.MULTILINE))
    counted = {name: sum(not cell.excluded for cell in expand(load_study(name))) for name in PRESETS}
    assert {name: int(count) for name, count in told.items()} == counted


def test_a_miniature_of_any_study_stands_on_the_toy_world(tmp_path: Path) -> None:
    content = {
        "name": "own",
        "defaults": {"task": {"annotated": {"path": "people.csv"}, "text_columns": ["text"]}},
        "axes": {"model.name": ["org/first", "org/second"], "training.epochs": [1, 3], "seed": [1, 2, 3]},
    }
    mini = load_study(write(tmp_path, content), reshape=lambda found: shrink(found, tmp_path))
    cells = expand(mini)
    # Two stand-ins that differ, two numbers of epochs, two seeds.
    assert len({cell.run_id for cell in cells}) == 8
    assert {Path(cell.config.model.name).name for cell in cells} == {"encoder-3-layers", "encoder-2-layers"}
    assert {cell.config.task.annotated.path for cell in cells} == {str(tmp_path / "world" / "data.jsonl")}
    assert all(cell.config.task.bulk is None for cell in cells)
    assert {cell.coordinates["model.name"] for cell in cells} == {"first", "second"}


def test_a_child_does_not_inherit_what_its_parent_says_of_itself(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, {"extends": "paper-main"}, "mine.yaml"))
    assert (study.name, study.description) == ("mine", "")


def test_a_wrong_key_is_named_where_it_stands(tmp_path: Path) -> None:
    content = {**SMALL, "defaults": {**SMALL["defaults"], "training": {"epoch": 1}}}
    with pytest.raises(ConfigError) as found:
        expand(load_study(write(tmp_path, content)))
    assert found.value.problems[0].startswith("defaults.training.epoch: unknown key")


def test_a_failure_before_the_manifest_is_seen_until_the_run_begins_again(tmp_path: Path) -> None:
    cell = expand(load_study(write(tmp_path, SMALL)))[0]
    note_failure(run_folder(tmp_path, cell), "no data")
    state = StudyFolder(tmp_path, [cell]).states[cell.run_id]
    assert (state.status, state.error) == ("failed", "no data")
    forget_failure(run_folder(tmp_path, cell))
    assert StudyFolder(tmp_path, [cell]).states[cell.run_id].status == "missing"


def test_a_study_takes_no_folder_of_other_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bulk.jsonl").touch()
    with pytest.raises(RunError, match=r"data is not empty and holds no study \(it has bulk\.jsonl\)"):
        begin(load_study(write(tmp_path, SMALL)), tmp_path / "data")
    assert main(["study", "run", "paper", "--scale", "mini", "--out", str(tmp_path / "data")]) == 2
    assert "data is not empty and holds no study" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["bulk.jsonl"]


@pytest.mark.parametrize(
    ("status", "seen"), [("running", "failed"), ("interrupted", "interrupted"), ("complete", "complete")]
)
def test_a_failure_that_a_killed_run_could_not_write_down_is_seen(
    status: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = expand(load_study(write(tmp_path, SMALL)))[0].config, tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / "manifest.json").touch()
    monkeypatch.setattr(folder, "recorded_in", lambda _: Recorded(identity_key(config), status, 1.0, 2, 3.0, "", ""))
    assert folder.state_of(config, run) == (status, 1.0, 2, 3.0, "")
    note_failure(run, "its process was killed")
    found = folder.state_of(config, run)
    assert (found.status, found.error) == (seen, "its process was killed" * (seen == "failed"))


def test_a_bulk_file_with_too_few_lines_is_found_by_counting(tmp_path: Path) -> None:
    config = expand(load_study(write(tmp_path, SMALL)))[0].config
    bulk = tmp_path / "data" / "bulk.jsonl"
    bulk.parent.mkdir()
    bulk.write_text("{}\n" * 49)
    assert "task.bulk.size is 50" in short_bulk(config)[0]


def test_matched_loss_has_slow_and_fast_runs_of_each_method() -> None:
    study = load_study("matched-loss")
    cells = expand(study)
    rates: dict[str, set[float]] = {}
    for cell in cells:
        rates.setdefault(cell.coordinates["method"], set()).add(cell.config.training.learning_rate)
    assert rates == {
        "full": {5e-6, 2e-5, 5e-5},
        "lora-r4": {2e-5, 1e-4, 5e-4},
        "lora-r16": {2e-5, 1e-4, 5e-4},
    }
    assert len(cells) == 27
    assert {(cell.config.tracking.every, cell.config.tracking.validation) for cell in cells} == {(50, True)}
    # It is shown as any study is: what it asks is none of the paper's claims.
    assert study.report is None
