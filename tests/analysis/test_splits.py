"""What is trained on and what is not, apart: as runs of their own, compared, and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contested as ct
from contested.analysis.splits import SplitContrast, split_contrasts, split_sentences
from contested.errors import RunError
from contested.report import write_run_tables


@pytest.fixture(scope="module")
def run() -> ct.Trajectory:
    """120 examples, every third of which validates: their loss stays, that of the others falls by 0.5 nats."""
    rng = np.random.default_rng(7)
    counts = np.array([[95, 4, 1], [82, 12, 6], [40, 30, 30]])[np.arange(120) % 3 - np.arange(120) // 40]
    validation = np.arange(120) % 4 == 3
    start = rng.normal(1.2, 0.1, 120)
    losses = np.stack([start, start + rng.normal(0, 0.02, 120) - np.where(validation, 0.0, 0.5)])
    made = ct.Trajectory.from_arrays(losses=losses, label_counts=counts, gold="majority", steps=[0, 9])
    return replace(made, examples=made.examples.assign(split=np.where(validation, "validation", "train")))


def test_every_statistic_is_that_of_the_split_as_a_run_of_its_own(run: ct.Trajectory) -> None:
    found = ct.analyze(run, n_resamples=200)
    alone = ct.analyze(run.of_split("train"), n_resamples=200)
    assert found.examples.equals(alone.examples)
    assert found.measures.equals(alone.measures)
    assert found.unlearning == alone.unlearning
    assert found.correlation == alone.correlation
    assert (found.n_examples, found.notes) == (
        90,
        (
            "Numbers are of the 90 training examples; those of the 30 validation examples stand apart. The alert asks "
            "of both.",
        ),
    )
    apart = found.validation
    assert apart is not None
    ids = run.example_ids[(run.examples["split"] == "validation").to_numpy()]
    assert apart.examples["example_id"].tolist() == ids.tolist()
    change = run.required("losses")[1] - run.required("losses")[0]
    by_id = dict(zip(run.example_ids, change, strict=True))
    assert apart.examples["loss_change"].tolist() == pytest.approx([by_id[name] for name in ids])
    # One error rate for the groups of both.
    assert apart.alert is None
    assert found.alert is not None
    assert {name for name in found.alert.alerts if "validation" in name}


def test_the_two_are_compared_category_by_category(run: ct.Trajectory) -> None:
    found = ct.analyze(run, n_resamples=400)
    table = found.tables()["splits"]
    change = run.required("losses")[1] - run.required("losses")[0]
    validation = (run.examples["split"] == "validation").to_numpy()
    for category in (*run.category_names, "overall"):
        own = np.ones(120, bool) if category == "overall" else run.categories == category
        row = table[(table["measure"] == "loss_change") & (table["category"] == category)].iloc[0]
        means = [change[own & ~validation].mean(), change[own & validation].mean()]
        assert [row["mean"], row["mean_validation"]] == pytest.approx(means)
        assert row["difference"] == pytest.approx(means[0] - means[1])
        assert (row["n"], row["n_validation"]) == ((own & ~validation).sum(), (own & validation).sum())
        # 0.5 nats apart with a standard deviation of 0.02: the interval is narrow and holds it.
        assert row["low"] < -0.48
        assert row["high"] > -0.52
        assert row["verdict"] == "falls"
    first = table[(table["measure"] == "loss_first") & (table["category"] == "overall")].iloc[0]
    assert first["verdict"] == "unclear"
    again = ct.analyze(run, n_resamples=400)
    assert again.splits == found.splits
    assert found.to_dict()["validation"]["n_examples"] == 30
    assert len(found.to_dict()["splits"]) == len(table)


def test_where_nothing_is_memorised_a_difference_is_seldom_found() -> None:
    """Both splits alike, changes skewed: a 95 % interval leaves 0 out in some 5 % of sets, of 200 here."""
    rng, out = np.random.default_rng(3), 0
    for seed in range(200):
        change = rng.lognormal(0, 0.7, 160)
        own, other, generator = frame(change[:120]), frame(change[120:]), np.random.default_rng(seed)
        (row,) = split_contrasts(own, other, [], rng=generator, n_resamples=300)
        out += not row.low <= 0 <= row.high
    assert out <= 24  # 99.9 % of a binomial of 200 with 7 %


def frame(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"example_id": np.arange(len(values)), "loss_change": values})


def contrast(category: str, difference: float, low: float, high: float, note: str = "") -> SplitContrast:
    return SplitContrast("loss_change", category, 30, 12, -0.4, 0.1, -0.05, 0.25, difference, low, high, "falls", note)


def test_sentences_say_what_the_difference_means() -> None:
    rows = [contrast("clean", -0.5, -0.6, -0.4), contrast("contested", -0.5, -0.6, -0.4), contrast("overall", 0, 0, 0)]
    said = split_sentences(rows, "95% interval")
    assert said[0] == (
        "Of contested examples, mean loss of the 12 that validate and are not trained on rose by 0.10 nats (95% "
        "interval −0.05 to +0.25), that of the 30 trained on fell by 0.40 nats: training on an example lowered its own "
        "loss beyond what was learned for others; difference −0.50 nats (95% interval −0.60 to −0.40)."
    )
    assert [line.split(",")[0] for line in said] == ["Of contested examples", "Of clean examples"]
    unclear = rows[1]._replace(verdict="unclear")
    assert "not distinguishable from zero" in split_sentences([unclear], "95% interval")[0]
    without = rows[1]._replace(low=np.nan, high=np.nan, note="smaller group: 1 example")
    assert split_sentences([without], "-")[0].endswith("they are not compared: smaller group: 1 example.")
    assert split_sentences([rows[0]._replace(n_validation=0)], "-") == []


def test_two_runs_are_compared_by_what_both_train_on_unless_asked(run: ct.Trajectory) -> None:
    other = replace(run, run_id="other", losses=run.required("losses") + 0.1)
    options: dict[str, Any] = {"n_resamples": 100, "n_flips": 200}
    found = ct.compare(run, other, **options)
    assert found.n_examples == 90
    assert "Of other 30 validation examples are left out." in found.notes
    assert ct.compare(run, other, split="validation", **options).n_examples == 30
    alone = run.of_split("train")
    assert ct.compare(alone, other, **options).n_examples == 90
    # Of runs that train on none of what they track, all is compared.
    apart = run.of_split("validation")
    assert ct.compare(apart, replace(other, run_id="other"), **options).n_examples == 30
    with pytest.raises(RunError, match="tracks no examples of the split validation"):
        ct.compare(alone, other, split="validation", **options)


def test_tables_of_both_are_written(run: ct.Trajectory, tmp_path: Path) -> None:
    write_run_tables(ct.analyze(run, n_resamples=100), tmp_path)
    assert {file.name for file in tmp_path.glob("*.csv")} >= {"splits.csv", "unlearning.csv"}
    rows = (tmp_path / "validation" / "examples.csv").read_text().splitlines()
    assert len(rows) == 31


def test_examples_that_share_a_text_across_the_splits_are_one_cluster() -> None:
    """Pairs of one training and one validation example with the same value: of their difference all is known."""
    values = np.random.default_rng(5).normal(0, 1, 40)
    own, other = frame(values), frame(values + 0.1)
    pairs = np.arange(40)
    (shared,) = split_contrasts(own, other, [], clusters=(pairs, pairs), rng=np.random.default_rng(0), n_resamples=400)
    (single,) = split_contrasts(own, other, [], rng=np.random.default_rng(0), n_resamples=400)
    # Apart: a standard error of √(2/40) = 0.22, so that the interval is wider than 0.6; together nothing varies.
    assert shared.difference == single.difference == pytest.approx(-0.1)
    assert single.high - single.low > 0.6
    assert not shared.high - shared.low > 0.1
