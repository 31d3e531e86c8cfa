"""Both sides of every threshold and of every rule of the claims, on frames made by hand.

A frame's row is one finding, so with one row the verdict says where it stands: for the claim (it holds), against it,
or open. Interval ends lie exactly on a threshold, or next to it; numbers such as 0.5 and 0.25 have no rounding.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from contested.analysis.study import Resampling
from contested.paper.claims import claims
from contested.paper.frames.columns import COLUMNS, frame
from contested.paper.frames.conditions import PaperStudy

HOLDS, NOT, INCONCLUSIVE = "holds", "does not hold", "inconclusive"
NAN = float("nan")
METHODS = ("lora-r4", "lora-r16", "full", "ia3")


@pytest.fixture
def decide(made: SimpleNamespace):
    """One claim of a study whose frames are empty but for the rows given."""
    cells = made.table(*(made.cell(name, method) for name in ("a", "b", "c", "d") for method in METHODS))

    def decided(key: str, *, confidence: float = 0.95, **rows: list[dict[str, Any]]):
        # Conditions of Table 1 have a raw correlation in any study: an unclear one where the test gives none.
        given = {(one["backbone"], one["method"]) for one in rows.get("controls", [])}
        lacking = [one for one in rows.get("table1", []) if (one["backbone"], one["method"]) not in given]
        raw = [
            row(one["backbone"], one["method"], control="none", rho=0.0, low=-1.0, high=1.0, n=24) for one in lacking
        ]
        rows["controls"] = rows.get("controls", []) + raw
        frames = {name: frame(name, rows.get(name, [])) for name in COLUMNS}
        draw = Resampling(np.random.default_rng(0), 1000, confidence)
        found = claims(PaperStudy.of(cells, None, {}), frames, draw)
        return next(claim for claim in found if claim.key == key)

    return decided


def row(backbone: str = "a", method: str = "lora-r4", **values: Any) -> dict[str, Any]:
    """A row of a condition, by one complete run."""
    given = {"backbone": backbone, "method": method, "dataset": "snli", "run_ids": f"{backbone}-{method}-1", **values}
    return {"missing": "", **given}


# (a) ρ > 0 everywhere


UNTESTED = {"p_bonferroni": NAN, "significant_bonferroni": False, "significant_bh": False}


def positive(low: float, high: float, **values: Any) -> dict[str, Any]:
    rho = {"rho_mean": (low + high) / 2, "rho_low": low, "rho_high": high}
    return row(**{"main": True, "family_size": 1, **UNTESTED, **rho, **values})


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ((0.001, 0.5), HOLDS),
        ((0.0, 0.5), INCONCLUSIVE),
        ((-0.5, 0.0), INCONCLUSIVE),
        ((-0.5, -0.001), NOT),
        ((NAN, NAN), INCONCLUSIVE),
    ],
)
def test_a_the_interval_of_rho_decides(decide, ends, verdict):
    assert decide("a", table1=[positive(*ends)]).verdict == verdict


def test_a_asks_the_main_conditions_alone_and_counts_those_above_zero(decide):
    rows = [
        positive(0.25, 0.75),
        positive(-0.25, 0.25, backbone="b"),  # a mean of 0 is not above 0
        positive(NAN, NAN, backbone="c"),
        positive(-0.75, -0.25, method="ia3", main=False),
    ]
    claim = decide("a", table1=rows)
    assert claim.verdict == INCONCLUSIVE
    assert claim.answer.startswith("ρ lies between 0.000 and +0.500, and is above 0 in 1 of 3 main conditions")
    assert [line.split(": ")[1] for line in claim.evidence] == [f"{name} · lora-r4 · snli" for name in "abc"]
    assert decide("a", table1=rows[:1] + rows[3:]).verdict == HOLDS
    unasked = decide("a", table1=rows[3:])
    assert (unasked.verdict, unasked.answer) == (INCONCLUSIVE, "the study has no main condition.")


# (b) significant after Bonferroni in 21 of 25


def significance(sure: int, against: int, lacking_power: int = 0, size: int = 5, **values: Any) -> dict[str, Any]:
    """Table 1 and raw correlations: significant ones, hopeless ones, and ones that may lack power."""
    stands = [(True, 0.9, 0.95)] * sure + [(False, 0.1, 0.2)] * against + [(False, 0.4, 0.9)] * lacking_power
    table, plain = [], []
    for place, (significant, rho, high) in enumerate(stands):
        of = {"backbone": f"backbone-{place}"}
        p = 0.001 if significant else 0.3
        own = {"main": True, "significant_bonferroni": significant, "significant_bh": rho > 0.3, "family_size": size}
        table.append(row(**of, **own, p_bonferroni=p, **values))
        plain.append(row(**of, control="none", rho=rho, high=high, low=-1.0, n=24))
        # Partial correlations are of no concern here.
        plain.append(row(**of, control="both", rho=-rho, high=1.0 - high, low=-1.0, n=24))
    return {"table1": table, "controls": plain}


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((21, 4), HOLDS),
        ((20, 5), NOT),
        ((20, 4, 1), INCONCLUSIVE),
        ((19, 5, 1), NOT),
        # ceil(0.84 · 7) = 6 and ceil(0.84 · 6) = 6: a part of a condition is a whole one.
        ((6, 1), HOLDS),
        ((5, 2), NOT),
        ((5, 1), NOT),
    ],
)
def test_b_asks_for_21_of_25(decide, counts, verdict):
    claim = decide("b", **significance(*counts))
    assert claim.verdict == verdict
    # The one that may lack power has ρ = 0.4 and is significant after Benjamini–Hochberg.
    bh = counts[0] + sum(counts[2:])
    assert f"after Bonferroni over 5 tests ({bh} after Benjamini–Hochberg)" in claim.answer
    assert claim.answer.startswith(f"{counts[0]} of {sum(counts)} main conditions")


def test_b_counts_main_conditions_alone(decide):
    frames = significance(21, 4)
    unmarked = row("d", main=False, **UNTESTED)
    frames["table1"].append(unmarked)
    assert decide("b", **frames).verdict == HOLDS
    unasked = decide("b", table1=[unmarked])
    assert (unasked.verdict, unasked.answer) == (INCONCLUSIVE, "the study has no main condition.")


def test_b_a_missing_run_keeps_it_from_holding_but_not_from_failing(decide):
    assert decide("b", **significance(25, 0, missing="a-run")).verdict == INCONCLUSIVE
    assert decide("b", **significance(0, 25, missing="a-run")).verdict == NOT


@pytest.mark.parametrize(
    ("high", "confidence", "verdict"),
    [
        # Critical values of a correlation of 24 (22 degrees of freedom), two-sided, from printed tables: 0.515 at
        # 0.05 / 5 = 0.01, and 0.472 at 0.10 / 5 = 0.02.
        (0.5145, 0.95, NOT),
        (0.5155, 0.95, INCONCLUSIVE),
        (0.4710, 0.90, NOT),
        (0.4725, 0.90, INCONCLUSIVE),
    ],
)
def test_b_lacks_power_where_the_interval_reaches_a_significant_rho(decide, high, confidence, verdict):
    frames = significance(0, 1)
    frames["controls"][0]["high"] = high
    assert decide("b", confidence=confidence, **frames).verdict == verdict


def test_b_a_negative_rho_is_no_evidence_however_significant(decide):
    for rho, high, verdict in (
        (0.6, 0.9, HOLDS),
        (-0.6, 0.3, NOT),
        (-0.6, 0.9, INCONCLUSIVE),
        (0.0, 0.9, INCONCLUSIVE),
    ):
        frames = significance(1, 0)
        frames["controls"][0].update(rho=rho, high=high)
        assert decide("b", **frames).verdict == verdict


def test_b_without_a_test_is_open(decide):
    frames = significance(0, 1)
    frames["table1"][0]["p_bonferroni"] = NAN
    claim = decide("b", **frames)
    assert (claim.verdict, claim.evidence) == (INCONCLUSIVE, ("table1: backbone-0 · lora-r4 · snli: no test",))


# (c) un-learned under LoRA, and not under full fine-tuning or IA3


def change(low: float, high: float, backbone: str = "a", method: str = "lora-r4", **values: Any) -> dict[str, Any]:
    middle = (low + high) / 2
    return row(backbone, method, contested_change=middle, contested_low=low, contested_high=high, **values)


RISES, FALLS = (0.25, 0.5), (-0.5, -0.25)


@pytest.mark.parametrize(
    ("lora", "verdict"),
    [((0.001, 0.5), HOLDS), ((0.0, 0.5), INCONCLUSIVE), ((-0.5, 0.0), INCONCLUSIVE), ((-0.5, -0.001), NOT)],
)
def test_c_lora_must_rise(decide, lora, verdict):
    rows = [change(*lora), change(-1.0, -0.75, method="full"), change(-1.0, -0.75, method="ia3")]
    assert decide("c", table2=rows).verdict == verdict


@pytest.mark.parametrize("method", ["full", "ia3"])
@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ((-0.5, 0.0), HOLDS),
        # Holds 0 and ends below LoRA's 0.25, at it, above it.
        ((-0.5, 0.125), HOLDS),
        ((0.0, 0.125), HOLDS),
        ((-0.5, 0.25), INCONCLUSIVE),
        ((-0.5, 0.375), INCONCLUSIVE),
        # It rises, though less than LoRA's.
        ((0.001, 0.125), NOT),
        ((NAN, -0.25), INCONCLUSIVE),
        ((-0.5, NAN), INCONCLUSIVE),
        ((NAN, NAN), INCONCLUSIVE),
    ],
)
def test_c_the_others_must_not(decide, method, ends, verdict):
    other = {"full": "ia3", "ia3": "full"}[method]
    rows = [change(*RISES), change(*FALLS, method=other), change(*ends, method=method)]
    assert decide("c", table2=rows).verdict == verdict


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ([], INCONCLUSIVE),
        # Below one LoRA condition of the same backbone is not below both; one without a number is no bound.
        ([change(0.25, 0.5, "b"), change(0.0625, 0.5, "b", "lora-r16")], INCONCLUSIVE),
        ([change(0.25, 0.5, "b"), change(NAN, NAN, "b", "lora-r16")], INCONCLUSIVE),
        ([change(0.25, 0.5, "b"), change(0.1875, 0.5, "b", "lora-r16")], HOLDS),
    ],
)
def test_c_compares_with_every_lora_condition_of_the_same_backbone(decide, more, verdict):
    # Backbone b's interval ends at 0.125; LoRA on backbone a rises, which says nothing of b.
    rows = [change(*RISES), change(*FALLS, method="ia3"), change(-0.5, 0.125, "b", "full")]
    claim = decide("c", table2=[*rows, *more])
    assert claim.verdict == verdict
    assert "in 1 of 2 conditions of full" in claim.answer or verdict == HOLDS


def test_c_an_interval_that_ends_at_zero_needs_no_lora_beside_it(decide):
    rows = [change(*RISES), change(*FALLS, method="ia3"), change(-0.5, 0.0, "b", "full")]
    assert decide("c", table2=rows).verdict == HOLDS
    assert decide("c", table2=[*rows, change(0.001, 0.5, "c", "full")]).verdict == NOT


def test_c_other_data_sets_are_no_rivals(decide, made):
    other = [change(*RISES, dataset="mnli"), change(*FALLS, method="ia3"), change(-0.5, 0.125, method="full")]
    cells = made.table(made.cell("a", "lora-r4", "mnli"), made.cell("a", "ia3"), made.cell("a", "full"))
    frames = {name: frame(name, other if name == "table2" else []) for name in COLUMNS}
    found = claims(PaperStudy.of(cells, None, {}), frames, Resampling(np.random.default_rng(0), 1000, 0.95))
    assert found[2].verdict == INCONCLUSIVE
    assert "open in 1 (a · full · snli: " in found[2].answer


def test_c_reads_both_tables_and_names_the_methods_that_are_lacking(decide):
    rows = [change(*RISES), change(*FALLS, method="full"), change(*FALLS, method="ia3")]
    assert decide("c", table2=rows, table5=[change(*FALLS, "b")]).verdict == NOT
    claim = decide("c", table2=rows[:1], table5=rows[2:])
    assert claim.verdict == INCONCLUSIVE
    assert claim.answer == (
        "the mean loss of contested examples is rising in 1 of 1 LoRA conditions, and it is not rising in 1 of 1 "
        "conditions of full fine-tuning or IA3; the study has no run of full fine-tuning."
    )
    assert [line.split(":")[0] for line in claim.evidence] == ["table2", "table5"]


# (d) ρ grows with LoRA rank


def trend(rank_rho: float, p_value: float, low: float = -0.5, high: float = 0.5, **values: Any) -> dict[str, Any]:
    between = {"difference": (low + high) / 2, "low": low, "high": high}
    given = {"backbone": "a", "dataset": "snli", "n_ranks": 5, "rank_rho": rank_rho, "p_value": p_value, **between}
    return {"run_ids": "a-1", "missing": "", **given, **values}


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        # p against 1 − confidence = 0.5, exactly.
        ((0.9, 0.4999), HOLDS),
        ((0.9, 0.5), INCONCLUSIVE),
        ((-0.9, 0.4999), NOT),
        ((-0.9, 0.5), INCONCLUSIVE),
        ((0.0, 0.25), INCONCLUSIVE),
        ((NAN, NAN), INCONCLUSIVE),
        # ρ at the highest rank minus ρ at the lowest.
        ((0.9, 0.25, -0.5, 0.0), HOLDS),
        ((0.9, 0.25, -0.5, -0.001), NOT),
        ((0.9, 0.75, -0.5, -0.001), NOT),
        ((0.9, 0.75, 0.001, 0.5), INCONCLUSIVE),
    ],
)
def test_d_trend_and_difference(decide, given, verdict):
    assert decide("d", confidence=0.5, table6_trend=[trend(*given)]).verdict == verdict


def test_d_every_sweep_counts(decide):
    rising, unclear = trend(0.9, 0.01, 0.25, 0.5), trend(0.9, 0.06, backbone="b")
    claim = decide("d", table6_trend=[rising, unclear])
    assert claim.verdict == INCONCLUSIVE
    assert claim.answer.startswith("ρ is rising with LoRA rank in 1 of 2 rank sweeps, open in 1 (b · snli: ")
    assert claim.answer.endswith(
        "; a · snli: trend +0.900 over 5 ranks, p = 0.010, ρ highest minus lowest +0.375 (+0.250 to +0.500)."
    )


# (e) control for length and gold label


def control(name: str, low: float, high: float, **values: Any) -> dict[str, Any]:
    return row(**{"control": name, "rho": (low + high) / 2, "low": low, "high": high, **values})


def controlled(raw: tuple[float, float], held: tuple[float, float], **values: Any) -> dict[str, Any]:
    """A condition's raw and partial correlation; those given length or gold alone would say otherwise."""
    rows = [control("none", *raw, **values), control("length", 0.9, 1.0), control("both", *held)]
    return {"table1": [positive(0.25, 0.5)], "controls": [*rows, control("gold", -1.0, -0.9)]}


