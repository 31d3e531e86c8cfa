"""From a study to its cells: the grid points of its groups, each a checked configuration under a stable run id."""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from contested.beside import collector_paused
from contested.config import Configurations, RunConfig
from contested.errors import ConfigError
from contested.naming import Part, label
from contested.overrides import merge
from contested.studies.axes import study_axes
from contested.studies.backbone import read_checkpoint_info
from contested.studies.content import EVERY, FIRST
from contested.studies.file import AxisValue, ModelInfo, Study
from contested.studies.inputs import annotated_lines
from contested.trajectories.identity import digest

if TYPE_CHECKING:
    import pandas as pd

MAX_CELLS = 10_000
"""The most cells of a study's groups together."""

_ABSENT = object()


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
        run_id: A readable name and a hash of the configuration; the same on every machine.
        coordinates: Axis to the name of its value.
        label: What distinguishes it from the cells of other settings, such as "lora-r4, epochs 3".
        config: The run's configuration, named ``run_id``.
        groups: The selected groups that contain it.
        condition: Whether it belongs to the main conditions, also of a group that is not selected.
        excluded: Why it is deliberately not run; empty otherwise.
        facts: What is known of its backbone and data set.
        identity: What identifies it: :func:`contested.config.identifying` of its configuration.
        key: The digest of its identity, by which its folder is known whatever it is called.
    """

    run_id: str
    coordinates: Mapping[str, str]
    label: str
    config: RunConfig
    groups: tuple[str, ...]
    condition: bool
    excluded: str
    facts: ModelInfo
    identity: Mapping[str, Any]
    key: str

    @functools.cached_property
    def setting(self) -> str:
        """What the run shares with the runs that differ from it in their seed alone; probes do not touch training."""
        shared = {key: value for key, value in self.identity.items() if key not in {"seed", "probes"}}
        return json.dumps(shared, sort_keys=True)


@collector_paused()
def expand(study: Study) -> list[Cell]:
    """Every cell of the selected groups, once, in the order of the file.

    Args:
        study: The study.

    Returns:
        The cells, excluded ones included.

    Raises:
        ConfigError: With the problems of all cells at once.
    """
    _check_size(study)
    make = _Maker(study)
    points: dict[tuple[str, ...], list[str]] = {}
    for name, group in study.groups.items():
        for coordinates in _grid(study, group.where):
            points.setdefault(tuple(coordinates.values()), []).append(name)
    if study.select is not None:
        points = {coordinates: names for coordinates, names in points.items() if not {*names}.isdisjoint(study.select)}
    cells: dict[str, Cell] = {}
    problems: list[str] = []
    for values, groups in points.items():
        try:
            cell = make.cell(values, tuple(groups))
        except ConfigError as error:
            coordinates = dict(zip(study.axes, values, strict=True))
            problems += [_origin(study, coordinates, text) for text in error.problems] or [error.message]
            continue
        cells[cell.run_id] = _joined(cells[cell.run_id], cell) if cell.run_id in cells else cell
    if problems:
        raise ConfigError(f"The study {study.name} has cells that cannot run:", list(dict.fromkeys(problems)))
    return list(cells.values())


def cell_names(study: Study, cells: Sequence[Cell]) -> dict[str, str]:
    """What distinguishes each run from the others: its values on the axes that vary, and its seed where seeds do.

    Args:
        study: The study.
        cells: Its cells.

    Returns:
        Run id to name, such as "lora-r4, epochs 3, seed 42".
    """
    varying = [axis for axis in study_axes(study) if len({cell.coordinates[axis.name] for cell in cells}) > 1]
    several = len({cell.config.seed for cell in cells}) > 1
    names = {}
    for cell in cells:
        parts = [Part(axis.name, axis.values[cell.coordinates[axis.name]], axis.plain, axis.key) for axis in varying]
        seed = [Part("seed", cell.config.seed)] if several or not parts else []
        names[cell.run_id] = label([*parts, *seed])
    return names


def cell_table(study: Study, cells: Sequence[Cell], status: Mapping[str, str]) -> pd.DataFrame:
    """The cells as the rows that the analysis of a study reads.

    Args:
        study: The study.
        cells: Its cells.
        status: Run id to status; ``missing`` where a run has no folder.

    Returns:
        One row per cell: run_id, name, one column for each axis but the seed's, seed, main, group, status, excluded,
        and setting, which is the same for cells that differ only in their seed.
    """
    import pandas as pd

    axes, names = study_axes(study), cell_names(study, cells)
    return pd.DataFrame(
        [
            {
                "run_id": cell.run_id,
                "name": names[cell.run_id],
                **{axis.name: axis.values[cell.coordinates[axis.name]] for axis in axes},
                "seed": cell.config.seed,
                "main": cell.condition,
                "group": ",".join(cell.groups),
                "status": status.get(cell.run_id, "missing"),
                "excluded": cell.excluded,
                "setting": cell.setting,
            }
            for cell in cells
        ]
    )


def _grid(study: Study, where: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
    """Every point of a group's grid: axis -> value, in the order of the axes."""
    for point in itertools.product(*_lines(study, where)):
        yield dict(zip(study.axes, point, strict=True))


def _lines(study: Study, where: Mapping[str, list[str]]) -> list[list[str]]:
    """The values of each axis that a group takes."""
    return [_values(axis, where.get(axis, [FIRST]), study.axes[axis]) for axis in study.axes]


