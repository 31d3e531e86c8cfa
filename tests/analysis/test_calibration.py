from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import (
    calibrated_ece,
    calibration_by_category,
    calibration_error,
    expected_calibration_error,
    max_confidence,
    prediction_entropy,
)
from contested.errors import ConfigError, DataError

NAMES = ("clean", "ambiguous", "contested")


def generator(seed=0):
    return np.random.default_rng(seed)


def sample(n=200, classes=3):
    logits = 2 * generator().normal(size=(n, classes))
    return logits, generator(1).integers(0, classes, n), generator(2).choice(NAMES, n)


def slow_ece(logits, gold, n_bins):
    """Bin by bin: share of examples times |accuracy - mean confidence|, bins closed above."""
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    total = 0.0
    for b in range(n_bins):
        inside = [i for i, p in enumerate(shares) if b / n_bins < p.max() <= (b + 1) / n_bins]
        if inside:
            accuracy = np.mean([shares[i].argmax() == gold[i] for i in inside])
            total += len(inside) / len(gold) * abs(accuracy - np.mean([shares[i].max() for i in inside]))
    return total


def test_entropy_and_confidence_by_hand():
    logits = np.log([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]]) + 7.0
    # -(½ ln ½ + 2 · ¼ ln ¼) = 1.5 ln 2; a uniform answer has ln 3
    assert prediction_entropy(logits) == pytest.approx([1.5 * np.log(2), np.log(3)])
    assert max_confidence(logits) == pytest.approx([0.5, 1 / 3])


def test_entropy_is_scipys_in_nats():
    logits, *_ = sample()
    assert prediction_entropy(logits) == pytest.approx(stats.entropy(np.exp(logits), axis=1))


@pytest.mark.filterwarnings("error")
def test_certain_answers_have_no_entropy():
    assert prediction_entropy([[1000.0, 0.0, -1000.0]]).tolist() == [0.0]
    assert max_confidence([[1000.0, 0.0, -1000.0]]).tolist() == [1.0]


@pytest.mark.parametrize("n_bins", [1, 2, 15])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_ece_is_a_slow_loop(n_bins, classes):
    logits, gold, _ = sample(classes=classes)
    assert expected_calibration_error(logits, gold, n_bins) == pytest.approx(slow_ece(logits, gold, n_bins))


def test_ece_by_hand():
    # Two bins. Confidence 0.8 in (½, 1] twice, one right: |½ - 0.8| = 0.3. Confidence 0.4 in (0, ½], right:
    # |1 - 0.4| = 0.6. Weighted 2/3 · 0.3 + 1/3 · 0.6 = 0.4
    logits = np.log([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])
    assert expected_calibration_error(logits, [0, 0, 0], 2) == pytest.approx(0.4)


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin():
    # Confidence exactly ½ (wrong) and ¾ (right), two bins: apart |0 - ½| / 2 + |1 - ¾| / 2 = 3/8;
    # together they would give |½ - 5/8| = 1/8. Logits ln 3 and 0 round; 0 and 0 give ½ exactly.
    logits = [[0.0, 0.0], [np.log(3.0), 0.0]]
    assert max_confidence(logits)[0] == 0.5
    assert expected_calibration_error(logits, [1, 0], 2) == pytest.approx(3 / 8)


def test_full_confidence_that_is_always_right_has_no_error_and_always_wrong_all():
    logits = [[1000.0, 0.0]] * 4
    assert expected_calibration_error(logits, [0] * 4) == 0.0
    assert expected_calibration_error(logits, [1] * 4) == 1.0


def chances(confidences):
    """Logits of two classes, the first with these probabilities of at least a half."""
    return np.log(np.column_stack([confidences, 1 - np.asarray(confidences)]))


def draws(n, gap, rng, alpha=4.0):
    """A model of two classes that is right with its own probability less a gap."""
    sure = 0.5 + rng.beta(alpha, 2, n) / 2
    true = np.clip(sure - gap, 0.02, 1)
    return chances(sure), (rng.random(n) >= true).astype(int), sure, true


