"""``contested probe``: gradients of a run that has ended."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from contested.cli.console import path


class Mode(StrEnum):
    """Whether dropout is on."""

    eval = "eval"
    train = "train"


def probe(
    run: Annotated[Path, typer.Argument(parser=path, help="The folder of a complete RUN.", show_default=False)],
    *,
    norms: Annotated[bool, typer.Option(help="The norm of each tracked example's gradient.")] = True,
    alignment: Annotated[bool, typer.Option(help="How well the categories' mean gradients agree.")] = True,
    head: Annotated[bool, typer.Option(help="Whether the classification head's weights count.")] = True,
    mode: Annotated[Mode, typer.Option(help="eval: dropout off, as when tracking; train: dropout on.")] = Mode.eval,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
) -> None:
    """Record gradients at the last step of a complete run, as if it had been trained with probes at its end.

    The weights come from the run folder, data and backbone from where its configuration says; they must be those that
    the run was trained on. What the folder holds already is not done again.

    Example: contested probe runs/lora-r4 --no-alignment
    """
    from contested.runs.probe import probe as record

    found = record(run, norms=norms, alignment=alignment, head=head, mode=mode.value, device=device)
    if found.added:
        typer.echo(f"{found.run_id}: recorded {' and '.join(found.added)} at step {found.step}: {found.path}")
    else:
        typer.echo(f"{found.run_id} was probed already at step {found.step}: {found.path}")
