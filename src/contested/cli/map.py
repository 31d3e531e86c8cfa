"""``contested map``: one page of annotated items, without any training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from contested.cli import options
from contested.cli.console import echo, path, print_json
from contested.cli.entropy import measure_of, scheme_of


@options.with_reading()
def map(
    files: Annotated[
        list[Path],
        typer.Argument(
            parser=path, metavar="FILE...", help=f"Annotated file: {options.FILE_KINDS}; several are one set."
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="Folder of the map; by default ./FILE-map.", show_default=False),
    ] = None,
    categories: Annotated[str, typer.Option(help="fixed (0.4, 0.7 nats), terciles or quartiles.")] = "fixed",
    bounds: Annotated[
        str | None, typer.Option(help="Custom category bounds in the unit of --by, such as 0.4,0.7 nats.")
    ] = None,
    bounds_scaled: Annotated[
        bool, typer.Option("--bounds-scaled", help="Scale entropy to other than three classes: --by scaled-entropy.")
    ] = False,
    estimator: Annotated[str, typer.Option(help="plugin, miller-madow or chao-shen.")] = "plugin",
    reading: Mapping[str, Any],
    title: Annotated[str | None, typer.Option(help="Heading of the page.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws of slips.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print paths and statements as JSON and nothing else.")] = False,
) -> None:
    """Show which annotated items are clean, ambiguous or contested, without training: tables and one map.html.

    How sure each category is, likely label errors against genuine disagreement, how reliable each annotator is, and
    whom to ask next; soft labels to train on. The file is read as contested entropy reads it, with the same options.

    Example: contested map annotations.csv --out map
    """
    import numpy as np

    from contested.analysis.items import map_items
    from contested.annotations import read_annotations
    from contested.annotations.measures import parse_estimator
    from contested.report import write_map

    scheme = scheme_of(categories, bounds)
    with options.spelled():
        data = read_annotations(files, **{**reading, "by": measure_of(reading.get("by"), bounds_scaled)})
    found = map_items(data, scheme, estimator=parse_estimator(estimator), rng=np.random.default_rng(seed))
    paths = write_map(found, out or Path(f"{files[0].name.split('.')[0]}-map"), title=title)
    singles = [paths.html, paths.items, paths.soft_labels, *([paths.votes] if paths.votes else []), paths.summary]
    written = [*singles, *paths.tables, *paths.figures]
    if json:
        print_json({"html": str(paths.html), "files": [str(file) for file in written], "statements": paths.statements})
        return
    for sentence in (*paths.statements, *(f"Note: {options.as_options(note)}" for note in found.notes)):
        echo(f"  - {sentence}")
    for written_file in written:
        echo(str(written_file))
    echo(f"Open {paths.html}")
