"""``contested import`` and ``contested export``: recordings of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contested.cli.console import path
from contested.wording import counted

if TYPE_CHECKING:
    from contested.exchange import Imported


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
    text_columns: Annotated[
        str | None,
        typer.Option(help="Text columns of the annotated file, separated by commas; else premise,hypothesis or text."),
    ] = None,
    check_label_order: Annotated[
        bool, typer.Option(help="Refuse an order of the classes that gold labels contradict.")
    ] = True,
    floor: Annotated[
        float | None, typer.Option(help="What a recorded probability of 0 counts as; else it is refused.")
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="SOURCE is a folder of runs, such as a file per seed; OUT gets them all.")
    ] = False,
) -> None:
    """Make a run folder of what another tool recorded, for analyze and report.

    Example: contested import cartography training_dynamics --out runs/maps --annotations chaosNLI_snli.jsonl
    --label-names entailment,neutral,contradiction
    """
    from contested.exchange import import_run, import_runs
    from contested.exchange.format import check_new_folder, new_folder

    check_new_folder(out)
    options: dict[str, Any] = {
        "annotations": annotations,
        "label_names": _names(label_names),
        "text_columns": _names(text_columns),
        "check_label_order": check_label_order,
        "floor": floor,
    }
    if not each:
        _save(import_run(format, source, run_id=out.resolve().name, **options), out, out)
        return
    with new_folder(out) as folder:
        for made in import_runs(format, source, **options):
            name = made.trajectory.run_id
            _save(made, folder / name, out / name)


def _names(given: str | None) -> list[str] | None:
    return None if given is None else [name.strip() for name in given.split(",")]


def _save(made: Imported, folder: Path, shown: Path) -> None:
    trajectory, notes = made
    trajectory.save(folder)
    for note in notes:
        typer.echo(note)
    examples, checkpoints = len(trajectory.example_ids), len(trajectory.steps)
    typer.echo(f"Wrote {counted(examples, 'example')} at {counted(checkpoints, 'checkpoint')} to {shown}")


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
