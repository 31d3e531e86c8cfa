"""Annotations joined by id, and an order of the classes that gold labels contradict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from contested.annotations import read_annotations
from contested.errors import ConfigError, DataError
from contested.exchange import import_run, import_runs
from contested.report import write_report
from contested.trajectories import Trajectory
from contested.trajectories.label_order import contradicted_order


def _annotations(folder: Path, counts: dict[str, dict[str, int]]) -> Path:
    file = folder / "annotated.jsonl"
    rows = [{"id": name, "counts": given} for name, given in counts.items()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_the_run_has_what_is_on_both_sides(dynamics: Path, tmp_path: Path) -> None:
    counts = {"z": {"e": 1}, "d": {"e": 3, "c": 2}, "b": {"n": 4, "e": 1}}
    found, notes = import_run(
        "cartography", dynamics, annotations=_annotations(tmp_path, counts), label_names=["e", "n", "c"]
    )
    assert found.example_ids.tolist() == ["b", "d"]  # in the recording's order
    assert found.required("label_counts").tolist() == [[1, 4, 0], [3, 0, 2]]
    assert found.required("logits")[0].tolist() == [[0.25, 1.5, 0.0], [1.0, 0.0, 0.5]]
    assert notes[:2] == [
        "2 of 4 recorded examples have no annotations and are left out: a, c",
        "1 of 3 annotated examples were not recorded: z",
    ]
    assert (found.origin["without_annotations"], found.origin["not_recorded"]) == (2, 1)


def test_no_id_on_both_sides(dynamics: Path, tmp_path: Path) -> None:
    file = _annotations(tmp_path, {f"x{row}": {"e": 1, "n": 1, "c": 1} for row in range(12)})
    with pytest.raises(DataError, match=r"recorded are a, b, c, d; annotated in .* are x0, .*x9, …\. The ids must"):
        import_run("cartography", dynamics, annotations=file, label_names=["e", "n", "c"])


def test_ids_that_hardly_meet(tmp_path: Path) -> None:
    ids = [f"g{row:04d}" for row in range(40)]
    recorded = [name if row < 3 else name.upper() for row, name in enumerate(ids)]
    np.savez(tmp_path / "losses.npz", example_ids=np.array(recorded), steps=[0, 1], losses=np.ones((2, 40)))
    file = _annotations(tmp_path, {name: {"e": 3, "n": 2} for name in ids})
    made, notes = import_run("npz", tmp_path / "losses.npz", annotations=file)
    assert notes[0] == (
        "Warning: Only 3 of 40 recorded and of 40 annotated examples have an id in common; 37 of those left out differ "
        "from annotated ids in letter case, punctuation or zeros alone, such as 'G0003' (recorded) and 'g0003' "
        "(annotated). Check the ids before using this run."
    )
    html = write_report([made], tmp_path / "report", n_resamples=50).html.read_text(encoding="utf-8")
    top = html.split("<main>")[0]
    assert "<strong>Only 3 of 40 recorded and of 40 annotated examples have an id in common.</strong>" in top
    assert "37 of 40 recorded examples have no annotations and are left out." in top
    # Many more were recorded than annotated, as is usual: that is no warning.
    few = _annotations(tmp_path, {name: {"e": 3, "n": 2} for name in ids[:3]})
    made, notes = import_run("npz", tmp_path / "losses.npz", annotations=few)
    assert not any("Warning" in note for note in notes)


def test_no_id_meets_but_for_its_case(dynamics: Path, tmp_path: Path) -> None:
    file = _annotations(tmp_path, {name: {"e": 1, "n": 1, "c": 1} for name in "ABCX"})
    with pytest.raises(DataError, match=r"; 3 of those left out differ from .*such as 'a' \(recorded\) and 'A'"):
        import_run("cartography", dynamics, annotations=file, label_names=["e", "n", "c"])


def test_the_order_is_asked_for(dynamics: Path, tmp_path: Path) -> None:
    file = _annotations(tmp_path, {"a": {"e": 1, "n": 1, "c": 1}})
    with pytest.raises(ConfigError, match="Annotations need the label names"):
        import_run("cartography", dynamics, annotations=file)


def test_an_order_that_gold_labels_contradict() -> None:
    # 60 examples, 20 of each class; annotators agree with 18 of each; neutral and contradiction are swapped.
    gold = np.repeat([0, 1, 2], 20)
    chosen = gold.copy()
    chosen[::10] = (gold[::10] + 1) % 3
    right = 5 * np.eye(3, dtype=np.int64)[chosen]
    assert contradicted_order(gold, right, ("e", "n", "c")) == ""
    told = contradicted_order(gold, right[:, [0, 2, 1]], ("e", "c", "n"))
    # Given: 18 of class 0, and the two of class 1 that went to 2, whose column stands at 1: 20 of 60.
    assert "agree for 33% of 60 examples in this order, and for 90% in the order e,n,c." in told


def test_it_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "training_dynamics"
    folder.mkdir()
    gold = [row % 3 for row in range(30)]
    lines = [
        {"guid": row, "logits_epoch_0": [2.0 * (k == g) for k in range(3)], "gold": g} for row, g in enumerate(gold)
    ]
    (folder / "dynamics_epoch_0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = _annotations(tmp_path, {str(row): {"enc"[g]: 5} for row, g in enumerate(gold)})
    swapped = ["e", "c", "n"]
    with pytest.raises(DataError, match="contradict each other") as caught:
        import_run("cartography", folder, annotations=file, label_names=swapped)
    assert "in the order e,n,c" in str(caught.value)
    taken = import_run("cartography", folder, annotations=file, label_names=swapped, check_label_order=False)
    assert len(taken.trajectory.example_ids) == 30
    (note,) = import_run("cartography", folder, annotations=file, label_names=["e", "n", "c"]).notes
    assert "epoch 0 is not the untrained model" in note


def test_texts_and_covariates_come_along(dynamics: Path, tmp_path: Path) -> None:
    rows = [
        {"id": name, "counts": {"e": 2, "n": 1, "c": 1}, "premise": f"p {name}", "hypothesis": f"h {name}"}
        | {"genre": genre, "length": row, "split": "dev", "note": note, "gold": "n"}
        for row, (name, genre, note) in enumerate([("d", "travel", 1), ("b", "fiction", "x"), ("z", "fiction", None)])
    ]
    file = tmp_path / "annotated.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"annotations": file, "label_names": ["e", "n", "c"]}
    found = import_run("cartography", dynamics, **options).trajectory
    assert found.text_columns == ("premise", "hypothesis")
    assert found.examples["hypothesis"].tolist() == ["h b", "h d"]
    assert found.examples["genre"].tolist() == ["fiction", "travel"]
    assert found.examples["length"].tolist() == [1, 0]
    # A run's own columns keep their meaning; numbers beside text become text.
    assert found.examples["split"].tolist() == ["train", "train"]
    assert found.examples["split_given"].tolist() == ["dev", "dev"]
    assert found.required("gold").tolist() == [1, 0]
    assert found.examples["note"].tolist() == ["x", "1"]
    found.save(tmp_path / "run")
    again = Trajectory.load(tmp_path / "run")
    assert again.examples["note"].tolist() == ["x", "1"]
    assert again.text_columns == found.text_columns
    told = import_run("cartography", dynamics, **options, text_columns=["genre"]).trajectory
    assert told.text_columns == ("genre",)
    assert told.examples["premise"].tolist() == ["p b", "p d"]
    with pytest.raises(ConfigError, match=r"no column premis to take texts from \(did you mean 'premise'\?\)"):
        import_run("cartography", dynamics, **options, text_columns=["premis"])
    with pytest.raises(ConfigError, match="Text columns are those of annotations"):
        import_run("cartography", dynamics, text_columns=["premise"])
    read = read_annotations(file, label_names=["e", "n", "c"])
    given = import_run("cartography", dynamics, annotations=read, label_names=["e", "n", "c"]).trajectory
    assert given.examples.equals(found.examples)


def test_seeds_are_runs_and_not_checkpoints(tmp_path: Path) -> None:
    folder = tmp_path / "final"
    folder.mkdir()
    for seed in (2, 1):
        (folder / f"seed_{seed}.csv").write_text(
            f"id,gold,prob_no,prob_yes\na,no,0.{seed},0.{10 - seed}\nb,yes,0.5,0.5\n"
        )
    (folder / ".hidden").touch()
    file = _annotations(tmp_path, {"a": {"no": 2, "yes": 1}, "b": {"no": 1, "yes": 3}})
    runs = [run.trajectory for run in import_runs("csv", folder, annotations=file, label_names=["no", "yes"])]
    assert [run.run_id for run in runs] == ["seed_1", "seed_2"]
    assert [run.losses.shape for run in runs if run.losses is not None] == [(1, 2), (1, 2)]
    # −ln 0.1 and −ln 0.2 of the gold label.
    assert [run.required("losses")[0, 0] for run in runs] == pytest.approx([2.302585, 1.609438])
    assert all("annotators" in run.has for run in runs)
    (folder / "seed_1.tsv").touch()
    with pytest.raises(DataError, match=r"holds seed_1\.csv, seed_1\.tsv, seed_2\.csv, two of one name"):
        import_runs("csv", folder)
    with pytest.raises(DataError, match="is not a folder"):
        import_runs("csv", file)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is empty"):
        import_runs("csv", tmp_path / "empty")
