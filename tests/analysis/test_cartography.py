from __future__ import annotations

import numpy as np
import pandas as pd
import pingouin
import pytest
import statsmodels.api as sm

from contested.analysis import added_variance, cartography, overlap, regions
from contested.errors import DataError


def generator(seed=0):
    return np.random.default_rng(seed)


def test_coordinates_by_hand():
    # Gold probabilities ½ then ¼ for the first example, 1/5 then 4/5 for the second.
    shares = np.array([[[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]], [[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]]])
    found = cartography(np.log(shares) + 3.0, [0, 2])
    # Means 3/8 and 9/20; population sd is half the distance of two values: 1/8 and 7/20. The second gold
    # probability is 1/10 at first.
    assert found.confidence == pytest.approx([3 / 8, 9 / 20])
    assert found.variability == pytest.approx([1 / 8, 7 / 20])
    assert found.correctness.tolist() == [0.5, 0.5]
    assert found.confidence.dtype == np.float64


def test_coordinates_are_a_slow_loop():
    rng = generator()
    logits, gold = rng.normal(size=(5, 7, 4)), rng.integers(0, 4, 7)
    found = cartography(logits, gold)
    for i, label in enumerate(gold):
        shares = [np.exp(logits[t, i, label]) / np.exp(logits[t, i]).sum() for t in range(5)]
        assert found.confidence[i] == pytest.approx(sum(shares) / 5)
        # the population standard deviation of the original: divided by T, not T - 1
        assert found.variability[i] ** 2 == pytest.approx(sum((s - sum(shares) / 5) ** 2 for s in shares) / 5)
        assert found.correctness[i] == pytest.approx(
            sum(max(logits[t, i]) == logits[t, i, label] for t in range(5)) / 5
        )


def test_large_logits_stay_finite_and_examples_keep_their_place():
    logits = np.array([[[1000.0, 0.0], [0.0, 1000.0]]] * 2)
    assert cartography(logits, [0, 0]).confidence.tolist() == [1.0, 0.0]
    assert cartography(logits[:, ::-1], [0, 0]).confidence.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("logits", "gold", "message"),
    [
        (np.zeros((1, 2, 3)), [0, 1], "given 1 checkpoint"),
        (np.zeros((2, 2, 3)), [0, 3], "indices 0 to 3, expected 0 to 2"),
        (np.zeros((2, 2, 3)), [0], "logits 2, gold 1"),
        (np.full((2, 1, 3), np.nan), [0], "6 of 6 values"),
    ],
)
def test_logits_that_do_not_fit_are_refused(logits, gold, message):
    with pytest.raises(DataError, match=message):
        cartography(logits, gold)


def test_regions_by_hand():
    # Median of variability 0.25, of confidence 0.55: one value on neither side for even n.
    confidence, variability = [0.9, 0.6, 0.5, 0.1], [0.1, 0.3, 0.2, 0.4]
    assert regions(confidence, variability).tolist() == ["easy", "ambiguous", "hard", "ambiguous"]
    # On the median counts as above: variability 0.2 is ambiguous, confidence 0.5 is easy.
    assert regions([0.5, 0.1, 0.9], [0.1, 0.2, 0.3]).tolist() == ["easy", "ambiguous", "ambiguous"]


def test_regions_do_not_depend_on_order():
    confidence, variability = generator().random(21), generator(1).random(21)
    order = generator(2).permutation(21)
    assert regions(confidence[order], variability[order]).tolist() == regions(confidence, variability)[order].tolist()


def test_regions_of_nothing_and_of_constant_variability():
    assert regions([], []).tolist() == []
    assert regions([0.1, 0.9], [0.2, 0.2]).tolist() == ["ambiguous", "ambiguous"]


def test_overlap_is_a_crosstab_with_empty_cells_kept():
    categories = np.array(["clean", "clean", "clean", "contested", "contested"])
    found = overlap(categories, ["easy", "easy", "hard", "hard", "ambiguous"], ("clean", "middle", "contested"))
    cells = found.set_index(["category", "region"])
    assert len(found) == 9
    assert found["category"].tolist()[::3] == ["clean", "middle", "contested"]
    assert cells["n"].tolist() == [2, 0, 1, 0, 0, 0, 0, 1, 1]
    assert cells["share"].loc["clean"].tolist() == pytest.approx([2 / 3, 0, 1 / 3])
    assert cells["share"].loc["contested"].tolist() == pytest.approx([0, 0.5, 0.5])
    assert cells["share"].loc["middle"].isna().all()
    assert cells["note"].loc["middle"].unique().tolist() == ["no examples"]


def test_overlap_is_pandas_crosstab():
    names = ("clean", "contested")
    categories, where = generator().choice(names, 50), generator(1).choice(["easy", "ambiguous", "hard"], 50)
    reference = pd.crosstab(categories, where, normalize="index")
    for row in overlap(categories, where, names).itertuples():
        assert row.share == pytest.approx(reference.loc[row.category, row.region])


