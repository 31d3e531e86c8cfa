"""The shape of a study file: keys and values, lists and texts where they are expected, before anything reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_args

from pydantic.fields import FieldInfo

from contested.config import RunConfig
from contested.errors import ConfigError
from contested.options import Section, section_in
from contested.overrides import nested
from contested.studies.axis_forms import is_keyed
from contested.wording import counted, shown

_MAPPINGS = ("data", "defaults", "facts", "axes", "groups")
_LISTS = ("overrides", "exclude", "expected")
_MOST = {"axes": 100, "groups": 1_000, "overrides": 1_000, "exclude": 1_000, "expected": 10_000}
"""How many of each a study may have: every one is held against every cell."""


def shaped(content: Any, source: str) -> dict[str, Any]:
    """Refuse a study whose parts are of other kinds than can be laid over each other.

    Args:
        content: What the file holds; names and values within its parts are left to the check of the whole.
        source: Where it comes from, for messages.

    Returns:
        The content, without parts that are named and empty.

    Raises:
        ConfigError: With every such part at once.
    """
    if not isinstance(content, dict):
        raise ConfigError(f"{source} must hold keys and values (name:, axes:, groups:, …), but holds {shown(content)}.")
    problems = list(_problems(content))
    if problems:
        raise ConfigError(f"The study {source} has {counted(len(problems), 'problem')}:", problems)
    return {name: part for name, part in content.items() if part is not None or name not in (*_MAPPINGS, *_LISTS)}


def _problems(content: Mapping[str, Any]) -> Iterator[str]:
    for name in ("name", "extends", "report"):
        if not isinstance(content.get(name), str | int | float | None):
            yield f"{name}: expected a text, got {shown(content[name])}"
    for name in _MAPPINGS:
        yield from _unless(content.get(name), Mapping, name, "keys and values")
    for name in _LISTS:
        yield from _unless(content.get(name), list, name, "a list")
    for name, most in _MOST.items():
        if isinstance(content.get(name), list | Mapping) and len(content[name]) > most:
            yield f"{name}: a study has at most {most:,}, got {len(content[name]):,}"
    yield from _of_run(content.get("defaults"), "defaults")
    for axis, values in _items(content.get("axes")):
        yield from _of_axis(axis, values)
    for group, entry in _items(content.get("groups")):
        yield from _of_entry(entry, f"groups.{group}")
    for name in _LISTS:
        entries = content.get(name)
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            yield from _of_entry(entry, f"{name}[{number}]")


def _of_axis(axis: str, values: Any) -> Iterator[str]:
    key = values["key"] if is_keyed(values) else axis
    if not isinstance(key, str):
        yield f"axes.{axis}.key: expected a key of a run's configuration, got {shown(key)}"
        return
    listed = values["values"] if is_keyed(values) else values
    if isinstance(listed, list):
        for value in listed:
            yield from _of_run(nested(key.split("."), value), f"axes.{axis}" if is_keyed(values) else "axes")
        return
    for name, value in _items(values):
        yield from _of_run(value, f"axes.{axis}.{name}")
        facts = value.get("facts") if isinstance(value, Mapping) else None
        yield from _unless(facts, Mapping, f"axes.{axis}.{name}.facts", "keys and values")


def _of_entry(entry: Any, key: str) -> Iterator[str]:
    """A group, or an entry of a list: ``where`` and ``set`` are keys and values."""
    if not isinstance(entry, Mapping):
        yield f"{key}: expected keys and values (where, …), got {shown(entry)}"
        return
    for part in {"where", "set"} & entry.keys():
        if not isinstance(entry[part], Mapping):
            yield f"{key}.{part}: expected keys and values, got {shown(entry[part])}"
    yield from _of_run(entry.get("set"), f"{key}.set")


def _of_run(content: Any, key: str, root: type[Section] = RunConfig) -> Iterator[str]:
    """The sections of a run's configuration, as far as they are there, hold keys and values."""
    for name, value in _items(content):
        field = root.model_fields.get(name)
        inner = None if field is None else section_in(field)
        if field is None or inner is None or (value is None and _is_optional(field)):
            continue
        if isinstance(value, Mapping):
            yield from _of_run(value, f"{key}.{name}", inner)
        else:
            expected = ", ".join(inner.model_fields)
            yield f"{key}.{name}: expected keys and values ({expected}), got {shown(value)}"


def _unless(value: Any, kind: type, key: str, expected: str) -> Iterator[str]:
    if value is not None and not isinstance(value, kind):
        yield f"{key}: expected {expected}, got {shown(value)}"


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    yield from value.items() if isinstance(value, Mapping) else ()


def _is_optional(field: FieldInfo) -> bool:
    return NoneType in get_args(field.annotation)
