"""Small trajectories for the tests of analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from contested.trajectories import Trajectory

NAMES = ("clean", "ambiguous", "contested")


def build(label_counts: Any, logits: Any, **changes: Any) -> Trajectory:
    """A trajectory whose losses, entropies and categories follow from counts (N, K) and logits (T, N, K)."""
    counts, scores = np.asarray(label_counts), np.asarray(logits, dtype=np.float64)
    gold = counts.argmax(axis=1)
    entropy = stats.entropy(counts, axis=1)
    losses = -special.log_softmax(scores, axis=2)[:, np.arange(len(gold)), gold]
    steps = 100 * np.arange(len(scores))
    ids = np.array([f"item-{row:04d}" for row in range(len(gold))], dtype=object)
    examples = pd.DataFrame(
        {
            "row_key": np.arange(len(gold)),
            "example_id": ids,
            "gold": gold,
            "label_counts": counts.tolist(),
            "entropy": entropy,
            "category": np.array(NAMES, dtype=object)[np.digitize(entropy, [0.4, 0.7])],
            "split": "train",
        }
    )
    made = Trajectory(
        run_id="made",
        status="complete",
        steps=steps,
        epochs=steps / 200,
        example_ids=ids,
        losses=losses,
        logits=scores,
        examples=examples,
        label_names=("e", "n", "c"),
        text_columns=(),
        category_names=NAMES,
        metrics=pd.DataFrame(),
        manifest={},
    )
    return replace(made, **changes)


@pytest.fixture
def make() -> Callable[..., Trajectory]:
    return build


@pytest.fixture
def unlearning_run() -> Trajectory:
    """A run that sharpens towards the gold label on clean items and away from it on contested ones.

    On contested items it ends nearer to people's split than the over-confident start.
    """
    rng = np.random.default_rng(5)
    shares = rng.dirichlet((1.2, 0.6, 0.6), size=120)
    counts = np.stack([rng.multinomial(100, share) for share in shares])
    human = np.log((counts + 1) / 103)
    gold = np.eye(3)[counts.argmax(axis=1)]
    sure = stats.entropy(counts, axis=1)[:, None] < 0.4
    start = np.where(sure, 0.0, 3.0 * gold) + rng.normal(0, 0.1, (120, 3))
    end = np.where(sure, 3.0 * gold, human) + rng.normal(0, 0.1, (120, 3))
    return build(counts, [start + (end - start) * part for part in np.linspace(0, 1, 5)])
