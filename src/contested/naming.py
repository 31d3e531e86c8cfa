"""How runs and groups are named: by their values on the axes that vary."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

ALL_RUNS = "all runs"
"""The name of the one group of a study in which nothing but the seed varies."""


def is_number(value: object) -> bool:
    """Whether a value is a number, and no yes or no.

    >>> is_number(0.1), is_number(True), is_number("3")
    (True, False, False)
    """
    # NumPy registers its numbers with this class, too.
    return isinstance(value, Real) and not isinstance(value, bool)


def short(value: Any) -> str:
    """A value of an axis as text.

    >>> short(2e-5), short(3.0), short("lora-r4")
    ('2e-05', '3', 'lora-r4')
    """
    return f"{value:g}" if isinstance(value, float) else str(value)


def part_name(axis: str, value: Any) -> str:
    """A value as part of a name: a number takes the last part of its axis' name along.

    >>> part_name("training.learning_rate", 1e-3), part_name("method", "lora-r4")
    ('learning rate 0.001', 'lora-r4')
    """
    return f"{axis.rpartition('.')[2].replace('_', ' ')} {short(value)}" if is_number(value) else str(value)


def label(parts: Iterable[tuple[str, Any, Any]]) -> str:
    """The name of what has these values, as triples of axis, value, and the value that need not be named.

    >>> label([("method", "full", None), ("training.epochs", 3, None), ("noise", "none", "none")])
    'full, epochs 3'
    >>> label([("noise", "none", "none")]), label([])
    ('none', 'all runs')
    """
    given = list(parts)
    named = [(axis, value) for axis, value, plain in given if value != plain]
    return ", ".join(part_name(axis, value) for axis, value in named or [part[:2] for part in given]) or ALL_RUNS
