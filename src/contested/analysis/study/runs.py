"""What the results keep of each run: summaries of every example, measured once, and the first and last logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.absent import absent
from contested.analysis.block import Source
from contested.analysis.clusters import cluster_codes
from contested.analysis.correlation import no_rho, rank_p, too_few_to_test
from contested.analysis.influence import rank_influence
from contested.analysis.intervals import Clusters
from contested.analysis.learned import at_chance, learned_little
from contested.analysis.measures import measure_columns
from contested.analysis.progress import losses_reached
from contested.analysis.ranking import codes, rank_test
from contested.analysis.study.examples import OF_EXAMPLES, SeenExamples
from contested.analysis.watch import ended_by_alert
from contested.errors import RunError
from contested.trajectories.layout import DIGEST

if TYPE_CHECKING:
    from contested.trajectories import Trajectory
    from contested.trajectories.trajectory import Known


@dataclass(frozen=True, eq=False)
class Run:
    """One complete run over its N tracked examples, in the order of their ids; what it lacks is None.

    Attributes:
        run_id: The run.
        example_ids: Shape (N,), as text, sorted.
        label_names: Class names, length K.
        category_names: Categories in order of rising entropy.
        gold: Class index, shape (N,).
        label_counts: How many annotators chose each class, shape (N, K).
        original: Class index of the label that an example was published with, shape (N,); -1 where it has none.
        entropy: Annotation entropy H (nats), shape (N,); NaN with one annotation.
        entropy_miller_madow: H corrected for the number of annotations (nats), shape (N,).
        categories: Shape (N,).
        length: Words of the input text, shape (N,); None where the run has no text.
        covariates: Further columns of the examples, N rows.
        replaced: Whether it trained on another label than its gold one, shape (N,).
        n_trained: Tracked examples that the run trained on.
        steps: Optimiser steps of the checkpoints, shape (T,).
        losses: Loss against the gold label (nats), shape (T, N).
        first_logits: Logits at the first checkpoint, shape (N, K).
        last_logits: At the last one, likewise.
        columns: Every measure of :data:`~contested.analysis.measures.MEASURES` that the run has, shape (N,), by name.
        val_accuracy: Validation accuracy at the last checkpoint that has one; NaN without.
        train_loss: Mean training loss up to the last checkpoint since the one before (nats); NaN without.
        reached: The losses that it had reached by each checkpoint (nats), each of shape (T,), by name.
        gradients: What a gradient probe recorded, or None.
        clusters: The number of each example's cluster, shape (N,); None where each example stands for itself.
        absent: What cannot be computed of it, and why, one sentence each.
        learned_little: Why it learned next to nothing; "" where it learned.
        at_chance: That it did not get above chance, and yet its loss rose; "" otherwise.
        ended_by_alert: Where an alarm ended it; "" where none did.
        rho: ρ(AULC, H), its p over clusters, and why they are missing; NaN without a word where the run lacks
            what they need, as ``absent`` says.
        made_of: The digests of the manifest and of the examples that it was measured from; empty where unknown.
    """

    run_id: str
    example_ids: NDArray[np.str_]
    label_names: tuple[str, ...]
    category_names: tuple[str, ...]
    gold: NDArray[np.int64] | None
    label_counts: NDArray[np.int64] | None
    original: NDArray[np.int64] | None
    entropy: NDArray[np.float64] | None
    entropy_miller_madow: NDArray[np.float64] | None
    categories: NDArray[np.object_] | None
    length: NDArray[np.float64] | None
    covariates: pd.DataFrame
    replaced: NDArray[np.bool_]
    n_trained: int
    steps: NDArray[np.int64]
    losses: NDArray[np.float64] | None
    first_logits: NDArray[np.float64] | None
    last_logits: NDArray[np.float64] | None
    columns: dict[str, NDArray[Any]]
    val_accuracy: float
    train_loss: float
    reached: dict[str, NDArray[np.float64]]
    gradients: RecordedProbe | None
    clusters: NDArray[np.intp] | None
    absent: tuple[str, ...]
    learned_little: str
    at_chance: str
    ended_by_alert: str
    rho: tuple[float, float, str]
    made_of: tuple[str, str]

    @property
    def aulc(self) -> NDArray[np.float64]:
        """Mean loss over checkpoints (nats), shape (N,)."""
        return self.columns["aulc"]

    @property
    def change(self) -> NDArray[np.float64]:
        """Δℓ (nats), shape (N,)."""
        return self.columns["loss_change"]


@dataclass(frozen=True, eq=False)
class CompleteRun(Run):
    """A run that lacks nothing: it has losses, logits, gold labels and annotators."""

    gold: NDArray[np.int64]
    entropy: NDArray[np.float64]
    entropy_miller_madow: NDArray[np.float64]
    categories: NDArray[np.object_]
    losses: NDArray[np.float64]
    last_logits: NDArray[np.float64]

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Which examples are in the category of lowest entropy, shape (N,)."""
        return np.asarray(self.categories == self.category_names[0])

    @property
    def contested(self) -> NDArray[np.bool_]:
        """Which examples are in the category of highest entropy, shape (N,)."""
        return np.asarray(self.categories == self.category_names[-1])


