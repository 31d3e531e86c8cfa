from __future__ import annotations

import numpy as np
import pytest
from scipy import stats


def rising(made, seed=0):
    return 1.0 + made.ENTROPY / 2 + made.wobble(seed, 0.15)


def noised(made, n=2):
    """Plain runs and runs with 30 % noise, whose clean AULC is 0.2 and 0.4 higher, give or take."""
    plain, arms = made.seeds(n), made.seeds(n, noise=0.3, group="noise")
    shifts = [np.where(np.arange(made.N) < 8, 0.2 * (1 + seed), 0.0) + made.wobble(9 + seed, 0.05) for seed in range(n)]
    replaced = made.COUNTS.argmax(axis=1)
    replaced[[0, 5, 20]] = (replaced[[0, 5, 20]] + 1) % 3
    runs = {c["run_id"]: made.aulc_run(rising(made, seed)) for seed, c in enumerate(plain)}
    runs |= {
        c["run_id"]: made.aulc_run(rising(made, seed) + shifts[seed], examples={"trained_label": replaced})
        for seed, c in enumerate(arms)
    }
    return plain + arms, runs, shifts


def test_noise_against_the_plain_run_of_the_same_seed(made):
    cells, runs, shifts = noised(made)
    # A plain run of another rate is no baseline.
    cells.append(made.cell(learning_rate=1e-3, group="lr-control"))
    runs[cells[-1]["run_id"]] = made.aulc_run(9.0)
    found = made.results(cells, runs)
    table = found.frames["noise"]
    assert table["seed"].tolist() == [42, 123]
    for seed, row in enumerate(table.to_dict("records")):
        clean = shifts[seed][:8]
        assert row["shift"] == pytest.approx(clean.mean())
        assert row["baseline_clean_aulc"] == pytest.approx(rising(made, seed)[:8].mean())
        assert row["clean_aulc"] == pytest.approx((rising(made, seed) + shifts[seed])[:8].mean())
        assert row["low"] < row["shift"] < row["high"]
        assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(clean).pvalue)
        assert row["cohens_d"] == pytest.approx(clean.mean() / clean.std(ddof=1))
        rho = stats.spearmanr(rising(made, seed) + shifts[seed], made.ENTROPY)
        assert (row["rho"], row["p_value"]) == pytest.approx(tuple(rho), rel=1e-9)
        assert row["baseline_rho"] == pytest.approx(stats.spearmanr(rising(made, seed), made.ENTROPY).statistic)
        # Of the clean examples, 0 and 5 trained on another label; 20 is contested.
        assert row["shift_replaced"] == pytest.approx(clean[[0, 5]].mean())
        assert row["shift_kept"] == pytest.approx(np.delete(clean, [0, 5]).mean())
        assert (row["n_seeds"], row["n_expected"]) == (1, 1)
    assert table["run_ids"].iloc[0] == "roberta-lora-r4-snli-noise=0.3-42,roberta-lora-r4-snli-42"


def test_a_plain_run_is_neither_composed_nor_noised_nor_soft(made):
    # Every cell has the seed and rate of the noised run, and the plain one comes last.
    cells = [made.cell(composition="low"), made.cell(soft_labels=True), made.cell(noise=0.6), made.cell(noise=0.3)]
    cells.append(made.cell())
    runs = {cell["run_id"]: made.aulc_run(rising(made) + place) for place, cell in enumerate(cells)}
    row = made.only(made.results(cells, runs).frames["noise"], noise=0.3)
    assert row["run_ids"] == "roberta-lora-r4-snli-noise=0.3-42,roberta-lora-r4-snli-42"
    # Its losses are one nat lower than those of the plain run.
    assert row["shift"] == pytest.approx(-1.0)


def test_noise_over_seeds(made):
    cells, runs, shifts = noised(made)
    row = made.results(cells, runs).frames["noise_summary"].iloc[0]
    by_seed = [shift[:8].mean() for shift in shifts]
    assert row["shift_mean"] == pytest.approx(np.mean(by_seed))
    assert row["shift_sd"] == pytest.approx(np.std(by_seed, ddof=1))
    assert row["shift_low"] < min(by_seed)  # seeds are random too
    assert row["shift_high"] > max(by_seed)
    # Two seeds 0.2 and 0.4 apart say little, whatever the test over examples of these two runs says.
    assert row["wilcoxon_p"] < 0.01
    assert row["p_seeds"] > 0.05
    plain = [rising(made, seed)[:8].mean() for seed in (0, 1)]
    assert row["seed_shift"] == pytest.approx(abs(plain[1] - plain[0]))
    mean = np.mean(shifts, axis=0)[:8]
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(mean).pvalue)
    assert row["cohens_d"] == pytest.approx(mean.mean() / mean.std(ddof=1))
    assert row["baseline_rho_mean"] == pytest.approx(
        np.mean([stats.spearmanr(rising(made, seed), made.ENTROPY).statistic for seed in (0, 1)])
    )
    # p is of the noised runs' mean AULC: p-values of seeds are not averaged.
    noisy = [rising(made, seed) + shifts[seed] for seed in (0, 1)]
    rhos = [stats.spearmanr(one, made.ENTROPY).statistic for one in noisy]
    assert (row["rho_mean"], row["rho_sd"]) == pytest.approx((np.mean(rhos), np.std(rhos, ddof=1)))
    assert row["p_value"] == pytest.approx(stats.spearmanr(np.mean(noisy, axis=0), made.ENTROPY).pvalue, rel=1e-9)
    clean = [(rising(made, seed)[:8].mean(), noisy[seed][:8].mean()) for seed in (0, 1)]
    assert (row["baseline_clean_aulc"], row["clean_aulc"]) == pytest.approx(np.mean(clean, axis=0))
    assert row["shift_replaced"] == pytest.approx(np.mean([shift[[0, 5]].mean() for shift in shifts]))
    assert row["shift_kept"] == pytest.approx(np.mean([np.delete(shift[:8], [0, 5]).mean() for shift in shifts]))
    assert (row["n_seeds"], row["n_expected"]) == (2, 2)


