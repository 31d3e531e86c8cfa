"""The bulk set: singly labelled examples that give the fine-tune its training signal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from contested.errors import DataError
from contested.files import user_path
from contested.hub import hub_reason
from contested.rows import FILE_KINDS, read_table
from contested.wording import listed

# Other names of the fields in the usual files (SNLI and MNLI as published, and the hub's copies).
ALIASES: dict[str, tuple[str, ...]] = {
    "example_id": ("uid", "id", "pairID", "idx"),
    "premise": ("sentence1",),
    "hypothesis": ("sentence2",),
    "label": ("gold_label",),
}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_LABEL = {"-", "", "-1", "nan", "NaN", "None", "NA", "N/A", "<NA>", "NULL", "null"}
_WHOLE = re.compile(r"-?\d+\.0")


def read_bulk(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    label_names: Sequence[str],
    text_columns: Sequence[str] = ("premise", "hypothesis"),
) -> pd.DataFrame:
    """Read singly labelled examples from files of rows (see :data:`contested.rows.KINDS`).

    Examples without a gold label (``-`` in SNLI, -1 on the hub) are left out; their number is in
    ``attrs["unlabelled"]`` of the result.

    Args:
        paths: One file or several, read one after the other.
        label_names: Class names in order, length K; labels may be names or class indices; where
            classes are called by numbers, names.
        text_columns: Columns with the model's input text.

    Returns:
        Columns ``example_id``, the text columns, ``label`` (class name), and every further column.

    Raises:
        DataError: With all problems of all files at once, by line.
    """
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not files:
        raise DataError(f"No bulk file was given. Name at least one: {FILE_KINDS}.")
    problems: list[str] = []
    frames = [read_rows(user_path(file), problems) for file in files]
    tables = [
        _check(frame, Path(file).name, label_names=label_names, text_columns=text_columns, problems=problems)
        for file, frame in zip(files, frames, strict=True)
        if frame is not None
    ]
    if problems:
        raise DataError("The bulk data cannot be used:", problems)
    table = pd.concat(tables, ignore_index=True)
    labelled = table[table["label"].notna()].reset_index(drop=True)
    labelled.attrs = {"unlabelled": len(table) - len(labelled)}
    return labelled


def hub_bulk(
    name: str,
    *,
    subset: str | None,
    split: str,
    label_names: Sequence[str],
    text_columns: Sequence[str] = ("premise", "hypothesis"),
    revision: str | None = None,
) -> pd.DataFrame:
    """Load singly labelled examples from the hub (``stanfordnlp/snli``; ``nyu-mll/glue`` with subset ``mnli``).

    Args:
        name: The data set's hub name.
        subset: Its configuration, where it has several.
        split: Which part, for example ``train``.
        label_names: Class names in order, length K. The data set's own class names decide
            what its integers mean.
        text_columns: Columns with the model's input text.
        revision: A hub branch, tag or commit.

    Returns:
        As :func:`read_bulk`; ``attrs["source"]`` names the commit.

    Raises:
        DataError: If it cannot be loaded or its classes are others.
    """
    import datasets

    try:
        loaded = datasets.load_dataset(name, subset, split=split, revision=revision)
    except Exception as error:  # whatever the files of somebody else, or the way to them, make of it
        reason = hub_reason(error) or (str(error).strip().splitlines() or [type(error).__name__])[0]
        of = f"subset {subset}, split {split}" + (f", revision {revision}" if revision else "")
        raise DataError(
            f"Cannot load {name!r} ({of}) from the hub: {reason.removesuffix('.')}. Without a network, give local "
            "files (bulk.path)."
        ) from error
    frame = loaded.to_pandas()
    names = getattr(loaded.features.get("label"), "names", None)
    if names:
        frame["label"] = [names[index] if index >= 0 else None for index in frame["label"]]
    problems: list[str] = []
    table = _check(frame, name, label_names=label_names, text_columns=text_columns, problems=problems)
    if problems:
        raise DataError(f"The data set {name!r} cannot be used as bulk:", problems)
    labelled = table[table["label"].notna()].reset_index(drop=True)
    labelled.attrs = {"unlabelled": len(table) - len(labelled), "source": f"hub:{name}@{_commit(loaded)}"}
    return labelled


def _commit(loaded: Any) -> str | None:
    """The commit of a data set's files: the last folder of where ``datasets`` keeps them is named by it."""
    names = (Path(file["filename"]).parent.name for file in loaded.cache_files)
    return next((name for name in names if _COMMIT.fullmatch(name)), None)


