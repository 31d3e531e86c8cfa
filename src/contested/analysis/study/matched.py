"""Methods, ranks and rates of a study, compared where their runs had reached the same training or held-out loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.checks import OVERALL
from contested.analysis.influence import rank_influence
from contested.analysis.matched import MARGIN, MatchedDifference, matched_curve, matched_difference, shared_levels
from contested.analysis.matched_parts import Side, side_of, together
from contested.analysis.progress import HELD_OUT, TRAINING, at_levels
from contested.analysis.ranking import BATCH, codes, mean_ranks, rank_correlation
from contested.analysis.study.cells import Axis, StudyRuns, grouped
from contested.analysis.study.columns import columns_of, frame_of
from contested.analysis.study.differences import compared
from contested.analysis.study.groups import (
    Resampling,
    SeedGroup,
    categories_of,
    clusters_of,
    different_examples,
    of_rows,
    rows_by_category,
)
from contested.analysis.study.runs import Run
from contested.naming import Part, label, value_name
from contested.wording import joined

AGAINST = (TRAINING, HELD_OUT)
"""The losses at which runs are matched, in the order in which they are shown."""
CHANGE, RHO = "loss_change", "rho"
"""The quantities compared: Δℓ by category, and ρ of the loss with annotation entropy."""
METHOD_VERDICT = "method"
_METHOD, _TRAINING = "method", "training"
_FRAMES = ("matched", "matched_curves", "matched_differences")
_NO_LOSS = "not every run recorded its {against}"
_LEAST_RANGE = 0.1
"""Nats between the first and the last loss compared, below which nothing is called a phase: too little had happened."""
_NARROW = "both reached only losses less than 0.1 nats apart: too little had happened to call it a phase"
_NO_SHARED = "no {against} that the runs of both sides reached"

Floats = NDArray[np.float64]


class _Side(NamedTuple):
    """The runs with one value of an axis, whatever is pooled."""

    name: str
    groups: tuple[SeedGroup, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for group in self.groups for run in group.usable)


class _Line(NamedTuple):
    """Sides along one axis, all else held or pooled: which of them are compared, and what is held."""

    axis: Axis
    is_method: bool
    sides: Mapping[Any, _Side]
    held: str

    @property
    def pairs(self) -> list[tuple[_Side, _Side]]:
        values = sorted(self.sides) if self.axis.numeric else [v for v in self.axis.values if v in self.sides]
        return [(self.sides[one], self.sides[other]) for one, other in compared(values, self.axis.numeric)]


class _Quantity(NamedTuple):
    """What is compared: of runs' losses at G losses reached and their first ones, each example's share of the quantity.

    Shapes (R, G, N) and (R, N) give (R, G, n), n the number of rows.
    """

    name: str
    category: str
    rows: NDArray[np.intp]
    of: Callable[[Floats, Floats], Floats]


def matched_frames(study: StudyRuns, draw: Resampling) -> dict[str, pd.DataFrame]:
    """Compare the runs of a study where they had reached the same loss.

    Along an axis that sets the method (its kind, its rank) the runs of each value are pooled over learning rates and
    whatever else only sets how training goes; along such an axis the method is held. Axes that change data or
    backbone change what a loss means, and are held, too.

    Args:
        study: The study.
        draw: How bands are made.

    Returns:
        ``matched``, ``matched_curves`` and ``matched_differences``; empty where nothing varies that can be matched.
    """
    child = draw.named("matched")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _FRAMES}
    for line in _lines(study):
        for against in AGAINST:
            for name, row in _of_line(line, against, child):
                rows[name].append(row)
    return {name: frame_of(name, columns_of(name, ()), rows[name]) for name in _FRAMES}


def _lines(study: StudyRuns) -> Iterator[_Line]:
    sections = {axis.name: _sections(study, axis) for axis in study.varying}
    courses = [axis for axis in study.varying if sections[axis.name] <= {_METHOD, _TRAINING}]
    for axis in courses:
        is_method = _METHOD in sections[axis.name]
        pooled = {other.name for other in courses if is_method and sections[other.name] == {_TRAINING}} - {axis.name}
        found: dict[tuple[Any, ...], dict[Any, list[SeedGroup]]] = {}
        for group in study.seed_groups:
            held = tuple(value for name, value in group.key.items() if name not in {axis.name, *pooled})
            found.setdefault(held, {}).setdefault(group.key[axis.name], []).append(group)
        for values in found.values():
            sides = {
                value: _Side(value_name(value, axis.name, axis.key), tuple(groups)) for value, groups in values.items()
            }
            if len(sides) > 1:
                yield _Line(axis, is_method, sides, _held(study, axis, pooled, next(iter(sides.values())).groups[0]))


def _held(study: StudyRuns, axis: Axis, pooled: set[str], group: SeedGroup) -> str:
    others = [other for other in study.varying if other.name not in {axis.name, *pooled}]
    parts = [Part(other.name, group.key[other.name], other.plain, other.key) for other in others]
    return label(parts) if parts else ""


def _sections(study: StudyRuns, axis: Axis) -> frozenset[str]:
    """The sections of a run's configuration in which the values of an axis differ."""
    cells = study.asked
    if "setting" not in cells:
        return frozenset({(axis.key or axis.name).partition(".")[0]})
    others = [other.name for other in study.axes if other is not axis]
    found: set[str] = set()
    for rows in grouped(cells, others):
        settings = [json.loads(text) for text in rows["setting"].unique()]
        names = {name for setting in settings for name in setting}
        found |= {name for name in names if any(one.get(name) != settings[0].get(name) for one in settings)}
    return frozenset(found) or frozenset({axis.name})


