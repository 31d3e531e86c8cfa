"""Two models compared, as one object: written out as JSON values, tables and sentences."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd

from contested.analysis import comparison_sentences
from contested.analysis.jsonable import jsonable
from contested.analysis.transitions import Transition

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

_NOT_JSON = frozenset({"examples", "states"})

Direction = Literal["higher", "lower", "unclear"]
Family = Literal["checkpoint", "run"]


class Side(NamedTuple):
    """One of the two models.

    Attributes:
        name: What it is called.
        run_id: Its run.
        status: The run's status.
        step: Step (or epoch) of its checkpoint.
        step_unit: What ``step`` counts: "step", "epoch", or "checkpoint" where a run's steps are unknown.
        n_tracked: Examples that its run tracks.
    """

    name: str
    run_id: str
    status: str
    step: int
    step_unit: str
    n_tracked: int

    @property
    def where(self) -> str:
        """Its name with a preposition: "at step 300", or "with roberta-r4"."""
        return f"{'at' if self.name == f'{self.step_unit} {self.step:,}' else 'with'} {self.name}"


class Difference(NamedTuple):
    """A measure in both models, over the examples of one category (or ``"overall"``).

    Attributes:
        family: ``checkpoint`` for what the compared checkpoints decide, ``run`` for what the whole runs do; p-values
            are adjusted within it.
        measure: The measure: its name in :data:`~contested.analysis.measures.MEASURES`, without ``_last``.
        unit: Its unit.
        category: The category, or ``"overall"``.
        n: Examples that have a value in both.
        n_skipped: Examples that have none in one of them.
        n_changed: Examples whose two values differ at all.
        n_higher: Examples whose value is higher in the second.
        first: Mean in the first model (a share where the measure is yes or no).
        second: Mean in the second.
        difference: Second minus first.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p_value: Two-sided, of the paired test of no difference.
        q_value: The p-value adjusted for all tests of its family.
        direction: "higher" in the second, "lower", or "unclear" where q is above one minus the confidence.
        note: Why a number is missing; empty otherwise.
    """

    family: Family
    measure: str
    unit: str
    category: str
    n: int
    n_skipped: int
    n_changed: int
    n_higher: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    q_value: float
    direction: Direction
    note: str


class Distance(NamedTuple):
    """How far apart two models are on the examples of one category (or ``"overall"``).

    Attributes:
        category: The category, or ``"overall"``.
        n: Examples in it.
        changed: Examples whose answer, the class of the highest logit, is another one.
        changed_share: ``changed / n``.
        changed_low: Lower end of its interval.
        changed_high: Upper end of its interval.
        kl: Mean KL(first ‖ second) of the models' probabilities (nats).
        kl_low: Lower end of its interval.
        kl_high: Upper end of its interval.
        js: Mean Jensen–Shannon divergence of the models' probabilities (nats).
        js_low: Lower end of its interval.
        js_high: Upper end of its interval.
        toward_share: Share of examples on which the second is closer to the annotators, by KL(annotators ‖ model);
            NaN without annotators.
        toward_low: Lower end of its interval.
        toward_high: Upper end of its interval.
        note: Why a number is missing; empty otherwise.
    """

    category: str
    n: int
    changed: int
    changed_share: float
    changed_low: float
    changed_high: float
    kl: float
    kl_low: float
    kl_high: float
    js: float
    js_low: float
    js_high: float
    toward_share: float
    toward_low: float
    toward_high: float
    note: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two models on the examples that both track.

    Attributes:
        first: The model that is subtracted.
        second: The model that it is subtracted from.
        n_examples: Shared examples N.
        n_classes: Classes K; 0 where they are unknown.
        clusters: What makes clusters of examples: a column, "shared texts", or empty where each stands for itself.
        n_clusters: Independent clusters of examples.
        categories: Categories by rising entropy, "overall" last.
        transitions: Answers right and wrong in both, by category; empty without logits or gold labels.
        distances: How far apart the two are, by category; empty without logits.
        differences: Every measure that both have, by category.
        examples: One row per example, the largest change first: id, category, answers, ``change`` and every measure.
        states: Both models' runs at the compared checkpoints, on the shared examples in the order of their ids.
        confidence: Coverage of every interval; tests count at one minus this.
        n_resamples: Bootstrap resamples of every interval.
        n_flips: Random signs of every test that is not counted out.
        notes: What was left out, or taken from one of the two.
        absent: What could not be compared and why.
    """

    first: Side
    second: Side
    n_examples: int
    n_classes: int
    clusters: str
    n_clusters: int
    categories: tuple[str, ...]
    transitions: tuple[Transition, ...]
    distances: tuple[Distance, ...]
    differences: tuple[Difference, ...]
    examples: pd.DataFrame
    states: tuple[Trajectory, Trajectory]
    confidence: float
    n_resamples: int
    n_flips: int
    notes: tuple[str, ...]
    absent: tuple[str, ...]

    def difference(self, measure: str, category: str) -> Difference | None:
        """The difference of a measure at the checkpoints, on a category; None where it was not compared."""
        found = (row for row in self.differences if row.family == "checkpoint")
        return next((row for row in found if (row.measure, row.category) == (measure, category)), None)

    def headline(self) -> str:
        """What differs on the examples of most disagreement, in one sentence without intervals."""
        return comparison_sentences.headline(self)

    def statements(self) -> list[str]:
        """What differs and how sure that is, in words; the categories of most disagreement first."""
        return comparison_sentences.statements(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything but single examples, JSON-safe, with the statements.

        Returns:
            This class's fields by name, ``examples`` and ``states`` left out and ``statements`` added; what does
            not exist is null.
        """
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NOT_JSON}
        return {name: jsonable(value) for name, value in found.items()} | {"statements": self.statements()}

    def tables(self) -> dict[str, pd.DataFrame]:
        """The numbers as tables: as far as there are, ``transitions``, ``distances``, ``differences``, ``examples``."""
        by_category = {
            "transitions": self.transitions,
            "distances": self.distances,
            "differences": self.differences,
        }
        return {name: pd.DataFrame(rows) for name, rows in by_category.items() if rows} | {"examples": self.examples}
