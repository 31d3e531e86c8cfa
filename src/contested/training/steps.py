"""One optimiser step of one run or of several together, eagerly or as a captured graph.

On a GPU a step of a small model is hundreds of kernels, each of which takes less time than Python needs to start it.
So the whole of it - forward, loss, backward, clipping, AdamW - is captured once per shape of batch and replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from contested.training.engine import BatchEngine
from contested.training.packed import PackedBatch, RunBatch, Shape

Work = Callable[[], Tensor]
"""What is captured: no arguments, and its result in the same memory at every replay."""


class SteppedRun(Protocol):
    """What a step needs of a run."""

    def run_batch(self, step: int) -> RunBatch:
        """The rows of a step, with the key of its dropout."""
        ...

    def set_learning_rate(self, step: int) -> None:
        """Set the learning rate of a step."""
        ...

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Training loss of rows."""
        ...

    def update(self) -> None:
        """Clip the gradients, take the optimiser's step, drop the gradients."""
        ...


class Capture(Protocol):
    """A way to repeat work without starting each piece of it again."""

    def warm_up(self, work: Work) -> Tensor:
        """Do the work once, as it would be captured."""
        ...

    def record(self, work: Work) -> Work:
        """Record the work, without effect, and give what replays it."""
        ...


class CudaGraphs:
    """CUDA graphs that share one pool of memory; they are replayed one after another."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Work) -> Tensor:
        """See :class:`Capture`: on the stream of the captures, where autograd's nodes then belong."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = work()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def record(self, work: Work) -> Work:
        """See :class:`Capture`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = work()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


class Steps:
    """Optimiser steps of S runs over collated batches.

    Args:
        runs: The runs.
        engine: Computes the logits of all of them.
        device: Where the models are.
        capture: Captures a step once for each shape; None: every step is eager.
    """

    def __init__(
        self, runs: Sequence[SteppedRun], engine: BatchEngine, *, device: torch.device, capture: Capture | None = None
    ) -> None:
        self._runs = runs
        self._engine = engine
        self._device = device
        self._capture = capture
        self._seen: set[Shape] = set()
        self._replays: dict[Shape, tuple[Tensor, Work]] = {}

    def __call__(self, steps: Sequence[int]) -> Tensor:
        """Take each run's step.

        Args:
            steps: Optimiser steps done before, of each run.

        Returns:
            Training losses before the update, shape (S,), on the device; nobody has waited for them.
        """
        batch = self._engine.collate([run.run_batch(step) for run, step in zip(self._runs, steps, strict=True)])
        for run, step in zip(self._runs, steps, strict=True):
            run.set_learning_rate(step)
        if self._capture is None:
            return self._work(batch.to(self._device))
        return self._replayed(batch, self._capture)

    def _replayed(self, batch: PackedBatch, capture: Capture) -> Tensor:
        if batch.shape not in self._seen:
            # The first batch of a shape is done eagerly: it makes what outlives a step, such as AdamW's moments.
            self._seen.add(batch.shape)
            given = batch.to(self._device)
            return capture.warm_up(lambda: self._work(given))
        if batch.shape not in self._replays:
            kept = batch._replace(numbers=batch.numbers.to(self._device, copy=True))
            self._replays[batch.shape] = kept.numbers, capture.record(lambda: self._work(kept))
        numbers, replay = self._replays[batch.shape]
        numbers.copy_(batch.to(self._device).numbers)
        return replay().clone()

    def _work(self, batch: PackedBatch) -> Tensor:
        of_runs = zip(self._runs, self._engine.forward(batch), batch.rows(), strict=True)
        losses = [run.loss(logits, rows) for run, logits, rows in of_runs]
        torch.autograd.backward(losses)
        for run in self._runs:
            run.update()
        return torch.stack(losses).detach()
