"""Small worlds made by hand: trajectories through the real class, with losses that follow from their logits."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from contested.annotations.categories import resolve_categories
from contested.trajectories import RunWriter, Trajectory


def make_trajectory(
    run_id: str = "roberta-r4",
    *,
    n: int = 60,
    steps: tuple[int, ...] = (0, 100, 200),
    labels: tuple[str, ...] = ("entailment", "neutral", "contradiction"),
    texts: dict[str, str] | None = None,
    scheme: str = "fixed",
    status: str = "complete",
    drift: float = 1.0,
    seed: int = 0,
) -> Trajectory:
    """A run that learns what people agree on and drifts to one label on the rest.

    Args:
        run_id: Its name.
        n: Tracked examples.
        steps: Steps of the checkpoints.
        labels: Class names.
        texts: Text columns and what stands in each row, with the row's number for ``{}``.
        scheme: Entropy categories.
        status: The run's status.
        drift: How far it goes off on contested examples.
        seed: Of everything drawn.
    """
    rng, k = np.random.default_rng(seed), len(labels)
    # Concentrations from sharp to flat, so that every category has examples.
    alpha = np.exp(rng.uniform(-2.2, 1.6, n))[:, None] * rng.dirichlet(np.ones(k), n) + 0.02
    counts = np.array([rng.multinomial(100, rng.dirichlet(row)) for row in alpha])
    shares = counts / 100
    entropy = -np.sum(np.where(shares > 0, shares * np.log(np.maximum(shares, 1e-12)), 0.0), axis=1)
    gold = counts.argmax(axis=1)
    progress = 1 - np.exp(-3 * np.asarray(steps) / max(max(steps), 1))
    start = 0.15 * rng.standard_normal((n, k))
    people = np.log(shares + 0.03)
    people -= people.mean(axis=1, keepdims=True)
    off = drift * entropy[:, None] * rng.normal(0, 1.9, (n, k))
    wobble = 0.08 * rng.standard_normal((len(steps), n, k))
    logits = start + progress[:, None, None] * (0.75 * people + off) + wobble
    losses = -log_softmax(logits, axis=2)[:, np.arange(n), gold]
    bands = resolve_categories(entropy, scheme)
    columns = {"premise": "Someone stands by tree {}.", "hypothesis": "It is autumn."} if texts is None else texts
    examples = pd.DataFrame(
        {
            "row_key": np.arange(n),
            "example_id": [f"id-{row:04d}" for row in range(n)],
            **{name: [text.replace("{}", str(row)) for row in range(n)] for name, text in columns.items()},
            "gold": gold,
            "label_counts": counts.tolist(),
            "entropy": entropy,
            "category": bands.assign(entropy).astype(object),
            "split": "train",
        }
    )
    manifest: dict[str, Any] = {
        "schema_version": 1,
        "run_id": run_id,
        "status": status,
        "config": {"model": {"name": "roberta-base"}, "method": {"name": "lora", "r": 4}, "seed": 42},
        "provenance": {"code": {"commit": "abc123", "dirty": False}, "versions": {"torch": "2.13"}},
    }
    return Trajectory(
        run_id=run_id,
        status=status,
        steps=np.array(steps, np.int64),
        epochs=np.asarray(steps, np.float64) / 663,
        example_ids=examples["example_id"].to_numpy(object),
        losses=losses,
        logits=logits.astype(np.float32),
        examples=examples,
        label_names=labels,
        text_columns=tuple(columns),
        category_names=bands.names,
        metrics=pd.DataFrame({"step": np.array(steps, np.int64), "train_loss": 1.1 - 0.8 * progress}),
        manifest=manifest,
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Trajectory]:
    return make_trajectory


@pytest.fixture
def trajectory() -> Trajectory:
    return make_trajectory()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, for tests of what stands around them."""
    monkeypatch.setattr("contested.report.parts.draw_figures", lambda *given: nullcontext(lambda: ([], [])))


def write_run(trajectory: Trajectory, path: Path) -> Path:
    """Write a trajectory as a run folder through the real writer."""
    header = {"run_id": trajectory.run_id, "label_names": trajectory.label_names}
    header |= {"category_names": trajectory.category_names, **trajectory.manifest}
    writer = RunWriter.create(path, header=header, examples=trajectory.examples, text_columns=trajectory.text_columns)
    for index, (step, epoch) in enumerate(zip(trajectory.steps.tolist(), trajectory.epochs.tolist(), strict=True)):
        losses, logits = trajectory.losses[index], trajectory.logits[index]
        writer.write_checkpoint(step=step, epoch=epoch, losses=losses, logits=logits)
        writer.list_checkpoint(step=step, epoch=epoch)
    writer.finish("complete")
    return path


@pytest.fixture(scope="session")
def run_folder() -> Callable[[Trajectory, Path], Path]:
    return write_run
