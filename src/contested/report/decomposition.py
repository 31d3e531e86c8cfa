"""Towards the annotators, or away from them: table and figure of the change of the loss taken apart."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from contested.analysis import OVERALL
from contested.formats import CHANGE, COUNT, NATS, SHARE, WHOLE, number, shorten
from contested.report.declarations import Column, FigureSpec, Section, Table
from contested.report.style import INK, NARROW_WIDTH, WIDTH, category_colors, new_grid, style_context

SECTION = Section("annotators", "Towards the annotators, or away from them?")
_PARTS = {"change": "Δℓ", "kl": "ΔKL", "rest": "rest"}
_TENTHS = number(",.1f")
_MOST = 8  # runs or groups in the figure
_ROW = 0.19  # inches of a part
_STEP = len(_PARTS) + 0.6  # from one category to the next, in parts


def table(whose: Column, section: str, *, seeds: str = "") -> Table:
    """The table of runs or of groups.

    Args:
        whose: The column that names them.
        section: Its section of the page.
        seeds: What the caption says of seeds.

    Returns:
        The declaration.
    """
    return Table(
        "decomposition", "decomposition", section, "Towards the annotators, or away from them",
        "The change of the loss is that of KL(annotators ‖ model) and the rest: what the gold label lost to labels "
        "that annotators gave too. Redrawn: the change to be expected where the gold label is the majority of as many "
        "votes, drawn from each example's annotations. Original: the change with the label that examples were "
        "published with, where they have a column original_label or old_label. Closer: examples whose loss rose while "
        f"KL fell, and their share of the summed rise. {seeds}In brackets: {{confidence}} intervals over examples, or "
        f"clusters of them{', and seeds' if seeds else ''}.",
        (
            whose, Column("category", "category"), Column("n", "n", COUNT),
            *(
                Column(name, f"{heading} (nats)", CHANGE, f"{name}_low", f"{name}_high")
                for name, heading in {**_PARTS, "change": "mean Δℓ", "redrawn": "redrawn"}.items()
            ),
            Column("original", "original (nats)", CHANGE, "original_low", "original_high"),
            Column("n_original", "n original", COUNT),
            Column("rose", "rose", WHOLE), Column("rose_closer", "closer", WHOLE),
            Column("closer_share", "share of the rise", SHARE, "closer_low", "closer_high"), Column("note", "note"),
        ),
        folded=True,
    )  # fmt: skip


def first_loss_table(whose: Column, section: str, *, seeds: str = "") -> Table:
    """The table of categories at the same first loss, of runs or of groups.

    Args:
        whose: The column that names them.
        section: Its section of the page.
        seeds: What the caption says of seeds.

    Returns:
        The declaration.
    """
    return Table(
        "first_loss", "first_loss", section, "Categories at the same first loss",
        "A low first loss tends to rise and a high one to fall, whatever training does (regression to the mean). Each "
        "category has a line of Δℓ on the first loss. Level: the line's Δℓ at the mean first loss of all examples; "
        "difference: of levels, from the category of lowest entropy, beside the same of mean Δℓ as it is. The first "
        f"loss is noisy itself, which makes slopes too steep and leaves a part of the difference in. {seeds}Where the "
        "spread of Δℓ rises with the first loss, intervals of slopes are too narrow (docs/statistics.md). In brackets: "
        f"{{confidence}} intervals over examples, or clusters of them{', and seeds' if seeds else ''}.",
        (
            whose, Column("category", "category"), Column("by", "line on the"), Column("n", "n", COUNT),
            Column("first", "mean first loss (nats)", NATS), Column("change", "mean Δℓ (nats)", CHANGE),
            Column("slope", "slope", CHANGE, "slope_low", "slope_high"), Column("at", "at a first loss of", NATS),
            Column("level", "level (nats)", CHANGE, "level_low", "level_high"),
            Column("unadjusted", "difference as it is (nats)", CHANGE),
            Column("difference", "difference (nats)", CHANGE, "difference_low", "difference_high"),
            Column("agreement", "r of first losses", NATS), Column("strength", "F", _TENTHS), Column("note", "note"),
        ),
        folded=True,
    )  # fmt: skip


def draw(rows: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """The parts of the mean change of the loss by category, and the share of the rise that is towards the annotators.

    Args:
        rows: Rows of ``decomposition`` with the run or group in ``of``.
        narrow: The panels under each other, for narrow screens.

    Returns:
        The figure: two panels a run or group.
    """
    groups = [(str(name), _drawn(own)) for name, own in rows.groupby("of", sort=False)][:_MOST]
    height = sum(0.75 + _ROW * _STEP * len(own) for _, own in groups)
    shape = (2 * len(groups), 1) if narrow else (len(groups), 2)
    size = (NARROW_WIDTH, height * 1.6) if narrow else (WIDTH, height)
    with style_context():
        figure, grid = new_grid(*shape, size=size, width_ratios=None if narrow else (2.6, 1))
        for index, (name, own) in enumerate(groups):
            parts, share = grid[2 * index : 2 * index + 2]
            if index:
                parts.sharex(grid[0])
            _draw_parts(parts, own)
            _draw_share(share, own)
            if len(groups) > 1:
                parts.set_title(shorten(name, 36 if narrow else 60))
            for axes in (parts, share):
                axes.grid(visible=False, axis="y")
                axes.grid(axis="x")
                axes.spines["left"].set_visible(False)
                axes.set_ylim(_STEP * len(own) - 1, -0.7)
    return figure


def _drawn(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of categories; that of all examples where there are none."""
    whole = rows["category"] == OVERALL
    return rows if whole.all() else rows[~whole]


