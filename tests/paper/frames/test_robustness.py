from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats


def rising(made, seed=0):
    return 1.0 + made.ENTROPY / 2 + made.wobble(seed, 0.15)


def two_seeds(made, **values):
    cells = made.seeds(2)
    runs = {c["run_id"]: made.aulc_run(rising(made, place), **values) for place, c in enumerate(cells)}
    return made.results(cells, runs), (rising(made, 0) + rising(made, 1)) / 2


def residuals(y, *columns):
    design = np.column_stack([np.ones(len(y)), *columns])
    return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]


def partial(made, aulc, *columns):
    return stats.pearsonr(
        residuals(stats.rankdata(aulc), *columns), residuals(stats.rankdata(made.ENTROPY), *columns)
    ).statistic


def test_controls_on_the_seed_mean(made):
    genre = np.array(["fiction", "letters", "travel", "travel"] * 6, dtype=object)
    found, aulc = two_seeds(made, examples={"genre": genre, "score": np.arange(24.0)[::-1] ** 2})
    table = found.frames["controls"]
    assert table["control"].tolist() == ["none", "length", "gold", "both", "genre", "score"]
    length = stats.rankdata([1 + row * 5 % 7 for row in range(made.N)])
    gold = made.COUNTS.argmax(axis=1)
    dummies = [gold == 1, gold == 2]
    expected = {
        "none": stats.spearmanr(aulc, made.ENTROPY).statistic,
        "length": partial(made, aulc, length),
        "gold": partial(made, aulc, *dummies),
        "both": partial(made, aulc, length, *dummies),
        "genre": partial(made, aulc, genre == "letters", genre == "travel"),
    }
    for control, rho in expected.items():
        row = made.only(table, control=control)
        assert row["rho"] == pytest.approx(rho)
        assert row["low"] < row["rho"] < row["high"]
        assert row["n"] == made.N


def test_a_covariate_that_names_each_example_is_no_control(made):
    found, _ = two_seeds(made, examples={"uid": [f"u{row}" for row in range(made.N)]})
    row = made.only(found.frames["controls"], control="uid")
    assert np.isnan(row["rho"])
    assert row["note"].startswith("24 levels for 24 examples")


def test_missing_values_of_a_covariate_are_counted(made):
    genre = np.array([None, *["a", "b"] * 11, "a"], dtype=object)
    found, _ = two_seeds(made, examples={"genre": genre})
    row = made.only(found.frames["controls"], control="genre")
    assert (row["n"], row["note"]) == (23, "1 examples left out: the control or the entropy is missing")


def test_runs_without_text_have_no_length(made):
    cells = made.seeds(1)
    made_run = made.aulc_run(rising(made))
    object.__setattr__(made_run, "text_columns", ())
    object.__setattr__(made_run, "examples", made_run.examples.drop(columns="text"))
    found = made.results(cells, {cells[0]["run_id"]: made_run})
    for name in ("length", "both"):
        row = made.only(found.frames["controls"], control=name)
        assert np.isnan(row["rho"])
        assert "no text column" in row["note"]
    assert "no text column" in found.frames["regression"].iloc[0]["note"]
    assert np.isfinite(made.only(found.frames["controls"], control="gold")["rho"])


def test_regression_is_standardised(made):
    found, aulc = two_seeds(made)
    table = found.frames["regression"]
    assert table["term"].tolist() == ["intercept", "entropy", "length", "gold: n", "gold: c"]

    def z(values):
        return (values - np.mean(values)) / np.std(values, ddof=1)

    gold = made.COUNTS.argmax(axis=1)
    length = np.array([1 + row * 5 % 7 for row in range(made.N)])
    design = np.column_stack([np.ones(made.N), z(made.ENTROPY), z(length), gold == 1, gold == 2])
    beta = np.linalg.lstsq(design, z(aulc), rcond=None)[0]
    assert table["beta"].tolist() == pytest.approx(beta.tolist())
    left = z(aulc) - design @ beta
    assert table["r_squared"].iloc[0] == pytest.approx(1 - left @ left / (z(aulc) @ z(aulc)))


def test_per_label(made):
    found, aulc = two_seeds(made)
    table = found.frames["per_label"]
    assert (table["label"].tolist(), table["n"].tolist()) == (["e", "n", "c"], [8, 8, 8])
    of_n = made.COUNTS.argmax(axis=1) == 1
    assert made.only(table, label="n")["rho"] == pytest.approx(
        stats.spearmanr(aulc[of_n], made.ENTROPY[of_n]).statistic
    )


