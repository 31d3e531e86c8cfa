"""The results of a study: frames, notes and gaps, and how they are written out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contested.analysis.checks import check_resampling
from contested.analysis.clusters import NO_CLUSTERS, SHARED_TEXTS, shared_in
from contested.analysis.jsonable import jsonable
from contested.analysis.study.apart import apart_frames
from contested.analysis.study.cells import Axis, StudyRuns
from contested.analysis.study.differences import differences
from contested.analysis.study.group_examples import group_examples
from contested.analysis.study.group_frames import group_frames
from contested.analysis.study.groups import Resampling
from contested.analysis.study.matched import matched_frames
from contested.analysis.study.overview import axes_frame, runs_frame
from contested.beside import at_once

if TYPE_CHECKING:
    from contested.trajectories import Trajectory


_LITTLE = "stayed at chance or hardly moved, so their numbers mean little."
_MOST_NAMED = 6
_WORTH = 1000  # characters that a column must save before its texts are written once
_STATES = {
    "missing": "it was not run",
    "failed": "it failed",
    "interrupted": "it was interrupted",
    "running": "it is not complete yet",
    "other": "its folder holds a run of another configuration",
}


@dataclass(frozen=True, eq=False)
class StudyResults:
    """The results of a study, as numbers.

    Attributes:
        frames: Tables by name, with the columns of :data:`~contested.analysis.study.columns.COLUMNS` at least.
        notes: What a reader must know before trusting the numbers.
        gaps: One sentence for each run that is missing.
        confidence: Coverage of every interval; tests are at level 1 − confidence.
        n_resamples: Bootstrap resamples of every interval.
        warnings: What must come before anything else: runs that learned next to nothing.
        clusters: What examples share that belong together, in every interval and test over examples: a column,
            ``"shared texts"``, or empty where each stands for itself.
        examples: Every example of each group, as :func:`~contested.analysis.study.group_examples.group_examples` has
            it: for figures, and in no file.
    """

    frames: dict[str, pd.DataFrame]
    notes: tuple[str, ...]
    gaps: tuple[str, ...]
    confidence: float
    n_resamples: int
    warnings: tuple[str, ...] = field(default=(), kw_only=True)
    clusters: str = field(default="", kw_only=True)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame, kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-safe and the same for the same runs.

        Returns:
            This class's fields by name but for ``examples``; a frame is as :func:`read_frame` takes it, and a number
            that does not exist is null.
        """
        return {
            "confidence": self.confidence,
            "n_resamples": self.n_resamples,
            "clusters": self.clusters,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "gaps": list(self.gaps),
            "frames": {name: _plain(table) for name, table in self.frames.items()},
        }


def _plain(table: pd.DataFrame) -> dict[str, Any]:
    columns, texts = {name: _values(table[name]) for name in table}, {}
    for name, values in columns.items():
        if not all(isinstance(value, str) for value in values):
            continue
        distinct = list(dict.fromkeys(values))
        if sum(map(len, values)) - sum(map(len, distinct)) > _WORTH + 4 * len(values):
            texts[name] = distinct
            places = {text: place for place, text in enumerate(distinct)}
            columns[name] = [places[text] for text in values]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return {"columns": list(table.columns), **({"texts": texts} if texts else {}), "rows": rows}


def _values(column: pd.Series[Any]) -> list[Any]:
    """A column as JSON has it: what does not exist is None."""
    values = column.tolist()
    if column.dtype == np.float64:
        return [value if math.isfinite(value) else None for value in values]
    if column.dtype in (np.bool_, np.int64):
        return values
    return [value if type(value) is str else None if pd.isna(value) else jsonable(value) for value in values]


def read_frame(content: Mapping[str, Any]) -> pd.DataFrame:
    """A frame of a study's results.json as a table.

    Args:
        content: Its names of ``columns`` and its ``rows``. Of a column of long texts that repeat, such as run ids,
            ``texts`` has each text once, and the rows have its place in that list, from 0.

    Returns:
        The table, with the texts in their places and NaN for what does not exist.
    """
    rows = [[np.nan if value is None else value for value in row] for row in content["rows"]]
    table = pd.DataFrame(rows, columns=content["columns"])
    for name, texts in content.get("texts", {}).items():
        table[name] = [texts[place] for place in table[name]]
    return table