def _draw_parts(axes: Axes, rows: pd.DataFrame) -> None:
    colors = category_colors(list(rows["category"]))
    labels: dict[float, str] = {}
    axes.axvline(0.0, color=INK, linewidth=0.9)
    for index, row in enumerate(rows.to_dict("records")):
        color = colors[row["category"]].line
        for place, (name, heading) in enumerate(_PARTS.items()):
            y, whole = _STEP * index + place, name == "change"
            axes.plot([row[f"{name}_low"], row[f"{name}_high"]], [y, y], color=color, linewidth=2.2 if whole else 1.3)
            face = color if whole else "#ffffff"
            axes.plot([row[name]], [y], "o", color=color, markerfacecolor=face, markersize=6 if whole else 4.5)
            labels[y] = f"{row['category']}: {heading}" if whole else heading
    axes.set_yticks(list(labels), list(labels.values()))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel("mean change (nats)")


def _draw_share(axes: Axes, rows: pd.DataFrame) -> None:
    colors = category_colors(list(rows["category"]))
    for index, row in enumerate(rows.to_dict("records")):
        y, color = _STEP * index, colors[row["category"]].line
        axes.plot([row["closer_low"], row["closer_high"]], [y, y], color=color, linewidth=2.2)
        axes.plot([row["closer_share"]], [y], "o", color=color, markersize=6)
    axes.set_yticks([])
    axes.set_xlim(-0.03, 1.03)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("of the rise where KL fell")


FIGURE = FigureSpec(
    "decomposition", SECTION.name, "What the change of the loss is made of",
    "Left: mean Δℓ of each category and, hollow, its two parts, which add up to it: the change of KL(annotators ‖ "
    "model), left of zero where the model came closer to the annotators' distribution, and the rest, right of zero "
    "where the gold label lost to labels that annotators gave too. Right: how much of the summed rise lies on examples "
    f"on which the model came closer all the same. Lines: {{confidence}} intervals. At most {_MOST} are drawn.",
    (("decomposition", "change", "kl", "rest"),), draw, ("of", "category", "change"), CHANGE,
)  # fmt: skip
"""Of runs and of groups alike."""
