"""Measures of runs that are kept between reports: the same as measured anew, and only while nothing has changed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contested.analysis.study import kept
from contested.analysis.study.cells import StudyRuns
from contested.analysis.study.results import study_results
from contested.config import identifying
from contested.errors import RunError
from contested.studies import expand, open_study
from contested.studies.file import load_study
from contested.studies.folder import begin, run_folder
from contested.studies.results import MEASURES, open_results
from contested.trajectories import Trajectory
from contested.trajectories.manifest import read_manifest

STUDY = {
    "defaults": {"model": {"name": "org/none"}, "task": {"annotated": {"path": "people.jsonl"}}},
    "axes": {"method": ["full", {"name": "lora", "r": 2}], "seed": [1, 2]},
}


def recorded(number: int, n_examples: int = 30, n_checkpoints: int = 3) -> Trajectory:
    rng = np.random.default_rng(number)
    made = Trajectory.from_arrays(
        logits=rng.normal(size=(n_checkpoints, n_examples, 2)),
        gold="majority",
        label_counts=np.random.default_rng(0).multinomial(10, [0.6, 0.4], n_examples),
        label_names=["yes", "no"],
        steps=8 * np.arange(n_checkpoints),
        texts=[f"text {row // 2}" for row in range(n_examples)],
        check_label_order=False,
    )
    topics = made.examples.assign(topic=[f"topic {row // 3}" for row in range(n_examples)])
    metrics = pd.DataFrame({"step": [8, 16], "train_loss": [0.9, 0.5 + number], "val_accuracy": [0.5, None]})
    return dataclasses.replace(made, examples=topics, metrics=metrics)


@pytest.fixture
def folders(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A study of four runs, two of which have other examples and other checkpoints; its folder is ``tmp_path``."""
    file = tmp_path_factory.mktemp("given") / "made.yaml"
    file.write_text(json.dumps(STUDY))
    begin(load_study(str(file)), tmp_path)
    cells = expand(open_study(tmp_path))
    for number, cell in enumerate(cells):
        identity = {"version": 2, "config": identifying(cell.config), "data": "d", "model": "m"}
        run = recorded(number) if number < 2 else recorded(number, n_examples=24, n_checkpoints=4)
        dataclasses.replace(run, run_id=cell.run_id, manifest={"identity": identity}).save(run_folder(tmp_path, cell))
    return [run_folder(tmp_path, cell) for cell in cells]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The names of the runs that were read since the last call."""
    names: list[str] = []
    load = Trajectory.load

    def counted(path: Path, **given: Any) -> Trajectory:
        names.append(path.name)
        return load(path, **given)

    monkeypatch.setattr(Trajectory, "load", counted)

    def since() -> list[str]:
        found = names.copy()
        names.clear()
        return found

    return since


def measured(folder: Path, clusters: str | None = None) -> StudyRuns:
    opened = open_results(folder)
    return StudyRuns.of(opened.table, opened.axes, opened.trajectories, clusters)


def results(folder: Path) -> str:
    opened = open_results(folder)
    return json.dumps(study_results(opened.table, opened.axes, opened.trajectories, n_resamples=50).to_dict())


def assert_same(one: StudyRuns, other: StudyRuns) -> None:
    assert list(one.runs) == list(other.runs)
    for first, second in zip(one.runs.values(), other.runs.values(), strict=True):
        for name, value in vars(first).items():
            if isinstance(value, pd.DataFrame):
                pd.testing.assert_frame_equal(value, getattr(second, name))
            else:
                np.testing.assert_equal(getattr(second, name), value)
                assert getattr(value, "dtype", None) == getattr(getattr(second, name), "dtype", None)


def test_a_second_report_reads_one_run_for_each_table_of_examples(
    folders: list[Path], read: Callable[[], list[str]], tmp_path: Path
) -> None:
    first = measured(tmp_path)
    assert sorted(read()) == sorted(folder.name for folder in folders)
    again = measured(tmp_path)
    assert len(read()) == 2
    assert_same(again, first)
    kept_results = results(tmp_path)
    (tmp_path / MEASURES).unlink()
    assert results(tmp_path) == kept_results


def test_a_run_that_has_changed_is_measured_anew(
    folders: list[Path], read: Callable[[], list[str]], tmp_path: Path
) -> None:
    before = measured(tmp_path)
    manifest = read_manifest(folders[1])
    changed = dataclasses.replace(recorded(9), run_id=folders[1].name, manifest={"identity": manifest["identity"]})
    changed.save(tmp_path / "changed")
    folders[1].rename(tmp_path / "former")
    (tmp_path / "changed").rename(folders[1])
    read()
    after = measured(tmp_path)
    assert set(read()) == {folders[0].name, folders[1].name, folders[2].name}
    assert not np.allclose(after.runs[folders[1].name].aulc, before.runs[folders[1].name].aulc)
    assert len({id(run.label_counts) for run in after.runs.values()}) <= 3
    assert_same(measured(tmp_path), after)


def test_a_run_with_examples_of_its_own_is_measured_each_time(folders: list[Path], tmp_path: Path) -> None:
    identity = read_manifest(folders[3])["identity"]
    shutil.rmtree(folders[3])
    own = dataclasses.replace(recorded(3, n_examples=28), run_id=folders[3].name, manifest={"identity": identity})
    own.save(folders[3])
    first = measured(tmp_path)
    index, _ = kept._read(tmp_path / MEASURES)
    assert {row["run_id"] for row in index["runs"]} == {folders[0].name, folders[1].name}
    assert_same(measured(tmp_path), first)


def test_a_run_that_is_damaged_is_not_taken_from_what_was_kept(folders: list[Path], tmp_path: Path) -> None:
    measured(tmp_path)
    checkpoint = folders[1] / "checkpoints" / "step-00000008.parquet"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    assert folders[1].name not in measured(tmp_path).runs


@pytest.mark.parametrize("other", ["clusters", "code", "split", "damaged", "cut short", "gone"])
def test_measures_of_other_options_or_code_or_damaged_ones_are_not_taken(
    folders: list[Path], read: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    before, file = measured(tmp_path), tmp_path / MEASURES
    content = bytearray(file.read_bytes())
    read()
    if other == "code":
        monkeypatch.setattr(kept, "_code", lambda: "other")
    elif other == "damaged":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif other == "cut short":
        file.write_bytes(content[:40])
    elif other == "gone":
        file.unlink()
    if other == "split":
        opened = open_results(tmp_path, "train")
        again = StudyRuns.of(opened.table, opened.axes, opened.trajectories)
    else:
        again = measured(tmp_path, "topic" if other == "clusters" else None)
    assert len(read()) == len(folders)
    if other != "clusters":
        assert_same(again, before)
    elif again.runs[folders[0].name].clusters is not None:
        assert len(np.unique(again.runs[folders[0].name].clusters)) == 10
    if other not in {"clusters", "split"}:
        measured(tmp_path)
        assert len(read()) == 2


def test_the_digest_of_the_code_is_of_every_source_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = kept._code.__wrapped__()
    assert own == kept._code.__wrapped__()
    monkeypatch.setattr(kept, "_PACKAGE", tmp_path)
    (tmp_path / "analysis").mkdir()
    found = [own]
    for source in ("a = 1", "a = 2", None):
        (tmp_path / "analysis" / "measures.py").write_text(source or "a = 2")
        if source is None:
            (tmp_path / "analysis" / "measures.py").rename(tmp_path / "measures.py")
        found.append(kept._code.__wrapped__())
    assert len(set(found)) == 4


def test_what_cannot_be_kept_is_measured_each_time(
    folders: list[Path], read: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(tmp_path)
    size = sum(array.nbytes for array in (kept._packed(first.runs[folders[0].name]) or ({}, {}))[1].values())
    monkeypatch.setattr(kept, "_LARGEST", int(1.5 * size))
    (tmp_path / MEASURES).unlink()
    measured(tmp_path)
    read()
    assert_same(measured(tmp_path), first)
    assert len(read()) == 4  # three that found no room, and one for the examples of the other

    def full(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(kept, "atomic_path", full)
    assert_same(measured(tmp_path), first)


def test_runs_of_unknown_origin_or_with_text_that_is_none_are_not_kept(folders: list[Path], tmp_path: Path) -> None:
    run = measured(tmp_path).runs[folders[0].name]
    assert kept._packed(run) is not None
    assert kept._packed(dataclasses.replace(run, made_of=("", "known"))) is None
    odd = run.columns | {"region": np.array([None] * len(run.aulc), object)}
    assert kept._packed(dataclasses.replace(run, columns=odd)) is None


def test_examples_that_cannot_be_read_any_more_are_measured_with_their_run(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_results(tmp_path)
    StudyRuns.of(opened.table, opened.axes, opened.trajectories)

    def lost(path: Path, **_: Any) -> Trajectory:
        raise RunError(f"{path.name} is gone")

    monkeypatch.setattr(Trajectory, "load", lost)
    found = StudyRuns.of(opened.table, opened.axes, opened.trajectories)
    assert found.runs == {}
    assert found.unusable == {folder.name: f"{folder.name} is gone" for folder in folders}
