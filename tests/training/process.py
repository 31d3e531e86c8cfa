"""One of the processes that test_processes.py starts: a batch's loss and gradients, of which it computes a share."""

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from contested.training import launched


def main(rank: int, environment: dict[str, str], out: Path) -> None:
    """Save the loss and gradients of batches of five examples and of one."""
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
            outputs = processes.outputs(lengths, lambda places: model(inputs[places]))
            loss = F.cross_entropy(outputs, labels[:n], weight=weights)
            if rank == 0:
                loss = loss + alone.double().sum()
            loss.backward()
            processes.sum_gradients(trained)
            value = float(loss.detach()) - (rank == 0)
            found.append([value, *(None if each.grad is None else each.grad.tolist() for each in trained)])
        torch.save(found, out / f"found-{rank}-of-{processes.size}.pt")


if __name__ == "__main__":
    main(*GIVEN)  # type: ignore[name-defined]  # noqa: F821