def test_ece_of_a_calibrated_model_is_the_mean_over_all_outcomes():
    # Bins (½, 1]: three answers with 0.6, 0.7, 0.9; (0, ½]: one with ½. All 2⁴ outcomes, weighted.
    sure = np.array([0.5, 0.6, 0.7, 0.9])
    expected = 0.0
    for outcome in np.ndindex(2, 2, 2, 2):
        weight = np.prod(np.where(outcome, sure, 1 - sure))
        gaps = np.array(outcome) - sure
        expected += weight * (abs(gaps[0]) + abs(gaps[1:].sum())) / 4
    assert calibrated_ece(chances(sure), 2) == pytest.approx(expected)


def test_ece_of_a_calibrated_model_is_that_of_simulated_answers():
    rng = generator(7)
    logits, *_ = draws(94, 0.0, rng)
    sure = max_confidence(logits)
    simulated = [expected_calibration_error(logits, (rng.random(94) >= sure).astype(int)) for _ in range(2000)]
    assert calibrated_ece(logits) == pytest.approx(np.mean(simulated), abs=4 * np.std(simulated) / np.sqrt(2000))


def test_many_examples_in_a_bin_are_normal():
    logits = chances(np.full(2001, 0.8))
    exact = 2001 * 0.16  # variance of the number of right answers
    assert calibrated_ece(logits) == pytest.approx(np.sqrt(2 * exact / np.pi) / 2001)
    assert calibrated_ece(logits) == pytest.approx(calibrated_ece(logits[1:]), rel=1e-3)


def test_the_debiased_error_is_its_papers_formula():
    """Kumar et al., Definition 4.1: Σ_b p_b [(s_b - ŷ_b)² - ŷ_b (1 - ŷ_b) / (n_b - 1)], s_b one value a bin."""
    rng = generator(4)
    sure = np.repeat([0.6, 0.75, 0.9], [40, 50, 60])
    right = rng.random(150) < sure - 0.1
    expected = 0.0
    for value in (0.6, 0.75, 0.9):
        y = right[sure == value]
        expected += len(y) / 150 * ((value - y.mean()) ** 2 - y.mean() * (1 - y.mean()) / (len(y) - 1))
    found = calibration_error(chances(sure), (~right).astype(int))
    assert (found.n, found.n_bins) == (150, 3)
    assert found.squared == pytest.approx(expected)
    assert found.estimate == pytest.approx(np.sqrt(expected))
    assert found.low < found.estimate < found.high


def test_the_debiased_error_leaves_pairs_of_a_cluster_out():
    rng = generator(5)
    logits, gold, sure, _ = draws(40, 0.1, rng)
    clusters = np.arange(40) // 2
    g = sure - (gold == 0)
    order = np.argsort(sure, kind="stable")
    found, total = calibration_error(logits, gold, clusters=clusters), 0.0
    for rows in np.split(order, 4):
        pairs = [g[i] * g[j] for i in rows for j in rows if clusters[i] != clusters[j]]
        total += len(rows) / 40 * np.mean(pairs)
    assert found.n_bins == 4
    assert found.squared == pytest.approx(total)


@pytest.mark.parametrize("n", [30, 94])
def test_a_calibrated_model_has_no_error_on_average(n):
    squares, zero, plain = [], 0, []
    for seed in range(250):
        logits, gold, *_ = draws(n, 0.0, generator(seed))
        found = calibration_error(logits, gold)
        squares.append(found.squared)
        zero += found.low == 0
        plain.append(expected_calibration_error(logits, gold))
    assert abs(np.mean(squares)) < 3 * np.std(squares) / np.sqrt(250)
    assert zero / 250 > 0.94
    assert np.mean(plain) > 0.06


