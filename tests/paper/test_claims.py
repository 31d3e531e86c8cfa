"""Every claim in each verdict it can take; see the rules in the docstrings of claims.py."""

from __future__ import annotations

import numpy as np
import pytest

HOLDS, NOT, INCONCLUSIVE = "holds", "does not hold", "inconclusive"


def order(made, noise, sign=1.0, seed=0):
    """An AULC whose ρ with H is 1 without noise, has either sign, and fades with noise."""
    return (5.0 if noise < 1 else 250.0) + sign * made.ENTROPY + made.wobble(seed, noise)


def study(made, aulcs, missing=()):
    """One condition of two seeds for each AULC, on backbones a, b, …"""
    cells, runs = [], {}
    for name, aulc in zip("abcdefgh", aulcs, strict=False):
        own = made.seeds(2, backbone=name)
        cells += own
        runs |= {cell["run_id"]: made.aulc_run(aulc) for cell in own if cell["run_id"] not in missing}
    return made.results(cells, runs)


@pytest.mark.parametrize(
    ("aulcs", "verdict"),
    [
        ([(0.1, 1.0), (0.2, 1.0)], HOLDS),
        ([(0.1, 1.0), (0.1, -1.0)], NOT),
        ([(0.1, 1.0), (50.0, 1.0)], INCONCLUSIVE),
    ],
)
def test_a_positive_everywhere(made, aulcs, verdict):
    found = study(made, [order(made, *one) for one in aulcs])
    claim = made.claim(found, "a")
    assert claim.verdict == verdict
    assert claim.evidence[0].startswith("table1: a · lora-r4 · snli: +0.9")
    assert "a-lora-r4-snli-42" in claim.run_ids


def test_a_missing_run_keeps_a_claim_from_holding_and_is_named(made):
    aulcs = [order(made, 0.1), order(made, 0.2)]
    claim = made.claim(study(made, aulcs, missing=("b-lora-r4-snli-123",)), "a")
    assert claim.verdict == INCONCLUSIVE
    assert "missing runs: b-lora-r4-snli-123" in claim.answer
    # What is there can still tell against it.
    claim = made.claim(study(made, [order(made, 0.1), order(made, 0.1, -1.0)], missing=("a-lora-r4-snli-42",)), "a")
    assert claim.verdict == NOT


@pytest.mark.parametrize(
    ("aulcs", "verdict", "said"),
    [
        # Of 7 conditions ceil(7 · 0.84) = 6 are needed.
        ([(0.1, 1.0)] * 6 + [(50.0, 1.0)], HOLDS, "6 of 7"),
        ([(0.1, 1.0)] * 4 + [(0.1, -1.0)] * 3, NOT, "4 of 7"),
        # A weak positive correlation of 24 examples may be significant in truth.
        ([(0.1, 1.0)] * 5 + [(0.5, 1.0)] * 2, INCONCLUSIVE, "5 of 7"),
    ],
)
def test_b_significant_in_most(made, aulcs, verdict, said):
    seeds = {50.0: 0, 0.5: 6, 0.1: 0}
    found = study(made, [order(made, *one, seed=seeds[one[0]]) for one in aulcs])
    claim = made.claim(found, "b")
    assert claim.verdict == verdict
    assert claim.answer.startswith(f"{said} main conditions have a positive and significant ρ")
    assert "6 would match" in claim.answer


def unlearning(made, lora, full, ia3, leave_out=(), missing=()):
    """Contested Δℓ of each method; a pair is mean and spread over examples."""
    cells, runs = [], {}
    for method, (mean, spread) in {"lora-r4": lora, "full": full, "ia3": ia3}.items():
        own = [] if method in leave_out else made.seeds(2, method=method)
        change = made.by_category(-0.5, 0.0, mean) + made.wobble(2, 1.0) * spread
        cells += own
        runs |= {cell["run_id"]: made.aulc_run(4.0, change) for cell in own if cell["run_id"] not in missing}
    return made.claim(made.results(cells, runs), "c")


CLEAR, FALLS = (0.5, 0.01), (-0.5, 0.01)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ((CLEAR, FALLS, FALLS), HOLDS),
        # IA3's interval holds 0, and its Δℓ is clearly less than a fifth of LoRA's.
        ((CLEAR, FALLS, (0.0, 0.05)), HOLDS),
        ((CLEAR, FALLS, (0.0, 2.0)), INCONCLUSIVE),
        (((0.0, 1.0), FALLS, FALLS), INCONCLUSIVE),
        ((FALLS, FALLS, FALLS), NOT),
        ((CLEAR, (0.2, 0.01), FALLS), NOT),
        ((CLEAR, (0.05, 0.01), FALLS), HOLDS),
    ],
)
def test_c_unlearning_under_lora_only(made, changes, verdict):
    assert unlearning(made, *changes).verdict == verdict