@pytest.mark.parametrize(
    ("raw", "held", "verdict"),
    [
        ((0.5, 0.75), (0.001, 0.25), HOLDS),
        ((0.5, 0.75), (0.0, 0.25), NOT),
        ((0.5, 0.75), (0.0, 0.4999), NOT),
        ((0.5, 0.75), (0.0, 0.5), INCONCLUSIVE),
        ((0.001, 0.75), (0.001, 0.25), HOLDS),
        # Nothing could survive.
        ((0.0, 0.75), (0.001, 0.25), INCONCLUSIVE),
        ((0.0, 0.75), (-0.5, -0.25), INCONCLUSIVE),
        ((0.5, 0.75), (NAN, NAN), INCONCLUSIVE),
    ],
)
def test_e_raw_and_partial_intervals(decide, raw, held, verdict):
    assert decide("e", **controlled(raw, held)).verdict == verdict


def test_e_a_raw_rho_not_above_zero_is_open_only_while_runs_are_missing(decide):
    assert decide("e", **controlled((0.0, 0.75), (0.25, 0.5))).evidence == ()
    claim = decide("e", **controlled((0.0, 0.75), (0.25, 0.5), missing="a-lora-r4-2"))
    assert claim.verdict == INCONCLUSIVE
    assert claim.evidence == ("controls: a · lora-r4 · snli: no ρ above 0 without the missing runs",)
    assert claim.answer.startswith("of 1 main conditions 0 have ρ above 0, ")


