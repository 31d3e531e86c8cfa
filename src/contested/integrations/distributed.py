"""Processes that train together: each answers its share of the tracked examples, and the first one records."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import distributed, nn
from torch.distributed.fsdp import FSDPModule

from contested.errors import ContestedError, RunError
from contested.integrations.tracked import Outputs

T = TypeVar("T")


class _Answer(NamedTuple):
    """What one process says: what it found, or why it failed."""

    found: Any
    error: str = ""


class Processes:
    """The processes of one training, or the only one.

    What is asked of them is asked of all at once, in the same order in each. They speak over a group of their own, on
    the CPU, so that nothing of the training is touched.

    Args:
        rank: Which one this is.
        size: How many there are.
        timeout_s: Seconds after which a silent process counts as lost.
    """

    def __init__(self, rank: int, size: int, *, timeout_s: float = 1800) -> None:
        self.rank, self.size = rank, size
        self._group: Any = None
        if size > 1:
            with self._together():
                self._group = distributed.new_group(backend="gloo", timeout=timedelta(seconds=timeout_s))

    def first(self, do: Callable[[], T]) -> T:
        """Let the first process do something; all get its result, or fail as it fails.

        Args:
            do: Called in the first process alone; its result is small and can be pickled.

        Returns:
            Its result, in every process.

        Raises:
            RunError: If it failed, in the other processes; the first one raises what went wrong.
        """
        if self.size == 1:
            return do()
        failure, answer = None, _Answer(None)
        if self.rank == 0:
            try:
                answer = _Answer(do())
            except Exception as error:
                failure, answer = error, _Answer(None, _told(error))
        told = [answer]
        with self._together():
            distributed.broadcast_object_list(told, src=0, group=self._group)
        if failure is not None:
            raise failure
        if told[0].error:
            raise RunError(f"The first process failed: {told[0].error}")
        result: T = told[0].found
        return result

    def merged(self, n: int, answer: Callable[[NDArray[np.int64]], Outputs], *, evenly: bool = False) -> Outputs:
        """Let each process answer its share of n examples, and put the answers together by row.

        Args:
            n: How many examples there are.
            answer: Gives the outputs of the rows that are this process's share.
            evenly: Whether every process is to have as many rows, as those that share a model's weights must; some
                rows are then answered twice and counted once.

        Returns:
            The outputs of all rows, in order, in every process.

        Raises:
            RunError: If another process failed or is lost, or if a row is missing.
        """
        if self.size == 1:
            return answer(np.arange(n))
        rows, failure = share(n, self.rank, self.size, evenly=evenly), None
        try:
            said = _Answer((rows, tuple(answer(rows))) if len(rows) else None)
        except Exception as error:
            failure, said = error, _Answer(None, _told(error))
        told: list[_Answer] = [said] * self.size
        with self._together():
            distributed.all_gather_object(told, said, group=self._group)
        if failure is not None:
            raise failure
        failed = [f"process {rank}: {part.error}" for rank, part in enumerate(told) if part.error]
        if failed:
            raise RunError("A pass over the tracked examples failed in another process:", failed)
        return merge(n, [(part.found[0], Outputs(*part.found[1])) for part in told if part.found is not None])

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise RunError(
                f"Process {self.rank} of {self.size} (counted from 0) waited in vain for the other processes of the "
                "training: one of them is lost. What was recorded is intact: find the reason in the others' output, "
                "then resume training from its last checkpoint."
            ) from error


def reshard(model: nn.Module) -> None:
    """Spread the weights again that FSDP 2 keeps together after a forward, for whoever takes the parameters next."""
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


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


def merge(n: int, parts: Sequence[tuple[NDArray[np.int64], Outputs]]) -> Outputs:
    """Put the outputs of shares together.

    Args:
        n: How many rows there are.
        parts: Row numbers and outputs of each share; of a row that occurs twice the first counts.

    Returns:
        The outputs of all rows, in order.

    Raises:
        RunError: If a row is missing.
    """
    rows = np.concatenate([rows for rows, _ in parts])
    found, first = np.unique(rows, return_index=True)
    if not np.array_equal(found, np.arange(n)):
        raise RunError(f"A pass over {n:,} tracked examples gave {len(found):,} of them. A process lost its share.")

    def joined(values: Sequence[Any]) -> Any:
        return np.concatenate(list(values))[first]

    outputs = [part for _, part in parts]
    logits = None if outputs[0].logits is None else joined([part.logits for part in outputs])
    extra = {name: joined([part.extra[name] for part in outputs]) for name in outputs[0].extra}
    return Outputs(joined([part.losses for part in outputs]), logits, extra)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ContestedError) else f"{type(error).__name__}: {error}"
