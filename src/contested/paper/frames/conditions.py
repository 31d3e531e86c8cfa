"""The paper's conditions among the cells of a study: which are plain, which are main, and what they are set against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.study import Axis, SeedGroup, StudyRuns
from contested.analysis.study.cells import grouped, same_seed
from contested.analysis.study.runs import CompleteRun, measure_complete
from contested.errors import DataError
from contested.paper.frames.columns import CELL_COLUMNS, CONDITION

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

SETTING = ("learning_rate", "composition", "noise", "noise_rule", "soft_labels")
"""What runs of one condition may differ in, besides the seed."""


@dataclass(frozen=True, eq=False)
class Condition(SeedGroup):
    """Runs of one backbone, method and data set that differ only in their seed.

    Attributes:
        main: Whether the runs belong to the paper's conditions.
        decoder: Whether the backbone is a decoder.
        family: Family of the method.
        params: Parameters of the model; NaN if unknown.
        rank: LoRA rank; NaN without.
    """

    runs: tuple[CompleteRun, ...]
    main: bool = False
    decoder: bool = False
    family: str = ""
    params: float = np.nan
    rank: float = np.nan

    @cached_property
    def usable(self) -> tuple[CompleteRun, ...]:
        """The runs whose seeds may be averaged: all complete ones, or none."""
        return () if self.problem else self.runs

    @property
    def first(self) -> CompleteRun:
        """The run of the first seed; its examples are those of every usable run."""
        return self.runs[0]

    @cached_property
    def aulc(self) -> NDArray[np.float64]:
        """AULC of each seed and example (nats), shape (S, N)."""
        return np.stack([run.aulc for run in self.usable])

    @cached_property
    def change(self) -> NDArray[np.float64]:
        """Δℓ of each seed and example (nats), shape (S, N)."""
        return np.stack([run.change for run in self.usable])

    @cached_property
    def mean_aulc(self) -> NDArray[np.float64]:
        """AULC of each example, mean over seeds (nats), shape (N,)."""
        return np.asarray(self.aulc.mean(axis=0))

    @cached_property
    def entropy(self) -> NDArray[np.float64]:
        """Annotation entropy H (nats), shape (N,)."""
        return self.first.entropy


def panel(key: Mapping[str, Any]) -> str:
    """A condition in one line, as panels of figures are called.

    >>> panel({"backbone": "bert", "method": "full", "dataset": "snli", "noise": 0.3})
    'bert · full · snli'
    """
    return " · ".join(str(key[name]) for name in CONDITION)


@dataclass(frozen=True, eq=False)
class PaperStudy(StudyRuns):
    """A study's cells as the paper reads them, and the summaries of its complete runs, which must lack nothing."""

    runs: Mapping[str, CompleteRun]

    kind = CompleteRun
    measured = staticmethod(measure_complete)

    @classmethod
    def of(
        cls,
        cells: pd.DataFrame,
        axes: Sequence[Axis] | None,
        trajectories: Mapping[str, Trajectory],
        clusters: str | None = None,
    ) -> Self:
        """Check the cells and measure each complete run once.

        Args:
            cells: One row per run of the study, with the columns
                :data:`~contested.paper.frames.columns.CELL_COLUMNS`.
            axes: What they differ in besides the seed; None takes every column of a condition and of its setting.
            trajectories: The complete runs by run id.
            clusters: The column of the examples that says which belong together, or ``"none"``; without it those that
                share a text.

        Returns:
            The study.

        Raises:
            DataError: If a column or a learning rate is missing, also the column of the clusters in one of the runs, or
                a run id is duplicated.
        """
        missing = [name for name in CELL_COLUMNS if name not in cells]
        if missing:
            raise DataError(f"cells: the columns {', '.join(missing)} are missing; expected {', '.join(CELL_COLUMNS)}.")
        without = cells.loc[cells["learning_rate"].isna(), "run_id"]
        if len(without):
            raise DataError(f"cells: {', '.join(map(str, without))} have no learning rate; expected one for every run.")
        table = _typed(cells)
        if axes is None:
            columns = {name: tuple(table[name].unique().tolist()) for name in (*CONDITION, *SETTING)}
            axes = [Axis(name, "", values) for name, values in columns.items()]
        return super().of(table, axes, trajectories, clusters)

    @cached_property
    def plain(self) -> pd.DataFrame:
        """Cells on the whole training set with its own hard labels, at any learning rate."""
        cells = self.asked
        return cells[(cells["composition"] == "all") & (cells["noise"] == 0) & ~cells["soft_labels"]]

    @cached_property
    def usual(self) -> pd.DataFrame:
        """Plain cells at the study's usual learning rate: that of most main cells, or of most cells without any.

        A condition that never has that rate keeps its own most frequent one.
        """
        plain = self.plain
        rates = plain.loc[plain["main"], "learning_rate"]
        rate = _most_frequent(rates if len(rates) else plain["learning_rate"])
        kept = []
        for _, rows in plain.groupby(list(CONDITION), sort=False):
            own = rows["learning_rate"]
            kept.append(rows[own == (rate if (own == rate).any() else _most_frequent(own))])
        return pd.concat(kept).loc[lambda found: sorted(found.index)] if kept else plain

    def in_group(self, cells: pd.DataFrame, name: str) -> pd.DataFrame:
        """The cells that belong to one of the study's groups."""
        return cells[np.array([name in str(groups).split(",") for groups in cells["group"]], dtype=bool)]

    def groups(self, cells: pd.DataFrame, by: Sequence[str] = CONDITION) -> list[Condition]:
        """Cells grouped by what their runs have in common, in the order of the cells.

        Args:
            cells: Some of :attr:`asked`.
            by: Columns that make a group.

        Returns:
            One group for each combination that occurs.
        """
        return [self.condition(rows, by) for rows in grouped(cells, by)]

    @cached_property
    def conditions(self) -> list[Condition]:
        """The paper's conditions in the order of the cells, then IA3."""
        usual = self.usual
        main = self.plain[self.plain["main"]]
        return self.groups(main) + self.groups(usual[(usual["family"] == "ia3") & ~usual["main"]])

    @property
    def main(self) -> list[Condition]:
        """The paper's conditions alone."""
        return [group for group in self.conditions if group.main]

    def baseline(self, cell: pd.Series) -> pd.DataFrame:
        """The plain cell of the same condition, seed and learning rate; empty if the study has none."""
        same = self.plain
        for column in (*CONDITION, "seed", "learning_rate"):
            same = same[same[column] == cell[column]]
        return same

    def single(self, cell: pd.Series, by: Sequence[str] = (*CONDITION, "seed")) -> Condition:
        """One cell as a group of its own."""
        return self.condition(cell.to_frame().T, by)

    def condition(self, rows: pd.DataFrame, by: Sequence[str]) -> Condition:
        """Some cells as one condition."""
        head = rows.iloc[0]
        return Condition(
            **self._shared(rows, by),
            mixed=_mixed(rows),
            main=bool(rows["main"].all()),
            decoder=bool(head["decoder"]),
            family=str(head["family"]),
            params=float(head["params"]),
            rank=float(head["rank"]),
        )


def _mixed(cells: pd.DataFrame) -> str:
    """Why cells that should differ only in their seed do not; empty where they do."""
    mixed = [name for name in SETTING if cells[name].nunique(dropna=False) > 1]
    if mixed:
        return f"the runs differ in {', '.join(mixed)}, so their seeds are not averaged"
    return same_seed(cells)


def _most_frequent(values: pd.Series) -> float:
    """The value that occurs most; of several the first to occur. NaN without values."""
    counts = Counter(values.tolist())
    return float(counts.most_common(1)[0][0]) if counts else float("nan")


def _typed(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.assign(
        **{name: cells[name].fillna("").astype(str) for name in ("noise_rule", "group", "excluded")},
        **{name: cells[name].astype(bool) for name in ("decoder", "soft_labels", "main")},
        **{name: cells[name].astype(float) for name in ("params", "rank", "learning_rate", "noise")},
        seed=cells["seed"].astype(int),
    )
