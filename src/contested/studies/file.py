"""The study file: defaults, axes, groups of cells, exclusions and known values; read from YAML or by preset name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, field_validator, model_validator

from contested.checking import check, yaml_problem
from contested.config import RunConfig, resolve_paths
from contested.errors import ConfigError
from contested.files import user_path
from contested.naming import short
from contested.options import Section
from contested.overrides import assign, merge, parse, path_of
from contested.studies.presets import PRESETS, preset_text
from contested.wording import hint

STUDY_FILE = "study.yaml"

EVERY = "*"
FIRST = "first"
_VARIABLE = re.compile(r"\{([a-z_]+(?:\.[a-z_0-9]+)+)\}")


class Facts(Section):
    """What is known of a backbone or data set before anything is loaded: for plans, and for rows without a run."""

    params: float | None = None
    """All weights of the backbone."""
    body: float | None = None
    """Weights of its layers, through which every token passes."""
    layers: int | None = None
    """Number of layers."""
    hidden: int | None = None
    """Width of a layer."""
    decoder: bool = False
    """Whether the backbone reads from left to right."""
    tokens: float | None = None
    """Mean length of the data set's inputs in tokens."""
    annotated: int | None = None
    """Examples in its annotated set."""


class AxisValue(Section):
    """One value of an axis: overrides of the run's configuration, and facts."""

    overrides: dict[str, Any]
    """Nested keys of a run's configuration."""
    facts: Facts = Field(default_factory=Facts)
    """For plans."""


