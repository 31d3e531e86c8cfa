"""The README's `study run paper --scale mini` on a part of the paper's grid: from nothing to the report."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from contested.analysis.study import read_frame
from contested.checking import check
from contested.cli import main
from contested.studies import Study
from contested.studies.mini import shrink
from contested.trajectories import Trajectory

# One seed of five conditions: each kind of stand-in, a gradient probe of LoRA and of full fine-tuning, soft labels.
PART = {
    "seeds": "[42]",
    "select": "[gradients,soft-labels,decoders,deberta]",
    "groups.decoders.where": "{backbone: qwen-1.5b, method: lora-r4}",
    "groups.deberta.where": "{backbone: deberta, method: lora-r16}",
    "exclude": "[]",
    "defaults.training.epochs": "1",
    "defaults.task.bulk.size": "40",
    "defaults.tracking.every": "10",
}
SETS = [part for key, value in PART.items() for part in ("--set", f"{key}={value}")]
NAMES = ["roberta-lora-r4-snli", "roberta-full-snli", "qwen-1.5b-lora-r4-snli", "deberta-lora-r16-snli"]
NAMES += ["roberta-lora-r4-snli-soft-labels"]


def command(out: Path) -> list[str]:
    return ["study", "run", "paper", "--scale", "mini", "--out", str(out), "--jobs", "1", *SETS]


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of the miniature, run."""
    out = tmp_path_factory.mktemp("mini") / "out"
    assert main(command(out)) == 0
    return out


