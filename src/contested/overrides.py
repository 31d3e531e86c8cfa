"""The one language of overrides: ``key=value`` with dotted keys, and nested keys laid over others.

``contested train`` and studies speak it alike. To name another method, or another source of data, takes the options
of the former one away.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from contested.errors import ConfigError
from contested.files import user_path
from contested.options import (
    LoRA,
    Section,
    TaskSection,
    default,
    names_checkpoint,
    names_file,
    options_of,
    section_in,
)
from contested.text_files import bad_character
from contested.wording import shown
from contested.yaml_files import parse_yaml

VARIABLE = "{"
"""What begins with it is a study's variable and no path yet."""


class Override(NamedTuple):
    """One ``key=value``.

    Attributes:
        keys: The parts of the dotted key.
        value: What it is set to.
        text: As it was written.
    """

    keys: tuple[str, ...]
    value: Any
    text: str


def parse(text: str, *, what: str = "the override", example: str = "training.epochs=3") -> Override:
    """Read ``key=value``.

    Args:
        text: Dotted keys, and a value as YAML (``training.learning_rate=1e-3``).
        what: What it is, for messages.
        example: One that is right, for messages.

    Returns:
        Its keys and value.

    Raises:
        ConfigError: If it is no ``key=value`` or its value no YAML.
    """
    key, sign, raw = text.partition("=")
    if not sign or not all(key.split(".")) or bad_character(key) is not None:
        raise ConfigError(f"Cannot read {what} {shown(text)}; expected key=value, such as {example}.")
    value = parse_yaml(raw, f"Cannot read the value of {what} {shown(text)}")
    return Override(tuple(key.split(".")), value, text)


def assign(content: dict[str, Any], override: Override, *, what: str = "The override") -> None:
    """Set one key; change ``content`` in place.

    Args:
        content: Nested keys and values.
        override: The key and its value, which replaces what was there.
        what: What it is, for messages.

    Raises:
        ConfigError: If a key on the way holds a value instead of further keys.
    """
    *parents, last = override.keys
    inner: Any = content
    above = ""
    for parent in parents:
        if parent == "method" and isinstance(inner.get(parent), str):
            inner[parent] = {"name": inner[parent]}
        if inner.get(parent) is None:
            inner[parent] = {}
        inner, above = inner[parent], parent
        if not isinstance(inner, dict):
            raise ConfigError(
                f"{what} {shown(override.text)} does not fit: {parent} holds {shown(inner)}, not further keys."
            )
    kept = drop_exclusive(above, inner, {last: override.value})
    for key in [key for key in inner if key not in kept]:
        del inner[key]
    inner[last] = override.value


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested keys over others; another method or another source of data replaces the one below whole.

    Args:
        below: The keys that give way.
        above: The keys that stay.

    Returns:
        New nested keys.
    """
    result = dict(below)
    for key, value in above.items():
        beneath = {"name": result[key]} if key == "method" and isinstance(result.get(key), str) else result.get(key)
        if isinstance(beneath, Mapping) and isinstance(value, Mapping):
            result[key] = merge(drop_exclusive(key, beneath, value), value)
        else:
            result[key] = merge({}, value) if isinstance(value, Mapping) else value
    return result


def drop_exclusive(key: str, below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """What may stay of a section's keys beneath others: not another method's options, nor another source's.

    Args:
        key: The key of the section.
        below: Its keys.
        above: The keys that are laid over them.

    Returns:
        The keys of ``below`` that may stay.
    """
    if key == "method" and "name" in above and above["name"] != below.get("name", default(LoRA, "name")):
        return {}
    groups = _ALTERNATIVES.get(key, ())
    if not any(group & above.keys() for group in groups):
        return below
    gone = {name for group in groups if not group & above.keys() for name in group}
    return {name: value for name, value in below.items() if name not in gone}


def nested(keys: Sequence[str], value: Any) -> Any:
    """A value below nested keys.

    >>> nested(["training", "epochs"], 3)
    {'training': {'epochs': 3}}
    """
    for key in reversed(keys):
        value = {key: value}
    return value


def named_values(content: Any, root: type[Section]) -> Iterator[tuple[dict[str, Any], str, FieldInfo]]:
    """The options of a configuration that are there and name a file or a checkpoint.

    Args:
        content: Nested keys and values, as far as they are there.
        root: The section that the whole is.

    Yields:
        What holds an option, its key there, and its declaration.
    """
    for (*parents, last), field in _naming_options(root):
        inner = content
        for parent in parents:
            inner = inner.get(parent) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and inner.get(last) is not None:
            yield inner, last, field


@functools.cache
def _naming_options(root: type[Section]) -> tuple[tuple[tuple[str, ...], FieldInfo], ...]:
    return tuple((keys, field) for keys, field in options_of(root) if names_file(field) or names_checkpoint(field))


def resolve_paths(content: dict[str, Any], folder: Path, root: type[Section]) -> None:
    """Make the paths in a configuration absolute, taken from ``folder``; change ``content`` in place.

    A checkpoint's name counts as a path only where it begins with ``.`` or ``~`` or such a folder exists. What begins
    with ``{`` is a study's variable and is left as it is.

    Args:
        content: Nested keys and values, as far as they are there.
        folder: Where relative paths begin; ``~`` is the user's home.
        root: The section that the whole is.
    """
    for inner, key, field in named_values(content, root):
        value = inner[key]
        if isinstance(value, list):
            inner[key] = [_absolute(str(path), folder) for path in value]
        elif isinstance(value, str) and (names_file(field) or _is_folder(value, folder)):
            inner[key] = _absolute(value, folder)


def path_of(keys: Sequence[str], value: Any, folder: Path, *, root: type[Section]) -> Any:
    """A value as :func:`resolve_paths` makes it, where its key holds a path.

    Args:
        keys: The keys that lead to it.
        value: The value.
        folder: Where relative paths begin.
        root: The section that the keys begin in.

    Returns:
        The value, its paths absolute.
    """
    content = nested(keys, value)
    resolve_paths(content, folder, root)
    for key in keys:
        content = content[key]
    return content


def _is_folder(name: str, folder: Path) -> bool:
    return name.startswith((".", "~")) or (not name.startswith(VARIABLE) and (folder / name).is_dir())


def _absolute(path: str, folder: Path) -> str:
    return path if path.startswith(VARIABLE) else str((folder / user_path(path)).resolve())


_ALTERNATIVES: dict[str, tuple[frozenset[str], ...]] = {
    name: part.alternatives
    for name, field in TaskSection.model_fields.items()
    if (part := section_in(field)) is not None and part.alternatives
}
