"""What runs are called on a page: what they differ in, not their ids."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from contested.formats import learning_rate, shorten
from contested.naming import checkpoint_name
from contested.options import METHODS
from contested.trajectories import Trajectory

_LONGEST = 300
_RATE = re.compile(r"[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?")
_HASH = re.compile(r"-[0-9a-f]{8}$")  # that ends an id which nobody chose
_NOT_A_SETTING = ("name", "execution.")
_METHODS = {"full": "full fine-tuning", "ia3": "IA3"}


def run_names(trajectories: Sequence[Trajectory]) -> list[str]:
    """A name for each run, made of what distinguishes it from the others; one run alone is named by method and model.

    Args:
        trajectories: The runs.

    Returns:
        Names that differ, such as "LoRA r4, 1e−3": the run id where a run has no settings or two have the same; the
        name of its folder where ids differ by no more than a hash; a number behind where a name comes twice even so.
    """
    settings = [dict(flattened(trajectory.manifest, "config")) for trajectory in trajectories]
    methods = [_method(trajectory.manifest) for trajectory in trajectories]
    keys = [key for key in _keys(settings) if not key.startswith(_NOT_A_SETTING)]
    differing = [key for key in keys if len({setting.get(key) for setting in settings}) > 1]
    shown = differing if len(trajectories) > 1 else ["method.name", "model.name"]
    within = {key for key in differing if _differs_within_a_method(settings, key)}
    names = [_name(setting, shown, method, within) for setting, method in zip(settings, methods, strict=True)]
    if "" in names or len(set(names)) < len(names):
        names = _identified(trajectories)
    return _numbered(names)


def _identified(trajectories: Sequence[Trajectory]) -> list[str]:
    """Run ids, or the names of the folders where those tell runs apart and ids do so by a hash alone or not at all."""
    ids = [trajectory.run_id for trajectory in trajectories]
    folders = [trajectory.path.resolve().name for trajectory in trajectories if trajectory.path is not None]
    told_apart = len({_HASH.sub("", run_id) for run_id in ids}) == len(ids)
    return ids if told_apart or len(set(folders)) < len(ids) else folders


def _keys(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Every setting of any run: the method first, then the model, what trains it, the task, and the rest."""
    order = ("method.", "model.", "training.", "task.")
    every = dict.fromkeys(key for setting in settings for key in setting)
    ranks = {key: next((i for i, head in enumerate(order) if key.startswith(head)), len(order)) for key in every}
    return sorted(every, key=lambda key: ranks[key])


def _differs_within_a_method(settings: Sequence[Mapping[str, str]], key: str) -> bool:
    values: dict[tuple[str, str], set[str | None]] = {}
    for setting in settings:
        values.setdefault((setting.get("method.name", ""), setting.get("method.type", "")), set()).add(setting.get(key))
    return any(len(found) > 1 for found in values.values())


def _name(setting: Mapping[str, str], keys: Sequence[str], method: str, within: Set[str]) -> str:
    parts = [method] if any(key in {"method.name", "method.r", "method.type"} for key in keys) else []
    told = {"method.name", "method.r", "method.type"}
    # What a method has only because it is another method tells nothing more.
    by_method = "method.name" in keys
    parts += [
        _part(key, setting[key])
        for key in keys
        if key in setting and key not in told and not (by_method and key.startswith("method.") and key not in within)
    ]
    return ", ".join(part for part in parts if part)


def _method(manifest: Mapping[str, Any]) -> str:
    """What a run's method is called: by its own label where this page has no longer name for it."""
    given = (manifest.get("config") or {}).get("method") or {}
    name = str(given.get("name", ""))
    if name == "lora":
        return f"LoRA r{given.get('r', '')}"
    if name in _METHODS or name not in METHODS:
        return _METHODS.get(name, str(given.get("type", name)))
    try:
        return str(METHODS[name].model_validate(given).label)  # type: ignore[attr-defined]
    except ValidationError:
        return name


def _part(key: str, value: str) -> str:
    name = key.rpartition(".")[2].replace("_", " ")
    if name == "learning rate" and _RATE.fullmatch(value):
        return learning_rate(float(value))
    if key == "model.name":
        return shorten(checkpoint_name(value), 32)
    if key == "task.annotated.path":
        return shorten(PurePath(value).stem, 32)
    return f"{name} {shorten(value, 24)}"


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, told apart by a number where the same one comes twice."""
    found: list[str] = []
    for name in names:
        shown, number = name, 2
        while shown in found:
            shown, number = f"{name} ({number})", number + 1
        found.append(shown)
    return found


def flattened(manifest: Mapping[str, Any], part: str) -> list[tuple[str, str]]:
    """One part of a manifest with dotted names, so that every setting is one row.

    Args:
        manifest: The manifest.
        part: The key of the part, such as ``config`` or ``provenance``.

    Returns:
        Pairs of dotted name and text; empty where the part is missing.

    >>> flattened({"config": {"method": {"r": 4}, "seed": 42}}, "config")
    [('method.r', '4'), ('seed', '42')]
    """
    return list(_leaves(manifest.get(part), ""))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    elif value is not None:
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        yield name, shorten(written, _LONGEST)
