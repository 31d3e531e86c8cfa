"""From a comparison to a report: tables, figures and one offline page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from contested.analysis import Comparison
from contested.analysis.clusters import units
from contested.files import user_path, write_json, write_text
from contested.formats import percent
from contested.report.compare_figures import figures
from contested.report.compare_tables import comparison_frames, comparison_tables
from contested.report.compared_examples import compared_examples
from contested.report.declarations import Section
from contested.report.examples import ALL
from contested.report.explorer.of_comparison import explorer_of_comparison
from contested.report.explorer.payload import TOO_MANY
from contested.report.page import Banner, Page, RunView, placed_sections, render_page
from contested.report.parts import written_parts
from contested.report.pictures import TOP
from contested.report.provenance import facts
from contested.report.run_names import flattened

_CARDS = 24  # of a category
_PARTS = ("config", "provenance")

SECTIONS = (Section("numbers", "In numbers"),)


class ComparisonPaths(NamedTuple):
    """What :func:`write_comparison` wrote.

    Attributes:
        html: The page.
        tables: The tables.
        figures: The figures.
        results: Every number as JSON.
    """

    html: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    results: Path


def write_comparison(found: Comparison, out: str | os.PathLike[str], *, title: str | None = None) -> ComparisonPaths:
    """Write the report of a comparison, as :func:`~contested.report.write_report` does for runs.

    The folder then holds, with the same bytes for the same comparison, ``report.html``, ``results.json``, figures as
    .pdf and .png, and tables as .csv, .md and .tex; of single examples ``tables/examples.csv`` has all, the largest
    change first.

    Args:
        found: The comparison.
        out: The folder; made where missing, files of the same names are replaced.
        title: The heading of the page.

    Returns:
        The paths written.
    """
    folder = user_path(out)
    folder.mkdir(parents=True, exist_ok=True)
    frames, confidence = comparison_frames(found), percent(found.confidence)
    html, results = folder / "report.html", folder / "results.json"
    with written_parts(
        comparison_tables(found), figures(found.first, found.second), frames, folder, confidence
    ) as written:
        write_json(results, found.to_dict())
        parts = written()
    explorer = explorer_of_comparison(found)
    page = Page(
        title=title or f"{found.second.name} compared with {found.first.name}",
        lead=_lead(found),
        headline=found.headline(),
        top=[figure for figure in parts.placed if figure.spec.section == TOP],
        banners=_banners(found),
        absent=[*found.absent, *([] if explorer else [TOO_MANY])],
        sections=placed_sections(SECTIONS, parts.placed, parts.shown),
        explorer=explorer,
        compared=compared_examples(found, *found.states, _CARDS),
        runs=_runs(found),
        method=_method(found),
        categories=[*found.categories[:-1], *([] if len(found.categories) > 1 else [ALL])],
    )
    write_text(html, render_page(page))
    return ComparisonPaths(html, parts.tables, parts.figures, results)


def _lead(found: Comparison) -> str:
    sides = [
        side.name if side.where.startswith("at") else f"{side.name} ({side.step_unit} {side.step:,})"
        for side in (found.first, found.second)
    ]
    whose = f" of {found.first.run_id}" if found.first.run_id == found.second.run_id else ""
    return f"{sides[0]} and {sides[1]}{whose} on the same {found.n_examples:,} examples, answer by answer."


def _banners(found: Comparison) -> list[Banner]:
    return [Banner("Not all is recorded.", note) for note in found.notes if "not complete" in note]


def _runs(found: Comparison) -> list[RunView]:
    """The runs' facts; what happened in words is the comparison's own."""
    sides = zip((found.first, found.second), found.states, strict=True)
    runs = {side.run_id: run for side, run in sides}
    return [
        RunView(run_id, {}, run.label_names, {}, facts(run), *(flattened(run.manifest, part) for part in _PARTS))
        for run_id, run in runs.items()
    ]


def _method(found: Comparison) -> list[tuple[str, str]]:
    unit = units(found.clusters)
    return [
        ("Size", f"N = {found.n_examples:,} examples that both track, in {found.n_clusters:,} independent clusters."),
        *[("Note", note) for note in found.notes],
        (
            "Guessing",
            "If a model either knows an example or guesses among K classes, then one guess in K is lucky where the "
            "other model is wrong: a (K − 1)th as many as both get wrong (after Harmon et al. 2025). Models of one "
            "origin guess alike, and then fewer answers change than that.",
        ),
        (
            "Intervals",
            f"Bootstrap over {unit}, {found.n_resamples:,} resamples, each for one number by itself.",
        ),
        (
            "Tests",
            f"Paired: how often differences whose signs are flipped at random, over {unit}, are as far from zero "
            f"({found.n_flips:,} draws; right and wrong answers are counted out, which is McNemar's exact test). "
            "Adjusted by Benjamini and Hochberg: of those found, the share of false ones is kept at the level.",
        ),
        ("Other seeds", "Each model is one run: what another seed would do is not in these numbers."),
    ]
