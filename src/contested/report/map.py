"""From an annotated file to a map: tables, soft labels, one offline page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from contested.analysis.items import ItemMap
from contested.annotations.writing import write_table
from contested.files import user_path, write_json, write_text
from contested.formats import COUNT, SHARE, percent
from contested.report.declarations import Frames
from contested.report.explorer.payload import TOO_MANY
from contested.report.map_cards import ItemCard, contested_cards, error_cards, text_columns
from contested.report.map_explorer import explorer_of
from contested.report.map_figures import FIGURES
from contested.report.map_tables import SECTIONS, SHOWN, TABLES
from contested.report.page import Page, placed_sections, render_page
from contested.report.parts import written_parts
from contested.report.pictures import TOP, PlacedFigure
from contested.report.table_cells import rendered
from contested.wording import counted

_CONFIDENCE = "95%"
_CARDS = 12
_SURE = 0.9
_FAR = 0.1  # of all items, that a category's expected number is from its number


class MapPaths(NamedTuple):
    """What :func:`write_map` wrote.

    Attributes:
        html: The page.
        items: All facts and fields, one row per item, as Parquet.
        soft_labels: Distributions to train on, one line per item.
        votes: One row per vote; None where counts alone are known.
        summary: The summary as JSON.
        tables: The tables.
        figures: The figures.
        statements: What the map says, in sentences.
    """

    html: Path
    items: Path
    soft_labels: Path
    votes: Path | None
    summary: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    statements: tuple[str, ...]


def write_map(found: ItemMap, out: str | Path, *, title: str | None = None) -> MapPaths:
    """Write the map of an annotated set: one page, and the same facts as tables, Parquet and soft labels.

    The folder then holds, with the same bytes for the same map:

    - ``map.html``, self-contained; ``summary.json``;
    - ``items.parquet``: every fact of :data:`contested.analysis.items.FACTS` and every field of the file;
    - ``soft_labels.jsonl``: id, the posterior mean as ``soft_label``, plain ``shares``, ``n_annotators``, the fields;
    - ``votes.csv``: one row per vote, where the file has votes;
    - ``tables/`` as .csv, .md and .tex, of the items as .csv alone; ``figures/`` as .pdf and .png.

    Args:
        found: The map.
        out: The folder; made where missing, files of the same names are replaced.
        title: The heading of the page.

    Returns:
        The paths written.
    """
    folder = user_path(out)
    folder.mkdir(parents=True, exist_ok=True)
    frames, said = _frames(found), statements(found)
    with written_parts(TABLES, FIGURES, frames, folder, _CONFIDENCE) as written:
        items, soft_labels, votes = _write_rows(found, folder)
        parts = written()
    html, summary = folder / "map.html", folder / "summary.json"
    write_json(summary, {**found.summary.to_json(), "notes": list(found.notes), "statements": said})
    write_text(html, render_page(_page(found, frames, parts.placed, said, title)))
    return MapPaths(html, items, soft_labels, votes, summary, parts.tables, parts.figures, tuple(said))


def _write_rows(found: ItemMap, folder: Path) -> tuple[Path, Path, Path | None]:
    """Write items, soft labels and votes; votes of an earlier map would pass for some of this one."""
    items, soft_labels, votes = (folder / name for name in ("items.parquet", "soft_labels.jsonl", "votes.csv"))
    write_table(found.items.apply(_one_type), items)
    write_table(_soft_labels(found), soft_labels)
    if found.votes.empty:
        votes.unlink(missing_ok=True)
        return items, soft_labels, None
    write_table(found.votes, votes)
    return items, soft_labels, votes


def _page(
    found: ItemMap, frames: Frames, figures: Sequence[PlacedFigure], said: Sequence[str], title: str | None
) -> Page:
    declared = [table for table in TABLES if table.section and len(frames[table.frame])]
    shown = [rendered(table, frames[table.frame].head(SHOWN), _CONFIDENCE) for table in declared]
    texts = text_columns(found.known.annotations.fields)
    cards = {
        "label-errors": error_cards(found, texts, _CARDS),
        "contested-items": contested_cards(found, texts, _CARDS),
    }
    explorer = explorer_of(found, texts)
    return Page(
        title=title or f"What {counted(len(found.items), 'item')} and their votes say",
        lead=_lead(found),
        headline=" ".join(said),
        top=[placed for placed in figures if placed.spec.section == TOP],
        sections=placed_sections(SECTIONS, figures, shown, _sentences(found, cards), cards),
        absent=() if explorer else [TOO_MANY],
        notes=[note for note in found.notes if note not in said],
        method=_METHOD,
        categories=found.known.cut.bands.names,
        explorer=explorer,
    )


def _frames(found: ItemMap) -> Frames:
    receipt = found.known.annotations.receipt
    read = {} if receipt is None else receipt.lines()
    return {
        "items": found.items,
        "categories": found.categories,
        "annotators": found.annotators,
        "label_errors": found.label_errors,
        "ask_next": found.ask_next,
        "reading": pd.DataFrame(
            [("source", found.known.annotations.source or "in memory"), *read.items()], columns=["part", "found"]
        ),
    }


def _one_type(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column as Parquet can hold it: as text where its values are of several types."""
    kinds = {type(value) for value in column.dropna()} if column.dtype == object else set()
    return column.map(str, na_action="ignore") if len(kinds) > 1 else column


