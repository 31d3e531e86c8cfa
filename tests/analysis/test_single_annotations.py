"""Examples with one annotation: in no category, in no correlation with entropy, and among all examples."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contested.analysis import analyze, compare
from contested.analysis.cartography import added_variance
from contested.analysis.controls import regression
from contested.analysis.mixed import mixed_effect
from contested.analysis.seeds import nested_spearman_interval
from contested.analysis.study.groups import contradiction
from contested.analysis.study.runs import measure, rank_correlation_of
from contested.integrations.reporting import Aggregates
from contested.paper.binning import aulc_by_bins
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
    assert rank_correlation_of(run.losses.mean(axis=0), run.entropy)[0] == pytest.approx(found.rho)


def test_a_comparison_has_room_for_them(run):
    found = compare(run, at=("first", "last"), n_flips=100, n_resamples=200)
    assert {row.category: row.n for row in found.transitions}["overall"] == N


def test_the_trajectory_does_not_know_their_entropy(run, tmp_path):
    assert np.isnan(run.entropy).tolist() == [True] * SINGLE + [False] * (N - SINGLE)
    run.save(tmp_path / "run")
    np.testing.assert_array_equal(Trajectory.load(tmp_path / "run").entropy, run.entropy)


def test_a_folder_that_has_zeros_there_is_read_without_them(run, tmp_path):
    replace(run, examples=run.examples.fillna({"entropy": 0.0})).save(tmp_path / "run")
    np.testing.assert_array_equal(Trajectory.load(tmp_path / "run").entropy, run.entropy)


def test_statistics_of_entropy_are_those_of_the_others(run):
    aulc = np.stack([run.losses.mean(axis=0), run.losses[-1]])
    human, rest = run.entropy, slice(SINGLE, None)

    def nested(losses, entropy):
        return nested_spearman_interval(losses, entropy, rng=np.random.default_rng(0), n_resamples=50)

    def bins(losses, entropy):
        return aulc_by_bins(losses, entropy, "fixed", rng=np.random.default_rng(0), n_resamples=50)

    length = np.arange(N, dtype=float) ** 2
    pairs = [
        (nested(aulc, human), nested(aulc[:, rest], human[rest])),
        (mixed_effect(aulc, human), mixed_effect(aulc[:, rest], human[rest])),
        (
            added_variance(aulc[0], length, aulc[1], human),
            added_variance(aulc[0][rest], length[rest], aulc[1][rest], human[rest]),
        ),
        (
            regression(aulc[0], human, length, run.gold, label_names=run.label_names),
            regression(aulc[0][rest], human[rest], length[rest], run.gold[rest], label_names=run.label_names),
        ),
        *zip(bins(aulc[0], human), bins(aulc[0][rest], human[rest]), strict=True),
    ]
    for found, expected in pairs:
        assert f"{SINGLE} of {N} examples left out: with one annotation" in found.note
        assert repr(found._replace(note=expected.note)) == repr(expected)  # nan is nan


def test_a_tracker_is_told_the_correlation_of_the_others(run):
    losses = run.losses[0]
    found = Aggregates({}, run.entropy).add(losses)["contested/rho"]
    assert found == pytest.approx(stats.spearmanr(losses[SINGLE:], run.entropy[SINGLE:]).statistic)


def test_seeds_of_the_same_examples_agree(run):
    first = measure("first", replace(run, run_id="first"))
    assert contradiction(first, measure("second", replace(run, run_id="second"))) == ""


@pytest.mark.usefixtures("unsaved")
def test_no_table_or_page_shows_nan(run, tmp_path):
    write_report([run], tmp_path / "page", n_resamples=200)
    assert (tmp_path / "page" / "report.html").stat().st_size > 10_000
    for file in sorted((tmp_path / "page").rglob("*.*")):
        if file.suffix in {".html", ".csv", ".md", ".json"}:
            # But for the explorer's script and data.
            shown = re.sub("<script.*?</script>", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
            assert not re.search(r"(?<![\w/+])(nan|NaN)(?![\w/+])", shown), file.name
    examples = pd.read_csv(next((tmp_path / "page").rglob("examples.csv")))
    assert examples["entropy"].isna().sum() == SINGLE
