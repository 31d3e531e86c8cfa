"""Runs compared where they had reached the same loss: made runs whose changes depend on it alone, or on the method."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contested.analysis.study import Axis, Resampling, StudyRuns, matched
from contested.analysis.study.matched import matched_frames
from contested.trajectories import Trajectory

Frames = dict[str, pd.DataFrame]
METHOD = Axis("method", "method", ("full", "lora"))
RATE = Axis("rate", "training.learning_rate", (1e-4, 1e-3))
STEPS = np.arange(0, 2001, 100)


def made(study: SimpleNamespace, seed: int, speed: float, extra: float = 0.0, **columns: Any) -> Trajectory:
    """A run whose training loss falls as 0.3 + 0.8 exp(−speed · step), and whose losses follow it alone, but for
    ``extra`` nats on examples of high entropy by the end."""
    rng, counts = np.random.default_rng(seed), np.asarray(study.COUNTS)
    every = 0.3 + 0.8 * np.exp(-speed * np.arange(STEPS[-1] + 1))
    means = [np.nan, *(every[start : start + 100].mean() for start in STEPS[:-1])]
    done = (1.1 - every[STEPS]) / 0.8
    slope = np.repeat([-0.6, 0.0, 0.5 + extra], 8) + 0.02 * rng.normal(size=study.N)
    gold = 1.2 + np.random.default_rng(0).uniform(0, 0.2, study.N) + done[:, None] * slope
    of_gold = np.exp(-gold)
    run = Trajectory.from_arrays(
        logits=np.log(np.stack([of_gold, (1 - of_gold) / 2, (1 - of_gold) / 2], axis=-1)),
        ids=np.array([f"item-{row:02d}" for row in range(study.N)], dtype=object),
        gold=np.zeros(study.N, int),
        label_counts=counts,
        steps=STEPS,
        check_label_order=False,
    )
    metrics = pd.DataFrame({"step": STEPS, "train_loss": means})
    texts = tuple(name for name in columns if name == "premise")
    return replace(run, metrics=metrics, examples=run.examples.assign(**columns), text_columns=texts)


def analysed(
    study: SimpleNamespace, extra: float = 0.0, *, axes: tuple[Axis, ...] = (METHOD, RATE), **given: Any
) -> Frames:
    """Two methods at two rates and three seeds: LoRA is four times slower, and a tenth of a rate is half the speed."""
    cells, runs = [], {}
    for method, (speed, own) in {"full": (0.004, 0.0), "lora": (0.001, extra)}.items():
        for rate, factor in ((1e-4, 0.5), (1e-3, 1.0)):
            for seed in (1, 2, 3):
                setting = json.dumps({"method": {"name": method}, "training": {"learning_rate": rate}})
                cells.append(study.cell(seed, method=method, rate=rate, setting=setting))
                number = 100 * seed + 10 * (method == "lora") + (rate > 5e-4)
                runs[cells[-1]["run_id"]] = made(study, number, speed * factor, own, **given)
    return frames(study, cells, axes, runs)


def frames(study: SimpleNamespace, cells: list[dict[str, Any]], axes: tuple[Axis, ...], runs: Any) -> Frames:
    draw = Resampling(np.random.default_rng(0), 400, 0.95)
    return matched_frames(StudyRuns.of(pd.DataFrame(cells), axes, runs), draw)


def row(results: Frames, study: SimpleNamespace, **where: Any) -> pd.Series:
    found: pd.Series = study.only(results["matched"], **{"axis": "method", "category": "contested"} | where)
    return found


def test_methods_that_differ_in_speed_alone_are_a_phase(any_study: SimpleNamespace) -> None:
    found = row(analysed(any_study), any_study)
    assert found["verdict"] == "phase"
    # At the end full has gone all the way and LoRA 63 to 86 % of it: 0.5 nats times what it lacks, on average 0.12.
    lacking = np.mean([0.5 * np.exp(-0.0005 * 2000), 0.5 * np.exp(-0.001 * 2000)]) - 0.5 * np.exp(-0.002 * 2000) / 2
    assert found["end"] == pytest.approx(-lacking, abs=0.02)
    assert found["end_high"] < 0
    assert found["within"] < 0.05
    assert (found["n"], found["n_seeds"], found["n_expected"]) == (8, 12, 12)


def test_a_method_that_changes_more_at_the_same_loss_is_told(any_study: SimpleNamespace) -> None:
    results = analysed(any_study, extra=0.5)
    found = row(results, any_study)
    assert found["verdict"] == "method"
    # LoRA has changed by 0.5 · done more wherever both had reached the same loss, 1.1 − 0.8 · done.
    assert found["difference"] == pytest.approx(0.5 * (1.1 - found["at_loss"]) / 0.8, abs=0.02)
    assert found["low"] > 0.2
    assert row(results, any_study, category="clean")["verdict"] == "phase"
    band = results["matched_differences"]
    band = band[(band["axis"] == "method") & (band["category"] == "contested")]
    assert band["difference"].tolist() == pytest.approx((0.5 * (1.1 - band["loss"]) / 0.8).tolist(), abs=0.03)
    # A rate is compared within its method, where it makes no difference beyond speed.
    rates = results["matched"].query("axis == 'rate'")
    assert set(rates["held"]) == {"full", "lora"}
    assert set(rates["verdict"]) == {"phase"}


def test_rates_are_pooled_in_curves_of_methods(any_study: SimpleNamespace) -> None:
    curves = analysed(any_study)["matched_curves"]
    own = curves[(curves["side"] == "full") & (curves["category"] == "contested")]
    # Six runs of full; the three of the lower rate end at 0.3 + 0.8 · e⁻⁴ = 0.315 or above and are left behind.
    assert own["n_runs"].max() == 6
    assert own["n_runs"].iloc[-1] == 3
    assert own["mean"].tolist() == pytest.approx((0.5 * (1.1 - own["loss"]) / 0.8).tolist(), abs=0.02)


def test_held_out_loss_is_matched_where_validation_examples_are_tracked(any_study: SimpleNamespace) -> None:
    split = np.where(np.arange(any_study.N) % 8 == 0, "validation", "train")
    # Its mean over a clean, an ambiguous and a contested example moves by (−0.6 + 0 + 0.5) / 3: it falls.
    found = analysed(any_study, split=split)["matched"]
    assert set(found["against"]) == {"training loss", "held-out loss"}
    assert set(found.loc[found["against"] == "held-out loss", "category"]) >= {"contested", "clean"}
    assert "held-out loss" not in set(analysed(any_study)["matched"]["against"])


def test_what_changes_the_data_or_the_backbone_is_held_and_not_matched(any_study: SimpleNamespace) -> None:
    cells, runs = [], {}
    for model in ("small", "large"):
        for seed in (1, 2):
            cells.append(any_study.cell(seed, **{"model.name": model}))
            runs[cells[-1]["run_id"]] = made(any_study, seed, 0.002)
    results = frames(any_study, cells, (any_study.MODEL,), runs)
    assert results["matched"].empty
    assert list(results["matched"])[:4] == ["axis", "kind", "from", "to"]


def test_one_run_a_side_and_runs_without_a_training_loss_are_said(any_study: SimpleNamespace) -> None:
    cells = [any_study.cell(1, method=method) for method in ("full", "lora")]
    runs = {cell["run_id"]: made(any_study, 1, 0.002 * (index + 1)) for index, cell in enumerate(cells)}
    found = row(frames(any_study, cells, (METHOD,), runs), any_study)
    assert found["verdict"] == "inconclusive"
    assert "one run on a side" in found["note"]
    bare = {name: replace(run, metrics=pd.DataFrame()) for name, run in runs.items()}
    only = any_study.only(frames(any_study, cells, (METHOD,), bare)["matched"])
    assert (only["verdict"], only["note"]) == ("inconclusive", "not every run recorded its training loss")


def test_other_comparisons_move_no_number(any_study: SimpleNamespace) -> None:
    whole = analysed(any_study)["matched"]
    cells = [any_study.cell(seed, method="full", rate=rate) for rate in (1e-4, 1e-3) for seed in (1, 2, 3)]
    runs = {
        cell["run_id"]: made(
            any_study, 100 * cell["seed"] + (cell["rate"] > 5e-4), 0.004 * (0.5 if cell["rate"] < 5e-4 else 1)
        )
        for cell in cells
    }
    alone = frames(any_study, cells, (RATE,), runs)["matched"]
    same = whole[(whole["axis"] == "rate") & (whole["held"] == "full")].reset_index(drop=True)
    columns = ["category", "difference", "low", "high", "within", "end_low", "end_high"]
    pd.testing.assert_frame_equal(alone[columns], same[columns])


def test_no_number_depends_on_how_many_runs_are_taken_at_once(
    any_study: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = analysed(any_study, extra=0.4)
    monkeypatch.setattr(matched, "BATCH", 1)
    for name, found in analysed(any_study, extra=0.4).items():
        pd.testing.assert_frame_equal(found, whole[name], rtol=1e-12)


def test_rho_is_spearmans_of_the_losses_with_entropy(any_study: SimpleNamespace) -> None:
    cells = [any_study.cell(seed, method=method) for method in ("full", "lora") for seed in (1, 2)]
    runs = {
        cell["run_id"]: made(any_study, 7 + index, 0.002 * (1 + index // 2), 0.3 * (index // 2))
        for index, cell in enumerate(cells)
    }
    found = any_study.only(frames(any_study, cells, (METHOD,), runs)["matched"], quantity="rho")
    every = [stats.spearmanr(run.required("losses")[-1], run.entropy).statistic for run in runs.values()]
    assert found["end"] == pytest.approx(np.mean(every[2:]) - np.mean(every[:2]))


def test_bands_of_rho_end_where_rho_ends(any_study: SimpleNamespace) -> None:
    # Of two seeds one orders the examples with their entropy and one does not: Student's t with one degree of freedom
    # would reach far beyond −1 and 1.
    cells = [any_study.cell(seed, method=method) for method in ("full", "lora") for seed in (1, 2)]
    runs = {cell["run_id"]: made(any_study, 7, 0.002, (-1.2, 0.5)[cell["seed"] - 1]) for cell in cells}
    found = frames(any_study, cells, (METHOD,), runs)["matched_curves"].query("quantity == 'rho'")
    assert (found["low"].min(), found["high"].max()) == (-1, 1)


def test_runs_that_hardly_learned_are_no_phase(any_study: SimpleNamespace) -> None:
    cells = [any_study.cell(seed, method=method) for method in ("full", "lora") for seed in (1, 2, 3)]
    # The training loss falls from 1.1 to 1.1 − 0.8 (1 − e⁻⁰·¹) = 1.02 at most.
    runs = {cell["run_id"]: made(any_study, 7 + index, 5e-5) for index, cell in enumerate(cells)}
    found = row(frames(any_study, cells, (METHOD,), runs), any_study)
    assert found["within"] < 0.1
    assert found["verdict"] == "inconclusive"
    assert found["note"].startswith("both reached only losses less than 0.1 nats apart")


def test_examples_that_share_a_text_are_one_cluster(any_study: SimpleNamespace) -> None:
    # 24 examples, of which the last eight repeat the premises of the first eight: 16 premises.
    premise = [f"premise {row % 16}" for row in range(any_study.N)]
    clustered, alone = (
        analysed(any_study, **given)["matched"].query("axis == 'method' and quantity == 'rho'").iloc[0]
        for given in ({"premise": premise}, {})
    )
    assert (clustered["n"], clustered["n_clusters"], alone["n_clusters"]) == (24, 16, 24)
    assert clustered["difference"] == pytest.approx(alone["difference"], abs=0.05)
    assert clustered["high"] - clustered["low"] != pytest.approx(alone["high"] - alone["low"])
