"""Passes of a training in several processes: each answers its share of the tracked examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.distributed.fsdp import FSDPModule

from contested.integrations.tracked import Outputs
from contested.training import Processes


def merged(
    processes: Processes, n: int, answer: Callable[[NDArray[np.int64]], Outputs], *, evenly: bool = False
) -> Outputs:
    """Let each process answer its share of n examples, and put the answers together by row.

    Args:
        processes: The processes of the training.
        n: How many examples there are.
        answer: Gives the outputs of the rows that are this process's share.
        evenly: As :meth:`contested.training.Processes.gathered`.

    Returns:
        The outputs of all rows, in order, in every process.

    Raises:
        RunError: If another process failed or is lost, or if a row is missing.
    """
    outputs, order = processes.gathered(n, answer, evenly=evenly)

    def joined(values: Sequence[Any]) -> Any:
        return np.concatenate(list(values))[order]

    logits = None if outputs[0].logits is None else joined([part.logits for part in outputs])
    extra = {name: joined([part.extra[name] for part in outputs]) for name in outputs[0].extra}
    return Outputs(joined([part.losses for part in outputs]), logits, extra)


def reshard(model: nn.Module) -> None:
    """Spread the weights again that FSDP 2 keeps together after a forward, for whoever takes the parameters next."""
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()
