"""What a model was before its adapters: recorded beside the first checkpoint where that is another model."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from contested import training
from contested.runs.prepare import RunComponents
from contested.training.baseline import baseline_problem, without_adapters
from contested.trajectories import RunWriter

RECORDED = "recorded with adapters disabled"
NO_CHANGE = "adapters begin as if they were not there; the first checkpoint is the untouched model"


def record_untouched(components: RunComponents, writer: RunWriter, *, batch_size: int) -> None:
    """Record the model with its adapters disabled, and say in the manifest (``baseline``) that it is, or why not.

    Args:
        components: The run's parts, before the first step.
        writer: Writes the run's folder, of which nothing is listed yet.
        batch_size: Examples at work at once.
    """
    logits, said = _untouched(components, batch_size)
    writer.manifest["baseline"] = said
    if logits is not None:
        data = components.encoded
        losses = data.objective.recorded_losses(logits, data.tracked_targets)
        writer.write_baseline(losses=losses, logits=logits)


def _untouched(components: RunComponents, batch_size: int) -> tuple[NDArray[np.float32] | None, str]:
    module, texts, pad_id = components.model.module, components.encoded.tracked, components.model.pad_id
    if problem := baseline_problem(module):
        return None, problem
    few = training.selected(texts, training.chosen_rows(texts.lengths))
    begun = training.own_logits(module, few, pad_id=pad_id, device=components.device)
    try:
        # PEFT warns of biases that train, too; none has yet.
        with warnings.catch_warnings(action="ignore"), without_adapters(module):
            untouched = training.own_logits(module, few, pad_id=pad_id, device=components.device)
            apart = training.largest_difference(untouched, begun)
            if apart <= training.TOLERANCE["float32"] * training.unit(begun):
                return None, NO_CHANGE
            return training.tracking_pass(module, texts, pad_id=pad_id, batch_size=batch_size), RECORDED
    except Exception as error:  # whatever a method's own way to disable its adapters makes of it
        return None, f"the model fails with its adapters disabled ({training.error_line(error)})"
