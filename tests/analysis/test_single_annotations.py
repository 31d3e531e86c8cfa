"""Examples with one annotation: in no category, in no correlation with entropy, and among all examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import analyze, compare
from contested.analysis.study.runs import rank_correlation_of
from contested.report.write import write_report
from contested.trajectories import Trajectory

N, SINGLE = 24, 5


@pytest.fixture
def run():
    rng = np.random.default_rng(3)
    # Each way to divide six annotators among three classes, four times over.
    counts = np.tile([[6, 0, 0], [5, 1, 0], [4, 2, 0], [3, 3, 0], [2, 2, 2], [3, 2, 1]], (4, 1))
    counts[:SINGLE] = [1, 0, 0]
    return Trajectory.from_arrays(
        logits=rng.normal(size=(4, N, 3)),
        ids=[f"i{row}" for row in range(N)],
        gold=counts.argmax(axis=1),
        label_counts=counts,
        label_names=("a", "b", "c"),
        categories="fixed",
    )


def test_they_are_in_no_category_and_among_all(run):
    assert run.categories[:SINGLE].tolist() == ["unknown"] * SINGLE
    assert run.category_names == ("clean", "ambiguous", "contested")
    found = analyze(run)
    sizes = {row[0]: row[1] for row in found.categories}
    # Of the 19 others: (6, 0, 0) three times, H = 0; (5, 1, 0) is 0.4506 and (4, 2, 0) 0.6365, (3, 3, 0) ln 2.
    assert sizes == {"clean": 3, "ambiguous": 9, "contested": 7, "overall": N}
    assert found.examples["entropy"].isna().tolist() == [True] * SINGLE + [False] * (N - SINGLE)


def test_they_are_in_no_correlation_with_entropy(run):
    found = analyze(run).correlation.aulc
    loss = run.losses.mean(axis=0)[SINGLE:]
    assert (found.n, found.n_skipped) == (N - SINGLE, SINGLE)
    assert found.rho == pytest.approx(stats.spearmanr(loss, run.entropy[SINGLE:]).statistic)
    entropy = np.where(np.arange(N) < SINGLE, np.nan, run.entropy)
    assert rank_correlation_of(run.losses.mean(axis=0), entropy)[0] == pytest.approx(found.rho)


def test_comparison_and_page_have_room_for_them(run, tmp_path):
    found = compare(run, at=("first", "last"), n_flips=100, n_resamples=200)
    assert {row.category: row.n for row in found.transitions}["overall"] == N
    write_report([run], tmp_path / "page", n_resamples=200)
    assert (tmp_path / "page" / "report.html").stat().st_size > 10_000
