"""Is it the method, or how far training got: table, figure and sentence of runs compared at the same loss reached."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contested.analysis import OVERALL
from contested.analysis.matched import MARGIN
from contested.analysis.progress import TRAINING, losses_reached
from contested.analysis.sentences import examples_of
from contested.analysis.study import COLUMNS
from contested.formats import CHANGE, COUNT, NATS, is_missing, number, shorten
from contested.naming import axis_heading
from contested.report.declarations import Column, FigureSpec, Frames, Section, Table
from contested.report.runs import ReportRun
from contested.report.style import (
    INK,
    NARROW_WIDTH,
    QUIET,
    RULE,
    WIDTH,
    CategoryColor,
    category_colors,
    new_axes,
    new_grid,
    style_context,
)
from contested.report.table_cells import MOST_OPEN

SECTION = Section("matched", "The method, or how far training got?")
_LINE = ["against", "axis", "held"]
_AMOUNT, _SIZE = number("+.2f"), number(".2f")
_MOST_ROWS = 6
_MOST_NAMED = 2  # comparisons that have a sentence each
_MOST_RUNS = 8  # curves in a panel
_VERDICTS = ("phase", "method", "differs", "inconclusive")
_QUANTITIES = {"loss_change": "mean Δℓ (nats)", "rho": "ρ(loss, H)"}

TABLE = Table(
    "matched", "matched_shown", SECTION.name, "Differences at the same loss reached",
    "Second minus first, where the runs of both had reached the same loss; methods are pooled over learning rates. "
    f"Phase: at every loss in the range the difference is shown to be less than {MARGIN:g}. Otherwise it is the "
    "method (or whatever differs) where the simultaneous {confidence} band leaves 0 out somewhere. Difference and "
    "band: where the difference is clearest. At most: no difference in the range is larger, at 5 % for each side. At "
    "the end: at the last checkpoints, however far each had got.",
    (
        Column("pair", "compared"), Column("against", "at the same"), Column("range", "from … to (nats)"),
        Column("what", "quantity"), Column("verdict", "verdict"),
        Column("difference", "difference", CHANGE, "low", "high", seeded=True), Column("at_loss", "at a loss of", NATS),
        Column("within", "at most", NATS), Column("end", "at the end", CHANGE, "end_low", "end_high"),
        Column("n", "n", COUNT), Column("note", "note"),
    ),
)  # fmt: skip

VERDICTS = Table(
    "matched_verdicts", "matched_verdicts", SECTION.name, "What came of the comparisons",
    "How many comparisons along each axis, each of two of its values at one setting of the rest, came to a verdict; "
    "the next table has them one by one. Each verdict is by itself: of many, some leave 0 out by chance.",
    (
        Column("axis", "axis", axis_heading, words=True), Column("against", "at the same"), Column("what", "quantity"),
        Column("comparisons", "comparisons", COUNT), *(Column(name, name, COUNT) for name in _VERDICTS),
    ),
)  # fmt: skip


def verdicts(frames: Frames) -> pd.DataFrame:
    """How many comparisons came to which verdict, where there are more than a page shows one by one.

    Args:
        frames: The frames of a study.

    Returns:
        One row per axis, loss and quantity; empty where there are few comparisons.
    """
    rows, by = shown(frames), ["axis", "against", "what"]
    counted = rows[by].assign(comparisons=1, **{name: (rows["verdict"] == name).astype(int) for name in _VERDICTS})
    return counted.iloc[:0] if len(rows) <= MOST_OPEN else counted.groupby(by, sort=False, as_index=False).sum()


def shown(frames: Frames) -> pd.DataFrame:
    """The rows of the table, with the words of its columns.

    Args:
        frames: The frames of a study.

    Returns:
        The frame ``matched`` with ``pair``, ``what`` and ``range``.
    """
    rows = frames.get("matched", pd.DataFrame(columns=list(COLUMNS["matched"])))
    told = rows.to_dict("records")
    return rows.assign(
        pair=[_pair(row) for row in told],
        what=[_what(row) for row in told],
        range=[
            "" if is_missing(row["loss_from"]) else f"{_SIZE(row['loss_from'])} … {_SIZE(row['loss_to'])}"
            for row in told
        ],
    )


def _pair(row: dict[Any, Any]) -> str:
    held = f" ({row['held']})" if row["held"] else ""
    return f"{axis_heading(str(row['axis']))} {row['from']} → {row['to']}{held}"


def _what(row: dict[Any, Any]) -> str:
    if is_missing(row["quantity"]):
        return ""
    return "ρ(loss, H)" if row["quantity"] == "rho" else f"Δℓ, {row['category']}"


def cut(frames: Frames) -> str:
    """What the figure's caption says of settings that have no room; "" where all have.

    Args:
        frames: The frames of a study.

    Returns:
        A sentence after a space.
    """
    curves = frames.get("matched_curves", pd.DataFrame())
    count = 0 if curves.empty else len(curves[[*_LINE, "quantity"]].drop_duplicates())
    if count <= _MOST_ROWS:
        return ""
    return f" Of {count} pairs of panels, the first {_MOST_ROWS} are drawn; the table has every comparison."


def sentence(frames: Frames) -> str:
    """Say of the methods of a study whether what they do is theirs or a phase of training.

    Args:
        frames: The frames of a study.

    Returns:
        A sentence or two; "" where no two methods are compared.
    """
    rows = _top(frames.get("matched", pd.DataFrame()))
    if rows.empty:
        return ""
    rows = rows[(rows["kind"] == "method") & (rows["against"] == "training loss")]
    told = rows.to_dict("records")
    if len(told) > _MOST_NAMED:
        return _counted(told)
    return " ".join(_one(row) for row in told)


def _counted(rows: Sequence[dict[Any, Any]]) -> str:
    counts = {name: sum(row["verdict"] == name for row in rows) for name in ("phase", "method", "inconclusive")}
    return (
        f"Of {len(rows)} comparisons of methods at the same training loss, the change of {_examples(rows[0])} is a "
        f"phase that both pass in {counts['phase']}, the method's in {counts['method']}, and inconclusive in "
        f"{counts['inconclusive']}."
    )


def _one(row: dict[Any, Any]) -> str:
    first, second, examples = row["from"], row["to"], _examples(row)
    held = f"{row['held']}: " if row["held"] else ""
    if row["verdict"] == "phase":
        ended = not (is_missing(row["end_low"]) or row["end_low"] <= 0 <= row["end_high"])
        end = f" At the end they differ by {_AMOUNT(row['end'])} nats: by how far each got." if ended else ""
        return (
            f"{held}At the same training loss, {second} and {first} have changed the mean loss of {examples} "
            f"alike, to within {_SIZE(row['within'])} nats: a phase of training, not the method.{end}"
        )
    if row["verdict"] == "method":
        return (
            f"{held}At the same training loss, the mean loss change of {examples} under {second} differs from that "
            f"under {first} by {_AMOUNT(row['difference'])} nats [{_AMOUNT(row['low'])}, {_AMOUNT(row['high'])}] (at a "
            f"training loss of {_SIZE(row['at_loss'])}): the method, not only how far it got."
        )
    reach = "" if is_missing(row["within"]) else f"their difference there is at most {_SIZE(row['within'])} nats"
    why = "; ".join(filter(None, (reach, row["note"])))
    return (
        f"{held}Whether {second} and {first} differ in {examples} by the method or by how far each got is inconclusive "
        f"at the same training loss: {why}."
    )


def _examples(row: dict[Any, Any]) -> str:
    category = row["category"]
    return "tracked examples" if is_missing(category) or category == OVERALL else examples_of(str(category))


def _top(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of Δℓ of the category of highest entropy, the first of each comparison."""
    if rows.empty:
        return rows
    return rows[rows["quantity"] != "rho"].drop_duplicates([*_LINE, "from", "to"])


