from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from contested import models
from contested.runs import encode_task
from contested.tasks import NLITask, TaskData
from contested.training import Engine, PaddedEngine, Recipe, TrainingLoop, TrainingSet, make_engine

LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.05}


class Parts(NamedTuple):
    model: models.TextModel
    task: TaskData
    data: TrainingSet
    engine: Engine

    def loop(self, recipe: Recipe, **options: Any) -> TrainingLoop:
        return TrainingLoop(self.model.module, self.engine, self.data, recipe, **options)


@pytest.fixture
def parts(checkpoint: Callable[[str], Path], annotated: Any, bulk: Any) -> Callable[..., Parts]:
    """Builds a tiny run's parts, afresh and the same at every call."""

    def make(kind: str = "bert", method: str = "lora", *, padded: bool = False, **engine: Any) -> Parts:
        task = NLITask(annotated=annotated, bulk=bulk, bulk_size=60).prepare()
        model = models.build(
            str(checkpoint(kind)),
            label_names=task.label_names,
            method=method,
            options=LORA if method == "lora" else {},
            seed=7,
        )
        where = {
            "pad_id": model.tokenizer.pad_token_id,
            "device": torch.device("cpu"),
        }
        made = PaddedEngine(model.module, **where, **engine) if padded else make_engine(model.module, **where, **engine)
        return Parts(model, task, encode_task(task, model, 64), made)

    return make


@pytest.fixture
def enliven() -> Callable[[torch.nn.Module], None]:
    """Gives a model dropout everywhere and weights large enough that logits are far from zero."""

    def change(module: torch.nn.Module) -> None:
        generator = torch.Generator().manual_seed(0)
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
        for part in module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.2
            if isinstance(getattr(part, "attention_dropout", None), float):
                part.attention_dropout = 0.2

    return change


@pytest.fixture
def tapes() -> Iterator[Tapes]:
    """Captured graphs on a CPU: operations are written down once and done again on the same memory."""
    older = list(live())
    gc.freeze()  # What was there before need not be looked through again at every capture.
    yield Tapes(older)
    gc.unfreeze()


class Tape(TorchDispatchMode):
    """Writes operations down and refuses what a CUDA graph could not hold.

    Whatever waits for a value or has a size that depends on one, and any tensor that neither was there before nor was
    made by an operation on the tape: such a one would have come from the host.
    """

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "equal", "is_nonzero")

    def __init__(self, there: Iterable[Tensor]) -> None:
        super().__init__()
        self.there = {tensor.untyped_storage().data_ptr(): tensor for tensor in there}
        self.done: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if any(name.startswith(word) for word in self.FORBIDDEN):
            raise AssertionError(f"{name} waits for the device")
        given = tensors((args, kwargs))
        for tensor in given:
            if tensor.numel() and tensor.untyped_storage().data_ptr() not in self.there:
                raise AssertionError(f"{name} reads a tensor from the host: {tensor}")
        result = func(*args, **kwargs)
        old = {tensor.untyped_storage().data_ptr() for tensor in given}
        fresh = [tensor for tensor in tensors(result) if tensor.untyped_storage().data_ptr() not in old]
        self.there |= {tensor.untyped_storage().data_ptr(): tensor for tensor in fresh}
        self.done.append((func, args, kwargs, fresh))
        return result

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, fresh in self.done:
                again = tensors(func(*args, **kwargs))
                for tensor, value in zip(fresh, again, strict=False):
                    tensor.copy_(value)


class Tapes:
    """Captures on a CPU (see ``contested.training.steps.Capture``).

    Args:
        older: The tensors that were there before the garbage collector's objects were frozen.
    """

    def __init__(self, older: Sequence[Tensor]) -> None:
        self.recorded = self.replayed = 0
        self.older = older

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        return work()

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        there = [*self.older, *live()]
        before = [(tensor, tensor.detach().clone()) for tensor in there if 0 not in tensor.stride()]
        with Tape([*there, *(value for _, value in before)]) as tape:
            result = work()
        with torch.no_grad():  # a capture has no effect
            for tensor, value in before:
                tensor.detach().copy_(value)
        self.recorded += 1

        def replay() -> Tensor:
            self.replayed += 1
            tape.replay()
            return result

        return replay


def tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def live() -> Iterator[Tensor]:
    gc.collect()
    # Tensors without memory of their own are what an earlier torch.compile was traced with.
    return (
        each
        for each in gc.get_objects()
        if issubclass(type(each), Tensor) and not issubclass(type(each), FakeTensor | FunctionalTensor)
        if each.layout == torch.strided and each.numel()
    )