def test_overlap_refuses_unknown_regions_and_categories():
    with pytest.raises(DataError, match=r"Unknown regions \['easy-to-learn'\]"):
        overlap(["a"], ["easy-to-learn"], ["a"])
    with pytest.raises(DataError, match="Unknown categories"):
        overlap(["b"], ["easy"], ["a"])
    with pytest.raises(DataError, match="categories 1, regions 2"):
        overlap(["a"], ["easy", "hard"], ["a"])


def sample(n=80):
    rng = generator(5)
    confidence, variability, entropy = rng.random(n), rng.random(n), rng.random(n)
    return 1 - confidence + 0.2 * entropy + rng.normal(0, 0.2, n), confidence, variability, entropy


def test_added_variance_is_pingouins_and_its_p_that_of_robust_errors():
    aulc, confidence, variability, entropy = sample()
    frame = pd.DataFrame({"confidence": confidence, "variability": variability, "entropy": entropy})
    base = pingouin.linear_regression(frame[["confidence", "variability"]], aulc)["r2"].iloc[0]
    full = pingouin.linear_regression(frame, aulc)["r2"].iloc[0]
    found = added_variance(aulc, confidence, variability, entropy)
    assert found[:3] == pytest.approx((base, full, full - base))
    robust = sm.OLS(aulc, sm.add_constant(frame)).fit(cov_type="HC3", use_t=True)
    assert found.p_value == pytest.approx(robust.pvalues["entropy"])
    assert (found.n, found.note) == (80, "")


def test_the_flexible_base_is_all_polynomials_of_both_coordinates():
    aulc, confidence, variability, entropy = sample(400)
    powers = [confidence**i * variability**j for i in range(4) for j in range(4)]
    base = sm.OLS(aulc, np.column_stack(powers)).fit()
    full = sm.OLS(aulc, np.column_stack([*powers, entropy])).fit(cov_type="HC3", use_t=True)
    found = added_variance(aulc, confidence, variability, entropy)
    assert found.n_flexible == 15
    assert found.r2_flexible == pytest.approx(base.rsquared)
    assert found.delta_r2_flexible == pytest.approx(full.rsquared - base.rsquared)
    assert found.p_value_flexible == pytest.approx(full.pvalues[-1], rel=1e-6)


@pytest.mark.parametrize(("n", "n_flexible"), [(60, 3), (179, 3), (180, 8), (319, 8), (320, 15)])
def test_the_base_is_less_flexible_for_few_examples(n, n_flexible):
    assert added_variance(*sample(n)).n_flexible == n_flexible


def test_what_a_plane_misses_is_no_merit_of_entropy():
    """AULC follows from the map alone, and entropy goes with confidence: 5 % of tests may reject."""
    rejected = np.zeros(2)
    for seed in range(100):
        rng = generator(seed)
        confidence = rng.beta(2, 1.2, 400) * 0.9 + 0.05
        variability = rng.random(400) * np.minimum(confidence, 1 - confidence)
        entropy = 1.1 * (1 - confidence) ** 2 + 0.1 * rng.random(400)
        aulc = -np.log(confidence) + (variability / confidence) ** 2 / 2 + rng.normal(0, 0.1, 400)
        found = added_variance(aulc, confidence, variability, entropy)
        rejected += [found.p_value < 0.05, found.p_value_flexible < 0.05]
    assert rejected[0] > 90
    assert rejected[1] <= 11


def test_added_variance_does_not_depend_on_order():
    values = sample()
    order = generator().permutation(80)
    clusters = np.arange(80) // 2
    first = added_variance(*values, clusters=clusters)
    again = added_variance(*(v[order] for v in values), clusters=clusters[order])
    assert again[:-1] == pytest.approx(first[:-1])
    assert first.p_value != pytest.approx(added_variance(*values).p_value)


@pytest.mark.filterwarnings("error")
def test_a_constant_coordinate_leaves_a_curve_of_the_other():
    aulc, confidence, _, entropy = sample(400)
    found = added_variance(aulc, confidence, np.full(400, 0.2), entropy)
    assert np.isnan(found.p_value)
    assert found.note.startswith("some terms are constant")
    assert found.n_flexible == 3
    assert 0 < found.p_value_flexible < 1


@pytest.mark.filterwarnings("error")
def test_what_adds_no_variance_says_why():
    aulc, confidence, variability, entropy = sample()
    constant = added_variance(aulc, confidence, variability, np.full(80, 0.3))
    assert constant.r2_base > 0.5
    assert np.isnan([constant.r2_full, constant.delta_r2, constant.p_value]).all()
    assert np.isnan([constant.delta_r2_flexible, constant.p_value_flexible]).all()
    assert constant.note.startswith("some terms are constant")
    assert added_variance(np.ones(80), confidence, variability, entropy).note.startswith("constant: the response")
    assert added_variance(aulc[:4], confidence[:4], variability[:4], entropy[:4]).note.startswith("4 examples: too few")
