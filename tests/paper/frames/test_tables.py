from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.paper.omnibus import mean_rho


def rising(made, seed=0, slope=1.0):
    return 0.5 + slope * made.ENTROPY / 2 + made.wobble(seed, 0.15)


def spearman(made, aulc):
    return stats.spearmanr(aulc, made.ENTROPY)


def test_runs_hold_each_run_by_itself(made):
    cells = made.seeds(1)
    metrics = [
        {"step": 0, "val_accuracy": 0.3, "train_loss": None},
        {"step": 100, "val_accuracy": 0.6, "train_loss": 0.9},
        {"step": 200, "val_accuracy": None, "train_loss": 0.7},
    ]
    change = made.by_category(-0.4, 0.0, 0.2)
    found = made.results(cells, {cells[0]["run_id"]: made.aulc_run(rising(made), change, metrics=metrics)})
    row = found.frames["runs"].iloc[0]
    assert row["rho"] == pytest.approx(spearman(made, rising(made)).statistic)
    assert row["p_value"] == pytest.approx(spearman(made, rising(made)).pvalue)
    assert row["kendall_tau"] == pytest.approx(stats.kendalltau(rising(made), made.ENTROPY).statistic)
    assert (row["val_accuracy"], row["train_loss"]) == (0.6, 0.7)
    changes = row[["clean_change", "contested_change", "overall_change"]].tolist()
    # (-0.4 + 0 + 0.2) / 3 overall: the categories are equally large
    assert changes == pytest.approx([-0.4, 0.2, -0.2 / 3])
    assert row["aulc_mean"] == pytest.approx(rising(made).mean())
    assert (row["n"], row["n_seeds"], row["n_expected"]) == (24, 1, 1)


def test_table1_is_mean_and_sample_sd_over_seeds_with_one_test_a_condition(made):
    cells = made.seeds() + made.seeds(method="full")
    aulcs = {cell["run_id"]: rising(made, place) for place, cell in enumerate(cells)}
    found = made.results(cells, {run_id: made.aulc_run(aulc) for run_id, aulc in aulcs.items()})
    table = found.frames["table1"]
    for row, own in zip(table.to_dict("records"), (cells[:3], cells[3:]), strict=True):
        values = [aulcs[cell["run_id"]] for cell in own]
        rhos = [spearman(made, aulc).statistic for aulc in values]
        assert row["rho_mean"] == pytest.approx(np.mean(rhos))
        assert row["rho_sd"] == pytest.approx(np.std(rhos, ddof=1))
        assert row["rho_low"] < row["rho_mean"] < row["rho_high"]
        # One test of the examples' means over seeds; the mean of the seeds' p is another number.
        p_value = spearman(made, np.mean(values, axis=0)).pvalue
        assert row["p_value"] == pytest.approx(p_value)
        assert p_value != pytest.approx(np.mean([spearman(made, aulc).pvalue for aulc in values]))
        assert row["p_bonferroni"] == pytest.approx(min(1.0, 2 * p_value))
        # Beside it the p of the mean of the runs' ρ, of each run by itself, and by permutations for both conditions.
        by_run = [spearman(made, aulc).pvalue for aulc in values]
        assert (row["p_run_lowest"], row["p_run_highest"]) == pytest.approx((min(by_run), max(by_run)))
        assert row["p_mean_rho"] == mean_rho(np.stack(values), made.ENTROPY).p_value
        assert row["p_mean_rho"] - 0.01 < row["p_max_t"] < 2 * row["p_mean_rho"] + 0.01
        # The mixed slope is the mean over seeds of Pearson's correlation.
        assert row["rho_mixed"] == pytest.approx(np.mean([stats.pearsonr(a, made.ENTROPY).statistic for a in values]))
        corrected = made.ENTROPY + ((made.COUNTS > 0).sum(axis=1) - 1) / (2 * made.COUNTS.sum(axis=1))
        expected = np.mean([stats.spearmanr(a, corrected).statistic for a in values])
        assert row["rho_miller_madow"] == pytest.approx(expected)
    assert table["family_size"].tolist() == [2, 2]
    assert found.notes[0].startswith("Table 1 is one family of 2 tests, one for each of the 2 main conditions")
    assert np.array_equal(table["significant_bonferroni"], table["p_bonferroni"] <= 0.05)


def test_one_test_of_all_conditions_by_data_set_and_together(made):
    cells = made.seeds(2) + made.seeds(2, method="full") + made.seeds(2, dataset="mnli") + made.seeds(2, method="ia3")
    runs = {cell["run_id"]: made.aulc_run(rising(made, place)) for place, cell in enumerate(cells)}
    frames = made.results(cells, runs).frames
    table, first = frames["omnibus"], frames["table1"]
    assert table["dataset"].tolist() == ["snli", "mnli", "all"]
    # IA3 is no main condition: it is in no family, and not in the omnibus test.
    assert table["n_conditions"].tolist() == [2, 1, 3]
    assert np.isnan(made.only(first, method="ia3")["p_max_t"])
    main = first[first["main"].astype(bool)]
    assert table["rho_mean"].tolist() == pytest.approx(
        [main["rho_mean"][:2].mean(), main["rho_mean"].iloc[2], main["rho_mean"].mean()]
    )
    assert table["n_seeds"].tolist() == [4, 2, 6]
    assert table["p_value"].between(1e-4, 1).all()
    assert table["p_value"].iloc[1] == pytest.approx(main["p_mean_rho"].iloc[2], abs=0.01)
    # One constant AULC has no ρ.
    del runs[cells[2]["run_id"]]
    runs[cells[3]["run_id"]] = made.aulc_run(1.0)
    table = made.results(cells, runs).frames["omnibus"]
    assert table["note"].tolist() == ["1 of 2 conditions have no ρ", "", "1 of 3 conditions have no ρ"]


