"""Examples that belong together: which they are, and that every interval of a run takes them together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contested.analysis import analyze, mean_interval, share_interval, spearman, statements
from contested.analysis.clusters import cluster_sums, run_clusters
from contested.analysis.intervals import keyed
from contested.errors import DataError

QUICK = {"n_resamples": 200}


def with_texts(run, premises, **columns):
    texts = {"premise": [str(premise) for premise in premises], **columns}
    return replace(run, text_columns=("premise",), examples=run.examples.assign(**texts))


@pytest.fixture
def paired_run(unlearning_run):
    """60 premises of two examples each, far from each other in the run's order; topics of five premises."""
    premise = np.arange(120) % 60
    return with_texts(unlearning_run, premise, topic=premise // 5)


def test_clusters_of_a_run_are_examples_that_share_a_text(paired_run):
    found = run_clusters(paired_run)
    assert (found.name, found.n) == ("shared texts", 60)
    assert (found.codes[:60] == found.codes[60:]).all()
    assert len(set(found.codes.tolist())) == 60


def test_a_column_says_what_belongs_together_or_none_does(paired_run):
    assert run_clusters(paired_run, "topic")[::2] == ("topic", 12)
    assert run_clusters(paired_run, "none") == ("", None, 120)
    assert run_clusters(paired_run, "example_id") == ("example_id", None, 120)
    with pytest.raises(DataError, match="no column 'topics'"):
        run_clusters(paired_run, "topics")


def test_texts_that_no_two_examples_share_make_no_clusters(unlearning_run):
    assert run_clusters(with_texts(unlearning_run, range(120))) == ("", None, 120)
    assert run_clusters(unlearning_run) == ("", None, 120)


def test_sums_of_clusters_by_hand():
    values = np.array([[1.0], [2.0], [4.0]])
    assert cluster_sums(values, np.array([1, 0, 1])).tolist() == [[2.0], [5.0]]
    assert cluster_sums(values, np.array([1, 0, 1]), 4).tolist() == [[2.0], [5.0], [0.0], [0.0]]


def test_every_interval_of_a_run_is_over_its_clusters(paired_run):
    found = analyze(paired_run, **QUICK)
    assert (found.clusters, found.n_clusters) == ("shared texts", 60)
    premise = np.arange(120) % 60
    change = found.examples["loss_change"].to_numpy()
    rose = share_interval(change > 0, clusters=premise)
    overall = found.unlearning.overall
    assert (overall.rose_low, overall.rose_high) == pytest.approx(rose[1:3])
    measured = found.measures.set_index(["measure", "category"])
    aulc = mean_interval(
        found.examples["aulc"], clusters=premise, rng=keyed(np.random.default_rng(0), "measures", "overall"), **QUICK
    )
    row = measured.loc[("aulc", "overall")]
    assert (row["mean"], row["low"], row["high"], row["caution"]) == pytest.approx((*aulc[:3], aulc.caution))
    _, for_rho, _, for_curves = np.random.default_rng(0).spawn(4)
    names = ("aulc", "entropy")
    rng = for_rho.spawn(2)[0]
    assert found.correlation.aulc == spearman(
        found.examples["aulc"], found.examples["entropy"], names=names, clusters=premise, rng=rng, **QUICK
    )
    alone = analyze(paired_run, clusters="none", **QUICK)
    right = [found.curves.accuracy[0].high[-1] - found.curves.accuracy[0].low[-1] for found in (found, alone)]
    assert right[0] != right[1]
    # The loss of all examples is drawn last of its curves: a clean child of the curves' generator.
    drawn = for_curves.spawn(3)[0]
    for curve in found.curves.loss:
        mask = np.ones(120, bool) if curve.category == "overall" else paired_run.categories == curve.category
        last = mean_interval(paired_run.losses[-1][mask], clusters=premise[mask], rng=drawn, **QUICK)
        assert (curve.low[-1], curve.high[-1]) == pytest.approx(last[1:3])


def test_the_contrast_of_categories_takes_clusters_of_both_together(paired_run):
    """Every premise has one clean and one contested example whose losses change alike but for a constant."""
    change = np.random.default_rng(1).exponential(size=60)
    losses = np.stack([np.ones(120), 1 + np.concatenate([change, change + 0.3])])
    categories = np.repeat(["clean", "contested"], 60)
    run = replace(
        paired_run, losses=losses, logits=None, steps=np.array([0, 10]), epochs=np.array([0.0, 1.0]),
        examples=paired_run.examples.assign(category=categories),
    )  # fmt: skip
    together, apart = (analyze(run, clusters=clusters, **QUICK).unlearning.contrast for clusters in (None, "none"))
    assert (together.difference, together.low, together.high) == pytest.approx((0.3, 0.3, 0.3))
    assert apart.high - apart.low > 0.3


def test_a_run_says_what_its_intervals_are_over(paired_run, unlearning_run):
    said = "120 examples of 120 share a text with another: intervals are over 60 clusters of examples that do, which"
    assert any(sentence.startswith(said) for sentence in statements(analyze(paired_run, **QUICK)))
    assert any(
        "share topic with another: intervals are over 12" in n
        for n in analyze(paired_run, clusters="topic", **QUICK).notes
    )
    assert analyze(unlearning_run, **QUICK).notes == ()


def test_the_order_of_examples_does_not_change_clustered_numbers(paired_run):
    order = np.random.default_rng(2).permutation(120)
    turned = replace(
        paired_run,
        example_ids=paired_run.example_ids[order],
        losses=paired_run.losses[:, order],
        logits=paired_run.logits[:, order],
        examples=paired_run.examples.iloc[order].reset_index(drop=True),
    )
    first, again = (analyze(run, **QUICK).to_dict() for run in (paired_run, turned))
    assert again["unlearning"] == first["unlearning"]
    assert again["correlation"] == first["correlation"]


def test_a_caution_stands_at_the_number(paired_run):
    skewed = np.zeros((2, 120))
    skewed[1, :6] = 1.0
    run = replace(paired_run, losses=skewed, logits=None, steps=np.array([0, 10]), epochs=np.array([0.0, 1.0]))
    found = analyze(run, **QUICK)
    assert "too skewed for so few clusters" in found.unlearning.overall.caution
    rows = found.measures.set_index(["measure", "category"])
    assert "too skewed for so few clusters" in rows.loc[("loss_last", "overall"), "caution"]
    # The first losses are all 0: the last ones have the same caution in the curve, and a mark in the sentence.
    curve = found.tables()["curves"].query("measure == 'loss' and category == 'overall'").set_index("step")["caution"]
    assert curve.to_dict() == {0: "", 10: rows.loc[("loss_last", "overall"), "caution"]}
    marked = [said for said in statements(found) if "†" in said]
    assert "mean loss" in marked[0]
    assert marked[-1] == "† This interval may cover the truth less often than it says: the tables say why."
