from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import special

from contested.analysis import analyze, nested_mean_intervals
from contested.analysis.decomposition import (
    label_change,
    majority_probabilities,
    parts_sentences,
    redrawn_change,
    taken_apart,
)
from contested.analysis.divergence import kl_divergence
from contested.analysis.intervals import keyed
from contested.analysis.original_label import original_labels
from contested.errors import ConfigError


def test_a_rising_loss_may_be_a_move_towards_the_annotators() -> None:
    # p = (.6, .4), gold label 0; the model goes from (.9, .1) to exactly p.
    # Δℓ = ln(.9 / .6) = .4055; ΔKL = −(.6 ln(.6/.9) + .4 ln(.4/.1)) = −.3112; the rest is .4055 + .3112 = .7167.
    logits = np.log([[[0.9, 0.1]], [[0.6, 0.4]]])
    kl = kl_divergence(logits, [[0.6, 0.4]])
    loss = -logits[:, 0, 0]
    found = taken_apart(
        loss[1:] - loss[:1],
        kl[1] - kl[0],
        loss[1:] - loss[:1],
        ["contested"],
        ["contested"],
        rng=np.random.default_rng(0),
    )
    row = found.set_index("category").loc["overall"]
    assert row[["change", "kl", "rest"]].tolist() == pytest.approx([0.4055, -0.3112, 0.7167], abs=1e-4)
    assert row[["rose", "rose_closer", "closer_share"]].tolist() == [1, 1, 1.0]
    assert row["note"] == (
        "1 example: too few for a 95% interval (6 needed); share of the rise, smaller side: no examples"
    )


def test_the_majority_of_other_annotators() -> None:
    # Three votes drawn from (2/3, 1/3): label 0 wins with two or three, 12/27 + 8/27.
    # Two votes drawn from (1/2, 1/2): a tie half of the time, which counts for both.
    # One hundred votes for one label leave nothing to chance.
    found = majority_probabilities([[2, 1], [1, 1], [0, 100]], rng=np.random.default_rng(0), n_draws=20_000)
    assert found[:, 0] == pytest.approx([20 / 27, 1 / 2, 0], abs=0.01)
    assert found.sum(axis=1) == pytest.approx(1)
    with pytest.raises(ConfigError, match="n_draws: given 10, expected at least 100"):
        majority_probabilities([[2, 1]], rng=np.random.default_rng(0), n_draws=10)


def test_the_change_with_a_label_that_is_sure_is_that_of_its_loss() -> None:
    first, last = np.random.default_rng(0).normal(size=(2, 5, 3))
    gold = np.array([0, 1, 2, 0, 1])
    loss = [-special.log_softmax(logits, axis=1)[np.arange(5), gold] for logits in (first, last)]
    assert redrawn_change(first, last, np.eye(3)[gold]) == pytest.approx(loss[1] - loss[0])


def test_the_change_with_another_label_is_that_of_its_loss_and_unknown_without_one() -> None:
    # −ln q of label 1: from ln 4 to ln 2, a fall by ln 2; no label, no change.
    logits = np.log([[[0.75, 0.25], [0.5, 0.5]], [[0.5, 0.5], [0.9, 0.1]]])
    found = label_change(logits[0], logits[1], [1, -1])
    assert found == pytest.approx([-np.log(2), np.nan], nan_ok=True)


def test_published_labels_are_classes_by_name() -> None:
    examples = pd.DataFrame({"old_label": ["Neutral", "-", None, " yes "], "original_label": ["no", "?", 1, "yes"]})
    assert original_labels(examples, ("no", "neutral", "yes")).tolist() == [0, -1, -1, 2]
    assert original_labels(examples[["old_label"]], ("no", "neutral", "yes")).tolist() == [1, -1, -1, 2]
    assert original_labels(examples, ("a", "b")) is None
    assert original_labels(examples.rename(columns=str.upper), ("no", "yes")) is None


def test_a_run_whose_examples_know_the_label_they_were_published_with(unlearning_run) -> None:
    names, gold = np.array(["e", "n", "c"], dtype=object), unlearning_run.gold
    shifted = names[(gold + 1) % 3]
    shifted[:7] = "-"
    examples = unlearning_run.examples.assign(old_label=shifted)
    found = analyze(replace(unlearning_run, examples=examples), n_resamples=200)
    plain = analyze(unlearning_run, n_resamples=200)
    assert "original" not in plain.decomposition
    # The loss of the next label, written out; the first seven examples have none.
    logits = unlearning_run.logits[:, 7:]
    losses = -special.log_softmax(logits, axis=2)[:, np.arange(len(gold) - 7), (gold[7:] + 1) % 3]
    row = found.decomposition.iloc[-1]
    assert (row["original"], row["n_original"]) == (pytest.approx((losses[-1] - losses[0]).mean()), len(gold) - 7)
    assert row["original_low"] < row["original"] < row["original_high"]
    assert plain.decomposition.equals(found.decomposition[list(plain.decomposition)])
    said = [line for line in found.to_dict()["statements"] if "were published with" in line]
    assert len(said) == 1
    n, n_top = found.decomposition["n"].iloc[-2], found.decomposition["n_original"].iloc[-2]
    assert said[0].endswith("nats." if n == n_top else f"nats ({n_top} of {n} have one).")


