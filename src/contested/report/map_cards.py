"""Items as a reader should see them: text, who gave which label, and the facts that single them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.items import ItemMap
from contested.formats import MISSING, NATS, is_missing, percent, shorten
from contested.wording import listed

_LONGEST = 1200  # characters of a text on a card
_FEWEST_WORDS = 3  # of the median cell of a column that is taken for text
_MOST_TEXTS = 4


class LabelBar(NamedTuple):
    """The votes of an item for one class.

    Attributes:
        label: The class.
        votes: How many.
        share: Their share.
        who: Who gave them; empty where it is not known.
        is_suspect: Whether they are the likely slips of the item.
    """

    label: str
    votes: int
    share: float
    who: str
    is_suspect: bool


class ItemCard(NamedTuple):
    """An item on the page.

    Attributes:
        example_id: Its id.
        color: The place of its category among the page's colours; -1 where it is in none.
        point: What singles it out.
        texts: Its texts by column.
        bars: The classes that have votes, in label order.
        facts: What else is known, in words.
    """

    example_id: str
    color: int
    point: str
    texts: tuple[tuple[str, str], ...]
    bars: tuple[LabelBar, ...]
    facts: tuple[str, ...]


def text_columns(fields: pd.DataFrame) -> list[str]:
    """The columns of a file that hold its texts: those of which the median cell has three words or more.

    Args:
        fields: What the file holds beside ids and labels.

    Returns:
        At most four, in the order of the file; the first that are not numbers where none is wordy.
    """
    worded = [str(name) for name in fields if pd.api.types.is_string_dtype(fields[name].dropna())]
    found = [
        name for name in worded if np.median([len(text.split()) for text in fields[name].dropna()]) >= _FEWEST_WORDS
    ]
    return (found or [name for name in worded if fields[name].nunique() > len(fields) / 2])[:_MOST_TEXTS]


def error_cards(found: ItemMap, texts: Sequence[str], limit: int) -> list[ItemCard]:
    """The items with the likeliest label errors, likeliest first, with some columns of the file as texts."""
    rows, suspects = _rows(found, found.label_errors["example_id"][:limit]), found.label_errors["label"]
    slips = found.label_errors["slip_probability"]
    return [
        _card(found, row, texts, f"{suspects[k]}: slip {percent(slips[k], 0)}", suspect=suspects[k])
        for k, row in enumerate(rows)
    ]


def contested_cards(found: ItemMap, texts: Sequence[str], limit: int) -> list[ItemCard]:
    """The items of the highest category that are in it most surely; with annotators, where disagreement is genuine."""
    highest = found.known.cut.bands.names[-1]
    own = np.flatnonzero(found.known.cut.categories == highest)
    sure = found.known.posterior.categories[own, -1]
    genuine = np.ones(len(own)) if found.known.slips is None else found.known.slips.genuine[own]
    order = own[np.argsort(-sure * genuine, kind="stable")][:limit]
    entropy = found.known.annotations.entropy
    return [_card(found, int(row), texts, f"H {NATS(entropy[row])} nats") for row in order]


def _rows(found: ItemMap, ids: Sequence[str] | pd.Series[str]) -> list[int]:
    places = {example_id: row for row, example_id in enumerate(found.known.annotations.example_ids)}
    return [places[example_id] for example_id in ids]


def _card(found: ItemMap, row: int, texts: Sequence[str], point: str, *, suspect: str = "") -> ItemCard:
    data, item = found.known.annotations, found.items.iloc[row]
    names = found.known.cut.bands.names
    category = str(item["category"])
    given = [(name, data.fields[name].iloc[row]) for name in texts]
    return ItemCard(
        example_id=data.example_ids[row],
        color=names.index(category) if category in names else -1,
        point=point,
        texts=tuple((name, MISSING if is_missing(text) else shorten(str(text), _LONGEST)) for name, text in given),
        bars=tuple(_bars(found, row, suspect)),
        facts=tuple(_facts(item)),
    )


def _bars(found: ItemMap, row: int, suspect: str) -> list[LabelBar]:
    data = found.known.annotations
    counts: NDArray[np.int64] = data.label_counts[row]
    who = _who(found, row)
    return [
        LabelBar(name, int(votes), float(votes / counts.sum()), listed(who.get(place, ())), name == suspect)
        for place, (name, votes) in enumerate(zip(data.label_names, counts, strict=True))
        if votes
    ]


def _who(found: ItemMap, row: int) -> dict[int, list[str]]:
    """Class to those who gave it to the item, as far as they are named."""
    votes = found.known.annotations.votes
    given: dict[int, list[str]] = {}
    if votes is not None:
        for vote in np.flatnonzero((votes.items == row) & (votes.annotators >= 0)):
            given.setdefault(int(votes.labels[vote]), []).append(votes.annotator_ids[votes.annotators[vote]])
    return given


def _facts(item: pd.Series[str]) -> list[str]:
    said = [str(item["category"])]
    if not is_missing(item["category_probability"]):
        said[0] += f" ({percent(float(item['category_probability']), 0)} sure)"
        low, high = NATS(item["entropy_low"]), NATS(item["entropy_high"])
        said.append(f"H {NATS(item['entropy_nats'])} nats, behind the votes {low} to {high}")
    if "genuine_disagreement" in item:
        said.append(f"genuine disagreement {percent(float(item['genuine_disagreement']), 0)}")
    return said
