from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from contested.analysis import analyze
from contested.cli.analyze import analyze as command
from contested.errors import RunError
from contested.trajectories import RunWriter, Trajectory


@pytest.fixture
def run(tmp_path):
    """A run folder of 40 examples whose contested half ends with a higher loss than it began with."""
    contested = np.arange(40) % 2 == 1
    examples = pd.DataFrame(
        {
            "row_key": np.arange(40),
            "example_id": [f"item-{row}" for row in range(40)],
            "gold": 0,
            "label_counts": [[40, 30, 30] if odd else [100, 0, 0] for odd in contested],
            "entropy": np.where(contested, 1.0889, 0.0),
            "category": np.where(contested, "contested", "clean"),
            "split": "train",
        }
    )
    header = {
        "run_id": "tiny [lora]",
        "label_names": ["e", "n", "c"],
        "category_names": ["clean", "ambiguous", "contested"],
    }
    writer = RunWriter.create(tmp_path / "run", header=header, examples=examples, text_columns=[])
    rng = np.random.default_rng(0)
    for step in (0, 100, 200):
        logits = rng.normal(0, 0.1, (40, 3))
        logits[:, 0] += np.where(contested, -1, 1) * step / 100
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]
        writer.write_checkpoint(step=step, epoch=step / 100, losses=losses, logits=logits)
        writer.list_checkpoint(step=step, epoch=step / 100)
    writer.finish("complete")
    return tmp_path / "run"


@pytest.fixture
def invoke():
    app = typer.Typer()
    app.command()(command)

    def call(*args):
        return CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)

    return call


def test_writes_results_and_tables(run, invoke):
    told = invoke(run)
    assert told.exit_code == 0
    results = json.loads((run / "results/results.json").read_text())
    expected = analyze(Trajectory.load(run))
    assert results == {**expected.to_dict(), "seed": 0}
    assert {path.stem for path in (run / "results").glob("*.csv")} == set(expected.tables())
    assert {path.suffix for path in (run / "results").glob("unlearning.*")} == {".csv", ".md", ".tex"}
    table = pd.read_csv(run / "results/unlearning.csv")
    assert table["mean"].iloc[2] == pytest.approx(expected.unlearning.rows[2].mean)


def test_says_what_happened(run, invoke):
    told = invoke(run).stdout
    assert "tiny [lora]" in told
    assert "In this run (steps 0 to 200), contested examples were un-learned" in told
    assert "further away" in told
    assert str(run / "results") in told.replace("\n", "")


def test_json_is_all_that_is_printed_and_equals_the_file(run, invoke, tmp_path):
    told = invoke(run, "--json", "--out", tmp_path / "here", "--seed", 3, "--resamples", 500)
    results = json.loads(told.stdout)
    assert results == json.loads((tmp_path / "here/results.json").read_text())
    assert (results["seed"], results["n_resamples"]) == (3, 500)
    expected = analyze(Trajectory.load(run), rng=np.random.default_rng(3), n_resamples=500)
    assert results["unlearning"] == expected.to_dict()["unlearning"]
    assert not (run / "results").exists()


def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path, invoke):
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        invoke(tmp_path)
    assert list(tmp_path.iterdir()) == []


LOGITS = np.random.default_rng(0).normal(size=(3, 20, 2))
GOLD = np.arange(20) % 2


@pytest.mark.parametrize(
    ("given", "said", "missing"),
    [
        ({"losses": np.linspace(1, 0, 60).reshape(3, 20)}, "Δℓ in nats", "annotators"),
        ({"logits": LOGITS, "gold": GOLD}, "Δℓ in nats", "ΔKL"),
        ({"logits": LOGITS, "gold": GOLD, "label_counts": 1 + 8 * np.eye(2, dtype=int)[GOLD]}, "ΔKL(annotators", "nan"),
    ],
    ids=["losses only", "logits without annotators", "annotators without texts"],
)
def test_runs_that_something_else_recorded(given, said, missing, invoke, tmp_path):
    Trajectory.from_arrays(**given, steps=[0, 10, 20], run_id="theirs").save(tmp_path / "run")
    told = invoke(tmp_path / "run")
    assert told.exit_code == 0
    head, *_ = told.stdout.split("- In this run")
    assert said in head
    assert missing not in head
    results = json.loads((tmp_path / "run/results/results.json").read_text())
    assert all(sentence in told.stdout.replace("\n", " ") for sentence in results["absent"])
    assert bool(results["absent"]) == ("label_counts" not in given)
    assert (tmp_path / "run/results/measures.md").exists()


def test_where_the_alert_ended_a_run_is_said_first(invoke, tmp_path):
    losses = np.array([[0.7], [1.2]]) + np.random.default_rng(0).normal(0, 0.05, (2, 40))
    run = Trajectory.from_arrays(losses=losses, steps=[0, 4], run_id="stopped")
    run.manifest.update(planned_steps=40, ended_by="alert")
    run.save(tmp_path / "run")
    lines = invoke(tmp_path / "run").stdout.splitlines()
    assert [line.strip() for line in lines[:2]] == ["stopped", "The alert ended this run at step 4 of 40."]


def test_a_run_that_learned_next_to_nothing_says_so_first_and_empty_categories_have_no_verdict(invoke, tmp_path):
    # 2 classes, one annotator's vote of 10 for the other: H = 0.33 nats, all clean. Losses move by 0.01 nats.
    losses = np.array([[0.7] * 20, [0.69] * 20])
    counts = [[9, 1]] * 20
    run = Trajectory.from_arrays(losses=losses, logits=None, label_counts=counts, steps=[0, 9], run_id="still")
    run.save(tmp_path / "run")
    lines = invoke(tmp_path / "run").stdout.splitlines()
    assert lines[0].strip() == "still"
    assert lines[1].startswith("This run learned next to nothing. It hardly moved")
    logits = np.repeat([[[0.0, 0.0]], [[2.0, 0.0]]], 20, axis=1)
    Trajectory.from_arrays(logits=logits, gold="majority", label_counts=counts, run_id="sure").save(tmp_path / "sure")
    table = invoke(tmp_path / "sure").stdout.split("- In this run")[0]
    rows = {line.split()[0]: line.split() for line in table.splitlines() if line.strip()}
    assert rows["contested"] == ["contested", "0", "–", "–", "–", "–"]
    assert "next to nothing" not in table
    # What is piped has its intervals in one line: 4 categories, a heading, the run's name.
    assert len(rows) == 6


def test_one_checkpoint_is_told_as_such(invoke, tmp_path):
    Trajectory.from_arrays(losses=[[1.0, 2.0]], run_id="one").save(tmp_path / "run")
    told = invoke(tmp_path / "run").stdout
    assert "one checkpoint was recorded: the mean loss is 1.500 nats." in told
    assert "hardly moved" not in told
