"""How runs and groups are named: by their values on the axes that vary."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from pathlib import PurePath
from typing import Any, NamedTuple

from contested.formats import learning_rate, text

ALL_RUNS = "all runs"
"""The name of the one group of a study in which nothing but the seed varies."""

_SAYS_NOTHING = frozenset({"name", "path"})  # last parts of keys


class Part(NamedTuple):
    """One part of a name.

    Attributes:
        axis: The axis.
        value: The value on it.
        plain: The value that need not be named; None where there is none.
        key: The key of a run's configuration that the axis sets; empty where it sets several.
    """

    axis: str
    value: Any
    plain: Any = None
    key: str = ""


def is_number(value: object) -> bool:
    """Whether a value is a number, and no yes or no.

    >>> is_number(0.1), is_number(True), is_number("3")
    (True, False, False)
    """
    # NumPy registers its numbers with this class, too.
    return isinstance(value, Real) and not isinstance(value, bool)


def short(value: Any) -> str:
    """A value of an axis as a study file writes it.

    >>> short(2e-5), short(3.0), short("lora-r4")
    ('2e-05', '3', 'lora-r4')
    """
    return f"{value:g}" if isinstance(value, float) else str(value)


def axis_heading(axis: str) -> str:
    """What an axis is called: the last part of its key, or the one before where that says nothing.

    >>> axis_heading("training.learning_rate"), axis_heading("model.name")
    ('learning rate', 'model')
    """
    above, _, last = axis.rpartition(".")
    return (above.rpartition(".")[2] if above and last in _SAYS_NOTHING else last).replace("_", " ")


def checkpoint_name(name: str) -> str:
    """A checkpoint by the last part of its name; what is called "model" by the folder that it lies in.

    >>> checkpoint_name("org/small"), checkpoint_name("runs/mini/model"), checkpoint_name("model")
    ('small', 'mini', 'model')
    """
    path = PurePath(name)
    return path.parent.name or path.name if path.name == "model" else path.name


def value_name(value: Any, axis: str, key: str = "") -> str:
    """A value of an axis as it reads in names, tables and figures: rates in scientific form.

    >>> value_name(3e-4, "rate", "training.learning_rate"), value_name(-0.5, "shift"), value_name("full", "method")
    ('3e−4', '−0.5', 'full')
    """
    if not is_number(value) or value != value:
        return text(value)
    rate = "learning_rate" in {name.rpartition(".")[2] for name in (axis, key)}
    return learning_rate(value) if rate else short(value).replace("-", "−")


def part_name(part: Part) -> str:
    """A value as part of a name: a number takes the last part of its axis' name along.

    >>> part_name(Part("training.learning_rate", 1e-3)), part_name(Part("method", "lora-r4"))
    ('learning rate 1e−3', 'lora-r4')
    """
    name = value_name(part.value, part.axis, part.key)
    return f"{axis_heading(part.axis)} {name}" if is_number(part.value) else name


def label(parts: Iterable[Part]) -> str:
    """The name of what has these values.

    >>> label([Part("method", "full"), Part("training.epochs", 3), Part("noise", "none", plain="none")])
    'full, epochs 3'
    >>> label([Part("noise", "none", plain="none")]), label([])
    ('none', 'all runs')
    """
    given = list(parts)
    named = [part for part in given if part.value != part.plain]
    return ", ".join(part_name(part) for part in named or given) or ALL_RUNS
