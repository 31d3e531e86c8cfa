"""``contested import`` and ``contested export``: recordings of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contested.cli.console import path
from contested.wording import counted


def import_(
    format: Annotated[str, typer.Argument(help="Such as cartography; an unknown name lists all.", show_default=False)],
    source: Annotated[Path, typer.Argument(parser=path, help="What the tool wrote.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(parser=path, help="The run folder to make, new or empty.", show_default=False)],
    annotations: Annotated[
        Path | None,
        typer.Option(parser=path, help="Annotated file, joined by id; examples without annotations are left out."),
    ] = None,
    label_names: Annotated[
        str | None, typer.Option(help="The classes in the order of the logits, separated by commas.")
    ] = None,
    check_label_order: Annotated[
        bool, typer.Option(help="Refuse an order of the classes that gold labels contradict.")
    ] = True,
    floor: Annotated[
        float | None, typer.Option(help="What a recorded probability of 0 counts as; else it is refused.")
    ] = None,
) -> None:
    """Make a run folder of what another tool recorded, for analyze and report.

    Example: contested import cartography training_dynamics --out runs/maps --annotations chaosNLI_snli.jsonl
    --label-names entailment,neutral,contradiction
    """
    from contested.exchange import import_run
    from contested.exchange.format import check_new_folder

    check_new_folder(out)
    names = None if label_names is None else [name.strip() for name in label_names.split(",")]
    trajectory, notes = import_run(
        format,
        source,
        annotations=annotations,
        label_names=names,
        run_id=out.resolve().name,
        check_label_order=check_label_order,
        floor=floor,
    )
    trajectory.save(out)
    for note in notes:
        typer.echo(note)
    examples, checkpoints = len(trajectory.example_ids), len(trajectory.steps)
    typer.echo(f"Wrote {counted(examples, 'example')} at {counted(checkpoints, 'checkpoint')} to {out}")


def export(
    format: Annotated[str, typer.Argument(help="Such as cartography; an unknown name lists all.", show_default=False)],
    run: Annotated[Path, typer.Argument(parser=path, help="A RUN folder.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(parser=path, help="What to write, new.", show_default=False)],
) -> None:
    """Write a run as another tool reads it.

    Example: contested export cartography runs/roberta-lora-r4 --out maps
    """
    from contested.exchange import export_run
    from contested.trajectories import Trajectory

    for note in export_run(format, Trajectory.load(run), out):
        typer.echo(note)
    typer.echo(f"Wrote {run} as {format} to {out}")