def test_c_needs_every_method(made):
    claim = unlearning(made, CLEAR, FALLS, FALLS, leave_out=("ia3",))
    assert claim.verdict == INCONCLUSIVE
    assert "the study has no run of IA3" in claim.answer
    claim = unlearning(made, CLEAR, FALLS, FALLS, missing=("roberta-ia3-snli-42", "roberta-ia3-snli-123"))
    assert claim.verdict == INCONCLUSIVE
    assert "missing runs: roberta-ia3-snli-42; roberta-ia3-snli-123" in claim.answer


def test_c_answers_in_one_sentence(made):
    claim = unlearning(made, CLEAR, FALLS, FALLS)
    assert claim.answer == (
        "the mean loss of contested examples is rising in 1 of 1 LoRA conditions, "
        "and it is not rising in 2 of 2 conditions of full fine-tuning or IA3; "
        "3 of them rest on intervals that may cover less often than they say."
    )
    assert [line.split(": ")[0] for line in claim.evidence] == ["table2"] * 3


@pytest.mark.parametrize(
    ("noise", "ranks", "verdict"),
    [
        # Monotone over five ranks: p = 2 / 120.
        ((4.0, 2.0, 1.0, 0.5, 0.0), (1, 2, 4, 8, 16), HOLDS),
        ((0.0, 0.5, 1.0, 2.0, 4.0), (1, 2, 4, 8, 16), NOT),
        # Three ranks cannot reach p < 0.05; nothing says that ρ falls.
        ((0.4, 0.3, 0.2), (1, 2, 4), INCONCLUSIVE),
    ],
)
def test_d_grows_with_rank(made, noise, ranks, verdict):
    cells = [made.cell(method=f"lora-r{rank}", group="rank-sweep", main=False) for rank in ranks]
    runs = {
        cell["run_id"]: made.aulc_run(9.0 + made.ENTROPY + made.wobble(4, 1.0) * scale)
        for cell, scale in zip(cells, noise, strict=True)
    }
    claim = made.claim(made.results(cells, runs), "d")
    assert claim.verdict == verdict
    assert f"over {len(ranks)} ranks" in claim.evidence[0]


def controlled(made, aulc, **values):
    cells = made.seeds(2)
    losses = np.tile(aulc, (2, 1))
    return made.claim(made.results(cells, {cell["run_id"]: made.run(losses, **values) for cell in cells}), "e")


def test_e_survives_controls(made):
    claim = controlled(made, order(made, 0.1))
    assert claim.verdict == HOLDS
    assert claim.answer.startswith("of 1 main conditions 1 have ρ above 0")


def test_e_does_not_survive_when_length_makes_the_correlation(made):
    # AULC is length, and length follows entropy loosely: nothing of ρ is left once length is held fixed.
    rng = np.random.default_rng(0)
    counts = np.tile(made.COUNTS, (8, 1))
    entropy = np.tile(made.ENTROPY, 8)
    length = np.argsort(np.argsort(entropy + rng.normal(0, 0.3, len(entropy)))) + 1
    texts = [" ".join(["word"] * words) for words in length]
    aulc = 5.0 + length / 20 + rng.normal(0, 0.5, len(length))
    claim = controlled(made, aulc, counts=counts, ids=[f"{row:03d}" for row in range(192)], examples={"text": texts})
    assert claim.verdict == NOT


def test_e_with_nothing_to_survive(made):
    claim = controlled(made, order(made, 50.0))
    assert claim.verdict == INCONCLUSIVE
    assert "no main condition has a ρ whose interval is above 0" in claim.answer


@pytest.mark.parametrize(
    ("difference", "spread", "verdict"),
    [
        (0.0, 0.05, HOLDS),
        (0.2, 0.05, NOT),
        (-0.2, 0.05, NOT),
        # Holds 0, and is narrower than the effect of 0.4: no proof that nothing changed.
        (-0.05, 0.15, INCONCLUSIVE),
        (0.0, 5.0, INCONCLUSIVE),
    ],
)
def test_f_soft_labels_change_nothing(made, difference, spread, verdict):
    cells = made.seeds(2) + made.seeds(2, soft_labels=True, group="soft-labels")
    hard = made.by_category(-0.5, 0.0, 0.4)
    wobble = made.wobble(3, 1.0)
    wobble[16:] -= wobble[16:].mean()
    runs = {c["run_id"]: made.aulc_run(9.0, hard) for c in cells[:2]}
    runs |= {c["run_id"]: made.aulc_run(9.0, hard + difference + spread * wobble) for c in cells[2:]}
    claim = made.claim(made.results(cells, runs), "f")
    assert claim.verdict == verdict
    assert "at a hard Δℓ of +0.400" in claim.answer


