"""The tables and figures of a report: written side by side, in place of those that an earlier report left there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from contested.report.declarations import FigureSpec, Frames, Table
from contested.report.pictures import PlacedFigure, draw_figures, remove_files
from contested.report.table_cells import RenderedTable
from contested.report.tables import write_tables


class Parts(NamedTuple):
    """Tables and figures of a report.

    Attributes:
        tables: The files of tables.
        figures: The files of figures.
        shown: The tables that are on the page.
        placed: The figures that are on the page.
    """

    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    shown: list[RenderedTable]
    placed: list[PlacedFigure]


@contextlib.contextmanager
def written_parts(
    tables: Sequence[Table], figures: Sequence[FigureSpec], frames: Frames, folder: Path, confidence: str
) -> Iterator[Callable[[], Parts]]:
    """Write tables and figures into their folders while the block does what else there is to do.

    Args:
        tables: All tables of such a report.
        figures: All its figures.
        frames: All frames by name.
        folder: That of the report.
        confidence: The coverage of the intervals, such as "95%".

    Yields:
        What waits for them, and removes files of those that are left out; to be called within the block.
    """
    with draw_figures(figures, frames, folder / "figures", confidence) as drawn:
        written = write_tables(tables, frames, folder / "tables", confidence)

        def parts() -> Parts:
            placed, files = drawn()
            remove_files(folder / "tables", [table.name for table in tables], ("csv", "md", "tex"), written.files)
            remove_files(folder / "figures", [figure.name for figure in figures], ("pdf", "png"), files)
            return Parts(tuple(written.files), tuple(files), written.shown, placed)

        yield parts
