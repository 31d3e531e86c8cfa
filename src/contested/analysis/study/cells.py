"""A study as its analysis sees it: a table of cells whose axes are columns, and the summaries of complete runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import pandas as pd

from contested.analysis.clusters import run_clusters
from contested.analysis.study.columns import CELL_COLUMNS, RESERVED
from contested.analysis.study.examples import SeenExamples
from contested.analysis.study.groups import SeedGroup
from contested.analysis.study.kept import KeepingRuns
from contested.analysis.study.runs import Run, measure, with_shared_examples
from contested.beside import each_beside
from contested.errors import ContestedError, DataError
from contested.naming import Part, is_number, label

if TYPE_CHECKING:
    from contested.trajectories import Trajectory


_TOGETHER = 16  # runs that a process measures before it takes the next ones


class Axis(NamedTuple):
    """One way in which the cells of a study differ, besides the seed: a column of the cells.

    Attributes:
        name: The column.
        key: The key of a run's configuration that it sets; empty where it sets several or different ones.
        values: Its values in the order of the study: numbers on a numeric axis, names otherwise.
        plain: The value that changes nothing, which names leave out; None where there is none.
    """

    name: str
    key: str
    values: tuple[Any, ...]
    plain: Any = None

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, so that they lie on a line."""
        return all(is_number(value) for value in self.values)


@dataclass(frozen=True, eq=False)
class StudyRuns:
    """A study's cells and the summaries of its complete runs.

    Attributes:
        cells: Every cell, excluded ones too, in the order given.
        axes: What the cells differ in, besides the seed.
        runs: Summaries by run id.
        unusable: Why a run that was given cannot be used, by run id.
        clusters: The column that says which examples belong together, or ``"none"``; None where it is shared texts.
    """

    cells: pd.DataFrame
    axes: tuple[Axis, ...]
    runs: Mapping[str, Run]
    unusable: dict[str, str] = field(default_factory=dict)
    clusters: str | None = None

    kind: ClassVar[type[Run]] = Run
    measured = staticmethod(measure)

    @classmethod
    def of(
        cls,
        cells: pd.DataFrame,
        axes: Sequence[Axis],
        trajectories: Mapping[str, Trajectory],
        clusters: str | None = None,
    ) -> Self:
        """Check the cells and measure each complete run once, so that its logits can go.

        Args:
            cells: One row per run of the study, with the columns
                :data:`~contested.analysis.study.columns.CELL_COLUMNS` and one for each axis.
            axes: The axes.
            trajectories: The complete runs by run id; runs that are no cell are not read.
            clusters: The column of the examples that says which belong together, or ``"none"``; without it those that
                share a text.

        Returns:
            The study.

        Raises:
            DataError: If a column is missing, also that of the clusters in one of the runs, or a run id is duplicated.
        """
        table = checked_cells(cells, [axis.name for axis in axes])
        given = [name for name in table.loc[table["excluded"] == "", "run_id"] if name in trajectories]

        seen = SeenExamples()
        kept = trajectories.kept if isinstance(trajectories, KeepingRuns) else None
        known = (
            {}
            if kept is None
            else kept.load(cls.kind, clusters, lambda run_id: seen.of(trajectories[run_id], clusters).summaries)
        )
        new = [run_id for run_id in given if run_id not in known]
        measured = each_beside(lambda run_id: cls._measured(run_id, trajectories, clusters, seen), new, _TOGETHER)
        found = known | dict(zip(new, measured, strict=True))
        found = {run_id: found[run_id] for run_id in given}
        runs = with_shared_examples({run_id: run for run_id, run in found.items() if isinstance(run, Run)})
        unusable = {run_id: why for run_id, why in found.items() if isinstance(why, str)}
        if kept is not None and any(isinstance(run, Run) for run in measured):
            kept.save(cls.kind, clusters, runs.values())
        return cls(table, tuple(axes), runs, unusable, clusters)

    @classmethod
    def _measured(
        cls, run_id: str, trajectories: Mapping[str, Trajectory], clusters: str | None, seen: SeenExamples
    ) -> Run | str:
        """The summaries of a run, or why it cannot be used."""
        try:
            trajectory = trajectories[run_id]
        except ContestedError as error:
            return str(error)
        if trajectory.status != "complete":
            return f"its status is {trajectory.status}"
        _check_clusters(run_id, trajectory, clusters)
        try:
            return cls.measured(run_id, trajectory, clusters, seen)
        except ContestedError as error:
            return str(error)

    @cached_property
    def asked(self) -> pd.DataFrame:
        """The cells that are not excluded."""
        return self.cells[self.cells["excluded"] == ""]

    @cached_property
    def varying(self) -> tuple[Axis, ...]:
        """The axes along which the cells differ."""
        return tuple(axis for axis in self.axes if self.cells[axis.name].nunique(dropna=False) > 1)

    @cached_property
    def seed_groups(self) -> list[SeedGroup]:
        """The cells that are not excluded, grouped by all that they have in common but the seed."""
        names = [axis.name for axis in self.axes]
        return [self.group(rows, names) for rows in grouped(self.asked, names)]

    def label(self, key: Mapping[str, Any]) -> str:
        """The name of a group: its values on the axes that vary."""
        return label(Part(axis.name, key[axis.name], axis.plain, axis.key) for axis in self.varying)

    def group(self, rows: pd.DataFrame, by: Sequence[str]) -> SeedGroup:
        """Some cells as one group.

        Args:
            rows: Some of :attr:`asked`, alike in ``by``.
            by: The columns that the group is known by.

        Returns:
            The group.
        """
        return SeedGroup(**self._shared(rows, by), mixed=_mixed(rows))

    def _shared(self, rows: pd.DataFrame, by: Sequence[str]) -> dict[str, Any]:
        """The attributes of any group of cells."""
        ordered = rows.sort_values(["seed", "run_id"], kind="stable")
        head = rows.iloc[0]
        asked = [(run_id, seed) for run_id, seed in zip(ordered["run_id"], ordered["seed"], strict=True)]
        present = [(run_id, seed) for run_id, seed in asked if run_id in self.runs]
        return {
            "key": {name: head[name] for name in by},
            "asked": tuple(ordered["run_id"]),
            "runs": tuple(self.runs[run_id] for run_id, _ in present),
            "seeds": tuple(int(seed) for _, seed in present),
        }


