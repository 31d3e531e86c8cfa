"""What a study changes about the training labels and about which examples train; the tracked set stays as it is.

An intervention is an option of :class:`contested.options.TaskOptions` and an entry of :data:`INTERVENTIONS` under its
name; any value other than the default turns it on, in a configuration or on a study's axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from contested.errors import DataError
from contested.options import Composition, NoiseRule, NoiseSection, TaskOptions, default


class TrainingChanges(NamedTuple):
    """Which of the N tracked examples train, and on which label, as far as that was changed.

    Attributes:
        categories: Entropy category of each example, shape (N,).
        names: Category names in order of rising entropy.
        gold: Class index of each example's gold label, shape (N,).
        n_classes: Number of classes K.
        seed: Gives the seed of what is drawn.
        in_training: Which examples train, shape (N,); None where all do.
        labels: Class index on which each example trains, shape (N,); None where that is the gold label.
    """

    categories: NDArray[np.object_]
    names: tuple[str, ...]
    gold: NDArray[np.int64]
    n_classes: int
    seed: Callable[[], int]
    in_training: NDArray[np.bool_] | None = None
    labels: NDArray[np.int64] | None = None

    def generator(self, option: str) -> np.random.Generator:
        """Where an intervention draws from: of its own, so that no two draw the same; asking for it asks for the seed.

        Args:
            option: The intervention's option.

        Returns:
            The generator, the same for the same seed and option.
        """
        return np.random.default_rng([self.seed(), *option.encode()])

    @property
    def train(self) -> NDArray[np.bool_]:
        """Which examples train, shape (N,)."""
        return np.ones(len(self.gold), bool) if self.in_training is None else self.in_training


def _compose(so_far: TrainingChanges, composition: str) -> TrainingChanges:
    # The others draw nothing: taking the seed records that the data depend on it.
    seed = so_far.seed() if composition == "balanced" else 0
    chosen = select_composition(so_far.categories, so_far.names, composition, seed=seed)
    return so_far._replace(in_training=so_far.train & chosen)


def _noise(so_far: TrainingChanges, noise: NoiseSection) -> TrainingChanges:
    eligible = so_far.train & (so_far.categories == so_far.names[0])
    labels = so_far.gold if so_far.labels is None else so_far.labels
    seed = so_far.seed()
    return so_far._replace(
        labels=inject_label_noise(
            labels, eligible, n_classes=so_far.n_classes, share=noise.share, rule=noise.rule, seed=seed
        )
    )


INTERVENTIONS: Mapping[str, Callable[[TrainingChanges, Any], TrainingChanges]] = {
    "composition": _compose,
    "noise": _noise,
}
"""Option of a task -> what it does to the changes so far, in the order in which they are made."""


def intervene(changes: TrainingChanges, options: TaskOptions) -> TrainingChanges:
    """Make every change that a task's options set.

    Args:
        changes: None so far.
        options: The task's options.

    Returns:
        The changes.

    Raises:
        DataError: If one does not fit the data.
    """
    for option, apply in INTERVENTIONS.items():
        value = getattr(options, option)
        if value != default(TaskOptions, option):
            changes = apply(changes, value)
    return changes


def select_composition(
    categories: NDArray[np.object_] | Sequence[str], names: Sequence[str], composition: str, *, seed: int
) -> NDArray[np.bool_]:
    """Which tracked examples train (paper §4.3, Appendix E); all of them stay tracked.

    Args:
        categories: The entropy category of each tracked example, shape (N,).
        names: Category names in order of rising entropy.
        composition: ``all``; ``low``: the category of lowest entropy alone; ``high``: that of highest entropy alone;
            ``balanced``: as many of every category as the smallest one has.
        seed: Seed of the balanced sample.

    Returns:
        Shape (N,).

    Raises:
        DataError: If the composition is unknown, or a category that it needs is empty.
    """
    if composition not in get_args(Composition):
        raise DataError(f"composition is {composition!r}; expected one of {', '.join(get_args(Composition))}.")
    array = np.asarray(categories, object)
    rows = {name: np.flatnonzero(array == name) for name in names}
    needed = {"all": [], "low": [names[0]], "high": [names[-1]], "balanced": list(names)}[composition]
    empty = [name for name in needed if not len(rows[name])]
    if empty:
        raise DataError(
            f"The composition {composition!r} needs tracked examples of {', '.join(empty)}, and there are none. "
            "Use other categories (terciles) or the composition 'all'."
        )
    if composition == "all":
        return np.ones(len(array), bool)
    rng = np.random.default_rng(seed)
    size = min(len(rows[name]) for name in needed)
    kept = [rows[name] if len(needed) == 1 else rng.choice(rows[name], size, replace=False) for name in needed]
    mask = np.zeros(len(array), bool)
    mask[np.concatenate(kept)] = True
    return mask


def inject_label_noise(
    labels: NDArray[np.int64], eligible: NDArray[np.bool_], *, n_classes: int, share: float, rule: str, seed: int
) -> NDArray[np.int64]:
    """Replace the labels of a share of the eligible examples by random ones (paper §5).

    Args:
        labels: Class index of each example, shape (N,).
        eligible: Which examples may be hit, shape (N,).
        n_classes: Number of classes K.
        share: Share of the eligible examples that are drawn, rounded to whole examples.
        rule: ``uniform``: any class, also the same again, so that about share · (K - 1) / K of the eligible labels
            change (the paper's); ``other``: any of the K - 1 other classes.
        seed: Seed of the draw and of the new labels.

    Returns:
        The labels to train on, shape (N,).

    Raises:
        DataError: If the rule is unknown or no example is eligible.
    """
    if rule not in get_args(NoiseRule):
        raise DataError(f"The noise rule is {rule!r}; expected one of {', '.join(get_args(NoiseRule))}.")
    candidates = np.flatnonzero(eligible)
    if not len(candidates):
        raise DataError("Label noise needs training examples in the category of lowest entropy, and there are none.")
    rng = np.random.default_rng(seed)
    hit = rng.choice(candidates, round(share * len(candidates)), replace=False)
    # A shift by 0 … K - 1 classes is a uniform label; by 1 … K - 1 a uniform one of the others.
    shift = rng.integers(0 if rule == "uniform" else 1, n_classes, len(hit))
    changed = labels.copy()
    changed[hit] = (labels[hit] + shift) % n_classes
    return changed


def soft_targets(label_counts: NDArray[np.int64], hard_labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Target distributions: the annotators' for annotated examples, then one class for each bulk example.

    Args:
        label_counts: Annotators' counts of the annotated training examples, shape (A, K).
        hard_labels: Class index of each bulk example, shape (B,).

    Returns:
        Shape (A + B, K); rows sum to 1.
    """
    counts = np.asarray(label_counts, np.float64)
    one_hot: NDArray[Any] = np.eye(counts.shape[1])[hard_labels]
    return np.concatenate([counts / counts.sum(axis=1, keepdims=True), one_hot]).astype(np.float32)
