"""The alert as checkpoints come: the same answers as over all of them, each alarm once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contested.analysis import alerts, live
from contested.analysis.live import LiveAlert

LOOKS = 12
STEPS = [0, *range(10, 10 * LOOKS + 1, 10)]
GROUPS = {"low": np.arange(90) < 40, "high": (np.arange(90) >= 40) & (np.arange(90) < 80), "few": np.arange(90) >= 80}


def course(seed: int, *, rise: float = 0.0) -> np.ndarray:
    """Losses as random walks of sd 1 per look; those of the group "high" rise and fall again by ``rise``."""
    rng = np.random.default_rng(seed)
    walks = np.vstack([np.ones((1, 90)), 1 + rng.normal(size=(LOOKS, 90)).cumsum(axis=0)])
    hump = np.sin(np.linspace(0, np.pi, LOOKS + 1))[:, None]
    return walks + rise * hump * GROUPS["high"]


def looked(losses: np.ndarray, *, clusters: Any = None, level: float = 0.2, **more: Any) -> LiveAlert:
    found = LiveAlert(GROUPS, STEPS[-1], clusters=clusters, level=level, **more)
    raised = [alarm for step, values in zip(STEPS, losses, strict=True) for alarm in found.look(step, values)]
    assert tuple(raised) == found.alarms
    return found


PAIRS = [f"premise {row // 2}" for row in range(90)]


@pytest.mark.parametrize(("clusters", "more"), [(None, {"margin": 0.3}), (PAIRS, {})], ids=["alone", "pairs"])
def test_answers_are_those_of_all_checkpoints_at_once(clusters: Any, more: dict[str, float]) -> None:
    n_alarms = 0
    for seed in range(18):
        losses = course(seed, rise=(0.0, 1.0, 2.5)[seed % 3])
        whole = alerts(losses, STEPS, STEPS[-1], groups=GROUPS, clusters=clusters, level=0.2, **more)
        expected = {name: found.first for name, found in whole.items() if found.first is not None}
        found = looked(losses, clusters=clusters, **more)
        assert {alarm.category: alarm.step for alarm in found.alarms} == expected
        for alarm in found.alarms:
            at = STEPS.index(alarm.step) - 1
            assert alarm.rise == pytest.approx(whole[alarm.category].estimate[at], abs=1e-6)
            assert alarm.low == pytest.approx(whole[alarm.category].low[at], abs=1e-6)
            assert (alarm.n, alarm.level) == (40, 0.2)
        n_alarms += len(expected)
    # Enough of both answers for the comparison to mean something.
    assert 4 < n_alarms < 30


def test_an_alarm_says_what_was_known_at_its_checkpoint() -> None:
    found = LiveAlert(GROUPS, STEPS[-1], unit="epoch")
    losses = np.vstack([course(1, rise=4.0)[:4], course(1)[4:]])
    (alarm,) = [alarm for step, values in zip(STEPS, losses, strict=True) for alarm in found.look(step, values)]
    assert alarm.category == "high"
    assert alarm.rise == pytest.approx((losses[STEPS.index(alarm.step)] - losses[0])[GROUPS["high"]].mean())
    assert 0 < alarm.low < alarm.rise
    start = "Mean loss of examples of category high rose above its start: at"
    assert alarm.message.startswith(f"{start} epoch {alarm.step} by {alarm.rise:.2f} nats (at least")
    assert "an alarm is false in at most 5% of runs of 120 epochs, 2 groups together" in alarm.message


def test_what_is_resumed_continues_as_if_it_had_never_stopped() -> None:
    losses = course(2, rise=2.5)
    whole = looked(losses)
    assert whole.alarms
    for cut in (1, 2, 5, 13):
        resumed = LiveAlert(GROUPS, STEPS[-1], level=0.2)
        resumed.restore(STEPS[:cut], list(losses[:cut]))
        assert resumed.alarms == tuple(alarm for alarm in whole.alarms if alarm.step < STEPS[cut - 1] + 1)
        for step, values in zip(STEPS[cut:], losses[cut:], strict=True):
            resumed.look(step, values)
        assert resumed.alarms == whole.alarms


def test_boundaries_are_worked_out_only_where_they_may_be_crossed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = live.alert
    monkeypatch.setattr(live, "alert", lambda *given, **options: asked.append(1) or real(*given, **options))
    falling = 1 + course(0) * 0.1 - np.linspace(0, 2, LOOKS + 1)[:, None]
    assert looked(falling).alarms == ()
    assert not asked
    # A group that has been told of is asked about no more.
    assert len(looked(course(2, rise=20.0)).alarms) == len(asked)


def test_groups_too_small_to_be_tested_are_named() -> None:
    found = LiveAlert({**GROUPS, "none": np.zeros(90, bool)}, STEPS[-1])
    found.look(0, course(0)[0])
    assert found.unwatched() == (
        "The loss of examples of category few is not watched: 10 independent examples: too few to test (20 needed).",
    )
