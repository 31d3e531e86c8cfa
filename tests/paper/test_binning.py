from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contested.analysis import mean_interval
from contested.errors import ConfigError, DataError
from contested.paper.binning import aulc_by_bins


def generator(seed=0):
    return np.random.default_rng(seed)


def sample(n=120):
    entropy = generator().random(n)
    return 0.5 * entropy + generator(1).normal(0, 0.1, n), entropy


def test_fixed_bins_by_hand():
    # Bounds 0.4 and 0.7 belong to the bin above.
    bins = aulc_by_bins([1, 2, 3, 4, 8], [0.0, 0.39, 0.4, 0.7, 1.0], "fixed", rng=generator())
    assert [(b.scheme, b.bin, b.position, b.n, b.mean) for b in bins] == [
        ("fixed", "clean", 0, 2, 1.5),
        ("fixed", "ambiguous", 1, 1, 3.0),
        ("fixed", "contested", 2, 2, 6.0),
    ]
    assert bins[1].note == "1 example: too few for a 95% interval (6 needed)"


@pytest.mark.parametrize(("scheme", "n_bins"), [("quartiles", 4), ("terciles", 3)])
def test_quantile_bins_are_pandas_qcut(scheme, n_bins):
    aulc, entropy = sample()
    means = pd.Series(aulc).groupby(pd.qcut(entropy, n_bins, labels=False)).agg(["mean", "size"])
    bins = aulc_by_bins(aulc, entropy, scheme, rng=generator())
    assert [b.mean for b in bins] == pytest.approx(means["mean"].tolist())
    assert [b.n for b in bins] == means["size"].tolist()
    assert [b.position for b in bins] == list(range(n_bins))
    assert all(b.note == "" for b in bins)


def test_a_bins_interval_is_that_of_its_examples():
    aulc, entropy = sample()
    found = aulc_by_bins(aulc, entropy, "fixed", rng=generator(2), n_resamples=8000)[2]
    alone = mean_interval(aulc[entropy >= 0.7], rng=generator(3), n_resamples=8000)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=0.005)


def test_fixed_bounds_scale_with_the_highest_entropy_and_say_so():
    # ln 9 / ln 3 = 2: bounds 0.8 and 1.4
    bins = aulc_by_bins([1, 2, 3], [0.79, 0.81, 1.41], "fixed", rng=generator(), n_classes=9)
    assert [b.n for b in bins] == [1, 1, 1]
    assert bins[0].note.startswith("bounds scaled by ln 9 / ln 3 to 0.800 and 1.400 nats; 1 example: too few")
    # ln 2 / ln 3 = 0.631: bounds 0.252 and 0.442
    two = aulc_by_bins([1, 2, 3], [0.25, 0.26, 0.45], "fixed", rng=generator(), n_classes=2)
    assert [b.n for b in two] == [1, 1, 1]


def test_quantile_bins_do_not_depend_on_the_number_of_classes():
    aulc, entropy = sample()
    first = aulc_by_bins(aulc, entropy, "terciles", rng=generator(), n_classes=2)
    assert first == aulc_by_bins(aulc, entropy, "terciles", rng=generator())


def test_order_of_examples_does_not_change_the_numbers():
    aulc, entropy = sample()
    order = generator(4).permutation(120)
    first = aulc_by_bins(aulc, entropy, "quartiles", rng=generator())
    again = aulc_by_bins(aulc[order], entropy[order], "quartiles", rng=generator())
    for one, other in zip(first, again, strict=True):
        assert (other.n, other.mean) == (one.n, pytest.approx(one.mean))
        assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.02)


def test_an_empty_bin_keeps_its_place_with_a_note():
    bins = aulc_by_bins(np.ones(8), np.zeros(8), "fixed", rng=generator())
    assert [b.n for b in bins] == [8, 0, 0]
    assert np.isnan([bins[1].mean, bins[1].low]).all()
    assert bins[1].note == "no examples"


def test_entropies_that_are_alike_cannot_be_cut_into_quantiles():
    with pytest.raises(DataError, match="cannot be cut into terciles"):
        aulc_by_bins(np.ones(8), np.zeros(8), "terciles", rng=generator())


def test_input_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="Unknown categories 'deciles'"):
        aulc_by_bins([1], [1], "deciles", rng=generator())
    with pytest.raises(ConfigError, match="n_classes: given 1"):
        aulc_by_bins([1], [1], "fixed", rng=generator(), n_classes=1)
    with pytest.raises(DataError, match="aulc 1, entropy 2"):
        aulc_by_bins([1], [1, 2], "fixed", rng=generator())
