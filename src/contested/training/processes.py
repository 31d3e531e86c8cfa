"""Processes that train one model together: each computes its share of batches and passes, and the first one records.

Of a batch every process has all outputs and the gradient of its own share, so that the loss is that of the whole batch
whatever its weighting, and gradients are added up, not averaged.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from contested.errors import ConfigError, ContestedError, RunError

T = TypeVar("T")

_PATIENCE_S = 12 * 3600.0
"""How long the others wait while the first process proves its engine or writes; a process that dies is noticed at
once."""
_FAILED = "failed"
_LAST_WORDS_S = 3.0
_BUCKET = 1 << 24
"""Numbers that travel together: 64 MiB in float32."""
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers by their size in bytes, as which weights are added up."""


class _Answer(NamedTuple):
    """What one process says: what it found, or why it failed."""

    found: Any
    error: str = ""


class Gathered(NamedTuple, Generic[T]):
    """The answers of all processes that had a share.

    Attributes:
        answers: One per process.
        order: Puts what they answered of each row, end to end, in the order of the rows, shape (n,).
    """

    answers: list[T]
    order: NDArray[np.int64]


class Processes:
    """The processes of one training, or the only one.

    What is asked of them is asked of all at once, in the same order in each. Words and arrays go over a group of their
    own, on the CPU, so that nothing of a training that somebody else conducts is touched.

    Args:
        rank: Which one this is.
        size: How many there are.
        local_rank: Which one of those on this machine.
        evenly: Whether each computes as many examples as any other, as those that share a model's weights must; a few
            are then computed twice and counted once.
        timeout_s: Seconds after which a silent process counts as lost.
        store: Where a process that fails leaves its last words, or None.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        *,
        local_rank: int = 0,
        evenly: bool = False,
        timeout_s: float = 1800,
        store: PrefixStore | None = None,
    ) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self.evenly = evenly
        self._store = store
        self._group: Any = None
        if size > 1:
            with self._together():
                self._group = distributed.new_group(backend="gloo", timeout=timedelta(seconds=timeout_s))

    def first(self, do: Callable[[], T] | None = None) -> T:
        """Let the first process do something; all get its result, or fail as it fails.

        Args:
            do: Called in the first process alone; its result is small and can be pickled. The others need none.

        Returns:
            Its result, in every process.

        Raises:
            RunError: If it failed, in the other processes; the first one raises what went wrong.
        """
        answer, failure = _Answer(None), None
        if self.rank == 0:
            assert do is not None, "the first process has something to do"
            if self.size == 1:
                return do()
            answer, failure = _attempted(do)
        told = [answer]
        with self._together():
            distributed.broadcast_object_list(told, src=0, group=self._group)
        if failure is not None:
            raise failure
        if told[0].error:
            raise RunError(f"The first process failed: {told[0].error}")
        result: T = told[0].found
        return result

    def each(self, value: T) -> list[T]:
        """What every process has to say, by rank; small values that can be pickled."""
        told: list[T] = [value] * self.size
        if self.size > 1:
            with self._together():
                distributed.all_gather_object(told, value, group=self._group)
        return told

    def any(self, value: bool) -> bool:
        """Whether it is so in any process."""
        if self.size == 1:
            return value
        found = torch.tensor([value], dtype=torch.uint8)
        with self._together():
            distributed.all_reduce(found, distributed.ReduceOp.MAX, group=self._group)
        return bool(found)

    def gathered(self, n: int, answer: Callable[[NDArray[np.int64]], T], *, evenly: bool | None = None) -> Gathered[T]:
        """Let each process answer its share of n examples.

        Args:
            n: How many examples there are.
            answer: Gives what can be said of the rows that are this process's share, in their order.
            evenly: In place of the processes' own, where only who asks can know.

        Returns:
            The answers to all rows, in every process.

        Raises:
            RunError: If another process failed or is lost, or if a row is missing.
        """
        if self.size == 1:
            return Gathered([answer(np.arange(n))], np.arange(n))
        rows = share(n, self.rank, self.size, evenly=self.evenly if evenly is None else evenly)
        said, failure = _attempted(lambda: (rows, answer(rows)) if len(rows) else None)
        told = self.each(said)
        if failure is not None:
            raise failure
        failed = [f"process {rank}: {part.error}" for rank, part in enumerate(told) if part.error]
        if failed:
            raise RunError("A pass over the tracked examples failed in another process:", failed)
        parts = [part.found for part in told if part.found is not None]
        return Gathered([found for _, found in parts], in_order(n, [rows for rows, _ in parts]))

    def outputs(self, lengths: NDArray[np.int64], compute: Callable[[NDArray[np.int64]], Tensor]) -> Tensor:
        """Outputs of a batch, of which each process computes a share.

        Args:
            lengths: Tokens of each example of the batch, shape (B,): long and short ones are dealt out evenly.
            compute: Gives the outputs of some examples of the batch, by their places in it.

        Returns:
            The outputs of all, shape (B, …), the same in every process; gradients reach back to the share of this one.
        """
        if self.size == 1:
            return compute(np.arange(len(lengths)))
        by_length = np.argsort(lengths, kind="stable")
        mine = by_length[self.rank :: self.size]
        computed = by_length[share(len(lengths), self.rank, self.size, evenly=self.evenly)]
        # Of fewer examples than processes some have none: they compute one that does not count.
        own = compute(computed if len(computed) else by_length[:1])[: len(mine)]
        places = torch.from_numpy(mine).to(own.device)
        whole = own.detach().new_zeros(len(lengths), *own.shape[1:]).index_copy_(0, places, own.detach())
        with self._together():
            distributed.all_reduce(whole)
        return whole.index_copy(0, places, own)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add up the gradients of all processes; of a weight that no process has one of, there is none afterwards.

        Args:
            parameters: The weights that train, in the same order in every process.
        """
        if self.size > 1:
            for bucket in _buckets(parameters):
                self._sum_bucket(bucket)

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Add up what all processes have.

        Args:
            tensors: Of the same shapes, in the same order in every process.

        Returns:
            Their sums, in every process.
        """
        if self.size == 1:
            return list(tensors)
        return [total for bucket in _buckets(tensors) for total in self._added(bucket)]

    def check_alike(self, parameters: Sequence[nn.Parameter], when: str) -> None:
        """Refuse to go on where processes do not hold the same weights.

        Args:
            parameters: The weights that train.
            when: When that is, for the message.

        Raises:
            RunError: If one holds others than the first one.
        """
        if self.size == 1:
            return
        sums = [_whole_numbers(parameter).sum(dtype=torch.int64) for parameter in parameters]
        found = self.each(torch.stack(sums).tolist() if sums else [])
        others = [f"process {rank}" for rank, each in enumerate(found) if each != found[0]]
        if others:
            raise RunError(
                f"The processes of the training hold different weights {when}: {', '.join(others)} and process 0. What "
                "was recorded is intact. Give all of them devices of one kind, and the same versions of the packages."
            )

    def tell(self, error: BaseException) -> None:
        """Leave last words for the others."""
        if self._store is not None and isinstance(error, Exception):
            with contextlib.suppress(RuntimeError):  # Whoever keeps the words may be gone.
                self._store.compare_set(_FAILED, "", f"process {self.rank}: {_told(error)}")

    def _added(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        numbers = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with self._together():
            distributed.all_reduce(numbers)
        parts = torch.split(numbers, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def _sum_bucket(self, bucket: Sequence[Tensor]) -> None:
        there = torch.tensor([parameter.grad is not None for parameter in bucket])
        gradients = [torch.zeros_like(part) if part.grad is None else part.grad for part in bucket]
        *summed, counts = self._added([*gradients, there.to(gradients[0])])
        # AdamW leaves a weight without a gradient alone, and would still let one decay whose gradient is zero.
        kept = [True] * len(bucket) if there.all() else counts.gt(0).tolist()
        for parameter, gradient, any_has in zip(bucket, summed, kept, strict=True):
            parameter.grad = gradient if any_has else None

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RunError(self._why_lost()) from error

    def _why_lost(self) -> str:
        words = self._last_words().rstrip(".")
        if words:
            return (
                f"Of {self.size} processes that trained together (counted from 0) one failed: {words}. The others "
                "stopped. What was recorded is intact: resume with the same command."
            )
        return (
            f"Process {self.rank} of {self.size} (counted from 0) waited in vain for the other processes of the "
            "training: one of them is lost. What was recorded is intact: find the reason in the others' output, then "
            "resume training from its last checkpoint."
        )

    def _last_words(self) -> str:
        """Why another process failed, as far as it could say so."""
        if self._store is None:
            return ""
        until = time.monotonic() + _LAST_WORDS_S
        with contextlib.suppress(RuntimeError):  # Whoever keeps the words may be gone.
            while time.monotonic() < until:
                if self._store.check([_FAILED]):
                    words: str = self._store.get(_FAILED).decode()
                    return words
                time.sleep(0.05)
        return ""


_TRAININGS = itertools.count()
ALONE = Processes()
"""The only process of a training."""


@contextlib.contextmanager
def launched(*, sharing: bool, evenly: bool = False) -> Iterator[Processes]:
    """The processes that torchrun (or whoever sets its variables) started for one training, or this one alone.

    Args:
        sharing: Whether several processes may use one device, which NCCL does not serve.
        evenly: As of :class:`Processes`.

    Yields:
        The processes; their groups end with the block, unless they were there before.

    Raises:
        ConfigError: If the others do not come.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    begun, store = not distributed.is_initialized(), None
    if begun:
        backend = "gloo" if sharing or not torch.cuda.is_available() else "cpu:gloo,cuda:nccl"
        store, rank = _meet(size)
        patience = timedelta(seconds=_PATIENCE_S)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    processes = Processes(
        distributed.get_rank(),
        distributed.get_world_size(),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        evenly=evenly,
        timeout_s=_PATIENCE_S,
        store=store,
    )
    try:
        yield processes
    except BaseException as error:
        processes.tell(error)
        raise
    finally:
        if begun:
            distributed.destroy_process_group()


