"""Annotated files whose columns have names of their own, imported on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contested.cli import main
from contested.errors import ConfigError
from contested.exchange import import_run
from contested.trajectories import Trajectory

NAMES = "entailment,neutral,contradiction"
VOTES = {
    "a": ["entailment", "neutral"],
    "b": ["neutral", "neutral"],
    "c": ["contradiction", "neutral"],
    "d": ["neutral", "entailment"],
}
Fails = Callable[..., str]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    def run(*argv: object) -> str:
        assert main([str(part) for part in argv]) == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    file = tmp_path / "votes.jsonl"
    file.write_text("".join(json.dumps({"key": key, "votes": given}) + "\n" for key, given in VOTES.items()))
    return file


def test_columns_are_named_as_for_entropy(dynamics: Path, votes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    argv = ["import", "cartography", dynamics, "--out", out, "--annotations", votes, "--label-names", NAMES]
    assert main([str(part) for part in (*argv, "--id-column", "key", "--labels-column", "votes")]) == 0
    counts = Trajectory.load(out).required("label_counts")
    assert counts.tolist() == [[1, 1, 0], [0, 2, 0], [0, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize("command", ["import", "entropy"])
def test_the_obvious_column_is_named_as_it_is_typed(command: str, dynamics: Path, tmp_path: Path, fails: Fails) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text('{"guid": "a", "votes": ["yes", "no"], "text": "yes, or no"}\n')
    argv = ["cartography", dynamics, "--out", tmp_path / "run", "--annotations"] if command == "import" else []
    told = fails(command, *argv, file, "--label-names", "yes,no")
    assert "votes holds lists of labels: --labels-column='votes'" in told
    assert "labels_column" not in told
    assert told.count("  - ") == 1


def test_a_file_that_says_nothing_asks_for_options_as_they_are_typed(tmp_path: Path, fails: Fails) -> None:
    file = tmp_path / "count_columns.csv"
    file.write_text("uid,remark\n1,none\n")
    told = fails("entropy", file)
    assert "(--count-columns, --labels-column, --distribution-column or --worker-column)" in told
    assert str(file) in told


def test_options_without_annotations_are_refused(dynamics: Path, tmp_path: Path, fails: Fails) -> None:
    argv = ["import", "cartography", dynamics, "--out", tmp_path / "run"]
    assert "--labels-column say how an annotated file is read" in fails(*argv, "--labels-column", "votes")
    assert "--annotations-format say how" in fails(*argv, "--annotations-format", "labels")


def test_names_are_not_asked_for_where_nothing_is_in_their_order(tmp_path: Path, votes: Path) -> None:
    annotated = votes.with_name("annotated.jsonl")
    annotated.write_text(votes.read_text().replace('"key"', '"id"').replace('"votes"', '"labels"'))
    ids, steps, losses = np.array(list(VOTES)), np.array([0, 1]), np.ones((2, 4))
    np.savez(tmp_path / "losses.npz", example_ids=ids, steps=steps, losses=losses)
    made, notes = import_run("npz", tmp_path / "losses.npz", annotations=annotated)
    assert made.label_names == ("entailment", "neutral", "contradiction")
    assert notes == [f"The classes are those of {annotated}: entailment, neutral, contradiction."]
    assert made.required("label_counts").tolist() == [[1, 1, 0], [0, 2, 0], [0, 1, 1], [1, 1, 0]]
    # Reversed, which nothing recorded can contradict.
    names = ["contradiction", "neutral", "entailment"]
    made, notes = import_run("npz", tmp_path / "losses.npz", annotations=annotated, label_names=names)
    assert made.label_names == tuple(names)
    assert notes == ["The order of the classes is not checked: the recording has neither logits nor gold labels."]
    np.savez(tmp_path / "gold.npz", example_ids=ids, steps=steps, losses=losses, gold=np.array([0, 1, 2, 0]))
    with pytest.raises(ConfigError, match=r"first of the recording's gold labels.*classes are entailment, neutral"):
        import_run("npz", tmp_path / "gold.npz", annotations=annotated)
