"""The per-example quantities: one list, which tables, results.json, examples.csv, studies and pages all read.

To add one, add an entry to :data:`MEASURES`: what it is called and needs, and how it follows from a block of examples;
then ``make docs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from contested.analysis.block import Block, Source
from contested.analysis.calibration import max_confidence, prediction_entropy
from contested.analysis.cartography import regions
from contested.analysis.divergence import js_divergence, kl_divergence, soft_cross_entropy
from contested.analysis.dynamics import (
    aulc,
    aulc_trapezoid,
    aum,
    forgetting_events,
    learning_time,
    loss_change,
    never_learned,
    probability_margin,
)
from contested.analysis.excess import annotators_loss
from contested.analysis.run_examples import RunExamples, known_of

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

Need = Literal["losses", "logits", "classes", "gold", "annotators", "gradients", "baseline", "course", "bands"]
"""What a run may lack, as :attr:`Trajectory.has` names it; a ``course`` are two checkpoints or more, ``bands``
categories that are bands of the entropy of annotators' labels."""

Columns = Mapping[str, NDArray[Any]]
"""Values of all N examples by the measure's name."""


@dataclass(frozen=True)
class Measure:
    """A quantity that every example has, declared once.

    Attributes:
        name: Its column in examples.csv, its key in results.json. It ends in ``_last`` where the last checkpoint alone
            decides it: these are what ``contested compare`` compares at any checkpoints.
        heading: Its heading in tables.
        unit: ``nats``, ``share``, ``events``, ``steps`` (epochs where the run counts those), or empty.
        needs: What a run must have; without it the measure is absent.
        sentence: What it is, for legends and documents.
        summary: How a category's examples are summarised: their ``mean`` with a bootstrap interval, the ``share``
            of true ones with Wilson's, or ``none`` for what is not a number. Examples without a value are left out.
        of_block: Values of a block's n examples, shape (n,).
        of_columns: Values of all N examples from measures listed before it, instead of ``of_block``.
        of_one: Its heading where each example has its own value; ``heading`` without it.
    """

    name: str
    heading: str
    unit: str
    needs: tuple[Need, ...]
    sentence: str
    summary: Literal["mean", "share", "none"] = "mean"
    of_block: Callable[[Block], NDArray[Any]] | None = None
    of_columns: Callable[[Columns], NDArray[Any]] | None = None
    of_one: str = ""


def _learned_at(block: Block, never: float) -> NDArray[np.float64]:
    """The learning time of each example, shape (n,), and a number for those that never get there."""
    steps = learning_time(block.losses, block.steps, float(np.log(block.n_classes)))
    return np.where(np.isinf(steps), never, steps)