def _meet(size: int) -> tuple[PrefixStore, int]:
    """Wait for the other processes: what all of them read and write, and which one this is."""
    try:
        store, rank, _ = next(rendezvous("env://"))
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"WORLD_SIZE is {size}, so {size} processes are to train one run together, and they did not meet: {error}. "
            f"Start them with torchrun --nproc-per-node {size}, or unset WORLD_SIZE to train in one."
        ) from error
    # Whoever trains again in the same processes meets nothing of what was said before.
    return PrefixStore(f"contested-{next(_TRAININGS)}", store), rank


def share(n: int, rank: int, size: int, *, evenly: bool) -> NDArray[np.int64]:
    """The rows of n that a process answers: every ``size``-th, without padding.

    Args:
        n: How many rows there are.
        rank: Which process.
        size: How many processes.
        evenly: Whether each gets as many rows as any other; the first rows then fill what is missing.

    Returns:
        Row numbers.

    >>> [share(5, rank, 2, evenly=False).tolist() for rank in (0, 1)]
    [[0, 2, 4], [1, 3]]
    >>> [share(5, rank, 2, evenly=True).tolist() for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """
    length = -(-n // size) * size if evenly else n
    return np.arange(rank, length, size) % n


def in_order(n: int, shares: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """What puts the rows of shares, end to end, in order.

    Args:
        n: How many rows there are.
        shares: Row numbers of each share.

    Returns:
        Places, shape (n,); of a row that occurs twice the first counts.

    Raises:
        RunError: If a row is missing.
    """
    found, first = np.unique(np.concatenate(shares), return_index=True)
    if not np.array_equal(found, np.arange(n)):
        raise RunError(f"A pass over {n:,} tracked examples gave {len(found):,} of them. A process lost its share.")
    return first


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type and device that are added up together."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        held = sum(each.numel() for each in bucket)
        alike = not bucket or (bucket[0].dtype, bucket[0].device) == (tensor.dtype, tensor.device)
        if bucket and (not alike or held + tensor.numel() > _BUCKET):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def _whole_numbers(parameter: nn.Parameter) -> Tensor:
    return parameter.detach().contiguous().view(_WORDS[parameter.element_size()])


def _attempted(do: Callable[[], Any]) -> tuple[_Answer, Exception | None]:
    """What a process says to the others, and what it raises itself once they have heard."""
    try:
        return _Answer(do()), None
    except Exception as error:
        return _Answer(None, _told(error)), error


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ContestedError) else f"{type(error).__name__}: {error}"
