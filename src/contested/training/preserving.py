"""A module as it was found: modes, buffers and random states that are put back after a pass or a probe."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn


@contextlib.contextmanager
def preserved(module: nn.Module, *, seed: int) -> Iterator[None]:
    """Let a module run without a trace: its modes and buffers, every random state and autocast's cache.

    Modes are put back module by module, since a part may be in another mode than the rest. They are only set as
    attributes: a module's own ``train`` may do more, such as merging weights. Parts that a forward replaces, as
    BigBird's does with its attention, are put back with what the module notes of it.

    Args:
        module: The module; its weights are not looked after.
        seed: Of what is drawn meanwhile.

    Yields:
        Nothing.
    """
    found = [(part, dict(part._modules), _notes(part)) for part in module.modules()]
    # The tensors themselves beside their content: a forward may put another tensor in a buffer's place.
    buffers = [(part, dict(part._buffers)) for part in module.modules() if part._buffers]
    contents = [(buffer, buffer.clone()) for _, held in buffers for buffer in held.values() if buffer is not None]
    states, cached = random_states(), torch.is_autocast_cache_enabled()
    try:
        # Older versions of torch use what autocast cast without gradients again in a later forward with gradients.
        torch.set_autocast_cache_enabled(False)
        _seed(module, seed)
        yield
    finally:
        torch.set_autocast_cache_enabled(cached)
        restore_random_states(states)
        for part, held in buffers:
            part._buffers.clear()
            part._buffers.update(held)
        with torch.no_grad():
            for buffer, content in contents:
                if not torch.equal(buffer, content):
                    buffer.copy_(content)
        for part, parts, notes in found:
            if part._modules != parts:
                part._modules.clear()
                part._modules.update(parts)
            held = vars(part)
            held.update({name: value for name, value in notes.items() if held.get(name, part) is not value})


def _notes(part: nn.Module) -> dict[str, Any]:
    """What a module holds besides tensors and parts that a forward might change: its mode, and words and numbers."""
    return {name: value for name, value in vars(part).items() if value is None or isinstance(value, str | int | float)}


def set_modes(module: nn.Module, *, training: bool) -> None:
    """Set the mode of a module and all its parts, without the side effects that their own ``train`` may have."""
    for part in module.modules():
        part.training = training


def random_states() -> dict[str, Any]:
    """Every random state that training may draw from; a device that has done nothing yet has drawn nothing."""
    return {
        "python": random.getstate(),
        "numpy": _plain(np.random.get_state()),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Undo what was drawn since :func:`random_states`."""
    random.setstate(states["python"])
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    if states["mps"] is not None:
        torch.mps.set_rng_state(states["mps"])


def _plain(state: Any) -> list[Any]:
    """NumPy's state in numbers and text alone, as it takes it back."""
    return [part.tolist() if isinstance(part, np.ndarray) else part for part in state]


def _seed(module: nn.Module, seed: int) -> None:
    """Seed the host, and torch where a module computes: ``torch.manual_seed`` would also seed devices not in use."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    for device in {parameter.device for parameter in module.parameters()}:
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
