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
from contested.paper.findings import Family
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
    together = {"run_ids": "", "missing": "", "rho_mean": 0.25, "p_value": 0.004}
    tests = [together | {"dataset": "snli", "p_value": 0.5}, together | {"dataset": "all"}]
    said = decide("a", table1=rows[:1], omnibus=tests).answer
    assert said.endswith("; over all of them together ρ is +0.250 on average, p = 0.004 by permuting the entropies.")
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


def beside(low: float, high: float, backbone: str = "a", method: str = "full", **values: Any) -> dict[str, Any]:
    """A condition beside LoRA: the interval of its Δℓ less a fifth of LoRA's."""
    ends = {"excess": (low + high) / 2, "excess_low": low, "excess_high": high, "reference": "lora-r4"}
    return row(backbone, method, **(ends | values))


@pytest.mark.parametrize(
    ("lora", "verdict"),
    [((0.001, 0.5), HOLDS), ((0.0, 0.5), INCONCLUSIVE), ((-0.5, 0.0), INCONCLUSIVE), ((-0.5, -0.25), NOT)],
)
def test_c_lora_must_rise(decide, lora, verdict):
    rows = [change(*lora), change(-1.0, -0.75, method="full"), change(-1.0, -0.75, method="ia3")]
    assert decide("c", table2=rows).verdict == verdict


@pytest.mark.parametrize("method", ["full", "ia3"])
@pytest.mark.parametrize(
    ("ends", "excess", "verdict"),
    [
        ((-0.5, 0.0), (-0.25, 0.25), HOLDS),
        # An interval that holds 0 shows no absence, whether LoRA's lies above it or not.
        ((-0.5, 0.125), (-0.25, 0.125), INCONCLUSIVE),
        ((-0.5, 0.125), (-0.25, 0.0), INCONCLUSIVE),
        # Shown to be less than a fifth of LoRA's.
        ((-0.5, 0.125), (-0.25, -0.001), HOLDS),
        ((0.0625, 0.125), (-0.25, -0.001), HOLDS),
        # It rises, by more than a fifth of LoRA's, or as far as one can tell.
        ((0.0625, 0.125), (-0.125, 0.125), INCONCLUSIVE),
        ((0.0625, 0.125), (0.0625, 0.125), NOT),
        # More than a fifth of LoRA's, and yet it may not rise at all.
        ((0.0, 0.125), (0.0625, 0.125), INCONCLUSIVE),
        ((NAN, -0.25), (NAN, NAN), INCONCLUSIVE),
        ((-0.5, NAN), (NAN, NAN), INCONCLUSIVE),
        ((NAN, NAN), (NAN, NAN), INCONCLUSIVE),
    ],
)
def test_c_the_others_must_not(decide, method, ends, excess, verdict):
    other = {"full": "ia3", "ia3": "full"}[method]
    rows = [change(*RISES), change(*FALLS, method=other), change(*ends, method=method)]
    # Beside the other method, which falls anyway, nothing is known.
    pairs = [beside(*excess, method=method), beside(-0.5, 0.5, method=other)]
    assert decide("c", table2=rows, beside_lora=pairs).verdict == verdict


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        # Beside every LoRA condition it must be less; more beside one is more.
        ([(-0.5, -0.25), (-0.5, -0.25)], HOLDS),
        ([(-0.5, -0.25), (-0.25, 0.25)], INCONCLUSIVE),
        ([(-0.5, -0.25), (NAN, NAN)], INCONCLUSIVE),
        ([(-0.5, -0.25), (0.25, 0.5)], NOT),
    ],
)
def test_c_compares_with_every_lora_condition_beside_it(decide, pairs, verdict):
    rows = [change(*RISES), change(*FALLS, method="ia3"), change(0.25, 0.5, "b", "full")]
    of_b = [beside(*pair, "b", reference=f"lora-r{place}") for place, pair in enumerate(pairs)]
    # Backbone a is no matter of backbone b's.
    claim = decide("c", table2=rows, beside_lora=[*of_b, beside(0.25, 0.5)])
    assert claim.verdict == verdict
    assert decide("c", table2=rows, beside_lora=[beside(-0.5, -0.25)]).verdict == NOT


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


