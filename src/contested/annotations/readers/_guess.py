"""Which options may read columns that are not called as annotations usually are, by what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contested.annotations.multilabel import READINGS
from contested.annotations.readers import long
from contested.annotations.readers._cells import as_count, labels_in, n_different
from contested.annotations.readers._format import ID_ALIASES, PERSON_WORDS, SAMPLE, WORKER_ALIASES, alias_key
from contested.annotations.readers._printed import structure
from contested.annotations.readers.one_hot import DIGITS, TRUTHS

Columns = Mapping[str, Sequence[object]]

_MOST_LABELS = 20  # different values of a column of labels
_NO_LABELS = (*ID_ALIASES, *WORKER_ALIASES)
_ROUNDED = 0.02

_PERSON = re.compile(rf"(?i:{PERSON_WORDS}|^who$)|^[Aa]nn(?![a-z])")
_ID = re.compile(r"(?:^|[\W_])id(?:$|[\W_])|[a-z]I[dD]$", re.IGNORECASE)
_NUMBER_OF = re.compile(r"^(?:n|num|number)(?:$|[\W_])|(?:annotators|raters|workers|votes)$", re.IGNORECASE)
_PAIR = r"[^:;|,]+:\s*(\d*\.?\d+)\s*"
_PAIRS = re.compile(rf"{_PAIR}(?:[;|,]\s*{_PAIR})+[;|,]?\s*")


def guesses(columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield options of `read_annotations` that may read a table.

    Args:
        columns: The columns of the table.

    Yields:
        Options, the likeliest first: marks per label, shares, one column per annotator or class, one annotation per
        row, and lists and objects. None has been tried.
    """
    singles, few = labels_of(columns)
    yield from one_hot(singles)
    yield from shares(columns)
    yield from wide(singles, few)
    yield from composite(singles, few)
    yield from long_tables(singles, few)
    yield from _structured({name: columns[name] for name in columns if name not in singles})


def labels_of(columns: Columns) -> tuple[dict[str, Sequence[object]], list[str]]:
    """Return the columns of single values, and the names of those with few different ones.

    Args:
        columns: The columns of the table.

    Returns:
        Columns, and names of columns that may hold labels.
    """
    singles = {name: values for name, values in columns.items() if not is_structured(values)}
    return singles, [name for name, values in singles.items() if _is_few(values) and not _is_named(name, _NO_LABELS)]


def one_hot(singles: Columns) -> Iterator[dict[str, Any]]:
    """Yield the readings of rows of marks, a column per label, where an item has several rows."""
    items = [name for name in singles if _is_named(name, long.ITEM_ALIASES) and repeats(singles[name])]
    for marks in (DIGITS, TRUTHS):
        others = [name for name in singles if name not in items and not _is_named(name, _NO_LABELS)]
        names = [name for name in others if _values(singles[name]) and _values(singles[name]) <= marks]
        if items and len(names) > 1:
            item = items[0]
            named = {} if alias_key(singles, ID_ALIASES) == item else {"id_column": item}
            yield from ({**named, "count_columns": names, "multilabel": reading} for reading in READINGS)
            return


