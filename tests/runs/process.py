"""One of the processes that test_processes.py starts: trains what it was given with whatever others there are."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import contested as ct
from contested import models
from contested.errors import ContestedError
from contested.runs import Progress
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
    if rank == 1 and job.get("fails"):
        TrainingLoop.update = broken  # type: ignore[method-assign]
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


def broken(loop: TrainingLoop) -> None:
    raise RuntimeError("out of memory")


if __name__ == "__main__":
    # A child of multiprocessing has the handlers of the process that it was copied from.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*GIVEN)  # type: ignore[name-defined]  # noqa: F821
