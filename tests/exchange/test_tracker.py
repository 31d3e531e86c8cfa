"""The paper's tracker: losses from one file, steps from the results file beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contested.errors import DataError
from contested.exchange import import_run

_LOSSES = {"s1": [1.1, 0.6, 0.25], "s2": [1.0, 1.2, 1.5], "s3": [0.9, 0.5, 0.125]}


def _record(name: str) -> dict[str, Any]:
    return {
        "losses": _LOSSES[name],
        "gradient_norms": [],
        "predictions": [0, 1, 1],
        "true_label": int(name[1]) - 1,
        "annotation_entropy": 0.5,
    }


@pytest.fixture
def tracker(tmp_path: Path) -> Path:
    """Three examples at three checkpoints, a class each, and the steps in a results file."""
    content = {"loss_threshold": 0.5, "n_epochs_recorded": 3, "records": {name: _record(name) for name in _LOSSES}}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/tracker.json").write_text(json.dumps(content))
    (tmp_path / "run/results.json").write_text(json.dumps({"seed": 42, "run": {"tracking_steps": [0, 100, 150]}}))
    return tmp_path / "run/tracker.json"


def test_losses_gold_labels_and_steps(tracker: Path) -> None:
    for source in (tracker, tracker.parent):
        found, notes = import_run("tracker", source, label_names=["e", "n", "c"])
        assert found.example_ids.tolist() == ["s1", "s2", "s3"]
        assert found.required("losses").tolist() == np.array(list(_LOSSES.values())).T.tolist()
        assert (found.steps.tolist(), found.step_unit) == ([0, 100, 150], "step")
        assert found.required("gold").tolist() == [0, 1, 2]
        assert found.has == {"losses", "classes", "gold"}
        assert notes[0] == "Steps are the tracking_steps of results.json."
        assert "predictions (" in notes[1]
        assert "annotation_entropy (" in notes[1]
        assert "gradient_norms" not in notes[1]  # empty lists


def test_annotations_are_joined_by_id(tracker: Path, tmp_path: Path) -> None:
    rows = [{"uid": name, "counts": {"e": 5, "n": 4, "c": 1}} for name in ("s3", "s1", "s9")]
    (tmp_path / "annotated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, notes = import_run("tracker", tracker, annotations=tmp_path / "annotated.jsonl", label_names=["e", "n", "c"])
    assert found.example_ids.tolist() == ["s1", "s3"]
    assert found.required("losses")[-1].tolist() == [0.25, 0.125]
    # −0.5 ln 0.5 − 0.4 ln 0.4 − 0.1 ln 0.1 = 0.9433 nats; the records say 0.5.
    assert notes == [
        "1 of 3 recorded examples have no annotations and are left out: s2",
        "1 of 3 annotated examples were not recorded: s9",
        "2 of 2 recorded annotation entropies are not those of the annotations, the first of 's1' (0.5 recorded, "
        "0.9433 nats here). Check that these are the annotations that the run was tracked with.",
        "Steps are the tracking_steps of results.json.",
        "Not read: predictions (without logits they are not enough for a measure).",
    ]


@pytest.mark.parametrize(
    ("unit", "told"), [(1.0, []), (math.log(2), ["The recorded annotation entropies are in bits"])]
)
def test_recorded_entropies_in_nats_or_in_bits(tracker: Path, tmp_path: Path, unit: float, told: list[str]) -> None:
    content = json.loads(tracker.read_text())
    nats = -(0.3 * math.log(0.3) + 0.7 * math.log(0.7))
    for record in content["records"].values():
        record["annotation_entropy"] = nats / unit
    content["records"]["s2"]["annotation_entropy"] = None
    tracker.write_text(json.dumps(content))
    rows = [{"uid": name, "counts": {"e": 3, "n": 7, "c": 0}} for name in _LOSSES]
    (tmp_path / "annotated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    notes = import_run("tracker", tracker, annotations=tmp_path / "annotated.jsonl", label_names=["e", "n", "c"]).notes
    assert [note.split(";")[0] for note in notes[:-2]] == told


def test_without_steps_checkpoints_are_numbered(tracker: Path) -> None:
    results = tracker.with_name("results.json")
    results.write_text(json.dumps({"tracking_steps": [0, 100]}))
    found, notes = import_run("tracker", tracker)
    assert (found.steps.tolist(), found.counted_in) == ([1, 2, 3], "checkpoint")
    assert "has tracking_steps for its 3 checkpoints (results.json has 2)" in notes[0]
    results.unlink()
    assert "for its 3 checkpoints: they are numbered" in import_run("tracker", tracker).notes[0]


def test_steps_that_cannot_be_told_are_refused(tracker: Path) -> None:
    other = tracker.with_name("other.json")
    other.write_text(json.dumps([{"tracking_steps": [0, 100, 150]}]))
    assert import_run("tracker", tracker).trajectory.steps.tolist() == [0, 100, 150]
    other.write_text(json.dumps([{"tracking_steps": [0, 50, 75]}]))
    with pytest.raises(DataError, match=r"other\.json, results\.json beside .* have different tracking_steps"):
        import_run("tracker", tracker)
    other.write_text(json.dumps({"records": {"a": {"losses": [0.5]}}}))
    with pytest.raises(DataError, match=r"holds 2 \(other\.json, tracker\.json\) of them"):
        import_run("tracker", tracker.parent)
    other.unlink()
    tracker.with_name("results.json").write_text(json.dumps({"tracking_steps": [0, 100, 100]}))
    with pytest.raises(DataError, match="do not rise: 0, 100, 100"):
        import_run("tracker", tracker)


def test_what_is_wrong_is_told_at_once(tracker: Path) -> None:
    content = json.loads(tracker.read_text())
    content["records"]["s1"]["losses"] = [0.5, 0.5]
    content["records"]["s2"]["losses"] = [0.5, "low", 0.5]
    content["records"]["s3"]["true_label"] = 1.5
    content["records"] |= {f"x{row}": {} for row in range(9)}
    tracker.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        import_run("tracker", tracker)
    assert caught.value.problems[:4] == (
        "'s1': 2 losses, where another example has 3",
        """'s2': losses are [0.5, "low", 0.5], expected a list of numbers""",
        "'s3': true_label is 1.5, expected the index or the name of a class",
        "'x0': 0 losses, where another example has 3",
    )
    assert caught.value.problems[-1] == "and 2 more records"
    tracker.write_text(json.dumps({"records": {"s1": {"losses": []}}}))
    with pytest.raises(DataError, match="expected an object with records") as caught:
        import_run("tracker", tracker)
    assert caught.value.problems == ("no record has losses",)
    tracker.write_text("{")
    with pytest.raises(DataError, match="is not valid JSON"):
        import_run("tracker", tracker)
    with pytest.raises(DataError, match=r"results\.json is none\. Name one file"):
        import_run("tracker", tracker.with_name("results.json"))
    with pytest.raises(DataError, match="cannot be opened"):
        import_run("tracker", tracker.with_name("missing.json"))
