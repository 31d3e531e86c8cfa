"""What fewer annotators would have shown of a run, and what the annotators that it has cannot show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from contested.analysis.checks import finite_array, same_length
from contested.analysis.intervals import keyed
from contested.analysis.ranking import codes, mean_ranks, rank_correlation
from contested.annotations.categories import Categories
from contested.annotations.certainty import Certainty, category_probabilities
from contested.annotations.disagreement import PLAIN
from contested.annotations.measures import check_counts, count_patterns, entropy
from contested.formats import CHANGE, percent
from contested.wording import counted

NUMBERS = (2, 3, 5, 10, 20)
"""Annotators of an example that are tried, where it has more."""
ALL = "all"
_DRAWS = 30
_EXAMPLES = 400_000  # examples times draws at once
_FEWEST = 10  # examples; fewer say nothing of a correlation's reliability
_HALVES = 4  # annotations that can be split so that each half shows disagreement
_SINGULAR = 1e8  # condition number of the probabilities' products from which categories are not told apart
_COARSE = 10  # annotations below which halves know so few values of H that the correlation of ranks suffers


class AnnotatorsRow(NamedTuple):
    """A run seen with some of its annotators.

    Attributes:
        annotators: How many of each example's annotations were drawn: a number, or "all".
        n: Examples with at least so many.
        rho: Spearman ρ(AULC, H), mean over draws.
        rho_sd: Its standard deviation over draws; NaN for all.
        reliability: Correlation of H with H of as many other annotators: between two draws where an example has twice
            as many annotations, else from halves of them (Spearman–Brown).
        rho_corrected: ``rho`` corrected for attenuation, ρ / √reliability: what annotators without number would show.
        same_category: Share of the examples in the category that all annotations give.
        certainty: Mean probability of an example's category given the drawn counts (Dirichlet posterior).
        note: Why a number is missing; empty otherwise.
    """

    annotators: str
    n: int
    rho: float
    rho_sd: float
    reliability: float
    rho_corrected: float
    same_category: float
    certainty: float
    note: str


class AnnotatorsChange(NamedTuple):
    """Δℓ of a category as some of the annotators give it.

    Attributes:
        annotators: How many annotations were drawn: a number, or "all".
        category: The category.
        n: Examples in it, mean over draws.
        mean: Mean Δℓ of them (nats), mean over draws that have any.
        sd: Its standard deviation over draws; NaN for all.
        expected: Examples in it by their probabilities.
        corrected: Mean Δℓ of the examples that are in the category by the distributions behind the counts: least
            squares of Δℓ on the probabilities of the categories (regression calibration), mean over draws.
        note: Why a number is missing; empty otherwise.
    """

    annotators: str
    category: str
    n: float
    mean: float
    sd: float
    expected: float
    corrected: float
    note: str


class FewAnnotators(NamedTuple):
    """A run as fewer of its annotators would have shown it.

    Attributes:
        median: Annotations of the median example.
        rows: One for each number of annotators, rising, then all.
        changes: The same by category.
    """

    median: float
    rows: tuple[AnnotatorsRow, ...]
    changes: tuple[AnnotatorsChange, ...]

    def tables(self) -> dict[str, pd.DataFrame]:
        """The rows as tables, by name."""
        return {"few_annotators": pd.DataFrame(self.rows), "few_annotators_changes": pd.DataFrame(self.changes)}

    def sentence(self) -> str:
        """Say how far the annotations that there are can be trusted to show disagreement; "" where it is unknown."""
        whole = self.rows[-1]
        if not np.isfinite(whole.certainty):
            return ""
        said = (
            f"The median example has {self.median:g} annotations: its category is that of the distribution behind them "
            f"with a probability of {percent(whole.certainty, 0)} on average"
        )
        if not np.isfinite(whole.rho_corrected):
            return f"{said}."
        corrected = f"ρ(AULC, H) corrected for it is {CHANGE(whole.rho_corrected)}"
        high = ", rather less" if whole.note else ""
        return f"{said}; the reliability of H is {whole.reliability:.2f}, and {corrected}{high}."


def few_annotators(
    label_counts: ArrayLike,
    aulc: ArrayLike,
    change: ArrayLike,
    bands: Categories,
    *,
    certainty: Certainty | None = None,
    rng: np.random.Generator,
) -> FewAnnotators:
    """ρ(AULC, H), categories and Δℓ by category with k of the annotators, and corrected for there being so few.

    The annotations of each example are drawn without replacement (multivariate hypergeometric), 30 times (fewer above
    13,000 examples). The run stays as it was: its gold labels are those of all annotations. Disagreement of few
    annotators is measured with error, so that ρ is attenuated; C. Spearman's correction (1904) divides it by the root
    of the reliability of H: its correlation with H of as many other annotators. Where there are none, halves of the
    annotations give it, extrapolated to all (Spearman 1910; Brown 1910). From four annotations halves show
    disagreement; up to nine they know few values of it, so that the reliability comes out too low, which ``note`` says.

    Args:
        label_counts: Annotations per class, shape ``(N, K)``.
        aulc: Shape ``(N,)`` (nats).
        change: Δℓ of each example, shape ``(N,)`` (nats).
        bands: The categories.
        certainty: From :func:`~contested.annotations.certainty.category_probabilities` of these counts, where it is
            there already.
        rng: Source of the draws, made from a seed; nothing is drawn from it.

    Returns:
        The rows; examples with a single annotation are in none of them.
    """
    counts = check_counts(label_counts)
    losses, changes = finite_array("aulc", aulc, 1), finite_array("change", change, 1)
    same_length(label_counts=len(counts), aulc=len(losses), change=len(changes))
    most = int(counts.sum(axis=1).max(initial=0))
    sizes: list[int | None] = [*(k for k in NUMBERS if k < most), None]
    whole = certainty or category_probabilities(counts, bands)
    found = [_Seen(counts, losses, changes, bands, whole, k, keyed(rng, "annotators", str(k))) for k in sizes]
    return FewAnnotators(
        median=float(np.median(counts.sum(axis=1))) if len(counts) else np.nan,
        rows=tuple(seen.row() for seen in found),
        changes=tuple(change for seen in found for change in seen.changes()),
    )


class _Seen:
    """The examples that have enough annotations, with k of them drawn R times; all of them, once, for None."""

    def __init__(
        self,
        counts: NDArray[np.int64],
        aulc: NDArray[np.float64],
        change: NDArray[np.float64],
        bands: Categories,
        certainty: Certainty,
        k: int | None,
        rng: np.random.Generator,
    ) -> None:
        rows = counts.sum(axis=1) >= (2 if k is None else k)
        self.name, self.bands, self.rng = ALL if k is None else str(k), bands, rng
        self.counts, self.aulc, self.change = counts[rows], aulc[rows], change[rows]
        draws = int(np.clip(_EXAMPLES // max(1, len(self.aulc)), 4, _DRAWS))
        # All are there once; drawing them again would only split them again.
        self.n_drawn = draws if k is not None else 1
        whole = np.broadcast_to(self.counts, (draws, *self.counts.shape))
        self.drawn = whole if k is None else draw_annotations(whole, np.full(whole.shape[:2], k), rng)
        self.entropy, self.coded = _entropy(self.drawn[: self.n_drawn])
        self.members = self._members(self.drawn[: self.n_drawn], self.entropy)
        # One prior for all draws, whose counts repeat from draw to draw.
        every = self.drawn.reshape(-1, self.counts.shape[1])
        found = certainty.probabilities[rows] if k is None else category_probabilities(every, bands).probabilities
        self.probabilities = found.reshape(*self.entropy.shape, len(bands.names))

    def row(self) -> AnnotatorsRow:
        n = len(self.aulc)
        if n < _FEWEST:
            nan = float("nan")
            note = f"{counted(n, 'example')}: too few to say how reliable disagreement is ({_FEWEST} needed)"
            return AnnotatorsRow(self.name, n, nan, nan, nan, nan, nan, nan, note)
        rho = rank_correlation(mean_ranks(codes(self.aulc)), mean_ranks(self.coded))
        reliability, note = self._reliability()
        mean = float(rho.mean())
        same = self.members == self._members(self.counts, entropy(self.counts))
        said = np.take_along_axis(self.probabilities, self.members[..., None], axis=2)
        return AnnotatorsRow(
            annotators=self.name,
            n=n,
            rho=mean,
            rho_sd=float(rho.std(ddof=1)) if len(rho) > 1 else np.nan,
            reliability=reliability,
            rho_corrected=mean / reliability**0.5 if reliability > 0 else np.nan,
            same_category=float(same.mean()),
            certainty=float(said.mean()),
            note=note if np.isfinite(mean) else "AULC or H is constant, so there are no ranks to compare",
        )

    def _members(self, counts: NDArray[np.int64], entropies: NDArray[np.float64]) -> NDArray[np.intp]:
        """The category of each row of counts, shape (..., K) to (...), by the measure that categories are bands of."""
        measure = self.bands.disagreement
        values = entropies if measure == PLAIN else measure.of(counts.reshape(-1, counts.shape[-1]))
        return np.searchsorted(self.bands.bounds, values.reshape(entropies.shape), side="right")

    def _reliability(self) -> tuple[float, str]:
        """That of H with the annotations drawn; and why it is missing, or what is wrong with it."""
        drawn = self.drawn.sum(axis=2)
        twice = self.counts.sum(axis=1) >= 2 * drawn[0]
        if twice.mean() > 0.5 and twice.sum() >= _FEWEST:
            others = self.counts[twice] - self.drawn[:, twice]
            again = draw_annotations(others, drawn[:, twice], self.rng)
            return _agreeing(self.drawn[:, twice], again)
        if drawn.min() < _HALVES:
            return np.nan, f"fewer than {_HALVES} annotations: halves show no disagreement, so nothing is corrected"
        half = draw_annotations(self.drawn, drawn // 2, self.rng)
        between, note = _agreeing(half, self.drawn - half)
        few = "halves of so few annotations agree too little: the reliability is too low, and ρ corrected too high"
        return 2 * between / (1 + between), note or (few if np.median(drawn) < _COARSE else "")

    def changes(self) -> Iterator[AnnotatorsChange]:
        inside = self.members[:, :, None] == np.arange(len(self.bands.names))
        sizes = inside.sum(axis=1)
        sums = np.einsum("rnb,n->rb", inside, self.change)
        means = np.divide(sums, sizes, out=np.full(sums.shape, np.nan), where=sizes > 0)
        corrected, note = self._corrected()
        expected = self.probabilities.sum(axis=1).mean(axis=0)
        for place, name in enumerate(self.bands.names):
            known = means[np.isfinite(means[:, place]), place]
            yield AnnotatorsChange(
                annotators=self.name,
                category=name,
                n=float(sizes[:, place].mean()),
                mean=float(known.mean()) if len(known) else np.nan,
                sd=float(known.std(ddof=1)) if len(known) > 1 else np.nan,
                expected=float(expected[place]),
                corrected=float(corrected[place]),
                note=note if len(known) else f"no split of {self.name} annotations that occurs is {name}",
            )

    def _corrected(self) -> tuple[NDArray[np.float64], str]:
        """Mean Δℓ by category from least squares on the probabilities; and why it is missing."""
        p, width = self.probabilities, len(self.bands.names)
        among = np.swapaxes(p, 1, 2) @ p
        if len(self.change) < _FEWEST or np.linalg.cond(among).max() > _SINGULAR:
            return np.full(width, np.nan), "the counts tell too few categories apart, so Δℓ is not corrected"
        slopes = np.linalg.solve(among, np.swapaxes(p, 1, 2) @ self.change[:, None])
        return np.asarray(slopes[..., 0].mean(axis=0)), ""


def draw_annotations(
    label_counts: NDArray[np.int64], sizes: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw some of the annotations of each example without replacement.

    Args:
        label_counts: Shape ``(..., K)``.
        sizes: How many of each, shape ``(...)``, at most as many as there are.
        rng: Source of the draws.

    Returns:
        Their counts, shape ``(..., K)``: multivariate hypergeometric, class by class.
    """
    rest, left = label_counts.sum(axis=-1), np.array(sizes)
    drawn = np.zeros(label_counts.shape, np.int64)
    for column in range(label_counts.shape[-1] - 1):
        rest = rest - label_counts[..., column]
        drawn[..., column] = rng.hypergeometric(label_counts[..., column], rest, left)
        left = left - drawn[..., column]
    drawn[..., -1] = left
    return drawn


def _entropy(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """H of any stack of counts, shape (..., K) to (...), and whole numbers from 0 that rank alike."""
    patterns, which = count_patterns(counts.reshape(-1, counts.shape[-1]))
    found = entropy(patterns) if len(patterns) else np.zeros(0)
    shape = counts.shape[:-1]
    return found[which].reshape(shape), codes(found)[which].reshape(shape)


def _agreeing(first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[float, str]:
    """Mean ρ over draws of H by two draws of annotations; NaN, and why, where they have nothing in common."""
    between = float(rank_correlation(*(mean_ranks(_entropy(counts)[1]) for counts in (first, second))).mean())
    if between > 0:
        return between, ""
    return np.nan, "halves of the annotations do not agree on what is contested, so nothing is corrected"