def test_e_main_conditions_alone_and_one_without_partial_rho_is_open(decide):
    frames = controlled((0.5, 0.75), (0.25, 0.5))
    # IA3 is no main condition, whatever becomes of its ρ.
    frames["table1"].append(positive(0.25, 0.5, method="ia3", main=False))
    frames["controls"] += [control("none", 0.5, 0.75, method="ia3"), control("both", -0.5, -0.25, method="ia3")]
    claim = decide("e", **frames)
    assert (claim.verdict, len(claim.evidence)) == (HOLDS, 1)
    assert claim.answer.startswith("of 1 main conditions 1 have ρ above 0, ")
    frames["controls"] = frames["controls"][:1]
    claim = decide("e", **frames)
    assert (claim.verdict, claim.evidence) == (INCONCLUSIVE, ("controls: a · lora-r4 · snli: no ρ",))


# (f) soft labels change nothing


@pytest.mark.parametrize(
    ("low", "high", "hard", "verdict"),
    [
        (-0.25, 0.125, 0.5, HOLDS),
        (-0.25, 0.125, -0.5, HOLDS),  # how large the effect is, not its sign
        (0.0, 0.25, 0.5, HOLDS),
        (-0.25, 0.0, 0.5, HOLDS),
        (0.001, 0.25, 0.5, NOT),
        (-0.25, -0.001, 0.5, NOT),
        # As wide as the effect shows nothing.
        (-0.25, 0.25, 0.5, INCONCLUSIVE),
        (-0.25, 0.25, 0.5001, HOLDS),
        (NAN, NAN, 0.5, INCONCLUSIVE),
        (-0.25, 0.25, NAN, INCONCLUSIVE),
    ],
)
def test_f_the_interval_holds_zero_and_is_narrower_than_the_effect(decide, low, high, hard, verdict):
    ends = {"difference_mean": (low + high) / 2, "difference_low": low, "difference_high": high}
    assert decide("f", soft_labels_summary=[row(**ends, contested_change_hard=hard)]).verdict == verdict


