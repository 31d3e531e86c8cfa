"""What makes a run this run: an option with a default renames nothing, and older folders are still known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, create_model

from contested import config as module
from contested.config import RunConfig, check_config, identified, identifying, recorded
from contested.options import METHODS, Section, section_in
from contested.runs import run_id
from contested.studies import expand, load_study
from contested.trajectories.identity import digest

SMALL: dict[str, Any] = {
    "model": {"name": "/some/where/roberta-base"},
    "method": {"name": "lora", "r": 8},
    "task": {
        "annotated": {"path": "/data/people.jsonl"},
        "bulk": {"path": ["/data/a.jsonl", "/data/b.jsonl"], "size": 50},
        "noise": {"share": 0.3},
    },
    "training": {"epochs": 2, "batch_size": 32},
    "seed": 7,
    "name": "mine",
    "execution": {"threads": 1},
}


def test_identity_is_what_was_set_without_place_and_name() -> None:
    assert identifying(check_config(SMALL, "of a test")) == {
        "model": {"name": "roberta-base"},
        "method": {"name": "lora", "r": 8},
        "task": {
            "annotated": {"path": "people.jsonl"},
            "bulk": {"path": ["a.jsonl", "b.jsonl"], "size": 50},
            "noise": {"share": 0.3},
        },
        "training": {"epochs": 2},  # 32 is the default of batch_size
        "seed": 7,
    }


def test_methods_differ_by_name_even_where_all_else_has_its_default() -> None:
    found = [identifying(check_config({**SMALL, "method": name}, "")) for name in ("lora", "full", "ia3")]
    assert [content.get("method") for content in found] == [None, {"name": "full"}, {"name": "ia3"}]
    vera = [{"name": "of-tomorrow", "r": 64}, {"name": "peft", "type": "of-tomorrow", "options": {"r": 64}}]
    first, second = (identifying(check_config({**SMALL, "method": method}, "")) for method in vera)
    assert first == second
    assert first["method"] == {"name": "peft", "type": "of-tomorrow", "options": {"r": 64}}


@pytest.mark.parametrize("content", [SMALL, {key: SMALL[key] for key in ("model", "task")}], ids=["set", "defaults"])
def test_an_identity_of_either_version_stands_for_its_configuration(content: dict[str, Any]) -> None:
    config = check_config(content, "of a test")
    for identity in ({"config": identified(config)}, {"version": 2, "config": identifying(config)}):
        assert identifying(recorded(identity)) == identifying(config)
        assert identified(recorded(identity)) == identified(config)


# Where a key may be added: the run itself, each section, sections within sections, and each method.
def _sections(section: type[Section] = RunConfig, *above: str) -> Iterator[tuple[str, ...]]:
    yield above
    for name, field in section.model_fields.items():
        inner = section_in(field)
        if inner is not None:
            yield from _sections(inner, *above, name)


PLACES = [*_sections(), *(("method", name) for name in METHODS)]


def with_new_key(section: type[Section], keys: tuple[str, ...]) -> type[Section]:
    """The section with one more option, at the place that the keys lead to."""
    if not keys:
        return create_model(section.__name__, __base__=section, a_new_key=(float, 0.5))
    name, *rest = keys
    field = section.model_fields[name]
    if name == "method":
        made = {key: with_new_key(method, ()) if [key] == rest else method for key, method in METHODS.items()}
        one, *others = made.values()
        union: Any = one
        for other in others:
            union = union | other
        kind: Any = (Annotated[union, Field(discriminator="name")], Field(default_factory=made["lora"]))
    else:
        inner = section_in(field)
        assert inner is not None
        changed = with_new_key(inner, tuple(rest))
        optional = field.annotation is not inner
        if field.is_required():
            kind = (changed, ...)
        else:
            kind = (changed | None, None) if optional else (changed, Field(default_factory=changed))
    return create_model(section.__name__, __base__=section, **{name: kind})


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[str, ...]], type[Section]]:
    def grow(keys: tuple[str, ...]) -> type[Section]:
        made = with_new_key(RunConfig, keys)
        monkeypatch.setattr(module, "RunConfig", made)
        return made

    return grow


def ids() -> list[str]:
    """Run ids of every cell of the paper, and of a run of its own."""
    config = check_config({**SMALL, "name": None}, "of a test")
    identity = {"version": 2, "config": identifying(config), "data": "d", "model": "m"}
    return [*(cell.run_id for cell in expand(load_study("paper"))), run_id(config, identity)]


@pytest.mark.parametrize("keys", PLACES, ids=".".join)
def test_a_new_key_with_a_default_renames_nothing(
    grown: Callable[[tuple[str, ...]], type[Section]], keys: tuple[str, ...]
) -> None:
    before = ids()
    made = grown(keys)
    assert ids() == before
    # The key is really there, and where it is set the run is another one.
    content: dict[str, Any] = {**SMALL, "method": {"name": keys[1] if keys[:1] == ("method",) else "lora"}}
    if content["method"] == {"name": "peft"}:
        content["method"]["type"] = "of-tomorrow"
    inner = content
    for key in [key for key in keys if key not in METHODS]:
        inner[key] = dict(inner.get(key) or {})
        inner = inner[key]
    plain = check_config(content, "of a test")
    inner["a_new_key"] = 0.7
    changed = check_config(content, "of a test")
    assert isinstance(changed, made)
    assert (identifying(plain) == identifying(changed)) == (keys == ("execution",))


def test_a_default_that_changes_is_a_new_version_that_knows_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 meant 5 epochs where none are written; a version 3 that means 3 reads its folders as what they are."""
    config = check_config({key: SMALL[key] for key in ("model", "task")}, "of a test")
    written = {"version": 2, "config": identifying(config)}
    assert "training" not in written["config"]
    training = RunConfig.model_fields["training"].annotation
    assert training is not None
    fewer = create_model("TrainingSection", __base__=training, epochs=(int, 3))
    made = create_model("RunConfig", __base__=RunConfig, training=(fewer, Field(default_factory=fewer)))
    monkeypatch.setattr(module, "RunConfig", made)
    monkeypatch.setattr(module, "FORMER_DEFAULTS", {2: {"training.epochs": 5}})
    found = recorded(written)
    assert found.training.epochs == 5
    assert identifying(found)["training"] == {"epochs": 5}
    # What was written by the new version, or said so itself, is left alone.
    assert recorded({**written, "version": 3}).training.epochs == 3
    assert recorded({"version": 2, "config": {**written["config"], "training": {"epochs": 3}}}).training.epochs == 3