MEASURES: tuple[Measure, ...] = (
    Measure(
        name="aulc",
        heading="AULC",
        unit="nats",
        needs=("losses", "course"),
        sentence="Mean loss over the checkpoints: low where an example is learned early.",
        of_block=lambda block: aulc(block.losses),
    ),
    Measure(
        name="aulc_trapezoid",
        heading="AULC by steps",
        unit="nats",
        needs=("losses", "course"),
        sentence="Mean loss over the steps, by the trapezoid rule: checkpoints that lie close together count less.",
        of_block=lambda block: aulc_trapezoid(block.losses, block.steps),
    ),
    Measure(
        name="loss_first",
        heading="first loss",
        unit="nats",
        needs=("losses", "course"),
        sentence="Loss at the first checkpoint.",
        of_block=lambda block: block.losses[0],
    ),
    Measure(
        name="loss_last",
        heading="last loss",
        unit="nats",
        needs=("losses",),
        sentence="Loss at the last checkpoint.",
        of_block=lambda block: block.losses[-1],
    ),
    Measure(
        name="loss_change",
        heading="Δℓ",
        unit="nats",
        needs=("losses", "course"),
        sentence="Loss at the last checkpoint minus that at the first: above 0 the example was un-learned.",
        of_block=lambda block: loss_change(block.losses),
    ),
    Measure(
        name="loss_change_baseline",
        heading="Δℓ from the untouched model",
        unit="nats",
        needs=("losses", "baseline"),
        sentence="Loss at the last checkpoint minus that of the model without its adapters, where a run recorded it.",
        of_block=lambda block: block.losses[-1] - block.baseline_losses,
    ),
    Measure(
        name="rose",
        heading="rose",
        unit="share",
        needs=("losses", "course"),
        summary="share",
        sentence="Whether the loss is higher at the last checkpoint than at the first.",
        of_columns=lambda columns: columns["loss_change"] > 0,
    ),
    Measure(
        name="kl_first",
        heading="first KL",
        unit="nats",
        needs=("logits", "annotators", "course"),
        sentence="KL(annotators ‖ model) at the first checkpoint: 0 where the model answers as the annotators do.",
        of_block=lambda block: kl_divergence(block.logits[:1], block.distributions)[0],
    ),
    Measure(
        name="kl_last",
        heading="last KL",
        unit="nats",
        needs=("logits", "annotators"),
        sentence="KL(annotators ‖ model) at the last checkpoint.",
        of_block=lambda block: kl_divergence(block.logits[-1:], block.distributions)[0],
    ),
    Measure(
        name="kl_change",
        heading="ΔKL",
        unit="nats",
        needs=("logits", "annotators", "course"),
        sentence="KL(annotators ‖ model) at the last checkpoint minus that at the first: below 0 the model moved "
        "closer to the annotators. The cross-entropy under their labels changes by the same amount.",
        of_columns=lambda columns: columns["kl_last"] - columns["kl_first"],
    ),
    Measure(
        name="soft_cross_entropy_last",
        heading="last soft cross-entropy",
        unit="nats",
        needs=("logits", "annotators"),
        sentence="Cross-entropy under the annotators' labels at the last checkpoint: KL plus their own entropy.",
        of_block=lambda block: soft_cross_entropy(block.logits[-1:], block.distributions)[0],
    ),
    Measure(
        name="js_last",
        heading="last JS divergence",
        unit="nats",
        needs=("logits", "annotators"),
        sentence="Jensen–Shannon divergence of annotators and model at the last checkpoint: bounded, unlike KL.",
        of_block=lambda block: js_divergence(block.logits[-1:], block.distributions)[0],
    ),
    Measure(
        name="learning_time",
        heading="learning time",
        unit="steps",
        needs=("losses", "classes", "course"),
        sentence="First recorded step with a loss below that of a guess, ln K; an example that never gets there has "
        "none and is left out of means, which are so too early: compare the restricted one.",
        of_block=lambda block: _learned_at(block, np.nan),
    ),
    Measure(
        name="learning_time_restricted",
        heading="restricted learning time",
        unit="steps",
        needs=("losses", "classes", "course"),
        sentence="Learning time, and the last step for an example that never gets there: its mean is the restricted "
        "mean of survival analysis and leaves no example out.",
        of_block=lambda block: _learned_at(block, float(block.steps[-1])),
    ),
    Measure(
        name="never_learned",
        heading="never learned",
        unit="share",
        needs=("logits", "gold", "course"),
        summary="share",
        sentence="Whether the gold label has the highest logit at no checkpoint.",
        of_block=lambda block: never_learned(block.correct),
    ),
    Measure(
        name="forgetting_events",
        heading="forgetting events",
        unit="events",
        needs=("logits", "gold", "course"),
        sentence="How often the example goes from right to wrong between one checkpoint and the next.",
        of_block=lambda block: forgetting_events(block.correct),
    ),
    Measure(
        name="aum",
        heading="AUM",
        unit="",
        needs=("logits", "gold", "course"),
        sentence="Area under the margin: mean over the checkpoints of the gold logit minus the largest other one.",
        of_block=lambda block: aum(block.logits, block.gold),
    ),
    Measure(
        name="probability_margin",
        heading="probability margin",
        unit="",
        needs=("logits", "gold", "course"),
        sentence="Area under the margin of probabilities in place of logits, from −1 to 1.",
        of_block=lambda block: probability_margin(block.logits, block.gold),
    ),
    Measure(
        name="confidence",
        heading="confidence",
        unit="",
        needs=("logits", "gold", "course"),
        sentence="Mean over the checkpoints of the gold label's probability (dataset cartography).",
        of_block=lambda block: block.cartography.confidence,
    ),
    Measure(
        name="variability",
        heading="variability",
        unit="",
        needs=("logits", "gold", "course"),
        sentence="Standard deviation over the checkpoints of the gold label's probability.",
        of_block=lambda block: block.cartography.variability,
    ),
    Measure(
        name="correctness",
        heading="correctness",
        unit="",
        needs=("logits", "gold", "course"),
        sentence="Share of the checkpoints at which the gold label has the highest logit.",
        of_block=lambda block: block.cartography.correctness,
    ),
    Measure(
        name="region",
        heading="region",
        unit="",
        needs=("logits", "gold", "course"),
        summary="none",
        sentence="Region of the data map: ambiguous above the median variability, else easy or hard to either side of "
        "the median confidence.",
        of_columns=lambda columns: regions(columns["confidence"], columns["variability"]),
    ),
    Measure(
        name="prediction_entropy_last",
        heading="last prediction entropy",
        unit="nats",
        needs=("logits",),
        sentence="Entropy of the model's probabilities at the last checkpoint.",
        of_block=lambda block: prediction_entropy(block.logits[-1]),
    ),
    Measure(
        name="prediction_last",
        heading="last prediction",
        unit="",
        needs=("logits",),
        summary="none",
        sentence="The class of the highest logit at the last checkpoint.",
        of_block=lambda block: np.array(block.label_names, dtype=object)[block.logits[-1].argmax(axis=1)],
    ),
    Measure(
        name="correct_last",
        heading="last accuracy",
        of_one="right at the end",
        unit="share",
        needs=("logits", "gold"),
        summary="share",
        sentence="Whether the gold label has the highest logit at the last checkpoint.",
        of_block=lambda block: block.correct[-1],
    ),
    Measure(
        name="max_confidence_last",
        heading="last highest probability",
        unit="",
        needs=("logits",),
        sentence="The highest of the model's probabilities at the last checkpoint.",
        of_block=lambda block: max_confidence(block.logits[-1]),
    ),
    Measure(
        name="annotators_loss",
        heading="annotators' loss",
        unit="nats",
        needs=("gold", "annotators"),
        sentence="What a model that answers as the annotators do would lose: −ln of the share of annotators who chose "
        "the gold label. Unknown with one annotation, or where nobody chose it; too low where few annotators also "
        "decide the gold label.",
        of_block=lambda block: annotators_loss(block.label_counts, block.gold),
    ),
    Measure(
        name="excess_loss_first",
        heading="first excess loss",
        unit="nats",
        needs=("losses", "gold", "annotators", "classes", "course"),
        sentence="Loss at the first checkpoint minus the annotators' loss.",
        of_columns=lambda columns: columns["loss_first"] - columns["annotators_loss"],
    ),
    Measure(
        name="excess_loss_last",
        heading="last excess loss",
        unit="nats",
        needs=("losses", "gold", "annotators", "classes"),
        sentence="Loss at the last checkpoint minus the annotators' loss: below 0 the model is surer of the gold label "
        "than the annotators are. Under soft labels the annotators' loss is their entropy and the excess KL.",
        of_columns=lambda columns: columns["loss_last"] - columns["annotators_loss"],
    ),
    Measure(
        name="category_probability",
        heading="probability of its category",
        unit="",
        needs=("annotators", "bands"),
        sentence="Probability, given the annotations, that the distribution they were drawn from has an entropy in the "
        "example's category (Dirichlet posterior).",
        of_block=lambda block: block.category_probability,
    ),
    Measure(
        name="gradient_norm",
        heading="gradient norm",
        unit="",
        needs=("gradients",),
        sentence="Norm of the gradient of the example's loss at the last step at which norms were taken.",
        of_block=lambda block: block.gradient_norms,
    ),
)


