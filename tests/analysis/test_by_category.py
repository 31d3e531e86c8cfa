from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import by_category, mean_interval, share_interval
from contested.analysis.by_category import measures_by_category
from contested.analysis.intervals import keyed
from contested.analysis.measures import Measure
from contested.analysis.unlearning import ChangeRow

N = 40


def entry(name, summary="mean", unit="nats"):
    return Measure(name, name, unit, ("losses",), "-.", summary, of_block=lambda block: block.losses[0])


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    gappy = rng.random(N)
    gappy[:10] = np.nan
    return {"a": rng.random(N), "b": rng.normal(size=N), "gappy": gappy, "flag": rng.random(N) < 0.3}


CATEGORIES = np.array(["low", "high"], object)[np.arange(N) // 20]


def table(columns, measures, **options):
    given = {"order": np.arange(N), "rng": np.random.default_rng(3), "n_resamples": 200, **options}
    return measures_by_category(measures, columns, CATEGORIES, ["low", "high", "none"], **given)


def row(found, measure, category):
    (only,) = found[(found["measure"] == measure) & (found["category"] == category)].itertuples()
    return only


def test_means_have_the_interval_that_each_would_have_alone(columns):
    found = table(columns, [entry("a"), entry("b"), entry("gappy")])
    for category, rows in {"low": slice(0, 20), "high": slice(20, 40), "overall": slice(0, 40)}.items():
        for name in ("a", "b"):
            rng = keyed(np.random.default_rng(3), "measures", category)
            alone = mean_interval(columns[name][rows], rng=rng, n_resamples=200)
            told = row(found, name, category)
            assert (told.mean, told.low, told.high) == pytest.approx(alone[:3])
            assert (told.n, told.n_skipped, told.note) == (alone.n, 0, "")


def test_examples_without_a_value_are_left_out_and_counted(columns):
    told = row(table(columns, [entry("a"), entry("gappy")]), "gappy", "low")
    assert (told.n, told.n_skipped) == (10, 10)
    assert told.mean == pytest.approx(columns["gappy"][10:20].mean())
    columns["gappy"][:20] = np.nan
    told = row(table(columns, [entry("gappy")]), "gappy", "low")
    assert (told.n, told.n_skipped, told.note) == (0, 20, "no example has a value")
    assert np.isnan([told.mean, told.low, told.high]).all()


def test_a_category_without_examples_keeps_its_row_and_says_so(columns):
    told = row(table(columns, [entry("a"), entry("flag", "share")]), "a", "none")
    assert (told.n, told.n_skipped, told.note) == (0, 0, "no examples")


def test_shares_have_wilsons_interval(columns):
    told = row(table(columns, [entry("flag", "share")]), "flag", "high")
    assert (told.mean, told.low, told.high) == pytest.approx(share_interval(columns["flag"][20:])[:3])
    test = stats.binomtest(int(columns["flag"][20:].sum()), 20).proportion_ci(method="wilson")
    assert (told.low, told.high) == pytest.approx((test.low, test.high))


def test_what_is_no_number_has_no_row(columns):
    found = table({**columns, "text": np.full(N, "x", object)}, [entry("text", "none"), entry("a")])
    assert set(found["measure"]) == {"a"}


def test_a_number_that_is_known_already_keeps_its_interval(columns):
    rows = [
        ChangeRow(category, 5, 1.0, 0.5, 1.5, 3, 0.6, 0.1, 0.9, "rises", "a note")
        for category in ("low", "high", "none", "overall")
    ]
    told = row(table(columns, [entry("a"), entry("b")], known={"a": rows}), "a", "high")
    assert (told.n, told.mean, told.low, told.high, told.note) == (5, 1.0, 0.5, 1.5, "a note")


def test_the_order_given_decides_which_examples_a_resample_holds(columns):
    order = np.random.default_rng(5).permutation(N)
    mixed = {name: values[order] for name, values in columns.items()}
    again = measures_by_category(
        [entry("a")],
        mixed,
        CATEGORIES[order],
        ["low", "high"],
        order=np.argsort(order),
        rng=np.random.default_rng(3),
        n_resamples=200,
    )
    first = table(columns, [entry("a")])
    for name in ("mean", "low", "high"):
        assert getattr(row(again, "a", "low"), name) == pytest.approx(getattr(row(first, "a", "low"), name), rel=1e-12)


def test_measures_a_few_at_a_time_give_the_same(columns, monkeypatch):
    entries = [entry("a"), entry("b"), entry("gappy")]
    whole = table(columns, entries)
    monkeypatch.setattr(by_category, "_MATRIX", 1)
    parts = table(columns, entries)
    np.testing.assert_allclose(parts[["mean", "low", "high"]], whole[["mean", "low", "high"]], rtol=1e-12)


def test_steps_are_epochs_where_the_run_counts_those(columns):
    found = table(columns, [entry("a", unit="steps"), entry("b")], step_unit="epoch")
    assert set(found[["measure", "unit"]].itertuples(index=False, name=None)) == {("a", "epochs"), ("b", "nats")}