class _Row(NamedTuple):
    """A row of panels: one quantity against one loss, the sides of one axis."""

    title: str
    quantity: str
    against: str
    curves: pd.DataFrame
    differences: pd.DataFrame


def draw(curves: pd.DataFrame, differences: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """A quantity against the loss reached, one curve a method, and the differences of curves with their bands.

    Args:
        curves: Rows of ``matched_curves``.
        differences: Rows of ``matched_differences``.
        narrow: The panels under each other, for narrow screens.

    Returns:
        The figure; losses fall to the right, as in training.
    """
    rows = list(itertools.islice(_rows(curves, differences), _MOST_ROWS))
    shape = (2 * len(rows), 1) if narrow else (len(rows), 2)
    with style_context():
        figure, grid = new_grid(*shape, size=(NARROW_WIDTH if narrow else WIDTH, 2.5 * shape[0] + 0.4))
        for index, row in enumerate(rows):
            left, right = grid[2 * index : 2 * index + 2]
            colors = _colors(row.curves)
            _draw_curves(left, row.curves, colors, row.quantity, row.title)
            _draw_differences(right, row, colors)
            for axes in (left, right):
                _set_losses(axes, row.curves, row.against)
    return figure


def draw_runs(reached: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Mean Δℓ against the training loss reached, one curve a run.

    Args:
        reached: Rows of :func:`of_runs`.
        narrow: For narrow screens.

    Returns:
        The figure; losses fall to the right, as in training.
    """
    with style_context():
        figure, (axes,) = new_axes(1, height=2.9, width=NARROW_WIDTH if narrow else WIDTH)
        category = str(reached["category"].iloc[0])
        title = "" if category == OVERALL else examples_of(category)
        _draw_curves(axes, reached, _colors(reached), _QUANTITIES["loss_change"], title)
        _set_losses(axes, reached, TRAINING)
    return figure


def of_runs(runs: Sequence[ReportRun]) -> pd.DataFrame:
    """How the category of highest entropy stood by the training loss that each run had reached.

    Args:
        runs: The runs of a page; the first that recorded their training loss are taken.

    Returns:
        One row per run and checkpoint: ``run``, ``side`` (its name), ``category``, ``step``, ``loss`` (training loss
        reached, nats) and ``mean`` (mean Δℓ so far, nats). Empty where fewer than two runs know both.
    """
    known = [(run, found) for run in runs if not run.held_out and len(found := _course(run))]
    if len(known) < 2:
        return pd.DataFrame(columns=["run", "side", "category", "step", "loss", "mean"])
    frames = [found.assign(run=run.name, side=run.name) for run, found in known[:_MOST_RUNS]]
    return pd.concat(frames, ignore_index=True)


def _course(run: ReportRun) -> pd.DataFrame:
    curves, reached = run.analysis.curves.loss, losses_reached(run.trajectory)
    if not curves or TRAINING not in reached:
        return pd.DataFrame()
    names = run.trajectory.category_names
    own = next((curve for name in reversed(names) for curve in curves if curve.category == name), curves[-1])
    means = np.asarray(own.mean, np.float64)
    found = {
        "category": own.category,
        "step": run.trajectory.steps,
        "loss": reached[TRAINING],
        "mean": means - means[0],
    }
    return pd.DataFrame(found).dropna(subset=["loss", "mean"])


def _rows(curves: pd.DataFrame, differences: pd.DataFrame) -> Iterator[_Row]:
    for key, own in curves.groupby(_LINE, sort=False):
        top = own.loc[own["quantity"] == "loss_change", "category"].iloc[:1].tolist()
        for quantity, category in [*(("loss_change", name) for name in top), ("rho", OVERALL)]:
            panels = [
                frame[
                    (frame[_LINE] == list(key)).all(axis=1)
                    & (frame["quantity"] == quantity)
                    & (frame["category"] == category)
                ]
                for frame in (own, differences)
            ]
            if not panels[0].empty and not panels[1].empty:
                names = [str(key[2]), "" if quantity == "rho" or category == OVERALL else str(category)]
                title = ", ".join(filter(None, names))
                yield _Row(title, _QUANTITIES[quantity], str(key[0]), *panels)


def _colors(curves: pd.DataFrame) -> dict[str, CategoryColor]:
    return category_colors([str(side) for side in dict.fromkeys(curves["side"])])


def _draw_curves(axes: Axes, curves: pd.DataFrame, colors: dict[str, CategoryColor], quantity: str, title: str) -> None:
    """One curve a side, with its band where it has one."""
    for side, own in curves.groupby("side", sort=False):
        color = colors[str(side)].line
        if "low" in own:
            axes.fill_between(own["loss"], own["low"], own["high"], color=color, alpha=0.16, linewidth=0)
        axes.plot(own["loss"], own["mean"], color=color, label=shorten(str(side), 30))
    axes.legend(frameon=False, fontsize=7.5)
    axes.set_ylabel(quantity)
    axes.set_title(shorten(title, 44))


def _set_losses(axes: Axes, curves: pd.DataFrame, against: str) -> None:
    """Losses that fall to the right, and a line at 0."""
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlim(*_limits(curves))
    axes.set_xlabel(f"{against} reached (nats)")


def _draw_differences(axes: Axes, row: _Row, colors: dict[str, CategoryColor]) -> None:
    axes.axhspan(-MARGIN, MARGIN, color=RULE, alpha=0.7, linewidth=0, zorder=0)
    for (first, second), own in row.differences.groupby(["from", "to"], sort=False):
        color = colors.get(str(second))
        line = color.line if color else QUIET
        axes.fill_between(own["loss"], own["low"], own["high"], color=line, alpha=0.16, linewidth=0)
        axes.plot(own["loss"], own["difference"], color=line, label=shorten(f"{second} minus {first}", 44))
    axes.set_ylabel(f"difference of {row.quantity}")
    axes.legend(frameon=False, fontsize=7.5)


def _limits(curves: pd.DataFrame) -> tuple[float, float]:
    losses = curves["loss"].to_numpy(np.float64)
    room = 0.03 * float(np.ptp(losses)) or 0.01
    return float(losses.max()) + room, float(losses.min()) - room


FIGURE = FigureSpec(
    "matched", SECTION.name, "Loss change and ρ against the loss reached",
    "Left: one curve for each method (or rate), its runs pooled; the loss reached falls to the right, as in "
    "training. Right: differences of curves where both had reached the same loss, each with its simultaneous "
    f"{{confidence}} band; the grey stripe is ±{MARGIN:g}. A band within the stripe means a phase that both pass; one "
    "that leaves it and 0, the method.",
    (("matched_curves", "mean"), ("matched_differences", "difference")), draw,
    ("against", "side", "quantity", "category", "mean"), CHANGE,
)  # fmt: skip

RUNS_FIGURE = FigureSpec(
    "reached", SECTION.name, "Loss change against the training loss reached",
    "One curve for each run (of more than eight, the first): mean Δℓ so far against the training loss that the run "
    "had reached, which falls to the right, as in training. Curves that lie upon each other speak of a phase that all "
    "pass, curves apart of the method; but each is one run, and another seed moves it. A study of several seeds and "
    "rates (contested study run matched-loss) has bands around the curves, and a verdict.",
    (("reached", "loss", "mean"),), draw_runs, ("run", "category", "mean"), CHANGE,
)  # fmt: skip