def measures_of(trajectory: Trajectory, examples: RunExamples | None = None) -> tuple[Measure, ...]:
    """Choose the measures whose needs a run meets.

    Args:
        trajectory: The run.
        examples: What its examples are, where that is known.

    Returns:
        The measures, in the order of :data:`MEASURES`.
    """
    known = known_of(trajectory, examples)
    return tuple(measure for measure in MEASURES if known.issuperset(measure.needs))


def measure_columns(
    trajectory: Trajectory, source: Source | None = None, measures: Sequence[Measure] | None = None
) -> dict[str, NDArray[Any]]:
    """Every measure of every example, block by block.

    Args:
        trajectory: The run.
        source: Its arrays, where they are needed beside this; they are made without it.
        measures: Which of the measures whose needs the run meets; all of them without it.

    Returns:
        Values of shape (N,) in the run's own order, by name.
    """
    source = source or Source(trajectory)
    measures = measures_of(trajectory, source.examples) if measures is None else measures
    columns: dict[str, NDArray[Any]] = {}
    for rows in source.blocks():
        block = Block(source, rows)
        for measure in measures:
            if measure.of_block is not None:
                values = np.asarray(measure.of_block(block))
                if measure.name not in columns:
                    # Text of any length: an object each, not the width of the first block's longest.
                    dtype = object if values.dtype.kind == "U" else values.dtype
                    columns[measure.name] = np.empty(len(source), dtype)
                columns[measure.name][source.order[rows]] = values
    for measure in measures:
        if measure.of_columns is not None:
            columns[measure.name] = np.asarray(measure.of_columns(columns))
    return {measure.name: columns[measure.name] for measure in measures}
