"""The simulations of benchmarks/coverage.py: their populations, what they count, and that the page has all of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def coverage():
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("coverage_of_intervals", ROOT / "benchmarks" / "coverage.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def test_the_means_of_populations_are_the_truth(coverage):
    for population in coverage.of.MEANS:
        values = population.draw(1000, 200, np.random.default_rng(0))
        means = values.mean(axis=0)
        assert abs(means.mean() - population.mean) < 4 * means.std() / np.sqrt(200), population.name


def test_intervals_that_miss_are_counted_by_side(coverage):
    found = coverage.found(np.array([0.0, 2.0, -3.0]), np.array([1.0, 3.0, -1.0]), 0.5)
    assert (found.below.tolist(), found.above.tolist()) == ([False, False, True], [False, True, False])
    assert found.length.tolist() == [1.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="no interval"):
        coverage.found(np.array([np.nan]), np.array([1.0]), 0.5)


def test_a_row_holds_shares_of_all_samples(coverage):
    (case,) = [
        each for each in coverage.CASES if each.key == ("interval of a share", "0.3, in clusters of 1 to 3", "30")
    ]
    row = coverage.simulated(case, 120)
    assert row["now"]["sets"] == row["before"]["sets"] == 120
    assert row["now"]["covers"] == pytest.approx(1 - row["now"]["below"] - row["now"]["above"])
    assert row["now"]["length"] > row["before"]["length"]


def test_the_page_has_every_case_and_no_other(coverage):
    rows = json.loads((ROOT / "docs" / "statistics.json").read_text(encoding="utf-8"))
    assert [(row["what"], row["population"], row["n"]) for row in rows] == [case.key for case in coverage.CASES]
    assert all(row["now"]["sets"] >= 1500 for row in rows)


def test_a_row_simulated_again_takes_its_old_place(coverage):
    old = [{"what": case.what, "population": case.population, "n": case.n} for case in coverage.CASES[:3]]
    again = coverage.merged(old, {**old[1], "now": {}})
    assert [row.get("now") for row in again] == [None, {}, None]
    assert coverage.merged([{"what": "gone", "population": "", "n": ""}], old[0]) == old[:1]
