"""The change of the loss taken apart: towards the annotators or away from them, and how much the gold label decides.

The loss against the gold label is the annotators' cross-entropy, whose changes are those of KL(annotators ‖ model), and
what the gold label's log-probability lies below the one that a label drawn from the annotators has on average:

    ℓ = −ln q_gold = [H + KL(p ‖ q)] + [Σ_c p_c ln q_c − ln q_gold]

So Δℓ = ΔKL + the rest, and the rest is how much the gold label lost to labels that annotators gave too. A loss that
rises on a label that 55 of 100 annotators gave may be all rest, while the model comes closer to the annotators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.block import Source
from contested.analysis.blocks import blocks
from contested.analysis.checks import OVERALL, category_rows, check_resampling, finite_array, same_length
from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.intervals import Clusters, Interval, keyed, mean_intervals, resampled_counts, too_few
from contested.analysis.measures import Columns
from contested.analysis.sentences import examples_of
from contested.analysis.studentised import Means, resampled_means, studentised_ends
from contested.annotations.measures import check_counts
from contested.errors import ConfigError
from contested.formats import CHANGE, SHARE
from contested.wording import joined

_DRAWN = 10_000_000  # votes drawn at once: 80 MB
_PARTS = ("change", "kl", "rest", "redrawn")
APART_COLUMNS = (
    *("category", "n"),
    *(f"{part}{end}" for part in _PARTS for end in ("", "_low", "_high")),
    *("rose", "rose_closer", "closer_share", "closer_low", "closer_high", "note"),
)
"""The columns of :func:`taken_apart`."""


def majority_probabilities(label_counts: ArrayLike, *, rng: np.random.Generator, n_draws: int = 1000) -> NDArray[Any]:
    """How probable each label is as the majority, had other annotators been asked.

    As many votes are drawn from the observed shares of the labels as there are; a tie counts for each of its labels
    alike.

    Args:
        label_counts: Votes for each label, shape ``(N, K)``.
        rng: Source of the votes.
        n_draws: Times that each example's votes are drawn.

    Returns:
        Shape ``(N, K)``, rows that sum to 1.

    Raises:
        ConfigError: If there are fewer than 100 draws.
        DataError: If these are no counts of votes.
    """
    if n_draws < 100:
        raise ConfigError(f"n_draws: given {n_draws}, expected at least 100; 1000 is usual.")
    counts = check_counts(label_counts)
    found = np.empty(counts.shape)
    for rows in blocks(len(counts), n_draws * counts.shape[1], _DRAWN):
        votes, total = counts[rows], counts[rows].sum(axis=1)
        drawn = rng.multinomial(total, votes / total[:, None], size=(n_draws, len(votes)))
        first = drawn == drawn.max(axis=2, keepdims=True)
        found[rows] = (first / first.sum(axis=2, keepdims=True)).mean(axis=0)
    return found


def redrawn_change(first: ArrayLike, last: ArrayLike, probabilities: ArrayLike) -> NDArray[np.float64]:
    """The change of the loss that is to be expected where the gold label is the majority of other annotators.

    Args:
        first: Logits at the first checkpoint, shape ``(N, K)``.
        last: At the last one, likewise.
        probabilities: Of each label as the gold label, shape ``(N, K)``, from :func:`majority_probabilities`.

    Returns:
        Shape ``(N,)`` (nats).
    """
    before, after = (finite_array(name, given, 2) for name, given in (("first", first), ("last", last)))
    weights = finite_array("probabilities", probabilities, 2)
    same_length(first=len(before), last=len(after), probabilities=len(weights))
    rise = special.log_softmax(before, axis=1) - special.log_softmax(after, axis=1)
    return np.asarray((weights * rise).sum(axis=1))


def decomposition(
    source: Source,
    columns: Columns,
    categories: NDArray[Any],
    names: Sequence[str],
    *,
    clusters: Clusters,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> pd.DataFrame | None:
    """:func:`taken_apart` of a run.

    Args:
        source: The run's arrays.
        columns: Its measures, in the run's order.
        categories: The category of each example, shape ``(N,)``, in the order of the ids.
        names: The categories in order of rising entropy.
        clusters: What examples share, shape ``(N,)``, in the order of the ids; None where each stands for itself.
        rng: Source of votes and resamples, made from a seed; nothing is drawn from it.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        The frame; None where the run lacks the changes of the loss or of KL.
    """
    if not {"loss_change", "kl_change"} <= columns.keys():
        return None
    change, kl = (np.asarray(columns[name][source.order], np.float64) for name in ("loss_change", "kl_change"))
    known = np.isfinite(change) & np.isfinite(kl)
    rows, logits = source.order[known], source.trajectory.required("logits")
    votes = source.trajectory.required("label_counts")[rows]
    chances = majority_probabilities(votes, rng=keyed(rng, "majority"))
    return taken_apart(
        change[known],
        kl[known],
        redrawn_change(logits[0][rows], logits[-1][rows], chances),
        categories[known],
        names,
        clusters=None if clusters is None else np.asarray(clusters)[known],
        rng=rng,
        n_resamples=n_resamples,
        confidence=confidence,
    )


def taken_apart(
    change: ArrayLike,
    kl_change: ArrayLike,
    redrawn: ArrayLike,
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    *,
    clusters: Clusters = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The parts of the mean change of the loss, by category, with intervals over examples.

    Args:
        change: Change Δℓ of the loss against the gold label, shape ``(N,)`` (nats).
        kl_change: Change of KL(annotators ‖ model), shape ``(N,)`` (nats).
        redrawn: Change to be expected with a gold label of other annotators, shape ``(N,)`` (nats).
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        rng: Source of the resamples, made from a seed; nothing is drawn from it.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        One row for each category, ``"overall"`` last, with the columns :data:`APART_COLUMNS`: means of ``change``, of
        its two parts ``kl`` and ``rest``, and of ``redrawn``, with interval ends; how many examples ``rose``, on how
        many of these the model came closer to the annotators all the same (``rose_closer``), and the share of the
        summed rise that lies on them (``closer_share``, ``closer_low``, ``closer_high``); ``note``.
    """
    check_resampling(n_resamples, confidence)
    given = {"change": change, "kl_change": kl_change, "redrawn": redrawn}
    whole, kl, other = (finite_array(name, values, 1) for name, values in given.items())
    same_length(change=len(whole), kl_change=len(kl), redrawn=len(other), categories=len(categories))
    values = np.column_stack([whole, kl, whole - kl, other])
    codes = cluster_codes(clusters, len(whole))
    rows = []
    for name, members in category_rows(categories, names).items():
        draws: dict[str, Any] = {"rng": keyed(rng, "apart", name), "n_resamples": n_resamples, "confidence": confidence}
        own = None if clusters is None else codes[members]
        means = mean_intervals(values[members], clusters=own, **draws)
        ends = zip(means.estimate, means.low, means.high, strict=True)
        rose = whole[members] > 0
        closer = rose & (kl[members] < 0)
        share = _share_of_rise(np.where(rose, whole[members], 0.0), closer, codes[members], draws)
        numbers = (float(value) for triple in ends for value in triple)
        counts = (int(rose.sum()), int(closer.sum()))
        rows.append((name, len(members), *numbers, *counts, *share[:3], joined(means.note, share.note)))
    return pd.DataFrame(rows, columns=list(APART_COLUMNS))