# (g) aligned gradients


def probes(cosines: list[float], method: str, *, every: int = 100, seed: int = 42, **values: Any) -> list[dict]:
    return [
        row(method=method, seed=seed, step=every * place, cosine=cosine, **values)
        for place, cosine in enumerate(cosines)
    ]


def constant(cosine: float, n: int = 8) -> list[float]:
    """n equal cosines after a first one of 1: their interval is that one number."""
    return [1.0, *[cosine] * n]


@pytest.mark.parametrize(
    ("lora", "full", "verdict"),
    [
        (0.5625, 0.25, HOLDS),
        (0.5, 0.25, INCONCLUSIVE),
        (0.4375, 0.25, NOT),
        # As aligned as full fine-tuning, or less.
        (0.75, 0.75, INCONCLUSIVE),
        (0.75, 0.6875, HOLDS),
        (0.75, 0.8125, NOT),
        (0.75, NAN, INCONCLUSIVE),
    ],
)
def test_g_above_a_half_and_above_full_fine_tuning(decide, lora, full, verdict):
    rows = [*probes(constant(lora), "lora-r4"), *probes(constant(full), "full")]
    assert decide("g", figure8=rows).verdict == verdict
    # In whatever order the probes come: the first is that of the lowest step.
    assert decide("g", figure8=rows[::-1]).verdict == verdict


