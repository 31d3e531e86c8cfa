from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from contested.annotations import measures
from contested.errors import ConfigError, DataError

LN2, LN3 = math.log(2), math.log(3)


@pytest.fixture
def random_counts() -> np.ndarray:
    counts = np.random.default_rng(7).integers(0, 9, size=(200, 4))
    counts[:, 0] += counts.sum(axis=1) == 0
    return counts


def test_distributions_divide_each_row_by_its_own_number_of_annotators():
    # (1, 3) of 4 and (2, 0) of 2
    np.testing.assert_array_equal(measures.distributions([[1, 3], [2, 0]]), [[0.25, 0.75], [1.0, 0.0]])


def test_plugin_entropy_is_in_nats():
    # Even halves: ln 2. Even thirds: ln 3. One class: 0.
    # (1, 1, 2): 2 · (1/4) ln 4 + (1/2) ln 2 = ln 2 + ln 2 / 2 = 1.5 ln 2
    values = measures.entropy([[5, 5, 0], [2, 2, 2], [0, 9, 0], [1, 1, 2]])
    np.testing.assert_allclose(values, [LN2, LN3, 0.0, 1.5 * LN2], rtol=1e-15)


def test_plugin_entropy_of_agreement_is_positive_zero():
    assert not np.signbit(measures.entropy([[0, 100, 0]])).any()


def test_plugin_entropy_equals_scipy(random_counts):
    np.testing.assert_allclose(
        measures.entropy(random_counts), scipy.stats.entropy(random_counts, axis=1), rtol=1e-13, atol=1e-15
    )


def test_entropy_of_permuted_counts_is_bit_identical(random_counts):
    original = measures.entropy(random_counts)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        assert (measures.entropy(random_counts[:, order]) == original).all()


@pytest.mark.parametrize(("classes", "most"), [(3, 100), (40, 100)])
def test_patterns_are_the_different_sorted_rows(classes, most):
    """40 classes of up to 100 have more rows than one whole number holds."""
    counts = np.random.default_rng(0).integers(0, most, (300, classes))
    counts[150:] = counts[:150, ::-1]
    patterns, which = measures.count_patterns(counts)
    np.testing.assert_array_equal(patterns, np.unique(np.sort(counts, axis=1), axis=0))
    np.testing.assert_array_equal(patterns[which], np.sort(counts, axis=1))


def test_chao_shen_by_hand():
    # (2, 1, 0): one class seen once, so a coverage of 1 - 1/3; p = 4/9 and 2/9, seen with 1 - (1 - p)³.
    # (1, 1, 1): all seen once, which would leave no coverage: 1 - 2/3; p = 1/9 each.
    expected = [
        -sum(p * np.log(p) / (1 - (1 - p) ** 3) for p in (4 / 9, 2 / 9)),
        -3 * (1 / 9) * np.log(1 / 9) / (1 - (8 / 9) ** 3),
        0.0,
    ]
    assert measures.entropy([[2, 1, 0], [1, 1, 1], [0, 3, 0]], "chao-shen") == pytest.approx(expected)
    assert np.isnan(measures.entropy([[1, 0]], "chao-shen")).all()


def test_chao_shen_is_right_on_average_where_the_plugin_is_low():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(5, rng.dirichlet([0.36] * 3, 4000))
    truth = scipy.stats.entropy(rng.dirichlet([0.36] * 3, 200_000), axis=1).mean()
    assert measures.entropy(counts, "chao-shen").mean() == pytest.approx(truth, abs=0.03)
    assert measures.entropy(counts).mean() < truth - 0.1


def test_miller_madow_adds_observed_classes_minus_one_over_twice_n():
    # (5, 5, 0): m = 2, n = 10, + 1/20. (0, 9, 0): m = 1, + 0. (1, 1, 1): m = 3, n = 3, + 2/6 > ln 3
    values = measures.entropy([[5, 5, 0], [0, 9, 0], [1, 1, 1]], "miller-madow")
    np.testing.assert_allclose(values, [LN2 + 0.05, 0.0, LN3 + 1 / 3], rtol=1e-15)
    assert values[2] > LN3


def test_unknown_estimator_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'miller-madov' \(did you mean 'miller-madow'\?\).*plugin"):
        measures.entropy([[1, 1]], "miller-madov")  # type: ignore[arg-type]


def test_majority_tie_goes_to_the_first_class():
    assert measures.majority([[1, 4, 0], [2, 3, 3], [5, 0, 5], [0, 0, 1]]).tolist() == [1, 1, 0, 2]


