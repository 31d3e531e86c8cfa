"""The page's own words: titles, captions and notes, with the run's numbers in them."""

from __future__ import annotations

from collections.abc import Sequence

from contested.analysis import Analysis
from contested.analysis.run_examples import measure_of_run
from contested.formats import percent
from contested.report.left_out import left_out
from contested.report.sure import resampled
from contested.trajectories import Trajectory
from contested.trajectories.layout import WITHIN_EPOCHS
from contested.wording import alternatives, ranged

TITLE = "What fine-tuning did to the examples people disagree on"


def title(trajectories: Sequence[Trajectory]) -> str:
    """The heading of a page, which speaks of disagreement where a run knows of any."""
    knows = any("annotators" in run.has or run.entropy is not None for run in trajectories)
    return TITLE if knows else "What fine-tuning did to its examples"


def lead(trajectories: Sequence[Trajectory]) -> str:
    """One plain sentence that says what the page covers."""
    runs = "one fine-tune" if len(trajectories) == 1 else f"{len(trajectories)} fine-tunes"
    examples = ranged(len(run.example_ids) for run in trajectories)
    counts = [run.label_counts for run in trajectories]
    totals = [int(total) for found in counts if found is not None for total in found.sum(axis=1)]
    labelled = f", each labelled by {ranged(totals)} annotators" if totals else ""
    checkpoints = ranged(len(run.steps) for run in trajectories)
    # Of a run whose steps are unknown nothing is known but its checkpoints.
    lengths = [_length(word, own) for word, own in _by_unit(trajectories) if own]
    whole = f" and {' or '.join(lengths)}" if lengths else ""
    followed = "recorded at one checkpoint" if checkpoints == "1" else f"followed over {checkpoints} checkpoints{whole}"
    tracked = f"{examples} tracked example{'' if examples == '1' else 's'}"
    return " ".join([f"What {runs} did to {tracked}{labelled}, {followed}.", *_lost(trajectories)])


def _lost(trajectories: Sequence[Trajectory]) -> list[str]:
    """What the runs are without: a sentence where it is the same of all, else one for each."""
    told = [(run.run_id, left_out(run).sentence) for run in trajectories]
    sentences = dict.fromkeys(sentence for _, sentence in told)
    return [each for each in sentences if each] if len(sentences) == 1 else [f"{name}: {it}" for name, it in told if it]


def _length(word: str, trajectories: Sequence[Trajectory]) -> str:
    last = ranged(int(run.steps[-1]) for run in trajectories)
    numbered = any(run.origin.get("checkpoints") == WITHIN_EPOCHS for run in trajectories)
    # Counted from 0, and the first one is trained already: the last number is not how many there were.
    return f"{word} 0 to {last}" if numbered else f"{last} {word}"


def _by_unit(trajectories: Sequence[Trajectory]) -> list[tuple[str, list[Trajectory]]]:
    words = {"step": "optimiser steps", "epoch": "epochs"}
    return [(words[unit], [run for run in trajectories if run.counted_in == unit]) for unit in words]


# Name and text of what is explained, and what a run must have for it to be on the page.
_NOTES: tuple[tuple[str, str, frozenset[str]], ...] = (
    (
        "Entropy H",
        "−Σ p ln p over the shares p of the annotators' labels: 0 where all agree, ln K where they are "
        "split evenly over all classes. It says how much annotators disagree, before any model.",
        frozenset({"annotators"}),
    ),
    ("Categories", "Bands of H, in rising order; the histogram shows their bounds.", frozenset({"annotators"})),
    (
        "Loss ℓ and Δℓ",
        "ℓ is the unweighted cross-entropy of one example against its gold label. Δℓ is ℓ at the last recorded "
        "checkpoint minus ℓ at the first: above 0, the example was un-learned, which has nothing to do with machine "
        "unlearning.",
        frozenset({"losses", "course"}),
    ),
    (
        "Epochs",
        "Dataset Cartography's training script takes the logits of an epoch during the epoch, with dropout on and "
        "weights moving, and numbers epochs from 0: epoch 0 is not the untrained model, and what the first epoch "
        "changed is in no difference.",
        frozenset({"within epochs"}),
    ),
    # Where the labels of a run that something else recorded come from, it does not say.
    ("Gold label", "What most annotators chose, unless the data gives another label.", frozenset({"trained"})),
    (
        "Alert",
        "Whether the expected loss of a category lies more than 0.02 nats above its start at any checkpoint, tested at "
        "each of them with one error rate of 5% for the whole run and all categories (boundaries along the planned "
        "steps from the covariance of the looks; examples that share a text count as one cluster). Of examples that "
        "train it holds approximately, for they influence the weights.",
        frozenset({"losses"}),
    ),
    (
        "KL(annotators ‖ model)",
        "Σ p ln (p / q) between the annotators' shares p and the model's probabilities q: 0 when the model "
        "answers as the annotators do.",
        frozenset({"logits", "annotators"}),
    ),
    (
        "ρ",
        "Spearman's rank correlation of H with AULC, the mean of an example's loss over all checkpoints. "
        "Above 0: the more annotators disagree on an example, the higher its loss over the run.",
        frozenset({"losses", "annotators", "course"}),
    ),
    (
        "Learned next to nothing",
        "A run whose last accuracy is at most 1.15/K (on validation examples where it has any, else on the tracked "
        "ones), or in which the loss of a tracked example changed by less than 0.02 nats on average, up or down; "
        "in either case without an alarm, and without a rise of the mean loss of all tracked examples by more "
        "than 0.02 nats and three standard errors.",
        frozenset({"losses", "course"}),
    ),
)


def notes(trajectories: Sequence[Trajectory], analyses: Sequence[Analysis]) -> list[tuple[str, str]]:
    """How the numbers are made, as pairs of name and text; what no run has is not explained."""
    has = frozenset().union(*(run.has for run in trajectories))
    if any(len(run.steps) > 1 for run in trajectories):
        has |= {"course"}
    if all(run.origin.get("kind") == "contested" for run in trajectories):
        has |= {"trained"}
    if any(run.origin.get("checkpoints") == WITHIN_EPOCHS for run in trajectories):
        has |= {"within epochs"}
    n_classes = ranged(len(run.label_names) for run in trajectories if run.label_names)
    classes = f"K = {n_classes} classes, " if "classes" in has else ""
    size = (
        f"N = {ranged(len(run.example_ids) for run in trajectories)} tracked examples, {classes}"
        f"T = {ranged(len(run.steps) for run in trajectories)} checkpoints. Loss and entropy are in "
        "nats (natural logarithm)."
    )
    intervals = (
        f"{alternatives(percent(found.confidence) for found in analyses)} intervals. Means: studentised bootstrap; "
        f"ρ: BCa bootstrap; {alternatives(f'{found.n_resamples:,}' for found in analyses)} resamples of "
        f"{resampled(analyses)}; shares: Wilson. † marks those of too few examples that are too skewed. Each is for "
        "one number by itself. They hold the run fixed: variation between seeds is not included."
    )
    measured = " ".join(dict.fromkeys(note for run in trajectories for note in measure_of_run(run)))
    explained = [
        (name, measured if measured and name == "Categories" else text) for name, text, needs in _NOTES if needs <= has
    ]
    return [("Size", size), *explained, ("Intervals", intervals)]
