"""The page of a study: one offline file, the claims first, then every table and figure with its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from contested.paper import Claim
from contested.paper.report.names import method_colors, short_ids
from contested.paper.report.tables import Rendered
from contested.report.html import Picture, color_variables, render
from contested.report.style import BAR, CategoryColor, category_colors


class ClaimView(NamedTuple):
    """One claim as the page shows it.

    Attributes:
        claim: The claim.
        kind: "yes", "no" or "open", for its colour.
        runs: Its run ids in short.
    """

    claim: Claim
    kind: str
    runs: str


class Drawn(NamedTuple):
    """A figure on the page, or the sentence why it is missing.

    Attributes:
        name: Its file name without ending.
        heading: Its number and title.
        picture: The figure; None where it is missing.
        missing: Why it is missing; empty where it is not.
        foot: The runs behind it, and what is missing, as pairs of name and text.
    """

    name: str
    heading: str
    picture: Picture | None
    missing: str
    foot: Sequence[tuple[str, str]]


class Section(NamedTuple):
    """A part of the page: its id, heading, figures and tables."""

    name: str
    heading: str
    figures: Sequence[Drawn]
    tables: Sequence[Rendered]


class StudyPage(NamedTuple):
    """Everything the template shows.

    Attributes:
        title: The heading.
        lead: One plain sentence beneath it.
        claims: The paper's claims.
        sections: The parts in reading order.
        left_out: Names of the parts that the study did not ask for.
        gaps: One sentence for each run that is missing.
        excluded: Runs left out and why.
        notes: What a reader must know before trusting the numbers.
        method: How the numbers are made, as name and text.
        categories: Category names in order of rising entropy.
        methods: Every method of the study.
        lines: Names that have a colour in one figure alone.
        version: The version of contested that made the page.
    """

    title: str
    lead: str
    claims: Sequence[ClaimView]
    sections: Sequence[Section]
    left_out: Sequence[str]
    gaps: Sequence[str]
    excluded: Sequence[tuple[str, str]]
    notes: Sequence[str]
    method: Sequence[tuple[str, str]]
    categories: Sequence[str]
    methods: Sequence[str]
    lines: Sequence[str]
    version: str


_KINDS = {"holds": "yes", "does not hold": "no"}


def claim_view(claim: Claim) -> ClaimView:
    """A claim with its runs in short."""
    # An answer is the rest of a sentence; a Greek letter at its start stays as it is.
    if claim.answer[:1].isascii():
        claim = claim._replace(answer=claim.answer[:1].upper() + claim.answer[1:])
    runs = short_ids(claim.run_ids) if len(claim.run_ids) < 4 else f"{len(claim.run_ids)} runs, named in results.json"
    return ClaimView(claim, _KINDS.get(claim.verdict, "open"), runs)


def render_study(page: StudyPage) -> str:
    """Render the page; every text in it is escaped, only the figures are taken as markup.

    Args:
        page: What to show.

    Returns:
        HTML without any reference to another file or address.
    """
    colors = category_colors(page.categories)
    further = further_colors(page.methods, page.lines)
    return render("study.html.j2", page=page, colors=colors, further=further)


def further_colors(methods: Sequence[str], lines: Sequence[str]) -> list[CategoryColor]:
    """The colours of figures that are no category's: of methods, and of lines in one figure alone."""
    return list(dict.fromkeys([*method_colors(methods).values(), *category_colors(lines).values()]))


def study_variables(categories: Sequence[str], methods: Sequence[str], lines: Sequence[str]) -> dict[str, str]:
    """The colours of the figures and the CSS custom properties in whose place they stand on the page.

    Args:
        categories: Category names in order of rising entropy.
        methods: Every method.
        lines: Names that have a colour in one figure alone.

    Returns:
        Colour (#rrggbb) to the property's name.
    """
    variables = {BAR: "--bar"}
    for index, color in enumerate(further_colors(methods, lines)):
        variables |= {color.text: f"--more-{index}", color.line: f"--more-{index}"}
    return variables | color_variables(categories)
