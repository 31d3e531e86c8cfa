"""An explorer as part of a page: its data, and the script that shows them, which no other file is needed for."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from contested.annotations.votes import Votes
from contested.formats import NATS
from contested.report.explorer.blocks import Blocks
from contested.report.explorer.payload import CATEGORY, Column, Curve, Explorer, ExplorerRun, check_explorer
from contested.report.style import category_colors, color_property
from contested.wording import visible

_NATS_DIGITS = len(NATS(0.0)) - 2
_MOST_DIGITS = 6


@functools.cache
def bundle(name: str) -> str:
    """The explorer's script or style sheet, as ``npm run build`` in ``explorer/`` writes it.

    Args:
        name: ``explorer.js`` or ``explorer.css``.

    Returns:
        Its text.
    """
    return (files(__package__) / name).read_text(encoding="utf-8")


def embedded(explorer: Explorer) -> Markup:
    """The explorer as markup: its style sheet, root element, data, and script.

    The page has the colours of its categories as custom properties, and a policy that allows :func:`bundle`'s script.

    Args:
        explorer: What it shows.

    Returns:
        Markup of which the script takes the place once it runs; without scripts a sentence says so.

    Raises:
        DataError: If the explorer's parts do not fit together.
    """
    check_explorer(explorer)
    blocks = Blocks()
    index = json.dumps(_index(explorer, blocks), separators=(",", ":"))
    # No text of the data can end the element that it is in.
    index = index.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    data = "\n".join(
        f'<script type="text/plain" data-block="{name}">{text}</script>' for name, text in blocks.encoded.items()
    )
    return Markup(
        f"<style>\n{bundle('explorer.css')}</style>\n"
        '<div id="explorer"><noscript><p class="quiet">Every example, to search, sort and select: this part of the '
        "page needs JavaScript. Tables and figures show the same numbers.</p></noscript></div>\n"
        f'<script type="application/json" id="explorer-index">{index}</script>\n'
        f"{data}\n<script>{bundle('explorer.js')}</script>"
    )


def _index(explorer: Explorer, blocks: Blocks) -> dict[str, Any]:
    """What the script reads first; the arrays go into blocks, those of the first map foremost."""
    colors = category_colors(explorer.categories)
    named = {
        "n": len(explorer.example_ids),
        "label_names": explorer.label_names,
        "categories": [{"name": name, "color": f"var({color_property(color.line)})"} for name, color in colors.items()],
        "category": CATEGORY if explorer.categories else None,
        "x": explorer.x or None,
        "y": explorer.y or None,
        "ids": blocks.texts(explorer.example_ids, exact=True),
        "items": [_column(column, blocks) for column in explorer.items],
        "label_counts": None if explorer.label_counts is None else blocks.whole(explorer.label_counts),
        "gold": None if explorer.gold is None else blocks.whole(np.where(explorer.gold < 0, np.nan, explorer.gold)),
        "votes": None if explorer.votes is None else _votes(explorer.votes, len(explorer.example_ids), blocks),
        "runs": [_run(run, blocks) for run in explorer.runs],
        "notes": explorer.notes,
    }
    shown: dict[str, Any] = _visible(named)
    return shown


def _visible(value: Any) -> Any:
    """The same with every text of it written so that nothing acts."""
    if isinstance(value, Mapping):
        return {key: _visible(own) for key, own in value.items()}
    if isinstance(value, str):
        return visible(value)
    return [_visible(own) for own in value] if isinstance(value, Sequence) else value


def _column(column: Column, blocks: Blocks) -> dict[str, Any]:
    described = {
        "name": column.name,
        "heading": column.heading,
        "unit": column.unit,
        "sentence": column.sentence,
        "kind": column.kind,
    }
    if column.kind == "text":
        return {**described, **blocks.texts(list(column.values))}
    if column.kind == "category":
        return {**described, **_levels(column, blocks)}
    values = np.asarray(column.values)
    if column.kind == "number":
        return {**described, **blocks.numbers(values), "digits": _digits(values, column.unit)}
    return {**described, **(blocks.flags(values) if column.kind == "flag" else blocks.whole(values))}


def _levels(column: Column, blocks: Blocks) -> dict[str, Any]:
    values = [None if value is None else str(value) for value in column.values]
    levels = dict.fromkeys([*column.levels, *(value for value in values if value is not None)])
    places = {level: place for place, level in enumerate(levels)}
    codes = np.array([np.nan if value is None else places[value] for value in values])
    return {"levels": list(levels), **blocks.whole(codes)}


def _digits(values: Any, unit: str) -> int:
    """Decimals that show a column's numbers: those of tables for nats, else three significant ones of the largest."""
    if unit == "nats":
        return _NATS_DIGITS
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max(initial=0.0))
    return min(max(2 - math.floor(math.log10(largest)), 0), _MOST_DIGITS) if largest else 0


def _votes(votes: Votes, n_items: int, blocks: Blocks) -> dict[str, Any]:
    """The votes item by item: those of item i from the i-th offset up to the next one."""
    order = np.argsort(votes.items, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(votes.items, minlength=n_items))])
    annotators = np.where(votes.annotators < 0, np.nan, votes.annotators)
    return {
        "annotator_ids": votes.annotator_ids,
        "offsets": blocks.whole(offsets),
        "annotators": blocks.whole(annotators[order]),
        "labels": blocks.whole(votes.labels[order]),
    }


def _run(run: ExplorerRun, blocks: Blocks) -> dict[str, Any]:
    return {
        "name": run.name,
        "steps": run.steps.tolist(),
        "step_unit": run.step_unit,
        "columns": [_column(column, blocks) for column in run.columns],
        "curves": [_curve(curve, blocks) for curve in run.curves],
        "probabilities": None if run.probabilities is None else blocks.probabilities(run.probabilities),
    }


def _curve(curve: Curve, blocks: Blocks) -> dict[str, Any]:
    described = {"name": curve.name, "heading": curve.heading, "unit": curve.unit, "sentence": curve.sentence}
    values = blocks.probabilities(curve.values) if curve.is_probability else blocks.curve(curve.values)
    return {**described, **values}
