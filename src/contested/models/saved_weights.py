"""Saved weights looked at as files: what they are besides the weights' values, and whether those are a module's own.

Whoever loads a folder depends on nothing else. So where one folder was loaded and gave what its module gives, another
one that differs from it in the values alone, which are its own module's, is loaded right as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from torch import nn

from contested.models.random_start import as_plain_lora

_WEIGHTS = "*.safetensors"


class SavedForm(NamedTuple):
    """What a folder of saved weights is besides their values.

    Attributes:
        files: SHA-256 of each other file, by its path in the folder.
        weights: Kind of number and shape of each weight, by its file and its name there.
    """

    files: Mapping[str, str]
    weights: Mapping[tuple[str, str], str]

    @classmethod
    def of(cls, folder: Path) -> SavedForm:
        """Read it from a folder that :func:`contested.models.save` wrote.

        Args:
            folder: The folder.

        Returns:
            Equal for folders that differ in the weights' values alone.
        """
        others = {
            file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in folder.rglob("*")
            if file.is_file() and not file.match(_WEIGHTS)
        }
        kinds = {key: (part.get_dtype(), part.get_shape()) for key, part in _parts(folder)}
        return cls(others, {key: f"{dtype} {shape}" for key, (dtype, shape) in kinds.items()})


def holds_weights_of(folder: Path, module: nn.Module) -> bool:
    """Whether every value in a folder of saved weights is that of a module.

    Args:
        folder: The folder that :func:`contested.models.save` wrote.
        module: What was trained.

    Returns:
        False also where a weight has another name in the module than in its file, so that nobody can say.
    """
    with as_plain_lora(module) as options:
        own = get_peft_model_state_dict(module, **options) if isinstance(module, PeftModel) else module.state_dict()
    return all(name in own and torch.equal(part[...], own[name].cpu()) for (_, name), part in _parts(folder))


def _parts(folder: Path) -> Iterator[tuple[tuple[str, str], Any]]:
    """File and name of each weight, and what reads it."""
    for file in sorted(folder.rglob(_WEIGHTS)):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (no mapping)
                yield (file.relative_to(folder).as_posix(), name), opened.get_slice(name)
