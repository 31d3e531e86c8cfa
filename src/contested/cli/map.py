"""``contested map``: one page of annotated items, without any training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from contested.cli import options
from contested.cli.console import echo, path, print_json


@options.with_reading()
def map(
    files: options.Files,
    *,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="Folder of the map; by default ./FILE-map.", show_default=False),
    ] = None,
    categories: options.Scheme = "fixed",
    bounds: options.Bounds = None,
    bounds_scaled: options.BoundsScaled = False,
    estimator: options.EstimatorName = "plugin",
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
    from contested.annotations.measures import parse_estimator
    from contested.report import write_map

    scheme = options.scheme_of(categories, bounds)
    data = options.read_files(files, reading, bounds_scaled=bounds_scaled)
    found = map_items(data, scheme, estimator=parse_estimator(estimator), rng=np.random.default_rng(seed))
    paths = write_map(found, out or Path(f"{files[0].name.split('.')[0]}-map"), title=title)
    singles = [paths.html, paths.items, paths.soft_labels, *([paths.votes] if paths.votes else []), paths.summary]
    written = [*singles, *paths.tables, *paths.figures]
    if json:
        print_json({"html": str(paths.html), "files": [str(file) for file in written], "statements": paths.statements})
        return
    notes = [note for note in found.notes if note not in paths.statements]
    for sentence in (*paths.statements, *(f"Note: {options.as_options(note)}" for note in notes)):
        echo(f"  - {sentence}")
    for written_file in written:
        echo(str(written_file))
    echo(f"Open {paths.html}")
