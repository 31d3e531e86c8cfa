from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats


def rising(made, seed=0):
    return 1.0 + made.ENTROPY / 2 + made.wobble(seed, 0.15)


def test_curves_are_means_over_seeds_under_the_lowest_rank_and_in_full(made):
    cells = [c for method in ("lora-r16", "lora-r4", "full") for c in made.seeds(2, method=method)]
    cells += made.seeds(1, backbone="bert", method="lora-r16") + made.seeds(1, backbone="bert", method="lora-r8")
    cells += made.seeds(1, method="lora-r2")
    start, runs = made.by_category(1.0, 1.1, 1.2), {}
    for place, cell in enumerate(cells):
        end = start + made.by_category(-0.5, 0.0, 0.1 * (1 + place))
        runs[cell["run_id"]] = made.run(np.stack([start, end]))
    found = made.results(cells, runs)
    first, second = found.frames["figure1"], found.frames["figure2"]
    # Rank 4 where there is one, the lowest there is otherwise.
    assert first["panel"].unique().tolist() == ["roberta · lora-r4 · snli", "bert · lora-r8 · snli"]
    assert second["panel"].unique().tolist() == ["roberta · full · snli"]
    row = made.only(first, backbone="roberta", category="contested", step=100)
    # Runs 2 and 3 are rank 4: 1.2 + 0.3 and 1.2 + 0.4. Examples are alike: Student's over seeds, 12.7062 · 0.05.
    assert row["mean"] == pytest.approx(1.55)
    assert (row["low"], row["high"]) == pytest.approx((1.55 - 0.63531, 1.55 + 0.63531), abs=1e-5)
    assert row["n"] == 8
    assert made.only(first, backbone="roberta", category="clean", step=0)["mean"] == pytest.approx(1.0)


def test_entropies_of_each_data_set_from_one_run(made):
    cells = made.seeds(2) + made.seeds(1, dataset="mnli")
    runs = {cell["run_id"]: made.aulc_run(rising(made)) for cell in cells[1:]}
    table = made.results(cells, runs).frames["figure3"]
    assert table.groupby("dataset").size().to_dict() == {"mnli": 24, "snli": 24}
    row = made.only(table, dataset="snli", example_id="item-20")
    assert (row["entropy"], row["category"]) == (made.ENTROPY[20], "contested")
    assert row["run_ids"] == "roberta-lora-r4-snli-123"


def probed(made, norms, cosines=(1.0, 0.9, 0.8), **values):
    cells = made.seeds(len(norms), group="main,gradients", **values)
    return cells, {
        cell["run_id"]: made.aulc_run(rising(made), gradients=made.gradients(cosines, of_run))
        for cell, of_run in zip(cells, norms, strict=True)
    }


def test_gradient_norms_are_averaged_over_seeds_and_tested(made):
    norms = [1 + made.ENTROPY + made.wobble(seed, 0.2) for seed in (1, 2)]
    cells, runs = probed(made, norms)
    found = made.results(cells, runs)
    mean = (norms[0] + norms[1]) / 2
    assert made.only(found.frames["figure4"], example_id="item-03")["norm"] == pytest.approx(mean[3])
    test = found.frames["figure4_tests"].iloc[0]
    assert test["rho"] == pytest.approx(stats.spearmanr(mean, made.ENTROPY).statistic)
    kruskal = stats.kruskal(mean[:8], mean[8:16], mean[16:])
    assert (test["kruskal_h"], test["kruskal_p"]) == pytest.approx((kruskal.statistic, kruskal.pvalue))
    assert (test["step"], test["head"], test["mode"], test["n"]) == (400, True, "eval", 24)


def test_alignment_over_steps_and_what_lacks_a_probe(made):
    cells, runs = probed(made, [None, None], cosines=(np.nan, 0.9, 0.8))
    runs[cells[1]["run_id"]] = made.aulc_run(rising(made))
    found = made.results(cells, runs)
    table = found.frames["figure8"]
    assert table["step"].tolist()[:3] == [0, 200, 400]
    assert table["cosine"].tolist()[1:3] == [0.9, 0.8]
    assert "exactly zero" in table["note"].iloc[0]
    assert table["note"].iloc[3] == "the run has no gradient alignment of clean and contested"
    assert table[["n_seeds", "n_expected"]].iloc[3].tolist() == [0, 1]
    # Nobody took norms.
    assert found.frames["figure4"].empty
    assert "no complete run" in found.frames["figure4_tests"].iloc[0]["note"]
    assert any(gap.startswith(cells[1]["run_id"]) and gap.endswith("lacks the gradient probe.") for gap in found.gaps)


def test_figure6_sets_table1_against_size_and_rank(made):
    cells = made.seeds(2, params=125e6) + made.seeds(2, backbone="qwen-3b", method="lora-r16", params=3e9)
    found = made.results(cells, {c["run_id"]: made.aulc_run(rising(made, p)) for p, c in enumerate(cells)})
    table = found.frames["figure6"]
    assert table[["decoder", "params", "rank"]].to_numpy().tolist() == [[False, 125e6, 4.0], [True, 3e9, 16.0]]
    assert table["rho_mean"].tolist() == found.frames["table1"]["rho_mean"].tolist()


