"""What is known of the examples of a study's runs, found once for those that have the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contested.analysis.study import examples as study_examples
from contested.analysis.study.examples import OF_EXAMPLES, SeenExamples
from contested.analysis.study.groups import different_examples
from contested.analysis.study.runs import Run, measure, with_shared_examples
from contested.trajectories import Trajectory, reading
from contested.trajectories.reading import SharedExamples


def run(number: int, *, replaced: bool = False, split: str = "train") -> Trajectory:
    """Twelve examples in the same categories; some of them have another label in training, or do not train."""
    counts = np.array([[10 - k % 6, k % 6, 0] for k in range(12)])
    logits = np.random.default_rng(number).normal(size=(3, 12, 3))
    made = Trajectory.from_arrays(
        logits=logits,
        ids=[f"item {row}" for row in range(12)],
        gold=np.zeros(12, int),
        label_counts=counts,
        label_names=["yes", "no", "unclear"],
        check_label_order=False,
    )
    splits = np.where(np.arange(12) % 4 == 0, split, "train")
    table = made.examples.assign(trained_label=np.where(np.arange(12) < 3, int(replaced), 0), split=splits)
    metrics = pd.DataFrame(
        {"step": [1, 2, 3], "train_loss": [None, 0.9, 0.5 + number], "val_accuracy": [0.5, 0.75, None]}
    )
    manifest = {**made.manifest, "tracked_splits": ["train", "validation"]}
    return replace(made, run_id=f"run {number}", examples=table, metrics=metrics, manifest=manifest)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two runs with the same examples, one with other labels in training, one that tracks validation examples."""
    runs = [run(0), run(1), run(2, replaced=True), run(3, split="validation"), run(4)]
    for number, made in enumerate(runs):
        made.save(tmp_path / str(number))
    return [tmp_path / str(number) for number in range(len(runs))]


def test_runs_share_a_table_where_its_content_is_the_same(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedExamples()
    tables = [Trajectory.load(folder, shared=shared).examples for folder in folders]
    assert tables[0] is tables[1] is tables[4]
    assert len({id(table) for table in tables}) == 3
    for table, folder in zip(tables, folders, strict=True):
        pd.testing.assert_frame_equal(table, Trajectory.load(folder).examples)
    monkeypatch.setattr(reading, "_KEPT", 1)
    assert Trajectory.load(folders[2], shared=shared).examples is tables[2]
    assert Trajectory.load(folders[0], shared=shared).examples is tables[0]
    assert Trajectory.load(folders[3], shared=shared).examples is not tables[3]
    monkeypatch.setattr(reading, "_LARGEST_SHARED", 0)
    assert (
        Trajectory.load(folders[3], shared=shared).examples is not Trajectory.load(folders[3], shared=shared).examples
    )


def test_a_run_is_measured_as_without_those_before_it(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[study_examples.StudyExamples] = []
    made = study_examples.StudyExamples.__init__
    monkeypatch.setattr(
        study_examples.StudyExamples, "__init__", lambda self, *given: (found.append(self), made(self, *given))[1]
    )
    shared, seen = SharedExamples(), SeenExamples()
    runs = [Trajectory.load(folder, shared=shared) for folder in folders]
    runs += [replace(runs[0], category_names=("contested", "ambiguous", "clean")), replace(runs[0], manifest={})]
    runs.append(replace(runs[0], example_ids=runs[0].example_ids[::-1]))
    measured = [measure(own.run_id, own, seen=seen) for own in runs]
    assert len(found) == 6
    for own, one in zip(runs, measured, strict=True):
        assert_same(one, measure(own.run_id, own))
    assert measured[0].label_counts is measured[1].label_counts
    by_column = measure("by column", runs[0], "gold", seen)
    assert by_column.clusters is not None
    assert measured[0].clusters is None


def test_runs_of_several_processes_hold_the_same_arrays_of_the_same_examples(folders: list[Path]) -> None:
    apart = {str(number): measure(str(number), Trajectory.load(folder)) for number, folder in enumerate(folders)}
    assert set(OF_EXAMPLES) == set(SeenExamples().of(Trajectory.load(folders[0]), None).summaries)
    found = with_shared_examples(apart)
    for name, one in found.items():
        assert_same(one, apart[name])
    assert found["0"].entropy is found["1"].entropy is found["4"].entropy is apart["0"].entropy
    assert found["2"].entropy is not found["0"].entropy
    assert different_examples([found["0"], found["1"]]) == ""
    other = replace(found["1"], gold=1 - found["1"].gold)
    assert different_examples([found["0"], other]) == different_examples([apart["0"], other]) != ""


def assert_same(one: Run, other: Run) -> None:
    for name, value in vars(one).items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, getattr(other, name))
        else:
            np.testing.assert_equal(value, getattr(other, name))
