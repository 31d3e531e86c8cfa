"""Annotations joined by id, and an order of the classes that gold labels contradict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from contested.errors import ConfigError, DataError
from contested.exchange import import_run
from contested.exchange.annotated import contradicted_order


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
    assert notes == [
        "2 of 4 recorded examples have no annotations and are left out: a, c",
        "1 of 3 annotated examples were not recorded: z",
    ]
    assert found.origin["without_annotations"] == 2


def test_no_id_on_both_sides(dynamics: Path, tmp_path: Path) -> None:
    file = _annotations(tmp_path, {f"x{row}": {"e": 1, "n": 1, "c": 1} for row in range(12)})
    with pytest.raises(DataError, match=r"recorded are a, b, c, d; annotated in .* are x0, .*x9, …\. The ids must"):
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
    assert not import_run("cartography", folder, annotations=file, label_names=["e", "n", "c"]).notes
