"""The change of the loss taken apart: towards the annotators or away from them, and how much the gold label decides.

The loss against the gold label is the annotators' cross-entropy, whose changes are those of KL(annotators ‖ model), and
what the gold label's log-probability lies below the one that a label drawn from the annotators has on average:

    ℓ = −ln q_gold = [H + KL(p ‖ q)] + [Σ_c p_c ln q_c − ln q_gold]

So Δℓ = ΔKL + the rest, and the rest is how much the gold label lost to labels that annotators gave too. A loss that
rises on a label that 55 of 100 annotators gave may be all rest, while the model comes closer to the annotators.
"""

from __future__ import annotations

import functools
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
from contested.analysis.crossed import crossed_ends, share_of_examples
from contested.analysis.intervals import (
    Clusters,
    Interval,
    Intervals,
    keyed,
    mean_intervals,
    resampled_counts,
    too_few,
)
from contested.analysis.measures import Columns
from contested.analysis.original_label import original_labels
from contested.analysis.seeds import nested_mean_intervals
from contested.analysis.sentences import examples_of
from contested.analysis.studentised import Means, long_tails, resampled_means, studentised_ends
from contested.annotations.measures import check_counts
from contested.errors import ConfigError
from contested.formats import CHANGE, SHARE
from contested.wording import joined

_DRAWN = 10_000_000  # votes drawn at once: 80 MB
_PARTS = ("change", "kl", "rest", "redrawn")
APART_COLUMNS = (
    *("category", "n"),
    *(f"{part}{end}" for part in _PARTS for end in ("", "_low", "_high")),
    *("rose", "rose_closer", "closer_share", "closer_low", "closer_high"),
)
"""The columns of :func:`taken_apart`, but for its note."""
ORIGINAL_COLUMNS = ("original", "original_low", "original_high", "n_original")
"""What follows where labels are known that examples were published with; the last counts the examples that have one."""


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
        # Label by label: NumPy takes five times as long for the few labels of each of many draws.
        labels = range(counts.shape[1])
        first = drawn == functools.reduce(np.maximum, (drawn[..., [label]] for label in labels))
        found[rows] = (first / sum(first[..., [label]] for label in labels)).mean(axis=0)
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