def _of_line(line: _Line, against: str, draw: Resampling) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of every frame, each with the frame's name."""
    for side in line.sides.values():
        yield from (("matched_curves", row) for row in _curve_rows(line, side, against, draw))
    for first, second in line.pairs:
        yield from _pair_rows(line, first, second, against, draw)


def _curve_rows(line: _Line, side: _Side, against: str, draw: Resampling) -> Iterator[dict[str, Any]]:
    runs = [run for run in side.runs if against in run.reached and run.losses is not None]
    if not runs or different_examples(runs):
        return
    levels = shared_levels(*[[run.reached[against] for run in runs]] * 2)
    if not len(levels):
        return
    quantities = list(_quantities(runs))
    for quantity, reached in zip(quantities, _reached(runs, against, levels, quantities), strict=True):
        clusters = of_rows(clusters_of(runs), quantity.rows)
        found = matched_curve(reached, clusters, **draw.named(quantity.category).options)
        shared = {
            **{"axis": line.axis.name, "side": side.name, "held": line.held, "against": against},
            **{"quantity": quantity.name, "category": quantity.category, "n": found.n, "note": found.note},
        }
        most = 1.0 if quantity.name == RHO else np.inf  # no mean ρ lies beyond
        low, high = np.maximum(found.low, -most), np.minimum(found.high, most)
        for loss, mean, low_end, high_end, n_runs in zip(levels, found.estimate, low, high, found.n_runs, strict=True):
            ends = {"mean": float(mean), "low": float(low_end), "high": float(high_end)}
            yield {**shared, "loss": float(loss), "n_runs": int(n_runs), **ends}


def _pair_rows(
    line: _Line, first: _Side, second: _Side, against: str, draw: Resampling
) -> Iterator[tuple[str, dict[str, Any]]]:
    shared = {
        **{"axis": line.axis.name, "from": first.name, "to": second.name, "held": line.held, "against": against},
    }
    provenance = {**_provenance(first, second), "kind": _METHOD if line.is_method else _TRAINING}
    runs = [[run for run in side.runs if run.losses is not None] for side in (first, second)]
    levels, problem = _levels(runs, against)
    if problem:
        # That validation examples were not tracked is the rule and needs no row.
        if problem != _NO_LOSS.format(against=HELD_OUT):
            yield "matched", {**shared, **provenance, "verdict": "inconclusive", "note": problem}
        return
    notes = [group.problem for side in (first, second) for group in side.groups if group.problem]
    both = [*runs[0], *runs[1]]
    quantities = list(_quantities(both))
    reached = zip(*(_reached(side, against, levels, quantities) for side in runs), strict=True)
    ended = zip(*(_ended(side, quantities) for side in runs), strict=True)
    for quantity, sides, ends in zip(quantities, reached, ended, strict=True):
        clusters = of_rows(clusters_of(both), quantity.rows)
        named = {"clusters": clusters, **draw.named(quantity.category).options}
        found = matched_difference(*sides, margin=MARGIN, **named)
        end = matched_difference(*ends, margin=MARGIN, **named)
        own = {**shared, "quantity": quantity.name, "category": quantity.category, "n": found.n}
        yield "matched", {**own, **provenance, **_summary(line, levels, found, end, notes)}
        yield from (("matched_differences", {**own, **row}) for row in _by_level(levels, found))


def _levels(runs: Sequence[Sequence[Run]], against: str) -> tuple[Floats, str]:
    """The losses at which two sides are compared, or why there are none."""
    nothing = np.empty(0)
    if not all(runs):
        return nothing, "no complete run with losses on one side"
    if problem := different_examples([*runs[0], *runs[1]]):
        return nothing, problem
    if any(against not in run.reached for side in runs for run in side):
        return nothing, _NO_LOSS.format(against=against)
    levels = shared_levels(*[[run.reached[against] for run in side] for side in runs])
    return levels, "" if len(levels) else _NO_SHARED.format(against=against)


def _reached(runs: Sequence[Run], against: str, levels: Floats, quantities: Sequence[_Quantity]) -> list[Side]:
    """Each quantity where the runs of a side had reached some losses."""
    return _sides(runs, len(levels), lambda run: at_levels(run.reached[against], _losses(run), levels), quantities)


