from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contested.annotations import FIXED, Categories, categorize, resolve_categories
from contested.errors import ConfigError, DataError


def test_fixed_bounds_belong_to_the_category_above():
    below = np.nextafter([0.4, 0.7], 0)
    values = [0.0, below[0], 0.4, below[1], 0.7, 1.0986]
    expected = ["clean", "clean", "ambiguous", "ambiguous", "contested", "contested"]
    assert categorize(values).tolist() == expected


def test_count_names_every_category_in_rising_order():
    assert list(FIXED.count([0.9, 0.9]).items()) == [("clean", 0), ("ambiguous", 0), ("contested", 2)]


@pytest.mark.parametrize(("scheme", "bands"), [("terciles", 3), ("quartiles", 4)])
def test_quantile_schemes_cut_as_pandas_qcut(scheme, bands):
    # Twelve distinct values repeated unevenly: many entropies lie exactly on a quantile.
    values = np.random.default_rng(3).choice(np.linspace(0, 1.1, 12), size=301)
    resolved = resolve_categories(values, scheme)
    codes = [resolved.names.index(name) for name in categorize(values, scheme)]
    assert codes == pd.qcut(values, bands, labels=False).tolist()


def test_terciles_keep_ties_together_in_the_lower_band():
    # Quantiles of (0, 0, 0, 1, 2, 3) at 1/3 and 2/3: positions 5/3 and 10/3, values 0 and 4/3.
    values = [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]
    assert resolve_categories(values, "terciles") == Categories(("low", "middle", "high"), (1.0, 2.0))
    assert categorize(values, "terciles").tolist() == ["low"] * 3 + ["middle", "high", "high"]


@pytest.mark.parametrize(
    "values", [[0.0] * 9, [0.0] * 9 + [0.5], [0.0, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0], []]
)
def test_quantiles_with_too_few_distinct_values_are_refused(values):
    with pytest.raises(DataError, match=r"cannot be cut into terciles.*Use fixed or own bounds"):
        categorize(values, "terciles")


@pytest.mark.parametrize(
    ("values", "cut"),
    [
        # Positions of the quartiles of eight values: 1.75, 3.5 and 5.25. Of the first row they are 0.275, 0.45 and 0.5,
        # which is the highest value: nothing lies above it. Of the second two quartiles are equal, 0.2.
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5], False),
        ([0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.4, 0.5], False),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.6, 0.6], True),
    ],
)
def test_quartiles_need_values_above_the_highest_and_four_bands(values, cut):
    if cut:
        assert categorize(values, "quartiles").tolist() == ["q1", "q1", "q2", "q2", "q3", "q3", "q4", "q4"]
        return
    with pytest.raises(DataError, match=r"cannot be cut into quartiles: 8 examples have only 5 distinct values"):
        categorize(values, "quartiles")


def test_own_bounds_get_names_by_their_number():
    assert Categories.from_bounds([0.3, 0.9]).names == ("clean", "ambiguous", "contested")
    assert Categories.from_bounds([0.5]).names == ("band-1", "band-2")
    own = Categories.from_bounds([0.5], names=["agreed", "split"])
    assert categorize([0.49, 0.5], own).tolist() == ["agreed", "split"]


def test_unknown_scheme_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'tercile' \(did you mean 'terciles'\?\).*fixed"):
        categorize([0.1], "tercile")


def test_impossible_categories_are_refused_with_all_reasons():
    with pytest.raises(ConfigError) as caught:
        Categories(("a", "a"), (0.7, 0.4))
    text = str(caught.value)
    for reason in ("2 bounds make 3 categories", "2 names were given", "names must differ", "rise strictly"):
        assert reason in text
    with pytest.raises(ConfigError, match="above 0"):
        Categories(("a", "b"), (0.0,))
    with pytest.raises(ConfigError, match="finite"):
        Categories(("a", "b"), (float("nan"),))


@pytest.mark.parametrize("values", [[[0.1]], [float("inf")]])
def test_entropies_must_be_finite_and_flat(values):
    with pytest.raises(DataError, match="never infinite"):
        categorize(values)