@dataclass(frozen=True, eq=False)
class RecordedProbe:
    """A run's gradient probe, its examples in the order of the run's.

    Attributes:
        step: The last step at which norms were taken, or -1.
        norms: Gradient norm of each example at that step, shape (N,); None where norms were never taken.
        alignment: One row per step and pair of groups.
        head: Whether the classification head is included.
        mode: "eval" or "train".
    """

    step: int
    norms: NDArray[np.float64] | None
    alignment: pd.DataFrame
    head: bool
    mode: str


def measure(run_id: str, trajectory: Trajectory, clusters: str | None = None, seen: SeenExamples | None = None) -> Run:
    """Summarise a run, whatever it lacks.

    Args:
        run_id: What the study calls the run.
        trajectory: A complete run.
        clusters: The column of its examples that says which belong together, or ``"none"``; without it those that
            share a text.
        seen: What is known of the examples of runs before it.

    Returns:
        Its summaries; of the logits the first and the last alone are kept.

    Raises:
        RunError: If the run has fewer than two checkpoints, no tracked example or a duplicated one.
        DataError: If a loss or a logit is not finite, or there is no such column.
    """
    return Run(**_summaries(run_id, trajectory, clusters, seen))


def measure_complete(
    run_id: str, trajectory: Trajectory, clusters: str | None = None, seen: SeenExamples | None = None
) -> CompleteRun:
    """Summarise a run that must lack nothing.

    Args:
        run_id: What the study calls the run.
        trajectory: A complete run.
        clusters: As for :func:`measure`.
        seen: As for :func:`measure`.

    Returns:
        Its summaries.

    Raises:
        RunError: As for :func:`measure`, and if the run lacks losses, logits, gold labels or annotators.
    """
    for name in _ALL:
        trajectory.required(name)
    return CompleteRun(**_summaries(run_id, trajectory, clusters, seen))


_ALL: tuple[Known, ...] = ("losses", "logits", "gold", "label_counts", "entropy", "categories")


