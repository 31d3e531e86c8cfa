"""What a model was before its adapters: recorded beside the first checkpoint where that is another model."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested import training
from contested.runs.prepare import RunComponents
from contested.training.baseline import baseline_problem, without_adapters
from contested.trajectories import RunWriter

RECORDED = "recorded with adapters disabled"
NO_CHANGE = "adapters begin as if they were not there; the first checkpoint is the untouched model"


class Untouched(NamedTuple):
    """What the model says without its adapters.

    Attributes:
        logits: Of the tracked examples, shape (N, K); None where they are not recorded.
        said: That they are, or why not.
    """

    logits: NDArray[np.float32] | None
    said: str


def record_untouched(found: Untouched, components: RunComponents, writer: RunWriter) -> None:
    """Record the untouched model, and say in the manifest (``baseline``) that it is, or why not.

    Args:
        found: From :func:`untouched`.
        components: The run's parts.
        writer: Writes the run's folder, of which nothing is listed yet.
    """
    writer.manifest["baseline"] = found.said
    if found.logits is not None:
        data = components.encoded
        losses = data.objective.recorded_losses(found.logits, data.tracked_targets)
        writer.write_baseline(losses=losses, logits=found.logits)


def untouched(components: RunComponents, begun: training.Beginning, *, batch_size: int) -> Untouched:
    """Ask the model with its adapters disabled, where that is another model than the one that training begins with.

    Args:
        components: The run's parts as they were built, in float32: an engine of half precision changes the module.
        begun: What the model gives a few examples with its adapters.
        batch_size: Examples at work at once.

    Returns:
        Its answers, or why there are none.
    """
    module, texts, pad_id = components.model.module, components.encoded.tracked, components.model.pad_id
    if training.is_sharded(module):
        return Untouched(None, "the model's weights are spread over processes")
    if problem := baseline_problem(module):
        return Untouched(None, problem)
    try:
        # PEFT warns of biases that train, too; none has yet.
        with warnings.catch_warnings(action="ignore"), without_adapters(module):
            without = training.own_logits(module, begun.sample, pad_id=pad_id, device=components.device)
            apart = training.largest_difference(without, begun.logits)
            if apart <= training.TOLERANCE["float32"] * training.unit(begun.logits):
                return Untouched(None, NO_CHANGE)
            logits = training.tracking_pass(module, texts, pad_id=pad_id, batch_size=batch_size)
            return Untouched(logits, RECORDED)
    except Exception as error:  # whatever a method's own way to disable its adapters makes of it
        return Untouched(None, f"the model fails with its adapters disabled ({training.error_line(error)})")
