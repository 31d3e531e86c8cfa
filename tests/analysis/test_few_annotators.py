from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis.few_annotators import draw_annotations, few_annotators
from contested.annotations.categories import FIXED, Categories, categorize, recovered
from contested.annotations.certainty import category_probabilities
from contested.annotations.measures import entropy
from contested.errors import DataError


def generator(seed=0):
    return np.random.default_rng(seed)


def annotated(n=600, annotators=100, seed=0):
    """Counts of many annotators, and an AULC and Δℓ that go with the entropy behind them."""
    rng = generator(seed)
    shares = rng.dirichlet([0.36] * 3, n)
    human = stats.entropy(shares, axis=1)
    counts = rng.multinomial(annotators, shares)
    change = np.array([-0.4, -0.2, 0.15])[np.digitize(human, FIXED.bounds)]
    return counts, human + rng.normal(0, 0.6, n), change + rng.normal(0, 0.3, n), human


def test_draws_are_without_replacement():
    counts = np.array([[7, 2, 1], [0, 4, 0]])
    drawn = draw_annotations(np.broadcast_to(counts, (4000, 2, 3)), np.full((4000, 2), 4), generator())
    assert (drawn.sum(axis=2) == 4).all()
    assert (drawn <= counts).all()
    exact = stats.multivariate_hypergeom(counts[0], 4)
    assert drawn[:, 0].mean(axis=0) == pytest.approx(exact.mean(), abs=0.06)
    assert np.cov(drawn[:, 0].T) == pytest.approx(exact.cov(), abs=0.06)


def test_all_annotators_give_the_run_as_it_is():
    counts, aulc, change, _ = annotated()
    found = few_annotators(counts, aulc, change, FIXED, rng=generator())
    whole, human = found.rows[-1], entropy(counts)
    assert [row.annotators for row in found.rows] == ["2", "3", "5", "10", "20", "all"]
    assert (whole.n, whole.same_category, found.median) == (600, 1.0, 100)
    assert whole.rho == pytest.approx(stats.spearmanr(aulc, human).statistic)
    assert np.isnan(whole.rho_sd)
    given = categorize(human)
    for row in found.changes[-3:]:
        assert (row.n, row.mean) == ((given == row.category).sum(), pytest.approx(change[given == row.category].mean()))
    assert sum(row.expected for row in found.changes[-3:]) == pytest.approx(600)


def test_what_is_known_of_the_categories_is_not_computed_again():
    counts, aulc, change, _ = annotated(200)
    counts[:3] = [1, 0, 0]  # single annotations have no category
    known = category_probabilities(counts, FIXED)
    found = few_annotators(counts, aulc, change, FIXED, certainty=known, rng=generator())
    assert repr(found) == repr(few_annotators(counts, aulc, change, FIXED, rng=generator()))
    sure = known._replace(probabilities=np.ones_like(known.probabilities))
    assert few_annotators(counts, aulc, change, FIXED, certainty=sure, rng=generator()).rows[-1].certainty == 1.0


@pytest.fixture(scope="module")
def many():
    """Many examples, and what few annotators show of them."""
    counts, aulc, change, human = annotated(1500)
    return aulc, change, human, few_annotators(counts, aulc, change, FIXED, rng=generator())


@pytest.mark.parametrize("k", ["2", "3", "5", "10"])
def test_few_annotators_corrected_show_what_the_entropy_behind_them_would(many, k):
    aulc, _, human, found = many
    row = next(row for row in found.rows if row.annotators == k)
    truth = stats.spearmanr(aulc, human).statistic
    assert row.rho < truth - 0.05
    assert row.rho_corrected == pytest.approx(truth, abs=0.04)
    assert row.certainty == pytest.approx(row.same_category, abs=0.08)