def test_the_rules_version_is_part_of_every_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest({"a": 1})
    monkeypatch.setattr("contested.trajectories.identity.IDENTITY_VERSION", 3)
    assert digest({"a": 1}) != before


def test_defaults_are_those_of_this_version_of_the_rule() -> None:
    """Folders hold what was set alone: a default that changed without a new version would rename what they hold.

    A new key needs no line here; one that has a line keeps its default, or enters FORMER_DEFAULTS of version 2.
    """
    then = json.loads((Path(__file__).parent / "defaults_of_identity_2.json").read_text())
    assert len(then) > 40
    for keys, value in then.items():
        section, *inner = keys.split(".")
        content: dict[str, Any] = {
            "model": {"name": "m"},
            "task": {"annotated": {"path": "p"}, "bulk": {"path": "b"}, "noise": {"share": 0.1}},
        }
        if section == "method":
            # The method's name stands in the key, for methods share options with other defaults.
            content["method"] = {"name": inner.pop(0)}
            if content["method"]["name"] == "peft":
                content["method"]["type"] = "vera"
        now: Any = identified(check_config(content, "of a test"))
        for key in (section, *inner):
            now = now[key]
        former = module.FORMER_DEFAULTS.get(2, {})
        assert former.get(keys, now) == value, f"{keys}: a default that changes is a new version of the identity rule"
