from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import (
    calibration_by_category,
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
    assert np.isnan(row[2:6]).all()


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
