"""What beside_lora sets beside each other, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax


@pytest.fixture
def found(made):
    """LoRA of three seeds and full fine-tuning of two; IA3 lacks the seeds that LoRA has, decoders are elsewhere."""
    cells = made.seeds(3) + made.seeds(2, method="full") + made.seeds(2, backbone="bert", method="full")
    cells += [made.cell(method="ia3", seed=7)]
    runs = {}
    for place, cell in enumerate(cells):
        contested = {"lora-r4": 0.5, "full": 0.1, "ia3": 0.2}[cell["method"]] + 0.01 * place
        change = made.by_category(-0.5, 0.0, contested) + made.wobble(place, 0.02)
        runs[cell["run_id"]] = made.aulc_run(4.0, change)
    return made.results(cells, runs).frames["beside_lora"], runs


def contested(runs, *names):
    return np.stack([(runs[name].losses[-1] - runs[name].losses[0])[16:] for name in names])


def test_the_same_examples_under_the_seeds_that_both_have(made, found):
    table, runs = found
    row = made.only(table, method="full")
    # bert has no LoRA condition beside it.
    assert (row["backbone"], row["reference"], row["n_seeds"], row["n"]) == ("roberta", "lora-r4", 2, 8)
    own = contested(runs, "roberta-full-snli-42", "roberta-full-snli-123")
    lora = contested(runs, "roberta-lora-r4-snli-42", "roberta-lora-r4-snli-123")
    assert row["contested_change"] == pytest.approx(own.mean())
    assert row["reference_change"] == pytest.approx(lora.mean())
    for name, values in (("difference", own - lora), ("excess", own - 0.2 * lora)):
        assert row[name] == pytest.approx(values.mean())
        assert row[f"{name}_sd"] == pytest.approx(values.mean(axis=1).std(ddof=1))
        assert row[f"{name}_low"] < values.mean() < row[f"{name}_high"]


def test_prediction_entropy_beside_loras(made, found):
    table, runs = found
    row = made.only(table, method="full")
    names = ("roberta-full-snli", "roberta-lora-r4-snli")
    own, lora = (
        np.stack([stats.entropy(softmax(runs[f"{name}-{seed}"].logits[-1], axis=1), axis=1) for seed in (42, 123)])
        for name in names
    )
    assert row["entropy_difference"] == pytest.approx((own - lora).mean())
    assert row["entropy_difference_sd"] == pytest.approx((own - lora).mean(axis=1).std(ddof=1))
    assert row["entropy_difference_low"] < row["entropy_difference"] < row["entropy_difference_high"]


def test_without_a_seed_of_both_there_is_no_number(made, found):
    row = made.only(found[0], method="ia3")
    assert np.isnan([row["difference"], row["excess"]]).all()
    assert row["note"].startswith("no seed of both is complete")
