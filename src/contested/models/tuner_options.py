"""What a tuner's options may be: values of the kinds that PEFT declares, in sizes that a model has room for."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from peft import PeftConfig
from torch import nn
from transformers.pytorch_utils import Conv1D

from contested.wording import shown

_SET_BY_A_RUN = frozenset(
    {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_type", "peft_version", "revision", "task_type"}
)
_MOST_OF_A_WIDTH = 16
"""A rank beyond this multiple of the widest layer makes an adapter many times the model."""
_MOST_TOKENS = 2**16
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", NoneType: "nothing"}


def option_problems(tuner: type[PeftConfig], options: Mapping[str, Any]) -> list[str]:
    """Find options whose values are of another kind than PEFT declares, which it tells late or not at all.

    Args:
        tuner: A configuration class of PEFT's.
        options: Values by the names of its fields; all of them are known.

    Returns:
        One clause per problem.
    """
    kinds = get_type_hints(tuner)
    problems = [f"{key} is set by the run itself; leave it out" for key in options if key in _SET_BY_A_RUN]
    for key, value in options.items():
        kind = kinds.get(key, Any)
        # PEFT declares whole numbers for its alphas, and multiplies by them.
        kind = float if kind is int and "alpha" in key else kind
        if key not in _SET_BY_A_RUN and not _fits(value, kind):
            problems.append(f"{key} is {shown(value)}; expected {' or '.join(_in_order(_told(kind)))}")
        elif kind is float and "dropout" in key and not 0 <= value < 1:
            problems.append(f"{key} is {shown(value)}; expected a number from 0 to less than 1")
    return problems


def size_problems(options: Mapping[str, Any], skeleton: nn.Module, room: int | None) -> list[str]:
    """Find adapters that would be far larger than the model that they are for.

    Args:
        options: A tuner's options.
        skeleton: The model, with or without weights.
        room: The longest input in tokens that it reads, or None where nothing limits it.

    Returns:
        One sentence per problem.
    """
    layers = [part for part in skeleton.modules() if isinstance(part, nn.Linear | Conv1D)]
    width = max((size for layer in layers for size in layer.weight.shape), default=0)
    pattern = options.get("rank_pattern")
    ranks = {"r": options.get("r")} | (
        {f"rank_pattern[{key}]": rank for key, rank in pattern.items()} if isinstance(pattern, Mapping) else {}
    )
    problems = [
        f"{key} is {rank:,}, and the widest layer of the model has {width:,} numbers: the adapter would be many times "
        "as large as the model; lower it"
        for key, rank in ranks.items()
        if isinstance(rank, int) and width and rank > _MOST_OF_A_WIDTH * width
    ]
    tokens, most = options.get("num_virtual_tokens"), room or _MOST_TOKENS
    if isinstance(tokens, int) and tokens > most:
        problems.append(f"num_virtual_tokens is {tokens:,}, and the model reads at most {most:,} tokens; lower it")
    return problems


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a declared kind, whatever is in a list or a mapping too."""
    outer, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if outer in {Union, UnionType}:
        return any(_fits(value, member) for member in inner)
    if outer is Literal:  # the values themselves are PEFT's to judge: some of them are patterns
        return any(type(value) is type(known) for known in inner)
    if (outer or kind) in {list, tuple}:
        # PEFT's tuples are pairs of one kind.
        return isinstance(value, list | tuple | set) and all(_fits(part, each) for part in value for each in inner[:1])
    if (outer or kind) is dict:
        return isinstance(value, Mapping) and all(_fits(part, inner[1] if inner else Any) for part in value.values())
    return _is_a(value, kind)


def _is_a(value: Any, kind: type) -> bool:
    """Whether a single value is of a class: no bool is a number, whole numbers are numbers, others have an end."""
    if kind in {int, float}:
        number = int if kind is int else int | float
        return isinstance(value, number) and not isinstance(value, bool) and (kind is int or math.isfinite(value))
    if dataclasses.is_dataclass(kind):
        return isinstance(value, kind | Mapping)
    return isinstance(value, str if issubclass(kind, enum.Enum) else kind)


def _in_order(kinds: Iterator[str]) -> list[str]:
    """Kinds once each, named values last: typing keeps the members of a union in no order of ours."""
    return sorted(set(kinds), key=lambda told: (told.startswith("one of"), told != "true or false", told))


def _told(kind: Any) -> Iterator[str]:
    """A declared kind in words; what a user need not give is not named."""
    outer, inner = get_origin(kind), get_args(kind)
    if outer in {Union, UnionType}:
        for member in inner:
            yield from _told(member) if member is not NoneType else ()
    elif outer is Literal:
        yield f"one of {', '.join(map(str, inner))}"
    elif (outer or kind) in {list, tuple}:
        yield "a list"
    elif (outer or kind) is dict or dataclasses.is_dataclass(kind):
        yield "keys and values"
    else:
        yield _NAMES.get(kind, "a text")