def _summaries(run_id: str, trajectory: Trajectory, clusters: str | None, seen: SeenExamples | None) -> dict[str, Any]:
    examples = (seen or SeenExamples()).of(trajectory, clusters)
    reached = losses_reached(trajectory, examples.held_out)
    trajectory = examples.compared(trajectory)
    n_checkpoints, n_examples = len(trajectory.steps), len(trajectory.example_ids)
    if n_checkpoints < 2 or n_examples < 1:
        raise RunError(f"it has {n_checkpoints} checkpoint(s) of {n_examples} example(s), expected at least 2 of 1")
    source = Source(trajectory, examples.facts)
    order, logits = source.order, trajectory.logits
    little = learned_little(trajectory)
    known = examples.summaries
    columns = {name: values[order] for name, values in measure_columns(trajectory, source).items()}
    return {
        "run_id": run_id,
        **known,
        "steps": source.steps,
        "losses": None if trajectory.losses is None else trajectory.losses[:, order],
        "first_logits": None if logits is None else logits[0][order].astype(np.float64),
        "last_logits": None if logits is None else logits[-1][order].astype(np.float64),
        "columns": columns,
        "val_accuracy": _last(trajectory.metrics, "val_accuracy"),
        "train_loss": _last(trajectory.metrics, "train_loss"),
        "reached": reached,
        "gradients": _gradients(trajectory, order),
        "absent": absent(trajectory, source.examples),
        "learned_little": little,
        "at_chance": "" if little else at_chance(trajectory),
        "ended_by_alert": ended_by_alert(trajectory),
        "rho": _rho(columns.get("aulc"), known["entropy"], known["clusters"]),
        "made_of": (trajectory.manifest.get(DIGEST, ""), examples.digest),
    }


_Runs = TypeVar("_Runs", bound=Run)


def with_shared_examples(runs: Mapping[str, _Runs]) -> dict[str, _Runs]:
    """Runs of which those with the same examples hold the same arrays of them, though processes each made their own.

    Args:
        runs: The runs by run id.

    Returns:
        The runs by run id.
    """
    firsts: dict[str, _Runs] = {}
    found = {}
    for run_id, run in runs.items():
        first = firsts.setdefault(run.made_of[1] or run_id, run)
        found[run_id] = run if first is run else replace(run, **{name: getattr(first, name) for name in OF_EXAMPLES})
    return found


def _rho(
    aulc: NDArray[np.float64] | None, entropy: NDArray[np.float64] | None, clusters: Clusters
) -> tuple[float, float, str]:
    if aulc is None or entropy is None:
        return float("nan"), float("nan"), ""
    return rank_correlation_of(aulc, entropy, clusters)


def rank_correlation_of(
    x: NDArray[np.float64], y: NDArray[np.float64], clusters: Clusters = None
) -> tuple[float, float, str]:
    """Spearman's ρ and p without an interval, and why they are missing; pairs without a value are left out.

    Args:
        x: Shape (N,).
        y: Shape (N,).
        clusters: What examples share, shape (N,), so that p is over clusters as
            :func:`~contested.analysis.spearman` has it; None where each stands for itself.

    Returns:
        ρ, two-sided p, and a note that is empty where both exist.
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if note := no_rho(x, y, ("aulc", "entropy")):
        return np.nan, np.nan, note
    rho, p_value = rank_test(codes(x), codes(y))
    own = cluster_codes(clusters, len(known))[known]
    n_clusters = len(np.unique(own))
    if n_clusters == len(own):
        return rho, p_value, ""
    if note := too_few_to_test(n_clusters):
        return rho, np.nan, note
    return rho, rank_p(rho, rank_influence(codes(x), codes(y)), own, n_clusters), ""


def _last(metrics: pd.DataFrame, column: str) -> float:
    values = metrics[column].to_numpy(np.float64, na_value=np.nan) if column in metrics else np.empty(0)
    known = values[~np.isnan(values)]
    return float(known[-1]) if len(known) else float("nan")


def _gradients(trajectory: Trajectory, order: NDArray[np.intp]) -> RecordedProbe | None:
    found = trajectory.gradients
    if found is None:
        return None
    taken = np.flatnonzero(np.isfinite(found.norms).any(axis=1))
    return RecordedProbe(
        step=int(found.steps[taken[-1]]) if len(taken) else -1,
        norms=found.norms[taken[-1]][order] if len(taken) else None,
        alignment=found.alignment,
        head=found.head,
        mode=found.mode,
    )
