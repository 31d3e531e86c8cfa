"""Label errors against genuine disagreement: which votes are likely slips, given who gave them and what others said.

Each item i has a distribution θ_i ~ Dirichlet(a, …, a) of the labels that attentive people give it: one label where
all would agree, several where they would not. Annotator j slips in a share e_j ~ Beta of the votes. A vote is drawn
from θ_i where its annotator attends, and uniformly from the K classes where the annotator slips: MACE (Hovy et al.
2013) with a distribution in place of each item's one true label. A lone dissent by somebody who dissents everywhere is
then likely a slip, and an even split of people who mostly agree is not.

None of this can be known from counts alone, which do not say whose a vote is. An annotator who sees all items
differently from everyone else looks like one who slips. And how often people slip on the whole is told apart from how
often they really disagree by the pattern of votes alone: trust the order of the votes more than their probabilities.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from contested.annotations.votes import Votes

CHAINS = 2
_FEWEST_SWEEPS, _MOST_SWEEPS = 200, 1000  # of each chain; a quarter as many come before them
_WORK = 5_000_000  # votes times sweeps of a chain
_UNSETTLED = 0.05  # difference of the chains' mean slip rates from which they are said to disagree
# Beta priors of slip rates: means over annotators a priori Beta(1, 9), sizes (how alike annotators are) log-uniform.
_MEANS, _SIZES = (grid.ravel() for grid in np.meshgrid(np.geomspace(0.005, 0.6, 20), np.geomspace(2.0, 200.0, 8)))
_ALPHA, _BETA = _MEANS * _SIZES, (1.0 - _MEANS) * _SIZES
_LOG_BETA = special.betaln(_ALPHA, _BETA)
_LOG_PRIOR = np.log(_MEANS) + 8.0 * np.log1p(-_MEANS)  # the grid is even in the logarithm of the mean
_RANGE = np.log((0.01, 100.0))  # of the concentration
_STEP = 0.3  # of the walk of its logarithm


class SlipPrior(NamedTuple):
    """What is known before the votes; what is None is learned from them.

    Attributes:
        concentration: a, that of the items' distributions.
        slips: The two parameters of the Beta distribution of slip rates.
    """

    concentration: float | None = None
    slips: tuple[float, float] | None = None


class Slips(NamedTuple):
    """What the votes say of slips, as posterior probabilities.

    Attributes:
        vote: The probability that each vote is a slip, shape (V,).
        label: The probability that all votes for a class of an item are slips, shape (N, K); NaN without such a vote.
        genuine: The probability that at least two classes of an item have a vote that is no slip, shape (N,).
        rate: The share of slips of each annotator, shape (A,), posterior mean; one more at the end for votes by nobody
            known, where there are any.
        low: Lower ends of their 95% intervals.
        high: Upper ends.
        concentration: a, posterior mean of its logarithm, as a number.
        is_settled: Whether chains of different starts agree.
    """

    vote: NDArray[np.float64]
    label: NDArray[np.float64]
    genuine: NDArray[np.float64]
    rate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    concentration: float
    is_settled: bool


def slip_probabilities(
    votes: Votes, shape: tuple[int, int], *, rng: np.random.Generator, prior: SlipPrior | None = None
) -> Slips | None:
    """Return how likely each vote is a slip, by Gibbs sampling of two chains.

    Args:
        votes: V votes by A annotators.
        shape: N items and K classes.
        rng: Source of the chains.
        prior: What is known beforehand; nothing by default.

    Returns:
        The probabilities; None where it is of no vote known who gave it, or no two votes are for one item.
    """
    if not (votes.annotators >= 0).any() or np.bincount(votes.items, minlength=1).max(initial=0) < 2:
        return None
    chains = [
        _Chain(votes, shape, prior or SlipPrior(), generator).run(slips=bool(k))
        for k, generator in enumerate(rng.spawn(CHAINS))
    ]
    rates = np.concatenate([chain.rates for chain in chains])
    low, high = np.quantile(rates, (0.025, 0.975), axis=0)
    means = [chain.rates.mean() for chain in chains]
    given = votes.counts(n_items=shape[0], n_classes=shape[1]) > 0
    all_slips = np.mean([chain.all_slips for chain in chains], axis=0)
    return Slips(
        vote=np.mean([chain.slips for chain in chains], axis=0),
        label=np.where(given, all_slips, np.nan),
        genuine=np.mean([chain.genuine for chain in chains], axis=0),
        rate=rates.mean(axis=0),
        low=low,
        high=high,
        concentration=float(np.exp(np.mean([chain.logarithms for chain in chains]))),
        is_settled=bool(np.ptp(means) < _UNSETTLED),
    )


class _Chain:
    """One chain: items' distributions are integrated out, the rest is drawn."""

    def __init__(self, votes: Votes, shape: tuple[int, int], prior: SlipPrior, rng: np.random.Generator) -> None:
        self._rng, self._prior = rng, prior
        self._items, self._labels = votes.items, votes.labels
        self._who = votes.voters
        self._n_annotators = len(votes.annotator_ids) + (not votes.are_named)
        self._turns = _turns(votes.items)
        self._kept = np.zeros(shape, np.int64)  # votes that are no slips
        self._a = prior.concentration or 0.5
        self._beta = prior.slips or (1.0, 19.0)
        self.slips, self.all_slips, self.genuine = np.zeros(len(votes.items)), np.zeros(shape), np.zeros(shape[0])
        self._sweeps = int(np.clip(_WORK // max(len(votes.items), 1), _FEWEST_SWEEPS, _MOST_SWEEPS))
        self.rates, self.logarithms = np.zeros((self._sweeps, self._n_annotators)), np.zeros(self._sweeps)
        self._rate = np.full(self._n_annotators, 0.1)

    def run(self, *, slips: bool) -> _Chain:
        """Sweep from a start where no vote is a slip, or each one with even odds."""
        self._attends = self._rng.random(len(self._items)) < (0.5 if slips else 1.0)
        np.add.at(self._kept, (self._items, self._labels), self._attends)
        for sweep in range(-(self._sweeps // 4), self._sweeps):
            chances = self._draw_votes()
            self._draw_annotators()
            self._draw_prior()
            if sweep >= 0:
                self._record(sweep, chances)
        return self

    def _draw_votes(self) -> NDArray[np.float64]:
        """Draw for each vote whether it is a slip, of each item one after the other; return how likely it was."""
        chances = np.zeros(len(self._items))
        attending = (1.0 - self._rate)[self._who]
        totals, width = self._kept.sum(axis=1), self._kept.shape[1]
        slipping = self._rate[self._who] / width
        for turn in self._turns:
            items, labels = self._items[turn], self._labels[turn]
            self._kept[items, labels] -= self._attends[turn]
            totals[items] -= self._attends[turn]
            attentive = attending[turn] * (self._kept[items, labels] + self._a) / (totals[items] + width * self._a)
            chances[turn] = slipping[turn] / (slipping[turn] + attentive)
            self._attends[turn] = self._rng.random(len(turn)) >= chances[turn]
            self._kept[items, labels] += self._attends[turn]
            totals[items] += self._attends[turn]
        return chances

    def _draw_annotators(self) -> None:
        n = np.bincount(self._who, minlength=self._n_annotators)
        attended = np.bincount(self._who, weights=self._attends, minlength=self._n_annotators)
        self._rate = self._rng.beta(self._beta[0] + n - attended, self._beta[1] + attended)

    def _draw_prior(self) -> None:
        if self._prior.slips is None:
            self._beta = _drawn_beta(self._rate, self._rng)
        if self._prior.concentration is None:
            self._a = _walked(self._a, self._kept, self._rng)

    def _record(self, sweep: int, chances: NDArray[np.float64]) -> None:
        self.slips += chances / self._sweeps
        self.all_slips += (self._kept == 0) / self._sweeps
        self.genuine += ((self._kept > 0).sum(axis=1) > 1) / self._sweeps
        self.rates[sweep], self.logarithms[sweep] = self._rate, np.log(self._a)


def _turns(items: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Votes in turns: of each item one vote in the first, one in the second, and so on."""
    order = np.argsort(items, kind="stable")
    ordered = items[order]
    turn = np.arange(len(items)) - np.searchsorted(ordered, ordered)
    by_turn = np.argsort(turn, kind="stable")
    return np.split(order[by_turn], np.cumsum(np.bincount(turn))[:-1])


def _drawn_beta(rates: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """Draw the Beta prior given annotators' rates, from the grid of priors."""
    inside = np.clip(rates, 1e-12, 1.0 - 1e-12)
    logs = (_ALPHA - 1.0) * np.log(inside).sum() + (_BETA - 1.0) * np.log1p(-inside).sum()
    logs += _LOG_PRIOR - len(rates) * _LOG_BETA
    summed = np.exp(logs - logs.max()).cumsum()
    chosen = int(np.searchsorted(summed, rng.random() * summed[-1]))
    return float(_ALPHA[chosen]), float(_BETA[chosen])


def _walked(a: float, kept: NDArray[np.int64], rng: np.random.Generator) -> float:
    """One Metropolis step of the concentration's logarithm, a priori uniform."""
    proposed = float(np.log(a) + _STEP * rng.standard_normal())
    if not _RANGE[0] <= proposed <= _RANGE[1]:
        return a
    gain = _log_likelihood(kept, float(np.exp(proposed))) - _log_likelihood(kept, a)
    return float(np.exp(proposed)) if np.log(rng.random()) < gain else a


def _log_likelihood(kept: NDArray[np.int64], a: float) -> float:
    """Of sequences of votes from Dirichlet distributions: ln Π_i Γ(Ka) / Γ(n_i + Ka) Π_c Γ(n_ic + a) / Γ(a)."""
    n, width = kept.sum(axis=1), kept.shape[1]
    n_values, n_times = np.unique(n, return_counts=True)
    values, times = np.unique(kept, return_counts=True)
    whole = special.gammaln(width * a) - special.gammaln(n_values + width * a)
    return float(n_times @ whole + times @ (special.gammaln(values + a) - special.gammaln(a)))
