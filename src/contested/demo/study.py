"""The demo: the paper's protocol in miniature on the embedded world, for LoRA and for full fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from contested.demo import ENCODER_PATH, make_world
from contested.options import Full, LoRA, Method
from contested.report import ReportPaths, write_report
from contested.runs import Progress, train
from contested.tasks import NLITask, TextClassificationTask

METHODS: dict[str, Method] = {"lora-r4": LoRA(r=4), "full": Full()}

# The paper's recipe but for two numbers. The rate is one for both methods, as there, and larger because the
# encoder is some two hundred times smaller; at 3e-3 full fine-tuning no longer trains. With five times fewer
# steps, checkpoints come five times as often.
SETTINGS: dict[str, dict[str, Any]] = {
    "training": {"learning_rate": 1e-3},
    "tracking": {"every": 20},
    # Its matrices are too small to share between cores.
    "execution": {"threads": 1},
}


class DemoResult(NamedTuple):
    """The result of the demo.

    Attributes:
        runs: Run name to its folder.
        report: The report on both.
    """

    runs: dict[str, Path]
    report: ReportPaths


def run_demo(out: Path, *, seed: int = 42, on_progress: Callable[[str, Progress], None] | None = None) -> DemoResult:
    """Train both methods on the embedded world and report on them; finished runs are not repeated.

    Args:
        out: Folder for runs and report.
        seed: Seed of the runs; the world is always the same.
        on_progress: Called with the run's name after each step.

    Returns:
        Where everything is.
    """
    task = demo_task()
    runs: dict[str, Path] = {}
    trajectories = []
    for name, method in METHODS.items():

        def show(progress: Progress, name: str = name) -> None:
            if on_progress is not None:
                on_progress(name, progress)

        settings: dict[str, Any] = {**SETTINGS}
        result = train(
            str(ENCODER_PATH),
            method,
            task,
            out=out / "runs" / name,
            max_length=64,
            seed=seed,
            name=f"demo-{name}-s{seed}",
            on_progress=show,
            **settings,
        )
        runs[name] = result.path
        trajectories.append(result.trajectory)
    report = write_report(trajectories, out / "results", title="LoRA and full fine-tuning on the embedded world")
    return DemoResult(runs, report)


def demo_task() -> TextClassificationTask:
    """The embedded world as the paper's task: about 500 annotated items beside 4,000 bulk examples."""
    world = make_world(n_annotated=500, n_bulk=4000, seed=0)
    return NLITask(annotated=world.annotated, bulk=world.bulk)
