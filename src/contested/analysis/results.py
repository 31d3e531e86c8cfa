"""The statistics of one run as one object, written out as JSON values, tables and sentences."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis import sentences
from contested.analysis.checks import OVERALL
from contested.analysis.correlation import Correlations
from contested.analysis.curves import Curve, Curves
from contested.analysis.decomposition import parts_sentences
from contested.analysis.excess import excess_sentences, excess_table
from contested.analysis.few_annotators import FewAnnotators
from contested.analysis.first_loss import first_loss_sentence
from contested.analysis.jsonable import jsonable
from contested.analysis.splits import SplitContrast, split_sentences
from contested.analysis.unlearning import Changes
from contested.analysis.watch_run import Watch
from contested.formats import NATS, percent


class CategorySize(NamedTuple):
    """How many tracked examples a category holds, and how much their annotators disagree.

    Attributes:
        category: The category, or ``"overall"``.
        n: Examples in it.
        share: Share of all examples.
        mean_entropy: Mean annotation entropy (nats).
        note: Why there is no entropy; empty otherwise.
    """

    category: str
    n: int
    share: float
    mean_entropy: float
    note: str


@dataclass(frozen=True, eq=False)
class Analysis:
    """What happened in one run, as numbers; :meth:`to_dict` and :meth:`tables` write it out.

    Attributes:
        run_id: The run.
        status: "complete", "running", "failed" or "interrupted", as the run's manifest says.
        n_examples: Tracked examples N.
        n_classes: Classes K; 0 where they are unknown.
        n_checkpoints: Checkpoints T that were recorded.
        steps: Optimiser step (or epoch) of each checkpoint, shape ``(T,)``.
        step_unit: What ``steps`` counts: "step", "epoch", or "checkpoint" where a run's steps are unknown.
        epochs: Epoch of each checkpoint, shape ``(T,)``; None where unknown.
        categories: Size of each category, by rising entropy, then "overall".
        unlearning: Change of the loss against the gold label (nats), by category; None without losses.
        kl: Change of KL(annotators ‖ model) (nats), by category: "falls" is closer to the annotators. None without
            logits or annotators.
        decomposition: The change of the loss taken apart: towards the annotators or away from them, and with the
            majority of other annotators as gold label. One row per category; None without logits, gold labels,
            annotators or a second checkpoint.
        first_loss: Lines of the change of the loss on the first loss, one a category, and how far categories lie apart
            at the same first loss: what is left without regression to the mean. None without losses or a second
            checkpoint.
        alert: What the alert said of each category, and its surest rise; None without losses, or where an incomplete
            run does not say how many steps are planned.
        correlation: Spearman ρ of both AULCs, and of confidence and variability, with annotation entropy; None
            without losses or annotators.
        annotators: ρ, categories and Δℓ as fewer of the annotators would have shown them, and corrected for there being
            few; None without losses, annotators, a second checkpoint or categories that are bands of their entropy.
        regions: How many examples of each category lie in each region of the data map, one row per category and
            region; None without categories, logits, gold labels or a second checkpoint.
        curves: Loss, accuracy and distance to the annotators over checkpoints, by category.
        measures: Every measure of :data:`~contested.analysis.measures.MEASURES` that the run has, by category, with
            intervals: one row per measure and category.
        examples: One row for each example, in the run's order: id, category, entropy, gold label and every measure.
        clusters: What examples share whose clusters are resampled: a column, "shared texts", or empty where each
            stands for itself.
        n_clusters: Clusters of examples; N where each stands for itself.
        confidence: Coverage of every interval.
        n_resamples: Bootstrap resamples of every interval.
        notes: What a reader must know before trusting the numbers; empty for a plain complete run.
        absent: What could not be computed and why, one sentence for each thing that the run lacks.
        validation: The same of the validation examples that the run tracks beside those that it trains on, without
            ``alert``; None where it tracks one kind alone.
        splits: Means over training examples compared with those over validation examples; empty likewise.
    """

    run_id: str
    status: str
    n_examples: int
    n_classes: int
    n_checkpoints: int
    steps: NDArray[np.int64]
    step_unit: str
    epochs: NDArray[np.float64] | None
    categories: tuple[CategorySize, ...]
    unlearning: Changes | None
    kl: Changes | None
    decomposition: pd.DataFrame | None
    first_loss: pd.DataFrame | None
    alert: Watch | None
    correlation: Correlations | None
    annotators: FewAnnotators | None
    regions: pd.DataFrame | None
    curves: Curves
    measures: pd.DataFrame
    examples: pd.DataFrame
    clusters: str
    n_clusters: int
    confidence: float
    n_resamples: int
    notes: tuple[str, ...]
    absent: tuple[str, ...]
    validation: Analysis | None = None
    splits: tuple[SplitContrast, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything but the rows of single examples, JSON-safe, with the plain-words statements.

        Returns:
            This class's fields by name, ``examples`` left out and ``statements`` added; ``measures`` is a list of
            rows. A number that does not exist is null, and the ``note`` beside it says why; what could not be
            computed at all is null, and ``absent`` says why.
        """
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "examples"}
        found["measures"] = self.measures.to_dict("records")
        apart = found.pop("validation")
        for name in ("regions", "decomposition", "first_loss"):
            found[name] = None if found[name] is None else found[name].to_dict("records")
        return {name: jsonable(value) for name, value in found.items()} | {
            **({} if apart is None else {"validation": apart.to_dict()}),
            "statements": statements(self),
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """The numbers as tables: one row per category, quantity, checkpoint or example.

        Returns:
            Tables by name, as far as the run has what they need: ``categories``, ``unlearning`` and ``kl``
            (``"overall"`` last), ``contrasts``, ``alerts``, ``alert_looks``, ``correlation``, ``regions``,
            ``decomposition``, ``first_loss`` and ``excess_loss`` (one row per category), ``measures``, ``splits``,
            ``curves`` (long: a row for each measure, category and checkpoint) and ``examples``. Columns are the fields
            of the results.
        """
        changes = {"unlearning": self.unlearning, "kl": self.kl}
        known = {name: found for name, found in changes.items() if found is not None}
        contrasts = [
            {"measure": found.measure, **found.contrast._asdict()} for found in known.values() if found.contrast
        ]
        return {
            "categories": pd.DataFrame(self.categories),
            **{name: pd.DataFrame(found.every) for name, found in known.items()},
            **({"contrasts": pd.DataFrame(contrasts)} if contrasts else {}),
            **({} if self.decomposition is None else {"decomposition": self.decomposition}),
            **({} if self.first_loss is None else {"first_loss": self.first_loss}),
            **({} if self.alert is None else self.alert.tables()),
            **({} if self.correlation is None else {"correlation": pd.DataFrame([*filter(None, self.correlation)])}),
            **({} if self.annotators is None else self.annotators.tables()),
            **({} if self.regions is None else {"regions": _region_table(self.regions)}),
            "measures": self.measures,
            **({"splits": pd.DataFrame(self.splits)} if self.splits else {}),
            **({} if (excess := excess_table(self.measures)) is None else {"excess_loss": excess}),
            **({"curves": _curve_table(self.curves)} if any(self.curves[1:]) else {}),
            "examples": self.examples,
        }


def statements(analysis: Analysis) -> list[str]:
    """Say what a run did to its examples and how sure that is, for readers who skip the tables.

    Intervals are over examples of this one run; the first sentence says "in this run", for another seed
    may differ.

    Args:
        analysis: The statistics of one run.

    Returns:
        Sentences, those of :func:`statements_by_topic` in its order, then what could not be computed. The first
        stands for the whole run: the loss of the examples with most disagreement, and whether the model came closer
        to the annotators on them; of all examples where they have no categories.
    """
    return [*chain.from_iterable(statements_by_topic(analysis).values()), *analysis.absent]


def statements_by_topic(analysis: Analysis) -> dict[str, list[str]]:
    """The sentences on a run, in the order in which a reader asks.

    Args:
        analysis: The statistics of one run.

    Returns:
        ``happened``: the loss by category, highest against lowest category, training against validation examples and
        the alert. ``annotators``: what the change is made of, categories at the same first loss, and the loss beside
        the annotators' own. ``disagreement``: correlations with entropy. ``sure``: the number of annotators and the
        analysis's notes.
    """
    interval = f"{percent(analysis.confidence)} interval"
    correlation = analysis.correlation
    changes = sentences.of_changes(analysis.unlearning, analysis.kl, scope=_scope(analysis), interval=interval)
    return {
        "happened": [
            *(changes if analysis.n_checkpoints > 1 else [_standing(analysis)]),
            *split_sentences(analysis.splits, interval),
            *(analysis.alert.sentences(analysis.step_unit) if analysis.alert else []),
        ],
        "annotators": [
            *parts_sentences(analysis.decomposition, interval),
            *([said] if (said := first_loss_sentence(analysis.first_loss, interval)) else []),
            *excess_sentences(analysis.measures, interval),
        ],
        "disagreement": [
            *([sentences.of_correlations(correlation, interval)] if correlation else []),
            *([sentences.of_data_map(correlation, interval)] if correlation and correlation.confidence else []),
        ],
        "sure": [
            *([said] if analysis.annotators and (said := analysis.annotators.sentence()) else []),
            *analysis.notes,
        ],
    }


def _standing(analysis: Analysis) -> str:
    """Where a run of one checkpoint stands; how it came there is unknown."""
    overall = analysis.measures[analysis.measures["category"] == OVERALL].set_index("measure")["mean"]
    parts = []
    if "loss_last" in overall:
        parts.append(f"the mean loss is {NATS(overall['loss_last'])} nats")
    if "correct_last" in overall:
        parts.append(f"{percent(overall['correct_last'])} of the examples are answered as their gold label says")
    told = f": {' and '.join(parts)}" if parts else ""
    return f"{_scope(analysis)}, one checkpoint was recorded{told}."


def _scope(analysis: Analysis) -> str:
    steps = f"{analysis.step_unit}s {analysis.steps[0]:,} to {analysis.steps[-1]:,}"
    if analysis.n_checkpoints == 1:
        steps = f"{analysis.step_unit} {analysis.steps[0]:,}"
    if analysis.status == "complete":
        return f"In this run ({steps})"
    return f"In this incomplete run (status: {analysis.status}, {steps})"


def _region_table(regions: pd.DataFrame) -> pd.DataFrame:
    """One row per category: its examples in each region, and their shares."""
    rows = []
    for category, own in regions.groupby("category", sort=False):
        counts = dict(zip(own["region"], own["n"], strict=True))
        shares = {f"{region}_share": share for region, share in zip(own["region"], own["share"], strict=True)}
        rows.append({"category": category, "n": int(own["n"].sum()), **counts, **shares, "note": own["note"].iloc[0]})
    return pd.DataFrame(rows)


def _curve_table(curves: Curves) -> pd.DataFrame:
    every: list[Curve] = list(chain.from_iterable(curves[1:]))
    steps = {"step": curves.steps}
    # A frame of scalars and arrays of length T repeats the scalars on every row.
    return pd.concat([pd.DataFrame(steps | curve._asdict()) for curve in every], ignore_index=True)
