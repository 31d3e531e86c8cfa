"""What a report is made of, as data: columns, tables, figures and sections over frames.

A frame is a table of results under a name. Reports of runs and of studies declare what they show of their frames in
the same way; :mod:`~contested.report.tables` and :mod:`~contested.report.pictures` make files of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from contested.formats import NATS, Format, text, yes_no

Frames = Mapping[str, pd.DataFrame]


class Column(NamedTuple):
    """How one quantity of a frame is shown; a known value, where the frame has one, follows by itself.

    Attributes:
        name: The frame's column.
        heading: Its heading in the table.
        format: One value to text.
        low: The column with the lower ends of its intervals, shown in the same cell.
        high: The column with the upper ends.
        sd: The column with its standard deviation over seeds, shown in the same cell.
        star: The column that says whether a star marks the value.
        seeded: Whether the cell says how many of the expected seeds it rests on, where that is not all.
        group: A heading over this column and its neighbours of the same group.
        words: Whether its cells are words although they have a format of their own.
        legend: Sentences that the caption says where this column is shown.
    """

    name: str
    heading: str
    format: Format = text
    low: str = ""
    high: str = ""
    sd: str = ""
    star: str = ""
    seeded: bool = False
    group: str = ""
    words: bool = False
    legend: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether its cells are numbers, which are set flush right."""
        return not self.words and self.format is not text and self.format is not yes_no


class Table(NamedTuple):
    """A table of a report.

    Attributes:
        name: Its file name without ending.
        frame: The frame it shows.
        section: Its section of the page; empty for one that is written and not shown.
        title: What it is.
        caption: How to read it; ``{confidence}`` becomes the coverage of the intervals.
        columns: The columns shown; none for data that only a machine reads, which is written as .csv alone.
        needs: What must be there for it to have rows; a table without rows is left out where this is empty, and
            otherwise written with the reason.
        number: Its number in a paper, such as "Table 1".
        folded: Whether the page shows it closed.
        legend: What its terms mean, as pairs of a term and a sentence.
        whole: Title and caption where no run has categories; without a title it is then left out of the page.
    """

    name: str
    frame: str
    section: str
    title: str
    caption: str = ""
    columns: tuple[Column, ...] = ()
    needs: str = ""
    number: str = ""
    folded: bool = False
    legend: tuple[tuple[str, str], ...] = ()
    whole: tuple[str, str] | None = None

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number}. {self.title}" if self.number else self.title

    def without_categories(self) -> Table:
        """The table in the words for runs without categories."""
        if self.whole is None:
            return self
        title, caption = self.whole
        return self._replace(title=title, caption=caption) if title else self._replace(section="")

    @property
    def absent(self) -> str:
        """Why it has no rows."""
        return f"Empty: this table needs {self.needs}, and there is none."


class FigureSpec(NamedTuple):
    """A figure of a report.

    Attributes:
        name: Its file name without ending.
        section: Its section of the page; "top" is right below the first sentence.
        title: What it shows.
        caption: How to read it; ``{confidence}`` becomes the coverage of the intervals.
        frames: The frames it draws, each with the columns of which a row must have all; it is drawn where every frame
            has such rows.
        draw: The rows of each frame, and with ``narrow=True`` for narrow screens, to the figure.
        said: Columns that name a point, and last the one that holds its number, or "" to count rows: what those hear
            who do not see the figure. Of names those count that the first frame has.
        format: The format of that number.
        needs: What must be there for it to be drawn; a figure with nothing to draw is left out where this is empty,
            and otherwise named with the reason.
        number: Its number in a paper, such as "Figure 1".
        optional: Those of its frames without which it is drawn, too.
        legend: Sentences for the caption, each said where a column of its frames has a value that is not 0.
        whole: Title and caption where no run has categories.
    """

    name: str
    section: str
    title: str
    caption: str
    frames: tuple[tuple[str, ...], ...]
    draw: Callable[..., Figure]
    said: tuple[str, ...]
    format: Format = NATS
    needs: str = ""
    number: str = ""
    optional: tuple[str, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    whole: tuple[str, str] | None = None

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number}. {self.title}" if self.number else self.title

    def without_categories(self) -> FigureSpec:
        """The figure in the words for runs without categories."""
        return self if self.whole is None else self._replace(title=self.whole[0], caption=self.whole[1])

    @property
    def absent(self) -> str:
        """Why it is not drawn."""
        return f"Not drawn: this figure needs {self.needs}, and none is complete."

    def rows(self, frames: Frames) -> list[pd.DataFrame]:
        """What it draws: of each of its frames the rows that have all it needs.

        Args:
            frames: The frames by name; a missing one, or one without a column, has no rows.

        Returns:
            One frame each, in the figure's order. What the column ``run`` or ``group`` names also stands in ``of``, so
            that one figure may draw a report's runs and a study's groups.
        """
        return [_complete(frames.get(name, pd.DataFrame()), columns) for name, *columns in self.frames]

    def is_drawable(self, frames: Frames) -> bool:
        """Whether it has anything to draw."""
        needed = [name for name, *_ in self.frames]
        return not any(
            rows.empty and name not in self.optional for name, rows in zip(needed, self.rows(frames), strict=True)
        )


def _complete(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The rows that have all of the columns, and whose run or group each is of."""
    key = next((name for name in ("run", "group") if name in frame), None)
    named = frame if key is None or "of" in frame else frame.assign(of=frame[key])
    if not set(columns) <= set(named):
        return named.iloc[:0]
    return named[named[list(columns)].notna().all(axis=1)]


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        name: Its id on the page.
        heading: Its heading.
    """

    name: str
    heading: str


class FindingCard(NamedTuple):
    """Something that a report examines and answers: shown as a card before all sections.

    Attributes:
        name: Its id on the page.
        title: What is examined.
        verdict: The answer in a word or two.
        kind: "yes", "no" or "open", for its colour.
        answer: The answer in a sentence.
        evidence: What the answer rests on, one sentence each.
        runs: The runs behind it, in short.
    """

    name: str
    title: str
    verdict: str
    kind: str
    answer: str
    evidence: Sequence[str] = ()
    runs: str = ""


class ReportSpec(NamedTuple):
    """What a report shows: whoever has frames and lists like these has tables, figures and a page.

    Attributes:
        sections: The parts of the page in reading order.
        tables: The tables, in reading order within their section.
        figures: The figures, in reading order within their section.
        frames: Frames beyond those of the results.
        findings: Cards before all sections.
        findings_heading: The heading above them.
        lead: A sentence beneath the title; without it the report makes its own.
        method: How numbers are made that only these tables and figures show, as pairs of name and text.
    """

    sections: tuple[Section, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[FigureSpec, ...] = ()
    frames: Frames = MappingProxyType({})
    findings: tuple[FindingCard, ...] = ()
    findings_heading: str = ""
    lead: str = ""
    method: tuple[tuple[str, str], ...] = ()
