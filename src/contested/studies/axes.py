"""What the cells of a study differ in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from contested.naming import is_number, short
from contested.studies.file import AxisValue, Study


class StudyAxis(NamedTuple):
    """An axis of a study file.

    Attributes:
        name: What the file calls it.
        key: The one key of a run's configuration that all its values set; empty where they set several.
        values: The name of each value to the value: a number on a numeric axis, else the name itself.
        plain: The name of the value that sets nothing; None where there is none.
    """

    name: str
    key: str
    values: Mapping[str, Any]
    plain: str | None = None

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return all(is_number(value) for value in self.values.values())


def study_axes(study: Study) -> tuple[StudyAxis, ...]:
    """What the cells of a study differ in besides the seed, in the order of the file.

    Args:
        study: The study.

    Returns:
        Every axis but those that set the seed and nothing else.
    """
    return tuple(_axis(name, values) for name, values in study.axes.items() if not _sets_seed(values))


def _sets_seed(values: Mapping[str, AxisValue]) -> bool:
    return all(set(value.overrides) == {"seed"} for value in values.values())


def _axis(name: str, values: Mapping[str, AxisValue]) -> StudyAxis:
    leaves = {value: list(_leaves(content.overrides)) for value, content in values.items()}
    keys = {tuple(key for key, _ in found) for found in leaves.values()}
    one = next(iter(keys)) if len(keys) == 1 else ()
    plain = next((value for value, content in values.items() if not content.overrides), None)
    if len(one) != 1:
        return StudyAxis(name, "", {value: value for value in values}, plain)
    typed = {value: found[0][1] for value, found in leaves.items()}
    # A number under a name of its own is called by that name.
    numeric = all(is_number(number) and short(number) == value for value, number in typed.items())
    return StudyAxis(name, one[0], typed if numeric else {value: value for value in values})


def _leaves(content: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
