"""What ``contested entropy`` shows of single votes: annotators one by one, and labels estimated from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contested.formats import COUNT, MISSING, NATS, SHARE

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from contested.annotations import Annotations
    from contested.annotations.aggregation import Aggregated

_SEED = 0  # of the starts of mace: the same file gives the same labels
_COLUMNS = {
    "n_votes": ("votes", COUNT),
    "agreement": ("agreement", SHARE),
    "agreement_kappa": ("kappa", "{:.3f}".format),
    "label_entropy_nats": ("own H", NATS),
    "entropy_change_nats": ("H without", "{:+.4f}".format),
    "alpha_change": ("alpha without", "{:+.4f}".format),
    "reliability": ("reliability", SHARE),
}


@dataclass(frozen=True)
class VotesLookedAt:
    """What was asked for of the votes.

    Attributes:
        annotators: One row per annotator; None where not asked for.
        estimate: Labels estimated; None where not asked for.
        items: Columns of the table of items.
        changed: How many items have another estimated label than most votes.
        notes: Whole sentences.
    """

    annotators: pd.DataFrame | None
    estimate: Aggregated | None
    items: dict[str, NDArray[Any]]
    changed: int
    notes: tuple[str, ...]

    def tables(self) -> Iterator[Table]:
        """Yield what is printed."""
        from rich.table import Table
        from rich.text import Text

        if self.annotators is None:
            return
        columns = [name for name in _COLUMNS if name in self.annotators]
        table = Table("annotator", box=None)
        for name in columns:
            table.add_column(_COLUMNS[name][0], justify="right")
        for who, *row in zip(self.annotators["annotator"], *(self.annotators[name] for name in columns), strict=True):
            shown = [
                MISSING if value != value else _COLUMNS[name][1](value)
                for name, value in zip(columns, row, strict=True)
            ]
            table.add_row(Text(str(who)), *shown)
        yield table

    def to_json(self) -> dict[str, object]:
        """Return plain values for JSON: undefined numbers are null."""
        found: dict[str, object] = {}
        if self.annotators is not None:
            rows = self.annotators.to_dict("records")
            found["annotators_table"] = [
                {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
                for row in rows
            ]
        if self.estimate is not None:
            found["aggregate"] = {"method": self.estimate.method, "items_changed": self.changed}
        return found


def look_at_votes(data: Annotations, *, annotators: bool, aggregate: str | None) -> VotesLookedAt:
    """Work out what is asked for of the votes.

    Args:
        data: The annotations.
        annotators: Whether annotators are shown one by one; an estimate shows them, too.
        aggregate: How labels are estimated; None where they are not.

    Returns:
        What to show.

    Raises:
        ConfigError: If the method is unknown, or crowd-kit is not installed.
        DataError: If it is not known who gave which label.
    """
    if not (annotators or aggregate):
        return VotesLookedAt(None, None, {}, 0, ())
    table, notes = data.annotator_table(), data.annotator_notes()
    if aggregate is None:
        return VotesLookedAt(table, None, {}, 0, notes)
    found = data.aggregate(aggregate, np.random.default_rng(_SEED))
    reliability = dict(zip(data.votes.annotator_ids if data.votes else (), found.reliability.tolist(), strict=True))
    table["reliability"] = [reliability[name] for name in table["annotator"]]
    labels = found.labels
    changed = int((data.label_counts[np.arange(data.n_items), labels] < data.label_counts.max(axis=1)).sum())
    items: dict[str, NDArray[Any]] = {
        "estimated_label": np.array(data.label_names, dtype=object)[labels],
        "estimated_probability": found.probabilities.max(axis=1),
    }
    said = (
        f"Of {data.n_items:,} items, {changed:,} have another label by {found.method} than most of their votes; "
        "--out writes the estimated labels. An estimate takes it that each item has one true label."
    )
    return VotesLookedAt(table, found, items, changed, (*notes, said))