def _soft_labels(found: ItemMap) -> pd.DataFrame:
    data = found.known.annotations
    columns = {
        "example_id": list(data.example_ids),
        "soft_label": _by_name(found, found.known.soft.probabilities),
        "shares": _by_name(found, data.distributions),
        "n_annotators": data.n_annotators,
    }
    fields = {str(name): data.fields[name].array for name in data.fields if str(name) not in columns}
    return pd.DataFrame({**columns, **fields})


def _by_name(found: ItemMap, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[dict[str, float]]:
    names = found.known.annotations.label_names
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


def _lead(found: ItemMap) -> str:
    data = found.known.annotations
    votes = COUNT(int(data.label_counts.sum()))
    who = f" by {counted(len(found.annotators), 'annotator')}" if len(found.annotators) else ""
    return f"{votes} votes{who} on {counted(data.n_items, 'item')}, {data.n_classes} classes. No model was trained."


def statements(found: ItemMap) -> list[str]:
    """What the map says first.

    Args:
        found: The map.

    Returns:
        Whole sentences: the categories and how sure they are, then slips, where they can be known.
    """
    counts = [f"{COUNT(row.n_items)} are {row.category}" for row in found.categories.itertuples()]
    joined = f"{', '.join(counts[:-1])} and {counts[-1]}" if len(counts) > 1 else counts[0]
    sure = found.items["category_probability"].to_numpy(np.float64)
    said = [f"Of {counted(len(found.items), 'item')}, {joined}.", *_expected(found)]
    if np.isfinite(sure).any():
        n_sure = int((sure >= _SURE).sum())
        share = "none" if not n_sure else "under 1%" if n_sure < 0.005 * len(sure) else percent(n_sure / len(sure), 0)
        said.append(f"The category of {share} of them is sure (a probability of {percent(_SURE)} or more).")
    slips = found.known.slips
    if slips is not None:
        n, votes = float(slips.vote.sum()), len(slips.vote)
        said.append(
            f"A model in which annotators slip now and then puts slips at {SHARE(n / votes)} of the votes "
            f"({COUNT(n)} of {COUNT(votes)}); it cannot tell them from a view that one annotator alone holds."
        )
        said += [*_outlier(found), *found.known.annotations.annotator_notes()]
    return said


def _expected(found: ItemMap) -> Iterator[str]:
    """How many items each category would have if the distributions behind the votes were known, where that differs."""
    rows = found.categories.dropna(subset="expected")
    if len(rows) and (rows["expected"] - rows["n_items"]).abs().max() > _FAR * len(found.items):
        counts = [f"{COUNT(row.expected)} {row.category}" for row in rows.itertuples()]
        yield (
            f"With so few votes that is uncertain: of the distributions behind them, {', '.join(counts[:-1])} and "
            f"{counts[-1]} are expected."
        )


def _outlier(found: ItemMap) -> Iterator[str]:
    """The annotator who surely slips twice as often as the next one, where there is one."""
    first, *others = found.annotators.to_dict("records")[:2] or [{}]
    if others and first["slip_rate_low"] > 2 * others[0]["slip_rate"]:
        rate, n = percent(first["slip_rate"], 0), COUNT(first["n_votes"])
        yield f"{first['annotator']} differs from the others most: the model puts slips at {rate} of {n} votes."


def _sentences(found: ItemMap, cards: dict[str, list[ItemCard]]) -> dict[str, list[str]]:
    said = {name: list(_about_cards(name, found)) for name, shown in cards.items() if shown}
    if found.known.slips is None:
        said["label-errors"] = said["annotators"] = [found.notes[-1]]
    return said


def _about_cards(name: str, found: ItemMap) -> Iterator[str]:
    if name == "label-errors":
        yield (
            f"The {_CARDS} likeliest of {COUNT(len(found.label_errors))} items whose annotators disagree; all are in "
            "tables/label_errors.csv. Look at them in this order: the order is better known than the probabilities."
        )
        return
    highest = found.known.cut.bands.names[-1]
    genuine = "" if found.known.slips is None else ", by votes that are no slips"
    yield f"Items that are {highest} most surely{genuine}."


_METHOD = (
    (
        "Entropy H",
        "−Σ p ln p over the shares p of the votes, in nats: 0 where all agree, ln K where they are split evenly over "
        "all classes. Its interval holds the entropy of the distribution behind the votes with a probability of 95%.",
    ),
    (
        "Category",
        "The band that H of the votes is in. Its probability comes from draws of the distribution behind the votes: "
        "Dirichlet, with a prior that makes all votes together most likely.",
    ),
    (
        "Slips",
        "A vote is taken as drawn from the item's own distribution of labels, or, where its annotator slips, from all "
        "classes alike. How often each annotator slips, and which votes are slips, is drawn by Gibbs sampling from "
        "two starts. How often people slip at large is told apart from how often they disagree by the pattern of votes "
        "alone: trust the order of votes more than their probabilities.",
    ),
    (
        "One more vote",
        "What it is expected to tell of the category: mutual information, in nats. Items with few votes, and those "
        "near a bound, come first.",
    ),
    (
        "Soft labels",
        "The posterior mean of an item's distribution under a Dirichlet prior with one parameter a class, fitted to "
        "all items: shares of few votes are drawn towards the use of labels at large.",
    ),
)
