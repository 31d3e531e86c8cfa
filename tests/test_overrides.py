"""One language of overrides, for a run and for a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contested.config import RunConfig, load_config
from contested.errors import ConfigError
from contested.overrides import assign, drop_exclusive, merge, parse, path_of, resolve_paths

HUB = {"hub": "x", "subset": "y", "split": "dev", "size": 3}


def test_a_value_is_yaml_and_a_key_has_dots() -> None:
    given = parse("training.learning_rate=1e-3")
    assert (given.keys, given.value) == (("training", "learning_rate"), "1e-3")  # read as a number when checked
    assert parse("a.b={c: [1, null]}").value == {"c": [1, None]}
    assert parse("a=b=c").value == "b=c"
    for wrong in ("a", "=1", "a..b=1", ".a=1"):
        with pytest.raises(ConfigError, match=r"expected key=value, such as training\.epochs=3"):
            parse(wrong)
    with pytest.raises(ConfigError, match="Cannot read the value of --set"):
        parse("a=[1", what="--set")


def assigned(content: dict[str, Any], *texts: str) -> dict[str, Any]:
    for text in texts:
        assign(content, parse(text))
    return content


def test_a_key_is_set_where_its_dots_lead() -> None:
    assert assigned({}, "a.b.c=1", "a.d=2") == {"a": {"b": {"c": 1}, "d": 2}}
    assert assigned({"a": None}, "a.b=1") == {"a": {"b": 1}}
    # What is assigned replaces what was there, whole.
    assert assigned({"a": {"b": 1}}, "a={c: 2}") == {"a": {"c": 2}}
    with pytest.raises(ConfigError, match=r"'training.epochs=3' does not fit: training holds 5, not further keys"):
        assigned({"training": 5}, "training.epochs=3")


def test_another_method_takes_the_options_of_the_former_one_away() -> None:
    lora = {"method": {"name": "lora", "r": 8}}
    assert assigned({"method": {"name": "lora", "r": 8}}, "method.name=ia3") == {"method": {"name": "ia3"}}
    assert assigned({"method": {"name": "lora", "r": 8}}, "method.name=lora") == lora
    assert assigned({"method": {"r": 8}}, "method.name=lora") == {"method": {"r": 8, "name": "lora"}}
    assert assigned({"method": "lora"}, "method.r=2") == {"method": {"name": "lora", "r": 2}}
    assert assigned({"method": "full"}, "method.name=lora", "method.r=2") == {"method": {"name": "lora", "r": 2}}
    assert merge(lora, {"method": {"name": "full"}}) == {"method": {"name": "full"}}
    assert merge(lora, {"method": {"dropout": 0.1}}) == {"method": {"name": "lora", "r": 8, "dropout": 0.1}}
    assert merge({"method": {"r": 8}}, {"method": {"name": "lora"}}) == {"method": {"r": 8, "name": "lora"}}
    assert merge(lora, {"method": "full"}) == {"method": "full"}
    assert merge({"method": "full"}, {"method": {"name": "lora", "r": 2}}) == {"method": {"name": "lora", "r": 2}}


def test_another_source_of_data_takes_the_former_one_away() -> None:
    found = assigned({"task": {"bulk": dict(HUB)}}, "task.bulk.path=b.jsonl")
    assert found == {"task": {"bulk": {"size": 3, "path": "b.jsonl"}}}
    assert merge({"bulk": HUB}, {"bulk": {"path": "b"}}) == {"bulk": {"size": 3, "path": "b"}}
    assert merge({"bulk": HUB}, {"bulk": {"size": 4}}) == {"bulk": {**HUB, "size": 4}}
    assert merge({"bulk": {"path": "b", "seed": 1}}, {"bulk": {"hub": "x"}}) == {"bulk": {"seed": 1, "hub": "x"}}
    assert merge({"bulk": HUB}, {"bulk": {"subset": "z"}}) == {"bulk": {**HUB, "subset": "z"}}
    assert drop_exclusive("annotated", {"in_memory": 3}, {"path": "a"}) == {}
    assert drop_exclusive("training", {"epochs": 3}, {"path": "a"}) == {"epochs": 3}


def test_what_lies_below_is_left_as_it_was() -> None:
    below = {"a": {"b": 1}, "bulk": dict(HUB)}
    merge(below, {"a": {"c": 2}, "bulk": {"path": "x"}})
    assert below == {"a": {"b": 1}, "bulk": HUB}


def test_paths_are_known_by_what_the_options_declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    (tmp_path / "here").mkdir()
    content: dict[str, Any] = {
        "model": {"name": "here"},
        "task": {
            "annotated": {"path": "~/people.jsonl", "covariates": "{data.dir}/genres.csv", "format": "here"},
            "bulk": {"path": ["~/a.jsonl", "b.jsonl", "/c.jsonl"]},
        },
        "name": "here",
    }
    resolve_paths(content, tmp_path, RunConfig)
    assert content == {
        "model": {"name": str(tmp_path / "here")},
        "task": {
            "annotated": {
                "path": "/home/someone/people.jsonl",
                "covariates": "{data.dir}/genres.csv",
                "format": "here",
            },
            "bulk": {"path": ["/home/someone/a.jsonl", str(tmp_path / "b.jsonl"), "/c.jsonl"]},
        },
        "name": "here",
    }
    for name, wanted in (("roberta-base", "roberta-base"), ("./x", f"{tmp_path}/x"), ("~/x", "/home/someone/x")):
        assert path_of(["model", "name"], name, tmp_path, root=RunConfig) == wanted
    assert path_of(["task"], {"bulk": {"path": "b"}}, tmp_path, root=RunConfig) == {
        "bulk": {"path": str(tmp_path / "b")}
    }
    assert path_of(["training", "epochs"], 3, tmp_path, root=RunConfig) == 3


def test_a_run_is_told_paths_from_where_it_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    file = tmp_path / "runs" / "run.yaml"
    file.write_text("model: {name: m}\ntask: {annotated: {path: people.jsonl}, bulk: {hub: x, split: dev}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    config = load_config(
        "runs/run.yaml", ["task.bulk.path=[~/a.jsonl, b.jsonl]", "task.annotated.covariates=c.csv", "model.name=~/x"]
    )
    assert config.task.annotated.path == str(tmp_path / "runs" / "people.jsonl")
    assert config.task.files[2:] == ["/home/someone/a.jsonl", str(tmp_path / "b.jsonl")]
    assert config.task.annotated.covariates == str(tmp_path / "c.csv")
    assert config.model.name == "/home/someone/x"
    assert config.task.bulk is not None
    assert config.task.bulk.hub is None
