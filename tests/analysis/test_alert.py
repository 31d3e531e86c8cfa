from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import alert
from contested.analysis.alert import MIN_CLUSTERS, SPENDING, boundaries, normals
from contested.errors import ConfigError, DataError

STEPS = np.arange(0, 60, 10)


def generator(seed=0):
    return np.random.default_rng(seed)


def walks(n, *, looks=5, seed=0, rise=0.0):
    """Losses that start at 1, move as random walks of sd 1 a look, and rise by ``rise`` over the run."""
    noise = generator(seed).normal(size=(looks, n)).cumsum(axis=0)
    return np.vstack([np.ones(n), 1 + noise + rise * np.arange(1, looks + 1)[:, None] / looks])


def test_with_independent_increments_the_published_obrien_fleming_bounds_come_out():
    # Lan and DeMets' spending of O'Brien and Fleming's kind, K = 5, one-sided 2.5 %: a Brownian motion seen at t = k/5
    # by its standardised value has correlation sqrt(s/t).
    time = np.arange(1, 6) / 5
    correlation = np.sqrt(np.minimum.outer(time, time) / np.maximum.outer(time, time))
    due = SPENDING["obrien-fleming"](time, 0.025)
    found = boundaries(correlation, due, normals(5, seed=0, n_paths=2**20))
    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=0.01)


def test_what_is_spent_by_the_end_is_the_level():
    assert SPENDING["linear"](np.array([0.25, 1.0]), 0.05) == pytest.approx([0.0125, 0.05])
    # 2 (1 − Φ(z / √t)) at t = 1, with z = Φ⁻¹(1 − α / 2), is α
    assert SPENDING["obrien-fleming"](np.array([1.0]), 0.05) == pytest.approx([0.05])


def test_looks_that_do_not_depend_on_each_other_spend_as_the_product_of_their_tails():
    # Survivors of the first look are 1 − a; the second spends a more where (1 − a) (1 − Φ(c)) = a.
    found = boundaries(np.eye(2), np.array([0.1, 0.2]), normals(2, seed=0, n_paths=2**17))
    assert found[0] == pytest.approx(stats.norm.isf(0.1), abs=1e-8)
    assert found[1] == pytest.approx(stats.norm.isf(0.1 / 0.9), abs=2e-3)


def test_a_look_that_repeats_another_moves_its_boundary_down_to_what_is_spent_in_all():
    found = boundaries(np.ones((2, 2)), np.array([0.02, 0.05]), normals(2, seed=0, n_paths=2**17))
    assert found == pytest.approx(stats.norm.isf([0.02, 0.05]), abs=1e-3)


def test_one_look_by_hand():
    losses = np.vstack([np.zeros(40), np.tile([0.0, 1.0], 20)])
    found = alert(losses, [0, 10], 100, level=0.05)
    # Changes are 0 and 1, twenty times each: mean 1/2, variance 20 · 2 · 1/4 / 39 = 10/39, standard error √(10/39/40).
    error = np.sqrt(10 / 39 / 40)
    # A tenth of the steps may spend 0.005; the first boundary is its quantile, of Student's t with 39 degrees.
    boundary = stats.t.isf(0.005, 39)
    assert found.spent == pytest.approx([0.005])
    assert found.boundary == pytest.approx([boundary])
    assert found.estimate == pytest.approx([0.5])
    assert found.statistic == pytest.approx([0.5 / error])
    assert found.low == pytest.approx([0.5 - boundary * error])
    assert (found.first, found.n, found.n_clusters, found.note) == (10, 40, 40, "")
    assert found.crossed.tolist() == [True]


def test_a_rise_up_to_the_margin_is_none():
    losses = walks(80, rise=1.0)
    found = alert(losses, STEPS, 50, margin=0.25)
    without = alert(losses, STEPS, 50)
    assert found.boundary == pytest.approx(without.boundary)
    assert found.low == pytest.approx(without.low)  # of the rise itself
    assert (found.crossed == (found.low > 0.25)).all()
    # As if every later loss were lower by the margin.
    lower = np.vstack([losses[:1], losses[1:] - 0.25])
    assert found.statistic == pytest.approx(alert(lower, STEPS, 50).statistic)
    assert without.statistic[-1] > found.statistic[-1]


