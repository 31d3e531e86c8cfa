from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from contested.errors import DataError
from contested.paper import COLUMNS
from contested.paper.frames.columns import frame
from contested.paper.frames.conditions import PaperStudy


def rising(made, seed=0):
    return 1.5 + made.ENTROPY + made.wobble(seed, 0.3)


def test_a_study_without_cells_has_every_frame_empty_with_its_columns(made):
    found = made.results(made.table(), {})
    assert {name: tuple(found.frames[name].columns) for name in COLUMNS} == dict(COLUMNS)
    assert all(found.frames[name].empty for name in COLUMNS)
    assert {claim.verdict for claim in found.claims} == {"inconclusive"}
    assert found.gaps == ()


def test_a_row_with_an_unknown_column_is_refused():
    with pytest.raises(KeyError, match="rhoo"):
        frame("table3", [{"rhoo": 1.0}])


def test_missing_runs_leave_a_marked_gap_and_the_mean_of_those_present(made):
    cells = made.seeds(method="lora-r4") + made.seeds(method="full")
    cells[2]["status"] = "failed"
    runs = {cell["run_id"]: made.aulc_run(rising(made, place)) for place, cell in enumerate(cells[:2])}
    found = made.results(cells, runs)
    row = made.only(found.frames["table1"], method="lora-r4")
    rhos = [stats.spearmanr(rising(made, place), made.ENTROPY).statistic for place in (0, 1)]
    assert row["rho_mean"] == pytest.approx(np.mean(rhos))
    assert (row["n_seeds"], row["n_expected"]) == (2, 3)
    assert row["run_ids"] == "roberta-lora-r4-snli-42,roberta-lora-r4-snli-123"
    assert row["missing"] == "roberta-lora-r4-snli-456"
    none = made.only(found.frames["table1"], method="full")
    assert np.isnan(none["rho_mean"])
    assert (none["n_seeds"], none["n_expected"], none["note"]) == (0, 3, "no complete run")
    assert len(found.gaps) == 4
    assert found.gaps[0].startswith("roberta-lora-r4-snli-456 (roberta, lora-r4, snli, seed 456) is needed for table1")
    assert found.gaps[0].endswith(": it failed.")
    assert "figure1" in found.gaps[0]
    assert "figure2" in found.gaps[1]
    assert found.gaps[1].endswith("its trajectory was not given.")


def test_excluded_cells_are_not_expected_and_are_noted(made):
    cells = made.seeds()
    cells[2]["excluded"] = "did not converge"
    runs = {cell["run_id"]: made.aulc_run(rising(made, place)) for place, cell in enumerate(cells)}
    found = made.results(cells, runs)
    row = found.frames["table1"].iloc[0]
    assert (row["n_seeds"], row["n_expected"], row["missing"]) == (2, 2, "")
    assert found.gaps == ()
    assert any("seed 456) is excluded (did not converge)" in note for note in found.notes)
    assert made.only(found.frames["runs"], seed=456)["notes"] == "excluded: did not converge"
    assert np.isnan(made.only(found.frames["runs"], seed=456)["rho"])


def test_one_seed_has_a_mean_and_no_spread(made):
    cells = made.seeds(1)
    row = made.results(cells, {cells[0]["run_id"]: made.aulc_run(rising(made))}).frames["table1"].iloc[0]
    assert row["rho_mean"] == pytest.approx(stats.spearmanr(rising(made), made.ENTROPY).statistic)
    assert np.isnan(row["rho_sd"])
    assert "one seed" in row["note"]


def other_ids(made):
    return made.aulc_run(rising(made), ids=[f"other-{row}" for row in range(made.N)])


def other_labels(made):
    return made.aulc_run(rising(made), counts=np.roll(made.COUNTS, 1, axis=1))


@pytest.mark.parametrize(
    ("odd", "said"), [(other_ids, "track different examples (24 and 24)"), (other_labels, "disagree about the labels")]
)
def test_seeds_of_other_examples_are_refused_and_not_averaged(made, odd, said):
    cells = made.seeds(2) + made.seeds(2, method="full")
    runs = {cell["run_id"]: made.aulc_run(rising(made), run_id=cell["run_id"]) for cell in cells}
    runs[cells[1]["run_id"]] = odd(made)
    found = made.results(cells, runs)
    row = made.only(found.frames["table1"], method="lora-r4")
    assert np.isnan(row["rho_mean"])
    assert said in row["note"]
    assert row["n_seeds"] == 2
    assert any(said in note for note in found.notes)
    # The other condition is not touched, and each run keeps its own ρ.
    assert np.isfinite(made.only(found.frames["table1"], method="full")["rho_mean"])
    assert found.frames["runs"]["rho"].notna().all()
    # Pooled over conditions there is nothing to average either.
    assert found.frames["figure7"].empty
    assert said in found.frames["figure7_tests"].iloc[0]["note"]


def test_two_runs_of_one_seed_are_refused(made):
    cells = [made.cell(), made.cell(run_id="again")]
    runs = {cell["run_id"]: made.aulc_run(rising(made)) for cell in cells}
    row = made.results(cells, runs).frames["table1"].iloc[0]
    assert np.isnan(row["rho_mean"])
    assert "have the same seed" in row["note"]