def _check_size(study: Study) -> None:
    """Refuse grids that nobody means: a few axes with a hundred values each have more points than can be counted."""
    sizes = {name: [len(line) for line in _lines(study, group.where)] for name, group in study.groups.items()}
    if sum(map(math.prod, sizes.values())) > MAX_CELLS:
        largest = max(sizes, key=lambda name: math.prod(sizes[name]))
        factors = [str(size) for size in sizes[largest] if size > 1]
        raise ConfigError(
            f"The study {study.name} has more than {MAX_CELLS:,} cells; the largest of its groups, {largest}, has "
            f"{' × '.join(factors[:12])}{' × …' * (len(factors) > 12)}. Take fewer values of its axes, or make several "
            "studies of it."
        )


def _values(axis: str, asked: list[str], known: Mapping[str, AxisValue]) -> list[str]:
    names: list[str] = []
    for value in asked:
        names += {EVERY: list(known), FIRST: [next(iter(known))]}.get(value, [value])
    return list(dict.fromkeys(names))


def _matches(study: Study, where: Mapping[str, list[str]], coordinates: Mapping[str, str]) -> bool:
    return all(coordinates[axis] in _values(axis, values, study.axes[axis]) for axis, values in where.items())


class _Maker:
    """Makes the cells of a study; what many of them share is made once.

    Args:
        study: The study.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._axes = study_axes(study)
        self._numeric = {axis.name: axis.numeric for axis in self._axes}
        self._configurations = Configurations()
        self._merged: dict[tuple[str, ...], dict[str, Any]] = {(): merge({}, study.defaults)}
        self._labels: dict[tuple[str, ...], str] = {}
        self._facts: dict[Hashable, ModelInfo] = {}

    def cell(self, values: tuple[str, ...], groups: tuple[str, ...]) -> Cell:
        """The cell at a point: the name of its value on each axis, and the groups that contain it."""
        study, coordinates = self._study, dict(zip(self._study.axes, values, strict=True))
        content = self._content(values)
        for entry in study.overrides:
            if _matches(study, entry.where, coordinates):
                content = merge(content, entry.set)
        where = ", ".join(f"{axis} {value}" for axis, value in coordinates.items())
        config = self._configurations.check(content, f"of the cell {where or study.name}")
        identity = self._configurations.identifying(config)
        key = digest({"config": identity})
        run_id = self._run_id(coordinates, config, key)
        return Cell(
            run_id=run_id,
            coordinates=coordinates,
            label=self._label(tuple(coordinates[axis.name] for axis in self._axes)),
            config=config.model_copy(update={"name": run_id}),
            groups=tuple(name for name in groups if study.select is None or name in study.select),
            condition=any(study.groups[name].conditions for name in groups),
            excluded=next((entry.reason for entry in study.exclude if _matches(study, entry.where, coordinates)), ""),
            facts=self._facts_of(coordinates, config),
            identity=identity,
            key=key,
        )

    def _content(self, values: tuple[str, ...]) -> dict[str, Any]:
        """The defaults under the overrides of the values on the first axes, as many as are given."""
        if values not in self._merged:
            axis = list(self._study.axes.values())[len(values) - 1]
            self._merged[values] = merge(self._content(values[:-1]), axis[values[-1]].overrides)
        return self._merged[values]

    def _run_id(self, coordinates: Mapping[str, str], config: RunConfig, key: str) -> str:
        """The names of the run's values on the axes, its seed, and a hash of its configuration."""
        parts = []
        for axis in self._axes:
            name = coordinates[axis.name]
            if self._numeric[axis.name]:
                # A number is named where it has left the first one, so that one more axis renames no run of the others.
                first = next(iter(axis.values))
                parts += [f"{axis.name.rpartition('.')[2]}-{name}"] if name != first else []
            elif name != axis.plain:
                parts.append(name)
        named = [*(parts or [config.method.label]), f"s{config.seed}", key]
        return "-".join(_UNFIT.sub("-", part).strip("-.") for part in named)

    def _label(self, values: tuple[str, ...]) -> str:
        if values not in self._labels:
            named = zip(self._axes, values, strict=True)
            parts = [
                Part(axis.name, axis.values[name], axis.plain, axis.key) for axis, name in named if len(axis.values) > 1
            ]
            self._labels[values] = label(parts)
        return self._labels[values]

    def _facts_of(self, coordinates: Mapping[str, str], config: RunConfig) -> ModelInfo:
        told = [self._study.axes[axis][value].facts for axis, value in coordinates.items()]
        files = tuple(config.task.annotated.files)
        key = (config.model.name, files, *(id(facts) for facts in told if facts.model_fields_set))
        if key not in self._facts:
            known: dict[str, Any] = read_checkpoint_info(config.model.name).model_dump(exclude_defaults=True)
            known |= {"annotated": annotated_lines(config)} | self._study.facts.model_dump(exclude_defaults=True)
            for facts in told:
                known |= facts.model_dump(exclude_defaults=True)
            self._facts[key] = ModelInfo(**known)
        return self._facts[key]


def _joined(first: Cell, second: Cell) -> Cell:
    """One run for two cells of the same configuration."""
    return replace(
        first,
        groups=tuple(dict.fromkeys((*first.groups, *second.groups))),
        condition=first.condition or second.condition,
        excluded=first.excluded and second.excluded,
    )


_UNFIT = re.compile(r"[^A-Za-z0-9._+-]+")


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
            # A list of values belongs to its key, which need not be said twice.
            axis = name.removeprefix("axes.")
            return f"axes.{problem}" if axis.startswith(f"{'.'.join(key)}.") else f"{name}.{problem}"
    return problem