def test_ia3_comes_last_and_outside_the_family(made):
    cells = made.seeds(2, method="ia3", group="ia3") + made.seeds(2)
    found = made.results(cells, {cell["run_id"]: made.aulc_run(rising(made)) for cell in cells})
    table = found.frames["table1"]
    assert table["method"].tolist() == ["lora-r4", "ia3"]
    assert table["main"].tolist() == [True, False]
    assert table["family_size"].tolist() == [1, 1]
    assert np.isnan(table["p_bonferroni"].iloc[1])
    assert table["p_value"].iloc[1] == pytest.approx(table["p_value"].iloc[0])
    assert "outside the family" in table["note"].iloc[1]
    assert found.frames["table2"]["method"].tolist() == ["lora-r4", "ia3"]


def test_ia3_at_other_rates_does_not_enter(made):
    cells = [*made.seeds(2), *made.seeds(2, method="ia3"), *made.seeds(2, method="ia3", learning_rate=1e-3)]
    found = made.results(cells, {cell["run_id"]: made.aulc_run(rising(made)) for cell in cells})
    row = made.only(found.frames["table1"], method="ia3")
    assert row["run_ids"] == "roberta-ia3-snli-42,roberta-ia3-snli-123"


def test_changes_by_hand_and_by_kind_of_backbone(made):
    cells = made.seeds(2) + made.seeds(2, backbone="qwen-1.5b")
    # Mean Δℓ of contested examples 0.1 and 0.3: mean 0.2, sample sd 0.1 √2.
    changes = [made.by_category(-0.3, 0.0, 0.1), made.by_category(-0.3, 0.0, 0.3)] * 2
    runs = {cell["run_id"]: made.aulc_run(0.9, change) for cell, change in zip(cells, changes, strict=True)}
    found = made.results(cells, runs)
    for name, backbone in (("table2", "roberta"), ("table5", "qwen-1.5b")):
        row = made.only(found.frames[name], backbone=backbone)
        assert len(found.frames[name]) == 1
        assert row["contested_change"] == pytest.approx(0.2)
        assert row["contested_sd"] == pytest.approx(0.1 * np.sqrt(2))
        assert row["clean_change"] == pytest.approx(-0.3)
        # Examples are alike, so the interval is Student's over two seeds: 0.2 ± 12.7062 · 0.1.
        assert (row["contested_low"], row["contested_high"]) == pytest.approx((0.2 - 1.27062, 0.2 + 1.27062), abs=1e-5)


def test_per_seed_tables_hold_the_first_backbone_and_data_set_and_the_decoders(made):
    cells = [
        *made.seeds(2),
        *made.seeds(1, dataset="mnli"),
        *made.seeds(1, backbone="bert"),
        *made.seeds(2, backbone="qwen-3b"),
    ]
    runs = {cell["run_id"]: made.aulc_run(rising(made, place)) for place, cell in enumerate(cells[:-1])}
    found = made.results(cells, runs)
    assert found.frames["table3"][["backbone", "dataset", "seed"]].to_numpy().tolist() == [
        ["roberta", "snli", 42],
        ["roberta", "snli", 123],
    ]
    assert found.frames["table3"]["rho"].iloc[1] == pytest.approx(spearman(made, rising(made, 1)).statistic)
    assert found.frames["table4"]["backbone"].tolist() == ["qwen-3b", "qwen-3b"]
    assert np.isnan(found.frames["table4"]["rho"].iloc[1])
    assert found.frames["table4"]["missing"].tolist() == ["", "qwen-3b-lora-r4-snli-123"]


def sweep(made, orders, **values):
    methods = ["full", "lora-r16", "lora-r1", "lora-r4"]
    cells = [made.cell(method=method, group="rank-sweep", **values) for method in methods]
    return cells, {cell["run_id"]: made.aulc_run(aulc) for cell, aulc in zip(cells, orders, strict=True)}