def test_noise_without_its_plain_run_is_a_gap(made):
    cells, runs, shifts = noised(made)
    del runs["roberta-lora-r4-snli-42"]
    found = made.results(cells, runs)
    assert np.isnan(found.frames["noise"].iloc[0]["shift"])
    assert found.frames["noise"].iloc[0]["note"].startswith("no complete pair")
    row = found.frames["noise_summary"].iloc[0]
    assert row["shift_mean"] == pytest.approx(shifts[1][:8].mean())
    assert (row["n_seeds"], row["n_expected"], row["missing"]) == (1, 2, "roberta-lora-r4-snli-42")
    assert "noise, noise_summary" in found.gaps[0]


def test_noise_whose_plain_run_nobody_asked_for_says_so(made):
    cells, runs, _ = noised(made)
    row = made.results(cells[2:], runs).frames["noise_summary"].iloc[0]
    assert np.isnan(row["shift_mean"])
    assert "the study has no plain run of seed 42, 123" in row["note"]


def test_noise_of_other_examples_is_refused(made):
    cells, runs, _ = noised(made, 1)
    runs[cells[1]["run_id"]] = made.aulc_run(rising(made), ids=[f"other-{row}" for row in range(made.N)])
    found = made.results(cells, runs)
    assert np.isnan(found.frames["noise"].iloc[0]["shift"])
    assert "track different examples" in found.frames["noise"].iloc[0]["note"]


def soft(made, differences):
    cells = made.seeds(2) + made.seeds(2, soft_labels=True, group="soft-labels")
    hard = made.by_category(-0.5, 0.0, 0.4) + made.wobble(1, 0.02)
    runs = {c["run_id"]: made.aulc_run(rising(made, seed), hard) for seed, c in enumerate(cells[:2])}
    for seed, cell in enumerate(cells[2:]):
        runs[cell["run_id"]] = made.aulc_run(rising(made, seed), hard + differences[seed])
    return cells, runs, hard


def test_soft_against_hard_labels(made):
    differences = [made.wobble(5, 0.1) + 0.1, made.wobble(6, 0.1)]
    cells, runs, hard = soft(made, differences)
    found = made.results(cells, runs)
    row = made.only(found.frames["soft_labels"], seed=123)
    own = differences[1][16:]
    assert row["contested_change_hard"] == pytest.approx(hard[16:].mean())
    assert row["contested_change_soft"] == pytest.approx((hard + differences[1])[16:].mean())
    assert row["difference"] == pytest.approx(own.mean())
    assert row["low"] < row["difference"] < row["high"]
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(own).pvalue)
    assert row["rho_hard"] == row["rho_soft"]
    summary = found.frames["soft_labels_summary"].iloc[0]
    means = [difference[16:].mean() for difference in differences]
    assert summary["difference_mean"] == pytest.approx(np.mean(means))
    assert summary["difference_sd"] == pytest.approx(np.std(means, ddof=1))
    assert summary["difference_low"] < min(means)
    assert summary["p_seeds"] > 0.05
    assert summary["seed_shift"] == pytest.approx(0.0)  # both hard runs have the same Δℓ
    # Equivalence: each bound of the ratio is a mean of its own.
    of_soft, of_hard = hard[16:] + [difference[16:] for difference in differences], hard[16:]
    assert summary["ratio"] == pytest.approx(of_soft.mean() / of_hard.mean())
    for name, values in (("least", of_soft - 0.8 * of_hard), ("most", 1.25 * of_hard - of_soft)):
        assert summary[name] == pytest.approx(values.mean())
        assert summary[f"{name}_sd"] == pytest.approx(values.mean(axis=1).std(ddof=1))
        assert summary[f"{name}_low"] < summary[name] < summary[f"{name}_high"]
    assert summary["hard_low"] < of_hard.mean() < summary["hard_low"] + 0.1
    assert summary["equivalence"] == "inconclusive"


