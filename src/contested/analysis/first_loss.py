"""Δℓ of categories at equal first loss: what is left of their difference without regression to the mean.

An example whose first loss happened to be low has a loss that rises, and one whose first loss happened to be high one
that falls, whatever training does, for Δℓ holds the first loss with a minus sign. So each category has a line of Δℓ on
the first loss, and categories are compared where their lines meet the mean first loss.

The first loss is noisy itself (a new head is drawn at random), which makes the slope of that line too steep, and leaves
a part of the difference in. The first loss of the same examples under other seeds has its own noise: as an instrument
it finds the line on what the first losses of seeds share (two-stage least squares; R. Bowden and D. Turkington,
"Instrumental Variables", 1984). That holds where what seeds share is the example's own, and the rest is chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import OVERALL, category_rows, check_confidence, finite_array, same_length
from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.crossed import crossed_ends, share_of_examples
from contested.analysis.intervals import Clusters, too_few
from contested.analysis.measures import Columns
from contested.analysis.sentences import examples_of
from contested.formats import CHANGE, NATS
from contested.wording import joined

Floats = NDArray[np.float64]

COVARIATE, INSTRUMENT = "first loss", "first loss of other seeds"
FIRST_LOSS_COLUMNS = (
    *("category", "by", "n", "mean_first", "change"),
    *("slope", "slope_low", "slope_high", "adjusted", "adjusted_low", "adjusted_high"),
    *("unadjusted", "difference", "difference_low", "difference_high", "at", "agreement", "strength", "note"),
)
"""The columns of :func:`at_equal_first_loss`."""
WEAK = 10.0
"""The F of the first stage below which an instrument is too weak (D. Staiger and J. Stock, Econometrica 65, 1997)."""

_EQUAL = 1e-3  # of their spread over examples, how far first losses of two seeds lie apart that are the same
_ALONE = 1e-9  # of a determinant, what is left of it without a cluster that decides it alone


def at_equal_first_loss(
    change: ArrayLike,
    first: ArrayLike,
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    *,
    clusters: Clusters = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Lines of Δℓ on the first loss, one a category, and how far categories lie apart at the mean first loss.

    Standard errors are those of the jackknife that leaves out one cluster after the other, HC3 where no two examples
    are in one (J. MacKinnon, M. Nielsen and M. Webb, "Fast and reliable jackknife and bootstrap methods for
    cluster-robust inference", 2023), with Student's t. Over several seeds numbers are means over seeds, with intervals
    over examples and seeds (:mod:`~contested.analysis.crossed`), and there are lines on the first loss of the other
    seeds, too.

    Args:
        change: Change Δℓ of the loss of N examples, shape ``(N,)``, or under S seeds, shape ``(S, N)`` (nats).
        first: Loss at the first checkpoint, likewise (nats).
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy; none where there are no categories.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        One row for each category, or one for all examples where there are none, by the first loss as a covariate
        (``by``), then with several seeds by that of the other seeds as an instrument: means of the first loss
        (``mean_first``) and ``change``; ``slope``; ``adjusted``, the line's Δℓ at the mean first loss ``at`` of all
        examples; ``difference``, how much higher that is than for the first category with examples, and
        ``unadjusted``, the same of mean Δℓ; interval ends; ``agreement``, the mean correlation of the first losses of
        two seeds; ``strength``, the least F of the first stages; ``note``.
    """
    check_confidence(confidence)
    arrays = [np.atleast_2d(np.asarray(given, np.float64)) for given in (change, first)]
    moved, start = (finite_array(name, array, 2) for name, array in zip(("change", "first"), arrays, strict=True))
    same_length(change=moved.shape[1], first=start.shape[1], categories=len(categories))
    same_length(seeds_of_change=len(moved), seeds_of_first=len(start))
    rows = {name: found for name, found in category_rows(categories, names).items() if name != OVERALL or not names}
    codes = cluster_codes(clusters, start.shape[1])
    told = [_Lines(moved, start, None, codes, confidence).table(rows)]
    if len(start) > 1:
        told.append(_Lines(moved, start, _of_others(start), codes, confidence).table(rows))
    return pd.DataFrame([row for part in told for row in part], columns=list(FIRST_LOSS_COLUMNS))


def lines_of_run(
    columns: Columns,
    order: NDArray[np.intp],
    categories: NDArray[Any],
    names: Sequence[str],
    clusters: Clusters,
    confidence: float,
) -> pd.DataFrame | None:
    """:func:`at_equal_first_loss` of a run, without the columns of several seeds.

    Args:
        columns: The run's measures, in its own order.
        order: The order of the ids, shape ``(N,)``.
        categories: The category of each example, shape ``(N,)``, in the order of the ids.
        names: The categories in order of rising entropy.
        clusters: What examples share, likewise; None where each stands for itself.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        The frame; None where the run lacks the change of the loss.
    """
    if "loss_change" not in columns:
        return None
    change, first = (columns[name][order] for name in ("loss_change", "loss_first"))
    found = at_equal_first_loss(change, first, categories, names, clusters=clusters, confidence=confidence)
    return found.drop(columns=["by", "agreement", "strength"])