def trend(rank_rho: float, p_value: float, low: float = 0.25, high: float = 0.5, **values: Any) -> dict[str, Any]:
    between = {"difference": (low + high) / 2, "low": low, "high": high}
    given = {"backbone": "a", "dataset": "snli", "n_ranks": 5, "rank_rho": rank_rho, "p_value": p_value, **between}
    return {"run_ids": "a-1", "missing": "", "seeds_per_rank": 3, **given, **values}


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
        # ρ at the highest rank minus ρ at the lowest: both the trend and the difference must show the growth.
        ((0.9, 0.25, 0.001, 0.5), HOLDS),
        ((0.9, 0.25, 0.0, 0.5), INCONCLUSIVE),
        ((0.9, 0.25, -0.5, -0.001), NOT),
        ((0.9, 0.75, -0.5, -0.001), NOT),
        ((0.9, 0.75, 0.001, 0.5), INCONCLUSIVE),
    ],
)
def test_d_trend_and_difference(decide, given, verdict):
    assert decide("d", confidence=0.5, table6_trend=[trend(*given)]).verdict == verdict


def test_d_with_one_seed_a_rank_the_difference_of_two_runs_overturns_nothing(decide):
    lower = trend(0.1, 0.9, -0.5, -0.25, seeds_per_rank=1)
    assert decide("d", table6_trend=[lower]).verdict == INCONCLUSIVE
    assert decide("d", table6_trend=[lower | {"seeds_per_rank": 2}]).verdict == NOT
    # A trend over ranks allows for what one seed does to each of them.
    assert decide("d", table6_trend=[trend(-0.9, 0.01, seeds_per_rank=1)]).verdict == NOT
    claim = decide("d", table6_trend=[trend(0.9, 0.01, seeds_per_rank=1)])
    assert claim.verdict == HOLDS
    assert claim.answer.endswith("; this rests on one seed and may be another with another seed.")


def test_d_every_sweep_counts(decide):
    rising, unclear = trend(0.9, 0.01, 0.25, 0.5), trend(0.9, 0.06, backbone="b")
    # A p of 0.03 tells against two sweeps no more: 0.05 / 2.
    falling = trend(-0.9, 0.03, backbone="b")
    assert decide("d", table6_trend=[falling]).verdict == NOT
    assert decide("d", table6_trend=[rising, falling]).verdict == INCONCLUSIVE
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
    ("least", "most", "hard_low", "verdict"),
    [
        ((0.001, 0.25), (0.001, 0.25), 0.25, HOLDS),
        ((0.0, 0.25), (0.125, 0.25), 0.25, INCONCLUSIVE),
        ((0.125, 0.25), (0.0, 0.25), 0.25, INCONCLUSIVE),
        # Less than 80 %, or more than 125 %.
        ((-0.25, -0.001), (0.125, 0.25), 0.25, NOT),
        ((0.125, 0.25), (-0.25, -0.001), 0.25, NOT),
        ((-0.25, 0.0), (0.125, 0.25), 0.25, INCONCLUSIVE),
        # Nothing was un-learned that could change.
        ((-0.25, -0.125), (0.125, 0.25), 0.0, INCONCLUSIVE),
        ((NAN, NAN), (NAN, NAN), NAN, INCONCLUSIVE),
    ],
)
def test_f_sameness_is_shown_and_not_assumed(decide, least, most, hard_low, verdict):
    ends = {"difference_mean": -0.042, "difference_low": -0.09, "difference_high": 0.005, "ratio": 0.58}
    for name, (low, high) in (("least", least), ("most", most)):
        ends |= {name: (low + high) / 2, f"{name}_low": low, f"{name}_high": high}
    claim = decide("f", soft_labels_summary=[row(**ends, contested_change_hard=0.1, hard_low=hard_low)])
    assert claim.verdict == verdict
    assert "soft − hard −0.042 (−0.090 to +0.005) nats at a hard Δℓ of +0.100, a ratio of 0.58" in claim.answer


# (g) aligned gradients


def probes(cosines: list[float], method: str, *, every: int = 100, seed: int = 42, **values: Any) -> list[dict]:
    return [
        row(method=method, seed=seed, step=every * place, cosine=cosine, **values)
        for place, cosine in enumerate(cosines)
    ]


def constant(cosine: float, n: int = 3) -> list[float]:
    """n equal cosines after a first one of 1."""
    return [1.0, *[cosine] * n]


def near(value: float) -> list[float]:
    """Two seeds that nearly agree; two that agree say nothing of others."""
    return [value - 0.001, value + 0.001]