def shares(columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield columns of proportions, each with a column that may say how many annotators are behind them."""
    numbers = [name for name, values in columns.items() if all(map(_is_positive, values)) and not _is_id(name)]
    numbers.sort(key=lambda name: _NUMBER_OF.search(name) is None)
    for name, values in columns.items():
        if pairs_in(values) == "shares":
            for number in numbers[:3]:
                yield {"distribution_column": name, "annotators_column": number}


def pairs_in(values: Sequence[object]) -> str:
    """Return what the numbers of cells such as ``cause:0.7; list:0.3`` are.

    Args:
        values: The cells of a column.

    Returns:
        ``shares`` where they sum to 1, ``counts`` where they are whole, and nothing where cells are something else.
    """
    cells = [value for value in values[:SAMPLE] if value is not None]
    if not cells or not all(isinstance(cell, str) and _PAIRS.fullmatch(cell) for cell in cells):
        return ""
    rows = [[float(number) for number in re.findall(_PAIR, str(cell))] for cell in cells]
    if are_shares(rows):
        return "shares"
    return "counts" if all(number.is_integer() for row in rows for number in row) else ""


def are_shares(rows: Sequence[Sequence[float]]) -> bool:
    """Whether each row of numbers sums to 1, as rounded shares do."""
    return all(abs(sum(row) - 1) <= _ROUNDED for row in rows)


def wide(singles: Columns, few: Sequence[str]) -> Iterator[dict[str, list[str]]]:
    """Yield groups of columns that may be annotators (they share their few values) or classes (they hold counts)."""
    stems: dict[str, list[str]] = {}
    for name in few:
        stems.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    alike = [name for name in few if any(_share(singles[name], singles[other]) for other in few if other != name)]
    seen: list[dict[str, list[str]]] = []
    for option, group in [
        *(("labels_column", group) for group in stems.values()),
        ("count_columns", _counts(singles, few)),
        ("labels_column", alike),
    ]:
        alike_all = all(_share(singles[one], singles[group[0]]) for one in group[1:])
        found = {option: group}
        if len(group) > 1 and (alike_all or option == "count_columns") and found not in seen:
            seen.append(found)
            yield found


def _counts(singles: Columns, few: Sequence[str]) -> list[str]:
    """Columns of counts; a number of annotators is one only where all are called so."""
    names = [name for name in few if all(map(_is_count, singles[name])) and not _is_id(name)]
    return [name for name in names if not _NUMBER_OF.search(name) or len(name) == 1] or names


def composite(singles: Columns, few: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield two columns as an id, where the one called so repeats within an annotator and both together do not."""
    workers = [name for name in singles if _is_person(name)]
    items = [name for name in singles if _is_named(name, long.ITEM_ALIASES)]
    for item, worker in ((item, worker) for item in items for worker in workers if item != worker):
        if _n_rows(singles, item, worker) == len(singles[item]):
            continue
        for other in (name for name in singles if name not in (item, worker) and repeats(singles[name])):
            if _n_rows(singles, other, item, worker) < len(singles[item]):
                continue
            for label in (name for name in few if name not in (item, worker, other) and not _is_person(name)):
                if _n_rows(singles, other, item, label) > _n_rows(singles, other, item):
                    yield {"id_column": f"{other}+{item}", "worker_column": worker, "labels_column": label}


def long_tables(singles: Columns, few: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield columns of item, annotator and label of tables with an annotation per row; or of item and label alone."""
    repeated = [name for name, values in singles.items() if repeats(values)]
    # A row without an item is refused.
    whole = [name for name in repeated if not labels_in(singles[name]).missing.any()]
    items = [name for name in whole if _is_named(name, long.ITEM_ALIASES)]
    items = items or [name for name in whole if not _is_named(name, WORKER_ALIASES)]
    workers = [name for name in repeated if _is_person(name)] or repeated
    labels = [name for name in few if not _is_person(name)]
    pairs = [
        (item, label)
        for item in items
        for label in labels
        if item != label and _n_rows(singles, item, label) > n_different(singles[item])
    ]
    threes = [
        (item, worker, label)
        for item in items
        for worker in workers
        if item != worker and _n_rows(singles, item, worker) == len(singles[item])
        for label in labels
        if label != worker and (item, label) in pairs
    ]
    truths = {name for name in labels if _values(singles[name]) <= TRUTHS}
    for item, worker, label in sorted(threes, key=lambda names: (_unlikely(names), names[-1] in truths)):
        yield {"id_column": item, "worker_column": worker, "labels_column": label}
    for item, label in sorted(pairs, key=lambda names: (_unlikely(names), names[-1] in truths)):
        yield {"id_column": item, "labels_column": label}


def _structured(columns: Columns) -> Iterator[dict[str, Any]]:
    """Lists and objects: numbers by label are counts, first those that are called so."""
    for name in sorted(columns, key=lambda name: "count" not in name.casefold()):
        if not numbers_by_label(columns[name]):
            yield {"labels_column": name}
        yield {"count_columns": name}


def numbers_by_label(values: Sequence[object]) -> bool:
    """Whether cells are objects from a label to a number, or to nothing for none."""
    cells = [cell for value in values[:SAMPLE] if (cell := structure(value)) is not None]
    parts = [part for cell in cells if isinstance(cell, dict) for part in cell.values()]
    words = {key for cell in cells if isinstance(cell, dict) for key in cell if not str(key).isdigit()}
    numbers = all(part is None or (isinstance(part, int | float) and not isinstance(part, bool)) for part in parts)
    people = any(re.search(r"\d", str(word)) or _PERSON.search(str(word)) for word in words)
    return bool(words) and not people and numbers and all(isinstance(cell, dict) for cell in cells)


def is_structured(values: Sequence[object]) -> bool:
    """Whether a column has lists or objects."""
    return any(isinstance(structure(value), list | dict) for value in values[:SAMPLE])


def _unlikely(names: tuple[str, ...]) -> int:
    """How many of item, annotator and label are called something else than these usually are."""
    wrong = not _is_named(names[0], long.ITEM_ALIASES), not _is_named(names[-1], long.LABEL_ALIASES)
    return sum(wrong) + sum(not _is_named(worker, WORKER_ALIASES) for worker in names[1:-1])


def _is_named(name: str, aliases: Sequence[str]) -> bool:
    return alias_key([name], aliases) is not None


def _is_person(name: str) -> bool:
    return _is_named(name, WORKER_ALIASES) or _PERSON.search(name) is not None


def _is_id(name: str) -> bool:
    return _is_named(name, ID_ALIASES) or _ID.search(name) is not None


def _is_few(values: Sequence[object]) -> bool:
    return 0 < len(_values(values)) <= _MOST_LABELS


def _values(values: Sequence[object]) -> set[str | None]:
    return {*labels_in(values).values} - {None}


def repeats(values: Sequence[object]) -> bool:
    """Whether a column has several values, and some of them on several rows."""
    return 1 < n_different(values) < len(values)


def _n_rows(columns: Columns, *names: str) -> int:
    return n_different(*(columns[name] for name in names))


def _share(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether two columns have half of the values of the smaller one in common."""
    first, second = _values(one), _values(other)
    return 2 * len(first & second) >= min(len(first), len(second))


def _is_count(value: object) -> bool:
    try:
        return as_count(value) >= 0
    except ValueError:
        return False


def _is_positive(value: object) -> bool:
    return _is_count(value) and as_count(value) > 0
