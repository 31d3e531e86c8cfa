"""``contested train``: one run from a configuration."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from contested.cli.console import console, echo, path
from contested.errors import ContestedError

_LAST_WORDS_S = 5.0


def train(
    config: Annotated[Path, typer.Argument(parser=path, help="The run's configuration (YAML).", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(parser=path, help="The run folder; a run that it already holds is resumed.", show_default=False),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]...", help="Overrides, such as training.epochs=3.")
    ] = None,
    *,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Remove what the folder holds of this run, and begin again.")
    ] = False,
) -> None:
    """Fine-tune once and record every tracked example at every checkpoint.

    The same command on the same folder resumes where the run stopped, whatever stopped it; the result is that of an
    uninterrupted run. A folder that has lost something of what was recorded is not resumed: --from-start begins again.

    Several processes train one run together, with the same result: torchrun --nproc-per-node 2 -m contested train ….

    Example: contested train run.yaml method=full training.learning_rate=2e-5 --out runs/full
    """
    with _said_once():
        _train(config, out, overrides or (), from_start=from_start)


def _train(config: Path, out: Path, overrides: Sequence[str], *, from_start: bool) -> None:
    from rich.text import Text

    from contested.beside import import_to_stay
    from contested.cli.progress import progress_bar
    from contested.config import load_config

    import_to_stay("contested.runs")
    from contested.runs import launched, pick_device, train_config
    from contested.studies.backbone import slowdowns

    settings = load_config(config, overrides)
    errors = console(stderr=True)
    on_cpu = settings.execution.device == "cpu" or (
        settings.execution.device == "auto" and pick_device("auto").type == "cpu"
    )
    with launched(settings) as processes:
        if processes.rank > 0:
            train_config(settings, out=out, from_start=from_start, processes=processes)
            return
        for line in slowdowns(settings, on_cpu=on_cpu):
            errors.print(Text(f"Warning: {line}."), soft_wrap=True)
        with progress_bar(errors) as show:
            result = train_config(settings, out=out, on_progress=show, from_start=from_start, processes=processes)
    if result.trained:
        echo(f"{result.run_id} is complete: {result.path}")
        if result.ended_by == "alert":
            echo("The alert ended its training (alert.stop).")
    else:
        echo(f"{result.run_id} was already complete: {result.path}")
    echo(f"Next: contested report {result.path}")


@contextlib.contextmanager
def _said_once() -> Iterator[None]:
    """Of several processes that torchrun started, the first one says what went wrong in any of them.

    The others wait for it: torchrun ends all processes as soon as one has failed.
    """
    try:
        yield
    except ContestedError as error:
        if os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0":
            time.sleep(_LAST_WORDS_S)
            raise SystemExit(error.exit_code) from error
        raise