def test_the_interval_holds_the_error_of_the_bins():
    missed = 0
    for seed in range(200):
        logits, gold, sure, true = draws(94, 0.12, generator(seed))
        edges = np.quantile(sure, np.arange(1, 9) / 9)
        inside = np.searchsorted(edges, sure)
        truth = sum(np.mean(inside == b) * (sure - true)[inside == b].mean() ** 2 for b in range(9))
        found = calibration_error(logits, gold)
        missed += not found.low <= np.sqrt(truth) <= found.high
    assert missed / 200 < 0.09


@pytest.mark.filterwarnings("error")
def test_an_error_that_has_no_interval_says_why():
    few = calibration_error(chances([0.8] * 5), [0] * 5)
    assert np.isnan(few.estimate)
    assert few.note.startswith("5 examples: too few")
    one = calibration_error(chances([0.8] * 8), [0] * 8, clusters=["a"] * 8)
    assert one.note.startswith("1 example: too few")
    certain = calibration_error([[1000.0, 0.0]] * 20, [1] * 20)
    assert (certain.estimate, certain.squared) == (1.0, 1.0)
    assert np.isnan(certain.low)
    assert certain.note.startswith("every probability is 0 or 1")
    # Equal probabilities are one bin; the others are of one cluster.
    logits, clusters = chances([0.6] * 10 + [0.9] * 10), [*range(10), *["same"] * 10]
    assert calibration_error(logits, [0] * 20, clusters=clusters).note.startswith("a bin has one cluster")


def test_rows_are_those_of_their_examples():
    logits, gold, categories = sample()
    rows = calibration_by_category(logits, gold, categories, NAMES)
    assert [row.category for row in rows] == [*NAMES, "overall"]
    for row in rows:
        inside = np.ones(200, dtype=bool) if row.category == "overall" else categories == row.category
        assert row.n == inside.sum()
        assert row.accuracy == pytest.approx(np.mean(logits[inside].argmax(axis=1) == gold[inside]))
        assert row.prediction_entropy == pytest.approx(stats.entropy(np.exp(logits[inside]), axis=1).mean())
        assert row.max_confidence == pytest.approx((np.exp(logits).max(1) / np.exp(logits).sum(1))[inside].mean())
        assert row.ece == pytest.approx(slow_ece(logits[inside], gold[inside], 15))
        assert row.ece_calibrated == calibrated_ece(logits[inside])
        assert row[7:11] == calibration_error(logits[inside], gold[inside])[:4]
        assert row.note == ""


def test_order_of_examples_changes_nothing():
    logits, gold, categories = sample()
    order = generator(3).permutation(200)
    first = calibration_by_category(logits, gold, categories, NAMES)
    for one, other in zip(
        first, calibration_by_category(logits[order], gold[order], categories[order], NAMES), strict=True
    ):
        assert other[1:-1] == pytest.approx(one[1:-1])


@pytest.mark.filterwarnings("error")
def test_an_empty_category_keeps_its_row_with_a_note():
    row = calibration_by_category([[0.0, 1.0]], [1], ["clean"], NAMES)[2]
    assert (row.category, row.n, row.note) == ("contested", 0, "no examples")
    assert np.isnan(row[2:-1]).all()


@pytest.mark.parametrize(
    ("logits", "gold", "message"),
    [
        (np.empty((0, 3)), [], "no examples given"),
        ([[0.0, 1.0]], [2], "indices 2 to 2, expected 0 to 1"),
        ([[0.0, 1.0]], [0, 1], "logits 1, gold 2"),
        ([[0.0, np.inf]], [0], "logits: 1 of 2"),
        ([0.0, 1.0], [0], r"shape \(2,\)"),
    ],
)
def test_input_that_does_not_fit_is_refused(logits, gold, message):
    with pytest.raises(DataError, match=message):
        expected_calibration_error(logits, gold)


def test_no_bins_are_refused():
    with pytest.raises(ConfigError, match="n_bins: given 0"):
        expected_calibration_error([[0.0, 1.0]], [1], 0)