def test_main_cells_of_two_rates_are_refused(made):
    cells = [made.cell(), made.cell(seed=123, learning_rate=1e-3, main=True)]
    runs = {cell["run_id"]: made.aulc_run(rising(made)) for cell in cells}
    assert "differ in learning_rate" in made.results(cells, runs).frames["table1"].iloc[0]["note"]


@pytest.mark.parametrize(
    "other",
    [
        {"learning_rate": 1e-3},
        {"composition": "low"},
        {"noise": 0.3, "noise_rule": ""},
        {"noise_rule": "uniform"},
        {"soft_labels": True},
    ],
)
def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(made, other):
    cells = [made.cell(), made.cell(seed=123, **other)]
    runs = {cell["run_id"]: made.aulc_run(rising(made)) for cell in cells}
    study = PaperStudy.of(made.table(*cells), None, runs)
    (group,) = study.groups(study.asked)
    assert group.problem == f"the runs differ in {next(iter(other))}, so their seeds are not averaged"
    assert group.usable == ()


@pytest.mark.parametrize("other", [{"noise": 0.3, "noise_rule": ""}, {"noise_rule": "uniform"}, {"soft_labels": True}])
def test_a_composition_with_other_labels_at_one_seed_has_no_mean(made, other):
    arms = [made.cell(composition="low"), made.cell(composition="low", seed=123, **other)]
    runs = {cell["run_id"]: made.aulc_run(rising(made)) for cell in arms}
    row = made.only(made.results(arms, runs).frames["table7"], composition="low")
    assert f"the runs differ in {next(iter(other))}" in row["note"]
    assert np.isnan(row["rho_mean"])


def renamed(values, old, new):
    return np.where(values == old, new, values)


@pytest.mark.parametrize(
    "odd",
    [
        # Each differs from the other seed's run in one thing alone.
        lambda run: run.examples.assign(entropy=run.entropy + np.where(run.gold == 0, 1e-3, 0.0)),
        lambda run: run.examples.assign(category=renamed(run.categories, "clean", "ambiguous")),
        lambda run: run.examples.assign(gold=(run.gold + 1) % 3),
    ],
    ids=["entropy", "category", "gold"],
)
def test_seeds_that_disagree_about_an_example_are_not_averaged(made, odd):
    cells = made.seeds(2)
    same = made.aulc_run(rising(made))
    other = replace(same, examples=odd(same))
    row = made.results(cells, {cells[0]["run_id"]: same, cells[1]["run_id"]: other}).frames["table1"].iloc[0]
    assert np.isnan(row["rho_mean"])
    assert "disagree about the labels, entropies or categories of the same examples" in row["note"]
    # One thing at a time is the same; entropies may differ by rounding.
    near = replace(same, examples=same.examples.assign(entropy=same.entropy + 1e-12))
    row = made.results(cells, {cells[0]["run_id"]: same, cells[1]["run_id"]: near}).frames["table1"].iloc[0]
    assert np.isfinite(row["rho_mean"])


@pytest.mark.parametrize(
    "names",
    [{"label_names": ("c", "n", "e")}, {"category_names": ("clean", "middle", "ambiguous", "contested")}],
    ids=["labels", "categories"],
)
def test_seeds_with_other_names_of_labels_or_categories_are_not_averaged(made, names):
    cells = made.seeds(2)
    same = made.aulc_run(rising(made))
    runs = {cells[0]["run_id"]: same, cells[1]["run_id"]: replace(same, **names)}
    assert "disagree about the labels" in made.results(cells, runs).frames["table1"].iloc[0]["note"]


def ia3(made, rate, seed=42):
    return made.cell(method="ia3", seed=seed, learning_rate=rate, main=False)


def ia3_runs(made, cells):
    """The runs of IA3 that Table 1 rests on."""
    runs = {cell["run_id"]: made.aulc_run(rising(made)) for cell in cells}
    return made.only(made.results(cells, runs).frames["table1"], method="ia3")["run_ids"].split(",")


def test_ia3_among_the_main_conditions_has_one_row(made):
    cells = made.seeds(2) + made.seeds(2, method="ia3", main=True)
    table = made.results(cells, {}).frames["table1"]
    assert table[["method", "main"]].to_numpy().tolist() == [["lora-r4", True], ["ia3", True]]


def test_the_usual_rate_is_that_of_most_main_cells(made):
    # Of all plain cells most have 1e-3, of the main ones most 2e-5.
    cells = [*made.seeds(3), made.cell("bert", learning_rate=1e-4, main=True)]
    cells += [made.cell(method="lora-r16", seed=seed, learning_rate=1e-3) for seed in range(5)]
    own = [ia3(made, 1e-3), ia3(made, 1e-3, 123), ia3(made, 2e-5)]
    assert ia3_runs(made, cells + own) == [own[2]["run_id"]]