def test_g_the_interval_counts_and_not_the_mean(decide):
    # Around a mean of 0.5625 or 0.4375 that no interval of eight tells from 0.5.
    for middle in (0.5625, 0.4375):
        spread = [1.0, *(middle + sign * 0.25 for sign in (1, -1, 1, -1, 1, -1, 1, -1))]
        rows = [*probes(spread, "lora-r4"), *probes(constant(0.0), "full")]
        assert decide("g", figure8=rows).verdict == INCONCLUSIVE


def test_g_the_first_probe_does_not_count(decide):
    # Five probes after the first make no 95 % interval, six do; a probe without a cosine is none.
    for cosines, verdict in (
        (constant(0.75, 5), INCONCLUSIVE),
        (constant(0.75, 6), HOLDS),
        ([*constant(0.75, 5), NAN], INCONCLUSIVE),
        ([NAN, *constant(0.75, 6)[1:]], HOLDS),
    ):
        assert decide("g", figure8=[*probes(cosines, "lora-r4"), *probes(constant(0.25), "full")]).verdict == verdict
    # Were it counted, the difference at step 0, −2, would make these intervals hold 0.
    low = [-1.0, *[0.75] * 8]
    assert decide("g", figure8=[*probes(low, "lora-r4"), *probes(constant(0.25), "full")]).verdict == HOLDS


