"""The world of a miniature: made once, whole, however many ask for it and whatever stops one of them."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contested.checking import check
from contested.errors import RunError
from contested.files import atomic_folder
from contested.studies import Study, mini_world
from contested.studies.mini import shrink
from contested.studies.mini_world import damaged_parts, make_parts

CONTENT: dict[str, Any] = {
    "axes": {
        "backbone": {
            "small": {"model": {"name": "org/small"}},
            "decoder": {"model": {"name": "org/decoder"}, "facts": {"decoder": True}},
        },
        "seed": [1, 2],
    }
}
PARTS = ["data", "encoder-3-layers", "decoder-2-layers"]


def mini_study(out: Path) -> Study:
    return check(Study, shrink(json.loads(json.dumps(CONTENT)), out), "the study")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts that are made, in their order; backbones are made of two small files, without torch."""
    names: list[str] = []
    make_data = mini_world._make_data

    def data(world: Path, *, name: str, seed: int) -> list[Path]:
        names.append(name)
        return make_data(world, name=name, seed=seed)

    def backbone(world: Path, *, kind: str, layers: int) -> list[Path]:
        names.append(f"{kind}-{layers}-layers")
        with atomic_folder(world / names[-1], replace=True) as folder:
            (folder / "config.json").write_text("{}")
            (folder / "model.safetensors").write_bytes(b"weights" * 1000)
        return [world / names[-1]]

    monkeypatch.setattr(mini_world, "N_ANNOTATED", 20)
    monkeypatch.setattr(mini_world, "N_BULK", 20)
    monkeypatch.setattr(mini_world, "_make_data", data)
    monkeypatch.setattr(mini_world, "_make_backbone", backbone)
    return names


def content_of(world: Path) -> dict[str, bytes]:
    return {str(file.relative_to(world)): file.read_bytes() for file in sorted(world.rglob("*")) if file.is_file()}


def test_many_at_once_make_every_part_once(made: list[str], tmp_path: Path) -> None:
    study, together = mini_study(tmp_path), threading.Barrier(4)

    def ask(_: int) -> dict[str, bytes]:
        together.wait()
        make_parts(study, tmp_path)
        return content_of(tmp_path / "world")

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(ask, range(4)))
    assert made == PARTS
    # Whoever returns finds everything, and nothing else.
    assert all(content == seen[0] for content in seen)
    assert {name for name in seen[0] if not name.startswith(".")} == {
        *("data.jsonl", "data_bulk.jsonl", "parts.json"),
        *(f"{part}/{file}" for part in PARTS[1:] for file in ("config.json", "model.safetensors")),
    }


def test_what_is_whole_is_not_made_again(made: list[str], tmp_path: Path) -> None:
    study = mini_study(tmp_path)
    make_parts(study, tmp_path)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "world").rglob("*")}
    make_parts(study, tmp_path)
    assert made == PARTS
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "world").rglob("*")} == before


@pytest.mark.parametrize("part", PARTS)
def test_a_stop_at_any_part_leaves_nothing_half(
    part: str, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, move = mini_study(tmp_path), os.replace

    def stopped(source: Any, target: Any) -> None:
        if Path(target).name.startswith(part):
            raise KeyboardInterrupt
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            make_parts(study, tmp_path)
    there = {name.partition("/")[0] for name in content_of(tmp_path / "world")}
    assert not any(part in name for name in there)
    assert damaged_parts(tmp_path) == []
    make_parts(study, tmp_path)
    # Those before it are not made again.
    assert made == [*PARTS[: PARTS.index(part) + 1], *PARTS[PARTS.index(part) :]]


def test_what_a_killed_process_left_is_removed_and_a_half_part_is_made_anew(made: list[str], tmp_path: Path) -> None:
    # As an earlier version left it: a folder that is there without its weights, and half a temporary one.
    world = tmp_path / "world"
    (world / "encoder-3-layers").mkdir(parents=True)
    (world / "encoder-3-layers" / "config.json").write_text("{}")
    (world / ".decoder-2-layers.x1.tmp" / "made").mkdir(parents=True)
    make_parts(mini_study(tmp_path), tmp_path)
    assert (world / "encoder-3-layers" / "model.safetensors").is_file()
    assert not list(world.glob(".*.tmp"))


@pytest.mark.parametrize("file", ["data.jsonl", "data_bulk.jsonl", "encoder-3-layers/model.safetensors", "parts.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_part_is_named_and_made_again(file: str, damage: str, made: list[str], tmp_path: Path) -> None:
    study, target = mini_study(tmp_path), tmp_path / "world" / file
    make_parts(study, tmp_path)
    before = content_of(tmp_path / "world")
    content = target.read_bytes()
    if damage == "gone":
        target.unlink()
    else:
        half = len(content) // 2
        target.write_bytes(
            content[:half] + (b"" if damage == "cut" else bytes([content[half] ^ 1]) + content[half + 1 :])
        )
    if file != "parts.json":
        assert damaged_parts(tmp_path) == [Path(file).parts[0].removesuffix(".jsonl").removesuffix("_bulk")]
    make_parts(study, tmp_path)
    assert content_of(tmp_path / "world") == before
    assert damaged_parts(tmp_path) == []


def test_who_waits_too_long_is_told(made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mini_world, "_PATIENCE", 0.1)
    (tmp_path / "world").mkdir()
    with mini_world._alone(tmp_path / "world"), pytest.raises(RunError, match="Another process has been making"):
        make_parts(mini_study(tmp_path), tmp_path)
    assert made == []


def test_the_real_stand_ins_are_the_same_bytes_whenever_they_are_made(tmp_path: Path) -> None:
    for out in (tmp_path / "one", tmp_path / "two"):
        make_parts(mini_study(out), out)
    one, two = (content_of(out / "world") for out in (tmp_path / "one", tmp_path / "two"))
    assert one == two
    assert os.fspath(tmp_path) not in one["parts.json"].decode()
