"""The words of a study's page, with the study's numbers in them."""

from __future__ import annotations

import pandas as pd

from contested.analysis.clusters import units
from contested.naming import axis_heading
from contested.report.declarations import Frames
from contested.report.study_frames import varying_axes
from contested.wording import counted


def lead(frames: Frames) -> str:
    """One plain sentence that says what the page covers.

    Args:
        frames: The frames of a study.

    Returns:
        The sentence.
    """
    runs = frames["runs"]
    if runs.empty:
        return "A study without runs."
    asked = runs[runs["excluded"].fillna("") == ""]
    here = int((asked["n_seeds"] > 0).sum())
    groups = len(frames.get("groups", ()))
    axes = [axis_heading(axis) for axis in varying_axes(frames)]
    varies = f", which differ in {_listed(axes)}" if axes else ""
    return (
        f"{here:,} of the {len(asked):,} runs of the study, in {counted(groups, 'group')}{varies}; "
        "runs of a group differ only in their seed."
    )


def _listed(names: list[str]) -> str:
    return " and ".join(", ".join(names).rsplit(", ", 1)) if len(names) > 1 else "".join(names)


def excluded(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """The runs left out and why, as pairs of run id and reason."""
    left_out = runs[runs["excluded"].fillna("").astype(str) != ""]
    return [(str(row["run_id"]), str(row["excluded"])) for _, row in left_out.iterrows()]


def method(confidence: str, n_resamples: int, clusters: str) -> list[tuple[str, str]]:
    """How the numbers are made, as pairs of name and text.

    Args:
        confidence: The coverage of the intervals, such as "95%".
        n_resamples: Bootstrap resamples of each interval.
        clusters: What examples share that belong together; empty where each stands for itself.

    Returns:
        The pairs.
    """
    return [
        (
            "Entropy H",
            "−Σ p ln p over the shares p of the annotators' labels, in nats: 0 where all agree. It says how much "
            "annotators disagree, before any model. Contested is the category of highest entropy, clean that of "
            "lowest.",
        ),
        (
            "Loss, Δℓ, AULC",
            "The loss is the unweighted cross-entropy of one example against its gold label, in nats, also where a run "
            "trained on other labels. Δℓ is the loss at the last checkpoint minus that at the first: above 0 the "
            "example was un-learned, which has nothing to do with machine unlearning. AULC is the mean loss over all "
            "checkpoints.",
        ),
        (
            "Seeds and intervals",
            f"{confidence} intervals. Of examples: {n_resamples:,} bootstrap resamples of {units(clusters)} "
            "(means: studentised; ρ: BCa). Of seeds, where a group has several: Student's t with one degree of freedom "
            "fewer than seeds. An interval over both weights the two by their variances. ± is the sample standard "
            "deviation over seeds. Each interval is for one number by itself; † marks those of too few examples "
            "that are too skewed.",
        ),
        (
            "Gaps",
            "A run that is missing leaves a mark, “2 of 3 seeds” beside the number or – in its place, and a hollow "
            "point in a figure.",
        ),
    ]
