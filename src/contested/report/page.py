"""The page: one file that needs nothing else, rendered from what the other modules prepared."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from types import MappingProxyType
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from contested import formats
from contested.report.compared_examples import ComparedExamples
from contested.report.declarations import FindingCard, Section
from contested.report.examples import Example
from contested.report.explorer import Explorer, bundle, embedded
from contested.report.map_cards import ItemCard
from contested.report.pictures import PlacedFigure
from contested.report.style import category_colors, color_property, colors_in_the_dark
from contested.report.table_cells import RenderedTable
from contested.wording import visible

_COMPARED_SCRIPT = "compared_script"
"""The macro of the script that a comparison's page has."""


class Banner(NamedTuple):
    """What a reader must know before anything else.

    Attributes:
        strong: The point.
        text: What follows from it.
        link: Where more stands: an id on the page and the words; empty without.
    """

    strong: str
    text: str
    link: tuple[str, str] = ("", "")


class PlacedSection(NamedTuple):
    """A part of the page with its content.

    Attributes:
        section: Its id and heading.
        figures: Its figures.
        tables: Its tables.
        statements: What it says before them.
        cards: Items shown before its tables.
    """

    section: Section
    figures: Sequence[PlacedFigure]
    tables: Sequence[RenderedTable]
    statements: Sequence[str] = ()
    cards: Sequence[ItemCard] = ()


class RunView(NamedTuple):
    """What the page shows of one run beyond the sections.

    Attributes:
        name: The run's name on the page.
        statements: Sentences by the name of the section that they stand in.
        label_names: Class names, length K.
        examples: Category to the examples that un-learned most, in order of rising entropy.
        facts: The run in a few rows.
        config: Every setting, by dotted name.
        provenance: Code, versions, device and fingerprints, by dotted name.
    """

    name: str
    statements: Mapping[str, Sequence[str]]
    label_names: tuple[str, ...]
    examples: Mapping[str, Sequence[Example]]
    facts: Sequence[tuple[str, str]]
    config: Sequence[tuple[str, str]]
    provenance: Sequence[tuple[str, str]]


class Page(NamedTuple):
    """Everything the template shows; what is empty leaves no trace.

    Attributes:
        title: The heading.
        lead: One plain sentence beneath it.
        headline: What happened, in a sentence.
        top: The figures right below it.
        banners: What a reader must know before anything else.
        absent: What is not on the page for want of data, and why.
        findings: Cards before all sections.
        findings_heading: The heading above them.
        sections: The parts in reading order.
        left_out: Names of the parts that were not selected.
        runs: One entry per run.
        gaps: One sentence for each run that is missing.
        excluded: Runs left out and why.
        notes: What a reader must know before trusting the numbers.
        method: How the numbers are made, as name and text.
        categories: Category names in order of rising entropy.
        compared: The examples of two models compared; None on other pages.
        explorer: Every example, to search and select; None on a page without.
    """

    title: str
    lead: str
    headline: str = ""
    top: Sequence[PlacedFigure] = ()
    banners: Sequence[Banner] = ()
    absent: Sequence[str] = ()
    findings: Sequence[FindingCard] = ()
    findings_heading: str = ""
    sections: Sequence[PlacedSection] = ()
    left_out: Sequence[str] = ()
    runs: Sequence[RunView] = ()
    gaps: Sequence[str] = ()
    excluded: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    method: Sequence[tuple[str, str]] = ()
    categories: Sequence[str] = ()
    compared: ComparedExamples | None = None
    explorer: Explorer | None = None

    @property
    def with_annotators(self) -> bool:
        """Whether any example on the page shows what annotators chose."""
        shown = (example for run in self.runs for examples in run.examples.values() for example in examples)
        return any(answer.human for example in shown for answer in example.answers)


def placed_sections(
    sections: Sequence[Section],
    figures: Sequence[PlacedFigure],
    tables: Sequence[RenderedTable],
    statements: Mapping[str, Sequence[str]] = MappingProxyType({}),
    cards: Mapping[str, Sequence[ItemCard]] = MappingProxyType({}),
) -> list[PlacedSection]:
    """The sections that have something to show.

    Args:
        sections: The sections in reading order.
        figures: All figures in reading order.
        tables: All tables in reading order.
        statements: Sentences by the name of their section.
        cards: Items by the name of their section.

    Returns:
        Each section with its own statements, figures, cards and tables.
    """
    placed = [
        PlacedSection(
            section,
            [figure for figure in figures if figure.spec.section == section.name],
            [table for table in tables if table.table.section == section.name],
            statements.get(section.name, ()),
            cards.get(section.name, ()),
        )
        for section in sections
    ]
    return [part for part in placed if part.figures or part.tables or part.statements or part.cards]


def render_page(page: Page) -> str:
    """Render the page; every text in it is escaped, only the figures are taken as markup.

    Args:
        page: What to show.

    Returns:
        HTML without any reference to another file or address.
    """
    environment = Environment(
        loader=PackageLoader("contested.report", ""),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # markup is of the page itself
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    percent = formats.number(".0%")
    environment.filters.update(nats=formats.NATS, change=formats.CHANGE, percent=percent, markup=Markup)
    environment.filters["variable"] = lambda color: f"var({color_property(color)})"
    categories = category_colors(page.categories)
    values = {
        "page": page,
        "colors": list(categories.values()),
        "palette": _palette(page),
        "version": version("contested"),
        "explorer": None if page.explorer is None else embedded(page.explorer),
        "policy": policy(*_scripts(page, environment)),
    }
    return environment.get_template("page.html.j2").render(values) + "\n"


def _scripts(page: Page, environment: Environment) -> Iterator[str]:
    """The scripts that a page has."""
    if page.explorer is not None:
        yield bundle("explorer.js")
    if page.compared is not None:
        macro = getattr(environment.get_template("compared.html.j2").module, _COMPARED_SCRIPT)
        yield str(macro()).partition("<script>")[2].partition("</script>")[0]


def policy(*scripts: str) -> str:
    """What a page may do, were a text ever to become markup: run its own scripts, and load nothing at all.

    Args:
        *scripts: The texts of its scripts.

    Returns:
        The content of its Content-Security-Policy.
    """
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _palette(page: Page) -> list[tuple[str, str, str]]:
    """The colours that the page uses: custom property, light and dark."""
    figures = [*page.top, *(figure for part in page.sections for figure in part.figures)]
    svgs = "".join(placed.picture.wide + placed.picture.narrow for placed in figures if placed.picture)
    used = {f"#{digits}" for digits in re.findall(r"var\(--c-([0-9a-f]{6})\)", svgs)}
    used |= {shade for color in category_colors(page.categories).values() for shade in (color.line, color.text)}
    return [(color_property(light), light, dark) for light, dark in colors_in_the_dark().items() if light in used]