def label_change(first: ArrayLike, last: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """The change of the loss against labels of one's own.

    Args:
        first: Logits at the first checkpoint, shape ``(N, K)``.
        last: At the last one, likewise.
        labels: Class index of each example, shape ``(N,)``; -1 where it has none.

    Returns:
        Shape ``(N,)`` (nats); NaN where there is no label.
    """
    classes = np.asarray(labels)
    chosen = np.eye(np.asarray(first).shape[1])[classes]
    return np.where(classes < 0, np.nan, redrawn_change(first, last, chosen))


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
    ends = logits[0][rows], logits[-1][rows]
    original = original_labels(source.trajectory.examples, source.trajectory.label_names)
    return taken_apart(
        change[known],
        kl[known],
        redrawn_change(*ends, majority_probabilities(votes, rng=keyed(rng, "majority"))),
        categories[known],
        names,
        original=None if original is None else label_change(*ends, original[rows]),
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
    original: ArrayLike | None = None,
    clusters: Clusters = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The parts of the mean change of the loss, by category, of one run or over the seeds of a group.

    Intervals are over examples, or clusters of them; with several seeds over examples and seeds
    (:func:`~contested.analysis.nested_mean_intervals`).

    Args:
        change: Change Δℓ of the loss against the gold label of N examples, shape ``(N,)``, or under S seeds, shape
            ``(S, N)`` (nats).
        kl_change: Change of KL(annotators ‖ model), likewise (nats).
        redrawn: Change to be expected with a gold label of other annotators, likewise (nats).
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.
        original: Change of the loss against the label that an example was published with, likewise (nats); NaN where
            it has none. None where no example has one.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        rng: Source of the resamples, made from a seed; nothing is drawn from it.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        One row for each category, ``"overall"`` last, with the columns :data:`APART_COLUMNS`: means of ``change``, of
        its two parts ``kl`` and ``rest``, and of ``redrawn``, with interval ends; how many examples ``rose``, on how
        many of these the model came closer to the annotators all the same (``rose_closer``), both means over seeds,
        and the share of the summed rise that lies on them (``closer_share``, ``closer_low``, ``closer_high``); where
        labels are known that examples were published with, :data:`ORIGINAL_COLUMNS`; ``note``.
    """
    check_resampling(n_resamples, confidence)
    given = {"change": change, "kl_change": kl_change, "redrawn": redrawn}
    whole, kl, other = (finite_array(name, _by_seed(values), 2) for name, values in given.items())
    same_length(change=whole.shape[1], kl_change=kl.shape[1], redrawn=other.shape[1], categories=len(categories))
    values = np.stack([whole, kl, whole - kl, other], axis=-1)
    published = None if original is None else _by_seed(original)
    codes = cluster_codes(clusters, whole.shape[1])
    rows = []
    for name, members in category_rows(categories, names).items():
        draws: dict[str, Any] = {"rng": keyed(rng, "apart", name), "n_resamples": n_resamples, "confidence": confidence}
        own = None if clusters is None else codes[members]
        means = _means(values[:, members], own, draws)
        found = dict(zip(_PARTS, zip(means.estimate, means.low, means.high, strict=True), strict=True))
        rise, closer = np.maximum(whole[:, members], 0.0), kl[:, members] < 0
        share = _share_of_rise(rise, closer, codes[members], draws)
        counts = [_count(rise > 0), _count((rise > 0) & closer)]
        row = [name, len(members), *(float(end) for part in found.values() for end in part), *counts, *share[:3]]
        again = draws | {"rng": keyed(rng, "apart", name)}
        at_first = [] if published is None else _original(published[:, members], own, again)
        rows.append([*row, *at_first, joined(means.note, share.note)])
    return pd.DataFrame(rows, columns=[*APART_COLUMNS, *([] if published is None else ORIGINAL_COLUMNS), "note"])


def _by_seed(values: ArrayLike) -> NDArray[np.float64]:
    return np.atleast_2d(np.asarray(values, np.float64))


def _count(flags: NDArray[np.bool_]) -> float:
    """How many examples, a mean over S seeds, shape (S, n)."""
    return int(flags.sum()) if len(flags) == 1 else float(flags.sum(axis=1).mean())


def _means(values: NDArray[np.float64], clusters: Clusters, draws: dict[str, Any]) -> Intervals:
    """Means of quantities under S seeds, shape (S, n, Q); of one seed over its examples."""
    if len(values) == 1:
        return mean_intervals(values[0], clusters=clusters, **draws)
    return nested_mean_intervals(values, clusters=clusters, **draws)


def _original(change: NDArray[np.float64], clusters: Clusters, draws: dict[str, Any]) -> list[float]:
    """The mean change with the label that examples were published with, its interval, and how many have one."""
    known = np.isfinite(change).all(axis=0)
    own = None if clusters is None else np.asarray(clusters)[known]
    found = _means(change[:, known, None], own, draws).one()
    return [found.estimate, found.low, found.high, int(known.sum())]


def _share_of_rise(
    rise: NDArray[np.float64], closer: NDArray[np.bool_], codes: NDArray[np.intp], draws: dict[str, Any]
) -> Interval:
    """The share of a summed rise under S seeds, shape (S, n), that some of the examples have.

    By the studentised bootstrap of a ratio of sums; what seeds add as for means.
    """
    totals = rise.sum(axis=1)
    if not totals.any():
        return Interval(np.nan, np.nan, np.nan, 0, "none", "no loss rose" if rise.size else "")
    share = float((rise * closer).sum() / totals.sum())
    parts = np.stack([rise * closer, rise], axis=-1)
    rose = rise.any(axis=0)
    groups = np.unique(codes[rose], return_inverse=True)[1]
    sums = cluster_sums(parts.sum(axis=0)[rose], groups)
    # A few examples on one side are too few for any interval: it would reach from 0 to 1.
    fewer = min(int((sums[:, 0] > 0).sum()), int((sums[:, 0] < sums[:, 1]).sum()))
    if note := too_few(fewer, draws["confidence"]):
        return Interval(share, np.nan, np.nan, len(sums), "none", f"share of the rise, smaller side: {note}")
    residuals = (sums[:, 0] - share * sums[:, 1])[:, None]
    error = np.sqrt((residuals**2).sum(axis=0) * len(sums) / (len(sums) - 1)) / totals.sum()
    found = Means(np.array([share]), error, residuals, sums[:, 1])
    blocks_ = resampled_counts(len(sums), n_resamples=draws["n_resamples"], rng=keyed(draws["rng"], "share"))
    drawn, tails = resampled_means(found, blocks_), long_tails(residuals)
    ends = studentised_ends(found.estimate, error, tails, drawn, len(sums), draws["confidence"])[:2]
    if len(rise) > 1:
        ends = _with_seeds(found.estimate, ends, parts, codes, draws["confidence"])
    note = "" if np.isfinite(ends).all() else "share of the rise: no loss rose under one of the seeds"
    low, high = (float(np.clip(end[0], 0.0, 1.0)) for end in ends)
    return Interval(share, low, high, len(sums), "studentised bootstrap", note)


def _with_seeds(
    share: NDArray[np.float64],
    ends: tuple[NDArray[np.float64], NDArray[np.float64]],
    parts: NDArray[np.float64],
    codes: NDArray[np.intp],
    confidence: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An interval of a ratio over examples, made one over examples and seeds, from both of its terms, (S, n, 2)."""
    some, all_ = (parts[..., term].sum(axis=1, keepdims=True) for term in (0, 1))
    by_seed = np.divide(some, all_, out=np.full_like(some, np.nan), where=all_ > 0)
    influence = (parts[..., 0] - by_seed * parts[..., 1])[..., None] / all_.mean()
    return crossed_ends(share, ends, [by_seed], share_of_examples([influence], codes), confidence)


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
    if row.get("n_original"):
        of = "" if row["n_original"] == row["n"] else f" ({row['n_original']:,} of {row['n']:,} have one)"
        said.append(
            f"With the label that {whose} were published with as gold label their loss changed by "
            f"{_with_ends(row, 'original')} nats{of}"
        )
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
