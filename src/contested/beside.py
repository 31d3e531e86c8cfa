"""Work in processes beside this one, where the system can split a process in two safely."""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from contested.errors import RunError

Item = TypeVar("Item")
Result = TypeVar("Result")

_NUMBER = 2  # bytes of an item's number; what is read from a pipe at once is whole
_MOST_ITEMS = 65_536 // _NUMBER  # so many numbers a pipe holds before anyone reads


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Make many objects that stay, through which the garbage collector would go again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def import_to_stay(module: str) -> None:
    """Import what this process keeps to its end; nothing of it is looked through for garbage, then or later.

    For processes of our own, a command's or a worker's: what else is there at the time stays, too.
    """
    if module not in sys.modules:
        with collector_paused():
            importlib.import_module(module)
            gc.freeze()


def cores() -> int:
    """The cores that this process may use.

    Returns:
        How many; in a job of SLURM those that it was given, to which it need not be kept.
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or ""
    return min(found, int(given)) if given.isdigit() and int(given) else found


def processes() -> int:
    """How many processes :func:`beside` takes: one per core, or none where this process cannot be split safely.

    A process with threads cannot, as one that has loaded torch: a lock that a thread holds just then stays locked in
    the copy.
    """
    alone = threading.active_count() == 1 and "torch" not in sys.modules
    if sys.platform != "linux" or not alone or multiprocessing.current_process().daemon:
        return 0
    count = cores()
    return count if count > 1 else 0


@contextlib.contextmanager
def beside(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Callable[[], list[Result]]]:
    """Apply a function to items in other processes while this one goes on; here and later where it cannot be split.

    Args:
        function: What is done; it and the items need not be pickled, what it returns or raises is.
        items: What it is done to; whoever is free takes the next, so the longest come first.

    Yields:
        What waits for the results, in the order of the items, and raises what the function raised. The processes end
        with the block.

    Raises:
        RunError: From that function, if a process was killed.
    """
    count = min(processes(), len(items))
    if count < 2 or len(items) > _MOST_ITEMS:
        yield lambda: [function(item) for item in items]
        return
    workers = _started(count, function, items)
    try:
        yield lambda: _collected(workers, len(items))
    finally:
        for process, receiver in workers:
            process.terminate()
            process.join()
            receiver.close()


def _started(count: int, function: Callable[[Any], Any], items: Sequence[Any]) -> list[tuple[Any, Connection]]:
    context = multiprocessing.get_context("fork")
    # Nobody hands out work: numbers lie in a pipe, so that processes whose parent was killed come to an end.
    numbers, write_end = os.pipe()
    os.write(write_end, b"".join(index.to_bytes(_NUMBER, "little") for index in range(len(items))))
    os.close(write_end)
    workers = []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for _ in range(count):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(numbers, sender, function, items), daemon=True)
        with warnings.catch_warnings():
            # Of pools of threads that know about splitting, as those of OpenBLAS and Arrow.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        sender.close()
        workers.append((process, receiver))
    os.close(numbers)
    return workers


def _work(numbers: int, sender: Connection, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C asks the parent, which ends this process
    gc.freeze()  # what the parent made is never garbage here; what an item leaves goes when it is done
    gc.disable()
    done: list[tuple[int, Any]] = []
    error: Exception | None = None
    try:
        while number := os.read(numbers, _NUMBER):
            index = int.from_bytes(number, "little")
            done.append((index, function(items[index])))
            gc.collect()
    except Exception as raised:
        error = raised
    with contextlib.suppress(BrokenPipeError):  # nobody waits any more
        sender.send_bytes(pickle.dumps((done, error)))


def _collected(workers: Sequence[tuple[Any, Connection]], n: int) -> list[Any]:
    found: dict[int, Any] = {}
    for process, receiver in workers:
        try:
            done, error = pickle.loads(receiver.recv_bytes())
        except EOFError:
            process.join()
            raise RunError(
                f"A process of this command ended before its work was done (exit code {process.exitcode}; -9: killed, "
                "mostly for want of memory). Repeat the command with more memory, or on one core with `taskset -c 0`."
            ) from None
        if error is not None:
            raise error
        found |= done
    return [found[index] for index in range(n)]


def at_once(*makers: Callable[[], Any]) -> list[Any]:
    """What each of several functions returns, in their order; see :func:`beside`.

    Args:
        *makers: The functions, those that take longest first.

    Returns:
        Their results.
    """
    with beside(lambda make: make(), makers) as results:
        return results()


def each_beside(function: Callable[[Item], Result], items: Sequence[Item], together: int) -> list[Result]:
    """What a function returns for each of many small items; see :func:`beside`.

    Args:
        function: What is done to each.
        items: What it is done to.
        together: How many a process takes at once; so few of them are done here.

    Returns:
        The results, in the order of the items.
    """
    if len(items) <= together:
        return [function(item) for item in items]
    parts = [items[at : at + together] for at in range(0, len(items), together)]
    with beside(lambda part: [function(item) for item in part], parts) as results:
        return list(itertools.chain.from_iterable(results()))