def _ended(runs: Sequence[Run], quantities: Sequence[_Quantity]) -> list[Side]:
    """Each quantity at the last checkpoints of the runs of a side, however far each had got."""
    return _sides(runs, 1, lambda run: _losses(run)[-1:], quantities)


def _sides(
    runs: Sequence[Run], n_levels: int, losses_of: Callable[[Run], Floats], quantities: Sequence[_Quantity]
) -> list[Side]:
    """Each quantity in the runs of a side, few enough of them at once."""
    found: list[list[Side]] = [[] for _ in quantities]
    step = max(1, BATCH // (n_levels * len(runs[0].example_ids)))
    for start in range(0, len(runs), step):
        some = runs[start : start + step]
        losses, first = np.stack([losses_of(run) for run in some]), np.stack([_losses(run)[0] for run in some])
        for own, quantity in zip(found, quantities, strict=True):
            own.append(side_of(quantity.of(losses, first)))
    return [together(parts) for parts in found]


def _losses(run: Run) -> Floats:
    assert run.losses is not None, "runs without losses are not matched"
    return run.losses


def _quantities(runs: Sequence[Run]) -> Iterator[_Quantity]:
    """Δℓ of each category, highest entropy first, and ρ where the annotators are known."""
    by_category = rows_by_category(*categories_of(runs, len(runs[0].example_ids)))
    for category, rows in reversed(by_category.items()):
        if len(rows) and (category != OVERALL or len(by_category) == 1):
            yield _Quantity(CHANGE, category, rows, _change(rows))
    entropy = next((run.entropy for run in runs if run.entropy is not None), None)
    if entropy is None:
        return
    rows = np.flatnonzero(np.isfinite(entropy))
    if len(np.unique(entropy[rows])) > 1:
        yield _Quantity(RHO, OVERALL, rows, _rho(rows, entropy[rows]))


def _change(rows: NDArray[np.intp]) -> Callable[[Floats, Floats], Floats]:
    return lambda losses, first: np.asarray(losses[:, :, rows] - first[:, None, rows], np.float64)


def _rho(rows: NDArray[np.intp], entropy: Floats) -> Callable[[Floats, Floats], Floats]:
    """Of each example ρ plus its influence on it, whose mean is ρ and whose spread is its own over examples."""
    coded = codes(entropy)
    ranks = mean_ranks(coded)

    def contributions(losses: Floats, _: Floats) -> Floats:
        own = losses[:, :, rows]
        found = np.full(own.shape, np.nan)
        ranked = np.isfinite(own).all(axis=2) & (np.ptp(own, axis=2) > 0)
        if ranked.any():
            of_losses = codes(own[ranked])
            rho = rank_correlation(mean_ranks(of_losses), ranks)
            found[ranked] = rho[:, None] + rank_influence(of_losses, coded)
        return found

    return contributions


def _summary(
    line: _Line, levels: Floats, found: MatchedDifference, end: MatchedDifference, notes: Sequence[str]
) -> dict[str, Any]:
    narrow = found.verdict == "phase" and levels[0] - levels[-1] < _LEAST_RANGE
    verdicts = {
        "differs": METHOD_VERDICT if line.is_method else "differs",
        "phase": "inconclusive" if narrow else "phase",
    }
    row: dict[str, Any] = {
        "n_clusters": found.n_clusters,
        "verdict": verdicts.get(found.verdict, found.verdict),
        "loss_from": float(levels[0]),
        "loss_to": float(levels[-1]),
        "margin": found.margin,
        "end": float(end.estimate[0]),
        "end_low": float(end.low[0]),
        "end_high": float(end.high[0]),
        "note": joined(_NARROW if narrow else "", found.note, *dict.fromkeys(notes)),
    }
    known = np.isfinite(found.low)
    if not known.any():
        return row
    bounds = np.maximum(np.abs(found.low_each), np.abs(found.high_each))
    # Where it is farthest from 0 in units of its uncertainty.
    half = np.where(known, found.high - found.low, 1.0)
    place = int(np.argmax(np.where(known, np.abs(found.estimate) / np.where(half > 0, half, 1.0), -1.0)))
    at = {"at_loss": levels, "difference": found.estimate, "low": found.low, "high": found.high}
    return row | {name: float(values[place]) for name, values in at.items()} | {"within": float(bounds[known].max())}


def _by_level(levels: Floats, found: MatchedDifference) -> Iterator[dict[str, Any]]:
    names = ("difference", "low", "high", "low_each", "high_each")
    for index, loss in enumerate(levels.tolist()):
        yield {
            "loss": loss,
            "n_from": int(found.n_first[index]),
            "n_to": int(found.n_second[index]),
            **{name: float(values[index]) for name, values in zip(names, found[:5], strict=True)},
            "note": found.note,
        }


def _provenance(first: _Side, second: _Side) -> dict[str, Any]:
    every = [group.provenance for side in (first, second) for group in side.groups]
    texts = {key: ",".join(filter(None, (one[key] for one in every))) for key in ("run_ids", "missing")}
    return {**texts, **{key: sum(one[key] for one in every) for key in ("n_seeds", "n_expected")}}
