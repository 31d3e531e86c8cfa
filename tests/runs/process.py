"""One of the processes that test_processes.py starts: trains what it was given with whatever others there are."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import torch

import contested as ct
from contested import models
from contested.errors import ContestedError
from contested.runs import Progress, prepare
from contested.training import TrainingLoop


def main(rank: int, environment: dict[str, str], job: dict[str, Any]) -> None:
    """Train, and leave what went wrong beside the run."""
    os.environ |= {**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)}
    out: Path = job["out"]
    (out.parent / f"pid-{rank}").write_text(str(os.getpid()))

    def signals(progress: Progress) -> None:
        if progress.step == job.get("at"):
            os.kill(int((out.parent / "pid-1").read_text()), job["signal"])

    if job["options"]["execution"].get("fsdp"):
        models.shard_frozen = partial(sharded, models.shard_frozen, out.parent / f"held-{rank}")
    if rank == 1 and "breaks" in job:
        BREAKS[job["breaks"]](job)
    try:
        ct.train(job["model"], job["method"], job["task"], out=out, on_progress=signals, **job["options"])
    except (ContestedError, RuntimeError) as error:
        (out.parent / f"error-{rank}.txt").write_text(f"{type(error).__name__}: {error}")


def sharded(shard: Any, file: Path, module: Any, device: Any) -> None:
    """Spread the weights, and note how many there are and how many this process holds."""
    total = sum(part.numel() for part in module.parameters())
    shard(module, device)
    held = sum(part.to_local().numel() if hasattr(part, "to_local") else part.numel() for part in module.parameters())
    file.write_text(f"{held} {total}")


def fail(job: dict[str, Any]) -> None:
    def update(loop: TrainingLoop) -> None:
        raise RuntimeError("out of memory")

    TrainingLoop.update = update  # type: ignore[method-assign]


def drift(job: dict[str, Any]) -> None:
    """The least change of one weight, as of a device that rounds in another way."""
    own = TrainingLoop.update

    def update(loop: TrainingLoop) -> None:
        own(loop)
        weight = loop._trained[0].data.view(-1)
        weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))

    TrainingLoop.update = update  # type: ignore[method-assign]


def take_another_seed(job: dict[str, Any]) -> None:
    job["options"]["seed"] = 5


def take_another_backbone(job: dict[str, Any]) -> None:
    """One whose files look the same: a disk that gave other bytes."""
    own = prepare.models.build

    def build(*given: Any, **options: Any) -> Any:
        model = own(*given, **options)
        next(part for part in model.module.parameters() if not part.requires_grad).data *= 1.5
        return model

    prepare.models.build = build


BREAKS = {
    "fails": fail,
    "drifts": drift,
    "seed": take_another_seed,
    "backbone": take_another_backbone,
}


if __name__ == "__main__":
    # A child of multiprocessing has the handlers of the process that it was copied from.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*GIVEN)  # type: ignore[name-defined]  # noqa: F821
