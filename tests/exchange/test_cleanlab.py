"""What is written for cleanlab, as cleanlab itself takes it, and what is read of its inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special

from contested.annotations import read_annotations
from contested.errors import ConfigError, DataError
from contested.exchange import export_run, import_run
from contested.trajectories import Trajectory

NAMES = ("entailment", "neutral", "contradiction")


@pytest.fixture
def annotated() -> Trajectory:
    """90 examples of three classes, 2 to 7 annotators each; four gold labels have neither behind them."""
    rng = np.random.default_rng(1)
    true = np.repeat(np.arange(3), 30)
    shares = 0.1 + 0.7 * np.eye(3)
    counts = np.array([rng.multinomial(2 + rng.integers(6), shares[label]) for label in true])
    gold = true.copy()
    gold[[3, 33, 63, 80]] = (gold[[3, 33, 63, 80]] + 1) % 3
    logits = rng.normal(size=(2, 90, 3)) + 3 * np.eye(3)[true]
    ids = [f"x{row}" for row in range(90)]
    return Trajectory.from_arrays(logits=logits, gold=gold, label_counts=counts, ids=ids, label_names=NAMES)


def test_probabilities_and_labels_of_the_last_checkpoint(run: Trajectory, tmp_path: Path) -> None:
    (note,) = export_run("cleanlab", run, tmp_path / "last.npz")
    assert "step 100" in note
    assert "in-sample" in note
    expected = special.softmax(run.required("logits")[-1].astype(float), axis=1)
    with np.load(tmp_path / "last.npz") as found:
        assert set(found) == {"pred_probs", "labels", "example_ids", "label_names"}
        assert np.allclose(found["pred_probs"], expected, atol=1e-12)
        assert np.allclose(found["pred_probs"].sum(axis=1), 1)
        assert found["labels"].tolist() == [0, 1, 2, 0, 1, 2]
        assert found["example_ids"].tolist() == run.example_ids.tolist()
        assert found["label_names"].tolist() == list(run.label_names)
    export_run("cleanlab", run, tmp_path / "last.csv")
    table = pd.read_csv(tmp_path / "last.csv", dtype={"example_id": str})
    assert list(table) == ["example_id", "label", "prob_entailment", "prob_neutral", "prob_contradiction"]
    assert np.allclose(table.iloc[:, 2:], expected, atol=1e-12)
    assert table["example_id"].tolist() == run.example_ids.tolist()


def test_annotators_labels_are_dealt_out_by_chance(annotated: Trajectory, tmp_path: Path) -> None:
    notes = export_run("cleanlab", annotated, tmp_path / "last.npz")
    assert "who gave which" in notes[1]
    with np.load(tmp_path / "last.npz") as file:
        table = file["labels_multiannotator"]
    counts = annotated.required("label_counts")
    assert table.shape == (90, counts.sum(axis=1).max())
    assert np.array_equal(np.stack([(table == label).sum(axis=1) for label in range(3)], axis=1), counts)
    # No column has the first labels of all examples: their shares lie within four standard errors of each other.
    of_first = np.array([(column[~np.isnan(column)] == 0).mean() for column in table.T])
    assert np.ptp(of_first) < 4 * np.sqrt(0.25 / (~np.isnan(table)).sum(axis=0).min())
    # A table is its own annotated file.
    export_run("cleanlab", annotated, tmp_path / "last.csv")
    back = read_annotations(tmp_path / "last.csv", label_names=NAMES)
    assert back.example_ids == tuple(annotated.example_ids)
    assert np.array_equal(back.label_counts, counts)


def test_cleanlab_takes_it(annotated: Trajectory, tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    from cleanlab import filter as label_filter
    from cleanlab import multiannotator, rank

    export_run("cleanlab", annotated, tmp_path / "last.npz")
    with np.load(tmp_path / "last.npz") as file:
        found = {name: file[name] for name in file.files}
    scores = rank.get_label_quality_scores(found["labels"], found["pred_probs"])
    # Self-confidence is the label's probability, and so exp(−loss).
    assert scores == pytest.approx(np.exp(-annotated.required("losses")[-1]))
    issues = label_filter.find_label_issues(
        found["labels"], found["pred_probs"], filter_by="predicted_neq_given", n_jobs=1
    )
    wrong = annotated.required("logits")[-1].argmax(axis=1) != annotated.required("gold")
    assert np.array_equal(issues, wrong)
    assert 4 <= wrong.sum() < 20
    votes = multiannotator.get_majority_vote_label(found["labels_multiannotator"], found["pred_probs"], verbose=False)
    untied = np.sort(annotated.required("label_counts"), axis=1)
    untied = untied[:, -1] > untied[:, -2]
    assert np.array_equal(votes[untied], annotated.required("label_counts").argmax(axis=1)[untied])
    results = multiannotator.get_label_quality_multiannotator(
        found["labels_multiannotator"], found["pred_probs"], verbose=False
    )
    agreement = results["label_quality"]["annotator_agreement"].to_numpy()
    share = annotated.required("label_counts")[np.arange(90), votes] / annotated.required("label_counts").sum(axis=1)
    same = results["label_quality"]["consensus_label"].to_numpy() == votes
    assert agreement[same] == pytest.approx(share[same])
    table = pd.read_csv(_csv(annotated, tmp_path)).filter(regex=r"^annotator_")
    again = multiannotator.get_label_quality_multiannotator(table, found["pred_probs"], verbose=False)
    pd.testing.assert_frame_equal(again["label_quality"], results["label_quality"])


def _csv(run: Trajectory, folder: Path) -> Path:
    export_run("cleanlab", run, folder / "last.csv")
    return folder / "last.csv"


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_a_single_checkpoint_comes_back(annotated: Trajectory, kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"last.{kind}"
    export_run("cleanlab", annotated, file)
    found, notes = import_run("cleanlab", file)
    assert notes == []
    assert found.example_ids.tolist() == annotated.example_ids.tolist()
    assert found.label_names == NAMES  # the file says them
    assert found.required("gold").tolist() == annotated.required("gold").tolist()
    assert found.counted_in == "checkpoint"
    # Logits come back but for a number per example, which no probability depends on.
    assert found.required("losses")[0] == pytest.approx(annotated.required("losses")[-1], abs=1e-6)
    # By name in any order: gold labels follow.
    swapped = import_run("cleanlab", file, label_names=NAMES[::-1]).trajectory
    assert np.array_equal(swapped.required("logits"), found.required("logits")[:, :, ::-1])
    assert swapped.required("losses")[0] == pytest.approx(found.required("losses")[0])


def test_probabilities_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "pred_probs.npy", np.array([[0.25, 0.75], [0.5, 0.5]]))
    found, (note,) = import_run("cleanlab", tmp_path / "pred_probs.npy", label_names=["no", "yes"])
    assert "numbered from 0" in note
    assert found.has == {"logits", "classes"}
    assert found.example_ids.tolist() == ["0", "1"]
    assert np.exp(found.required("logits")[0]) == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))
    np.savez(tmp_path / "named.npz", pred_probs=[[0.25, 0.75]], labels=["yes"], example_ids=[7])
    found = import_run("cleanlab", tmp_path / "named.npz", label_names=["no", "yes"]).trajectory
    assert (found.example_ids.tolist(), found.required("gold").tolist()) == (["7"], [1])


def test_labels_of_any_kind_are_those_of_their_classes(tmp_path: Path) -> None:
    names, shares = ["NA", "1", "0"], [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    header, rows = "example_id,label,prob_NA,prob_1,prob_0\n", [",".join(map(str, row)) for row in shares]
    # Names, of which two would be indices of others, and an id that pandas would take for a missing value.
    given = [f"{name},{label},{row}\n" for name, label, row in zip(("null", "b", "c"), names, rows, strict=True)]
    (tmp_path / "x.csv").write_text(header + "".join(given))
    found = import_run("cleanlab", tmp_path / "x.csv").trajectory
    assert found.example_ids.tolist() == ["null", "b", "c"]
    assert found.required("gold").tolist() == [0, 1, 2]
    # Floats, as NumPy and pandas make of whole numbers with gaps between them.
    np.savez(tmp_path / "x.npz", pred_probs=shares, labels=[0.0, 1.0, 2.0], label_names=["a", "b", "c"])
    found = import_run("cleanlab", tmp_path / "x.npz", label_names=["c", "b", "a"]).trajectory
    assert found.required("gold").tolist() == [2, 1, 0]
    np.savez(tmp_path / "x.npz", pred_probs=shares, labels=[0.0, 1.0, np.nan])
    with pytest.raises(DataError) as caught:
        import_run("cleanlab", tmp_path / "x.npz")
    assert caught.value.problems == ("1 of 3 examples have no gold label: 2",)
    (tmp_path / "x.csv").write_text(f"{header},1,{rows[0]}\n")
    with pytest.raises(DataError, match="does not fit together") as caught:
        import_run("cleanlab", tmp_path / "x.csv")
    assert caught.value.problems == ("row 0 has no example_id",)


def test_what_it_is_not(run: Trajectory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.npz or \.csv"):
        export_run("cleanlab", run, tmp_path / "last.json")
    with pytest.raises(ConfigError, match=r"ends in \.npz, \.npy or \.csv"):
        import_run("cleanlab", tmp_path / "last.json")
    with pytest.raises(DataError, match="cannot be read"):
        import_run("cleanlab", tmp_path / "missing.npz")
    (tmp_path / "empty.csv").write_text("example_id,label\na,1\n")
    with pytest.raises(DataError, match=r"no pred_probs of shape \(N, K\)"):
        import_run("cleanlab", tmp_path / "empty.csv")
    np.savez(tmp_path / "x.npz", pred_probs=np.full((3, 2), 0.5), labels=[0, 1], label_names=["a", "b", "c"])
    with pytest.raises(DataError) as caught:
        import_run("cleanlab", tmp_path / "x.npz", label_names=["no", "yes"])
    assert caught.value.problems == (
        "labels: given 2, expected 3",
        "label_names: given 3, expected 2",
        "its classes are a, b, c; the label names are no, yes",
    )