def test_bins_of_the_seed_mean(made):
    found, aulc = two_seeds(made)
    table = found.frames["figure5"]
    assert table.groupby("scheme", sort=False)["n"].sum().to_dict() == {"fixed": 24, "quartiles": 24, "terciles": 24}
    contested = made.only(table, scheme="fixed", bin="contested")
    assert (contested["position"], contested["n"]) == (2, 8)
    assert contested["aulc_mean"] == pytest.approx(aulc[16:].mean())
    assert contested["panel"] == "roberta · lora-r4 · snli"
    assert made.only(table, scheme="quartiles", position=0)["aulc_mean"] == pytest.approx(aulc[:6].mean())


def test_entropies_too_alike_for_quantiles_are_stated(made):
    cells = made.seeds(1)
    counts = np.array([[9, 1, 0]] * 6 + [[5, 4, 1]] * 6)
    losses = np.tile(np.linspace(0.2, 1.0, 12), (2, 1))
    table = made.results(cells, {cells[0]["run_id"]: made.run(losses, counts=counts)}).frames["figure5"]
    assert "cannot be cut into quartiles" in made.only(table, scheme="quartiles")["note"]
    assert (table["scheme"] == "fixed").sum() == 3


def test_learning_order_over_seeds(made):
    cells = made.seeds(3)
    order = np.linspace(0.2, 1.0, made.N)
    runs = {
        c["run_id"]: made.aulc_run(values) for c, values in zip(cells, (order, order * 2, order[::-1]), strict=True)
    }
    row = made.results(cells, runs).frames["learning_order"].iloc[0]
    # Rank sums are i + i + (25 - i) = 25 + i: S is that of 1 … 24, and W = 12 S / (9 (24³ - 24)) = 1 / 9.
    assert row["kendall_w"] == pytest.approx(1 / 9)
    one = made.results(cells[:1], runs).frames["learning_order"].iloc[0]
    assert np.isnan(one["kendall_w"])
    assert "1 order(s)" in one["note"]


def test_dynamics_by_hand(made):
    # Three checkpoints. Clean: right from step 100 on; ambiguous: right, wrong, right; contested: never right.
    right, wrong = 0.1, 2.0
    losses = np.stack(
        [
            made.by_category(wrong, right, wrong),
            made.by_category(right, wrong, wrong),
            made.by_category(right, right, wrong),
        ]
    )
    cells = made.seeds(2)
    table = made.results(cells, {c["run_id"]: made.run(losses) for c in cells}).frames["dynamics"]
    assert table["category"].tolist() == [*made.NAMES, "overall"]
    clean, ambiguous, contested, overall = table.to_dict("records")
    # A loss of 0.1 is below ln 3 = 1.10, one of 2.0 above.
    assert (clean["learning_time_median"], ambiguous["learning_time_median"]) == (100, 0)
    assert np.isnan(contested["learning_time_median"])
    assert "half or more never reach" in contested["note"]
    assert [row["never_learned_share"] for row in (clean, ambiguous, contested)] == [0, 0, 1]
    assert overall["never_learned_share"] == pytest.approx(1 / 3)
    assert [row["forgetting_mean"] for row in (clean, ambiguous, contested)] == [0, 1, 0]
    # Gold has e^-loss, each other class half of the rest: margins of logits and of probabilities at each checkpoint.
    gold = np.exp(-np.array([wrong, right, right]))
    other = (1 - gold) / 2
    assert clean["aum_mean"] == pytest.approx(np.mean(np.log(gold) - np.log(other)))
    assert clean["probability_margin_mean"] == pytest.approx(np.mean(gold - other))
    assert (clean["n"], overall["n"]) == (8, 24)


def test_frames_of_a_condition_without_runs_keep_its_row(made):
    frames = made.results(made.seeds(2), {}).frames
    for name in ("controls", "regression", "per_label", "figure5", "learning_order", "dynamics", "figure9", "figure1"):
        assert len(frames[name]) == 1, name
        assert frames[name].iloc[0][["note", "n_seeds", "n_expected"]].tolist() == ["no complete run", 0, 2]
    assert pd.isna(frames["controls"].iloc[0]["rho"])