def test_soft_labels_that_change_nothing_have_no_signed_ranks(made):
    cells, runs, _ = soft(made, [0.0, 0.0])
    row = made.results(cells, runs).frames["soft_labels_summary"].iloc[0]
    assert row["difference_mean"] == pytest.approx(0.0)
    assert row["equivalence"] == "same"
    assert np.isnan(row["wilcoxon_p"])
    assert "no signed ranks" in row["note"]


def test_learning_rate_control_by_method_and_rising_rate(made):
    cells = []
    for method in ("full", "lora-r4"):
        cells += made.seeds(2, method=method, learning_rate=1e-3, group="lr-control")
        cells += made.seeds(2, method=method, group="main,lr-control")
    runs = {}
    for place, cell in enumerate(cells):
        metrics = [{"step": 100, "train_loss": 0.1 * (1 + place), "val_accuracy": 0.5 + place / 100}]
        change = made.by_category(-0.1, 0.0, 0.02 * place)
        runs[cell["run_id"]] = made.aulc_run(rising(made, place), change, metrics=metrics)
    found = made.results(cells, runs)
    table = found.frames["lr_control"]
    assert table[["method", "learning_rate"]].to_numpy().tolist() == [
        ["full", 2e-5],
        ["full", 1e-3],
        ["lora-r4", 2e-5],
        ["lora-r4", 1e-3],
    ]
    row = made.only(table, method="lora-r4", learning_rate=1e-3)
    # Cells 4 and 5: training losses 0.5 and 0.6, contested Δℓ 0.08 and 0.10, alike among examples: t is 12.7062.
    assert (row["train_loss"], row["val_accuracy"]) == pytest.approx((0.55, 0.545))
    assert (row["contested_change"], row["clean_change"]) == pytest.approx((0.09, -0.1))
    assert (row["low"], row["high"]) == pytest.approx((0.09 - 0.127062, 0.09 + 0.127062), abs=1e-6)
    rhos = [stats.spearmanr(rising(made, place), made.ENTROPY).statistic for place in (4, 5)]
    assert row["rho_mean"] == pytest.approx(np.mean(rhos))
    assert row["rho_low"] < row["rho_mean"] < row["rho_high"]
    trend = found.frames["lr_control_trend"]
    assert trend["method"].tolist() == ["full", "lora-r4", "all"]
    # Two rates of one method make no rank correlation. Over all four points, in the order of the table, training losses
    # are 0.35, 0.15, 0.75, 0.55 and contested Δℓ 0.05, 0.01, 0.13, 0.09: the same order.
    assert np.isnan(trend["change_with_train_loss"].iloc[0])
    assert trend["note"].iloc[0] == "2 points: too few for a rank correlation"
    last = trend.iloc[2]
    assert (last["n_points"], last["change_with_train_loss"]) == (4, pytest.approx(1.0))
    rates = stats.spearmanr([2e-5, 1e-3, 2e-5, 1e-3], [0.05, 0.01, 0.13, 0.09]).statistic
    assert last["change_with_rate"] == pytest.approx(rates)
    assert last["rho_with_train_loss"] == pytest.approx(
        stats.spearmanr(table["train_loss"], table["rho_mean"]).statistic
    )


def test_points_of_the_learning_rate_control_without_a_number_are_left_out(made):
    """A missing run, one without a training loss, one of constant AULC, one without contested examples, four whole."""
    rates = [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.2, 0.3, 0.4]
    losses = [0.9, 0.2, 0.4, 0.3, 0.1, np.nan, 0.05, 0.01]
    changes = [0.03, 0.01, 0.05, 0.02, 0.0, 0.9, 0.8, 0.0]
    cells = [made.cell(learning_rate=rate, group="lr-control") for rate in rates]
    runs = {}
    for place, cell in enumerate(cells):
        metrics = [{"step": 100, "train_loss": losses[place], "val_accuracy": 0.5}]
        aulc = 4.0 if place == 6 else rising(made, place)
        runs[cell["run_id"]] = made.aulc_run(aulc, made.by_category(0.0, 0.0, changes[place]), metrics=metrics)
    metrics = [{"step": 100, "train_loss": losses[7], "val_accuracy": 0.5}]
    runs[cells[7]["run_id"]] = made.run(np.tile(rising(made)[:16], (2, 1)), counts=made.COUNTS[:16], metrics=metrics)
    del runs[cells[4]["run_id"]]
    found = made.results(cells, runs)
    table = found.frames["lr_control"]
    numbers = table[["contested_change", "train_loss", "rho_mean"]].isna().to_numpy().tolist()
    lacking = [[True] * 3, [False, True, False], [False, False, True], [True, False, False]]
    assert numbers == [[False] * 3] * 4 + lacking
    for trend in found.frames["lr_control_trend"].to_dict("records"):
        assert trend["n_points"] == 4
        assert trend["note"] == "4 points left out: a number is missing"
        assert trend["change_with_rate"] == pytest.approx(stats.spearmanr(rates[:4], changes[:4]).statistic)
        assert trend["change_with_train_loss"] == pytest.approx(stats.spearmanr(losses[:4], changes[:4]).statistic)
        rhos = stats.spearmanr(losses[:4], table["rho_mean"][:4]).statistic
        assert trend["rho_with_train_loss"] == pytest.approx(rhos)
