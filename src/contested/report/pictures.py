"""From declared figures to pictures: files beside the page, elements on it, and those of earlier reports removed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contested.analysis.study.columns import is_caution
from contested.beside import beside
from contested.report.declarations import FigureSpec, Frames
from contested.report.labels import short_runs
from contested.report.style import freeze_layout, inline_svg, save_figure

TOP = "top"
"""The section of the figures right below the page's first sentence."""

CAUTION = "Some of the intervals cover less often than they say: † in the tables says which."
_MOST_SAID = 12
_PANEL = (("group",), ("backbone", "method", "dataset"))


class RenderedFigure(NamedTuple):
    """A figure on the page.

    Attributes:
        name: Its file name without ending.
        title: What it shows.
        caption: How to read it.
        alt: What is in it, as a text alternative.
        wide: The SVG element for wide screens and paper.
        narrow: The SVG element for phones.
    """

    name: str
    title: str
    caption: str
    alt: str
    wide: str
    narrow: str


class PlacedFigure(NamedTuple):
    """A figure on the page, or the sentence that says why it is missing.

    Attributes:
        spec: What it is.
        picture: The figure; None where it is missing.
        foot: The runs behind it, and what is missing, as pairs of name and text.
    """

    spec: FigureSpec
    picture: RenderedFigure | None
    foot: Sequence[tuple[str, str]]


@contextlib.contextmanager
def draw_figures(
    wanted: Sequence[FigureSpec], frames: Frames, folder: Path, confidence: str
) -> Iterator[Callable[[], tuple[list[PlacedFigure], list[Path]]]]:
    """Draw figures beside what the block does, save them as PDF and PNG, and place them.

    Args:
        wanted: The figures; one with nothing to draw is left out, or named where it says what it needs.
        frames: The frames by name.
        folder: Where the files go; made where missing.
        confidence: The coverage of the intervals, such as "95%".

    Yields:
        What waits for the figures in their order and the paths written; to be called within the block.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = {spec.name: spec.rows(frames) for spec in wanted if spec.is_drawable(frames)}
    tasks = [(spec, narrow) for spec in wanted if spec.name in rows for narrow in (False, True)]
    # Wide ones are saved, too, and take longest where there is most to draw.
    tasks.sort(key=lambda task: (task[1], -sum(map(len, rows[task[0].name]))))
    with beside(lambda task: _drawn(task[0], rows[task[0].name], folder, narrow=task[1]), tasks) as drawn:

        def placed() -> tuple[list[PlacedFigure], list[Path]]:
            pictures = dict(zip([(spec.name, narrow) for spec, narrow in tasks], drawn(), strict=True))
            found, files = [], []
            for spec in wanted:
                picture = None
                if spec.name in rows:
                    (wide, written), (narrow, _) = pictures[spec.name, False], pictures[spec.name, True]
                    picture = _rendered(spec, rows[spec.name], confidence, wide, narrow)
                    files += written
                if picture or spec.needs:
                    found.append(PlacedFigure(spec, picture, foot(spec, frames) if spec.section != TOP else []))
            return found, files

        yield placed


def _drawn(spec: FigureSpec, rows: Sequence[pd.DataFrame], folder: Path, *, narrow: bool) -> tuple[str, list[Path]]:
    """The SVG element of a figure, and the files of the wide one."""
    figure = freeze_layout(spec.draw(*rows, narrow=narrow) if narrow else spec.draw(*rows))
    written = [] if narrow else save_figure(figure, folder / spec.name)
    return inline_svg(figure, f"{spec.name}-{'narrow' if narrow else 'wide'}"), written


def _rendered(
    spec: FigureSpec, rows: Sequence[pd.DataFrame], confidence: str, wide: str, narrow: str
) -> RenderedFigure:
    legend = [
        sentence for column, sentence in spec.legend if any(column in drawn and drawn[column].any() for drawn in rows)
    ]
    if any(drawn[column].any() for drawn in rows for column in drawn if is_caution(str(column))):
        legend.append(CAUTION)
    caption = " ".join([spec.caption, *legend]).replace("{confidence}", confidence).strip()
    return RenderedFigure(spec.name, f"{spec.heading}.", caption, alt(spec, rows[0]), wide, narrow)


def remove_files(folder: Path, names: Sequence[str], endings: Sequence[str], kept: Sequence[Path]) -> None:
    """Remove files of an earlier report, which would pass for some of this one.

    Args:
        folder: Where they are.
        names: Names without ending, or patterns of names.
        endings: Their endings.
        kept: Files of this report.
    """
    for name in names:
        for ending in endings:
            for path in folder.glob(f"{name}.{ending}"):
                if path not in kept:
                    path.unlink()


def alt(spec: FigureSpec, rows: pd.DataFrame) -> str:
    """What is in a figure, as a text alternative: the ends of each line, or each point."""
    *names, value = spec.said
    parts = []
    names = [name for name in names if name in rows]
    for key, own in rows.groupby(names, dropna=False, sort=False) if names else [((), rows)]:
        ends = f"{len(own):,} examples"
        if value in own:
            first, last = (spec.format(own[value].iloc[index]) for index in (0, -1))
            ends = last if len(own) == 1 else f"from {first} to {last}"
        parts.append(f"{', '.join(str(part) for part in key)} {ends}".strip())
    left = f"; and {len(parts) - _MOST_SAID} more" if len(parts) > _MOST_SAID else ""
    return f"{spec.title}. {'; '.join(parts[:_MOST_SAID])}{left}."


def foot(spec: FigureSpec, frames: Frames) -> list[tuple[str, str]]:
    """The runs behind a figure, what is missing, and the groups that have nothing to draw."""
    name = spec.frames[0][0]
    frame = frames.get(name, pd.DataFrame())
    if "run_ids" not in frame:
        return []
    parts = [("Runs", short_runs(frame)), ("Missing runs", short_runs(frame, "missing"))]
    by = next(([*names] for names in _PANEL if set(names) & set(frame)), [])
    by = [part for part in by if part in frame]
    if by and len(frame):
        keys = frame[by].astype(str).agg(" · ".join, axis=1)
        drawn = set(keys[spec.rows(frames)[0].index])
        absent = [key for key in dict.fromkeys(keys) if key not in drawn]
        parts.append(("Not drawn, for lack of a complete run", "; ".join(absent)))
    return [(title, said) for title, said in parts if said]