@pytest.fixture
def mapped(made):
    """Runs of two data sets, one of them with a rank of the sweep, and the losses of each."""
    cells = [*made.seeds(1), made.cell(method="full"), made.cell(method="lora-r32", main=False, group="rank-sweep")]
    cells += [made.cell(method="ia3"), made.cell(dataset="mnli")]
    rng = np.random.default_rng(3)
    losses = [0.2 + made.ENTROPY + rng.uniform(0, 0.4, (5, made.N)) for _ in cells]
    found = made.results(cells, {c["run_id"]: made.run(one) for c, one in zip(cells, losses, strict=True)})
    return found, losses


def regions_of(losses):
    """The regions of one run, by the medians of its own confidence and variability."""
    gold = np.exp(-losses)
    confidence, variability = gold.mean(axis=0), gold.std(axis=0)
    split = np.where(confidence >= np.median(confidence), "easy", "hard")
    return np.where(variability >= np.median(variability), "ambiguous", split)


def test_cartography_of_the_main_runs_and_the_rank_sweep(made, mapped):
    found, losses = mapped
    table = found.frames["figure7"]
    # IA3 is neither main nor of the sweep; the map is that of the first data set.
    gold = np.exp(-np.stack(losses[:3]))
    confidence, variability = gold.mean(axis=1).mean(axis=0), gold.std(axis=1).mean(axis=0)
    assert table["confidence"].tolist() == pytest.approx(confidence.tolist())
    assert table["variability"].tolist() == pytest.approx(variability.tolist())
    assert table["aulc"].tolist() == pytest.approx(np.mean([one.mean(axis=0) for one in losses[:3]], axis=0).tolist())
    assert table["run_ids"].iloc[0] == ",".join(f"roberta-{name}-snli-42" for name in ("full", "lora-r32", "lora-r4"))
    # Of three runs two agree or all differ; then the first of easy, ambiguous and hard is given.
    votes = pd.DataFrame([regions_of(one) for one in losses[:3]])
    order = ["easy", "ambiguous", "hard"]
    assert table["region"].tolist() == [max(order, key=own.tolist().count) for _, own in votes.items()]
    test = found.frames["figure7_tests"].iloc[0]
    assert test["rho_confidence_aulc"] == pytest.approx(stats.spearmanr(table["confidence"], table["aulc"]).statistic)
    design = np.column_stack([np.ones(made.N), confidence, variability])
    aulc = table["aulc"].to_numpy()
    left = aulc - design @ np.linalg.lstsq(design, aulc, rcond=None)[0]
    assert test["r2_confidence_variability"] == pytest.approx(1 - left @ left / ((aulc - aulc.mean()) ** 2).sum())
    assert test["n"] == 24


def test_regions_are_cut_in_each_run_and_counted_over_all_of_them(made, mapped):
    """What cartography_figures counts, by hand."""
    found, losses = mapped
    shares = found.frames["figure7_overlap"]
    assert shares["dataset"].unique().tolist() == ["snli", "mnli", "all"]
    of = {"snli": losses[:3], "mnli": losses[4:], "all": [*losses[:3], *losses[4:]]}
    for dataset, runs in of.items():
        cut = np.stack([regions_of(one) for one in runs])
        for place, category in enumerate(("clean", "ambiguous", "contested")):
            own = cut[:, 8 * place : 8 * place + 8]
            for region in ("easy", "ambiguous", "hard"):
                row = made.only(shares, dataset=dataset, category=category, region=region)
                assert row["n"] == (own == region).sum()
                assert row["share"] == pytest.approx((own == region).mean())
                assert row["n_seeds"] == len(runs)
    # Half of each run's examples are ambiguous by the median, which regions of the runs' means need not be.
    assert shares[shares["region"] == "ambiguous"].groupby("dataset")["n"].sum().to_dict() == {
        "snli": 36, "mnli": 12, "all": 48
    }  # fmt: skip


def test_calibration_by_category_over_seeds(made):
    cells = [*made.seeds(2), made.cell(method="lora-r32", main=False, group="calibration")]
    # The last loss of every example: 0.1 under one seed and 0.3 under the other; all are right.
    runs = {c["run_id"]: made.run(np.full((2, made.N), loss)) for c, loss in zip(cells, (0.1, 0.3, 0.2), strict=True)}
    table = made.results(cells, runs).frames["figure9"]
    sure = np.exp(-np.array([0.1, 0.3]))
    shares = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2])
    for category, n in (("contested", 8), ("overall", 24)):
        row = made.only(table, method="lora-r4", category=category)
        assert row["prediction_entropy"] == pytest.approx(stats.entropy(shares).mean())
        assert row["max_confidence"] == pytest.approx(sure.mean())
        # Everything is right, so the calibration error is 1 − confidence.
        assert row["ece"] == pytest.approx((1 - sure).mean())
        assert (row["accuracy"], row["n"]) == (1.0, n)
    assert table["category"].tolist()[-1] == "overall"
    # A cell that only the calibration asks for is there, though it is no main condition.
    assert made.only(table, method="lora-r32", category="overall")["max_confidence"] == pytest.approx(np.exp(-0.2))


def test_frames_nobody_asked_for_are_empty(made):
    cells = made.seeds(2)
    frames = made.results(cells, {c["run_id"]: made.aulc_run(rising(made)) for c in cells}).frames
    unasked = ("table4", "table5", "table6", "table6_trend", "table7", "figure2", "figure4", "figure4_tests", "figure8")
    for name in (*unasked, "noise", "noise_summary", "soft_labels", "soft_labels_summary", "lr_control"):
        assert frames[name].empty, name
    assert isinstance(frames["noise"], pd.DataFrame)