def aligned(made, lora, full, n_seeds=2):
    cells = [one for method in ("lora-r4", "full") for one in made.seeds(n_seeds, method=method, group="gradients")]
    cosines = {cell["run_id"]: lora if cell["method"] == "lora-r4" else full for cell in cells}
    # A second seed nearly agrees; one that agrees says nothing of others.
    for cell in cells:
        given = cosines[cell["run_id"]]
        if cell["method"] == "lora-r4" and cell["seed"] != cells[0]["seed"]:
            cosines[cell["run_id"]] = [cosine + 0.001 for cosine in given]
    runs = {
        run_id: made.aulc_run(order(made, 0.1), gradients=made.gradients(given))
        for run_id, given in cosines.items()
        if given is not None
    }
    return made.claim(made.results(cells, runs), "g")


def around(made, middle, n=10):
    return [0.99, *(middle + made.wobble(1, 0.02)[:n])]


def test_g_alignment(made):
    assert aligned(made, around(made, 0.8), around(made, 0.2)).verdict == HOLDS
    assert aligned(made, around(made, 0.3), around(made, 0.1)).verdict == NOT
    # Less aligned than under full fine-tuning.
    assert aligned(made, around(made, 0.6), around(made, 0.8)).verdict == NOT
    # One seed has no interval over seeds, however many steps it was probed at.
    assert aligned(made, around(made, 0.8), around(made, 0.2), 1).verdict == INCONCLUSIVE
    claim = aligned(made, around(made, 0.8), None)
    assert claim.verdict == INCONCLUSIVE
    assert "missing runs: roberta-full-snli-42" in claim.answer


def confident(made, lora, full):
    """Each method's last loss of every example, give or take, and its contested Δℓ."""
    cells = made.seeds(2) + made.seeds(2, method="full")
    runs = {}
    for cell in cells:
        last, change = lora if cell["method"] == "lora-r4" else full
        end = last + np.abs(made.wobble(3, 0.02))
        runs[cell["run_id"]] = made.run(np.stack([end - made.by_category(0.0, 0.0, change), end]))
    return made.claim(made.results(cells, runs), "h")


def test_h_calibration(made):
    # A loss of 0.1 is a confident answer, one of 0.6 is not.
    assert confident(made, (0.6, 0.3), (0.1, -0.3)).verdict == HOLDS
    # LoRA is the more confident one and un-learns more: as calibration would have it.
    assert confident(made, (0.1, 0.05), (0.6, -0.3)).verdict == NOT
    assert confident(made, (0.6, -0.3), (0.1, 0.05)).verdict == NOT
    assert confident(made, (0.6, 0.3), (0.6, -0.3)).verdict == INCONCLUSIVE
    # Nothing is un-learned under LoRA either: falling less is no un-learning to be explained.
    assert confident(made, (0.6, -0.1), (0.1, -0.3)).verdict == INCONCLUSIVE
    claim = confident(made, (0.6, 0.3), (0.1, -0.3))
    assert claim.evidence[0].startswith(
        "beside_lora: roberta · lora-r4 · snli against full: full fine-tuning minus LoRA"
    )
    # Both end at 0.6 or 0.1, give or take, and differ by 0.6 in what they un-learn.
    assert "contested Δℓ −0.600 (−0.600 to −0.600) nats at a Δℓ of +0.300 under LoRA" in claim.evidence[0]
    assert "roberta-full-snli-42" in claim.run_ids


@pytest.mark.parametrize(("shifts", "verdict"), [((0.3, 0.5), HOLDS), ((0.3, -0.3), NOT), ((0.3, 0.0), INCONCLUSIVE)])
def test_i_noise_raises_clean_aulc(made, shifts, verdict):
    cells, runs = made.seeds(2), {}
    runs |= {cell["run_id"]: made.aulc_run(order(made, 0.1)) for cell in cells}
    wobble = made.wobble(3, 0.1)
    wobble[:8] -= wobble[:8].mean()
    for level, shift in zip((0.3, 0.6), shifts, strict=True):
        arms = made.seeds(2, noise=level, group="noise")
        cells += arms
        runs |= {cell["run_id"]: made.aulc_run(order(made, 0.1) + shift + wobble) for cell in arms}
    claim = made.claim(made.results(cells, runs), "i")
    assert claim.verdict == verdict
    assert "30% noise: +0.300" in claim.answer


def test_claims_nobody_asked_for_cannot_be_said(made):
    found = study(made, [order(made, 0.1)])
    unasked = {claim.key: claim for claim in found.claims if claim.key in "dfghi"}
    assert {claim.verdict for claim in unasked.values()} == {INCONCLUSIVE}
    assert unasked["i"].answer == "the study has no run with noise."
    assert unasked["d"].evidence == ()
    assert [claim.key for claim in found.claims] == list("abcdefghi")
