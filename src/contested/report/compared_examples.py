"""The examples of a comparison that a reader should see: those of each category on which two models differ most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import softmax

from contested.analysis import Comparison
from contested.formats import CHANGE, NATS
from contested.report.examples import ALL, Shares
from contested.trajectories import Trajectory

KINDS = {"1→0": "turned wrong", "0→1": "turned right", "other": "another wrong answer", "same": "same answer"}
"""What can happen to an answer, in words."""


class ComparedExample(NamedTuple):
    """One example as the page of a comparison shows it; what is not known of it is empty.

    Attributes:
        example_id: Its id in the data.
        kind: What happened to its answer: a key of :data:`KINDS`, or "" where there are no answers.
        size: How far apart the two models are on it (nats).
        texts: Text columns by name.
        gold: Index of the gold label; -1 where it is unknown.
        facts: What else differs, in words.
        answers: What annotators chose, and both models.
        order: What it can be sorted by: name to number, larger ones first.
    """

    example_id: str
    kind: str
    size: float
    texts: tuple[tuple[str, str], ...]
    gold: int
    facts: tuple[str, ...]
    answers: tuple[Shares, ...]
    order: dict[str, float]


class ComparedExamples(NamedTuple):
    """What the page shows of single examples.

    Attributes:
        label_names: Class names, length K.
        by_category: Category to its examples, the largest change first, in order of rising entropy.
        kinds: Kinds of change that occur, with what each is.
        orders: What examples can be sorted by, with what each is.
        statements: The comparison in words, but for what is absent.
    """

    label_names: tuple[str, ...]
    by_category: dict[str, list[ComparedExample]]
    kinds: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, str], ...]
    statements: tuple[str, ...]


_ORDERS = {
    "size": "size of the change",
    "loss": "loss difference, risen first",
    "toward": "towards the annotators",
    "away": "away from the annotators",
    "entropy": "entropy",
}


def compared_examples(found: Comparison, first: Trajectory, second: Trajectory, limit: int) -> ComparedExamples:
    """The examples of each category on which two models differ most, whose answers changed first of all.

    Args:
        found: The comparison.
        first: The first model's run at the compared checkpoint, with the examples of the comparison.
        second: The second's, in the same order.
        limit: Most examples of a category.

    Returns:
        The examples; of all together under :data:`~contested.report.examples.ALL` where there are no categories.
    """
    rows = {str(example): row for row, example in enumerate(first.example_ids)}
    names = found.categories[:-1] or (ALL,)
    table = found.examples
    shown: dict[str, list[ComparedExample]] = {}
    for name in names:
        own = table if name == ALL else table[table["category"] == name]
        chosen = _chosen(own, limit).to_dict("records")
        shown[name] = [_example(found, row, first, second, rows[str(row["example_id"])]) for row in chosen]
    every = [example for examples in shown.values() for example in examples]
    return ComparedExamples(
        label_names=first.label_names,
        by_category=shown,
        kinds=tuple((kind, said) for kind, said in KINDS.items() if any(example.kind == kind for example in every)),
        orders=tuple((name, said) for name, said in _ORDERS.items() if any(name in example.order for example in every)),
        statements=tuple(said for said in found.statements() if said not in found.absent),
    )


def _chosen(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Of each kind of change an equal share of the room, the largest of it; what is left over goes to the largest."""
    if "change" not in table:
        return table.head(limit)
    kinds = [table[table["change"] == kind] for kind in KINDS if (table["change"] == kind).any()]
    share = limit // max(1, len(kinds))
    some = pd.concat([rows.head(share) for rows in kinds]) if kinds else table
    rest = table.drop(index=some.index).head(limit - len(some))
    return pd.concat([some, rest]).sort_values("size", ascending=False, kind="stable")


def _example(
    found: Comparison, row: Mapping[Any, Any], first: Trajectory, second: Trajectory, index: int
) -> ComparedExample:
    order = {"size": float(row["size"])}
    for name, value in (("loss", row.get("loss_difference")), ("entropy", row.get("entropy"))):
        order |= {} if value is None or np.isnan(value) else {name: float(value)}
    if "kl_difference" in row:
        order |= {"toward": -float(row["kl_difference"]), "away": float(row["kl_difference"])}
    return ComparedExample(
        example_id=str(row["example_id"]),
        kind=str(row.get("change", "")),
        size=float(row["size"]),
        texts=tuple((name, str(first.examples[name].iloc[index])) for name in first.text_columns),
        gold=-1 if first.gold is None else int(first.gold[index]),
        facts=tuple(_facts(row)),
        answers=tuple(_answers(found, first, second, index)),
        order=order,
    )


def _facts(row: Mapping[Any, Any]) -> Iterator[str]:
    if not np.isnan(row.get("entropy", np.nan)):
        yield f"H {NATS(row['entropy'])} nats"
    if "loss_difference" in row:
        yield f"loss {NATS(row['loss_first'])} → {NATS(row['loss_second'])}"
    if "kl_difference" in row:
        toward = "closer to" if row["kl_difference"] < 0 else "further from"
        yield f"KL(annotators ‖ model) {CHANGE(row['kl_difference'])}: {toward} the annotators"


def _answers(found: Comparison, first: Trajectory, second: Trajectory, index: int) -> Iterator[Shares]:
    if first.label_counts is not None:
        counts = np.asarray(first.examples["label_counts"].iloc[index], np.float64)
        total = int(counts.sum())
        yield Shares(f"{total:,} annotators", tuple((counts / max(total, 1)).tolist()), human=True)
    for side, run in ((found.first, first), (found.second, second)):
        if run.logits is not None:
            yield Shares(side.name, tuple(softmax(run.logits[0, index].astype(np.float64)).tolist()))
