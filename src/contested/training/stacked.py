"""Several LoRA runs over one frozen backbone, trained together: one forward and backward for all of them.

The tokens of S runs lie end to end in one batch. Frozen weights see all of them at once; adapters and heads see
their own run's. Gradients, clipping, schedules, checkpoints and snapshots are each run's own, so that a run comes
out as it would alone, up to rounding.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from peft.tuners.lora import Linear as LoraLinear
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn

from contested.errors import TrainingError
from contested.families import family_of
from contested.models import base_model
from contested.tasks import EncodedTexts
from contested.training.dropout import DropoutKeys
from contested.training.engine import packs
from contested.training.families import packed_forward, pooling
from contested.training.fitting import fit_together
from contested.training.loop import TrainingLoop
from contested.training.lora import plain_lora
from contested.training.packed import PackedBatch, Packer, RunBatch
from contested.training.precision import cast_frozen
from contested.training.steps import Steps
from contested.training.tracking import inference_mode

_ONE_PRODUCT = 64
"""Runs of equally many tokens share two batched products where ranks are at most this."""


def stack_problem(module: nn.Module) -> str:
    """Why a model cannot be stacked.

    Args:
        module: A PEFT model.

    Returns:
        The reason, or an empty text where it can.
    """
    if not packs(module):
        return f"{base_model(module).config.model_type} has no packed forward"
    problem = family_of(base_model(module).config.model_type).stack_problem
    if problem:
        return problem
    inside = [part for part in module.modules() if isinstance(part, LoraLinear | ModulesToSaveWrapper)]
    covered = {id(p) for part in inside for p in part.parameters() if p.requires_grad}
    other = [name for name, p in module.named_parameters() if p.requires_grad and id(p) not in covered]
    if other:
        return f"{other[0]} trains, which is neither LoRA's nor the head's"
    adapted = [part for part in inside if isinstance(part, LoraLinear)]
    return "" if all(map(plain_lora, adapted)) else "its LoRA is not a plain one (DoRA, biases, several adapters)"


def share_frozen(modules: Sequence[nn.Module]) -> None:
    """Let several models with equal frozen weights keep them once.

    Args:
        modules: Models of one structure.

    Raises:
        ValueError: If a frozen weight differs.
    """
    first, *others = modules
    frozen = {name: p for name, p in first.named_parameters() if not p.requires_grad}
    for module in others:
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                continue
            kept = frozen.get(name)
            # A head's random start, kept beside the head that trains, is never used.
            if ".original_module." in name:
                continue
            if kept is None or not torch.equal(kept, parameter):
                raise ValueError(f"The frozen weight {name} is not the same in all models; they cannot be stacked.")
            parameter.data = kept.data


class StackedEngine:
    """Computes the logits of several runs in one pass.

    Args:
        modules: One PEFT model per run, over equal frozen weights, which are then kept once.
        device: Where the models are.
        precision: ``float32``, or ``bfloat16`` for autocast.
        single_group: Whether all examples attend in one padded group.
        bucket: Each run's number of tokens is filled up to a multiple of this.

    Raises:
        ValueError: If a model cannot be stacked, or frozen weights differ.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        *,
        device: torch.device,
        precision: str = "float32",
        single_group: bool = False,
        bucket: int | None = None,
    ) -> None:
        for module in modules:
            problem = stack_problem(module)
            if problem:
                raise ValueError(f"This model cannot be stacked: {problem}.")
        if precision == "bfloat16":
            for module in modules:
                cast_frozen(module)
        share_frozen(modules)
        self._keys = [DropoutKeys.of(module) for module in modules]
        self._sizes: list[int] = []
        self._pooled: list[int] = []
        # A skeleton of its own over the same tensors, in which adapters and heads are those of all runs.
        tensors = {id(t): t for t in (*modules[0].parameters(), *modules[0].buffers())}
        skeleton = copy.deepcopy(modules[0], {**tensors, id(self._keys[0]): None})
        for name, part in list(skeleton.named_modules()):
            if isinstance(part, LoraLinear):
                _replace(skeleton, name, _StackedLora(self, [module.get_submodule(name) for module in modules]))
            elif isinstance(part, ModulesToSaveWrapper):
                _replace(skeleton, name, _StackedHead(self, [module.get_submodule(name) for module in modules]))
        skeleton.train()
        self._modules = modules
        self._model = base_model(skeleton)
        forward = packed_forward(self._model)
        assert forward is not None
        self._forward = forward
        self._packer = Packer(
            DropoutKeys.of(skeleton), device=device, precision=precision, single_group=single_group, bucket=bucket
        )

    def logits(self, batches: Sequence[RunBatch]) -> list[Tensor]:
        """Logits of each run's rows.

        Args:
            batches: One per run, rows in any order.

        Returns:
            Logits (B, K) of each run in the order of its rows, never in half precision.
        """
        return self.forward(self.collate(batches).to(self._packer.device))

    def collate(self, batches: Sequence[RunBatch]) -> PackedBatch:
        """See :class:`contested.training.engine.BatchEngine`; one batch per run."""
        return self._packer.collate(batches, pooling(self._model))

    def forward(self, batch: PackedBatch) -> list[Tensor]:
        """See :class:`contested.training.engine.BatchEngine`."""
        self._sizes, self._pooled = list(batch.shape.tokens), list(batch.shape.examples)
        with self._packer.unpack(batch, self._keys) as tokens:
            logits = self._forward(self._model, self._packer, tokens).float()
        return list(torch.split(logits[batch.fields()["order"]], list(batch.shape.asked)))

    def as_they_are(self, texts: Sequence[EncodedTexts]) -> list[NDArray[np.float32]]:
        """Logits of all texts of each run in eval mode; of no use for training afterwards.

        Args:
            texts: Those of each run.

        Returns:
            Shape (N, K) of each.
        """
        with contextlib.ExitStack() as modes:
            for module in self._modules:
                modes.enter_context(inference_mode(module))
            self._model.eval()
            found = self.logits([RunBatch(each, np.arange(len(each)), None) for each in texts])
        return [np.asarray(logits.cpu().numpy()) for logits in found]

    def split(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Cut rows of all runs, one per token or one per example, into each run's."""
        sizes = self._sizes if len(rows) == sum(self._sizes) else self._pooled
        return torch.split(rows, sizes)


class _StackedLora(nn.Module):
    """One frozen linear layer with the adapters of S runs."""

    def __init__(self, engine: StackedEngine, layers: Sequence[Any]) -> None:
        super().__init__()
        self._split = engine.split
        self._base = layers[0].get_base_layer()
        self._layers = layers

    def forward(self, rows: Tensor) -> Tensor:
        base: Tensor = self._base(rows)
        given, adapters = [], []
        for layer, own in zip(self._layers, self._split(rows), strict=True):
            (name,) = layer.active_adapters
            adapters.append((layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name]))
            given.append(layer.lora_dropout[name](own))
        down, up, scales = zip(*adapters, strict=True)
        rank = max(len(weight) for weight in down)
        if len({len(own) for own in given}) == 1 and len(given) > 1 and rank <= _ONE_PRODUCT:
            # Rows and columns of zeros that fill lower ranks up change nothing and get no gradient. With n tokens per
            # run: (S, n, in) (S, in, rank) (S, rank, out), back to end to end, (S n, out).
            wide = torch.stack([F.pad(weight, (0, 0, 0, rank - len(weight))) for weight in down])
            tall = torch.stack([F.pad(s * w, (0, rank - w.shape[1])) for w, s in zip(up, scales, strict=True)])
            return base + (torch.stack(given) @ wide.mT @ tall.mT).flatten(0, 1)
        deltas = [(own @ a.T) @ b.T * s for own, (a, b, s) in zip(given, adapters, strict=True)]
        return base + torch.cat(deltas)