def by_seed(cosines: list[float], method: str, *, n: int = 3, **values: Any) -> list[dict]:
    """One run a seed, 1, 2, …, with this mean cosine after the first probe."""
    runs = [probes(constant(cosine, n), method, seed=seed, **values) for seed, cosine in enumerate(cosines, 1)]
    return [probe for run in runs for probe in run]


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
    # t(0.975; 1) = 12.706: two seeds 0.001 to either side make an interval of ± 12.706 · 0.001.
    rows = [*by_seed(near(lora), "lora-r4"), *by_seed([full] * 2, "full")]
    assert decide("g", figure8=rows).verdict == verdict
    # In whatever order the probes come: the first is that of the lowest step.
    assert decide("g", figure8=rows[::-1]).verdict == verdict


def test_g_the_interval_over_seeds_counts_and_not_steps(decide):
    # t(0.975; 2) = 4.303: 0.75 ± 4.303 · sd / √3 ends at 0.5 where sd = 0.1006, so that seeds 0.1 apart are enough and
    # seeds 0.102 apart are not, however many steps were probed.
    for apart, verdict in ((0.1, HOLDS), (0.102, INCONCLUSIVE)):
        rows = by_seed([0.75 - apart, 0.75, 0.75 + apart], "lora-r4", n=40)
        rows += by_seed([0.251 - apart, 0.248, 0.251 + apart], "full", n=40)
        assert decide("g", figure8=rows).verdict == verdict
    # In between each seed's own full fine-tuning is subtracted: what seeds share cancels, and of 0.499, 0.502 and 0.499
    # the interval is 0.5 ± 4.303 · 0.00173 / √3 = 0.5 ± 0.0043.
    claim = decide("g", figure8=rows)
    assert "minus full fine-tuning +0.500 (+0.496 to +0.504) over 3 seeds" in claim.answer


def test_g_one_seed_says_nothing_of_others(decide):
    claim = decide("g", figure8=[*by_seed([0.75], "lora-r4"), *by_seed([0.25], "full")])
    assert claim.verdict == INCONCLUSIVE
    assert "mean cosine +0.750, minus full fine-tuning +0.500, one seed: no interval over seeds" in claim.answer


def test_g_the_first_probe_and_one_without_a_cosine_do_not_count(decide):
    lora = [
        probe
        for seed, later in zip((1, 2), near(0.75), strict=True)
        for probe in probes([-1.0, later, NAN, later], "lora-r4", seed=seed)
    ]
    assert decide("g", figure8=[*lora, *by_seed([0.25] * 2, "full")]).verdict == HOLDS
    lone = [probe for seed in (1, 2) for probe in probes([0.75], "lora-r4", seed=seed)]
    assert decide("g", figure8=[*lone, *by_seed([0.25] * 2, "full")]).verdict == INCONCLUSIVE


def test_g_compares_at_the_same_steps_of_the_same_seed_and_backbone(decide):
    lora = by_seed(near(0.75), "lora-r4", n=4)
    # Only steps 200 and 400 are shared; at the others full fine-tuning is as aligned as can be.
    full = [one for seed in (1, 2) for one in probes([1.0, 1.0, 0.25, 1.0, 0.25], "full", seed=seed)]
    shared = [probe for probe in full if probe["step"] % 200 == 0]
    assert decide("g", figure8=[*lora, *shared]).verdict == HOLDS
    another = by_seed([0.25] * 2, "full", backbone="b")
    assert decide("g", figure8=[*lora, *another]).verdict == INCONCLUSIVE
    elsewhere = [one | {"seed": one["seed"] + 7} for one in shared]
    assert decide("g", figure8=[*lora, *elsewhere]).verdict == INCONCLUSIVE


def test_g_needs_runs_of_both_methods(decide):
    claim = decide("g", figure8=by_seed([0.75] * 2, "lora-r4"))
    assert claim.verdict == INCONCLUSIVE
    assert claim.answer.endswith("; the study has no full fine-tuning run with gradient alignment.")
    # A low cosine tells against it with or without.
    assert decide("g", figure8=by_seed(near(0.25), "lora-r4")).verdict == NOT
    claim = decide("g", figure8=[*by_seed([0.25] * 2, "full"), *by_seed([0.75] * 2, "ia3")])
    assert (claim.verdict, claim.answer) == (INCONCLUSIVE, "the study has no LoRA run with gradient alignment.")


def test_g_a_run_that_is_missing_is_named(decide):
    # A run without probes has one row without a step.
    absent = row(method="full", seed=2, step=NAN, cosine=NAN, missing="a-full-2", run_ids="")
    claim = decide("g", figure8=[*by_seed([0.75] * 2, "lora-r4"), *by_seed([0.25], "full"), absent])
    assert claim.verdict == INCONCLUSIVE
    assert "missing runs: a-full-2" in claim.answer
    assert claim.run_ids == ("a-lora-r4-1", "a-full-1")


