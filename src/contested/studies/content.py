"""The content of a study file before it is checked: read, laid over what it extends, and changed by ``--set``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from contested.checking import numbers
from contested.config import path_of, resolve_paths
from contested.errors import ConfigError
from contested.files import user_path
from contested.overrides import Override, assign, merge, parse
from contested.studies.axis_forms import axis_values, is_keyed, value_lists
from contested.studies.presets import PRESETS, preset_text
from contested.studies.shapes import shaped
from contested.wording import hint
from contested.yaml_files import parse_yaml, read_yaml

STUDY_FILE = "study.yaml"

EVERY = "*"
FIRST = "first"
_VARIABLE = re.compile(r"\{([a-z_]+(?:\.[a-z_0-9]+)+)\}")


def read_content(source: str | os.PathLike[str], seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The content of a study file laid over what it extends; its relative paths are taken from its own folder.

    Args:
        source: A YAML file, a folder with a study's file, or the name of a preset.
        seen: The files that extend it.

    Returns:
        The keys and values.

    Raises:
        ConfigError: If it cannot be read, or extends itself.
    """
    content, name, folder = _content(source)
    if name in seen:
        raise ConfigError(f"The study {name} extends itself ({' -> '.join((*seen, name))}).")
    content = shaped(numbers(content), name)
    anchor(content, folder)
    base = content.pop("extends", None)
    if base is None:
        if Path(name).suffix:
            content.setdefault("name", _name_of(name))
        return content
    inner = folder / user_path(str(base))
    below = read_content(inner if inner.is_file() else str(base), (*seen, name))
    for axis, values in (content.get("axes") or {}).items():
        # A list or a keyed axis replaces the one below; named values join those below.
        if isinstance(values, list) or (is_keyed(values) and isinstance(values["values"], list)):
            replace_axis(below, axis, values)
            del below["axes"][axis]
    # What the study below says of itself is not true of this one.
    below.pop("description", None)
    if "report" in content and content["report"] != below.get("report"):
        below.pop("expected", None)
    if Path(name).suffix:
        below["name"] = _name_of(name)
    return merge(below, content)


def _name_of(file: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(file).stem).strip("-._") or "study"


def _content(source: str | os.PathLike[str]) -> tuple[Any, str, Path]:
    """What a study file or preset holds, its name, and where its relative paths begin."""
    if str(source) in PRESETS:
        return parse_yaml(preset_text(str(source)), f"The preset {source} is not valid YAML"), str(source), Path.cwd()
    file = user_path(source)
    if (file / STUDY_FILE).is_file():
        file = file / STUDY_FILE
    if not file.is_file():
        near = hint(str(source), PRESETS)
        raise ConfigError(f"{source} is neither a study file nor a preset{near if near.endswith('?') else f'{near}.'}")
    return read_yaml(file, "the study file"), str(file), file.resolve().parent


def anchor(content: dict[str, Any], folder: Path) -> None:
    """Make relative paths of a study's content absolute; ``data.dir`` and all that is built on it included.

    Args:
        content: The keys and values; changed in place.
        folder: Where relative paths begin.
    """
    data = content.get("data")
    if isinstance(data, dict):
        data.update({name: str(user_path(value)) for name, value in data.items() if str(value).startswith("~")})
        if isinstance(data.get("dir"), str):
            data["dir"] = str((folder / data["dir"]).resolve())
    further = [entry.get("set") for entry in content.get("overrides") or [] if isinstance(entry, dict)]
    for part in (content.get("defaults"), *further):
        if isinstance(part, dict):
            resolve_paths(part, folder)
    axes = content.get("axes")
    if isinstance(axes, dict):
        content["axes"] = {name: _anchored_axis(str(name), values, folder) for name, values in axes.items()}


def _anchored_axis(name: str, values: Any, folder: Path) -> Any:
    if isinstance(values, list):
        return [path_of(name.split("."), value, folder) for value in values]
    if is_keyed(values) and isinstance(values["values"], list):
        key = str(values["key"]).split(".")
        return {**values, "values": [path_of(key, value, folder) for value in values["values"]]}
    for part in values.values() if isinstance(values, dict) else ():
        if isinstance(part, dict):
            resolve_paths(part, folder)
    return values


def set_key(content: dict[str, Any], text: str) -> None:
    """Apply one ``--set key=value``.

    Args:
        content: A study's keys and values; changed in place.
        text: The key and value. ``backbone=PATH`` replaces every value of an axis of that name by one checkpoint,
            ``backbone.NAME=PATH`` replaces one; ``axes.KEY=[…]`` gives an axis other values.

    Raises:
        ConfigError: If it is no ``key=value``, or does not fit.
    """
    given = parse(text, what="--set", example="data.dir=FOLDER")
    first, *rest = given.keys
    axis = _axis_of(content, given.keys, given.value)
    if first == "backbone":
        _set_backbone(content, ".".join(rest), str(given.value))
    elif axis:
        values = numbers(given.value if isinstance(given.value, list) else [given.value])
        values = [path_of(axis.split("."), value, Path.cwd()) for value in values]
        replace_axis(content, axis, values)
    else:
        assign(content, given._replace(value=_with_paths(given)), what="--set")


