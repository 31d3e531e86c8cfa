"""``contested train``: one run from a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from contested.runs import Progress


def train(
    config: Annotated[Path, typer.Argument(help="The run's configuration (YAML).", show_default=False)],
    out: Annotated[Path, typer.Option(help="The run folder; the same folder resumes.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]...", help="Overrides, such as training.epochs=3.")
    ] = None,
) -> None:
    """Fine-tune once and record every tracked example at every checkpoint.

    The same command on the same folder goes on where it stopped, whatever stopped it; the result is the
    same as that of an uninterrupted run.

    Example: contested train run.yaml method=full training.learning_rate=2e-5 --out runs/full
    """
    from rich.console import Console
    from rich.text import Text

    from contested.config import load_config
    from contested.runs import pick_device, train_config
    from contested.studies.backbone import slowdowns

    settings = load_config(config, overrides or ())
    errors = Console(stderr=True)
    on_cpu = settings.execution.device == "cpu" or (
        settings.execution.device == "auto" and pick_device("auto").type == "cpu"
    )
    for line in slowdowns(settings, on_cpu=on_cpu):
        errors.print(Text(f"Warning: {line}."), soft_wrap=True)
    with progress_bar(errors) as show:
        result = train_config(settings, out=out, on_progress=show)
    if result.trained:
        typer.echo(f"{result.run_id} is complete: {result.path}")
    else:
        typer.echo(f"{result.run_id} was complete already: {result.path}")
    typer.echo(f"Next: contested report {result.path}")


class progress_bar:  # noqa: N801 - used as a context manager only
    """A live bar on stderr with loss, contested Δℓ so far and time left; silent where stderr is no terminal.

    Args:
        console: The console of stderr.
    """

    def __init__(self, console: Console) -> None:
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("loss {task.fields[loss]:.3f}  contested Δℓ {task.fields[change]}"),
            progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, progress.TaskID] = {}

    def __enter__(self) -> progress_bar:
        self._bar.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._bar.stop()

    def __call__(self, state: Progress, run: str = "training") -> None:
        """Show where a run stands; each run has a line of its own."""
        change = "–" if state.contested_change is None else f"{state.contested_change:+.3f}"
        if run not in self._tasks:
            self._tasks[run] = self._bar.add_task(run, total=state.total_steps, loss=state.loss, change=change)
        self._bar.update(self._tasks[run], completed=state.step, loss=state.loss, change=change)
