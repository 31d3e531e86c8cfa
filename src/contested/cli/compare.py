"""``contested compare``: which examples changed between two runs, or two checkpoints of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from contested.cli import options
from contested.cli.console import console, echo, path, print_json

_LARGEST = 5  # examples that are printed
_LONGEST_NAME = 40  # of a run, for sentences that name both

if TYPE_CHECKING:
    from rich.table import Table

    from contested.analysis import Comparison, Difference
    from contested.analysis.pairing import Checkpoint
    from contested.formats import Format
    from contested.trajectories import Trajectory


def compare(
    first: Annotated[Path, typer.Argument(parser=path, help="A RUN folder.", show_default=False)],
    second: Annotated[
        Path | None,
        typer.Argument(parser=path, help="Another, on the same examples; without it two checkpoints of the first."),
    ] = None,
    *,
    at: Annotated[
        str | None,
        typer.Option(help="A step of both, first or last, or two with a comma: 300,last.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(parser=path, help="Folder of a report: tables, figures, page.", show_default=False)
    ] = None,
    names: Annotated[
        str | None, typer.Option(help="What the two are called, with a comma between.", show_default=False)
    ] = None,
    clusters: options.Clusters = None,
    split: Annotated[
        Literal["train", "validation"] | None,
        typer.Option(help="Compare these alone; by default those that both train on.", show_default=False),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.", show_default=False)] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of each interval.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of resamples and sign flips.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print every number as JSON and nothing else.")] = False,
) -> None:
    """Compare two runs, or two checkpoints of one, example by example.

    Which answers turned from right to wrong and back, against what guessing explains; how far apart the two models are;
    which is closer to the annotators. Paired tests, adjusted for their number; intervals over clusters of examples.

    Example: contested compare runs/lora runs/full --out comparison
    """
    import numpy as np

    from contested.analysis import compare as compute
    from contested.report import write_comparison
    from contested.trajectories import Trajectory

    runs = [Trajectory.load(folder) for folder in (first, second) if folder is not None]
    found = compute(
        *runs,
        at=_checkpoints(at),
        names=_names(names, runs, [first, *([] if second is None else [second])]),
        clusters=clusters,
        split=split,
        rng=np.random.default_rng(seed),
        n_resamples=resamples,
    )
    paths = None if out is None else write_comparison(found, out, title=title)
    if json:
        print_json(found.to_dict() | {"seed": seed})
        return
    _print(found)
    if paths is not None:
        echo(f"Wrote {paths.html}, {len(paths.figures)} figure files and {len(paths.tables)} table files")


def _checkpoints(at: str | None) -> Checkpoint | tuple[Checkpoint, Checkpoint] | None:
    from contested.errors import ConfigError

    if at is None:
        return None
    found: list[Checkpoint] = []
    for word in (part.strip() for part in at.split(",")):
        if word in ("first", "last"):
            found.append("first" if word == "first" else "last")
        elif word.isdecimal():
            found.append(int(word))
        else:
            raise ConfigError(f"--at: given {at!r}, expected steps, first or last: one, or two with a comma.")
    if len(found) > 2:
        raise ConfigError(f"--at: given {len(found)} checkpoints, expected one of both runs, or one of each.")
    return found[0] if len(found) == 1 else (found[0], found[1])


def _names(given: str | None, runs: list[Trajectory], folders: list[Path]) -> tuple[str, str] | None:
    """What two runs are called: as given, by what differs in their settings, or where that is long by their folders."""
    from contested.errors import ConfigError
    from contested.report import run_names

    if given is None:
        if len(runs) < 2:
            return None
        first, second = run_names(runs)
        by_folder = [folder.resolve().name for folder in folders]
        if max(len(first), len(second)) > _LONGEST_NAME and by_folder[0] != by_folder[1]:
            first, second = by_folder
        return first, second
    names = [name.strip() for name in given.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ConfigError(f"--names: given {given!r}, expected two different names with a comma between.")
    return names[0], names[1]


def _print(found: Comparison) -> None:
    from rich.text import Text

    show = console(wide=True)
    show.print(Text(f"{found.second.name} compared with {found.first.name}", style="bold"), soft_wrap=True)
    clusters = f" in {found.n_clusters:,} clusters ({found.clusters})" if found.clusters else ""
    show.print(Text(f"{found.n_examples:,} examples{clusters}; * adjusted p at most {1 - found.confidence:.4g}"))
    show.print(_by_category(found))
    if "change" in found.examples:
        show.print(_largest(found))
    for sentence in found.statements():
        show.print(Text(f"- {sentence}"), soft_wrap=True)


def _by_category(found: Comparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    from contested.formats import CHANGE, COUNT, number
    from contested.report.compare_tables import points

    table = Table("category", box=None)
    turned = {row.category: row for row in found.transitions}
    sizes = {row.category: row.n for row in found.differences if row.family == "checkpoint"}
    columns = [("n", [COUNT(sizes[category]) for category in found.categories])]
    if turned:
        of = [turned[category] for category in found.categories]
        columns += [
            ("1→0", [COUNT(row.lost) for row in of]),
            ("0→1", [COUNT(row.gained) for row in of]),
            ("by guessing", [number(",.1f")(row.by_guessing) for row in of]),
        ]
    headings = {
        "correct": ("accuracy (points)", points),
        "loss": ("loss (nats)", CHANGE),
        "kl": ("KL to annotators", CHANGE),
    }
    for measure, (heading, form) in headings.items():
        rows = [found.difference(measure, category) for category in found.categories]
        columns += [(heading, [_cell(row, form) for row in rows])] if any(rows) else []
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    for index, category in enumerate(found.categories):
        table.add_row(Text(category), *(Text(cells[index]) for _, cells in columns))
    return table


def _cell(row: Difference | None, form: Format) -> str:
    """A difference with its interval, starred where the adjusted test finds one."""
    from contested.formats import MISSING

    if row is None or not row.n:
        return MISSING
    star = "" if row.direction == "unclear" else "*"
    interval = "" if row.note else f" [{form(row.low)}, {form(row.high)}]"
    return f"{form(row.difference)}{star}{interval}"


def _largest(found: Comparison) -> Table:
    """The examples on which the two differ most."""
    from rich.table import Table
    from rich.text import Text

    from contested.formats import NATS, shorten

    examples = found.examples.head(_LARGEST)
    names = {
        "example_id": "largest changes",
        "category": "category",
        "gold": "gold",
        "answer_first": found.first.name,
        "answer_second": found.second.name,
        "change": "change",
        "js": "JS (nats)",
    }
    shown = [name for name in names if name in examples]
    table = Table(*(names[name] for name in shown), box=None)
    for row in examples[shown].to_dict("records"):
        cells = {name: NATS(value) if name == "js" else shorten(str(value), 32) for name, value in row.items()}
        table.add_row(*(Text(cells[name]) for name in shown))
    return table
