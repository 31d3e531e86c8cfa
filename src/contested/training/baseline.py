"""The model without its adapters: what fine-tuning began with, where PEFT can show it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

_IN_PLACE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations of LoRA that change the weights they adapt: without the adapter that is no model anyone trained."""


def baseline_problem(model: Any) -> str:
    """Why a model cannot show what it was without adapters.

    Args:
        model: The model that trains.

    Returns:
        The reason, or an empty text where it can.
    """
    configs = getattr(model, "peft_config", None)
    if not configs or not (hasattr(model, "disable_adapter") or hasattr(model, "disable_adapters")):
        return "the model has no adapters that can be disabled; its first checkpoint is the untouched model"
    for config in configs.values():
        chosen = str(getattr(config, "init_lora_weights", "")).lower()
        if chosen.startswith(_IN_PLACE):
            return f"init_lora_weights={chosen} changes the weights under the adapters"
    if any(getattr(part, "merged", False) is True for part in model.modules()):
        return "adapters are merged into the weights"
    return ""


@contextlib.contextmanager
def without_adapters(model: Any) -> Iterator[None]:
    """Disable a model's adapters for a while; PEFT changes what trains on the way, which is put back.

    Args:
        model: A model without a :func:`baseline_problem`.

    Yields:
        Nothing.
    """
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        with _disabled(model):
            yield
    finally:
        for parameter, requires_grad in trained:
            parameter.requires_grad_(requires_grad)


def _disabled(model: Any) -> contextlib.AbstractContextManager[None]:
    if not hasattr(model, "disable_adapter"):
        return _disabled_inside(model)
    # PEFT's own way fails with prompts before a classifier (0.21), and leaves a forward of its own on the model.
    prompts = bool(getattr(model.active_peft_config, "is_prompt_learning", False))
    disabled: contextlib.AbstractContextManager[None] = _around(model) if prompts else model.disable_adapter()
    return disabled


@contextlib.contextmanager
def _around(model: Any) -> Iterator[None]:
    """Past prompts that PEFT puts before the text: the forward of the model inside."""
    own = vars(model).get("forward")
    model.forward = model.base_model.forward
    try:
        yield
    finally:
        del model.forward
        if own is not None:
            model.forward = own


@contextlib.contextmanager
def _disabled_inside(model: Any) -> Iterator[None]:
    """Past adapters that transformers added itself (``model.add_adapter``)."""
    active = model.active_adapters()
    model.disable_adapters()
    try:
        yield
    finally:
        model.enable_adapters()
        model.set_adapter(active)
