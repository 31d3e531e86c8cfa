"""What is wrong with the content of a section, in sentences: every problem under the key as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError

from contested.options.methods import METHODS
from contested.options.section import Section, section_in
from contested.wording import hint, shown


def key_at(location: Sequence[str | int]) -> str:
    """The keys and positions that lead to a value, as one writes them.

    >>> key_at(["task", "bulk", "path", 0])
    'task.bulk.path[0]'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def problems(error: ValidationError, root: type[Section]) -> Iterator[str]:
    """Say what is wrong with nested keys and values.

    Args:
        error: What pydantic found.
        root: The section that they should be.

    Yields:
        One sentence per problem; of the branches of a union, that which fits best speaks alone.
    """
    found: dict[str, tuple[int, list[str]]] = {}
    for detail in error.errors():
        keys, union, section = _walk(root, detail["loc"])
        depth = len(keys)
        group = key_at(keys if union is None else keys[:union])
        best, texts = found.setdefault(group, (depth, []))
        if union is not None and texts and depth <= best:
            continue
        if union is not None and depth > best:
            texts.clear()
        found[group] = (max(depth, best), texts)
        texts += _sentences(dict(detail), keys, section=section, root=root)
    for _, texts in found.values():
        yield from texts


def _walk(root: type[Section], location: Sequence[str | int]) -> tuple[list[str | int], int | None, type | None]:
    """The keys that lead to a value, without the names that pydantic gives to branches of a union.

    Args:
        root: The section that the whole is.
        location: What pydantic says of where the value is.

    Returns:
        The keys; how many lead to a union of values, None without one; the section that has, or lacks, the last key.
    """
    keys: list[str | int] = []
    union: int | None = None
    holder: type | None = None
    annotation: Any = root
    for part in location:
        members = (
            [member for member in get_args(annotation) if member is not NoneType]
            if get_origin(annotation) in {Union, UnionType}
            else []
        )
        if len(members) > 1:
            annotation = next((member for member in members if _is_branch(member, part)), None)
            # The method's name is no guess of pydantic's: it was written.
            union = union if part in METHODS else len(keys)
            continue
        annotation = members[0] if members else annotation
        keys.append(part)
        holder, annotation = _below(annotation, part)
    return keys, union, holder


def _is_branch(member: Any, name: str | int) -> bool:
    known = member.model_fields.get("name") if isinstance(member, type) and issubclass(member, Section) else None
    return name == getattr(member, "__name__", None) or (known is not None and known.default == name)


def _below(annotation: Any, part: str | int) -> tuple[type | None, Any]:
    """The section that a key belongs to, and what the key holds."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        field = annotation.model_fields.get(str(part))
        return annotation, None if field is None else field.annotation
    inner = get_args(annotation)
    return None, inner[-1] if inner and get_origin(annotation) in {dict, list} else None


def _sentences(detail: dict[str, Any], keys: Sequence[str | int], *, section: Any, root: type[Section]) -> list[str]:
    message: str = detail["msg"].removeprefix("Value error, ")
    if not keys:
        return message.split("\n")
    key = key_at(keys)
    if detail["type"] == "extra_forbidden":
        return [f"{key}: unknown key{_known(str(keys[-1]), section, root)}"]
    if detail["type"] == "missing":
        return [f"{key}: is required and missing"]
    if detail["type"].startswith("union_tag") or keys == ["method"]:
        message = f"expected one of {', '.join(METHODS)}, or the name of another PEFT tuner"
    elif detail["type"] == "model_type":
        message = f"expected {_keys_of(str(keys[-1]), section)}"
    return [f"{key}: {message[:1].lower()}{message[1:]}, got {shown(detail['input'])}"]


def _keys_of(name: str, section: type[Section] | None) -> str:
    """The keys that a section's key holds, for one that was given a value instead."""
    inner = None if section is None else section_in(section.model_fields[name])
    return "keys and values" if inner is None else f"keys and values ({', '.join(inner.model_fields)})"


def _known(name: str, section: type[Section], root: type[Section]) -> str:
    """Where an unknown key belongs, or what it may have been meant for."""
    parts = ((key, section_in(field)) for key, field in root.model_fields.items())
    elsewhere = [f"{key}.{name}" for key, part in parts if part is not None and name in part.model_fields]
    if elsewhere:
        return f"; did you mean {' or '.join(map(repr, elsewhere))}?"
    known = list(section.model_fields)
    return hint(name, known, otherwise="known here:")