def test_without_main_cells_the_usual_rate_is_that_of_most_cells(made):
    cells = [made.cell(seed=seed, main=False) for seed in range(3)]
    own = [ia3(made, 1e-3), ia3(made, 1e-3, 123), ia3(made, 2e-5)]
    # 2e-5 has four of the six cells.
    assert ia3_runs(made, cells + own) == [own[2]["run_id"]]


def test_a_condition_that_never_has_the_usual_rate_keeps_its_own_most_frequent(made):
    own = [ia3(made, 1e-4), ia3(made, 1e-3), ia3(made, 1e-3, 123)]
    assert ia3_runs(made, made.seeds(3) + own) == [cell["run_id"] for cell in own[1:]]
    # Of several the first.
    assert ia3_runs(made, made.seeds(3) + own[:2]) == [own[0]["run_id"]]


def test_seeds_tracked_at_other_steps_are_averaged_with_a_caution(made):
    cells = made.seeds(2)
    flat = np.tile(rising(made), (3, 1))
    runs = {
        cells[0]["run_id"]: made.run(flat, steps=[0, 100, 200]),
        cells[1]["run_id"]: made.run(flat[:2], steps=[0, 200]),
    }
    found = made.results(cells, runs)
    assert "tracked at different steps" in found.frames["table1"].iloc[0]["note"]
    assert sorted(set(found.frames["figure1"]["step"])) == [0, 200]


def test_a_run_that_cannot_be_used_is_a_gap_with_its_reason(made):
    cells = made.seeds(3)
    broken = made.aulc_run(rising(made))
    broken.losses[0, 0] = np.nan
    runs = {
        cells[0]["run_id"]: made.aulc_run(rising(made)),
        cells[1]["run_id"]: broken,
        cells[2]["run_id"]: made.aulc_run(rising(made), status="running"),
    }
    found = made.results(cells, runs)
    assert found.frames["table1"].iloc[0]["n_seeds"] == 1
    assert "1 of 48 values are NaN" in found.gaps[0]
    assert "its status is running" in found.gaps[1]


def test_constant_aulc_is_stated(made):
    cells = made.seeds(1)
    found = made.results(cells, {cells[0]["run_id"]: made.aulc_run(0.5)})
    row = found.frames["table1"].iloc[0]
    assert np.isnan(row["rho_mean"])
    assert np.isnan(row["p_bonferroni"])
    assert not row["significant_bonferroni"]
    assert row["family_size"] == 0
    assert "constant: aulc" in row["note"]
    assert "constant: aulc" in found.frames["runs"].iloc[0]["notes"]


def test_bad_cells_are_refused(made):
    with pytest.raises(DataError, match="seed"):
        made.results(made.table(made.cell()).drop(columns="seed"), {})
    with pytest.raises(DataError, match="run ids are duplicated: roberta-lora-r4-snli-42"):
        made.results([made.cell(), made.cell()], {})
    with pytest.raises(DataError, match="no learning rate"):
        made.results([made.cell(learning_rate=np.nan)], {})


def test_other_rates_and_the_rank_sweep_do_not_leak_into_the_conditions(made):
    cells = [
        *made.seeds(2),
        made.cell(learning_rate=1e-3, group="lr-control"),
        made.cell(method="lora-r1", main=False, group="rank-sweep"),
    ]
    runs = {cell["run_id"]: made.aulc_run(rising(made, place)) for place, cell in enumerate(cells)}
    found = made.results(cells, runs)
    for name in ("table1", "table2", "figure6", "learning_order"):
        assert found.frames[name]["run_ids"].tolist() == ["roberta-lora-r4-snli-42,roberta-lora-r4-snli-123"]


def test_k_of_2_and_4_are_analysed(made):
    for counts in ([[9, 1], [8, 2], [7, 3], [6, 4]] * 2, [[9, 1, 0, 0], [7, 3, 0, 0], [5, 3, 2, 0], [3, 3, 2, 2]] * 2):
        cells, n = made.seeds(2), len(counts)
        # Both copies of an example have the same entropy and AULC: order without a break.
        losses = np.tile(np.tile([0.1, 0.2, 0.3, 0.4], 2), (2, 1))
        runs = {cell["run_id"]: made.run(losses, counts=counts) for cell in cells}
        found = made.results(cells, runs)
        assert found.frames["table1"].iloc[0]["rho_mean"] == pytest.approx(1.0)
        fixed = found.frames["figure5"].query("scheme == 'fixed'")
        assert fixed["note"].str.contains("scaled by ln").all()
        assert fixed["n"].sum() == n


def test_an_empty_category_is_stated(made):
    cells = made.seeds(2)
    counts = made.COUNTS[8:]  # no clean example
    losses = np.linspace(0.2, 0.9, len(counts)) + np.array([[0.0], [0.1]])
    found = made.results(cells, {cell["run_id"]: made.run(losses, counts=counts) for cell in cells})
    row = found.frames["table2"].iloc[0]
    assert row["contested_change"] == pytest.approx(0.1)
    assert np.isnan(row["clean_change"])
    assert "clean: no examples" in row["note"]
    empty = made.only(found.frames["dynamics"], category="clean")
    assert (empty["n"], empty["note"]) == (0, "no examples")
    assert "no examples" in made.only(found.frames["figure9"], category="clean")["note"]