# (h) un-learning is not confidence


def calibrated(sharper: Any, more: Any, lora_change: Any, **values: Any) -> dict[str, Any]:
    """Ends of full fine-tuning's prediction entropy and of its contested Δℓ, both minus LoRA's, and of LoRA's Δℓ."""
    differences = {
        f"{name}{end}": value
        for name, ends in (("entropy_difference", sharper), ("difference", more))
        for end, value in (("", sum(ends) / 2), ("_low", ends[0]), ("_high", ends[1]))
    }
    beside = row(method="full", reference="lora-r4", **(differences | values))
    return {"beside_lora": [beside], "table2": [change(*lora_change), change(-1.0, 1.0, method="full")]}


LESS, MORE, UNCLEAR = (-0.5, -0.25), (0.25, 0.5), (-0.25, 0.25)


@pytest.mark.parametrize(
    ("sharper", "more", "lora_change", "verdict"),
    [
        (LESS, LESS, MORE, HOLDS),
        # Differences that end at zero, or below it.
        ((-0.5, 0.0), LESS, MORE, INCONCLUSIVE),
        ((-0.5, -0.001), LESS, MORE, HOLDS),
        (LESS, (-0.5, 0.0), MORE, INCONCLUSIVE),
        (LESS, (-0.5, -0.001), MORE, HOLDS),
        # Nothing is un-learned under LoRA.
        (LESS, LESS, (0.0, 0.5), INCONCLUSIVE),
        (LESS, LESS, (0.001, 0.5), HOLDS),
        # Full fine-tuning is more confident and un-learns more.
        (LESS, MORE, MORE, NOT),
        (LESS, (0.0, 0.5), MORE, INCONCLUSIVE),
        ((-0.5, 0.0), MORE, MORE, INCONCLUSIVE),
        # LoRA is more confident and un-learns more.
        (MORE, LESS, MORE, NOT),
        ((0.0, 0.5), LESS, MORE, INCONCLUSIVE),
        (MORE, (-0.5, 0.0), MORE, INCONCLUSIVE),
        # LoRA is more confident and full fine-tuning un-learns more: nothing that this argument speaks of.
        (MORE, MORE, UNCLEAR, INCONCLUSIVE),
        (UNCLEAR, LESS, MORE, INCONCLUSIVE),
        (UNCLEAR, MORE, MORE, INCONCLUSIVE),
        ((NAN, NAN), LESS, MORE, INCONCLUSIVE),
        (LESS, (NAN, NAN), MORE, INCONCLUSIVE),
        (LESS, LESS, (NAN, NAN), INCONCLUSIVE),
    ],
)
def test_h_differences_of_a_pair(decide, sharper, more, lora_change, verdict):
    assert decide("h", **calibrated(sharper, more, lora_change)).verdict == verdict


def test_h_pairs_are_of_full_fine_tuning_and_what_is_against_allows_for_all(decide):
    frames = calibrated(LESS, LESS, MORE)
    frames["beside_lora"].append(frames["beside_lora"][0] | {"method": "ia3", "difference_high": 1.0})
    claim = decide("h", **frames)
    assert claim.verdict == HOLDS
    assert [line.split(": ")[:2] for line in claim.evidence] == [["beside_lora", "a · lora-r4 · snli against full"]]
    # 0.375 ± 0.366 leaves zero out by itself, and widened for two findings (2.24 for 1.96) does not.
    frames = calibrated(LESS, (0.009, 0.741), MORE)
    assert decide("h", **frames).verdict == NOT
    frames["beside_lora"].append(frames["beside_lora"][0] | {"reference": "lora-r16"})
    frames["table2"].append(change(*MORE, method="lora-r16"))
    assert decide("h", **frames).verdict == INCONCLUSIVE


def test_intervals_that_cover_too_little_are_counted_where_they_decide(decide):
    said = "intervals that may cover less often than they say"
    assert (
        f"1 of them rests on {said}"
        in decide("h", **calibrated(LESS, LESS, MORE, difference_caution="too skewed")).answer
    )
    assert said not in decide("h", **calibrated(UNCLEAR, LESS, MORE, difference_caution="too skewed")).answer
    assert said not in decide("h", **calibrated(LESS, LESS, MORE)).answer


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


