"""Which column of a file that no format knows may hold annotations, by what stands in it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import islice

from contested.annotations.readers._cells import separator_of, split_labels
from contested.annotations.readers._format import SAMPLE
from contested.annotations.readers._guess import (
    Columns,
    are_shares,
    composite,
    labels_of,
    long_tables,
    numbers_by_label,
    one_hot,
    pairs_in,
    wide,
)
from contested.annotations.readers._printed import structure
from contested.rows import Table
from contested.wording import listed, with_commas

_FEW = 5  # cells
_PAIRS = {
    "shares": "distribution_column='{name}', with n_annotators or annotators_column",
    "counts": "count_columns='{name}'",
}
_TOLD = {
    "labels_column": "{names} hold the same few values: labels_column={written} if each is an annotator's",
    "count_columns": "{names} hold whole numbers: count_columns={written} if they count labels by class",
}


def suggestions(table: Table) -> list[str]:
    """Say which columns look like annotations, and the option that names them.

    Args:
        table: A file that no format recognises.

    Returns:
        A sentence for each such column; none where no column looks so.
    """
    columns = {name: [*islice(values, SAMPLE)] for name, values in table.columns.items()}
    by_name = sorted(columns.items(), key=lambda column: "count" not in column[0].casefold())
    lists = [told.replace("{name}", name) for name, values in by_name for told in _told(values)]
    several = [*_of_several(columns)]
    return [*lists, *several] or [*_of_rows(columns)]


def _of_several(columns: Columns) -> Iterator[str]:
    """Columns that hold annotations together: a mark per label, a label per annotator, or a count per class."""
    singles, few = labels_of(columns)
    if marked := next(one_hot(singles), None):
        names = marked["count_columns"]
        yield (
            f"{listed(names)} hold marks, on several rows per item: count_columns={_written(names)} with "
            "multilabel=mentions, sets, each or a class"
        )
        return
    for group in wide(singles, few):
        for option, names in group.items():
            yield _TOLD[option].format(names=listed(names), written=_written(names))


def _of_rows(columns: Columns) -> Iterator[str]:
    """The likeliest columns of item, annotator and label."""
    singles, few = labels_of(columns)
    found = next((found for found in (*composite(singles, few), *long_tables(singles, few)) if len(found) == 3), {})
    if found:
        given = ", ".join(f"{option}={_written([name])}" for option, name in found.items())
        yield f"{listed(found.values())} may be item, annotator and label, an annotation per row: {given}"


def _written(names: Sequence[str]) -> str:
    """Names as a value of an option, as a shell takes them."""
    return shlex.quote(with_commas(names))


def _told(values: Sequence[object]) -> Iterator[str]:
    if pairs := pairs_in(values):
        yield f"{{name}} holds {pairs} by label: {_PAIRS[pairs]}"
        return
    if numbers_by_label(values):
        values = [_without_nothing(value) for value in values]
    found = [structure(value) for value in values if value is not None]
    parts = [list(value.values()) if isinstance(value, dict) else value for value in found]
    if not parts:
        return
    keyed = all(isinstance(value, dict) for value in found)
    what = "objects" if keyed else "lists"
    if not all(isinstance(part, list) for part in parts):
        if all(isinstance(value, str) for value in found) and _join_labels([str(value) for value in found]):
            yield "{name} holds labels with separators between them: labels_column='{name}'"
        return
    rows = [part for part in parts if isinstance(part, list) and part]
    cells = [cell for row in rows for cell in row]
    if cells and all(isinstance(cell, str) for cell in cells):
        # Labels come again and again; the words of a text do not, once there are more than a few.
        if len(cells) > _FEW and 2 * len(set(cells)) > len(cells):
            return
        yield f"{{name}} holds {what} of labels: labels_column='{{name}}'"
    elif cells and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells):
        yield from _of_numbers(rows, what, keyed=keyed)


def _without_nothing(value: object) -> object:
    found = structure(value)
    return {key: part or 0 for key, part in found.items()} if isinstance(found, dict) else found


def _of_numbers(rows: Sequence[Sequence[float]], what: str, *, keyed: bool) -> Iterator[str]:
    if all(isinstance(cell, int) or cell.is_integer() for row in rows for cell in row):
        counts = f"{{name}} holds {what} of whole numbers: count_columns='{{name}}'"
        yield counts + ("" if keyed else " if they count labels by class, labels_column='{name}' if each is a label")
    elif are_shares(rows):
        yield (
            f"{{name}} holds {what} of proportions: distribution_column='{{name}}', with n_annotators or "
            "annotators_column"
        )


def _join_labels(texts: Sequence[str]) -> bool:
    """Whether texts such as ``a|b|b`` take few labels again and again; a sentence with commas does not."""
    separator = separator_of(texts)
    rows = [split_labels(text, separator) for text in texts]
    cells = [cell for row in rows for cell in row]
    return all(len(row) > 1 for row in rows) and len(set(cells)) <= len(cells) / 2