def test_where_few_fall_much_the_boundary_is_higher_by_halls_cubic():
    # Changes: five of −7, thirty-five of 1, mean 0, as -7 · 5 + 35 = 0; Σx² = 280, Σx³ = 35 − 5 · 343 = −1680
    losses = np.vstack([np.zeros(40), np.repeat([-7.0, 1.0], [5, 35])])
    found, mirrored = (alert(sign * losses, [0, 10], 100) for sign in (1, -1))
    skewness = -1680 / 280**1.5 * (1 + 8.5 / 40)  # Hazen's correction for few examples
    transformed = found.boundary + skewness * found.boundary**2 / 3 + skewness**2 * found.boundary**3 / 27
    assert transformed + skewness / 6 == pytest.approx([stats.t.isf(0.005, 39)])
    assert mirrored.boundary == pytest.approx([stats.t.isf(0.005, 39)])


def test_doubled_examples_in_clusters_are_as_good_as_each_once():
    losses = walks(60)
    once = alert(losses, STEPS, 50)
    doubled = alert(np.hstack([losses, losses]), STEPS, 50, clusters=[f"premise {i % 60}" for i in range(120)])
    naive = alert(np.hstack([losses, losses]), STEPS, 50)
    assert (doubled.n, doubled.n_clusters) == (120, 60)
    assert doubled.statistic == pytest.approx(once.statistic)
    assert doubled.boundary == pytest.approx(once.boundary)
    # Taken as 120 examples: √2 less the correction of the variance, √(59/60 · 120/119)
    assert naive.statistic == pytest.approx(once.statistic * np.sqrt(2 * 60 / 59 * 119 / 120))


def test_a_later_checkpoint_changes_no_earlier_answer():
    losses = walks(80, rise=1.0)
    whole = alert(losses, STEPS, 80)
    for seen in range(1, len(STEPS) + 1):
        online = alert(losses[:seen], STEPS[:seen], 80)
        for field in ("steps", "estimate", "low", "statistic", "boundary", "crossed", "spent"):
            assert getattr(online, field) == pytest.approx(getattr(whole, field)[: seen - 1], rel=1e-9), field


def test_the_order_of_examples_and_the_unit_of_losses_do_not_matter():
    losses, order = walks(80), generator(1).permutation(80)
    groups = np.arange(80) // 2
    reference = alert(losses, STEPS, 50, clusters=groups)
    shuffled = alert(losses[:, order], STEPS, 50, clusters=groups[order])
    scaled = alert(losses / np.log(2), STEPS * 3, 150, clusters=groups)
    for found, unit in ((shuffled, 1.0), (scaled, np.log(2))):
        assert found.statistic == pytest.approx(reference.statistic)
        assert found.boundary == pytest.approx(reference.boundary)
        assert found.low * unit == pytest.approx(reference.low)


def test_examples_that_keep_their_starts_differ_only_in_their_changes():
    losses = walks(80)
    moved = losses + generator(2).exponential(size=80)
    assert alert(moved, STEPS, 50).statistic == pytest.approx(alert(losses, STEPS, 50).statistic)


def test_the_seed_decides_the_paths():
    losses = walks(80)
    one, again, other = (alert(losses, STEPS, 50, seed=seed).boundary for seed in (0, 0, 1))
    assert (one == again).all()
    assert one[0] == other[0]  # the first is exact
    assert (one[1:] != other[1:]).all()
    assert one == pytest.approx(other, abs=0.05)


def test_beyond_the_plan_nothing_more_is_spent():
    found = alert(walks(80, rise=5.0), STEPS, 40)
    assert found.spent == pytest.approx([0.0125, 0.025, 0.0375, 0.05, 0.05])
    assert found.boundary[4] == np.inf
    assert not found.crossed[4]


def test_the_start_may_be_any_step():
    losses = walks(80)
    assert alert(losses, STEPS + 7, 57).spent == pytest.approx(alert(losses, STEPS, 50).spent)


def test_a_look_with_missing_losses_is_left_out_and_spends_nothing():
    losses = walks(80)
    broken = losses.copy()
    broken[2, 3], broken[4, 0] = np.nan, np.inf
    found, without = alert(broken, STEPS, 50), alert(losses[[0, 1, 3, 5]], STEPS[[0, 1, 3, 5]], 50)
    assert found.note == "losses that are no numbers at step 20, 40: not tested"
    assert np.isnan(found.statistic[[1, 3]]).all()
    assert found.boundary[[0, 2, 4]] == pytest.approx(without.boundary)
    assert found.spent == pytest.approx([0.01, 0.01, 0.03, 0.03, 0.05])


