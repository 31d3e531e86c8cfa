"""The explorer of a study holds the means of its groups over seeds, item by item."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.special import softmax

from contested import Trajectory
from contested.analysis.study import Axis, StudyResults, study_results
from contested.report.explorer import of_groups
from contested.report.explorer.of_groups import explorer_of_groups

METHODS = ("full", "lora")


def study(make) -> tuple[StudyResults, dict[str, Trajectory]]:
    """Two methods with two seeds each, over the same thirty examples."""
    runs = {
        f"{method}-{seed}": with_noise(make(f"{method}-{seed}", n=30, drift=0.4 + place), 10 * place + seed)
        for place, method in enumerate(METHODS)
        for seed in (1, 2)
    }
    cells = pd.DataFrame(
        [
            {"run_id": name, "name": name, "seed": int(name[-1]), "main": False, "group": "all"}
            | {"status": "complete", "excluded": "", "method": name[:-2]}
            for name in runs
        ]
    )
    return study_results(cells, [Axis("method", "", METHODS)], runs, n_resamples=40), runs


def with_noise(trajectory: Trajectory, seed: int) -> Trajectory:
    """Another seed's logits, and the losses that follow from them."""
    logits = trajectory.logits + 0.1 * np.random.default_rng(seed).standard_normal(trajectory.logits.shape)
    losses = -np.log(softmax(logits, axis=2))[:, np.arange(30), trajectory.gold]
    return dataclasses.replace(trajectory, logits=logits, losses=losses)


def test_a_group_is_the_mean_of_its_runs(make) -> None:
    results, runs = study(make)
    found = explorer_of_groups(results, runs)
    assert [group.name for group in found.runs] == list(METHODS)
    assert "mean of its runs over seeds" in found.notes[0]
    assert {column.name for column in found.items} >= {"premise", "entropy", "category", "annotators_loss"}
    for group, method in zip(found.runs, METHODS, strict=True):
        own = [runs[f"{method}-{seed}"] for seed in (1, 2)]
        order = [own[0].example_ids.tolist().index(name) for name in found.example_ids]
        curves = {curve.name: curve.values for curve in group.curves}
        assert np.allclose(curves["loss"], np.mean([run.losses[:, order] for run in own], axis=0), atol=1e-6)
        shares = np.mean([softmax(run.logits[:, order], axis=2) for run in own], axis=0)
        assert np.allclose(group.probabilities, shares, atol=1e-6)
        columns = {column.name: column for column in group.columns}
        change = np.mean([(run.losses[-1] - run.losses[0])[order] for run in own], axis=0)
        assert np.allclose(columns["loss_change"].values, change)
        right = np.mean([(run.logits[-1].argmax(axis=1) == run.gold)[order] for run in own], axis=0)
        # A share of seeds, and not yes or no.
        assert (columns["correct_last"].kind, columns["correct_last"].heading) == ("number", "last accuracy")
        assert np.allclose(columns["correct_last"].values, right)
        assert "region" not in columns


def test_groups_that_menus_have_no_room_for_are_said(make, monkeypatch) -> None:
    results, runs = study(make)
    monkeypatch.setattr(of_groups, "MOST_GROUPS", 1)
    found = explorer_of_groups(results, runs)
    assert [group.name for group in found.runs] == ["full"]
    assert "the first 1 of 2 groups" in " ".join(found.notes)


def test_curves_of_seeds_with_other_checkpoints_are_not_averaged(make) -> None:
    results, runs = study(make)
    runs["lora-2"] = dataclasses.replace(runs["lora-2"], steps=np.array([0, 100, 250]))
    full, lora = explorer_of_groups(results, runs).runs
    assert (len(full.curves), len(lora.curves), lora.probabilities) == (3, 0, None)
    assert "loss_change" in {column.name for column in lora.columns}


def test_what_a_seed_did_not_record_has_no_mean(make) -> None:
    results, runs = study(make)
    runs["lora-2"] = dataclasses.replace(runs["lora-2"], logits=None)
    full, lora = explorer_of_groups(results, runs).runs
    assert full.probabilities is not None
    assert lora.probabilities is None
    assert [curve.name for curve in lora.curves] == ["loss"]


def test_without_runs_there_is_nothing_to_explore() -> None:
    groups = pd.DataFrame({"group": ["full"], "run_ids": [""]})
    nothing = SimpleNamespace(examples=pd.DataFrame(), frames={"groups": groups})
    assert explorer_of_groups(nothing, {}) is None
