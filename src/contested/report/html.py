"""The page: one file that needs nothing else, rendered from what the other modules prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from contested.report import formats
from contested.report.examples import Example
from contested.report.style import category_colors
from contested.report.tables import Cells


class Picture(NamedTuple):
    """A figure on the page.

    Attributes:
        name: Its file name without ending.
        title: What it shows.
        caption: How to read it.
        alt: What is in it, for those who do not see it.
        wide: The SVG element for wide screens and paper.
        narrow: The SVG element for phones.
    """

    name: str
    title: str
    caption: str
    alt: str
    wide: str
    narrow: str


class RunView(NamedTuple):
    """What the page says of one run.

    Attributes:
        name: The run's name on the page.
        complete: Whether training reached its end.
        status: The run's status.
        statements: What happened and how sure, one sentence each.
        label_names: Class names, length K.
        examples: Category to the examples that un-learned most, in order of rising entropy.
        facts: The run in a few rows.
        config: Every setting, by dotted name.
        provenance: Code, versions, device and fingerprints, by dotted name.
    """

    name: str
    complete: bool
    status: str
    statements: Sequence[str]
    label_names: tuple[str, ...]
    examples: Mapping[str, Sequence[Example]]
    facts: Sequence[tuple[str, str]]
    config: Sequence[tuple[str, str]]
    provenance: Sequence[tuple[str, str]]


class Page(NamedTuple):
    """Everything the template shows.

    Attributes:
        title: The heading.
        lead: One plain sentence beneath it.
        runs: One entry a run.
        summary: The summary table.
        correlation: ρ of AULC and entropy, one row a run.
        summary_note: What the columns of the summary are.
        pictures: The figures in reading order.
        categories: Category names in order of rising entropy, over all runs.
        notes: How the numbers are made, as name and text.
        version: The version of contested that made the page.
    """

    title: str
    lead: str
    runs: Sequence[RunView]
    summary: Cells
    correlation: Cells
    summary_note: str
    pictures: Sequence[Picture]
    categories: Sequence[str]
    notes: Sequence[tuple[str, str]]
    version: str


def render_page(page: Page) -> str:
    """Render the page; every text in it is escaped, only the figures are taken as markup.

    Args:
        page: What to show.

    Returns:
        HTML without any reference to another file or address.
    """
    return render("template.html.j2", page=page, colors=category_colors(page.categories))


def render(template: str, **values: Any) -> str:
    """Render one of the package's templates; every text in it is escaped.

    Args:
        template: Its file name.
        **values: What it shows.

    Returns:
        The page.
    """
    environment = Environment(
        loader=PackageLoader("contested.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(nats=formats.NATS, change=formats.CHANGE, percent=formats.number(".0%"), markup=Markup)
    return environment.get_template(template).render(values) + "\n"


def color_variables(categories: Sequence[str]) -> dict[str, str]:
    """The colours of figures and the CSS custom properties in whose place they stand on the page.

    Args:
        categories: Category names in order of rising entropy, over all runs.

    Returns:
        Colour (#rrggbb) to the property's name.
    """
    variables = {"#ffffff": "--page"}
    for index, color in enumerate(category_colors(categories).values()):
        variables |= {color.line: f"--line-{index}", color.text: f"--text-{index}"}
    return variables
