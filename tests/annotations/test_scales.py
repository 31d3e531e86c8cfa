"""Measures that know the order of ratings, and categories that are bands of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contested.annotations import Annotations, Categories, categorize, cut_counts, read_annotations
from contested.annotations.categories import FIXED, fixed_categories, recovered
from contested.annotations.certainty import category_probabilities
from contested.annotations.disagreement import Disagreement
from contested.annotations.notes import measure_notes
from contested.annotations.partitions import compositions, unreached
from contested.annotations.scales import (
    mean_pair_distance,
    mean_rating,
    polarisation,
    rating_table,
    ratings,
    scale_of,
    standard_deviation,
)
from contested.errors import ConfigError, DataError

FIVE = (1, 2, 3, 4, 5)
UNEVEN = (-50.0, -16.5, 17.0, 50.0)


def random_counts(seed, n=200, k=5):
    return np.random.default_rng(seed).multinomial(7, np.full(k, 1 / k), size=n)


@pytest.mark.parametrize("values", [FIVE, UNEVEN, (3, 1, 2)])
def test_measures_are_those_of_the_ratings_written_out(values):
    counts = random_counts(0, k=len(values))
    scale = np.array(values)
    for row, mean, sd, distance in zip(
        counts,
        mean_rating(counts, values),
        standard_deviation(counts, values),
        mean_pair_distance(counts, values),
        strict=True,
    ):
        given = np.repeat(scale, row)
        pairs = [abs(a - b) for i, a in enumerate(given) for j, b in enumerate(given) if i != j]
        assert (mean, sd, distance) == pytest.approx((given.mean(), given.std(), np.mean(pairs)), abs=1e-12)


def published_ndfu(histogram):
    """The steps of the published program, in plain Python: from the first of the highest classes outwards."""
    peak = max(range(len(histogram)), key=lambda c: (histogram[c], -c))
    right = [histogram[c + 1] - histogram[c] for c in range(peak, len(histogram) - 1)]
    left = [histogram[c - 1] - histogram[c] for c in range(peak, 0, -1)]
    return max([0, *right, *left]) / max(histogram)


def test_polarisation_is_the_published_ndfu_where_one_class_is_the_most_frequent():
    counts = random_counts(1)
    single = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) == 1
    found = polarisation(counts)
    assert single.sum() > 50
    assert found[single].tolist() == [published_ndfu(row) for row in counts[single].tolist()]
    # Else it is the larger of the two ways round, and the same for the reversed scale.
    reverse = polarisation(counts[:, ::-1])
    assert reverse.tolist() == found.tolist()
    both = [max(published_ndfu(row), published_ndfu(row[::-1])) for row in counts[~single].tolist()]
    assert found[~single].tolist() == both
    # [2, 0, 1, 2]: from the first peak the rises are 1 and 1, from the last one 0 and 2 of 2.
    assert published_ndfu([2, 0, 1, 2]) == 0.5
    assert polarisation([[2, 0, 1, 2]]).tolist() == [1.0]


def test_mirrored_ratings_have_the_same_bits():
    counts = random_counts(2)
    for by in ("sd", "pair-distance", "polarisation"):
        measure = Disagreement(by, FIVE)
        assert measure.of(counts).tolist() == measure.of(counts[:, ::-1]).tolist(), by


def test_classes_may_stand_in_any_order():
    counts, shuffled = random_counts(6, k=3), Disagreement("sd", (3, 1, 2))
    for by in ("sd", "pair-distance", "polarisation"):
        measure, rising = Disagreement(by, shuffled.values), Disagreement(by, (1, 2, 3))
        assert measure.of(counts).tolist() == rising.of(counts[:, [1, 2, 0]]).tolist(), by
        # Of 7 annotators, pairs with themselves among them or not.
        of_pairs = 7 / 6 if by == "pair-distance" else 1
        assert measure.of_weights(counts) * of_pairs == pytest.approx(measure.of(counts), abs=1e-12), by
    table = {name: column.tolist() for name, column in rating_table(counts, shuffled.values).items()}
    assert table == {k: v.tolist() for k, v in rating_table(counts[:, [1, 2, 0]], (1, 2, 3)).items()}


def test_ratings_far_from_zero_lose_no_digits():
    counts = random_counts(7)
    assert standard_deviation(counts, np.add(FIVE, 1e9)).tolist() == standard_deviation(counts, FIVE).tolist()


def test_ratings_of_one_annotator_have_no_spread():
    for by in ("sd", "pair-distance", "polarisation", "scaled-entropy"):
        assert np.isnan(Disagreement(by, FIVE).of([[1, 0, 0, 0, 0]])).all(), by
    assert mean_rating([[1, 0]], [1, 2]).tolist() == [1.0]


def test_order_tells_apart_what_entropy_does_not():
    near, far = [0, 2, 2, 0, 0], [2, 0, 0, 0, 2]
    assert categorize(Disagreement().of([near, far])).tolist() == ["ambiguous", "ambiguous"]
    for by in ("sd", "pair-distance", "polarisation"):
        assert cut_counts([near, far], disagreement=Disagreement(by, FIVE)).categories.tolist() == [
            "clean",
            "contested",
        ]


def test_fixed_bounds_are_shares_of_the_largest_value():
    # Half the annotators at either end of 1 to 5: deviation and distance of two draws (of many annotators) are 2.
    ends = np.array([[10**6, 0, 0, 0, 10**6]])
    for by in ("sd", "pair-distance", "polarisation"):
        measure = Disagreement(by, FIVE)
        largest = measure.of(ends)[0]
        assert largest == pytest.approx(1.0 if by == "polarisation" else 2.0, abs=1e-5)
        assert measure.bounds() == pytest.approx((0.4 / math.log(3) * largest, 0.7 / math.log(3) * largest), abs=1e-5)


def test_scaled_entropy_is_the_share_of_what_classes_and_annotators_can_reach():
    five = [2, 1, 1, 0, 0]  # n = 4 < K = 5: of ln 4
    many = [20, 10, 10, 0, 0]  # of ln 5
    entropy = 1.5 * math.log(2)
    found = Disagreement("scaled-entropy").of([five, many])
    assert found == pytest.approx([entropy * math.log(3) / math.log(4), entropy * math.log(3) / math.log(5)])
    three = random_counts(3, k=3)
    assert Disagreement("scaled-entropy").of(three).tolist() == Disagreement().of(three).tolist()
    # Two annotators who differ differ as much as they can.
    two = Annotations(("a",), [[1, 1, 0]], ("x", "y", "z"), disagreement=Disagreement("scaled-entropy"))
    assert two.categories().tolist() == ["contested"]
    assert two.item_table()["entropy_scaled_nats"].tolist() == pytest.approx([math.log(3)])


def test_bounds_of_ones_own_are_of_the_measure_of_the_annotations():
    data = Annotations(("a", "b"), [[0, 2, 2], [2, 0, 2]], ("1", "2", "3"), disagreement=Disagreement("sd", (1, 2, 3)))
    own = Categories.from_bounds([0.8])
    assert data.categories(own).tolist() == ["band-1", "band-2"]  # deviations 0.5 and 1; both entropies are ln 2
    assert data.select([1]).categories(own).tolist() == ["band-2"]
    # Bands of entropy are the paper's, whatever ratings the classes stand for.
    assert cut_counts([[1, 1, 0]], disagreement=Disagreement("entropy", (1, 2, 3))).bands == FIXED
    by_distance = Categories(("near", "far"), (1.2,), Disagreement("pair-distance", (1, 2, 3)))
    assert data.categories(by_distance).tolist() == ["near", "far"]  # 4/6 and 8/6


def test_terciles_are_of_the_measure():
    counts = [[4, 0, 0], [3, 1, 0], [2, 2, 0], [3, 0, 1], [2, 0, 2], [0, 0, 4]]
    found = cut_counts(counts, "terciles", disagreement=Disagreement("sd", (1, 2, 3)))
    # Deviations 0, 0.433, 0.5, 0.866, 1, 0.
    assert found.categories.tolist() == ["low", "middle", "middle", "high", "high", "low"]
    assert found.bands.disagreement.by == "sd"
    # Their bounds are no shares of the largest value, and are not said to be.
    assert measure_notes(found.bands.disagreement, found.bands.bounds) == [
        "Categories are cut by the standard deviation of the ratings, not by entropy, at 0.433 and 0.866 units of the "
        "scale."
    ]


def test_bounds_are_found_again_from_examples():
    counts = random_counts(4)
    measure = Disagreement("pair-distance", FIVE)
    cut = cut_counts(counts, disagreement=measure)
    assert recovered(measure.of(counts), cut.categories, cut.bands.names, disagreement=measure) == cut.bands
    # As bands of entropy they would be others, which no example contradicts only by chance.
    assert recovered(Disagreement().of(counts), cut.categories, cut.bands.names) is None


def test_probabilities_are_those_of_the_measure_and_know_the_order():
    bands = cut_counts([[1, 1, 0, 0, 0]], disagreement=Disagreement("sd", FIVE)).bands
    counts = np.array([[0, 20, 20, 0, 0], [20, 0, 0, 0, 20], [0, 0, 40, 0, 0]])
    found = category_probabilities(counts, bands, concentration=0.5).probabilities
    assert found.argmax(axis=1).tolist() == [0, 2, 0]
    # A slow draw of one row: the share of Dirichlet distributions whose deviation lies in each band.
    p = np.random.default_rng(5).dirichlet(counts[0] + 0.5, size=4000)
    mean = (p * np.array(FIVE)).sum(axis=1, keepdims=True)
    deviation = np.sqrt((p * (np.array(FIVE) - mean) ** 2).sum(axis=1))
    share = np.bincount(np.searchsorted(bands.bounds, deviation, side="right"), minlength=3) / len(p)
    assert found[0] == pytest.approx(share, abs=0.04)


def test_probabilities_of_scaled_entropy_are_those_of_scaled_bounds():
    # Of a distribution, which annotators without number would show, the scale is ln K: bounds times ln 5 / ln 3.
    some = [[5, 0, 0, 0, 0], [4, 1, 0, 0, 0], [2, 2, 1, 0, 0]]
    scaled = category_probabilities(some, fixed_categories(Disagreement("scaled-entropy"))).probabilities
    bounds = tuple(bound * math.log(5) / math.log(3) for bound in FIXED.bounds)
    assert scaled == pytest.approx(category_probabilities(some, Categories(FIXED.names, bounds)).probabilities)
    assert abs(scaled - category_probabilities(some, FIXED).probabilities).max() > 0.1


def test_compositions_are_all_and_say_what_few_annotators_cannot_reach():
    every = {counts for counts in np.ndindex(4, 4, 4) if sum(counts) == 3}
    assert {*map(tuple, compositions(3, 3).tolist())} == every
    bands = Categories(FIXED.names, Disagreement("polarisation", FIVE).bounds(), Disagreement("polarisation", FIVE))
    # Two annotators have one peak or two of the same height.
    assert unreached(2, 5, bands, "plugin") == ("ambiguous",)
    two = Annotations(
        ("a", "b"), [[1, 1, 0, 0, 0], [1, 0, 1, 0, 0]], tuple("vwxyz"), disagreement=Disagreement("polarisation", FIVE)
    )
    notes = " ".join(two.summary().notes)
    assert "no split has a value (polarisation) that is ambiguous" in notes
    assert "cut by polarisation (nDFU), not by entropy, at 0.3641 and 0.6372: 36 % and 64 %" in notes


def test_a_file_is_read_with_its_scale(write_text):
    path = write_text("a.csv", "id,r1,r2,r3,r4\nnear,2,2.0,3,3\nfar,1,1,5,5\nsame,3,3,3,3\n")
    columns = ["r1", "r2", "r3", "r4"]
    data = read_annotations(path, labels_column=columns, scale=[1, 2, 3, 4, 5], by="sd")
    assert data.label_names == ("1", "2", "3", "4", "5")
    assert data.categories().tolist() == ["clean", "contested", "clean"]
    table = data.item_table()
    assert table["label_mean"].tolist() == [2.5, 3, 3]
    assert table["label_polarisation"].tolist() == [0, 1, 0]
    assert not any("names without an order" in note for note in data.summary().notes)
    summary = data.summary().to_json()
    assert (summary["categories_by"], summary["category_unit"]) == ("sd", "units of the scale")
    # Ordered pairs of one item over 3, by 12: 8 · 1 and 8 · 16; expected of 2, 2, 6, 2 ratings 1, 2, 3, 5: 424 / 132.
    # Middle ranks 1, 3, 7, 11: 8 · 16 and 8 · 100; expected 2976 / 132.
    alphas = {"alpha_ordinal": 1 - 928 / 36 / (2976 / 132), "alpha_interval": 1 - 136 / 36 / (424 / 132)}
    distances = {"standard_deviation": 2.5 / 3, "pair_distance": (4 / 6 + 16 / 6) / 3, "polarisation": 1 / 3}
    assert summary["ratings"] == pytest.approx({"mean": 8.5 / 3, **distances, **alphas})
    # What a configuration says reads the same again.
    assert read_annotations(path, **data.reading["options"]).disagreement == data.disagreement
    with pytest.raises(DataError, match="unknown label '5'; expected 1, 2, 3"):
        read_annotations(path, labels_column=columns, scale=[1, 2, 3])


def test_names_in_order_are_equal_steps_and_said(write_text):
    path = write_text("a.csv", "id,r1,r2\na,never,often\nb,often,often\n")
    data = read_annotations(path, labels_column=["r1", "r2"], scale=["never", "sometimes", "often"], by="pair-distance")
    assert data.disagreement.values == (1, 2, 3)
    assert data.item_table()["label_pair_distance"].tolist() == [2, 0]
    assert "equal steps, 1 to 3" in data.summary().notes[-4] + data.summary().notes[0]


def test_what_knows_no_order_is_refused(write_text):
    path = write_text("a.csv", "id,r1,r2\na,no,yes\nb,yes,yes\n")
    with pytest.raises(ConfigError, match=r"by=sd needs the order of the classes.*: no, yes"):
        read_annotations(path, labels_column=["r1", "r2"], by="sd")
    with pytest.raises(ConfigError, match=r"cut by 'std'.*use one of entropy, scaled-entropy, sd"):
        read_annotations(path, labels_column=["r1", "r2"], by="std")
    with pytest.raises(ConfigError, match="scale and label_names both name the classes"):
        read_annotations(path, scale=["no", "yes"], label_names=["no", "yes"])
    with pytest.raises(ConfigError, match="rising order; given: 3, 2, 1"):
        read_annotations(path, scale=[3, 2, 1])
    with pytest.raises(DataError, match="a scale of 5 ratings for 3 classes"):
        Annotations(("a",), [[1, 1, 0]], ("x", "y", "z"), disagreement=Disagreement("sd", FIVE))
    with pytest.raises(ConfigError, match="The scale has 5 classes"):
        cut_counts([[1, 1]], disagreement=Disagreement("sd", FIVE))
    with pytest.raises(ConfigError, match="finite and distinct"):
        Disagreement("sd", (1, 1, 2))


@pytest.mark.parametrize(("names", "scale"), [("1234", True), ("012", False), ("abcd", False)])
def test_a_scale_has_four_numbers(names, scale):
    assert (scale_of(list(names)) is not None) == scale


def test_ratings_are_the_numbers_or_equal_steps():
    assert ratings(["-50", "0", "50"]) == (-50, 0, 50)
    assert ratings(["low", "2"]) == (1, 2)
