from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.sandbox.regression.gmm import IV2SLS

from contested.analysis import analyze
from contested.analysis.crossed import crossed_ends, share_of_examples
from contested.analysis.first_loss import agreement, at_equal_first_loss, first_loss_sentence

NAMES = ("clean", "contested")
Array = np.ndarray


def made(rng: np.random.Generator, n: int, n_seeds: int, *, noise: float = 0.3) -> tuple[Array, Array, Array]:
    """Δℓ and first losses of n clean and n contested examples: what seeds share of the first loss does not change it.

    So the true slope is 0, and contested examples rise by 0.3 more.
    """
    shared = np.repeat([0.9, 1.2], n) + 0.3 * (rng.gamma(1, 1, 2 * n) - 1)
    first = shared + noise * rng.normal(size=(n_seeds, 2 * n))
    last = shared + np.repeat([0.0, 0.3], n) + 0.2 * rng.normal(size=(n_seeds, 2 * n))
    return last - first, first, np.repeat(NAMES, n).astype(object)


def row(found: pd.DataFrame, category: str = "contested", by: str = "first loss") -> pd.Series:
    (own,) = (values for _, values in found[(found["category"] == category) & (found["by"] == by)].iterrows())
    return own


def test_the_covariate_is_least_squares_with_a_line_for_each_category() -> None:
    change, first, categories = made(np.random.default_rng(0), 60, 1)
    found = at_equal_first_loss(change[0], first[0], categories, NAMES)
    table = pd.DataFrame({"change": change[0], "start": first[0] - first.mean(), "category": categories})
    fit = smf.ols("change ~ C(category) * start", table).fit(cov_type="HC3", use_t=True)
    own, t = row(found), stats.t.ppf(0.975, 58)
    term = "C(category)[T.contested]"
    assert own["difference"] == pytest.approx(fit.params[term])
    assert own["difference_high"] - own["difference"] == pytest.approx(t * fit.bse[term])
    assert row(found, "clean")["slope"] == pytest.approx(fit.params["start"])
    assert own["slope"] == pytest.approx(fit.params["start"] + fit.params[f"{term}:start"])
    assert own["unadjusted"] == pytest.approx(change[0, 60:].mean() - change[0, :60].mean())
    assert own[["agreement", "strength"]].isna().all()
    assert found["at"].tolist() == pytest.approx([first.mean()] * 2)


def by_hand(change: Array, first: Array, z: Array, categories: Array, at: float) -> Array:
    """Difference and slope of contested examples under each seed, by statsmodels' two-stage least squares."""
    high = (categories == "contested").astype(float)
    told = []
    for own, start, other in zip(change, first, z, strict=True):
        design, instruments = (
            np.column_stack([np.ones_like(high), high, values - at, high * (values - at)]) for values in (start, other)
        )
        fit = IV2SLS(own, design, instruments).fit().params
        told.append([fit[1], fit[2] + fit[3]])
    return np.array(told)


def test_the_instrument_is_two_stage_least_squares_and_its_error_that_of_leaving_out_clusters() -> None:
    rng = np.random.default_rng(1)
    change, first, categories = made(rng, 40, 3)
    clusters = rng.permutation(np.repeat(np.arange(40), 2))
    found = at_equal_first_loss(change, first, categories, NAMES, clusters=clusters)
    own, others = row(found, by="first loss of other seeds"), (first.sum(axis=0) - first) / 2
    whole = by_hand(change, first, others, categories, first.mean())
    assert own[["difference", "slope"]].tolist() == pytest.approx(whole.mean(axis=0))
    moved = []
    for cluster in range(40):
        kept = clusters != cluster
        given = (change[:, kept], first[:, kept], others[:, kept], categories[kept], first.mean())
        moved.append(whole - by_hand(*given))
    influence = np.swapaxes(moved, 0, 1)
    sizes = [len(set(clusters[:40])), len(set(clusters[40:]))]
    error = np.sqrt((influence.mean(axis=0) ** 2).sum(axis=0)) * stats.t.ppf(0.975, [min(sizes) - 2, sizes[1] - 2])
    estimate, share = whole.mean(axis=0), share_of_examples([influence], np.arange(40))
    low, high = crossed_ends(estimate, (estimate - error, estimate + error), [whole], share, 0.95)
    assert own[["difference_low", "slope_low"]].tolist() == pytest.approx(low)
    assert own[["difference_high", "slope_high"]].tolist() == pytest.approx(high)


def test_noise_in_the_first_loss_makes_the_covariate_wrong_and_not_the_instrument() -> None:
    rng = np.random.default_rng(2)
    told = [at_equal_first_loss(*made(rng, 400, 2), NAMES) for _ in range(8)]
    covariate, instrument = (
        pd.DataFrame([row(found, by=by) for found in told]) for by in ("first loss", "first loss of other seeds")
    )
    # What seeds share and the noise have a variance of 0.09 each: half of the slope of −1 that noise alone has, and
    # half of the 0.3 that the shared parts of the categories lie apart is left in.
    assert covariate["slope"].mean() == pytest.approx(-0.5, abs=0.06)
    assert covariate["difference"].mean() == pytest.approx(0.45, abs=0.03)
    assert covariate["agreement"].mean() == pytest.approx(0.5, abs=0.06)
    assert instrument["slope"].mean() == pytest.approx(0.0, abs=0.06)
    assert instrument["difference"].mean() == pytest.approx(0.3, abs=0.03)
    assert ((instrument["difference_low"] < 0.3) & (instrument["difference_high"] > 0.3)).sum() >= 7
    assert (covariate["difference"] > 0.36).all()
    assert (instrument["strength"] > 10).all()


