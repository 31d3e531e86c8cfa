from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from contested.errors import ConfigError
from contested.studies import expand, load_study
from contested.studies.content import set_key

STUDY: dict[str, Any] = {
    "data": {"dir": "data"},
    "axes": {"backbone": {"a": {"model": {"name": "org/a"}}}, "seed": [1]},
    "groups": {"main": {"where": {}}},
}


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "keys", "wanted"),
    [
        ("data.dir=~/data", ["data", "dir"], "/home/someone/data"),
        ("data.dir=x", ["data", "dir"], "{here}/x"),
        ("data.other=~/x", ["data", "other"], "/home/someone/x"),
        ("data.size=3", ["data", "size"], 3),
        ("defaults.task.bulk.path=[~/a, b]", ["defaults", "task", "bulk", "path"], ["/home/someone/a", "{here}/b"]),
        (
            "axes.dataset.d.task.annotated.path=a",
            ["axes", "dataset", "d", "task", "annotated", "path"],
            "{here}/a",
        ),
        ("backbone.a=~/m", ["axes", "backbone", "a", "model", "name"], "/home/someone/m"),
        ("defaults.model.name=roberta-base", ["defaults", "model", "name"], "roberta-base"),
    ],
)
def test_paths_are_taken_from_where_the_command_is_given(
    at_home: Path, text: str, keys: list[str], wanted: Any
) -> None:
    content: Any = copy.deepcopy(STUDY)
    set_key(content, text)
    for key in keys:
        content = content[key]

    def here(value: Any) -> Any:
        return value.replace("{here}", str(at_home)) if isinstance(value, str) else value

    assert content == ([here(value) for value in wanted] if isinstance(wanted, list) else here(wanted))


def test_a_study_speaks_the_language_of_a_run() -> None:
    """Another source of the bulk, and another method, take the former one's keys away."""
    cells = expand(load_study("paper-ia3", ["defaults.task.bulk.path=/b.jsonl", "data.dir=/d", "seeds=42"]))
    # The data set's axis lies above the defaults: its hub takes the file away again.
    assert {cell.config.task.bulk.hub for cell in cells if cell.config.task.bulk} == {"stanfordnlp/snli"}
    sets = ["axes.dataset.snli.task.bulk.path=/b.jsonl", "data.dir=/d", "seeds=42"]
    bulks = [cell.config.task.bulk for cell in expand(load_study("paper-ia3", sets))]
    assert {(bulk.hub, bulk.path, bulk.size) for bulk in bulks if bulk} == {(None, "/b.jsonl", 20_000)}


def test_what_does_not_fit_is_told() -> None:
    content: Any = {"defaults": {"training": 3}}
    with pytest.raises(ConfigError, match=r"--set 'defaults.training.epochs=3' does not fit: training holds 3"):
        set_key(content, "defaults.training.epochs=3")
