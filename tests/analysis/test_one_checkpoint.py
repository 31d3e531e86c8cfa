"""A run of one checkpoint: what stands at it is computed, what needs two is absent, and nothing is made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import special

import contested as ct
from contested.analysis.learned import learned_little
from contested.errors import RunError
from contested.trajectories import Trajectory

_RNG = np.random.default_rng(5)
_GOLD = _RNG.integers(3, size=60)
_LOGITS = _RNG.normal(size=(1, 60, 3)) + 2 * np.eye(3)[_GOLD]
_COUNTS = _RNG.multinomial(20, [0.4, 0.3, 0.3], size=60) + 10 * np.eye(3, dtype=int)[_GOLD]


@pytest.fixture
def run() -> Trajectory:
    return Trajectory.from_arrays(
        logits=_LOGITS, gold=_GOLD, label_counts=_COUNTS, label_names=["e", "n", "c"], run_id="seed_1"
    )


def test_what_needs_two_checkpoints_is_absent(run: Trajectory) -> None:
    found = ct.analyze(run, n_resamples=100)
    assert (found.unlearning, found.kl, found.correlation) == (None, None, None)
    assert not any(found.curves[1:])
    assert {"loss_last", "kl_last", "correct_last"} <= set(found.examples)
    assert not {"loss_first", "loss_change", "aulc", "variability", "forgetting_events"} & set(found.examples)
    (told,) = found.absent
    assert told.startswith("The run has no second checkpoint, so these are not computed: correlation of AULC")
    assert "Δℓ" in told
    expected = -special.log_softmax(_LOGITS[0], axis=1)[np.arange(60), _GOLD]
    assert found.examples["loss_last"].to_numpy() == pytest.approx(expected, abs=1e-6)
    right = (_LOGITS[0].argmax(axis=1) == _GOLD).mean()
    assert ct.statements(found)[0] == (
        f"In this run (checkpoint 1), one checkpoint was recorded: the mean loss is {expected.mean():.3f} nats and "
        f"{right:.1%} of the examples are answered as their gold label says."
    )
    # Nothing moved between the first checkpoint and the last: they are the same one.
    assert learned_little(run) == ""


def test_runs_of_one_checkpoint_have_a_page(run: Trajectory, tmp_path: Path) -> None:
    page = ct.write_report([run], tmp_path).html.read_text(encoding="utf-8")
    assert "recorded at one checkpoint" in page
    assert "The run has no second checkpoint" in page
    assert "un-learned" not in page


def test_a_run_without_a_checkpoint_has_nothing_to_analyse(run: Trajectory) -> None:
    import dataclasses

    empty = dataclasses.replace(
        run, steps=run.steps[:0], epochs=run.epochs[:0], logits=run.logits[:0], losses=run.losses[:0]
    )
    with pytest.raises(RunError, match=r"0 checkpoints of 60 examples.*at least 1 of each"):
        ct.analyze(empty)