def test_delta_of_a_category_is_corrected_for_examples_that_belong_elsewhere(many):
    _, change, human, found = many
    truth = {name: change[categorize(human) == name].mean() for name in FIXED.names}
    rows = {row.category: row for row in found.changes if row.annotators == "10"}
    for name, row in rows.items():
        assert abs(row.mean - truth[name]) > 0.04
        assert row.corrected == pytest.approx(truth[name], abs=0.03)
        assert row.expected == pytest.approx((categorize(human) == name).sum(), rel=0.1)


def test_reliability_of_what_there_is_comes_from_halves():
    counts, aulc, change, _ = annotated(1500, annotators=12, seed=1)
    whole = few_annotators(counts, aulc, change, FIXED, rng=generator()).rows[-1]
    # As many annotators once more, which the counts do not hold, are a second sample of the same distributions.
    rng = generator(1)
    again = rng.multinomial(12, rng.dirichlet([0.36] * 3, 1500))
    np.testing.assert_array_equal(annotated(1500, annotators=12, seed=1)[0], again)
    other = rng.multinomial(12, generator(1).dirichlet([0.36] * 3, 1500))
    assert whole.reliability == pytest.approx(stats.spearmanr(entropy(counts), entropy(other)).statistic, abs=0.05)
    assert whole.note == ""


def test_halves_of_few_annotations_are_noted_and_of_three_are_not_tried():
    five, three = (few_annotators(*annotated(annotators=k)[:3], FIXED, rng=generator()) for k in (5, 3))
    assert five.rows[-1].note.startswith("halves of so few annotations agree too little")
    assert five.sentence().endswith("rather less.")
    assert [row.annotators for row in three.rows] == ["2", "all"]
    assert three.rows[-1].note.startswith("fewer than 4 annotations")
    assert np.isnan([three.rows[-1].reliability, three.rows[-1].rho_corrected]).all()
    assert three.sentence().endswith("on average.")


def test_a_category_that_no_split_reaches_says_so():
    found = few_annotators(*annotated(annotators=10)[:3], FIXED, rng=generator())
    empty = next(row for row in found.changes if (row.annotators, row.category) == ("2", "contested"))
    assert (empty.n, empty.note) == (0.0, "no split of 2 annotations that occurs is contested")
    assert empty.expected > 50


def test_a_number_added_later_leaves_the_others_and_single_annotations_are_left_out():
    counts, aulc, change, _ = annotated(200)
    first = few_annotators(counts, aulc, change, FIXED, rng=generator())
    single = np.zeros((3, 3), np.int64)
    single[:, 0] = 1
    more = few_annotators(
        np.vstack([counts, single]), np.append(aulc, [1, 2, 3]), np.append(change, [1, 2, 3]), FIXED, rng=generator()
    )
    assert repr(more) == repr(first)  # NaN equals nothing


@pytest.mark.filterwarnings("error")
def test_too_few_examples_have_a_note():
    found = few_annotators(*(values[:5] for values in annotated()[:3]), FIXED, rng=generator())
    assert {row.note for row in found.rows} == {"5 examples: too few to say how reliable disagreement is (10 needed)"}
    assert found.sentence() == ""
    with pytest.raises(DataError, match="label_counts 2, aulc 1"):
        few_annotators([[3, 1], [2, 2]], [1.0], [1.0, 2.0], FIXED, rng=generator())


def test_bands_are_recovered_from_their_examples():
    human = entropy(annotated(50)[0])
    assert recovered(human, categorize(human), FIXED.names) == FIXED
    terciles = categorize(human, "terciles")
    found = recovered(human, terciles, ("low", "middle", "high"))
    assert found.assign(human).tolist() == terciles.tolist()
    assert recovered(human, np.array(["a", "b"], dtype=object)[np.arange(50) % 2], ("a", "b")) is None
    own = Categories(("low", "high"), (0.5,))
    assert recovered(human[human > 0.5], own.assign(human[human > 0.5]), own.names).bounds[0] > 0.5
    assert recovered(human[human < 0.5], own.assign(human[human < 0.5]), own.names) is None