def test_equal_first_losses_of_seeds_are_said_and_leave_the_covariate_alone() -> None:
    change, first, categories = made(np.random.default_rng(3), 50, 2)
    found = at_equal_first_loss(change, first[:1] + np.array([[0.0], [1e-6]]), categories, NAMES)
    own = row(found, by="first loss of other seeds")
    assert own["note"].startswith("the seeds have the same first losses: the line on their own is all there is")
    assert np.isnan(own["difference"])
    assert np.isfinite(row(found)["difference_low"])


def test_seeds_whose_first_losses_do_not_agree_are_a_weak_instrument() -> None:
    rng = np.random.default_rng(4)
    change, first, categories = made(rng, 50, 2)
    own = row(
        at_equal_first_loss(change, rng.normal(1, 0.3, (2, 100)), categories, NAMES), by="first loss of other seeds"
    )
    assert own["note"].startswith("weak instrument: first losses of the seeds hardly agree (F = ")
    assert np.isnan(own["slope_low"])
    # Where one seed's losses are high and the other's low, they share nothing either.
    against = row(at_equal_first_loss(change, [first[0], -first[0]], categories, NAMES), by="first loss of other seeds")
    assert against["strength"] == 0
    assert against["agreement"] == pytest.approx(-1)


SPREAD = np.linspace(0.5, 1.5, 10)


def test_an_instrument_that_one_example_decides_has_no_strength() -> None:
    # Without the last example the first losses of either seed are all the same among contested ones.
    first = np.stack([np.r_[SPREAD, np.ones(9), 2.0], np.r_[SPREAD, np.ones(9), 3.0]])
    change = np.random.default_rng(5).normal(size=(2, 20))
    own = row(at_equal_first_loss(change, first, np.repeat(NAMES, 10), NAMES), by="first loss of other seeds")
    assert own["strength"] == 0
    assert own["note"].startswith("weak instrument: first losses of the seeds hardly agree (F = 0.0, 10 needed)")
    assert np.isnan(own["slope"])


@pytest.mark.parametrize(
    ("first", "n_clean", "note"),
    [
        (np.r_[SPREAD, np.ones(10)], 10, "constant: first losses, so there is no line"),
        (np.r_[SPREAD, np.ones(9), 2.0], 10, "the line rests on one example alone"),
        (np.r_[SPREAD, SPREAD], 15, "5 examples: too few for a 95% interval (6 needed)"),
        (np.r_[np.ones(10), SPREAD], 10, "compared with: constant: first losses, so there is no line"),
        (np.r_[SPREAD, SPREAD], 10, ""),
    ],
)
def test_what_has_no_line_says_why(first, n_clean, note) -> None:
    change = np.random.default_rng(5).normal(size=20)
    own = row(at_equal_first_loss(change, first, np.repeat(NAMES, [n_clean, 20 - n_clean]), NAMES))
    assert own["note"] == note
    assert np.isfinite(own["slope_low"]) == (not note or "compared" in note)
    assert np.isfinite(own["difference_low"]) == (not note)


def test_a_run_has_the_lines_without_what_seeds_tell_and_a_sentence(unlearning_run) -> None:
    found = analyze(unlearning_run, n_resamples=100)
    assert list(found.first_loss["category"]) == ["clean", "ambiguous", "contested"]
    assert not {"by", "agreement", "strength"} & set(found.first_loss)
    change, first = unlearning_run.losses[-1] - unlearning_run.losses[0], unlearning_run.losses[0]
    groups = (unlearning_run.categories, unlearning_run.category_names)
    same = at_equal_first_loss(change, first, *groups)
    pd.testing.assert_frame_equal(found.first_loss, same[list(found.first_loss)])
    assert found.tables()["first_loss"] is found.first_loss
    (said,) = (line for line in found.to_dict()["statements"] if "regression to the mean" in line)
    assert said.startswith("At the same first loss (")
    assert " nats), mean Δℓ of contested examples less that of clean examples is +" in said
    assert first_loss_sentence(None, "95% interval") == ""
    assert first_loss_sentence(found.first_loss.iloc[:1], "95% interval") == ""
    plain = analyze(replace(unlearning_run, losses=None, logits=None), n_resamples=100)
    assert plain.first_loss is None


def test_agreement_is_the_mean_correlation_of_pairs() -> None:
    first = np.random.default_rng(6).normal(size=(3, 30))
    pairs = [np.corrcoef(first[a], first[b])[0, 1] for a, b in ((0, 1), (0, 2), (1, 2))]
    assert agreement(first) == pytest.approx(np.mean(pairs))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(agreement(first[:1]))
        assert np.isnan(agreement([[1.0, 1.0], [1.0, 2.0]]))