def shown(argv: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def run_ids(mini: Path) -> dict[str, str]:
    """Each run's id, by the name that its hash ends."""
    return {name: folder.name for folder in (mini / "runs").iterdir() for name in NAMES if made_of(folder.name, name)}


def made_of(run_id: str, name: str) -> bool:
    return run_id.rsplit("-", 1)[0] == f"{name}-s42"


def test_every_run_is_complete_and_the_same_command_does_none_again(
    mini: Path, run_ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(run_ids) == sorted(NAMES)
    status = shown(["study", "status", str(mini)], capsys)
    assert (status["study"], status["counts"]) == ("paper-mini", {"complete": 5})
    assert {run["run_id"] for run in status["runs"]} == set(run_ids.values())
    # 40 bulk examples and four fifths of 400 annotated ones: 12 steps of 32, tracked at 0, 10 and 12.
    assert {(run["epoch"], run["checkpoints"]) for run in status["runs"]} == {(1.0, 3)}
    written = {file: file.stat().st_mtime_ns for file in mini.glob("runs/*/manifest.json")}
    outcome = shown(command(mini), capsys)
    assert (outcome["runs"], outcome["complete"], outcome["failed"]) == (5, 5, {})
    assert {file: file.stat().st_mtime_ns for file in written} == written
    plan = shown(["study", "plan", "paper", "--scale", "mini", "--out", str(mini), *SETS], capsys)
    assert {cell["run_id"] for cell in plan["cells"]} == set(run_ids.values())


def test_the_stand_ins_are_of_their_backbones_kind(mini: Path, run_ids: dict[str, str]) -> None:
    kinds = {}
    for name, run_id in run_ids.items():
        model = Path(Trajectory.load(mini / "runs" / run_id).manifest["config"]["model"]["name"])
        assert model.parent == mini.resolve() / "world"
        config = json.loads((model / "config.json").read_text())
        kinds[name] = (config["model_type"], config["num_hidden_layers"])
        assert (model / "tokenizer.json").is_file()
    assert kinds["qwen-1.5b-lora-r4-snli"] == ("qwen2", 2)
    assert kinds["deberta-lora-r16-snli"] == ("deberta-v2", 2)
    # The embedded encoder's first layers.
    assert kinds["roberta-lora-r4-snli"] == kinds["roberta-full-snli"] == ("bert", 3)
    lines = (mini / "world" / "snli.jsonl").read_text().splitlines()
    assert len(lines) == 400
    assert {sum(json.loads(line)["label_counter"].values()) for line in lines} == {100}


def test_the_analysis_is_that_of_the_runs(
    mini: Path, run_ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(["analyze", str(mini), "--resamples", "50"], capsys)
    assert json.loads((mini / "results" / "results.json").read_text()) == found
    frames = {name: frame_rows(frame) for name, frame in found["frames"].items()}
    rhos = {row["run_id"]: row["rho"] for row in frames["runs"]}
    assert set(rhos) == set(run_ids.values())
    for run_id in rhos:
        run = Trajectory.load(mini / "runs" / run_id)
        assert rhos[run_id] == pytest.approx(stats.spearmanr(run.losses.mean(axis=0), run.entropy).statistic)
    conditions = {f"{row['backbone']}-{row['method']}-{row['dataset']}": row for row in frames["table1"]}
    assert sorted(conditions) == sorted(NAMES[:4])
    for name, row in conditions.items():
        assert row["rho_mean"] == pytest.approx(rhos[run_ids[name]])
        assert (row["run_ids"], row["n_seeds"], row["n_expected"], row["missing"]) == (run_ids[name], 1, 1, "")
    for row in (*frames["table2"], *frames["table5"]):
        run = Trajectory.load(mini / "runs" / row["run_ids"])
        change = (run.losses[-1] - run.losses[0])[run.entropy >= 0.7]
        assert row["contested_change"] == pytest.approx(change.mean(), abs=1e-6)
    soft, hard = (Trajectory.load(mini / "runs" / run_ids[name]) for name in (NAMES[4], NAMES[0]))
    difference = (soft.losses[-1] - soft.losses[0]) - (hard.losses[-1] - hard.losses[0])
    (row,) = frames["soft_labels"]
    assert row["difference"] == pytest.approx(difference[hard.entropy >= 0.7].mean(), abs=1e-6)
    # Probes at the start and the end, of the two runs that have them.
    probed = {(row["method"], row["step"]) for row in frames["figure8"] if row["cosine"] is not None}
    assert {method for method, _ in probed} == {"lora-r4", "full"}
    verdicts = {claim["key"]: claim for claim in found["claims"]}
    assert list(verdicts) == list("abcdefghi")
    assert verdicts["d"]["answer"] == "the study has no rank sweep."
    assert verdicts["i"]["evidence"] == []
    assert found["gaps"] == []


def frame_rows(frame: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_frame(frame).astype(object).replace({np.nan: None}).to_dict("records")
    return rows


def test_the_report_has_the_papers_tables_and_figures(mini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(mini), "--resamples", "50"]) == 0
    assert "report.html" in capsys.readouterr().out
    results = mini / "results"
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Miniature on the embedded toy world, not on the backbones and data that it names" in page
    for number in (1, 2, 3, 4, 5):
        assert f"Table {number}" in page
        assert list((results / "tables").glob(f"table{number}_*.csv"))
    for number in range(1, 10):
        assert f"Figure {number}" in page
        assert list((results / "figures").glob(f"figure{number}_*.pdf"))
    assert "roberta" in page
    assert "qwen-1.5b" in page


CONTENT: dict[str, Any] = {
    "name": "own",
    "defaults": {"training": {"learning_rate": 1.0, "epochs": 7}, "execution": {"device": "cpu"}},
    "axes": {
        "backbone": {
            "first": {"model": {"name": "org/first"}, "training": {"batch_size": 4}},
            "second": {"model": {"name": "org/second"}},
            "again": {"model": {"name": "org/first"}},
            "third": {"model": {"name": "org/third", "max_length": 512}},
            "deberta": {"model": {"name": "org/deberta-v3"}},
            "small-decoder": {"model": {"name": "org/a"}, "facts": {"decoder": True, "params": 1.9e9}},
            "large-decoder": {"model": {"name": "org/b"}, "facts": {"decoder": True, "params": 2.1e9}},
        },
        "method": {"full": {"method": {"name": "full"}}},
        "dataset": {
            "first": {"task": {"annotated": {"path": "gone"}, "bulk": {"hub": "gone"}, "text_columns": ["gone"]}},
            "second": {"task": {"annotated": {"path": "gone"}, "soft_labels": True}},
        },
        "training.epochs": [1, 3],
        "seed": [5, 6, 7],
    },
    "overrides": [{"where": {}, "set": {"probes": {"every": 500}}}, {"where": {}, "set": {"training": {"epochs": 1}}}],
    "expected": [{"artefact": "table1"}],
}


def test_a_study_shrinks_to_stand_ins_two_seeds_and_the_world(tmp_path: Path) -> None:
    found = SimpleNamespace(**shrink(json.loads(json.dumps(CONTENT)), tmp_path))
    world = tmp_path.resolve() / "world"
    stand_ins = {name: Path(value["model"]["name"]).name for name, value in found.axes["backbone"].items()}
    assert stand_ins == {
        # Encoders have 3, 2 and 1 layers in the order of the file; one checkpoint has one stand-in.
        "first": "encoder-3-layers",
        "second": "encoder-2-layers",
        "again": "encoder-3-layers",
        "third": "encoder-1-layers",
        "deberta": "deberta-2-layers",
        # From 2e9 weights on a decoder's stand-in has twice the layers.
        "small-decoder": "decoder-2-layers",
        "large-decoder": "decoder-4-layers",
    }
    facts = found.axes["backbone"]["large-decoder"]["facts"]
    assert (facts["layers"], facts["decoder"], facts["body"]) == (4, True, pytest.approx(4 * 0.13e6))
    assert "decoder" not in found.axes["backbone"]["second"]["facts"]
    assert found.axes["backbone"]["first"]["training"] == {"batch_size": 4}
    assert found.axes["backbone"]["third"]["model"]["max_length"] == 64
    for name, kept in (("first", {}), ("second", {"soft_labels": True})):
        annotated, bulk = (str(world / f"{name}{ending}.jsonl") for ending in ("", "_bulk"))
        assert found.axes["dataset"][name]["task"] == {"annotated": {"path": annotated}, "bulk": {"path": bulk}, **kept}
    assert found.defaults["task"]["bulk"] == {"size": 1000, "seed": 42}
    assert found.axes["training.epochs"] == {"1": {"training": {"epochs": 1}}, "3": {"training": {"epochs": 3}}}
    assert found.defaults["training"] == {"learning_rate": 1e-3, "epochs": 7}
    assert found.defaults["execution"] == {"device": "cpu", "threads": 1}
    assert [entry["set"] for entry in found.overrides] == [{"probes": {"every": 40}}, {"training": {"epochs": 1}}]
    assert (found.name, found.expected) == ("own-mini", [])
    assert list(found.axes["seed"]) == ["5", "6"]


def test_a_study_that_names_neither_model_nor_data_shrinks_too(tmp_path: Path) -> None:
    axes = {"training.epochs": [1, 3], "task.soft_labels": [False, True]}
    found = shrink({"axes": axes}, tmp_path)
    world = tmp_path.resolve() / "world"
    assert found["defaults"]["model"]["name"] == str(world / "encoder-3-layers")
    assert found["defaults"]["task"] == {"annotated": {"path": str(world / "data.jsonl")}}
    assert check(Study, found, "it").axes["training.epochs"]["3"].overrides == {"training": {"epochs": 3}}


@pytest.mark.parametrize(
    "axes", [[], {"backbone": "bert"}, {**CONTENT["axes"], "dataset": ["first"]}, {"training.epochs": [1, 1]}]
)
def test_what_is_no_study_is_left_to_the_check(tmp_path: Path, axes: Any) -> None:
    content = {**CONTENT, "axes": axes}
    assert shrink(dict(content), tmp_path) == content


def test_another_scale_and_a_folder_that_cannot_be_written_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "plan", "paper", "--scale", "small"]) == 2
    assert "--scale is 'small'" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(command(tmp_path / "file")) != 0
    said = capsys.readouterr().err
    assert f"Cannot write to {tmp_path / 'file'}" in said
    assert "Choose another --out" in said


def test_the_plan_of_a_miniature_names_groups_and_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "plan", "paper", "--scale", "mini", "--out", str(tmp_path / "none"), *SETS]) == 0
    said = capsys.readouterr().out
    assert "paper-mini: Miniature on the embedded toy world" in said
    assert "5 runs; by group: " in said
    assert "gradients 2" in said
    assert "soft-labels 2" in said
    assert "0 of them complete." in said
    # Nothing is made by a plan.
    assert not (tmp_path / "none").exists()


def test_a_study_of_ones_own_in_miniature_has_a_name_and_a_known_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "defaults: {model: {name: roberta-base}, task: {annotated: {path: people.jsonl}, bulk: {hub: a/b, size: 9}}}\n"
        "axes: {training.epochs: [1, 3], seed: [1, 2, 3]}\n"
    )
    found = shown(["study", "plan", str(file), "--scale", "mini", "--out", str(tmp_path / "none")], capsys)
    # 320 annotated and 1,000 bulk examples in batches of 32: 42 steps an epoch.
    assert {cell["steps"] for cell in found["cells"]} == {42, 126}
    assert all(cell["seconds"] > 0 for cell in found["cells"])
    assert main(["study", "plan", str(file), "--scale", "mini"]) == 0
    assert "mine-mini: Miniature of the study mine on the embedded toy world" in capsys.readouterr().out
