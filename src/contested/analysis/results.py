"""The statistics of one run as one object, written out as JSON values and as tables."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.correlation import Correlations
from contested.analysis.curves import Curve, Curves
from contested.analysis.jsonable import jsonable
from contested.analysis.statements import statements
from contested.analysis.unlearning import Changes


class CategorySize(NamedTuple):
    """How many tracked examples a category holds, and how much their annotators disagree (nats)."""

    category: str
    n: int
    share: float
    mean_entropy: float


@dataclass(frozen=True, eq=False)
class Analysis:
    """What happened in one run, as numbers; :meth:`to_dict` and :meth:`tables` write it out.

    Attributes:
        run_id: The run.
        status: "complete", "running", "failed" or "interrupted", as the run's manifest says.
        n_examples: Tracked examples N.
        n_classes: Classes K.
        n_checkpoints: Checkpoints T that were recorded.
        steps: Optimiser step of each checkpoint, shape ``(T,)``.
        epochs: Epoch of each checkpoint, shape ``(T,)``.
        categories: Size of each category, by rising entropy, then "overall".
        unlearning: Change of the loss against the gold label (nats), by category.
        people: Change of KL(human ‖ model) (nats), by category: "falls" is closer to people.
        correlation: Spearman ρ of both AULCs with annotation entropy.
        curves: Loss, accuracy and distance to people over checkpoints, by category.
        examples: One row for each example, in the run's order: AULC, Δℓ, distance to people, learning time (first
            step with a loss below ln K), forgetting events, AUM of logits, cartography (Swayamdipta et al. 2020).
        confidence: Coverage of every interval.
        n_resamples: Bootstrap resamples of every interval.
        notes: What a reader must know before trusting the numbers; empty for a plain complete run.
    """

    run_id: str
    status: str
    n_examples: int
    n_classes: int
    n_checkpoints: int
    steps: NDArray[np.int64]
    epochs: NDArray[np.float64]
    categories: tuple[CategorySize, ...]
    unlearning: Changes
    people: Changes
    correlation: Correlations
    curves: Curves
    examples: pd.DataFrame
    confidence: float
    n_resamples: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the rows of single examples, JSON-safe, with the plain-words statements.

        Returns:
            This class's fields by name, ``examples`` left out and ``statements`` added. A number that
            does not exist is null, and the ``note`` beside it says why.
        """
        found = {f.name: jsonable(getattr(self, f.name)) for f in fields(self) if f.name != "examples"}
        return found | {"statements": statements(self)}

    def tables(self) -> dict[str, pd.DataFrame]:
        """The numbers as tables: one row a category, quantity, checkpoint or example.

        Returns:
            Tables by name: ``categories``, ``unlearning`` and ``people`` (``"overall"`` last),
            ``contrasts``, ``correlation``, ``curves`` (long: one row for each measure, category and
            checkpoint) and ``examples``. Columns are the fields of the results.
        """
        return {
            "categories": pd.DataFrame(self.categories),
            "unlearning": pd.DataFrame([*self.unlearning.rows, self.unlearning.overall]),
            "people": pd.DataFrame([*self.people.rows, self.people.overall]),
            "contrasts": pd.DataFrame(
                {"measure": changes.measure, **changes.contrast._asdict()} for changes in (self.unlearning, self.people)
            ),
            "correlation": pd.DataFrame(self.correlation),
            "curves": _curve_table(self.curves),
            "examples": self.examples,
        }


def _curve_table(curves: Curves) -> pd.DataFrame:
    every: list[Curve] = list(chain.from_iterable(curves[1:]))
    steps = {"step": curves.steps}
    # A frame of scalars and arrays of length T repeats the scalars on every row.
    return pd.concat([pd.DataFrame(steps | curve._asdict()) for curve in every], ignore_index=True)