def test_g_compares_at_the_same_steps_of_the_same_seed_and_backbone(decide):
    lora = probes(constant(0.75, 12), "lora-r4")
    # Every other step of the full run is probed too: six steps in common after the first.
    claim = decide("g", figure8=[*lora, *probes(constant(0.25, 6), "full", every=200)])
    assert claim.verdict == HOLDS
    assert decide("g", figure8=[*lora, *probes(constant(0.25, 5), "full", every=200)]).verdict == INCONCLUSIVE
    for other in ({"seed": 7}, {"backbone": "b"}):
        rows = [*lora, *probes(constant(0.25), "full", **other)]
        assert decide("g", figure8=rows).verdict == INCONCLUSIVE
        assert decide("g", figure8=[*rows, *probes(constant(0.25), "full")]).verdict == HOLDS


def test_g_needs_runs_of_both_methods(decide):
    claim = decide("g", figure8=probes(constant(0.75), "lora-r4"))
    assert claim.verdict == INCONCLUSIVE
    assert claim.answer.endswith("; the study has no full fine-tuning run with gradient alignment.")
    # A low cosine tells against it with or without.
    assert decide("g", figure8=probes(constant(0.25), "lora-r4")).verdict == NOT
    claim = decide("g", figure8=[*probes(constant(0.25), "full"), *probes(constant(0.75), "ia3")])
    assert (claim.verdict, claim.answer) == (INCONCLUSIVE, "the study has no LoRA run with gradient alignment.")


def test_g_a_run_that_is_missing_is_named(decide):
    # A run without probes has one row without a step.
    absent = row(method="full", seed=42, step=NAN, cosine=NAN, missing="a-full-42", run_ids="")
    claim = decide("g", figure8=[*probes(constant(0.75), "lora-r4"), absent])
    assert claim.verdict == INCONCLUSIVE
    assert "missing runs: a-full-42" in claim.answer
    assert claim.run_ids == ("a-lora-r4-1",)


# (h) un-learning is not confidence


def calibrated(lora: Any, full: Any, lora_change: Any, full_change: Any) -> dict[str, Any]:
    """Ends of prediction entropy and of contested Δℓ; the entropies of one category would say otherwise."""
    rows = []
    for method, (low, high) in (("lora-r4", lora), ("full", full)):
        ends = {"prediction_entropy": (low + high) / 2, "prediction_entropy_low": low, "prediction_entropy_high": high}
        swapped = {"prediction_entropy_low": 1.0 - high, "prediction_entropy_high": 1.0 - low}
        rows += [
            row(method=method, category="clean", **(ends | swapped)),
            row(method=method, category="overall", **ends),
        ]
        rows.append(row(method=method, category="contested", **(ends | swapped)))
    return {"figure9": rows, "table2": [change(*lora_change), change(*full_change, method="full")]}


HIGH, LOW = (0.75, 0.875), (0.125, 0.25)


