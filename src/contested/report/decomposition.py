"""Towards the annotators, or away from them: tables, figure and sentences of the change of the loss taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from contested.analysis import OVERALL
from contested.analysis.first_loss import COVARIATE, INSTRUMENT
from contested.analysis.intervals import verdict
from contested.analysis.sentences import examples_of
from contested.formats import CHANGE, COUNT, NATS, SHARE, WHOLE, is_missing, number, shorten
from contested.report.declarations import Column, FigureSpec, Frames, Section, Table
from contested.report.study_frames import categories_only
from contested.report.style import INK, NARROW_WIDTH, WIDTH, category_colors, new_grid, style_context

SECTION = Section("annotators", "Towards the annotators, or away from them?")
_SEEDS = "Of a group: means over seeds. "
_OF_OTHERS = (
    "The first loss of the other seeds has noise of its own: as an instrument it gives the line on what the seeds "
    "share. There is none where the seeds begin alike, and where they hardly agree (F below 10). "
)
_PARTS = {"change": "Δℓ", "kl": "ΔKL", "rest": "rest"}
_TENTHS = number(",.1f")
MOST = 8  # runs or groups in the figure
_ROW = 0.19  # inches of a part
_STEP = len(_PARTS) + 0.6  # from one category to the next, in parts


def table(whose: Column, *, seeds: str = "") -> Table:
    """The table of runs or of groups.

    Args:
        whose: The column that names them.
        seeds: What the caption says of seeds.

    Returns:
        The declaration.
    """
    return Table(
        "decomposition", "decomposition", SECTION.name, "Towards the annotators, or away from them",
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


def group_tables(frames: Frames) -> tuple[Table, Table]:
    """The tables of a study, without columns that no group has."""
    whose = Column("group", "group")
    parts = table(whose, seeds=_SEEDS)
    frame = frames.get(parts.frame, pd.DataFrame())
    known = tuple(c for c in parts.columns if "original" not in c.name or (c.name in frame and frame[c.name].any()))
    return parts._replace(columns=known), first_loss_table(whose, seeds=_SEEDS + _OF_OTHERS)


def first_loss_table(whose: Column, *, seeds: str = "") -> Table:
    """The table of categories at the same first loss, of runs or of groups.

    Args:
        whose: The column that names them.
        seeds: What the caption says of seeds.

    Returns:
        The declaration.
    """
    return Table(
        "first_loss", "first_loss", SECTION.name, "Categories at the same first loss",
        "A low first loss tends to rise and a high one to fall, whatever training does (regression to the mean). Each "
        "category has a line of Δℓ on the first loss. Adjusted: the line's Δℓ at the mean first loss of all examples; "
        "difference: of these, from the category of lowest entropy, beside the same of mean Δℓ as it is. The first "
        f"loss is noisy itself, which makes slopes too steep and leaves a part of the difference in. {seeds}Where the "
        "spread of Δℓ rises with the first loss, intervals of slopes are too narrow (docs/statistics.md). In brackets: "
        f"{{confidence}} intervals over examples, or clusters of them{', and seeds' if seeds else ''}.",
        (
            whose, Column("category", "category"), Column("by", "line on the"), Column("n", "n", COUNT),
            Column("mean_first", "mean first loss (nats)", NATS), Column("change", "mean Δℓ (nats)", CHANGE),
            Column("slope", "slope", CHANGE, "slope_low", "slope_high"), Column("at", "at a first loss of", NATS),
            Column("adjusted", "adjusted (nats)", CHANGE, "adjusted_low", "adjusted_high"),
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
    groups = [(str(name), categories_only(own)) for name, own in rows.groupby("of", sort=False)][:MOST]
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
    "on which the model came closer all the same. Lines: {confidence} intervals.",
    (("decomposition", "change", "kl", "rest"),), draw, ("of", "category", "change"), CHANGE,
)  # fmt: skip
"""Of runs and of groups alike."""


def sentence(frames: Frames) -> str:
    """Say of the groups of a study whether their models came closer to the annotators, and what first losses leave.

    Args:
        frames: The frames of a study.

    Returns:
        A sentence or two on the examples with most disagreement; "" where nothing is known of them.
    """
    return " ".join(filter(None, (_parts_said(frames), _first_losses_said(frames))))


def _parts_said(frames: Frames) -> str:
    rows = _top(frames.get("decomposition", pd.DataFrame()), "kl")
    if not rows:
        return ""
    whose = _examples(rows)
    if len(rows) == 1:
        (row,) = rows
        return (
            f"Of the mean change of {whose}, {_ends(row, 'kl')} nats are that of the distance to the annotators' "
            f"distribution, and {_ends(row, 'rest')} what the gold label lost to labels that annotators gave too."
        )
    found = Counter(verdict(row["kl_low"], row["kl_high"]) for row in rows)
    said = (
        f"On {whose} the model came closer to the annotators' distribution in {found['falls']} of {len(rows)} groups, "
        f"moved away from it in {found['rises']}, and it is inconclusive in {found['unclear']}"
    )
    shares = [row["closer_share"] for row in rows if not is_missing(row["closer_share"])]
    if not shares:
        return f"{said}."
    return f"{said}; {SHARE(min(shares))} to {SHARE(max(shares))} of the summed rise lies where it came closer."


def _first_losses_said(frames: Frames) -> str:
    frame = frames.get("first_loss", pd.DataFrame())
    by = (
        {way: _top(frame[frame["by"] == way], "difference_low") for way in (INSTRUMENT, COVARIATE)}
        if len(frame)
        else {}
    )
    way = next((way for way, rows in by.items() if rows), None)
    if way is None:
        return ""
    rows, adjusted = by[way], "" if way == COVARIATE else ", as the first losses of other seeds tell it"
    of = f"mean Δℓ of {_examples(rows)} less that of examples with least disagreement"
    if len(rows) == 1:
        return f"At the same first loss{adjusted}, {of} is {_ends(rows[0], 'difference')} nats."
    least, most = (CHANGE(pick(row["difference"] for row in rows)) for pick in (min, max))
    found = Counter(verdict(row["difference_low"], row["difference_high"]) for row in rows)
    return (
        f"At the same first loss{adjusted}, {of} is above 0 in {found['rises']} of {len(rows)} groups, below 0 in "
        f"{found['falls']}, and inconclusive in {found['unclear']} ({least} to {most} nats)."
    )


def _top(rows: pd.DataFrame, needed: str) -> list[dict[str, Any]]:
    """The rows of the category of highest entropy that have a number."""
    if rows.empty or "category" not in rows:
        return []
    known = rows[rows[needed].notna()]
    names = [name for name in dict.fromkeys(known["category"]) if name != OVERALL]
    top = known[known["category"] == (names[-1] if names else OVERALL)]
    return [{str(name): value for name, value in row.items()} for row in top.to_dict("records")]


def _examples(rows: Sequence[Mapping[str, Any]]) -> str:
    category = str(rows[0]["category"])
    return "tracked examples" if category == OVERALL else examples_of(category)


def _ends(row: Mapping[str, Any], part: str) -> str:
    low, high = row[f"{part}_low"], row[f"{part}_high"]
    return CHANGE(row[part]) + ("" if is_missing(low) else f" [{CHANGE(low)}, {CHANGE(high)}]")