def read_rows(file: Path, problems: list[str]) -> pd.DataFrame | None:
    """Read a file of rows as it is, with the line of each row in ``_line``.

    Args:
        file: A file of rows.
        problems: Takes one sentence per problem, by line where it has one.

    Returns:
        The rows, with what a line is called in ``attrs["unit"]``; None where the file cannot be read at all.
    """
    try:
        table = read_table(file)
    except DataError as error:
        problems.append(error.message)
        return None
    for name in sorted(table.repeated):
        problems.append(f"{file.name}: the header has the column {name} twice, with different values; rename one")
    for number, text in table.problems:
        problems.append(f"{file.name}, {table.unit} {number}: {text}" if number else f"{file.name}: {text}")
    frame = pd.DataFrame(table.columns, index=range(len(table.line_numbers))).assign(_line=table.line_numbers)
    frame.attrs = {"unit": table.unit}
    return frame


def _check(
    frame: pd.DataFrame,
    source: str,
    *,
    label_names: Sequence[str],
    text_columns: Iterable[str],
    problems: list[str],
) -> pd.DataFrame:
    """Rename, check every row and turn labels into class names (missing where there is none)."""
    unit = frame.attrs.get("unit", "row")
    frame = frame.rename(columns={old: new for new, old in _renames(frame)})
    absent = [name for name in (*text_columns, "label") if name not in frame]
    if absent:
        problems.append(f"{source}: no column {', '.join(absent)}; it has {listed(c for c in frame if c != '_line')}")
        return frame
    lines = frame["_line"] if "_line" in frame else pd.Series(range(1, len(frame) + 1))
    for name in text_columns:
        bad = ~frame[name].map(lambda value: isinstance(value, str) and bool(value.strip())).astype(bool)
        problems += [f"{source}, {unit} {line}: {name} is empty or no text" for line in lines[bad]]
    texts = frame["label"].map(_spelled)
    known = _classes(texts.unique(), label_names)
    unknown = ~texts.isin([*known, *_NO_LABEL])
    problems += [
        f"{source}, {unit} {line}: unknown label {label!r}; expected one of {', '.join(label_names)}"
        for line, label in zip(lines[unknown], texts[unknown], strict=True)
    ]
    frame = frame.assign(label=texts.map(known))
    ids = frame["example_id"].map(id_text) if "example_id" in frame else [""] * len(frame)
    named = [own or f"{source}:{line}" for own, line in zip(ids, lines, strict=True)]
    return frame.assign(example_id=named).drop(columns="_line", errors="ignore").astype({"example_id": str})


def _spelled(value: object) -> str:
    """A label as text: numbers have no decimals that say nothing, since a gap makes floats of a column of numbers."""
    text = str(value).strip()
    return text.removesuffix(".0") if isinstance(value, float) or _WHOLE.fullmatch(text) else text


def id_text(value: object) -> str:
    """An id as text; empty where there is none. A gap makes floats of a column of numbers."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _classes(found: Iterable[str], label_names: Sequence[str]) -> dict[str, str]:
    """The class that each label means: its name, or its index; where classes are called 1 and 2, not both."""
    names = {_spelled(name): name for name in label_names} | {name: name for name in label_names}
    indices = {str(index): name for index, name in enumerate(label_names)}
    if names.keys().isdisjoint(indices):
        return names | indices
    return indices if names.keys().isdisjoint(found) else names


def _renames(frame: pd.DataFrame) -> list[tuple[str, str]]:
    found = []
    for name, aliases in ALIASES.items():
        alias = next((alias for alias in aliases if alias in frame), None)
        if name not in frame and alias is not None:
            found.append((name, alias))
    return found