def _with_paths(given: Override) -> Any:
    """The value, its paths absolute: of the study's data, or of a run's configuration within the study."""
    first, *rest = given.keys
    if given.keys == ("data", "dir") or (first == "data" and str(given.value).startswith("~")):
        return str(user_path(str(given.value)).resolve())
    run_keys = {"defaults": rest, "axes": rest[2:]}.get(first, [])
    return path_of(run_keys, given.value, Path.cwd()) if run_keys else given.value


def _axis_of(content: Mapping[str, Any], keys: tuple[str, ...], value: Any) -> str:
    """The axis that a ``--set`` gives values to; empty where it sets something else."""
    if keys in {("seed",), ("seeds",), ("axes", "seed")}:
        return "seed"
    known = content.get("axes") or {}
    if keys[0] != "axes" or len(keys) < 2 or not isinstance(value, list):
        return ""
    # Below an axis of named values lie their settings, and a list may be one of these.
    inside = len(keys) > 2 and isinstance(known.get(keys[1]), dict) and not is_keyed(known[keys[1]])
    return "" if inside else ".".join(keys[1:])


def _set_backbone(content: dict[str, Any], name: str, path: str) -> None:
    """Replace one backbone by a checkpoint, or all: the axis then has that value alone."""
    model = {"model": {"name": path}}
    resolve_paths(model, Path.cwd())
    axes = content.get("axes") or {}
    if "backbone" not in axes:
        raise ConfigError(f"--set backbone: the study has no axis backbone; it has {', '.join(axes) or 'none'}.")
    axis = axes["backbone"]
    if name and not isinstance(axis, dict):
        raise ConfigError(
            f"--set backbone.{name}: the study's axis backbone is a list without names; give it other values with "
            f"--set 'axes.backbone=[{path}]'."
        )
    if name:
        if name not in axis:
            raise ConfigError(f"--set backbone.{name}: the study has no such backbone{hint(name, axis)}.")
        axis[name] = model
        return
    label = re.sub(r"[^A-Za-z0-9.]+", "-", Path(path).name).strip("-").lower() or "backbone"
    # Grids over several backbones become grids over this one; settings for one of them no longer apply.
    for entry in (content.get("groups") or {}).values():
        if "backbone" in entry.get("where", {}):
            entry["where"]["backbone"] = [label]
    for entry in content.get("overrides") or []:
        entry.get("where", {}).pop("backbone", None)
    content["exclude"] = [entry for entry in content.get("exclude") or [] if "backbone" not in entry.get("where", {})]
    content["expected"] = []
    content["axes"]["backbone"] = {label: model}


def replace_axis(content: dict[str, Any], axis: str, values: Any) -> None:
    """Give an axis other values; grids, overrides and exclusions keep of theirs what is left. Changes ``content``.

    Args:
        content: A study file's keys.
        axis: The axis.
        values: As a study file writes them; not empty.
    """
    content.setdefault("axes", {})[axis] = values
    kept = {*axis_values(axis, values), EVERY, FIRST}
    for name, group in list((content.get("groups") or {}).items()):
        if not _keep_values(group.get("where", {}), axis, kept):
            del content["groups"][name]
    for part in ("overrides", "exclude"):
        entries = content.get(part) or []
        content[part] = [entry for entry in entries if _keep_values(entry.get("where", {}), axis, kept)]


def _keep_values(where: dict[str, Any], axis: str, kept: Collection[str]) -> bool:
    """Cut a condition down to values that exist; False where nothing is left of it."""
    if axis not in where:
        return True
    where[axis] = [value for value in value_lists(where)[axis] if value in kept]
    return bool(where[axis])


def filled(value: Any, data: Mapping[str, Any], source: str) -> Any:
    """Replace ``{data.name}`` by the data section's values.

    Args:
        value: A text, or what holds texts.
        data: The data section.
        source: The study, for messages.

    Returns:
        The value, its variables filled.

    Raises:
        ConfigError: If a variable has no value.
    """
    if isinstance(value, dict):
        return {key: filled(part, data, source) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part, data, source) for part in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        first, *rest = match.group(1).split(".")
        found: Any = data if first == "data" else None
        for part in rest:
            found = found.get(part) if isinstance(found, Mapping) else None
        if not isinstance(found, str | int | float):
            raise ConfigError(
                f"The study {source} uses {match.group(0)}, but its data section has no such value. "
                f"Give it with --set {match.group(1)}=…"
            )
        return str(found)

    return _VARIABLE.sub(fill, value)