def _share_of_rise(
    rise: NDArray[np.float64], closer: NDArray[np.bool_], codes: NDArray[np.intp], draws: dict[str, Any]
) -> Interval:
    """The share of a summed rise that some of the examples have, by the studentised bootstrap of a ratio of sums."""
    total = float(rise.sum())
    if total == 0:
        return Interval(np.nan, np.nan, np.nan, 0, "none", "no loss rose" if len(rise) else "")
    share = float(rise[closer].sum() / total)
    parts = np.column_stack([rise * closer, rise])
    groups = np.unique(codes[rise > 0], return_inverse=True)[1]
    sums = cluster_sums(parts[rise > 0], groups)
    # A few examples on one side are too few for any interval: it would reach from 0 to 1.
    fewer = min(int((sums[:, 0] > 0).sum()), int((sums[:, 0] < sums[:, 1]).sum()))
    if note := too_few(fewer, draws["confidence"]):
        return Interval(share, np.nan, np.nan, len(sums), "none", f"share of the rise, smaller side: {note}")
    residuals = (sums[:, 0] - share * sums[:, 1])[:, None]
    error = np.sqrt((residuals**2).sum(axis=0) * len(sums) / (len(sums) - 1)) / total
    found = Means(np.array([share]), error, residuals, sums[:, 1])
    blocks_ = resampled_counts(len(sums), n_resamples=draws["n_resamples"], rng=keyed(draws["rng"], "share"))
    ends = studentised_ends(found.estimate, error, resampled_means(found, blocks_), len(sums), draws["confidence"])
    low, high = (float(np.clip(end[0], 0.0, 1.0)) for end in ends[:2])
    return Interval(share, low, high, len(sums), "studentised bootstrap", "")


def parts_sentences(found: pd.DataFrame | None, interval: str) -> list[str]:
    """Say what the change of the loss is made of, on the examples with most disagreement.

    Args:
        found: From :func:`taken_apart`, or None.
        interval: What an interval is called.

    Returns:
        Sentences; none where there are no such examples.
    """
    rows = [] if found is None else [row for row in found.to_dict("records") if row["n"]]
    categories = [row for row in rows if row["category"] != OVERALL]
    if not rows:
        return []
    row = (categories or rows)[-1]
    whose = examples_of(row["category"]) if categories else "the examples"
    kl, rest, redrawn = (_with_ends(row, part) for part in ("kl", "rest", "redrawn"))
    said = [
        f"Of the mean change of {whose}, {CHANGE(row['change'])} nats, {kl} are that of the distance to the "
        f"annotators' distribution, and {rest} what the gold label lost to labels that annotators gave too, or below 0 "
        f"won from them ({interval}s); with the majority of other annotators as gold label it would be {redrawn}"
    ]
    if row["rose"]:
        share = f"{SHARE(row['closer_share'])} of the summed rise"
        if np.isfinite(row["closer_low"]):
            share += f", {interval} {SHARE(row['closer_low'])} to {SHARE(row['closer_high'])}"
        said.append(
            f"The loss rose on {row['rose']:,} of {row['n']:,} {whose}, and on {row['rose_closer']:,} of these the "
            f"model came closer to the annotators all the same ({share})"
        )
    return [f"{sentence}." for sentence in said]


def _with_ends(row: Mapping[Any, Any], part: str) -> str:
    low, high = row[f"{part}_low"], row[f"{part}_high"]
    ends = f" [{CHANGE(low)}, {CHANGE(high)}]" if np.isfinite(low) and np.isfinite(high) else ""
    return f"{CHANGE(row[part])}{ends}"
