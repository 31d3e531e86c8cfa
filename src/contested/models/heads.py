"""The head of a checkpoint that is a classifier already: kept where its classes are the task's, else begun anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel


def settle_head(
    module: PreTrainedModel,
    head: Sequence[str],
    *,
    absent: Collection[str],
    lacking: Sequence[str],
    declared: Mapping[str, Any],
    label_names: Sequence[str],
    random_state: torch.Tensor,
) -> str:
    """Begin a checkpoint's own head anew unless it is whole and its classes are the task's in the task's order.

    Args:
        module: The loaded classifier.
        head: Its top-level modules outside the backbone.
        absent: Names of weights that the checkpoint lacks.
        lacking: Names of weights of the head, and of a pooler under it, that it lacks or has in another size.
        declared: What its config.json says.
        label_names: The task's classes in the order of the logits.
        random_state: Torch's, before the checkpoint was loaded: the head is drawn as if it had none.

    Returns:
        What is to be said of it; empty where the checkpoint has no classifier.
    """
    rows = len(label_names)
    outputs = [
        name
        for name, weight in module.named_parameters()
        if name.split(".", 1)[0] in head and weight.dim() == 2 and len(weight) == rows
    ]
    if all(name in absent for name in outputs):
        return ""
    own = declared_labels(declared)
    same = bool(own) and [name.casefold() for name in own] == [name.casefold() for name in label_names]
    if same and not lacking:
        return f"The checkpoint's own classification head is kept: its classes are the task's ({', '.join(own)})."
    torch.set_rng_state(random_state)
    for name in head:
        _begin_anew(module, name)
    if same:
        reason = f"{lacking[0]} is missing or of another size"
    else:
        classes = f"are {', '.join(own)}" if own else "have no names"
        reason = f"its classes {classes}, the task's are {', '.join(label_names)}, in this order"
    return f"The checkpoint's own classification head is not used: {reason}. The run's seed decides a fresh head."


def declared_labels(declared: Mapping[str, Any]) -> list[str]:
    """Class names of a config.json in the order of its logits; none where they are missing or made up."""
    given = declared.get("id2label")
    if not isinstance(given, Mapping):
        return []
    try:
        names = [str(given[key]) for key in sorted(given, key=int)]
    except (TypeError, ValueError):
        return []
    return [] if all(name == f"LABEL_{index}" for index, name in enumerate(names)) else names


def _begin_anew(module: PreTrainedModel, name: str) -> None:
    """Draw the weights of a top-level module as transformers draws those that a checkpoint lacks."""
    for part in getattr(module, name).modules():
        for weight in part.parameters(recurse=False):
            weight._is_hf_initialized = False  # the library's mark of loaded weights, which it leaves alone
        module._init_weights(part)
