"""One of the processes that test_processes.py starts: what it computes with the others and says to them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from contested.errors import RunError
from contested.training import launched


def main(rank: int, environment: dict[str, str], out: Path) -> None:
    """Save the loss and gradients of batches of five examples and of one, and what else they said to one another."""
    os.environ |= {**environment, "RANK": str(rank)}
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    labels, weights = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    with launched(sharing=True) as processes:
        torch.manual_seed(3)
        # In float64, and in float32, which travels apart: a weight that nothing needs, and one that one process needs.
        model, unused, alone = nn.Linear(4, 3).double(), nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1))
        found = []
        for n in (5, 1):
            trained = [*model.parameters(), unused, alone]
            for parameter in trained:
                parameter.grad = None
            lengths = np.arange(n)[::-1]
            outputs = processes.outputs(lengths, lambda places: model(inputs[places]) if len(places) else fail())
            loss = F.cross_entropy(outputs, labels[:n], weight=weights)
            if rank == 0:
                loss = loss + alone.double().sum()
            loss.backward()
            processes.sum_gradients(trained)
            value = float(loss.detach()) - (rank == 0)
            found.append([value, *(None if each.grad is None else each.grad.tolist() for each in trained)])
        # A pass that takes as many examples of each, where only who asks knows that.
        answers, order = processes.gathered(5, lambda rows: rows.tolist(), evenly=True)
        last = rank == processes.size - 1
        tried = (
            lambda: processes.first(fail),
            lambda: processes.gathered(5, fail if last else len),
            lambda: processes.check_alike([nn.Parameter(torch.tensor([1.0, rank]))], "now"),
        )
        told = {"batches": found, "evenly": (answers, order.tolist()), "failed": [said(do) for do in tried]}
        torch.save(told, out / f"found-{rank}-of-{processes.size}.pt")


def fail(*_: object) -> Any:
    """What a process does that has no room, or is given nothing to compute."""
    raise ValueError("no room")


def said(do: Callable[[], object]) -> str:
    """What became of it."""
    try:
        do()
    except (ValueError, RunError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    main(*GIVEN)  # type: ignore[name-defined]  # noqa: F821
