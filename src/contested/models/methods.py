"""Adaptation methods: a name and plain options become a PEFT configuration, or none for full fine-tuning."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftConfig, TaskType

from contested.errors import ModelError
from contested.families import Family
from contested.models.tuner_options import option_problems
from contested.wording import hint

FULL = "full"

# Tuners that need more than a classifier's forward and backward pass per step, with what they would need.
_NOT_HERE = {
    "adalora": "it re-allocates its ranks at every step from the gradients (update_and_allocate)",
    "cpt": "PEFT has it for causal language models alone",
    "multitask_prompt_tuning": "its forward wants to know which of several tasks each example is of (task_ids)",
    "poly": "its forward wants to know which of several tasks each example is of (task_ids)",
    "xlora": "it mixes adapters that are trained beforehand",
}

_FROM_DATA = {
    "eva": "from activations on a data set (initialize_lora_eva_weights)",
    "corda": "from activations on a data set (preprocess_corda)",
    "lora_ga": "from gradients on a data set (preprocess_loraga)",
}
"""Initialisations of LoRA that need a pass over data before training, which a run does not make."""
_INSTEAD = "Leave it out, or choose one that needs the weights alone (pissa, olora, orthogonal, gaussian)."

OTHER_TARGETS = frozenset({"adaption_prompt", "ln_tuning", "shadow", "trainable_tokens"})
"""Tuners whose ``target_modules`` are no linear layers, so that a family's are not theirs: PEFT has their defaults."""


def peft_types() -> tuple[str, ...]:
    """Names of every PEFT tuner that the installed peft offers, lower case."""
    return tuple(sorted(kind.value.lower() for kind in PEFT_TYPE_TO_CONFIG_MAPPING))


def peft_config(method: str, options: Mapping[str, Any], *, family: Family, head: Sequence[str]) -> PeftConfig:
    """Make the PEFT configuration of a method for one architecture.

    Args:
        method: A tuner's name as PEFT spells its type (``lora``, ``ia3``, ``vera``, …), any case.
        options: Fields of that tuner's configuration class. ``target_modules`` (and, for
            a tuner that has them, ``feedforward_modules``) default to the family's, but for :data:`OTHER_TARGETS`.
        family: The architecture's facts.
        head: Top-level modules outside the backbone; they are trained and saved whole.

    Returns:
        A configuration for sequence classification.

    Raises:
        ModelError: For an unknown tuner, unknown options, or a tuner that this loop cannot train.
    """
    tuner = tuner_class(method, options)
    accepted = inspect.signature(tuner).parameters
    filled = {**({} if method.lower() in OTHER_TARGETS else _family_defaults(family, accepted)), **options}
    if "modules_to_save" in accepted:
        filled["modules_to_save"] = sorted({*head, *(filled.get("modules_to_save") or ())})
    try:
        return tuner(task_type=TaskType.SEQ_CLS, **filled)
    except (ValueError, TypeError) as error:
        raise ModelError(f"The options of the method {method.lower()} do not fit together: {error}") from error


def tuner_class(method: str, options: Mapping[str, Any]) -> type[PeftConfig]:
    """Find the configuration class of a method, and check what needs no model.

    Args:
        method: A tuner's name as PEFT spells its type, any case.
        options: Fields of its configuration class.

    Returns:
        The class.

    Raises:
        ModelError: For an unknown tuner, unknown options or values of another kind than they have, or a tuner or an
            initialisation that this loop cannot train.
    """
    name = method.lower()
    classes: dict[str, type[PeftConfig]] = {
        kind.value.lower(): cls for kind, cls in PEFT_TYPE_TO_CONFIG_MAPPING.items()
    }
    if name not in classes:
        raise ModelError(f"There is no method {method!r}{hint(name, [FULL, *peft_types()])}")
    if name in _NOT_HERE:
        raise ModelError(f"The method {name} cannot be trained here: {_NOT_HERE[name]}.")
    accepted = inspect.signature(classes[name]).parameters
    unknown = [key for key in options if key not in accepted]
    if unknown:
        raise ModelError(
            f"The method {name} does not know {', '.join(map(repr, unknown))}. "
            f"{classes[name].__name__} knows: {', '.join(accepted)}."
        )
    if wrong := option_problems(classes[name], options):
        raise ModelError(f"The options of the method {name} cannot be used: {'; '.join(wrong)}.")
    start = str(options.get("init_lora_weights", "")).lower()
    if start in _FROM_DATA:
        raise ModelError(
            f"init_lora_weights {start} cannot be used here: it draws the adapter {_FROM_DATA[start]}, which no run "
            f"makes. {_INSTEAD}"
        )
    if start == "loftq":
        raise ModelError(
            f"init_lora_weights {start} cannot be used here: it quantises the backbone's weights, which a run keeps in "
            f"float32. {_INSTEAD}"
        )
    return classes[name]


def _family_defaults(family: Family, accepted: Mapping[str, Any]) -> dict[str, Any]:
    if "target_modules" not in accepted:
        return {}
    others = {"exclude_modules": family.not_text} if family.not_text and "exclude_modules" in accepted else {}
    if "feedforward_modules" in accepted:
        defaults = {"target_modules": family.ia3_targets, "feedforward_modules": family.ia3_feedforward}
    else:
        defaults = {"target_modules": family.lora_targets}
    return {key: list(modules) for key, modules in defaults.items() if modules} | others


def base_model(module: Any) -> Any:
    """The transformers model inside an adapter, or the module itself."""
    return module.get_base_model() if hasattr(module, "get_base_model") else module
