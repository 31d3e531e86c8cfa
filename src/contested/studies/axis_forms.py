"""The ways to write an axis in a study file, and what its values are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from contested.naming import checkpoint_name, short
from contested.options import METHODS, method_content, options_of
from contested.overrides import nested
from contested.wording import nearest, shown


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
        return {own: {"overrides": nested(name.split("."), value)} for own, value in zip(names, values, strict=True)}
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
            return [f"{axis}.values: expected a list of values, got {shown(values)}"]
    if isinstance(values, list):
        again = [value for value, count in Counter(value_names(name, values)).items() if count > 1]
        problems = [f"{axis}: the value {value} is given more than once" for value in again]
        return problems + _unknown_key(axis, name, root)
    if not isinstance(values, dict):
        return [f"{axis}: expected a list of values of one key, or settings by name, got {shown(values)}"]
    wrong = [key for key, value in values.items() if not isinstance(value, dict | None)]
    return [
        f"{axis}.{key}: expected settings of a run, such as {{training: {{epochs: 3}}}}, got {shown(values[key])}"
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
        f"{axis}: a run's configuration has no key {shown(key)}{meant} "
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
    >>> value_names("method", [{"name": "lora", "r": 8}, {"name": "lora", "r": 8, "alpha": 8}])
    ['lora-r8', 'lora-r8-alpha-8']
    """
    names = _told_apart([_value_name(key, value) for value in values], values)
    ends = [checkpoint_name(name) if key == "model.name" else name.rstrip("/").rpartition("/")[2] for name in names]
    return ends if len(set(ends)) == len(ends) else names


def _told_apart(names: Sequence[str], values: Sequence[Any]) -> list[str]:
    """The names, with what their values differ in where several have the same one."""
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for name, value in zip(names, values, strict=True):
        if isinstance(value, Mapping):
            alike.setdefault(name, []).append(value)
    varying = {
        name: {part for other in others for part in {**first, **other} if other.get(part) != first.get(part)}
        for name, (first, *others) in alike.items()
    }
    found = []
    for name, value in zip(names, values, strict=True):
        parts = value.items() if isinstance(value, Mapping) else ()
        differing = {part: inner for part, inner in parts if part in varying[name]}
        found.append(f"{name}-{_value_name('', differing)}" if differing else name)
    return found


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


def value_lists(where: Any) -> Any:
    """Conditions on axes with a list of names each; anything else stays as it is."""
    if not isinstance(where, dict):
        return where
    return {
        str(axis): [_value_name("", value) for value in (values if isinstance(values, list) else [values])]
        for axis, values in where.items()
    }
