"""The study file: defaults, axes, groups of cells, exclusions and known values; read from YAML or by preset name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, field_validator, model_validator

from contested.checking import check
from contested.config import RunConfig
from contested.errors import ConfigError
from contested.options import Section
from contested.studies.axis_forms import axis_problems, axis_values, value_lists
from contested.studies.content import EVERY, FIRST, STUDY_FILE, filled, read_content, set_key
from contested.studies.presets import REPORTS
from contested.studies.shapes import shaped
from contested.wording import counted, hint, shown

# Axis to the names of values, of which a file may give one without a list.
Where = Annotated[dict[str, list[str]], BeforeValidator(value_lists)]


class ModelInfo(Section):
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
    facts: ModelInfo = Field(default_factory=ModelInfo)
    """For plans."""


class Grid(Section):
    """A grid of cells."""

    where: Where
    """Axis to values; ``*`` is every value, ``first`` the first one, which an axis left out takes too."""
    conditions: bool = False
    """Whether its cells are the study's main conditions, apart from their seeds."""


class CellOverride(Section):
    """Further settings for the cells that match."""

    where: Where
    """Axis to values or ``first``; an axis left out matches every value."""
    set: dict[str, Any]
    """Nested keys of a run's configuration."""


class Exclusion(Section):
    """Cells that are deliberately not run."""

    where: Where
    """Axis to values or ``first``; an axis left out matches every value."""
    reason: str
    """Why, for plans and reports."""


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
    facts: ModelInfo = Field(default_factory=ModelInfo)
    """What is known of the backbone and data set in ``defaults``, for plans; those of an axis' value come first."""
    axes: dict[str, dict[str, AxisValue]] = Field(default_factory=dict)
    """What the cells differ in: a key of a run's configuration with a list of values, or settings by name."""
    groups: dict[str, Grid] = Field(default_factory=dict)
    """Grids of cells by name; a cell may be in several. Where none is given, one of every combination: ``all``."""
    select: list[str] | None = None
    """The groups that run; all where not given."""
    overrides: list[CellOverride] = Field(default_factory=list)
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
        return {str(name): axis_values(str(name), values) for name, values in axes.items()}

    @model_validator(mode="before")
    @classmethod
    def _every_combination(cls, content: Any) -> Any:
        if isinstance(content, dict) and not content.get("groups"):
            return content | {"groups": {"all": {"where": dict.fromkeys(content.get("axes") or {}, EVERY)}}}
        return content

    @model_validator(mode="after")
    def _names_exist(self) -> Study:
        problems = [
            f"axes.{name}: has no value; give at least one, or leave the axis out"
            for name, values in self.axes.items()
            if not values
        ]
        wheres = [(f"groups.{name}.where", group.where) for name, group in self.groups.items()]
        wheres += [(f"overrides[{index}].where", entry.where) for index, entry in enumerate(self.overrides)]
        wheres += [(f"exclude[{index}].where", entry.where) for index, entry in enumerate(self.exclude)]
        for key, where in wheres:
            problems += _unknown_values(key, where, self.axes)
        problems += [
            f"select: there is no group {shown(name)}{hint(name, self.groups)}"
            for name in self.select or ()
            if name not in self.groups
        ]
        if self.report not in (None, *REPORTS):
            problems.append(f"report: there is no report {shown(self.report)}{hint(str(self.report), REPORTS)}")
        if self.expected and self.report is None:
            problems.append("expected: known values are shown by a report such as paper; add report: paper")
        if problems:
            raise ValueError("\n".join(problems))
        return self


def load_study(
    source: str | os.PathLike[str],
    sets: Sequence[str] = (),
    *,
    reshape: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Study:
    """Read a study file or a preset.

    Args:
        source: A YAML file, or the name of a preset (see :data:`PRESETS`).
        sets: ``key=value`` with dotted keys, values as YAML. ``backbone=PATH`` replaces every backbone by one
            checkpoint, ``backbone.roberta=PATH`` replaces one; ``seeds=[42]`` is short for ``axes.seed``.
        reshape: Changes the content before it is checked, such as :func:`contested.studies.mini.shrink`.

    Returns:
        The checked study, its paths absolute where they are paths of files.

    Raises:
        ConfigError: With every problem at once.
    """
    return _checked(_content(source, sets, reshape), str(source))


def _content(
    source: str | os.PathLike[str],
    sets: Sequence[str] = (),
    reshape: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    content = read_content(source)
    if reshape is not None:
        content = reshape(content)
    for text in sets:
        set_key(content, text)
        content = shaped(content, f"{source} with --set {shown(text)}")
    return content


def open_study(folder: Path) -> Study:
    """Read the study that a folder was run from.

    Args:
        folder: A study's folder, which holds ``study.yaml``.

    Returns:
        The study.

    Raises:
        ConfigError: If there is none.
    """
    content = _content(folder / STUDY_FILE)
    # Earlier versions reported every study as the paper does, and did not write it down.
    content.setdefault("report", "paper")
    return _checked(content, str(folder / STUDY_FILE))


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
    content["report"] = study.report
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _short_form(value: AxisValue) -> dict[str, Any]:
    facts = value.facts.model_dump(exclude_defaults=True)
    return {**value.overrides, **({"facts": facts} if facts else {})}


def _checked(content: dict[str, Any], source: str) -> Study:
    whole = filled(content, dict(content.get("data") or {}), source)
    axes = whole.get("axes")
    wrong = {
        str(name): found
        for name, values in (axes.items() if isinstance(axes, dict) else ())
        if (found := axis_problems(str(name), values, RunConfig))
    }
    if not wrong:
        return check(Study, whole, f"The study {source}")
    problems = [text for found in wrong.values() for text in found]
    try:
        check(Study, whole | {"axes": {name: part for name, part in axes.items() if str(name) not in wrong}}, source)
    except ConfigError as error:
        # That an axis left out for this is not there, is no problem of its own.
        problems += [text for text in error.problems if not any(f"no axis {name!r}" in text for name in wrong)]
    raise ConfigError(f"The study {source} has {counted(len(problems), 'problem')}:", problems)


def _unknown_values(key: str, where: Mapping[str, list[str]], axes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    problems = []
    for axis, values in where.items():
        if axis not in axes:
            problems.append(f"{key}: there is no axis {shown(axis)}{hint(axis, axes)}")
            continue
        problems += [
            f"{key}.{axis}: there is no value {shown(value)}{hint(value, axes[axis])}"
            for value in values
            if value not in {EVERY, FIRST} and value not in axes[axis]
        ]
    return problems
