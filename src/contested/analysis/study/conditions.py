"""Which runs belong together: the cells of a study, its conditions, and what is missing of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.checks import category_rows
from contested.analysis.study.columns import CELL_COLUMNS, CONDITION
from contested.analysis.study.runs import Run, measure
from contested.errors import ContestedError, DataError

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

SETTING = ("learning_rate", "composition", "noise", "noise_rule", "soft_labels")
"""What runs of one condition may differ in, besides the seed."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: the source of resamples, how many, and the coverage wanted."""

    rng: np.random.Generator
    n_resamples: int
    confidence: float

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that every interval takes."""
        return {"rng": self.rng, "n_resamples": self.n_resamples, "confidence": self.confidence}

    def spawn(self, n: int) -> list[Resampling]:
        """``n`` children, so that one number's resamples do not move another's."""
        return [Resampling(child, self.n_resamples, self.confidence) for child in self.rng.spawn(n)]


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in their seed alone, as asked for and as far as they are complete.

    Attributes:
        key: What the runs have in common, such as backbone, method and dataset.
        asked: Run ids asked for, by seed.
        runs: The complete ones, by seed.
        seeds: The seed of each complete run.
        main: Whether the runs belong to the paper's conditions.
        decoder: Whether the backbone is a decoder.
        family: Family of the method.
        params: Parameters of the model; NaN if unknown.
        rank: LoRA rank; NaN without.
        double: Why seeds are not averaged although every run is usable by itself; empty otherwise.
    """

    key: dict[str, Any]
    asked: tuple[str, ...]
    runs: tuple[Run, ...]
    seeds: tuple[int, ...]
    main: bool
    decoder: bool
    family: str
    params: float
    rank: float
    double: str = ""

    @cached_property
    def problem(self) -> str:
        """Why no number over seeds exists; empty where one does."""
        if not self.runs:
            return "no complete run"
        return self.double or different_examples(self.runs)

    @cached_property
    def usable(self) -> tuple[Run, ...]:
        """The runs whose seeds may be averaged: all complete ones, or none."""
        return () if self.problem else self.runs

    @property
    def first(self) -> Run:
        """The run of the first seed; its examples are those of every usable run."""
        return self.runs[0]

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """The columns that say which runs a row rests on."""
        complete = [run.run_id for run in self.runs]
        return {
            "run_ids": ",".join(complete),
            "missing": ",".join(run_id for run_id in self.asked if run_id not in complete),
            "n_seeds": len(complete),
            "n_expected": len(self.asked),
        }

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

    @cached_property
    def caution(self) -> str:
        """What to know of the seeds' mean although it exists; empty otherwise."""
        if any(not np.array_equal(self.first.steps, run.steps) for run in self.usable[1:]):
            return "the seeds were tracked at different steps"
        return ""

    def categories(self) -> dict[str, NDArray[np.intp]]:
        """Row numbers of each category by rising entropy, then of all examples as ``"overall"``."""
        return category_rows(self.first.categories, self.first.category_names)

    def row(self, *notes: str, **values: Any) -> dict[str, Any]:
        """A row of this group: its key, its runs, a note, and ``values``.

        Args:
            *notes: What the note says besides the group's own problem.
            **values: Further columns.

        Returns:
            Columns by name.
        """
        return {**self.key, **self.provenance, "note": joined(self.problem, self.caution, *notes), **values}


def joined(*notes: str) -> str:
    """Notes as one, each once, the empty ones left out.

    >>> joined("one seed", "", "one seed", "no examples")
    'one seed; no examples'
    """
    return "; ".join(dict.fromkeys(note for note in notes if note))


def panel(key: Mapping[str, Any]) -> str:
    """A condition in one line, as panels of figures are called.

    >>> panel({"backbone": "bert", "method": "full", "dataset": "snli", "noise": 0.3})
    'bert · full · snli'
    """
    return " · ".join(str(key[name]) for name in CONDITION)


def different_examples(runs: Sequence[Run]) -> str:
    """Why runs cannot be compared example by example; empty where they can."""
    first = runs[0]
    for other in runs[1:]:
        if not np.array_equal(first.example_ids, other.example_ids):
            what = f"track different examples ({len(first.example_ids):,} and {len(other.example_ids):,})"
        elif not (_same_labels(first, other) and _same_entropy(first, other)):
            what = "disagree about the labels, entropies or categories of the same examples"
        else:
            continue
        return f"{first.run_id} and {other.run_id} {what}, so they are not averaged or compared example by example"
    return ""


def _same_labels(a: Run, b: Run) -> bool:
    return (a.label_names, a.category_names) == (b.label_names, b.category_names) and np.array_equal(a.gold, b.gold)


def _same_entropy(a: Run, b: Run) -> bool:
    return np.allclose(a.entropy, b.entropy) and np.array_equal(a.categories, b.categories)


