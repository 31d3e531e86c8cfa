"""The axes of a study as its analysis and its reader see them: columns of its cells, and names of what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from contested.naming import is_number, label, short

if TYPE_CHECKING:
    from contested.studies.cells import Cell
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

    def value(self, name: str) -> Any:
        """The value of this name."""
        return self.values[name]

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
    return tuple(_axis(name, values) for name, values in study.axes.items() if not sets_seed(values))


def sets_seed(values: Mapping[str, AxisValue]) -> bool:
    """Whether an axis is the seed: each of its values sets it, and nothing besides."""
    return all(set(value.overrides) == {"seed"} for value in values.values())


def _axis(name: str, values: Mapping[str, AxisValue]) -> StudyAxis:
    leaves = {value: list(_leaves(content.overrides)) for value, content in values.items()}
    keys = {tuple(key for key, _ in found) for found in leaves.values()}
    one = next(iter(keys)) if len(keys) == 1 else ()
    if len(one) != 1:
        plain = next((value for value, content in values.items() if not content.overrides), None)
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


def cell_names(study: Study, cells: Sequence[Cell]) -> dict[str, str]:
    """What tells each run from the others: its values on the axes that vary, and its seed where seeds do.

    Args:
        study: The study.
        cells: Its cells.

    Returns:
        Run id to name, such as "lora-r4, epochs 3, seed 42".
    """
    varying = [axis for axis in study_axes(study) if len({cell.coordinates[axis.name] for cell in cells}) > 1]
    several = len({cell.config.seed for cell in cells}) > 1
    names = {}
    for cell in cells:
        parts = [(axis.name, axis.value(cell.coordinates[axis.name]), axis.plain) for axis in varying]
        seed = [("seed", cell.config.seed, None)] if several or not parts else []
        names[cell.run_id] = label([*parts, *seed])
    return names
