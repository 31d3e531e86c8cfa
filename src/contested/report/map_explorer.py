"""The items of a map for the page's explorer: every fact, every field of the file, and the votes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from contested.analysis.items import FACTS, ItemMap
from contested.annotations import UNKNOWN
from contested.report.explorer import Column, Explorer
from contested.report.explorer.facts import facts, texts_or_none
from contested.report.explorer.payload import MOST_ITEMS


def explorer_of(found: ItemMap, texts: Sequence[str]) -> Explorer | None:
    """Return what the explorer shows of a map: H across at first, and up whether disagreement is genuine.

    Args:
        found: The map.
        texts: Columns of the file that are texts.

    Returns:
        The explorer, with how sure the category is up the map where annotators are not known; None where there are more
        items than a browser maps without delay.
    """
    data = found.known.annotations
    if data.n_items > MOST_ITEMS:
        return None
    own = list(_facts(found))
    fields = list(facts(data.fields, texts, (), {column.name for column in own}))
    return Explorer(
        example_ids=data.example_ids,
        items=[*fields[: len(texts)], *own, *fields[len(texts) :]],
        label_names=data.label_names,
        label_counts=data.label_counts,
        votes=data.votes if found.known.slips is not None else None,
        categories=found.known.cut.bands.names,
        x="entropy_nats",
        y="category_probability" if found.known.slips is None else "genuine_disagreement",
        notes=found.notes,
    )


def _facts(found: ItemMap) -> Iterator[Column]:
    for fact in FACTS:
        for name, heading in fact.names(found.known).items():
            values = found.items[name]
            if fact.kind in ("category", "text"):  # classes and categories
                words = texts_or_none(values)
                named = (*found.known.cut.bands.names, UNKNOWN) if fact.kind == "category" else ()
                levels = tuple(name for name in named if name != UNKNOWN or name in words)
                yield Column(name, heading, fact.unit, fact.sentence, "category", words, levels)
            else:
                yield Column(name, heading, fact.unit, fact.sentence, fact.kind, values.to_numpy())
