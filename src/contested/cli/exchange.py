"""``contested import`` and ``contested export``: recordings of other tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contested.cli import options
from contested.cli.console import echo, path
from contested.errors import ConfigError
from contested.wording import counted, listed

if TYPE_CHECKING:
    from contested.annotations import Annotations
    from contested.exchange import Imported


@options.with_reading(without=("format", "label_names"))
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
    annotations_format: Annotated[
        str, typer.Option(help="Format of the annotated file; auto recognises it, an unknown name lists all.")
    ] = "auto",
    reading: Mapping[str, Any],
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
    from contested.exchange.exchange import check_readable
    from contested.exchange.format import check_new_folder, new_folder

    check_new_folder(out)
    check_readable(format)
    given: dict[str, Any] = {
        "annotations": _read(annotations, annotations_format, label_names, reading),
        "label_names": options.names(label_names),
        "text_columns": options.names(text_columns),
        "check_label_order": check_label_order,
        "floor": floor,
    }
    if not each:
        _save(import_run(format, source, run_id=out.resolve().name, **given), out, out)
        return
    with new_folder(out) as folder:
        for made in import_runs(format, source, **given):
            name = made.trajectory.run_id
            _save(made, folder / name, out / name)


def _read(file: Path | None, format: str, label_names: str | None, reading: Mapping[str, Any]) -> Annotations | None:
    """The annotated file, read with the options that are given for it."""
    from contested.annotations import read_annotations
    from contested.annotations.categories import fixed_categories
    from contested.annotations.notes import reading_notes

    named = [options.spelling(name) for name in reading]
    if file is None and (named or format != "auto"):
        told = listed([*named, *(["--annotations-format"] if format != "auto" else [])])
        raise ConfigError(f"{told} say how an annotated file is read, and none is given. Give it with --annotations.")
    if file is None:
        return None
    with options.spelled():
        # A scale names the classes itself; import_run holds them against those of the recording.
        names = None if "scale" in reading else options.names(label_names)
        found = read_annotations(file, format=format, label_names=names, **reading)
    for sentence in reading_notes(found.n_annotators, found.receipt, fixed_categories(found.disagreement)):
        typer.echo(f"Annotations: {options.as_options(sentence)}")
    return found


def _save(made: Imported, folder: Path, shown: Path) -> None:
    trajectory, notes = made
    trajectory.save(folder)
    for note in notes:
        echo(note)
    examples, checkpoints = len(trajectory.example_ids), len(trajectory.steps)
    echo(f"Wrote {counted(examples, 'example')} at {counted(checkpoints, 'checkpoint')} to {shown}")


def export(
    format: Annotated[str, typer.Argument(help="Such as cartography; an unknown name lists all.", show_default=False)],
    run: Annotated[Path, typer.Argument(parser=path, help="A RUN folder.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(parser=path, help="What to write, new.", show_default=False)],
) -> None:
    """Write a run as another tool reads it.

    Example: contested export cartography runs/lora --out maps
    """
    from contested.exchange import export_run
    from contested.trajectories import Trajectory

    for note in export_run(format, Trajectory.load(run), out):
        echo(note)
    echo(f"Wrote {run} as {format} to {out}")
