"""The loss of a model that answers as the annotators do, and what a run loses beyond it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import special

import contested as ct
from contested.analysis.excess import annotators_loss, excess_sentences, excess_table


def row(category: str, measure: str, mean: float, low: float, high: float, note: str = "") -> dict[str, object]:
    numbers = {"n": 30, "n_skipped": 2, "mean": mean, "low": low, "high": high, "note": note}
    return {"measure": measure, "unit": "nats", "category": category, **numbers}


def test_the_annotators_loss_is_that_of_their_shares_and_unknown_without() -> None:
    counts = np.array([[60, 30, 10], [100, 0, 0], [0, 50, 50], [1, 0, 0]])
    # −ln 0.6, −ln 1; nobody chose class 0 of the third; one annotation says nothing of a share.
    found = annotators_loss(counts, np.array([0, 0, 0, 0]))
    np.testing.assert_allclose(found, [0.5108256, 0, np.nan, np.nan], atol=1e-7)


def test_a_model_that_answers_as_the_annotators_do_has_no_excess() -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial(100, [0.5, 0.3, 0.2], 40) + 1
    shares = counts / counts.sum(axis=1, keepdims=True)
    logits = np.stack([rng.normal(size=(40, 3)), np.log(shares) + 5.0])  # a shift of all logits changes nothing
    run = ct.Trajectory.from_arrays(logits=logits, gold=shares.argmax(axis=1), label_counts=counts, steps=[0, 9])
    found = ct.analyze(run, n_resamples=50)
    np.testing.assert_allclose(found.examples["excess_loss_last"], 0, atol=1e-6)
    rows = np.arange(40)
    own = -special.log_softmax(logits[0], axis=1)[rows, shares.argmax(axis=1)]
    expected = own + np.log(shares.max(axis=1))
    np.testing.assert_allclose(found.examples["excess_loss_first"], expected, atol=1e-6)
    table = found.tables()["excess_loss"].set_index("category")
    assert table.loc["overall", "excess_loss_first"] == pytest.approx(expected.mean(), abs=1e-6)
    assert any("A model that answers as the annotators do would lose" in said for said in ct.statements(found))


def test_the_sentence_says_which_way_and_only_where_the_interval_does() -> None:
    rows = [
        row("clean", "annotators_loss", 0.1, 0.05, 0.15),
        row("clean", "excess_loss_last", 0.3, 0.2, 0.4),
        row("contested", "annotators_loss", 0.7, 0.65, 0.75),
        row("contested", "excess_loss_first", 0.31, 0.25, 0.4),
        row("contested", "excess_loss_last", -0.2, -0.3, -0.1),
        row("overall", "annotators_loss", 0.4, 0.3, 0.5),
        row("overall", "excess_loss_last", 0.2, 0.1, 0.3),
    ]
    assert excess_sentences(pd.DataFrame(rows), "95% interval") == [
        "A model that answers as the annotators do would lose 0.70 nats on contested examples (mean of −ln of the gold "
        "label's share of them); this one loses at the first checkpoint 0.31 nats more (95% interval 0.25 to 0.40), "
        "at the last 0.20 nats less (95% interval 0.10 to 0.30)."
    ]
    rows[4] |= {"low": -0.5, "high": 0.1}
    rows[3] |= {"low": np.nan, "high": np.nan}
    rows[4]["note"] = "3 examples"
    said = excess_sentences(pd.DataFrame(rows), "95% interval")[0]
    assert "at the last no distinguishable amount more or less (−0.20 nats, 95% interval −0.50 to +0.10)" in said
    assert "at the first checkpoint 0.31 nats more (no interval: 3 examples)" in said
    del rows[3]
    whole = [one | {"category": "overall"} for one in rows[2:4]]
    assert "on all examples" in excess_sentences(pd.DataFrame(whole), "95% interval")[0]


def test_runs_that_lack_gold_labels_or_annotators_have_none() -> None:
    run = ct.Trajectory.from_arrays(losses=[[0.7, 0.6], [0.1, 1.2]], label_counts=[[3, 1], [2, 2]], steps=[0, 1])
    found = ct.analyze(run, n_resamples=50)
    assert excess_table(found.measures) is None
    assert excess_sentences(found.measures, "95% interval") == []
    assert "excess_loss" not in found.tables()
    # Losses of completions are of no class that annotators could have chosen.
    other = replace(run, origin={"kind": "arrays", "losses": "completions"})
    assert "excess_loss_last" not in ct.analyze(other, n_resamples=50).examples
