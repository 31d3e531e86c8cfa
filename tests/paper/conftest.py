"""Studies of made runs: cells as the studies room writes them, trajectories with prescribed losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contested.paper import CELL_COLUMNS, PaperResults, paper_results
from contested.trajectories import Gradients, Trajectory

NAMES = ("clean", "ambiguous", "contested")
FAMILIES = {"full": "full", "ia3": "ia3"}

# 24 examples, eight in each category and of each label; entropies rise strictly. Two labels share the counts of clean
# and ambiguous examples (H of 7 % is 0.25, of 15 % 0.42, of 29 % 0.60), three those of contested ones (from 0.90 on).
COUNTS = np.array(
    [
        np.roll(row, place % 3)
        for place, row in enumerate(
            [[100 - k, k, 0] for k in range(8)]
            + [[100 - k, k, 0] for k in range(15, 30, 2)]
            + [[60 - k, 30, 10 + k] for k in range(8)]
        )
    ]
)
ENTROPY = stats.entropy(COUNTS, axis=1)
N = len(COUNTS)


def cell(backbone="roberta", method="lora-r4", dataset="snli", seed=42, **values: Any) -> dict[str, Any]:
    """One row of cells: plain, main and complete unless told otherwise."""
    setting = "".join(f"-{name}={value}" for name, value in values.items() if name in _SETTINGS)
    rank = float(method.removeprefix("lora-r")) if method.startswith("lora-r") else np.nan
    return {
        "run_id": f"{backbone}-{method}-{dataset}{setting}-{seed}",
        "name": f"{backbone}, {method}, {dataset}, seed {seed}",
        "backbone": backbone,
        "decoder": backbone.startswith("qwen"),
        "params": 1e8,
        "method": method,
        "family": FAMILIES.get(method, "lora"),
        "rank": rank,
        "dataset": dataset,
        "seed": seed,
        "learning_rate": 2e-5,
        "composition": "all",
        "noise": 0.0,
        "noise_rule": "uniform" if values.get("noise") else "",
        "soft_labels": False,
        "main": not any(name in values for name in _SETTINGS) and method != "ia3",
        "group": "main",
        "status": "complete",
        "excluded": "",
        **values,
    }


_SETTINGS = ("learning_rate", "composition", "noise", "soft_labels")


def seeds(n: int = 3, **values: Any) -> list[dict[str, Any]]:
    return [cell(seed=seed, **values) for seed in (42, 123, 456)[:n]]


def table(*cells: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(cells), columns=list(CELL_COLUMNS))


def run(losses: Any, *, run_id: str = "made", counts: Any = COUNTS, **changes: Any) -> Trajectory:
    """A run with these losses (T, N); the other classes share what the gold one leaves.

    ``examples`` adds columns to the examples, ``metrics`` are rows of metrics.jsonl, ``gradients`` are attached.
    """
    losses, counts = np.asarray(losses, float), np.asarray(counts)
    n_classes, gold = counts.shape[1], counts.argmax(axis=1)
    of_gold = np.exp(-losses)
    shares = np.repeat(((1 - of_gold) / (n_classes - 1))[:, :, None], n_classes, axis=2)
    shares[:, np.arange(len(gold)), gold] = of_gold
    entropy = stats.entropy(counts, axis=1)
    ids = changes.pop("ids", [f"item-{row:02d}" for row in range(len(gold))])
    examples = pd.DataFrame(
        {
            "row_key": np.arange(len(gold)),
            "example_id": np.array(ids, dtype=object),
            "text": [" ".join(["word"] * (1 + row * 5 % 7)) for row in range(len(gold))],
            "gold": gold,
            "label_counts": counts.tolist(),
            "entropy": entropy,
            "category": np.array(NAMES, dtype=object)[np.digitize(entropy, [0.4, 0.7])],
            "split": "train",
            **changes.pop("examples", {}),
        }
    )
    steps = np.asarray(changes.pop("steps", 100 * np.arange(len(losses))))
    made = Trajectory(
        run_id=run_id,
        status=changes.pop("status", "complete"),
        steps=steps,
        epochs=steps / 200,
        example_ids=examples["example_id"].to_numpy(object),
        losses=losses,
        logits=np.log(shares),
        examples=examples,
        label_names=changes.pop("label_names", ("e", "n", "c", "x")[:n_classes]),
        text_columns=("text",),
        category_names=NAMES,
        metrics=pd.DataFrame(changes.pop("metrics", [])),
        manifest={},
        gradients=changes.pop("gradients", None),
    )
    assert not changes, changes
    return made


def aulc_run(aulc: Any, change: Any = 0.0, **values: Any) -> Trajectory:
    """Two checkpoints whose mean is ``aulc`` and whose difference is ``change``, each (N,) or one number."""
    middle, half = np.broadcast_to(np.asarray(aulc, float), N), np.broadcast_to(np.asarray(change, float), N) / 2
    return run(np.stack([middle - half, middle + half]), **values)


def by_category(clean: float, ambiguous: float, contested: float) -> np.ndarray:
    """One number a category, as (N,)."""
    return np.repeat([clean, ambiguous, contested], 8)


def wobble(seed: int, scale: float = 0.01) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, N)


def gradients(cosines: Sequence[float], norms: Any = None) -> Gradients:
    """A probe every 200 steps; norms (N,) at its last step alone."""
    every = 200 * np.arange(len(cosines))
    taken = np.full((len(every), N), np.nan)
    if norms is not None:
        taken[-1] = norms
    pairs = [("contested", "clean"), ("contested", "ambiguous")]
    alignment = pd.DataFrame(
        {
            "step": step,
            "group": group,
            "reference": reference,
            "cosine": cosine if reference == "clean" else 0.0,
            "note": "" if cosine == cosine else "a mean gradient is exactly zero",
        }
        for step, cosine in zip(every, cosines, strict=True)
        for group, reference in pairs
    )
    return Gradients(every, taken, alignment, True, "eval")


def results(
    cells: pd.DataFrame | Sequence[Mapping[str, Any]], runs: Mapping[str, Trajectory], **options: Any
) -> PaperResults:
    cells = cells if isinstance(cells, pd.DataFrame) else table(*cells)
    return paper_results(cells, None, runs, **{"n_resamples": 100, **options})


def claim(found: PaperResults, key: str):
    return next(claim for claim in found.claims if claim.key == key)


def only(frame: pd.DataFrame, **where: Any) -> pd.Series:
    """The one row with these values."""
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The helpers of this file, for tests import by file and cannot import one another."""
    return SimpleNamespace(
        **{
            name: globals()[name]
            for name in (
                "COUNTS",
                "ENTROPY",
                "N",
                "NAMES",
                "aulc_run",
                "by_category",
                "cell",
                "claim",
                "gradients",
                "only",
                "results",
                "run",
                "seeds",
                "table",
                "wobble",
            )
        }
    )