@pytest.mark.parametrize(
    ("lora", "full", "lora_change", "full_change", "verdict"),
    [
        (HIGH, LOW, (0.25, 0.5), (-0.5, 0.125), HOLDS),
        # Entropies that touch, or do not.
        (HIGH, (0.125, 0.75), (0.25, 0.5), (-0.5, 0.125), INCONCLUSIVE),
        (HIGH, (0.125, 0.7499), (0.25, 0.5), (-0.5, 0.125), HOLDS),
        # Changes that touch, or do not.
        (HIGH, LOW, (0.25, 0.5), (-0.5, 0.25), INCONCLUSIVE),
        (HIGH, LOW, (0.25, 0.5), (-0.5, 0.2499), HOLDS),
        # Nothing is un-learned.
        (HIGH, LOW, (0.0, 0.5), (-0.5, -0.125), INCONCLUSIVE),
        (HIGH, LOW, (0.001, 0.5), (-0.5, -0.125), HOLDS),
        # Full fine-tuning is more confident and un-learns more.
        (HIGH, LOW, (0.0, 0.25), (0.2501, 0.5), NOT),
        (HIGH, LOW, (0.0, 0.25), (0.25, 0.5), INCONCLUSIVE),
        # LoRA is more confident and un-learns more.
        (LOW, HIGH, (0.25, 0.5), (-0.5, 0.125), NOT),
        (LOW, (0.25, 0.75), (0.25, 0.5), (-0.5, 0.125), INCONCLUSIVE),
        (LOW, (0.2501, 0.75), (0.25, 0.5), (-0.5, 0.125), NOT),
        (LOW, HIGH, (0.25, 0.5), (-0.5, 0.25), INCONCLUSIVE),
        # LoRA is more confident and full fine-tuning un-learns more: nothing that this argument speaks of.
        (LOW, HIGH, (-0.5, -0.25), (0.25, 0.5), INCONCLUSIVE),
        (HIGH, HIGH, (0.25, 0.5), (-0.5, 0.125), INCONCLUSIVE),
        (HIGH, HIGH, (-0.5, -0.25), (0.25, 0.5), INCONCLUSIVE),
        ((NAN, NAN), LOW, (0.25, 0.5), (-0.5, 0.125), INCONCLUSIVE),
        (HIGH, LOW, (NAN, NAN), (-0.5, 0.125), INCONCLUSIVE),
    ],
)
def test_h_entropies_and_changes_of_a_pair(decide, lora, full, lora_change, full_change, verdict):
    assert decide("h", **calibrated(lora, full, lora_change, full_change)).verdict == verdict


def test_h_pairs_are_of_one_backbone_and_need_both_entropies(decide):
    frames = calibrated(HIGH, LOW, (0.25, 0.5), (-0.5, 0.125))
    frames["table2"] += [change(0.25, 0.5, "b"), change(-0.5, 0.125, "c", "full"), change(*RISES, method="ia3")]
    claim = decide("h", **frames)
    assert claim.verdict == HOLDS
    assert [line.split(": ")[1] for line in claim.evidence] == ["a · lora-r4 · snli against full"]
    assert claim.run_ids == ("a-lora-r4-1", "a-full-1")
    for method in ("lora-r4", "full"):
        without = [one for one in frames["figure9"] if one["method"] != method]
        claim = decide("h", table2=frames["table2"], figure9=without)
        assert (claim.verdict, claim.evidence[0]) == (
            INCONCLUSIVE,
            "figure9: a · lora-r4 · snli against full: no number",
        )


# (i) noise raises the AULC of clean examples


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.5, HOLDS),
        (0.0, 0.5, INCONCLUSIVE),
        (-0.5, 0.0, INCONCLUSIVE),
        (-0.5, -0.001, NOT),
        (NAN, NAN, INCONCLUSIVE),
    ],
)
def test_i_the_interval_of_the_shift_decides(decide, low, high, verdict):
    shift = {"shift_mean": (low + high) / 2, "shift_low": low, "shift_high": high}
    claim = decide("i", noise_summary=[row(noise=0.3, **shift)])
    assert claim.verdict == verdict
    assert claim.evidence[0].startswith("noise_summary: a · lora-r4 · snli, 30% noise: ")


# All claims


def test_missing_runs_keep_a_claim_from_holding_and_three_of_them_are_named(decide):
    absent = positive(0.25, 0.5, missing="r1,r2,r3,r4,r5")
    claim = decide("a", table1=[absent])
    assert claim.verdict == INCONCLUSIVE
    assert claim.answer.endswith("; missing runs: r1; r2; r3; and 2 more.")
    assert decide("a", table1=[positive(0.25, 0.5, missing="r1,r2,r3")]).answer.endswith("missing runs: r1; r2; r3.")
    assert decide("a", table1=[absent, positive(-0.5, -0.25, backbone="b")]).verdict == NOT
