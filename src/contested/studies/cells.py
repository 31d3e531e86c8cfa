"""From a study to its cells: the grid points of its groups, each a checked configuration under a stable run id."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contested.config import RunConfig, check_config, identifying
from contested.errors import ConfigError
from contested.overrides import merge
from contested.studies.axes import cell_names, study_axes
from contested.studies.backbone import local_facts
from contested.studies.file import EVERY, FIRST, AxisValue, Facts, Study
from contested.trajectories.identity import digest

if TYPE_CHECKING:
    import pandas as pd

_ABSENT = object()
_NAMED = ("backbone", "dataset", "method")


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        run_id: A readable name and a hash of the configuration; the same on every machine.
        coordinates: Axis to the name of its value.
        config: The run's configuration, named ``run_id``.
        groups: The selected groups that ask for it.
        condition: Whether it belongs to the main conditions, also of a group that is not selected.
        excluded: Why it is deliberately not run; empty otherwise.
        facts: What is known of its backbone and data set.
    """

    run_id: str
    coordinates: Mapping[str, str]
    config: RunConfig
    groups: tuple[str, ...]
    condition: bool
    excluded: str
    facts: Facts


def expand(study: Study) -> list[Cell]:
    """Every cell that the selected groups ask for, once, in the order of the file.

    Args:
        study: The study.

    Returns:
        The cells, excluded ones included.

    Raises:
        ConfigError: With the problems of all cells at once.
    """
    places: dict[tuple[str, ...], list[str]] = {}
    for name, group in study.groups.items():
        for coordinates in _grid(study, group.where):
            places.setdefault(tuple(coordinates.values()), []).append(name)
    if study.select is not None:
        places = {coordinates: names for coordinates, names in places.items() if not {*names}.isdisjoint(study.select)}
    cells: dict[str, Cell] = {}
    problems: list[str] = []
    for values, groups in places.items():
        try:
            cell = _cell(study, dict(zip(study.axes, values, strict=True)), tuple(groups))
        except ConfigError as error:
            coordinates = dict(zip(study.axes, values, strict=True))
            problems += [_origin(study, coordinates, text) for text in error.problems] or [error.message]
            continue
        cells[cell.run_id] = _joined(cells[cell.run_id], cell) if cell.run_id in cells else cell
    if problems:
        raise ConfigError(f"The study {study.name} has cells that cannot run:", list(dict.fromkeys(problems)))
    return list(cells.values())


def cell_table(study: Study, cells: Sequence[Cell], status: Mapping[str, str]) -> pd.DataFrame:
    """The cells as the rows that the analysis of a study reads.

    Args:
        study: The study.
        cells: Its cells.
        status: Run id to status; ``missing`` where a run has no folder.

    Returns:
        One row a cell: run_id, name, one column for each axis but the seed's, seed, main, group, status, excluded, and
        setting, which is the same for cells that differ in their seed alone.
    """
    import pandas as pd

    axes, names = study_axes(study), cell_names(study, cells)
    return pd.DataFrame(
        [
            {
                "run_id": cell.run_id,
                "name": names[cell.run_id],
                **{axis.name: axis.value(cell.coordinates[axis.name]) for axis in axes},
                "seed": cell.config.seed,
                "main": cell.condition,
                "group": ",".join(cell.groups),
                "status": status.get(cell.run_id, "missing"),
                "excluded": cell.excluded,
                "setting": _setting(cell.config),
            }
            for cell in cells
        ]
    )


def _setting(config: RunConfig) -> str:
    """A run's configuration without its seed, and without the probes, which do not touch training."""
    content = {key: value for key, value in identifying(config).items() if key not in {"seed", "probes"}}
    return json.dumps(content, sort_keys=True)


def _grid(study: Study, where: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
    """Every point of a group's grid: axis -> value, in the order of the axes."""
    lines = [_values(axis, where.get(axis, [FIRST]), study.axes[axis]) for axis in study.axes]
    for point in itertools.product(*lines):
        yield dict(zip(study.axes, point, strict=True))


def _values(axis: str, asked: list[str], known: Mapping[str, AxisValue]) -> list[str]:
    names: list[str] = []
    for value in asked:
        names += {EVERY: list(known), FIRST: [next(iter(known))]}.get(value, [value])
    return list(dict.fromkeys(names))


def _matches(study: Study, where: Mapping[str, list[str]], coordinates: Mapping[str, str]) -> bool:
    return all(coordinates[axis] in _values(axis, values, study.axes[axis]) for axis, values in where.items())


def _cell(study: Study, coordinates: dict[str, str], groups: tuple[str, ...]) -> Cell:
    content = merge({}, study.defaults)
    for axis, value in coordinates.items():
        content = merge(content, study.axes[axis][value].overrides)
    for entry in study.overrides:
        if _matches(study, entry.where, coordinates):
            content = merge(content, entry.set)
    label = ", ".join(f"{axis} {value}" for axis, value in coordinates.items())
    config = check_config(content, f"of the cell {label}")
    run_id = _run_id(study, coordinates, config)
    return Cell(
        run_id=run_id,
        coordinates=coordinates,
        config=config.model_copy(update={"name": run_id}),
        groups=tuple(name for name in groups if study.select is None or name in study.select),
        condition=any(study.groups[name].conditions for name in groups),
        excluded=next((entry.reason for entry in study.exclude if _matches(study, entry.where, coordinates)), ""),
        facts=_facts(study, coordinates, config.model.name),
    )


def _joined(first: Cell, second: Cell) -> Cell:
    """One run for two cells of the same configuration."""
    return Cell(
        first.run_id,
        first.coordinates,
        first.config,
        tuple(dict.fromkeys((*first.groups, *second.groups))),
        first.condition or second.condition,
        first.excluded and second.excluded,
        first.facts,
    )


def _run_id(study: Study, coordinates: Mapping[str, str], config: RunConfig) -> str:
    hashed = digest({"config": identifying(config)})
    # An axis of its own is named where it has left its first value: noise-30 is, "none" is not.
    others = [
        value if not _is_number(value) else f"{axis}-{value}"
        for axis, value in coordinates.items()
        if axis not in {*_NAMED, "seed"} and value != next(iter(study.axes[axis]))
    ]
    parts = [*(coordinates[axis] for axis in _NAMED), *others, f"s{config.seed}", hashed]
    return "-".join(part.replace("/", "-") for part in parts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _origin(study: Study, coordinates: Mapping[str, str], problem: str) -> str:
    """A problem of a cell's configuration under the key of the study file that it comes from."""
    key = problem.partition(":")[0].split(".")
    sources = [("defaults", study.defaults)]
    sources += [(f"axes.{axis}.{value}", study.axes[axis][value].overrides) for axis, value in coordinates.items()]
    sources += [(f"overrides[{index}].set", entry.set) for index, entry in enumerate(study.overrides)]
    for name, content in reversed(sources):
        found: Any = content
        for part in key:
            found = found.get(part, _ABSENT) if isinstance(found, Mapping) else _ABSENT
        if found is not _ABSENT:
            return f"{name}.{problem}"
    return problem


def _facts(study: Study, coordinates: Mapping[str, str], model: str) -> Facts:
    known: dict[str, Any] = local_facts(model).model_dump(exclude_defaults=True)
    for axis, value in coordinates.items():
        known |= study.axes[axis][value].facts.model_dump(exclude_defaults=True)
    return Facts(**known)