def study_results(
    cells: pd.DataFrame,
    axes: Sequence[Axis],
    trajectories: Mapping[str, Trajectory],
    *,
    clusters: str | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> StudyResults:
    """Compute the results of any study from its runs.

    A group that lacks runs keeps its row with what those present say, and ``n_seeds`` is below ``n_expected``; one
    without any keeps its row with NaN. The results do not depend on the order of ``trajectories`` or of examples
    within them. Every trajectory is taken from the mapping once and not kept, so that a mapping may load them
    lazily.

    Args:
        cells: One row per run of the study, with the columns
            :data:`~contested.analysis.study.columns.CELL_COLUMNS` and one for each axis. Excluded runs are not
            expected.
        axes: What the cells differ in, besides the seed.
        trajectories: The complete runs by run id.
        clusters: The column of the examples that says which belong together, or ``"none"``; without it those that
            share a text.
        rng: Source of all resamples; None means ``numpy.random.default_rng(0)``.
        n_resamples: Bootstrap resamples R of each interval.
        confidence: Coverage wanted of each interval by itself; tests are at level 1 − confidence.

    Returns:
        The results.

    Raises:
        ConfigError: If there are too few resamples for the confidence.
        DataError: If the cells or a run's examples lack a column, or a run is duplicated.
    """
    check_resampling(n_resamples, confidence)
    draw = Resampling(rng if rng is not None else np.random.default_rng(0), n_resamples, confidence)
    return results_of(StudyRuns.of(cells, axes, trajectories, clusters), draw)


def results_of(study: StudyRuns, draw: Resampling) -> StudyResults:
    """:func:`study_results` of runs that are measured already."""
    frames = {"axes": axes_frame(study), "runs": runs_frame(study)}
    # Their resamples are children by name, which do not depend on what is made before them.
    for made in at_once(
        lambda: group_frames(study, draw),
        lambda: matched_frames(study, draw),
        lambda: apart_frames(study, draw),
        lambda: {"differences": differences(study, draw)},
    ):
        frames |= made
    return StudyResults(
        frames=frames,
        notes=tuple(notes_of(study)),
        gaps=tuple(_gaps(study)),
        confidence=draw.confidence,
        n_resamples=draw.n_resamples,
        clusters=clusters_name(study),
        warnings=warnings_of(study),
        examples=group_examples(study),
    )


def clusters_name(study: StudyRuns) -> str:
    """What the examples of a study share that belong together: a column, shared texts, or nothing."""
    known = any(run.clusters is not None for run in study.runs.values())
    return (study.clusters or SHARED_TEXTS) if known else ""


def _clusters_note(study: StudyRuns) -> list[str]:
    """That examples are not independent, and what is resampled; or that they are taken to be, on demand."""
    if study.clusters == NO_CLUSTERS:
        return ["Each example stands for itself in every interval and test, also where several share a text."]
    sizes = {
        (len(np.unique(run.clusters)), len(run.clusters)): 0 for run in study.runs.values() if run.clusters is not None
    }
    if not sizes:
        return []
    shared = shared_in(study.clusters or SHARED_TEXTS)
    told = "; ".join(f"{n_clusters:,} clusters of {n:,} examples" for n_clusters, n in sizes)
    return [f"Examples that share {shared} are one cluster in intervals and tests: {told}."]


def notes_of(study: StudyRuns) -> list[str]:
    """What examples share, and what holds for single cells: runs left out, that did not learn, that the alert ended."""
    notes = _clusters_note(study)
    notes += [
        f"{named(cell)} is excluded ({cell['excluded']}) and not expected."
        for _, cell in study.cells[study.cells["excluded"] != ""].iterrows()
    ]
    absent: dict[str, list[str]] = {}
    for run in study.runs.values():
        for sentence in run.absent:
            absent.setdefault(sentence, []).append(run.run_id)
    notes += [f"{', '.join(ids)}: {sentence}" for sentence, ids in absent.items()]
    names = study.cells.set_index("run_id")["name"]
    for run in study.runs.values():
        told = {
            "learned next to nothing: it": run.learned_little,
            "did not get above chance: its": run.at_chance,
            "was ended by the alert": run.ended_by_alert,
        }
        notes += [f"{names[run.run_id]} {what} {how}." for what, how in told.items() if how]
    return notes


def warnings_of(study: StudyRuns) -> tuple[str, ...]:
    """What must come before anything else: how many runs learned next to nothing, and which."""
    names = study.cells.set_index("run_id")["name"]
    little = [str(names[run.run_id]) for run in study.runs.values() if run.learned_little]
    if not little:
        return ()
    if len(little) == len(study.runs) > 1:
        every = "Both" if len(little) == 2 else f"All {len(little)}"
        return (f"{every} runs learned next to nothing: they {_LITTLE}",)
    named = "; ".join(little[:_MOST_NAMED]) + (
        f" and {len(little) - _MOST_NAMED} more" if len(little) > _MOST_NAMED else ""
    )
    return (f"{len(little)} of {len(study.runs)} runs learned next to nothing: {named}. They {_LITTLE}",)


def _gaps(study: StudyRuns) -> Iterator[str]:
    """One sentence for each missing run, in the order of the cells."""
    groups = {run_id: group for group in study.seed_groups for run_id in group.asked}
    for _, cell in study.asked.iterrows():
        group = groups[cell["run_id"]]
        if cell["run_id"] not in study.runs:
            seeds = f"{len(group.runs)} of {len(group.asked)} seeds"
            yield f"{named(cell)} is missing: {state_of(study, cell)}. Its group rests on {seeds}."


def named(cell: pd.Series) -> str:
    """A cell in a sentence: its run and its values."""
    return f"{cell['run_id']} ({cell['name']})"


def state_of(study: StudyRuns, cell: pd.Series) -> str:
    """Why the run of a cell is not there."""
    run_id = str(cell["run_id"])
    if run_id in study.unusable:
        return f"it cannot be used: {study.unusable[run_id]}".rstrip(".")
    if cell["status"] == "complete":
        return "it is listed as complete, but its trajectory was not given"
    status = str(cell["status"])
    return _STATES.get(status, f"it is {status}")
