"""Annotators one by one: how far each agrees with the others, and what the numbers would be without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.annotations.measures import entropy, krippendorff_alpha
from contested.annotations.votes import Votes
from contested.errors import DataError
from contested.rows.coded import first_places
from contested.wording import listed

if TYPE_CHECKING:
    import pandas as pd


class _Vote(NamedTuple):
    """What each vote says, given that its annotator is known, (V,) each.

    Attributes:
        who: The annotator.
        label: Index of the class.
        row: The item.
        n: Votes on the item.
        same: Votes on the item for the same class.
    """

    who: NDArray[np.int64]
    label: NDArray[np.int64]
    row: NDArray[np.int64]
    n: NDArray[np.int64]
    same: NDArray[np.int64]


def annotator_table(votes: Votes | None, label_counts: NDArray[np.int64], label_names: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per annotator who voted, in the order of ``annotator_ids``.

    Agreement is with the others: of each item that others voted on too, the share of them who gave the same label, and
    the mean of these shares A. Corrected for chance it is κ = (A − A_e) / (1 − A_e) with A_e = Σ_c p_c q_c, p the
    annotator's shares of the classes over these items and q the mean of the others' shares: with two annotators who
    both voted on every item it is Cohen's kappa. ``entropy_change`` and ``alpha_change`` say what mean entropy, over
    the items that keep two votes, and nominal alpha would be without the annotator's votes, less what they are.

    Args:
        votes: Who gave which label.
        label_counts: The same votes as counts, shape (N, K).
        label_names: The classes, (K,).

    Returns:
        Columns annotator, n_votes, n_shared (votes on items with another vote), agreement, agreement_kappa (nan without
        shared items, and κ where chance alone would give full agreement), label_entropy_nats (of the annotator's own
        labels, nan of one vote), entropy_change_nats, alpha_change and label_counts.

    Raises:
        DataError: If it is not known who gave which label, or an annotator has several votes on an item.
    """
    vote = _known(votes, label_counts)
    names = votes.annotator_ids if votes is not None else ()
    a, k = len(names), label_counts.shape[1]
    own = np.bincount(vote.who * k + vote.label, minlength=a * k).reshape(a, k).astype(np.int64)
    voted = own.sum(axis=1) > 0
    own_entropy = np.full(a, np.nan)
    own_entropy[voted] = entropy(own[voted])
    agreement, kappa, shared = _agreement(vote, label_counts, a)
    import pandas as pd

    table = pd.DataFrame(
        {
            "annotator": list(names),
            "n_votes": own.sum(axis=1),
            "n_shared": shared,
            "agreement": agreement,
            "agreement_kappa": kappa,
            "label_entropy_nats": own_entropy,
            "entropy_change_nats": _entropy_change(vote, label_counts, a),
            "alpha_change": _alpha_without(vote, label_counts, a) - krippendorff_alpha(label_counts),
            "label_counts": [dict(zip(label_names, row, strict=True)) for row in own.tolist()],
        }
    )
    return table.take(np.flatnonzero(voted)).reset_index(drop=True)


