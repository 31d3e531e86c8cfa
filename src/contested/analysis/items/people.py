"""Whose votes they are: reliability of annotators, likely slips vote by vote, and whom to ask next."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.items.facts import Known, suspects
from contested.annotations.votes import Votes

_ASKED = 3  # annotators named for an item
NOBODY = "(not named)"
"""How tables call whoever gave the votes of which the file does not say who."""


def annotators_table(known: Known) -> pd.DataFrame:
    """Return one row per annotator who voted, the least reliable first.

    Args:
        known: What is known of the items.

    Returns:
        Columns annotator, n_votes, dissent (the share of the votes on items where most others chose another class),
        slip_rate, slip_rate_low and slip_rate_high (posterior mean and 95% interval), then what
        :meth:`contested.annotations.Annotations.annotator_table` adds where each gave an item one label; no rows where
        it is not known who gave which vote.
    """
    columns = ["annotator", "n_votes", "dissent", "slip_rate", "slip_rate_low", "slip_rate_high"]
    votes, slips = known.annotations.votes, known.slips
    if votes is None or slips is None:
        return pd.DataFrame(columns=columns)
    who, names = votes.voters, _names(votes)
    n = np.bincount(who, minlength=len(names))
    compared, dissents = _dissents(votes, known.annotations.label_counts)
    n_compared = np.bincount(who, weights=compared, minlength=len(names))
    share = np.full(len(names), np.nan)
    np.divide(np.bincount(who, weights=dissents, minlength=len(names)), n_compared, out=share, where=n_compared > 0)
    table = pd.DataFrame(dict(zip(columns, (names, n, share, slips.rate, slips.low, slips.high), strict=True)))
    table = table[table["n_votes"] > 0].sort_values(["slip_rate", "annotator"], ascending=[False, True])
    if known.annotations.label_sets is not None:  # several labels of one annotator are votes that agree with nobody
        return table.reset_index(drop=True)
    return table.merge(known.annotations.annotator_table().drop(columns="n_votes"), on="annotator", how="left")


def votes_table(known: Known) -> pd.DataFrame:
    """Return one row per vote: example_id, annotator, label, slip_probability; what is not known has no column."""
    votes, data = known.annotations.votes, known.annotations
    if votes is None:
        return pd.DataFrame(columns=["example_id", "annotator", "label"])
    ids, labels = np.array(data.example_ids, dtype=object), np.array(data.label_names, dtype=object)
    table = pd.DataFrame({"example_id": ids[votes.items]})
    if (votes.annotators >= 0).any():
        named = np.array([*votes.annotator_ids, ""], dtype=object)
        table["annotator"] = named[votes.annotators]
    table["label"] = labels[votes.labels]
    return table if known.slips is None else table.assign(slip_probability=known.slips.vote)


def label_errors(known: Known) -> pd.DataFrame:
    """Return the labels that are likely slips, the likeliest first: one row per item whose annotators disagree.

    Args:
        known: What is known of the items.

    Returns:
        Columns example_id, label (the suspect), votes (for it), n_annotators, annotators (who gave it), majority,
        slip_probability, genuine_disagreement; no rows where it is not known who gave which vote.
    """
    chosen, data = suspects(known), known.annotations
    rows = np.flatnonzero(chosen >= 0)
    columns = ["example_id", "label", "votes", "n_annotators", "annotators", "majority"]
    if known.slips is None:
        return pd.DataFrame(columns=[*columns, "slip_probability", "genuine_disagreement"])
    found = known.slips.label[rows, chosen[rows]]
    order = np.argsort(-found, kind="stable")
    rows, names = rows[order], data.label_names
    by = _by_whom(known, chosen)
    values = (
        [data.example_ids[row] for row in rows],
        [names[place] for place in chosen[rows]],
        data.label_counts[rows, chosen[rows]],
        data.n_annotators[rows],
        [by.get(int(row), "") for row in rows],
        [names[place] for place in data.majority[rows]],
    )
    table = pd.DataFrame(dict(zip(columns, values, strict=True)))
    return table.assign(slip_probability=found[order], genuine_disagreement=known.slips.genuine[rows])


def ask_next(known: Known, limit: int) -> pd.DataFrame:
    """Return the items where one more vote tells most of the category, those first where it tells most.

    Args:
        known: What is known of the items.
        limit: Most items.

    Returns:
        Columns example_id, category, n_annotators, next_vote_information, and ask: up to three annotators who slip
        least of those who have not voted on the item; without ``ask`` where nobody known is left.
    """
    information = known.posterior.information
    rows = np.argsort(-information, kind="stable")[:limit]
    found = pd.DataFrame(
        {
            "example_id": [known.annotations.example_ids[row] for row in rows],
            "category": known.cut.categories[rows],
            "n_annotators": known.annotations.n_annotators[rows],
            "next_vote_information": information[rows],
        }
    )
    whom = _whom_to_ask(known, rows)
    return found.assign(ask=whom) if any(whom) else found


def _names(votes: Votes) -> list[str]:
    """Those of all voters; whoever is not named comes last."""
    return [*votes.annotator_ids, *([] if votes.are_named else [NOBODY])]


def _dissents(votes: Votes, label_counts: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each vote whether the others have one class that most of them chose, and whether the vote is for another."""
    others = label_counts[votes.items].copy()
    others[np.arange(votes.n_votes), votes.labels] -= 1
    most = others.max(axis=1, keepdims=True)
    compared = ((others == most).sum(axis=1) == 1) & (most[:, 0] > 0)
    return compared, compared & (others.argmax(axis=1) != votes.labels)


def _by_whom(known: Known, chosen: NDArray[np.int64]) -> dict[int, str]:
    """Row of an item to those who gave it the class chosen."""
    votes = known.annotations.votes
    assert votes is not None, "slips come of votes"
    who, names = votes.voters, _names(votes)
    found: dict[int, list[str]] = {}
    for vote in np.flatnonzero(chosen[votes.items] == votes.labels):
        found.setdefault(int(votes.items[vote]), []).append(names[who[vote]])
    return {row: ", ".join(given) for row, given in found.items()}


def _whom_to_ask(known: Known, rows: NDArray[np.intp]) -> list[str]:
    votes, slips = known.annotations.votes, known.slips
    if votes is None or slips is None:
        return [""] * len(rows)
    voted = np.bincount(votes.annotators[votes.annotators >= 0], minlength=len(votes.annotator_ids)) > 0
    reliable = [int(who) for who in np.argsort(slips.rate[: len(votes.annotator_ids)], kind="stable") if voted[who]]
    wanted = set(rows.tolist())
    there: dict[int, set[int]] = {row: set() for row in wanted}
    for item, who in zip(votes.items.tolist(), votes.annotators.tolist(), strict=True):
        if item in wanted:
            there[item].add(who)
    absent = [[who for who in reliable if who not in there[row]][:_ASKED] for row in rows.tolist()]
    return [", ".join(votes.annotator_ids[who] for who in few) for few in absent]