def agreement(first: ArrayLike) -> float:
    """The mean correlation of the first losses of two seeds.

    Args:
        first: Shape ``(S, N)``.

    Returns:
        Mean of Pearson's r over pairs; NaN with one seed or where a seed's are all the same.
    """
    array = finite_array("first", first, 2)
    n_seeds = len(array)
    if n_seeds < 2 or array.shape[1] < 2 or (np.ptp(array, axis=1) == 0).any():
        return float("nan")
    return float(np.asarray(np.corrcoef(array))[np.triu_indices(n_seeds, 1)].mean())


class _Line(NamedTuple):
    """The line of some examples under each of S seeds.

    Attributes:
        found: Level and slope, shape (S, 2).
        moved: How far each cluster moves them, shape (S, G, 2).
        size: Clusters with examples.
        note: Why there is no line; empty otherwise.
    """

    found: Floats
    moved: Floats
    size: int
    note: str

    def less(self, other: _Line) -> _Line:
        """How far this line lies above another."""
        return _Line(self.found - other.found, self.moved - other.moved, min(self.size, other.size), "")

    def ends(self, which: int, confidence: float) -> tuple[float, float, float]:
        """The mean over seeds of level (0) or slope (1), and its interval over examples and seeds."""
        found, moved = self.found[:, which], self.moved[..., which]
        estimate = found.mean(keepdims=True)
        half = special.stdtrit(max(self.size - 2, 1), 0.5 + confidence / 2) * np.sqrt((moved.mean(axis=0) ** 2).sum())
        low, high = estimate - half, estimate + half
        if len(found) > 1 and np.isfinite(half):
            share = share_of_examples([moved[..., None]], np.arange(moved.shape[1]))
            low, high = crossed_ends(estimate, (low, high), [found[:, None]], share, confidence)
        return float(estimate[0]), float(low[0]), float(high[0])


class _Lines(NamedTuple):
    """What lines are made of: Δℓ and first losses (S, N), an instrument or None, clusters' numbers, confidence."""

    change: Floats
    first: Floats
    instrument: Floats | None
    codes: NDArray[np.intp]
    confidence: float

    def table(self, categories: dict[str, NDArray[np.intp]]) -> list[dict[str, Any]]:
        """A row for each category, compared with the first that has examples."""
        reference = next((rows for rows in categories.values() if len(rows)), None)
        return [self._row(name, rows, reference) for name, rows in categories.items()]

    def _row(self, name: str, rows: NDArray[np.intp], reference: NDArray[np.intp] | None) -> dict[str, Any]:
        at = float(self.first.mean()) if self.first.size else np.nan
        row: dict[str, Any] = {"category": name, "by": COVARIATE if self.instrument is None else INSTRUMENT}
        row |= {
            "n": len(rows),
            "at": at,
            "mean_first": _mean(self.first[:, rows]),
            "change": _mean(self.change[:, rows]),
        }
        row |= {"agreement": agreement(self.first[:, rows]), "strength": self._strength(rows)}
        line, base = (self._line(own, at) for own in (rows, rows if reference is None else reference))
        parts = {"adjusted": (line, 0), "slope": (line, 1)}
        if rows is reference or name == OVERALL:
            note = "" if name == OVERALL else "the other categories are compared with it"
        else:
            parts["difference"] = (line.less(base), 0)
            row["unadjusted"] = row["change"] - _mean(self.change[:, reference])
            note = f"compared with: {base.note}" if base.note and not line.note else ""
        for part, (of, which) in parts.items():
            row |= dict(zip((part, f"{part}_low", f"{part}_high"), of.ends(which, self.confidence), strict=True))
        return row | {"note": joined(line.note, note)}

    def _line(self, rows: NDArray[np.intp], at: float) -> _Line:
        """The line of some examples; NaN, explained, where there is none."""
        n_clusters, size = int(self.codes.max(initial=-1)) + 1, len(np.unique(self.codes[rows]))
        first = self.first[:, rows]
        note = too_few(size, self.confidence, "example" if size == len(rows) else "cluster") or self._problem(rows)
        if not note:
            z = first if self.instrument is None else self.instrument[:, rows]
            line = _fitted(self.change[:, rows], first, z, at, self.codes[rows], n_clusters)
            if np.isfinite(line.found).all():
                return line._replace(size=size)
            note = "the line rests on one example alone"
        missing = np.full((len(first), n_clusters, 2), np.nan)
        return _Line(missing[:, 0], missing, size, note)

    def _problem(self, rows: NDArray[np.intp]) -> str:
        """Why some examples have no line; empty where they have."""
        first = self.first[:, rows]
        if (np.ptp(first, axis=1) <= _EQUAL * np.abs(first).max()).any():
            return "constant: first losses, so there is no line"
        if self.instrument is None:
            return ""
        if first.std(axis=0).max() <= _EQUAL * first.std(axis=1).max():
            return "the seeds have the same first losses: the line on their own is all there is"
        strength = self._strength(rows)
        if not strength >= WEAK:
            return f"weak instrument: first losses of the seeds hardly agree (F = {strength:.1f}, {WEAK:g} needed)"
        return ""

    def _strength(self, rows: NDArray[np.intp]) -> float:
        """The least F over seeds of the slope, if above 0, of the first loss on that of the others; 0 otherwise."""
        if len(self.first) < 2 or len(rows) < 3:
            return float("nan")
        first, z = self.first[:, rows], _of_others(self.first)[:, rows]
        if (np.ptp(z, axis=1) == 0).any():
            return float("nan")
        line = _fitted(first, z, z, 0.0, self.codes[rows], int(self.codes.max()) + 1)
        if not np.isfinite(line.found).all():
            return 0.0  # one example alone decides it
        slope, error = line.found[:, 1], np.sqrt((line.moved[..., 1] ** 2).sum(axis=1))
        return float(np.min(np.where(slope > 0, slope / np.maximum(error, 1e-300), 0.0) ** 2))


