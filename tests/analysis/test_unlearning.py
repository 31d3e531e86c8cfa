from __future__ import annotations

import numpy as np
import pytest

from contested.analysis import change_by_category, mean_interval
from contested.errors import DataError

NAMES = ("clean", "ambiguous", "contested")


def generator(seed=0):
    return np.random.default_rng(seed)


def three_groups(n=40):
    rng = generator(3)
    change = np.concatenate([rng.normal(mean, 0.2, n) for mean in (-0.5, 0.0, 0.5)])
    return change, np.repeat(NAMES, n)


def test_rows_by_hand():
    change = [-1.0, -2.0, 0.5, 0.0, 3.0]
    found = change_by_category(change, ["a", "a", "b", "b", "b"], ("a", "b"), rng=generator())
    first, second = found.rows
    # a: (-1 - 2) / 2; b: (0.5 + 0 + 3) / 3, of which 0.5 and 3 rose: no change is no rise
    assert (first.category, first.n, first.mean, first.rose, first.rose_share) == ("a", 2, -1.5, 0, 0.0)
    assert (second.n, second.mean, second.rose) == (3, pytest.approx(3.5 / 3), 2)
    assert second.rose_share == pytest.approx(2 / 3)
    # overall: (-3 + 3.5) / 5, 2 of 5
    assert (found.overall.category, found.overall.n, found.overall.rose) == ("overall", 5, 2)
    assert found.overall.mean == pytest.approx(0.1)
    # b minus a: 3.5 / 3 + 1.5
    assert found.contrast[:4] == ("b", "a", 3, 2)
    assert found.contrast.difference == pytest.approx(3.5 / 3 + 1.5)
    assert found.measure == "loss"


def test_verdicts_follow_the_intervals():
    change, categories = three_groups()
    found = change_by_category(change, categories, NAMES, rng=generator(), measure="kl")
    assert [row.verdict for row in found.rows] == ["falls", "unclear", "rises"]
    for row, mean in zip(found.rows, (-0.5, 0.0, 0.5), strict=True):
        assert row.low < row.mean < row.high
        assert row.low < mean < row.high
    assert found.contrast.verdict == "rises"
    assert found.contrast.low < 1.0 < found.contrast.high
    assert found.measure == "kl"


def test_row_interval_is_that_of_its_examples_alone():
    change, categories = three_groups(400)
    row = change_by_category(change, categories, NAMES, rng=generator(1)).rows[2]
    alone = mean_interval(change[800:], rng=generator(2))
    assert (row.low, row.high) == pytest.approx((alone.low, alone.high), abs=0.005)


def test_contrast_is_the_highest_minus_the_lowest_category():
    change, categories = three_groups()
    found = change_by_category(-change, categories, NAMES, rng=generator()).contrast
    assert (found.category, found.reference, found.verdict) == ("contested", "clean", "falls")
    assert found.difference == pytest.approx(-change[80:].mean() + change[:40].mean())


def test_order_of_examples_does_not_change_the_numbers():
    change, categories = three_groups()
    order = generator(9).permutation(len(change))
    first = change_by_category(change, categories, NAMES, rng=generator())
    again = change_by_category(change[order], categories[order], NAMES, rng=generator())
    for one, other in zip(first.rows, again.rows, strict=True):
        assert other.mean == pytest.approx(one.mean)
        assert (other.n, other.rose, other.rose_low) == (one.n, one.rose, one.rose_low)
        assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.02)


def test_an_empty_category_keeps_its_row_with_a_note():
    found = change_by_category(np.ones(8), ["clean"] * 8, NAMES, rng=generator())
    empty = found.rows[2]
    assert (empty.n, empty.rose, empty.verdict, empty.note) == (0, 0, "unclear", "no examples")
    assert np.isnan([empty.mean, empty.low, empty.rose_share]).all()
    assert (found.contrast.verdict, found.contrast.note) == ("unclear", "smaller group: no examples")


def test_a_single_category_has_no_contrast():
    contrast = change_by_category(np.ones(8), ["all"] * 8, ["all"], rng=generator()).contrast
    assert np.isnan(contrast.difference)
    assert contrast.note == "only one category: nothing to compare it with"


def test_few_examples_support_no_verdict():
    row = change_by_category([1.0] * 5, ["a"] * 5, ["a"], rng=generator()).rows[0]
    assert (row.mean, row.verdict) == (1.0, "unclear")
    assert "too few" in row.note


@pytest.mark.parametrize(
    ("change", "categories", "names", "message"),
    [
        ([1.0, np.nan], ["a", "a"], ["a"], "change of loss: 1 of 2"),
        ([1.0, 2.0], ["a", "x"], ["a"], r"Unknown categories \['x'\]"),
        ([1.0, 2.0], ["a", None], ["a"], r"Unknown categories \['None'\]"),
        ([1.0, 2.0], ["a"], ["a"], "change 2, categories 1"),
        ([1.0], ["overall"], ["overall"], "may not be called"),
    ],
)
def test_input_that_does_not_fit_is_refused(change, categories, names, message):
    with pytest.raises(DataError, match=message):
        change_by_category(change, categories, names, rng=generator())


@pytest.mark.parametrize(("confidence", "z"), [(0.8, 1.2815516), (0.95, 1.9599640)])
def test_every_interval_has_the_confidence_asked_for(confidence, z):
    change, categories = three_groups()
    found = change_by_category(change, categories, NAMES, rng=generator(4), confidence=confidence, n_resamples=500)
    for row in (*found.rows, found.overall):
        # Wilson by hand: the shares p whose distance to the observed one is z standard errors at p.
        for end in (row.rose_low, row.rose_high):
            distance = row.rose_share - end
            assert distance**2 == pytest.approx(z**2 * end * (1 - end) / row.n, rel=1e-6, abs=1e-12)
    rng = generator(4)
    for place, row in enumerate(found.rows):
        own = mean_interval(change[40 * place :][:40], rng=rng, confidence=confidence, n_resamples=500)
        assert (row.low, row.high) == (own.low, own.high)
    # Normal theory, to a few percent: a mean of 40 draws of sd 0.2, and the difference of two such means.
    error = np.std(change[:40], ddof=1) / np.sqrt(40)
    assert found.rows[0].high - found.rows[0].low == pytest.approx(2 * z * error, rel=0.15)
    both = np.hypot(error, np.std(change[80:], ddof=1) / np.sqrt(40))
    assert found.contrast.high - found.contrast.low == pytest.approx(2 * z * both, rel=0.15)