class _StackedHead(nn.Module):
    """The heads of S runs."""

    def __init__(self, engine: StackedEngine, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self._split = engine.split
        self._heads = heads

    def forward(self, rows: Tensor) -> Tensor:
        return torch.cat([head(own) for head, own in zip(self._heads, self._split(rows), strict=True)])


def fit_stacked(
    loops: Sequence[TrainingLoop],
    *,
    resume: Sequence[bool] | None = None,
    on_failure: Callable[[int, TrainingError], None] | None = None,
    **engine: Any,
) -> None:
    """Train several runs together, each to its end.

    Runs may differ in seed, data, labels, rank, rate and length; a run that is done leaves the stack.

    Args:
        loops: One per run; their engines serve the tracking passes, the first one's capture the steps.
        resume: Whether each resumes from its snapshot; none where not given.
        on_failure: Told which run failed and why, while the others continue; without it the failure is raised.
        **engine: Options of :class:`StackedEngine`.

    Raises:
        ValueError: If the runs cannot be stacked.
        TrainingError: If a run's loss is not finite; what was recorded of any run stays.
        Interrupted: On a request to stop, with the state of every run saved.
    """

    def steps(active: list[TrainingLoop]) -> Steps:
        stack = StackedEngine([loop.module for loop in active], **engine)
        return Steps(active, stack, device=active[0].device, capture=active[0].capture)

    resumes = [False] * len(loops) if resume is None else list(resume)
    fit_together(loops, steps, resume=resumes, on_failure=on_failure)


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, part)