def _of_others(first: Floats) -> Floats:
    """The mean first loss of the other seeds, of two seeds or more, shape (S, N)."""
    return np.asarray((first.sum(axis=0) - first) / (len(first) - 1))


def _fitted(change: Floats, first: Floats, z: Floats, at: float, codes: NDArray[np.intp], n_clusters: int) -> _Line:
    """The line of Δℓ on the first loss by the instrument z, (S, n) each; NaN where one cluster alone decides it."""
    middle = first.mean(axis=1, keepdims=True)
    ones = np.ones_like(first)
    design, instruments = np.stack([ones, first - middle], -1), np.stack([ones, z - z.mean(axis=1, keepdims=True)], -1)
    products = instruments[..., :, None] * np.concatenate([design, change[..., None]], -1)[..., None, :]
    flat = products.transpose(1, 0, 2, 3).reshape(first.shape[1], -1)
    sums = cluster_sums(flat, codes, n_clusters).reshape(n_clusters, len(first), 2, 3).swapaxes(0, 1)
    whole = sums.sum(axis=1)
    without = whole[:, None] - sums
    decided = np.abs(np.linalg.det(without[..., :2])).min() <= _ALONE * np.abs(np.linalg.det(whole[..., :2])).max()
    if decided:
        return _Line(np.full((len(first), 2), np.nan), np.empty(0), 0, "")
    found, others = (np.linalg.solve(part[..., :2], part[..., 2:])[..., 0] for part in (whole, without))
    to_level = np.stack([ones[:, 0], at - middle[:, 0]], -1)  # the line's value at the mean first loss
    found, others = (
        np.stack([(part * weight).sum(-1), part[..., 1]], -1)
        for part, weight in ((found, to_level), (others, to_level[:, None]))
    )
    return _Line(found, found[:, None] - others, 0, "")


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else np.nan


def first_loss_sentence(found: pd.DataFrame | None, interval: str) -> str:
    """Say how far the categories of most and of least disagreement lie apart at the same first loss, in one run.

    Args:
        found: From :func:`at_equal_first_loss`, or None.
        interval: What an interval is called.

    Returns:
        The sentence; "" where nothing can be said.
    """
    rows = [] if found is None else found[found["n"] > 0].to_dict("records")
    if len(rows) < 2 or not np.isfinite(rows[-1]["difference"]):
        return ""
    row, of, than = rows[-1], *(examples_of(rows[place]["category"]) for place in (-1, 0))
    difference, slope = (
        f"{CHANGE(row[part])} nats [{CHANGE(row[f'{part}_low'])}, {CHANGE(row[f'{part}_high'])}]"
        for part in ("difference", "slope")
    )
    return (
        f"At the same first loss ({NATS(row['at'])} nats), mean Δℓ of {of} less that of {than} is {difference}, "
        f"against {CHANGE(row['unadjusted'])} as they are ({interval}s). Among {of} a nat more of first loss goes with "
        f"a change of {slope}, which regression to the mean alone makes negative."
    )