def test_an_interval_is_widened_for_all_findings_by_hand():
    # Five findings at 95 %: z of 0.995 over z of 0.975 is 2.5758 / 1.9600 = 1.3142.
    assert Family(5, 0.95).ends(1.0, 0.0, 3.0) == pytest.approx((1 - 1.3142, 1 + 2 * 1.3142), abs=1e-4)
    assert Family(1, 0.95).ends(1.0, 0.0, 3.0, 0.5, 3) == (0.0, 3.0)
    # Three seeds with sd 0.2 have V = 0.04 / 3, the examples beside them 0.02, both together 0.1 / 3. Half of the
    # interval is (0.02 · 1.9600 + 0.04 / 3 · 4.3027) / √(0.1 / 3) = 0.52893; with 2.5758 and t(0.995; 2) = 9.9248
    # it is 1.00698.
    low, high = Family(5, 0.95).ends(0.0, -0.52893, 0.52893, 0.2, 3)
    assert (low, high) == pytest.approx((-1.00698, 1.00698), abs=1e-4)
    # Shorter than that of the seeds alone, 4.3027 · 0.2 / √3 = 0.497: t(0.995; 2) over t(0.975; 2).
    assert Family(5, 0.95).ends(0.0, -0.45, 0.45, 0.2, 3)[1] == pytest.approx(0.45 * 9.9248 / 4.3027, rel=1e-4)
    assert np.isnan(Family(5, 0.95).ends(NAN, NAN, NAN, 0.2, 3)).all()


@pytest.mark.parametrize(("n", "verdict"), [(1, NOT), (2, INCONCLUSIVE)])
def test_one_of_many_findings_must_be_further_off_to_overturn_a_claim(decide, n, verdict):
    # Below 0 by a hair of its own interval; for two findings it is 2.2414 / 1.96 = 1.14 times as wide.
    rows = [positive(-0.5, -0.01), *(positive(0.25, 0.5, backbone="b") for _ in range(n - 1))]
    assert decide("a", table1=rows).verdict == verdict
    shift = {"shift_mean": -0.255, "shift_low": -0.5, "shift_high": -0.01}
    risen = {"shift_mean": 0.3, "shift_low": 0.25, "shift_high": 0.35}
    rows = [row(noise=0.3, **shift), *(row(noise=0.6, **risen) for _ in range(n - 1))]
    assert decide("i", noise_summary=rows).verdict == verdict


def test_a_claim_that_is_true_everywhere_is_rarely_overturned():
    """25 conditions of three seeds whose ρ is 0 at most: half of the spread is the examples', half the seeds'."""
    overturned = 0
    for study in range(60):
        rng = np.random.default_rng(study)
        examples, seeds = rng.normal(0, 0.02, 25), rng.normal(0, 0.02, (25, 3))
        rows = []
        for place in range(25):
            mean, sd = examples[place] + seeds[place].mean(), seeds[place].std(ddof=1)
            of_examples, of_seeds = 0.02**2, sd**2 / 3
            half = (1.96 * of_examples + 4.3027 * of_seeds) / np.sqrt(of_examples + of_seeds)
            ends = {"rho_mean": mean, "rho_low": mean - half, "rho_high": mean + half, "rho_sd": sd, "n_seeds": 3}
            rows.append(row(f"b{place}", main=True, family_size=25, **UNTESTED, **ends))
        family = Family(25, 0.95)
        overturned += any(family.of(one, "rho_mean", "rho_", "rho_sd")[1] < 0 for one in rows)
    # At most 5 % wanted (2.5 % a side, here one): 60 sets; each by its own interval it would be about half of them.
    assert overturned <= 5


def test_what_rests_on_one_seed_is_said_to(decide):
    one = positive(0.25, 0.5, n_seeds=1)
    assert decide("a", table1=[one]).answer.endswith("; this rests on one seed and may be another with another seed.")
    claim = decide("a", table1=[one, positive(0.25, 0.5, backbone="b", n_seeds=1), positive(0.25, 0.5, backbone="c")])
    assert claim.answer.endswith("; 2 of these rest on one seed and may be another with another seed.")
    assert "one seed" not in decide("a", table1=[positive(-0.25, 0.5, n_seeds=1), positive(0.25, 0.5)]).answer


def test_missing_runs_keep_a_claim_from_holding_and_three_of_them_are_named(decide):
    absent = positive(0.25, 0.5, missing="r1,r2,r3,r4,r5")
    claim = decide("a", table1=[absent])
    assert claim.verdict == INCONCLUSIVE
    assert claim.answer.endswith("; missing runs: r1; r2; r3; and 2 more.")
    assert decide("a", table1=[positive(0.25, 0.5, missing="r1,r2,r3")]).answer.endswith("missing runs: r1; r2; r3.")
    assert decide("a", table1=[absent, positive(-0.5, -0.25, backbone="b")]).verdict == NOT
