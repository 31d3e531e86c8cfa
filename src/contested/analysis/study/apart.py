"""The loss change of a study's groups taken apart: towards the annotators or away, and at the same first loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.decomposition import label_change, majority_probabilities, redrawn_change, taken_apart
from contested.analysis.first_loss import at_equal_first_loss
from contested.analysis.seeds import ONE_SEED
from contested.analysis.study.cells import StudyRuns
from contested.analysis.study.columns import columns_of, frame_of
from contested.analysis.study.groups import Resampling, SeedGroup, categories_of, of_rows
from contested.analysis.study.runs import Run

Majorities = Callable[[NDArray[np.int64]], NDArray[Any]]


def apart_frames(study: StudyRuns, draw: Resampling) -> dict[str, pd.DataFrame]:
    """What the loss change of each group is made of, and how far its categories lie apart at the same first loss.

    Args:
        study: The study.
        draw: How intervals are made; every group resamples the same examples of a category.

    Returns:
        ``decomposition`` and ``first_loss``.
    """
    names, child = [axis.name for axis in study.axes], draw.named("groups")
    known: dict[bytes, NDArray[Any]] = {}

    def majorities(votes: NDArray[np.int64]) -> NDArray[Any]:
        # The groups of a study have the same annotators, as a rule.
        key = votes.tobytes()
        if key not in known:
            known[key] = majority_probabilities(votes, rng=child.named("majority").rng)
        return known[key]

    rows: dict[str, list[dict[str, Any]]] = {"decomposition": [], "first_loss": []}
    for group in study.seed_groups:
        of = {"group": study.label(group.key)}
        rows["decomposition"] += [of | row for row in _parts(group, child, majorities)]
        rows["first_loss"] += [of | row for row in _lines(group, child)]
    return {name: frame_of(name, columns_of(name, names), found) for name, found in rows.items()}


def _parts(group: SeedGroup, draw: Resampling, majorities: Majorities) -> Iterator[dict[str, Any]]:
    if group.problem or not all({"loss_change", "kl_change"} <= run.columns.keys() for run in group.usable):
        lacking = "" if group.problem else "not taken apart: the runs lack logits, gold labels or annotators"
        yield group.row(lacking, category="")
        return
    change, kl = (_stacked(group.usable, name) for name in ("loss_change", "kl_change"))
    known = np.flatnonzero(np.isfinite(change + kl).all(axis=0))
    votes = next(run.label_counts for run in group.usable if run.label_counts is not None)
    chances = majorities(votes)
    redrawn = np.stack([redrawn_change(*_ends(run), chances) for run in group.usable])
    labels = next((run.original for run in group.usable if run.original is not None), None)
    original = None if labels is None else np.stack([label_change(*_ends(run), labels) for run in group.usable])
    categories, names = categories_of(group.usable, change.shape[1])
    found = taken_apart(
        change[:, known],
        kl[:, known],
        redrawn[:, known],
        categories[known],
        names,
        original=None if original is None else original[:, known],
        clusters=of_rows(group.clusters, known),
        **draw.options,
    )
    yield from _told(group, found)


def _lines(group: SeedGroup, draw: Resampling) -> Iterator[dict[str, Any]]:
    if group.problem or any("loss_change" not in run.columns for run in group.usable):
        yield group.row("" if group.problem else "no lines: the runs have no losses", category="", by="")
        return
    change, first = (_stacked(group.usable, name) for name in ("loss_change", "loss_first"))
    categories = categories_of(group.usable, change.shape[1])
    found = at_equal_first_loss(change, first, *categories, clusters=group.clusters, confidence=draw.confidence)
    yield from _told(group, found)


def _told(group: SeedGroup, found: pd.DataFrame) -> Iterator[dict[str, Any]]:
    alone = ONE_SEED if len(group.usable) == 1 else ""
    for row in found.to_dict("records"):
        yield group.row(alone, row.pop("note"), **{str(name): value for name, value in row.items()})


def _stacked(runs: tuple[Run, ...], name: str) -> NDArray[np.float64]:
    return np.stack([run.columns[name].astype(np.float64) for run in runs])


def _ends(run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The logits of the first and last checkpoint."""
    assert run.first_logits is not None, "a run whose KL changed has logits"
    assert run.last_logits is not None
    return run.first_logits, run.last_logits
