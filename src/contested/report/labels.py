"""What panels and runs are called: by what differs, and many ids in short."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import pandas as pd

from contested.formats import shorten

_MOST_PATTERNS = 12


def wrapped(title: str, length: int) -> str:
    r"""A panel's title in one line, or in two where it is longer.

    Args:
        title: Names joined by " · " or by commas.
        length: Most characters a line.

    Returns:
        The title; a name that is longer than a line is shortened.

    >>> wrapped("roberta · lora-r16 · snli", 20)
    'roberta · lora-r16\nsnli'
    """
    first, _, last = title.rpartition(" · " if " · " in title else ", ")
    if len(title) <= length or not first:
        return shorten(title, length)
    return f"{shorten(first, length)}\n{shorten(last, length)}"


class Titles(NamedTuple):
    """The titles of a figure's panels.

    Attributes:
        common: What all panels share, said once; empty for one panel.
        short: The condition of each panel, as a tuple, to what tells it apart.
    """

    common: str
    short: dict[tuple[str, ...], str]


def panel_titles(frame: pd.DataFrame, by: Sequence[str]) -> Titles:
    """Titles that say how each panel differs from the others.

    Args:
        frame: Rows with the columns ``by``.
        by: What makes a panel.

    Returns:
        The titles, in the order of the rows.
    """
    keys = [tuple(map(str, key)) for key in frame[list(by)].drop_duplicates().itertuples(index=False)]
    if len(keys) == 1:
        return Titles("", {keys[0]: " · ".join(keys[0])})
    differs = [len({key[index] for key in keys}) > 1 for index in range(len(by))]
    common = [part for part, differ in zip(keys[0], differs, strict=True) if not differ] if keys else []
    short = {key: " · ".join(part for part, differ in zip(key, differs, strict=True) if differ) for key in keys}
    return Titles(" · ".join(common), short)


def panels(frame: pd.DataFrame, by: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each panel under its short title, in the order in which the panels first occur."""
    titles = panel_titles(frame, by)
    keys = list(zip(*(frame[name].astype(str) for name in by), strict=True))
    return [(title, frame[[found == key for found in keys]]) for key, title in titles.short.items()]


def seeds_note(row: Mapping[Any, Any]) -> str:
    """How many of the expected seeds a row rests on, where that is not all of them.

    >>> seeds_note({"method": "full", "n_seeds": 2, "n_expected": 3})
    '2 of 3 seeds'
    """
    have, wanted = row.get("n_seeds"), row.get("n_expected")
    if have is None or wanted is None or pd.isna(have) or pd.isna(wanted) or have >= wanted:
        return ""
    if wanted == 1:
        return "run missing"
    # Rows that pool groups have no name of their own.
    return f"{int(have)} of {int(wanted)} {'seeds' if {'method', 'group'} & set(row) else 'runs'}"


def ids_in(frame: pd.DataFrame, column: str = "run_ids") -> list[tuple[str, ...]]:
    """The run ids behind each row, each different set once."""
    if column not in frame:
        return []
    sets = [tuple(part for part in str(cell).split(",") if part) for cell in frame[column].dropna()]
    return [ids for ids in dict.fromkeys(sets) if ids]


def short_ids(ids: Sequence[str]) -> str:
    """Run ids that differ in one part as one pattern.

    >>> short_ids(["bert-full-snli-seed42", "bert-full-snli-seed123"])
    'bert-full-snli-seed{42,123}'
    >>> short_ids(["bert-full"])
    'bert-full'
    """
    unique = list(dict.fromkeys(ids))
    if len(unique) < 2:
        return "".join(unique)
    parts = [re.findall(r"\d+|[^\W\d_]+|[\W_]+", run_id) for run_id in unique]
    head = _shared(parts)
    rest = [part[len(head) :] for part in parts]
    tail = _shared([part[::-1] for part in rest])[::-1]
    middle = ",".join("".join(part[: len(part) - len(tail)]) for part in rest)
    return f"{''.join(head)}{{{middle}}}{''.join(tail)}"


def _shared(parts: Sequence[Sequence[str]]) -> list[str]:
    """What all begin with."""
    alike = takewhile(lambda found: len(set(found)) == 1, zip(*parts, strict=False))
    return [found[0] for found in alike]


def short_runs(frame: pd.DataFrame, column: str = "run_ids") -> str:
    """The runs behind a whole table in short: one pattern for each row's runs, the rest counted.

    Args:
        frame: Rows with a column of comma-joined run ids.
        column: That column.

    Returns:
        Such as ``bert-full-snli-seed{42,123}; bert-lora-r4-snli-seed42``; empty where there are none.
    """
    sets = ids_in(frame, column)
    if sets and all(len(ids) == 1 for ids in sets):
        sets = _gathered([ids[0] for ids in sets])
    shown = [_pattern(ids) for ids in sets[:_MOST_PATTERNS]]
    more = len(sets) - _MOST_PATTERNS
    return "; ".join(shown) + (f"; and those of {more} more rows (all in the .csv)" if more > 0 else "")


def _pattern(ids: Sequence[str]) -> str:
    """Up to a dozen runs as patterns, more as a number and the first and last."""
    sets = _gathered(ids)
    if len(sets) > _MOST_PATTERNS // 2:
        return f"{len(ids)} runs, {ids[0]} to {ids[-1]}"
    return ", ".join(short_ids(part) for part in sets)


def _gathered(ids: Sequence[str]) -> list[tuple[str, ...]]:
    """Run ids in sets that differ in their last number only, which is most often the seed."""
    sets: dict[str, list[str]] = {}
    for run_id in ids:
        sets.setdefault(re.sub(r"\d+(?=\D*$)", "#", run_id), []).append(run_id)
    return [tuple(found) for found in sets.values()]
