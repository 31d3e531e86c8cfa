"""What a process has proven for one run and need not prove again for the next one of the same kind.

A kind is everything that what is proven depends on, but for the numbers that a seed draws: the run's checkpoint,
method, precision, device and execution, the model as it was built, the examples that are computed, and how torch is
set. Versions of packages are those of the process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
import torch
from torch import nn

from contested import models, tasks, training
from contested.config import RunConfig

if TYPE_CHECKING:
    from contested.runs.prepare import RunComponents
    from contested.runs.proving import Proof


class Proved(NamedTuple):
    """What a run has proven.

    Attributes:
        by: The run's id.
        engine: What its engine is (:attr:`contested.training.Proven.facts`).
        saved: What its weights are as files, with which they were loaded right; None where that was not proven.
    """

    by: str
    engine: Mapping[str, Any]
    saved: models.SavedForm | None


class Kind(NamedTuple):
    """What a run is to prove, and what was proven of its kind before in this process.

    Attributes:
        name: Equal for runs for which the same is proven; empty where each proves for itself.
        sample: The examples that are computed.
        proved: What an earlier run has proven; None where there was none.
    """

    name: str
    sample: tasks.EncodedTexts
    proved: Proved | None

    @classmethod
    def of(
        cls,
        config: RunConfig,
        components: RunComponents,
        proofs: Mapping[str, Proved],
        before: Mapping[str, Any] | None = None,
    ) -> Kind:
        """Find a run's kind, and what was proven of it.

        Args:
            config: The checked configuration.
            components: The run's parts, as they were built.
            proofs: What the process has proven, by kind.
            before: The run's manifest where it began earlier.

        Returns:
            Its kind. Of several processes that train together each proves for itself.
        """
        data = components.encoded
        sample = training.chosen_examples(data.tracked, [data.train, data.validation])
        if components.processes.size > 1:
            return cls("", sample, None)
        facts = _facts(config, components, sample, engine_before(before or {}))
        name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return cls(name, sample, proofs.get(name))

    @property
    def shown(self) -> tasks.EncodedTexts:
        """The examples that this run computes: all, or the shortest and the longest where the others were before."""
        if self.proved is None:
            return self.sample
        lengths = self.sample.lengths
        return training.selected(self.sample, np.unique([lengths.argmin(), lengths.argmax()]))

    def keep(self, proof: Proof, proofs: dict[str, Proved], run: str) -> None:
        """Keep what a run has proven for the next one of its kind, unless something of it could not be.

        Args:
            proof: What it has proven.
            proofs: What the process has proven, by kind.
            run: The run's id.
        """
        if self.name and not proof.by and not proof.not_loadable:
            proofs[self.name] = Proved(run, proof.engine.facts, proof.saved)


def engine_before(manifest: Mapping[str, Any]) -> training.EngineName | None:
    """The engine that a run had before; versions without a check noted whether batches were padded."""
    checked = manifest.get("checks", {}).get("engine", {}).get("name")
    name = checked or manifest.get("provenance", {}).get("batches")
    return name if name in get_args(training.EngineName) else None


def _facts(
    config: RunConfig, components: RunComponents, sample: tasks.EncodedTexts, before: training.EngineName | None
) -> dict[str, Any]:
    model, device = components.model, components.device
    sections = [config.model, config.method, config.execution]
    arrays: list[Any] = [sample.input_ids, sample.offsets, sample.token_type_ids]
    return {
        "sections": [section.model_dump(mode="json") for section in sections],
        "precision": config.training.precision,
        "checkpoint": [model.fingerprint, model.pad_id, model.head],
        "model": _structure(model.module),
        "device": [str(device), torch.cuda.get_device_name(device) if device.type == "cuda" else ""],
        "torch": _settings(),
        "sample": [None if part is None else hashlib.sha256(part.tobytes()).hexdigest() for part in arrays],
        "engine_before": before,
    }


def _structure(module: nn.Module) -> list[Any]:
    """A module's parts with their options, its weights without their values."""
    weights = [*module.named_parameters(), *module.named_buffers()]
    return [
        [f"{type(part).__module__}.{type(part).__qualname__}" for part in module.modules()],
        repr(module),
        [[name, list(weight.shape), str(weight.dtype), weight.requires_grad] for name, weight in weights],
    ]


def _settings() -> list[Any]:
    """Settings of torch's that decide how it computes."""
    return [
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        str(torch.get_default_dtype()),
    ]