def annotator_notes(votes: Votes | None, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Say what to keep in mind of numbers per annotator.

    Args:
        votes: Who gave which label.
        columns: The columns that labels were read from.

    Returns:
        Whole sentences.
    """
    if votes is None:
        return ()
    notes = []
    if votes.annotator_ids and set(votes.annotator_ids) <= set(columns):
        notes.append(
            f"The annotators are the columns {listed(columns)}, taken as one person each: where other people fill a "
            "column in every row, numbers per annotator are of no one, and so are slips (option anonymous)."
        )
    unnamed = int((votes.annotators < 0).sum())
    if unnamed:
        notes.append(
            f"{unnamed:,} of {votes.n_votes:,} votes are of annotators who are not named; they count as others."
        )
    return tuple(notes)


def _known(votes: Votes | None, label_counts: NDArray[np.int64]) -> _Vote:
    if votes is None or not (votes.annotators >= 0).any():
        raise DataError(
            "These annotations do not say who gave which label, which numbers per annotator need: give a long table "
            "with a column of annotators, a column per annotator, or objects from annotator to label."
        )
    named = votes.annotators >= 0
    who, label, row = votes.annotators[named], votes.labels[named], votes.items[named]
    twice = first_places(row * len(votes.annotator_ids) + who) != np.arange(len(row))
    if twice.any():
        raise DataError(
            f"{votes.annotator_ids[who[twice][0]]} has several votes on one item ({int(twice.sum()):,} such votes in "
            "all), so that agreement with the others is not defined: read sets of labels with multilabel=sets, or a "
            "class at a time."
        )
    return _Vote(who, label, row, label_counts.sum(axis=1)[row], label_counts[row, label])


def _agreement(vote: _Vote, label_counts: NDArray[np.int64], a: int) -> tuple[NDArray[np.generic], ...]:
    """Agreement with the others, that corrected for chance, and on how many items, (A,) each."""
    among = vote.n > 1
    who, label, k = vote.who[among], vote.label[among], label_counts.shape[1]
    others = vote.n[among] - 1
    shared = np.bincount(who, minlength=a)
    per_item = np.bincount(who, weights=(vote.same[among] - 1) / others, minlength=a)
    p = np.bincount(who * k + label, minlength=a * k).reshape(a, k)
    q = np.zeros((a, k))
    for c in range(k):
        rest = label_counts[vote.row[among], c] - (label == c)
        q[:, c] = np.bincount(who, weights=rest / others, minlength=a)
    agreement = _ratio(per_item, shared)
    expected = _ratio((p * q).sum(axis=1), shared.astype(np.float64) ** 2)
    return agreement, _ratio(agreement - expected, 1 - expected), shared


def _ratio(above: NDArray[np.generic], below: NDArray[np.generic]) -> NDArray[np.float64]:
    """A quotient; nan where it is not defined."""
    found = np.full(len(above), np.nan)
    return np.asarray(np.divide(above, below, out=found, where=np.nan_to_num(below) > 1e-12))


def _entropy_change(vote: _Vote, label_counts: NDArray[np.int64], a: int) -> NDArray[np.float64]:
    n = label_counts.sum(axis=1)
    # H = ln n − Σ_c n_c ln n_c / n: a vote less changes n and one n_c.
    sums = _n_log_n(label_counts).sum(axis=1)
    stays = vote.n > 2
    m, same, whole = vote.n[stays], vote.same[stays], sums[vote.row[stays]]
    less = whole - _n_log_n(same) + _n_log_n(same - 1)
    change = (np.log(m - 1) - less / (m - 1)) - (np.log(m) - whole / m)
    kept = (n > 1).sum() - np.bincount(vote.who[vote.n == 2], minlength=a)
    return _ratio(np.bincount(vote.who[stays], weights=change, minlength=a), kept)


def _n_log_n(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(counts * np.log(np.maximum(counts, 1)))


def _alpha_without(vote: _Vote, label_counts: NDArray[np.int64], a: int) -> NDArray[np.float64]:
    """Nominal alpha without the votes of each annotator, (A,): what changes are the items that they voted on."""
    k, n = label_counts.shape[1], label_counts.sum(axis=1)
    squares = (label_counts.astype(np.float64) ** 2).sum(axis=1)[vote.row]
    # A vote less leaves n − 1 votes, or with two none that are paired.
    among, pair = vote.n > 1, vote.n == 2
    now = _ratio(vote.n**2 - squares, vote.n - 1)
    fewer = squares - vote.same**2 + (vote.same - 1) ** 2
    then = np.where(vote.n > 2, _ratio((vote.n - 1) ** 2 - fewer, vote.n - 2), 0.0)
    whole = n > 1
    total = ((n**2 - (label_counts.astype(np.float64) ** 2).sum(axis=1))[whole] / (n[whole] - 1)).sum()
    disagreement = total + np.bincount(vote.who[among], weights=(then - now)[among], minlength=a)
    totals = np.tile(label_counts[whole].sum(axis=0), (a, 1)) - np.bincount(
        vote.who[among] * k + vote.label[among], minlength=a * k
    ).reshape(a, k)
    left = label_counts[vote.row[pair]].copy()
    left[np.arange(len(left)), vote.label[pair]] -= 1
    np.subtract.at(totals, vote.who[pair], left)
    votes = totals.sum(axis=1).astype(np.float64)
    expected = _ratio(votes**2 - (totals.astype(np.float64) ** 2).sum(axis=1), votes * (votes - 1))
    alpha = 1 - _ratio(_ratio(disagreement, votes), expected)
    return np.where((votes > 0) & (expected == 0), 1.0, alpha)