@dataclass(frozen=True, eq=False)
class Study:
    """A study's cells and the summaries of its complete runs.

    Attributes:
        cells: Every cell, excluded ones too, in the order given.
        runs: Summaries by run id.
        unusable: Why a run that was given cannot be used, by run id.
    """

    cells: pd.DataFrame
    runs: dict[str, Run]
    unusable: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cells: pd.DataFrame, trajectories: Mapping[str, Trajectory]) -> Study:
        """Check the cells and measure each complete run once, so that its logits can go.

        Args:
            cells: One row a run that the study asks for.
            trajectories: The complete runs by run id; runs that are no cell are not read.

        Returns:
            The study.

        Raises:
            DataError: If a column or a learning rate is missing, or a run id stands twice.
        """
        table = _checked(cells)
        runs: dict[str, Run] = {}
        unusable: dict[str, str] = {}
        for run_id in table.loc[table["excluded"] == "", "run_id"]:
            if run_id not in trajectories:
                continue
            try:
                trajectory = trajectories[run_id]
                if trajectory.status == "complete":
                    runs[run_id] = measure(run_id, trajectory)
                else:
                    unusable[run_id] = f"its status is {trajectory.status}"
            except ContestedError as error:
                unusable[run_id] = str(error)
        return cls(table, runs, unusable)

    @cached_property
    def asked(self) -> pd.DataFrame:
        """The cells that are not excluded."""
        return self.cells[self.cells["excluded"] == ""]

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

    def groups(self, cells: pd.DataFrame, by: Sequence[str] = CONDITION) -> list[Group]:
        """Cells grouped by what their runs have in common, in the order of the cells.

        Args:
            cells: Some of :attr:`asked`.
            by: Columns that make a group.

        Returns:
            One group for each combination that occurs.
        """
        if cells.empty:
            return []
        return [self._group(rows, by) for _, rows in cells.groupby(list(by), sort=False, dropna=False)]

    @cached_property
    def conditions(self) -> list[Group]:
        """The paper's conditions in the order of the cells, then IA3."""
        usual = self.usual
        main = self.plain[self.plain["main"]]
        return self.groups(main) + self.groups(usual[(usual["family"] == "ia3") & ~usual["main"]])

    @property
    def main(self) -> list[Group]:
        """The paper's conditions alone."""
        return [group for group in self.conditions if group.main]

    def baseline(self, cell: pd.Series) -> pd.DataFrame:
        """The plain cell of the same condition, seed and learning rate; empty if nobody asked for it."""
        same = self.plain
        for column in (*CONDITION, "seed", "learning_rate"):
            same = same[same[column] == cell[column]]
        return same

    def single(self, cell: pd.Series, by: Sequence[str] = (*CONDITION, "seed")) -> Group:
        """One cell as a group of its own."""
        return self._group(cell.to_frame().T, by)

    def _group(self, rows: pd.DataFrame, by: Sequence[str]) -> Group:
        ordered = rows.sort_values(["seed", "run_id"], kind="stable")
        head = rows.iloc[0]
        complete = [(run_id, seed) for run_id, seed in zip(ordered["run_id"], ordered["seed"], strict=True)]
        present = [(run_id, seed) for run_id, seed in complete if run_id in self.runs]
        return Group(
            key={name: head[name] for name in by},
            asked=tuple(ordered["run_id"]),
            runs=tuple(self.runs[run_id] for run_id, _ in present),
            seeds=tuple(int(seed) for _, seed in present),
            main=bool(rows["main"].all()),
            decoder=bool(head["decoder"]),
            family=str(head["family"]),
            params=float(head["params"]),
            rank=float(head["rank"]),
            double=_double(ordered),
        )


def _double(cells: pd.DataFrame) -> str:
    """Why cells that should differ in their seed alone do not; empty where they do."""
    mixed = [name for name in SETTING if cells[name].nunique(dropna=False) > 1]
    if mixed:
        return f"the runs differ in {', '.join(mixed)}, so their seeds are not averaged"
    again = cells.loc[cells["seed"].duplicated(keep=False), "run_id"]
    if len(again):
        return f"{', '.join(again)} have the same seed and differ in something that no column says: not averaged"
    return ""


def _most_frequent(values: pd.Series) -> float:
    """The value that occurs most; of several the first to occur. NaN without values."""
    counts = Counter(values.tolist())
    return float(counts.most_common(1)[0][0]) if counts else float("nan")


def _checked(cells: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in CELL_COLUMNS if name not in cells]
    if missing:
        raise DataError(f"cells: the columns {', '.join(missing)} are missing; expected {', '.join(CELL_COLUMNS)}.")
    again = cells.loc[cells["run_id"].duplicated(), "run_id"].unique()
    if len(again):
        raise DataError(f"cells: run ids stand more than once: {', '.join(map(str, again))}. Expected one row a run.")
    without = cells.loc[cells["learning_rate"].isna(), "run_id"]
    if len(without):
        raise DataError(f"cells: {', '.join(map(str, without))} have no learning rate; expected one for every run.")
    table = cells[list(CELL_COLUMNS)].reset_index(drop=True)
    texts = ("noise_rule", "group", "excluded")
    flags = ("decoder", "soft_labels", "main")
    numbers = ("params", "rank", "learning_rate", "noise")
    return table.assign(
        **{name: table[name].fillna("").astype(str) for name in texts},
        **{name: table[name].astype(bool) for name in flags},
        **{name: table[name].astype(float) for name in numbers},
        seed=table["seed"].astype(int),
    )