def test_rank_sweep_by_rank_with_full_last_and_its_trend(made):
    # AULC is H with more and more noise, so ρ falls from rank 16 over 4 to 1.
    noise = np.random.default_rng(1).normal(0, 1, made.N)
    aulcs = {"full": 0.0, "16": 0.0, "1": 3.0, "4": 0.4}
    cells, runs = sweep(made, [5 + made.ENTROPY + scale * noise for scale in aulcs.values()])
    found = made.results(cells, runs)
    table = found.frames["table6"]
    assert table["method"].tolist() == ["lora-r1", "lora-r4", "lora-r16", "full"]
    rho = [spearman(made, 5 + made.ENTROPY + scale * noise).statistic for scale in (3.0, 0.4, 0.0, 0.0)]
    assert table["rho"].tolist() == pytest.approx(rho)
    assert rho[0] < rho[1] < rho[2]
    trend = found.frames["table6_trend"].iloc[0]
    assert (trend["n_ranks"], trend["seeds_per_rank"], trend["rank_rho"]) == (3, 1, pytest.approx(1.0))
    # Of 3! orders of three points two are monotone: p = 2 / 6.
    assert trend["p_value"] == pytest.approx(1 / 3)
    assert trend["difference"] == pytest.approx(rho[2] - rho[0])
    assert trend["low"] < trend["difference"] <= trend["high"]


def test_a_sweep_that_lacks_a_rank_says_so(made):
    cells, runs = sweep(made, [rising(made, place) for place in range(4)])
    del runs[cells[2]["run_id"]]
    trend = made.results(cells, runs).frames["table6_trend"].iloc[0]
    assert (trend["n_ranks"], trend["n_seeds"], trend["n_expected"]) == (2, 2, 3)
    assert np.isnan(trend["rank_rho"])
    assert "2 runs: too few" in trend["note"]


def test_ranks_with_other_seeds_have_a_trend_and_no_interval(made):
    cells, runs = sweep(made, [rising(made, place) for place in range(4)])
    cells.append(made.cell(method="lora-r1", seed=123, group="rank-sweep"))
    runs[cells[-1]["run_id"]] = made.aulc_run(rising(made, 7))
    trend = made.results(cells, runs).frames["table6_trend"].iloc[0]
    values = [spearman(made, rising(made, place)).statistic for place in (2, 7, 1)]
    assert trend["difference"] == pytest.approx(values[2] - (values[0] + values[1]) / 2)
    assert np.isnan(trend["low"])
    assert "rank 16 and rank 1 do not have the same seeds" in trend["note"]


def test_compositions_in_order_with_who_trained_and_the_seeds_of_the_arms(made):
    cells = [
        *made.seeds(3),
        *(made.cell(composition=name, group="composition") for name in ("balanced", "high", "low")),
    ]
    low = np.arange(made.N) < 8
    runs = {cell["run_id"]: made.aulc_run(rising(made, place)) for place, cell in enumerate(cells)}
    runs[cells[-1]["run_id"]] = made.aulc_run(rising(made, 5), examples={"in_training": low})
    table = made.results(cells, runs).frames["table7"]
    assert table["composition"].tolist() == ["all", "low", "high", "balanced"]
    assert table["n_trained"].tolist()[:2] == [24, 8]
    assert table["rho_mean"].iloc[1] == pytest.approx(spearman(made, rising(made, 5)).statistic)
    # The arms have seed 42 alone, and so has the row they are set against.
    assert table["run_ids"].iloc[0] == "roberta-lora-r4-snli-42"


def test_kendall_against_spearman(made):
    cells = made.seeds(3) + made.seeds(1, method="full")
    aulcs = [rising(made, 0), rising(made, 1), rising(made, 2), rising(made, 3, slope=0.0)]
    runs = {cell["run_id"]: made.aulc_run(aulc) for cell, aulc in zip(cells, aulcs, strict=True)}
    row = made.results(cells, runs).frames["kendall"].iloc[0]
    tau = np.array([stats.kendalltau(aulc, made.ENTROPY) for aulc in aulcs])
    rho = np.array([spearman(made, aulc) for aulc in aulcs])
    ratio = tau[:, 0] / rho[:, 0]
    assert row["tau_over_rho_mean"] == pytest.approx(ratio.mean())
    assert row["tau_over_rho_sd"] == pytest.approx(ratio.std(ddof=1))
    assert row["concordance"] == pytest.approx(stats.spearmanr(tau[:, 0], rho[:, 0]).statistic)
    same = (np.sign(tau[:, 0]) == np.sign(rho[:, 0])) & ((tau[:, 1] <= 0.05) == (rho[:, 1] <= 0.05))
    assert row["agreement"] == same.mean()
    assert row["n_runs"] == 4


def test_every_test_stands_in_its_family(made):
    cells = made.seeds(2) + made.seeds(2, method="full") + made.seeds(2, method="ia3")
    runs = {cell["run_id"]: made.aulc_run(rising(made, place)) for place, cell in enumerate(cells)}
    found = made.results(cells, runs)
    table = found.frames["multiple_testing"]
    main = table[table["family"] == "main conditions"]
    assert main["test"].tolist() == ["roberta · lora-r4 · snli", "roberta · full · snli"]
    assert main["p_bonferroni"].tolist() == found.frames["table1"]["p_bonferroni"].tolist()[:2]
    assert main["family_size"].tolist() == [2, 2]
    labels = table[table["artefact"] == "per_label"]
    assert labels["p_bonferroni"].tolist() == pytest.approx(np.minimum(1, labels["p_value"] * 9).tolist())
    assert not table["test"].str.endswith("none").any()