def test_without_a_start_nothing_is_tested():
    losses = walks(80)
    losses[0, 5] = np.nan
    found = alert(losses, STEPS, 50)
    assert (found.first, found.spent.max()) == (None, 0.0)
    assert found.note == "losses that are no numbers at step 10, 20, 30, 40, 50: not tested"


def test_losses_that_all_change_alike_are_not_tested():
    losses = walks(80)
    losses[1] = losses[0] + 0.1
    found = alert(losses, STEPS, 50)
    assert found.note == "every loss changed by the same amount at step 10: not tested"
    # The second look is then the first that is tested, and may spend what both may.
    assert found.boundary[1:] == pytest.approx(alert(np.delete(losses, 1, 0), np.delete(STEPS, 1), 50).boundary)


@pytest.mark.parametrize("n", [0, 1, MIN_CLUSTERS - 1])
def test_few_examples_are_not_tested(n):
    found = alert(walks(n), STEPS, 50)
    assert found.note == f"{n} independent examples: too few to test (20 needed)"
    assert (found.first, found.crossed.any()) == (None, False)


def test_few_clusters_are_not_tested():
    found = alert(walks(80), STEPS, 50, clusters=np.arange(80) % 10)
    assert found.note == "10 independent examples: too few to test (20 needed)"


def test_the_start_alone_has_no_looks():
    found = alert(walks(80)[:1], STEPS[:1], 50)
    assert (len(found.statistic), found.first, found.note) == (0, None, "")


@pytest.mark.parametrize(
    ("error", "changed"),
    [
        (DataError, {"losses": np.ones(5)}),
        (DataError, {"losses": np.ones((0, 5)), "steps": []}),
        (DataError, {"steps": [0, 10, 20]}),
        (DataError, {"steps": [0, 10, 10, 20, 30, 40]}),
        (DataError, {"steps": STEPS / 2}),
        (DataError, {"planned_steps": 0}),
        (DataError, {"clusters": [1, 2]}),
        (ConfigError, {"margin": -0.1}),
        (ConfigError, {"margin": np.nan}),
        (ConfigError, {"level": 0.5}),
        (ConfigError, {"level": 0.0}),
        (ConfigError, {"spending": "pocock"}),
        (ConfigError, {"n_paths": 10}),
    ],
)
def test_what_has_no_meaning_is_refused(error, changed):
    with pytest.raises(error, match=next(iter(changed))):
        alert(**({"losses": walks(30), "steps": STEPS, "planned_steps": 50} | changed))


def null_run(shape, n, rng, looks=12):
    """Changes of mean 0 at every look, as dependent over looks as those of a run; and clusters of two, if any."""
    size = (looks, n // 2 if shape == "clustered" else n)
    if shape.startswith("skewed"):  # few examples change a lot, in a course of their own
        course = np.sqrt(np.arange(1, looks + 1))[:, None] * (1 if shape == "skewed up" else -1)
        changes = (rng.exponential(size=size[1]) - 1) * course + 0.5 * rng.normal(size=size)
    else:
        changes = rng.normal(size=size).cumsum(axis=0)
    clusters = None
    if shape == "clustered":
        changes, clusters = np.repeat(changes, 2, axis=1), np.repeat(np.arange(n // 2), 2)
    return np.vstack([np.zeros(n), changes]), clusters


@pytest.mark.parametrize(
    ("shape", "n"), [("walk", 40), ("walk", 300), ("skewed up", 100), ("skewed down", 200), ("clustered", 100)]
)
def test_false_alarms_stay_at_the_level(shape, n):
    rng, runs, alarms = generator(5), 400, 0
    for _ in range(runs):
        losses, clusters = null_run(shape, n, rng)
        alarms += alert(losses, np.arange(13), 12, clusters=clusters, n_paths=1000).first is not None
    # 400 runs at 5 %: two standard errors are 2 · √(0.05 · 0.95 / 400) = 0.022
    assert alarms / runs <= 0.05 + 0.022
    if shape == "walk":  # and what may be spent is spent
        assert alarms / runs >= 0.05 - 0.022


def test_a_ramp_is_found_by_the_end_and_its_bound_lies_below_it():
    # 12 looks at random walks of 100: at the end sd √12 and rise 1.5, which is 4.3 standard errors; boundary 2.2.
    runs, found, above = 100, 0, 0
    for seed in range(runs):
        result = alert(walks(100, looks=12, seed=seed, rise=1.5), np.arange(13), 12, n_paths=1000)
        found += result.first is not None
        above += bool((result.low > 1.5 * np.arange(1, 13) / 12).any())
    assert found / runs >= 0.95
    assert above / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
