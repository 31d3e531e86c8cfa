"""``contested entropy``: the disagreement of an annotated file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contested.cli import options
from contested.cli.console import console, path, print_json
from contested.cli.explain import print_explanation
from contested.errors import ConfigError
from contested.formats import COUNT, SHARE

if TYPE_CHECKING:
    from rich.table import Table

    from contested.annotations import Annotations, Summary
    from contested.cli.entropy_votes import VotesLookedAt


@options.with_reading()
def entropy(
    files: options.Files,
    *,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="Write one row per item to this file (.csv, .tsv, .jsonl or .parquet)."),
    ] = None,
    categories: options.Scheme = "fixed",
    bounds: options.Bounds = None,
    bounds_scaled: options.BoundsScaled = False,
    estimator: options.EstimatorName = "plugin",
    annotators: Annotated[
        bool, typer.Option("--annotators", help="Show each annotator: agreement with the others, H and alpha without.")
    ] = False,
    aggregate: Annotated[
        str | None,
        typer.Option(help="Estimate labels and reliability: dawid-skene or mace; needs contested[crowd]."),
    ] = None,
    reading: Mapping[str, Any],
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what the file was taken for, what else it could be, and how.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON and nothing else.")] = False,
) -> None:
    """Show how much annotators disagree: per item (--out) and in summary. Entropies are in nats.

    What the file was taken for comes first: which column is what, votes per item, and what was left out.

    Example: contested entropy chaosNLI_snli.jsonl --out items.csv
    """
    from contested.annotations.measures import parse_estimator
    from contested.cli.entropy_votes import look_at_votes

    if explain:
        if len(files) > 1:
            raise ConfigError(f"--explain takes one file; given: {len(files)}. Explain each alone.")
        print_explanation(files[0], reading, as_json=json)
        return
    scheme = options.scheme_of(categories, bounds)
    if out is not None:
        from contested.annotations.writing import check_writable, write_table

        check_writable(out)
    data = options.read_files(files, reading, bounds_scaled=bounds_scaled)
    summary = data.summary(scheme, estimator=parse_estimator(estimator))
    votes = look_at_votes(data, annotators=annotators, aggregate=aggregate)
    if out is not None:
        write_table(data.item_table(scheme, estimator=summary.estimator).assign(**votes.items), out)
    if json:
        reading_json = None if data.receipt is None else data.receipt.to_json()
        print_json({**summary.to_json(), **votes.to_json(), "reading": reading_json})
    else:
        _print(summary, data, votes, out)


def _print(summary: Summary, data: Annotations, votes: VotesLookedAt, out: Path | None) -> None:
    from rich.text import Text

    # Text, not markup: a path or a label may hold square brackets.
    show = console()
    show.print(Text(data.source, style="bold"), soft_wrap=True)
    if data.receipt is not None:
        show.print(_pairs(data.receipt.lines()))
    show.print(_pairs(_overview(summary)))
    show.print(_bands(summary))
    for table in votes.tables():
        show.print(table)
    for note in (*summary.notes, *votes.notes):
        show.print(Text(f"Note: {options.as_options(note)}"))
    if out is not None:
        show.print(Text(f"Wrote {summary.n_items:,} rows to {out}"), soft_wrap=True)


def _pairs(lines: Mapping[str, str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    for name, value in lines.items():
        table.add_row(Text(name), Text(value))
    return table


def _overview(summary: Summary) -> dict[str, str]:
    annotators, averages = summary.annotators, summary.entropy_nats
    return {
        "items (N)": COUNT(summary.n_items),
        "classes (K)": f"{summary.n_classes}: {', '.join(summary.label_names)}",
        "annotators per item": f"min {annotators.min}, median {annotators.median:g}, max {annotators.max}",
        f"entropy in nats ({summary.estimator})": (
            f"mean {averages.mean:.4f}, median {averages.median:.4f}; ln K = {summary.max_entropy_nats:.4f}"
            if not math.isnan(averages.mean)
            else "undefined: no item has two annotations"
        ),
        **_ratings(summary),
        "ties for the majority": COUNT(summary.ties),
        "Krippendorff's alpha (nominal)": _defined(summary.krippendorff_alpha),
        "pairwise agreement": _defined(summary.pairwise_agreement),
        **_of_sets(summary),
    }


def _ratings(summary: Summary) -> dict[str, str]:
    if summary.ratings is None or math.isnan(summary.ratings.mean):
        return {}
    found, (lowest, highest) = summary.ratings, (min(summary.scale), max(summary.scale))
    return {
        f"ratings from {lowest:g} to {highest:g}": (
            f"mean {found.mean:.4f}; means over items: standard deviation {found.standard_deviation:.4f}, "
            f"distance of two annotators {found.pair_distance:.4f}, polarisation {found.polarisation:.4f}; "
            f"Krippendorff's alpha ordinal {found.alpha_ordinal:.4f}, interval {found.alpha_interval:.4f}"
        )
    }


def _of_sets(summary: Summary) -> dict[str, str]:
    if summary.set_agreement is None:
        return {}
    found = summary.set_agreement
    return {"agreement on sets (MASI)": f"{_defined(found.masi)}; Krippendorff's alpha {_defined(found.alpha)}"}


def _defined(value: float) -> str:
    return "undefined: no item has two annotations" if math.isnan(value) else f"{value:.4f}"


def _bands(summary: Summary) -> Table:
    from rich.table import Table
    from rich.text import Text

    measure = summary.disagreement
    unit = f" in {measure.unit}" if measure.unit else ""
    table = Table("category", f"{'entropy ' if measure.unit == 'nats' else ''}{measure.sign}{unit}", box=None)
    table.add_column("items", justify="right")
    table.add_column("share", justify="right")
    lower = ("0", *(f"{bound:.4g}" for bound in summary.category_bounds))
    upper = (*lower[1:], None)
    bands = [f"{low} ≤ {measure.sign}" + (f" < {high}" if high else "") for low, high in zip(lower, upper, strict=True)]
    for (name, count), band in zip(summary.categories.items(), [*bands, "one annotation"], strict=False):
        table.add_row(Text(name), band, COUNT(count), SHARE(count / summary.n_items))
    return table