class Group(Section):
    """A grid of cells."""

    where: dict[str, list[str]]
    """Axis to values; ``*`` is every value, ``first`` the first one, which an axis left out takes too."""
    conditions: bool = False
    """Whether its cells (backbone × method × data set) are the study's main conditions, which are tested together."""

    @field_validator("where", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return _listed(value)


class Override(Section):
    """Further settings for the cells that match."""

    where: dict[str, list[str]]
    """Axis to values or ``first``; an axis left out matches every value."""
    set: dict[str, Any]
    """Nested keys of a run's configuration."""

    @field_validator("where", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return _listed(value)


class Exclusion(Section):
    """Cells that are deliberately not run."""

    where: dict[str, list[str]]
    """Axis to values or ``first``; an axis left out matches every value."""
    reason: str
    """Why, for plans and reports."""

    @field_validator("where", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return _listed(value)


class Expected(Section):
    """A known value, shown beside the study's own."""

    artefact: str
    """The frame of the results, such as table1."""
    where: dict[str, str | float | bool] = Field(default_factory=dict)
    """Column to value: the row."""
    quantity: str
    """The column."""
    value: float
    """The known value."""
    sd: float | None = None
    """Its standard deviation over seeds."""
    note: str = ""
    """Where it comes from."""


class Study(Section):
    """A study: what its cells share, how they differ, and which of them run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """A short name."""
    description: str = ""
    """One sentence."""
    data: dict[str, Any] = Field(default_factory=dict)
    """Variables: ``{data.dir}`` in any text of the file stands for ``data: {dir: …}``."""
    defaults: dict[str, Any] = Field(default_factory=dict)
    """A run's configuration, as far as the cells share it."""
    axes: dict[str, dict[str, AxisValue]]
    """Axis to its values by name; backbone, method, dataset and seed are needed."""
    groups: dict[str, Group]
    """Grids of cells by name; a cell may stand in several."""
    select: list[str] | None = None
    """The groups that run; all where not given."""
    overrides: list[Override] = Field(default_factory=list)
    """Further settings for the cells that match, in this order."""
    exclude: list[Exclusion] = Field(default_factory=list)
    """Cells that are deliberately not run."""
    expected: list[Expected] = Field(default_factory=list)
    """Known values to set beside the study's own."""
    report: str | None = None
    """Whose tables, figures and claims are wanted besides what every study shows: ``paper``, or none."""
    analyses: list[str] | None = None
    """The sections that its report shows beside the claims; all where not given."""

    @field_validator("select", "analyses", mode="before")
    @classmethod
    def _one_or_many(cls, names: Any) -> Any:
        return [names] if isinstance(names, str) else names

    @field_validator("axes", mode="before")
    @classmethod
    def _axis_values(cls, axes: Any) -> Any:
        if not isinstance(axes, dict):
            return axes
        return {name: _axis(str(name), values) for name, values in axes.items()}

    @model_validator(mode="after")
    def _names_exist(self) -> Study:
        problems = [f"axes: {name} is missing" for name in REQUIRED_AXES if name not in self.axes]
        problems += [f"axes.{name}: has no value" for name, values in self.axes.items() if not values]
        wheres = [(f"groups.{name}.where", group.where) for name, group in self.groups.items()]
        wheres += [(f"overrides[{index}].where", entry.where) for index, entry in enumerate(self.overrides)]
        wheres += [(f"exclude[{index}].where", entry.where) for index, entry in enumerate(self.exclude)]
        for place, where in wheres:
            problems += _unknown_places(place, where, self.axes)
        problems += [
            f"select: there is no group {name!r}{hint(name, list(self.groups))}"
            for name in self.select or ()
            if name not in self.groups
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


REQUIRED_AXES = ("backbone", "method", "dataset", "seed")


def load_study(
    source: str | os.PathLike[str],
    sets: Sequence[str] = (),
    *,
    reshape: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Study:
    """Read a study file or a preset.

    Args:
        source: A YAML file, or the name of a preset (see :data:`PRESETS`).
        sets: ``key=value`` with dotted keys, values as YAML. ``backbone=PATH`` puts one checkpoint in the place of
            every backbone, ``backbone.roberta=PATH`` in the place of one; ``seeds=[42]`` is short for ``axes.seed``.
        reshape: Changes the content before it is checked, such as :func:`contested.studies.mini.shrink`.

    Returns:
        The checked study, its paths absolute where they are paths of files.

    Raises:
        ConfigError: With every problem at once.
    """
    content = _read(source, seen=())
    if reshape is not None:
        content = reshape(content)
    for text in sets:
        _set(content, text)
    return _checked(content, str(source))


def open_study(folder: Path) -> Study:
    """Read the study that a folder was run from.

    Args:
        folder: A study's folder, which holds ``study.yaml``.

    Returns:
        The study.

    Raises:
        ConfigError: If there is none.
    """
    return load_study(folder / STUDY_FILE)


def dump_study(study: Study) -> str:
    """The study as YAML that :func:`load_study` reads back.

    Args:
        study: The study.

    Returns:
        The text.
    """
    content = study.model_dump(mode="json", exclude_defaults=True)
    content["axes"] = {
        axis: {name: _short_form(value) for name, value in values.items()} for axis, values in study.axes.items()
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _short_form(value: AxisValue) -> dict[str, Any]:
    facts = value.facts.model_dump(exclude_defaults=True)
    return {**value.overrides, **({"facts": facts} if facts else {})}


def _read(source: str | os.PathLike[str], seen: tuple[str, ...]) -> dict[str, Any]:
    """The content of a study file laid over what it extends; its relative paths are taken from its own folder."""
    text, name, folder = _text(source)
    if name in seen:
        raise ConfigError(f"The study {name} extends itself ({' -> '.join((*seen, name))}).")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not valid YAML: {yaml_problem(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{name} must hold keys and values (name:, axes:, groups:, …).")
    _anchor(content, folder)
    base = content.pop("extends", None)
    if base is None:
        return content
    inner = Path(folder, str(base))
    below = _read(inner if inner.is_file() else str(base), (*seen, name))
    for axis, values in (content.get("axes") or {}).items():
        # A list or a keyed axis replaces the one below; named values join those below.
        if isinstance(values, list) or (isinstance(values, dict) and "key" in values):
            replace_axis(below, axis, _axis(axis, values))
            del below["axes"][axis]
    # What the study below says of itself is not true of this one.
    below.pop("description", None)
    if Path(name).suffix:
        below["name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem).strip("-._") or "study"
    return merge(below, content)


def _text(source: str | os.PathLike[str]) -> tuple[str, str, Path]:
    if str(source) in PRESETS:
        return preset_text(str(source)), str(source), Path.cwd()
    file = user_path(source)
    if (file / STUDY_FILE).is_file():
        file = file / STUDY_FILE
    if not file.is_file():
        near = hint(str(source), PRESETS)
        raise ConfigError(f"There is no study file {source}, nor a preset of this name{near}.")
    try:
        return file.read_text(encoding="utf-8"), str(file), file.resolve().parent
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the study file {file}: {error}") from error


def _anchor(content: dict[str, Any], folder: Path) -> None:
    """Make relative paths of a study file absolute; ``data.dir`` and all that is built on it included."""
    data = content.get("data")
    if isinstance(data, dict) and isinstance(data.get("dir"), str):
        data["dir"] = str((folder / user_path(data["dir"])).resolve())
    further = [entry.get("set") for entry in content.get("overrides") or [] if isinstance(entry, dict)]
    parts = [content.get("defaults"), *further]
    for values in (content.get("axes") or {}).values():
        parts += [*values.values()] if isinstance(values, dict) else []
    for part in parts:
        if isinstance(part, dict):
            resolve_paths(part, folder)


def _set(content: dict[str, Any], text: str) -> None:
    given = parse(text, what="--set", example="data.dir=FOLDER")
    first, *rest = given.keys
    if first == "backbone":
        _set_backbone(content, ".".join(rest), str(given.value))
    elif given.keys in {("seed",), ("seeds",), ("axes", "seed")}:
        seeds = given.value if isinstance(given.value, list) else [given.value]
        replace_axis(content, "seed", {str(seed): {"seed": seed} for seed in seeds})
    else:
        value = str(user_path(str(given.value)).resolve()) if given.keys == ("data", "dir") else given.value
        if first == "defaults" and rest:
            value = path_of(rest, value, Path.cwd(), RunConfig)
        assign(content, given._replace(value=value), what="--set")


def _set_backbone(content: dict[str, Any], name: str, path: str) -> None:
    """One checkpoint in the place of one backbone, or of all: the axis then has that value alone."""
    model = {"model": {"name": path}}
    resolve_paths(model, Path.cwd())
    axis = content.setdefault("axes", {}).setdefault("backbone", {})
    if name:
        if name not in axis:
            raise ConfigError(f"--set backbone.{name}: the study has no such backbone{hint(name, list(axis))}.")
        axis[name] = model
        return
    label = re.sub(r"[^A-Za-z0-9.]+", "-", Path(path).name).strip("-").lower() or "backbone"
    # Grids over several backbones become grids over this one; what was said of one of them is said of none now.
    for entry in (content.get("groups") or {}).values():
        if "backbone" in entry.get("where", {}):
            entry["where"]["backbone"] = [label]
    for entry in content.get("overrides") or []:
        entry.get("where", {}).pop("backbone", None)
    content["exclude"] = [entry for entry in content.get("exclude") or [] if "backbone" not in entry.get("where", {})]
    content["expected"] = []
    content["axes"]["backbone"] = {label: model}


def replace_axis(content: dict[str, Any], axis: str, values: Mapping[str, Any]) -> None:
    """Give an axis other values; grids, overrides and exclusions keep of theirs what is left. Changes ``content``.

    Args:
        content: A study file's keys.
        axis: The axis.
        values: Name to overrides; not empty.
    """
    content.setdefault("axes", {})[axis] = dict(values)
    kept = {*values, EVERY, FIRST}
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
    where[axis] = [value for value in _listed(where)[axis] if value in kept]
    return bool(where[axis])


def _checked(content: dict[str, Any], source: str) -> Study:
    filled = _filled(content, dict(content.get("data") or {}), source)
    _anchor(filled, Path.cwd())
    return check(Study, filled, f"The study {source}")


def _filled(value: Any, data: Mapping[str, Any], source: str) -> Any:
    """Put ``data``'s values in the place of ``{data.name}``."""
    if isinstance(value, dict):
        return {key: _filled(part, data, source) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, data, source) for part in value]
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


def _axis(name: str, values: Any) -> Any:
    """The long form of an axis: name of each value -> overrides and facts."""
    if isinstance(values, list):
        return {str(value): {"overrides": {name: value}} for value in values}
    if isinstance(values, dict) and set(values) == {"key", "values"}:
        return {short(value): {"overrides": _nested(str(values["key"]), value)} for value in values["values"]}
    if not isinstance(values, dict):
        return values
    return {
        str(key): {
            "overrides": {part: inner for part, inner in (value or {}).items() if part != "facts"},
            "facts": (value or {}).get("facts") or {},
        }
        if isinstance(value, dict | None)
        else value
        for key, value in values.items()
    }


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _listed(where: Any) -> Any:
    if not isinstance(where, dict):
        return where
    return {
        str(axis): [short(value) for value in (values if isinstance(values, list) else [values])]
        for axis, values in where.items()
    }


def _unknown_places(place: str, where: Mapping[str, list[str]], axes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    problems = []
    for axis, values in where.items():
        if axis not in axes:
            problems.append(f"{place}: there is no axis {axis!r}{hint(axis, list(axes))}")
            continue
        problems += [
            f"{place}.{axis}: there is no value {value!r}{hint(value, list(axes[axis]))}"
            for value in values
            if value not in {EVERY, FIRST} and value not in axes[axis]
        ]
    return problems
