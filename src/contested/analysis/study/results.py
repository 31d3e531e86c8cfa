"""The results of a study: frames, claims, notes and gaps, and how they are written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contested.analysis.checks import check_resampling
from contested.analysis.jsonable import jsonable
from contested.analysis.study.claims import claims
from contested.analysis.study.columns import COLUMNS
from contested.analysis.study.conditions import Resampling, Study, panel
from contested.analysis.study.expected import check_expected, with_expected
from contested.analysis.study.figures import (
    cartography_figures,
    figure3,
    figure6,
    figure9,
    gradient_figures,
    loss_curves,
)
from contested.analysis.study.findings import Claim
from contested.analysis.study.interventions import lr_control, lr_control_trend, noise, soft_labels
from contested.analysis.study.multiple_testing import multiple_testing
from contested.analysis.study.robustness import controls, dynamics, figure5, learning_order, per_label, regressions
from contested.analysis.study.tables import (
    change_tables,
    kendall,
    runs_frame,
    seed_tables,
    table1,
    table6,
    table6_trend,
    table7,
)

if TYPE_CHECKING:
    from contested.trajectories import Trajectory


@dataclass(frozen=True, eq=False)
class StudyResults:
    """What a study found, as numbers.

    Attributes:
        frames: Tables by name, with the columns of :data:`~contested.analysis.study.columns.COLUMNS` at least.
        claims: The paper's claims (a) to (i), each with a verdict.
        notes: What a reader must know before trusting the numbers.
        gaps: One sentence for each run that is missing, with what needs it.
        confidence: Coverage of every interval; tests are at level 1 − confidence.
        n_resamples: Bootstrap resamples of every interval.
    """

    frames: dict[str, pd.DataFrame]
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    gaps: tuple[str, ...]
    confidence: float
    n_resamples: int

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-safe and the same for the same runs.

        Returns:
            This class's fields by name; a frame is an object of ``columns`` and ``rows``, and a number that does
            not exist is null.
        """
        return {
            "confidence": self.confidence,
            "n_resamples": self.n_resamples,
            "claims": jsonable(self.claims),
            "notes": list(self.notes),
            "gaps": list(self.gaps),
            "frames": {name: _plain(table) for name, table in self.frames.items()},
        }


def _plain(table: pd.DataFrame) -> dict[str, Any]:
    columns = [[None if pd.isna(value) else value for value in table[name].tolist()] for name in table]
    return {"columns": list(table.columns), "rows": jsonable([list(row) for row in zip(*columns, strict=True)])}


