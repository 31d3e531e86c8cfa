from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import contested as ct
from contested.cli import main
from contested.demo import ENCODER_PATH, files, make_world


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "N_ANNOTATED", 30)
    monkeypatch.setattr(files, "N_BULK", 20)


@pytest.mark.usefixtures("small")
def test_the_files_of_the_demo_are_its_world_and_are_read_as_any_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "start"
    assert main(["demo", "--files", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert {file.name for file in out.iterdir()} <= set(shown.split())
    world = make_world(n_annotated=30, n_bulk=20, seed=0)

    data = ct.read_annotations(out / "annotated.jsonl")
    assert data.example_ids == world.annotated.example_ids
    assert np.array_equal(data.label_counts, world.annotated.label_counts)

    votes = ct.read_annotations(out / "votes.csv", label_names=list(world.annotated.label_names))
    written = world.votes.annotators < files.N_SINGLE
    assert votes.label_counts.sum() == written.sum() > 100
    assert votes.fields is not None
    assert {"premise", "hypothesis"} <= set(votes.fields)

    config = ct.load_config(out / "run.yaml")
    assert Path(config.model.name).samefile(out / "encoder")
    assert {file.name for file in (out / "encoder").iterdir()} == {file.name for file in ENCODER_PATH.iterdir()}
    assert [json.loads(line) for line in (out / "bulk.jsonl").open()] == world.bulk.to_dict("records")


@pytest.mark.usefixtures("small")
def test_a_folder_that_holds_something_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["demo", "--files", "--out", str(tmp_path)]) == 2
    assert "it is not an empty folder. Name another --out." in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_the_worlds_votes_are_those_behind_its_counts() -> None:
    world = make_world(n_annotated=10, n_bulk=1, seed=3)
    assert world.votes.add_up_to(world.annotated.label_counts)
    # Nobody labels an item twice.
    assert len({*zip(world.votes.items.tolist(), world.votes.annotators.tolist(), strict=True)}) == 1000
