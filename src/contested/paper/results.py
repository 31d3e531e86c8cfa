"""The paper's results of a study: the general ones, the numbers of its tables and figures, and its claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contested.analysis.checks import check_resampling
from contested.analysis.jsonable import jsonable
from contested.analysis.study import Axis, Resampling, StudyResults
from contested.analysis.study.results import named, notes_of, results_of, state_of
from contested.beside import at_once
from contested.paper.cells import paper_cells
from contested.paper.claims import claims
from contested.paper.findings import Claim
from contested.paper.frames.beside_lora import beside_lora
from contested.paper.frames.cartography import cartography_figures
from contested.paper.frames.columns import COLUMNS
from contested.paper.frames.conditions import PaperStudy
from contested.paper.frames.figures import (
    figure3,
    figure6,
    figure9,
    gradient_figures,
    loss_curves,
)
from contested.paper.frames.interventions import lr_control, lr_control_trend, noise, soft_labels
from contested.paper.frames.known import check_expected, with_expected
from contested.paper.frames.multiple_testing import multiple_testing
from contested.paper.frames.omnibus import omnibus_frame
from contested.paper.frames.robustness import controls, dynamics, figure5, learning_order, per_label, regressions
from contested.paper.frames.tables import (
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
    from contested.studies.results import OpenedStudy
    from contested.trajectories import Trajectory


@dataclass(frozen=True, eq=False)
class PaperResults(StudyResults):
    """The results of a study, as numbers: every study's frames, those of the paper, and its claims.

    Attributes:
        claims: The paper's claims (a) to (i), each with a verdict.
    """

    claims: tuple[Claim, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-safe and the same for the same runs."""
        return super().to_dict() | {"claims": jsonable(self.claims)}


def results(
    opened: OpenedStudy,
    *,
    clusters: str | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
) -> PaperResults:
    """Analyse every complete run of a study together, as the paper does.

    Args:
        opened: The study's folder, read.
        clusters: The column of the examples that says which belong together, or ``"none"``; without it those that
            share a text.
        rng: Source of all resamples.
        n_resamples: Bootstrap resamples of each interval.

    Returns:
        The results.
    """
    return paper_results(
        paper_cells(opened),
        opened.axes,
        opened.trajectories,
        expected=[entry.model_dump() for entry in opened.study.expected],
        clusters=clusters,
        rng=rng,
        n_resamples=n_resamples,
    )


def paper_results(
    cells: pd.DataFrame,
    axes: Sequence[Axis] | None,
    trajectories: Mapping[str, Trajectory],
    *,
    expected: Sequence[Mapping[str, Any]] = (),
    clusters: str | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> PaperResults:
    """Compute every table, figure and claim of the paper from a study's runs, beside what every study shows.

    A condition that lacks runs keeps its row with what those present say, and ``n_seeds`` is below
    ``n_expected``; one without any keeps its row with NaN. A frame that no cell belongs to is empty. The results
    do not depend on the order of ``trajectories`` or of examples within them. Every trajectory is taken from the
    mapping once and not kept, so that a mapping may load them lazily.

    Args:
        cells: One row per run of the study, with the columns
            :data:`~contested.paper.frames.columns.CELL_COLUMNS` and one for each axis. Excluded runs are not
            expected.
        axes: What the cells differ in besides the seed; None takes the columns of a condition and of its setting.
        trajectories: The complete runs by run id.
        expected: Known values to set next to the found ones: ``artefact`` (a frame), ``where`` (column to value),
            ``quantity`` (a column), ``value``, and perhaps ``sd`` and ``note``. They become the columns
            ``<quantity>_paper``, ``<quantity>_paper_sd`` and ``<quantity>_paper_note``.
        clusters: The column of the examples that says which belong together, or ``"none"``; without it those that
            share a text.
        rng: Source of all resamples; None means ``numpy.random.default_rng(0)``.
        n_resamples: Bootstrap resamples R of each interval.
        confidence: Coverage wanted of each interval by itself; tests are at level 1 − confidence.

    Returns:
        The results.

    Raises:
        ConfigError: If there are too few resamples for the confidence.
        DataError: If the cells or a run's examples lack a column, a run is duplicated, or an expected value names an
            unknown frame.
    """
    check_resampling(n_resamples, confidence)
    check_expected(expected)
    study = PaperStudy.of(cells, axes, trajectories, clusters)
    draw = Resampling(rng if rng is not None else np.random.default_rng(0), n_resamples, confidence)
    general = results_of(study, draw)
    frames, unmatched = with_expected(_frames(study, draw), expected)
    return PaperResults(
        frames=general.frames | frames,
        claims=claims(study, frames, draw),
        notes=(*_notes(study, frames, confidence), *unmatched),
        gaps=_gaps(study, frames),
        confidence=confidence,
        n_resamples=n_resamples,
        clusters=general.clusters,
        warnings=general.warnings,
        examples=general.examples,
    )


def _frames(study: PaperStudy, draw: Resampling) -> dict[str, pd.DataFrame]:
    # One child each: a frame added later takes a later child and leaves the numbers of these as they are.
    child = draw.spawn(12)
    found: dict[str, pd.DataFrame] = {}
    for made in at_once(
        lambda: {"controls": controls(study, child[3])},
        lambda: {"figure9": figure9(study, child[8])},
        lambda: {"table1": (first := table1(study, child[0])), "figure6": figure6(study, first)},
        lambda: cartography_figures(study),
        lambda: {"figure5": figure5(study, child[7])},
        lambda: {"omnibus": omnibus_frame(study, draw), "kendall": kendall(study, draw)},
        lambda: {"per_label": per_label(study, child[4])},
        lambda: change_tables(study, child[1]) | seed_tables(study),
        lambda: {"table6": table6(study), "table6_trend": table6_trend(study, child[2]), "table7": table7(study)},
        lambda: loss_curves(study, child[5]),
        lambda: gradient_figures(study, child[6]),
        lambda: noise(study, child[9]),
        lambda: soft_labels(study, child[10]),
        lambda: {"lr_control": lr_control(study, child[11]), "dynamics": dynamics(study)},
        lambda: {"beside_lora": beside_lora(study, draw.named("beside_lora"))},
        lambda: {"runs": runs_frame(study), "regression": regressions(study), "figure3": figure3(study)},
        lambda: {"learning_order": learning_order(study)},
    ):
        found |= made
    found["lr_control_trend"] = lr_control_trend(found["lr_control"])
    found["multiple_testing"] = multiple_testing(found, draw.confidence)
    return {name: found[name] for name in COLUMNS}


def _gaps(study: PaperStudy, frames: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """One sentence for each missing run, with the frames that need it, in the order of the cells."""
    needed: dict[str, list[str]] = {}
    for name, table in frames.items():
        if name == "runs" or "missing" not in table:
            continue
        for run_id in {run_id for given in table["missing"] for run_id in given.split(",") if run_id}:
            needed.setdefault(run_id, []).append(name)
    return tuple(
        f"{named(cell)} is needed for {', '.join(needed[cell['run_id']])}: {_why(study, cell)}."
        for _, cell in study.asked.iterrows()
        if cell["run_id"] in needed
    )


def _why(study: PaperStudy, cell: pd.Series) -> str:
    complete = cell["run_id"] in study.runs
    return "it is complete, but lacks the gradient probe" if complete else state_of(study, cell)


def _notes(study: PaperStudy, frames: Mapping[str, pd.DataFrame], confidence: float) -> list[str]:
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
    problems = [group.problem for group in study.conditions if len(group.runs) > 1 and group.problem]
    return notes + notes_of(study) + [f"{problem}." for problem in dict.fromkeys(problems)]
