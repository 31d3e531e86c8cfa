"""``contested entropy --explain``: how a file is read, and how else it could be."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from contested.cli import options
from contested.cli.console import console, print_json
from contested.wording import with_commas

if TYPE_CHECKING:
    from rich.table import Table

    from contested.annotations import Annotations
    from contested.annotations.readers.explain import Explanation, Reading


def print_explanation(file: Path, reading: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how a file is read, or why not, and other readings of it, each with its command.

    Args:
        file: The file.
        reading: The options given.
        as_json: Whether as JSON and nothing else.

    Raises:
        typer.Exit: With 2, where the file is refused with these options.
    """
    from contested.annotations.readers.explain import explain_annotations

    with options.spelled():
        found = explain_annotations(file, **reading)
    if as_json:
        print_json(_json(file, found))
    else:
        _print(file, found)
    if found.refusal is not None:
        raise typer.Exit(2)


def command_of(file: Path, reading: Mapping[str, Any]) -> str:
    """The command that reads a file with some options, as a shell takes it.

    >>> command_of(Path("a b.csv"), {"labels_column": ["r 1", "r2"]})
    "contested entropy 'a b.csv' --labels-column 'r 1,r2'"
    """
    words = ["contested", "entropy", str(file)]
    for name, value in reading.items():
        pairs = [f"{role}={column}" for role, column in value.items()] if isinstance(value, Mapping) else value
        text = with_commas(pairs) if isinstance(pairs, list | tuple) else str(pairs)
        # A value such as -1 would be taken for an option of its own.
        words += [f"{options.spelling(name)}={text}"] if text.startswith("-") else [options.spelling(name), text]
    return shlex.join(words)


def _json(file: Path, found: Explanation) -> dict[str, object]:
    return {
        "columns": dict(found.columns),
        "reading": None if found.reading is None else _reading(file, found.reading),
        "refusal": None if found.refusal is None else [found.refusal.message, *found.refusal.problems],
        "others": [_reading(file, other) for other in found.others],
    }


def _reading(file: Path, one: Reading) -> dict[str, object]:
    receipt = one.annotations.receipt
    return {
        "command": command_of(file, one.options),
        "gives": _summary(one.annotations),
        "receipt": None if receipt is None else receipt.to_json(),
    }


def _summary(data: Annotations) -> str:
    mean = data.summary().entropy_nats.mean
    names = ", ".join(data.label_names[:6]) + (", …" if data.n_classes > 6 else "")
    return f"{data.n_items:,} items, K = {data.n_classes} ({names}), mean H = {mean:.4f} nats"


def _print(file: Path, found: Explanation) -> None:
    from rich.text import Text

    show = console()
    show.print(Text(str(file), style="bold"), soft_wrap=True)
    show.print(_table("column", "what stands in it", found.columns))
    if found.reading is not None:
        _print_reading(found.reading)
    if found.refusal is not None:
        for text in (f"Refused: {found.refusal.message}", *(f"  - {problem}" for problem in found.refusal.problems)):
            show.print(Text(options.as_options(text)))
    if found.others:
        nearest = "The nearest readings" if found.reading is None else "It could also be read so"
        show.print(Text(f"{nearest}, each tried on the whole file; only you know which is meant:"))
    for other in found.others:
        show.print(Text(f"  {command_of(file, other.options)}"), soft_wrap=True)
        show.print(Text(f"    {_summary(other.annotations)}"))
    if not found.others:
        beside = "" if found.refusal is None else "; what the refusal says comes first"
        show.print(Text(f"No other reading of the file was found{beside}."))


def _print_reading(reading: Reading) -> None:
    from rich.text import Text

    from contested.annotations.readers.explain import OPTION_OF

    receipt, show = reading.annotations.receipt, console()
    if receipt is None:
        return
    show.print(Text(f"Read as {receipt.format}: {_summary(reading.annotations)}"))
    changes = {"format": f"{receipt.format} (--format)", "classes": f"{', '.join(receipt.label_names)} (--label-names)"}
    for role, columns in receipt.columns.items():
        option = f" ({options.spelling(OPTION_OF[role])})" if role in OPTION_OF else ""
        changes[role] = f"{', '.join(columns)}{option}"
    written = ", ".join(f"{times} × {label}" for label, times in receipt.missing.items())
    changes["no answer"] = f"{written or 'none'} (--missing)"
    show.print(_table("part", "read from (option that changes it)", changes))
    for note in (*receipt.notes, *receipt.left_out):
        show.print(Text(f"Note: {options.as_options(note)}"))


def _table(first: str, second: str, rows: Mapping[str, str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(first, second, box=None)
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    return table