def study_results(
    cells: pd.DataFrame,
    trajectories: Mapping[str, Trajectory],
    *,
    expected: Sequence[Mapping[str, Any]] = (),
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> StudyResults:
    """Compute every table, figure and claim of a study from its runs.

    A condition that lacks runs keeps its row with what those present say, and ``n_seeds`` is below
    ``n_expected``; one without any keeps its row with NaN. A frame that no cell asks for is empty. The results
    do not depend on the order of ``trajectories`` or of examples within them. Every trajectory is taken from the
    mapping once and not kept, so that a mapping may load them as they are asked for.

    Args:
        cells: One row a run that the study asks for, with the columns
            :data:`~contested.analysis.study.columns.CELL_COLUMNS`. Excluded runs are not expected.
        trajectories: The complete runs by run id.
        expected: Known values to set beside the found ones: ``artefact`` (a frame), ``where`` (column to value),
            ``quantity`` (a column), ``value``, and perhaps ``sd`` and ``note``. They become the columns
            ``<quantity>_paper``, ``<quantity>_paper_sd`` and ``<quantity>_paper_note``.
        rng: Source of all resamples; None means ``numpy.random.default_rng(0)``.
        n_resamples: Bootstrap resamples R of each interval.
        confidence: Coverage wanted of each interval by itself; tests are at level 1 − confidence.

    Returns:
        The results.

    Raises:
        ConfigError: If there are too few resamples for the confidence.
        DataError: If the cells lack a column or name a run twice, or an expected value names an unknown frame.
    """
    check_resampling(n_resamples, confidence)
    check_expected(expected)
    study = Study.of(cells, trajectories)
    draw = Resampling(rng if rng is not None else np.random.default_rng(0), n_resamples, confidence)
    frames = _frames(study, draw)
    frames, unplaced = with_expected(frames, expected)
    return StudyResults(
        frames=frames,
        claims=claims(study, frames, draw),
        notes=(*_notes(study, frames, confidence), *unplaced),
        gaps=_gaps(study, frames),
        confidence=confidence,
        n_resamples=n_resamples,
    )


def _frames(study: Study, draw: Resampling) -> dict[str, pd.DataFrame]:
    # One child each: a frame added later takes a later child and leaves the numbers of these as they are.
    child = draw.spawn(12)
    first = table1(study, child[0])
    found = {
        "runs": runs_frame(study),
        "table1": first,
        **change_tables(study, child[1]),
        **seed_tables(study),
        "table6": table6(study),
        "table6_trend": table6_trend(study, child[2]),
        "table7": table7(study),
        "kendall": kendall(study, draw),
        "controls": controls(study, child[3]),
        "regression": regressions(study),
        "per_label": per_label(study, child[4]),
        **loss_curves(study, child[5]),
        "figure3": figure3(study),
        **gradient_figures(study, child[6]),
        "figure5": figure5(study, child[7]),
        "figure6": figure6(study, first),
        **cartography_figures(study),
        "figure9": figure9(study, child[8]),
        **noise(study, child[9]),
        **soft_labels(study, child[10]),
        "lr_control": lr_control(study, child[11]),
        "learning_order": learning_order(study),
        "dynamics": dynamics(study),
    }
    found["lr_control_trend"] = lr_control_trend(found["lr_control"])
    found["multiple_testing"] = multiple_testing(found, draw.confidence)
    return {name: found[name] for name in COLUMNS}


def _notes(study: Study, frames: Mapping[str, pd.DataFrame], confidence: float) -> list[str]:
    notes = []
    table = frames["table1"]
    size = int(table["family_size"].max()) if len(table) else 0
    main = int(table["main"].astype(bool).sum())
    if main:
        notes.append(
            f"Table 1 is one family of {size} tests, one for each of the {main} main conditions that has a p-value, "
            f"at level {1 - confidence:.2g}."
        )
    else:
        notes.append("No cell is marked as one of the main conditions, so the tables over conditions are empty.")
    for _, cell in study.cells[study.cells["excluded"] != ""].iterrows():
        notes.append(f"{_named(cell)} is excluded ({cell['excluded']}) and not expected.")
    problems = [group.problem for group in study.conditions if len(group.runs) > 1 and group.problem]
    chance = [run.run_id for run in study.runs.values() if run.val_accuracy <= 1 / len(run.label_names)]
    if chance:
        notes.append(
            f"{len(chance)} runs ended at or below chance (validation accuracy at most 1/K for K classes), "
            f"so what they show is not learning: {', '.join(chance)}."
        )
    return notes + [f"{problem}." for problem in dict.fromkeys(problems)]


def _gaps(study: Study, frames: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """One sentence for each missing run, with the frames that need it, in the order of the cells."""
    needed: dict[str, list[str]] = {}
    for name, table in frames.items():
        lacking = {run_id for given in table["missing"] for run_id in given.split(",") if run_id}
        for run_id in lacking if name != "runs" else ():
            needed.setdefault(run_id, []).append(name)
    cells = study.asked
    return tuple(
        f"{_named(cell)} is needed for {', '.join(needed[cell['run_id']])}: {_state(study, cell)}."
        for _, cell in cells.iterrows()
        if cell["run_id"] in needed
    )


def _named(cell: pd.Series) -> str:
    return f"{cell['run_id']} ({panel(dict(cell))}, seed {cell['seed']})"


def _state(study: Study, cell: pd.Series) -> str:
    run_id = str(cell["run_id"])
    if run_id in study.runs:
        return "it is complete, but lacks the gradient probe"
    if run_id in study.unusable:
        return f"it cannot be used, for {study.unusable[run_id]}".rstrip(".")
    if cell["status"] == "complete":
        return "it is said to be complete, but its trajectory was not given"
    return f"it is {cell['status']}"