def test_ties_are_shared_highest_counts_only():
    # (3, 3, 8): the shared count is not the highest.
    assert measures.ties([[2, 3, 3], [3, 3, 8], [1, 1, 1]]).tolist() == [True, False, True]


def test_krippendorff_alpha_by_hand():
    # Rows (2,0) (0,2) (1,1): n = 6, n_c = (3, 3).
    # D_o = 1/6 · (4 − 2)/(2 − 1) = 1/3; D_e = (36 − 18)/(6 · 5) = 3/5; α = 1 − 5/9
    assert measures.krippendorff_alpha([[2, 0], [0, 2], [1, 1]]) == pytest.approx(4 / 9)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_krippendorff_alpha_is_that_of_the_package(level, random_counts):
    oracle = pytest.importorskip("krippendorff")
    counts = random_counts[random_counts.sum(axis=1) > 0]
    values = [3.0, 1.0, 7.0, 2.0]
    # The package takes columns of counts in rising order of their values.
    order = np.argsort(values)
    expected = oracle.alpha(value_counts=counts[:, order], value_domain=sorted(values), level_of_measurement=level)
    assert measures.krippendorff_alpha(counts, level, values) == pytest.approx(expected, abs=1e-12)


def test_levels_and_values_are_checked():
    with pytest.raises(ConfigError, match="Unknown level 'ratio'"):
        measures.krippendorff_alpha([[1, 1]], "ratio")
    with pytest.raises(ConfigError, match="Expected 2 different numbers"):
        measures.krippendorff_alpha([[1, 1]], "interval", [1, 1])


def test_krippendorff_alpha_skips_rows_with_fewer_than_two_annotations():
    kept = [[2, 0], [0, 2], [1, 1]]
    assert measures.krippendorff_alpha([*kept, [1, 0], [0, 0]]) == measures.krippendorff_alpha(kept)


def test_krippendorff_alpha_degenerate_results():
    assert measures.krippendorff_alpha([[3, 0], [5, 0]]) == 1.0
    # The only disagreement stands in rows that are skipped.
    assert measures.krippendorff_alpha([[3, 0], [0, 1]]) == 1.0
    assert math.isnan(measures.krippendorff_alpha([[1, 0], [0, 1], [0, 0]]))
    assert math.isnan(measures.krippendorff_alpha(np.zeros((0, 2), dtype=int)))


def test_krippendorff_alpha_equals_the_reference_package(random_counts):
    reference = pytest.importorskip("krippendorff")
    counts = random_counts[random_counts.sum(axis=1) >= 2]
    expected = reference.alpha(value_counts=counts, level_of_measurement="nominal")
    assert measures.krippendorff_alpha(random_counts) == pytest.approx(expected, abs=1e-12)


def test_pairwise_agreement_by_hand():
    # (3, 1): 3 of 6 pairs agree. (1, 1, …): 0 of 1. (4, 0): all. Mean of 1/2, 0, 1.
    counts = [[3, 1], [1, 1], [4, 0], [1, 0], [0, 0]]
    assert measures.pairwise_agreement(counts) == pytest.approx(0.5)
    assert math.isnan(measures.pairwise_agreement([[1, 0]]))


def test_large_counts_do_not_overflow():
    half = 2_000_000_000
    assert measures.pairwise_agreement([[half, half]]) == pytest.approx(0.5)
    assert measures.krippendorff_alpha([[half, half]]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 2], r"shape \(N, K\) with K ≥ 2 classes; given: \(2,\)"),
        ([[1], [2]], r"given: \(2, 1\)"),
        ([[1, 2], [3]], "all rows need the same length"),
        ([["1", "2"]], "given: values of type <U1"),
        ([[True, False]], "given: values of type bool"),
        ([[1, -1]], r"row 0 \(counted from 0\): \[1, -1\]"),
        ([[1.0, 0.5]], r"\[1.0, 0.5\]"),
        ([[1.0, float("nan")]], r"\[1.0, nan\]"),
    ],
)
def test_what_is_no_table_of_counts_is_refused(given, message):
    for function in (measures.entropy, measures.majority, measures.krippendorff_alpha):
        with pytest.raises(DataError, match=message):
            function(given)


def test_rows_without_annotations_are_refused_together():
    with pytest.raises(DataError, match="at least one annotation per row") as caught:
        measures.distributions([[0, 0], [1, 0], [0, 0]])
    assert [problem[:5] for problem in caught.value.problems] == ["row 0", "row 2"]
