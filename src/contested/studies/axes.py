"""The axes of a study as its analysis and its reader see them: columns of its cells, and names of what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from contested.studies.cells import Cell
    from contested.studies.file import AxisValue, Study


class StudyAxis(NamedTuple):
    """An axis of a study file.

    Attributes:
        name: What the file calls it.
        key: The one key of a run's configuration that all its values set; empty where they set several.
        values: The name of each value to the value: a number on a numeric axis, else the name itself.
    """

    name: str
    key: str
    values: Mapping[str, Any]

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
        return StudyAxis(name, "", {value: value for value in values})
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


def is_number(value: object) -> bool:
    """Whether a value is a number, and no yes or no.

    >>> is_number(0.1), is_number(True), is_number("3")
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def short(value: Any) -> str:
    """The name of a value that has none of its own.

    >>> short(2e-5), short(3), short("full")
    ('2e-05', '3', 'full')
    """
    return f"{value:g}" if isinstance(value, float) else str(value)


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
        parts = [part_name(axis.name, axis.values[cell.coordinates[axis.name]]) for axis in varying]
        parts += [f"seed {cell.config.seed}"] if several or not parts else []
        names[cell.run_id] = ", ".join(parts)
    return names


def part_name(axis: str, value: Any) -> str:
    """A value as part of a name: a number takes the last part of its axis' name along.

    >>> part_name("training.learning_rate", 1e-3), part_name("method", "lora-r4")
    ('learning rate 0.001', 'lora-r4')
    """
    return f"{axis.rpartition('.')[2].replace('_', ' ')} {short(value)}" if is_number(value) else str(value)