def test_over_seeds_every_part_is_a_mean_over_seeds_and_the_share_one_of_all_rises() -> None:
    rng = np.random.default_rng(5)
    change, kl = np.stack([np.stack(made(rng, 90)) for _ in range(3)], axis=1)
    groups = np.repeat(np.arange(45), 2)
    given = {"clusters": groups, "rng": np.random.default_rng(0), "n_resamples": 300}
    row = taken_apart(change, kl, change, ["a"] * 90, ["a"], original=change + 1, **given).iloc[0]
    assert row[["change", "kl", "rest"]].tolist() == pytest.approx([change.mean(), kl.mean(), (change - kl).mean()])
    draws = given | {"rng": keyed(np.random.default_rng(0), "apart", "a")}
    same = nested_mean_intervals(np.stack([change, kl], axis=-1), **draws)
    assert row[["change_low", "kl_low", "change_high", "kl_high"]].tolist() == [*same.low, *same.high]
    assert row["original"] == pytest.approx(change.mean() + 1)
    rise = np.maximum(change, 0)
    assert row["closer_share"] == pytest.approx(rise[kl < 0].sum() / rise.sum())
    assert row["rose"] == pytest.approx((change > 0).sum() / 3)
    # Seeds that disagree widen the interval of the share: here one of them has no rise but on such examples.
    kl[0] = -1
    apart = taken_apart(change, kl, change, ["a"] * 90, ["a"], **given).iloc[0]
    assert apart["closer_high"] - apart["closer_low"] > 2 * (row["closer_high"] - row["closer_low"])


def test_a_seed_without_a_rise_leaves_the_share_without_an_interval() -> None:
    change, kl = np.stack([np.stack(made(np.random.default_rng(6), 60))] * 2, axis=1)
    change[1] = -1
    row = taken_apart(change, kl, change, ["a"] * 60, ["a"], rng=np.random.default_rng(0)).iloc[0]
    assert np.isfinite(row["closer_share"])
    assert np.isnan(row["closer_low"])
    assert row["note"] == "share of the rise: no loss rose under one of the seeds"


def made(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    change = rng.normal(0.1, 1, n)
    return change, change + rng.normal(-0.3, 0.5, n)


def test_the_parts_add_up_and_the_share_is_that_of_the_summed_rise() -> None:
    change, kl = made(np.random.default_rng(1), 400)
    categories = np.where(np.arange(400) < 150, "clean", "contested")
    found = taken_apart(change, kl, change, categories, ["clean", "contested"], rng=np.random.default_rng(0))
    assert found["category"].tolist() == ["clean", "contested", "overall"]
    assert (found["kl"] + found["rest"]).to_numpy() == pytest.approx(found["change"].to_numpy())
    rose = change > 0
    closer = rose & (kl < 0)
    row = found.iloc[-1]
    assert (row["rose"], row["rose_closer"]) == (rose.sum(), closer.sum())
    assert row["closer_share"] == pytest.approx(change[closer].sum() / change[rose].sum())
    assert 0 < row["closer_low"] < row["closer_share"] < row["closer_high"] < 1


def test_copies_in_one_cluster_say_nothing_new() -> None:
    change, kl = made(np.random.default_rng(2), 200)
    alone = taken_apart(change, kl, change, ["a"] * 200, ["a"], rng=np.random.default_rng(0))
    twice = taken_apart(
        *(np.repeat(values, 2) for values in (change, kl, change)),
        ["a"] * 400,
        ["a"],
        clusters=np.repeat(np.arange(200), 2),
        rng=np.random.default_rng(0),
    )
    numbers = [name for name in alone if name not in {"category", "n", "rose", "rose_closer", "note"}]
    assert twice[numbers].to_numpy() == pytest.approx(alone[numbers].to_numpy())


def test_the_interval_of_the_share_covers_it() -> None:
    rng = np.random.default_rng(3)
    # E[rise; KL falls] / E[rise], from a sample as large as a population.
    change, kl = made(rng, 400_000)
    truth = change[(change > 0) & (kl < 0)].sum() / change[change > 0].sum()
    hits = 0
    for _ in range(200):
        change, kl = made(rng, 150)
        row = taken_apart(change, kl, change, ["a"] * 150, ["a"], rng=rng, n_resamples=400).iloc[-1]
        hits += row["closer_low"] <= truth <= row["closer_high"]
    # 95 % of 200 sets, four standard errors wide: 1.5 points each.
    assert 0.89 <= hits / 200 <= 1
    assert hits < 200


def test_the_sentences_say_the_parts_and_leave_out_an_interval_of_a_few() -> None:
    change, kl = np.array([1.0] * 9 + [-1.0] * 11), np.array([-0.5] * 2 + [0.5] * 18)
    found = taken_apart(change, kl, change, ["contested"] * 20, ["contested"], rng=np.random.default_rng(0))
    parts, rise = parts_sentences(found, "95% interval")
    # Means: Δℓ −2/20, ΔKL (−1 + 9) / 20, the rest −0.5.
    assert parts.startswith("Of the mean change of contested examples, −0.100 nats, +0.400 [")
    assert ", and −0.500 [" in parts
    # Two of the nine that rose, which rose as much as the others.
    assert rise == (
        "The loss rose on 9 of 20 contested examples, and on 2 of these the model came closer to the annotators all "
        "the same (22.2% of the summed rise)."
    )
    assert parts_sentences(None, "95% interval") == []
