"""The axes of a study: the ways to write one, and what they are to its analysis and its reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from contested.naming import is_number, label, short
from contested.options import METHODS, method_content, options_of
from contested.wording import nearest

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
        parts = [(axis.name, axis.values[cell.coordinates[axis.name]], axis.plain) for axis in varying]
        seed = [("seed", cell.config.seed, None)] if several or not parts else []
        names[cell.run_id] = label([*parts, *seed])
    return names


# ---------------------------------------------------------------------------------------------- as the file writes them


def is_keyed(values: Any) -> bool:
    """Whether an axis is written as one key and its values."""
    return isinstance(values, dict) and set(values) == {"key", "values"}


def axis_values(name: str, values: Any) -> Any:
    """The long form of an axis: the name of each value to overrides and facts.

    Args:
        name: The axis; where its values are a list, the key of a run's configuration that they set.
        values: A list; a key with its values; or overrides by name.

    Returns:
        The long form; ``values`` themselves where they are none of these.
    """
    if is_keyed(values):
        name, values = str(values["key"]), values["values"]
    if isinstance(values, list):
        names = value_names(name, values)
        return {own: {"overrides": nested(name, value)} for own, value in zip(names, values, strict=True)}
    if not isinstance(values, dict):
        return values
    return {
        str(key): {
            "overrides": {part: inner for part, inner in (value or {}).items() if part != "facts"},
            "facts": (value or {}).get("facts") or {},
        }
        if isinstance(value, dict | None)
        else value
        for key, value in values.items()
    }


def axis_problems(name: str, values: Any, root: Any) -> list[str]:
    """What is wrong with an axis as it is written.

    Args:
        name: What the file calls it.
        values: As for :func:`axis_values`.
        root: The section whose keys an axis may set.

    Returns:
        One sentence a problem.
    """
    axis = f"axes.{name}"
    if is_keyed(values):
        name, values = str(values["key"]), values["values"]
        if not isinstance(values, list):
            return [f"{axis}.values: expected a list of values, got {values!r}"]
    if isinstance(values, list):
        again = [value for value, count in Counter(value_names(name, values)).items() if count > 1]
        problems = [f"{axis}: the value {value} is given more than once" for value in again]
        return problems + _unknown_key(axis, name, root)
    if not isinstance(values, dict):
        return [f"{axis}: expected a list of values of one key, or settings by name, got {values!r}"]
    wrong = [key for key, value in values.items() if not isinstance(value, dict | None)]
    return [
        f"{axis}.{key}: expected settings of a run, such as {{training: {{epochs: 3}}}}, got {values[key]!r}"
        for key in wrong
    ]


def _unknown_key(axis: str, key: str, root: Any) -> list[str]:
    """Why a list of values cannot be an axis: its key is none of a run's configuration."""
    options = [".".join(keys) for keys, _ in options_of(root)]
    sections = {option.rpartition(".")[0] for option in options} - {""}
    known = [*options, *sorted(sections), "method"]
    # What lies below a method, or below an option that is a mapping, is checked with the run.
    if key in known or any(key.startswith(f"{option}.") for option in [*options, "method"]):
        return []
    near = nearest(key, known) or next((option for option in known if option.endswith(f".{key}")), None)
    meant = f"; did you mean {near!r}?" if near else "."
    return [
        f"{axis}: a run's configuration has no key {key!r}{meant} "
        "Give a key with a list of values, or settings of a run by name"
    ]


def value_names(key: str, values: Sequence[Any]) -> list[str]:
    """What the values of a key are called.

    Args:
        key: The key.
        values: Its values.

    Returns:
        One name each: a method by its label, a file or checkpoint by its last part where that tells them apart.

    >>> value_names("model.name", ["org/small", "org/large"]), value_names("training.epochs", [1, 3])
    (['small', 'large'], ['1', '3'])
    >>> value_names("method", ["full", {"name": "lora", "r": 8}])
    ['full', 'lora-r8']
    """
    names = [_value_name(key, value) for value in values]
    ends = [name.rstrip("/").rpartition("/")[2] for name in names]
    return ends if len(set(ends)) == len(ends) else names


def _value_name(key: str, value: Any) -> str:
    if key == "method":
        value = _method_label(value)
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return "-".join(f"{part}-{_value_name('', inner)}" for part, inner in value.items()) or "none"
    if isinstance(value, list):
        return "+".join(_value_name("", inner) for inner in value) or "none"
    return str(value).lower() if isinstance(value, bool) else short(value)


def _method_label(value: Any) -> Any:
    """A method's own label; the value itself where it is no method, which the check of the run says."""
    content = method_content(value)
    section = METHODS.get(str(content.get("name"))) if isinstance(content, Mapping) else None
    if section is None:
        return value
    try:
        return getattr(section.model_validate(content), "label", value)
    except ValueError:
        return value


def nested(key: str, value: Any) -> dict[str, Any]:
    """A dotted key with its value as nested keys.

    >>> nested("training.epochs", 3)
    {'training': {'epochs': 3}}
    """
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def listed(where: Any) -> Any:
    """Conditions on axes with a list of names each; anything else stays as it is."""
    if not isinstance(where, dict):
        return where
    return {
        str(axis): [_value_name("", value) for value in (values if isinstance(values, list) else [values])]
        for axis, values in where.items()
    }