def _check_clusters(run_id: str, trajectory: Trajectory, clusters: str | None) -> None:
    """Refuse a column that a run does not have: left out for want of it, the run would be a gap like any other."""
    if clusters is None:
        return
    try:
        run_clusters(trajectory, clusters)
    except DataError as error:
        raise DataError(f"{run_id}: {error}") from error


def grouped(cells: pd.DataFrame, by: Sequence[str]) -> Iterable[pd.DataFrame]:
    """The cells by their values in some columns, in the order of the cells; all together where there is no column."""
    if cells.empty:
        return []
    if not by:
        return [cells]
    return [rows for _, rows in cells.groupby(list(by), sort=False, dropna=False)]


def same_seed(cells: pd.DataFrame) -> str:
    """Why cells cannot count as different seeds; empty where they can."""
    again = cells.loc[cells["seed"].duplicated(keep=False), "run_id"]
    if len(again):
        return f"{', '.join(again)} have the same seed and differ in something that no column shows: not averaged"
    return ""


def _mixed(cells: pd.DataFrame) -> str:
    """Why cells that should differ only in their seed do not; empty where they do."""
    if "setting" in cells and cells["setting"].nunique(dropna=False) > 1:
        return "the runs differ in more than their seed, so their seeds are not averaged"
    return same_seed(cells)


def checked_cells(cells: pd.DataFrame, further: Sequence[str] = ()) -> pd.DataFrame:
    """The cells with the types that the analysis relies on.

    Args:
        cells: One row per run.
        further: Columns that are needed besides :data:`~contested.analysis.study.columns.CELL_COLUMNS`.

    Returns:
        A new table with every column given.

    Raises:
        DataError: If a column is missing, an axis has the name of a column of the results, or a run id is duplicated.
    """
    needed = list(dict.fromkeys((*CELL_COLUMNS, *further)))
    missing = [name for name in needed if name not in cells]
    if missing:
        raise DataError(f"cells: the columns {', '.join(missing)} are missing; expected {', '.join(needed)}.")
    taken = [name for name in further if name in RESERVED]
    if taken:
        raise DataError(f"cells: no axis may be called {', '.join(taken)}: the results have columns of that name.")
    again = cells.loc[cells["run_id"].duplicated(), "run_id"].unique()
    if len(again):
        raise DataError(f"cells: run ids are duplicated: {', '.join(map(str, again))}. Expected one row per run.")
    table = cells.reset_index(drop=True)
    texts = {name: table[name].fillna("").astype(str) for name in ("group", "excluded")}
    return table.assign(**texts, main=table["main"].astype(bool), seed=table["seed"].astype(int))
