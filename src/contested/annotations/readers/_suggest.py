"""Which column of a file that no format knows may hold annotations, by what stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from contested.annotations.readers._cells import separator_of, split_labels
from contested.annotations.readers._printed import as_structure
from contested.rows import Table

_READ = 200  # values of a column that are looked at
_ROUNDED = 0.02
_FEW = 5  # cells


def suggestions(table: Table) -> list[str]:
    """Say which columns look like annotations, and the option that names them.

    Args:
        table: A file that no format recognises.

    Returns:
        A sentence for each such column; none where no column looks so.
    """
    return [told.replace("{name}", name) for name, values in table.columns.items() for told in _told(values)]


def _told(values: Sequence[object]) -> Iterator[str]:
    found = [_structure(value) for value in islice((v for v in values if v is not None), _READ)]
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


def _structure(value: object) -> object:
    try:
        return as_structure(value)
    except ValueError:
        return value


def _of_numbers(rows: Sequence[Sequence[float]], what: str, *, keyed: bool) -> Iterator[str]:
    if all(isinstance(cell, int) or cell.is_integer() for row in rows for cell in row):
        counts = f"{{name}} holds {what} of whole numbers: count_columns='{{name}}'"
        yield counts + ("" if keyed else " if they count labels by class, labels_column='{name}' if each is a label")
    elif all(abs(sum(row) - 1) <= _ROUNDED for row in rows):
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
