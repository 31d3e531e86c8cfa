"""``contested probe``: gradients of a run that has ended."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from contested.cli.console import echo, path


class Mode(StrEnum):
    """Whether dropout is on."""

    eval = "eval"
    train = "train"


def probe(
    run: Annotated[Path, typer.Argument(parser=path, help="The folder of a complete RUN.", show_default=False)],
    *,
    norms: Annotated[bool, typer.Option(help="Record the norm of each tracked example's gradient.")] = True,
    alignment: Annotated[bool, typer.Option(help="Record how well the categories' mean gradients agree.")] = True,
    head: Annotated[bool, typer.Option(help="Include the classification head's weights.")] = True,
    mode: Annotated[Mode, typer.Option(help="eval: dropout off, as when tracking; train: dropout on.")] = Mode.eval,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
) -> None:
    """Record gradients at the last step of a complete run, as a probe at the end of training would have.

    The weights come from the run folder; data and backbone come from where its configuration says, and must be those
    that the run was trained on. What the folder already holds is not recorded again.

    Example: contested probe runs/lora --no-alignment
    """
    from contested.runs.probe import probe as record

    found = record(run, norms=norms, alignment=alignment, head=head, mode=mode.value, device=device)
    if found.added:
        echo(f"{found.run_id}: recorded {' and '.join(found.added)} at step {found.step}: {found.path}")
    else:
        echo(f"{found.run_id} had already been probed at step {found.step}: {found.path}")
