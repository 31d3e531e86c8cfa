"""The paper's claims about un-learning and what is behind it: (c), (f), (g) and (h)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from contested.analysis.seeds import SeedInterval, seed_interval
from contested.paper.findings import (
    Claim,
    Evidence,
    Family,
    Finding,
    Stand,
    above_zero,
    claim_of,
    counts,
    finding_of,
    unique,
    written,
)
from contested.paper.frames.columns import CONDITION
from contested.paper.frames.conditions import panel
from contested.paper.rules import ALIGNED

_FAMILIES = {"lora": "LoRA", "full": "full fine-tuning", "ia3": "IA3"}


def unlearning(evidence: Evidence) -> Claim:
    """(c) Contested examples are un-learned under LoRA, and not under full fine-tuning or IA3.

    Args:
        evidence: Tables 2 and 5, and ``beside_lora``.

    Returns:
        The claim.
    """
    rows = [row for row in evidence.changes() if row["family"] in _FAMILIES]
    family = evidence.family_of(rows)
    beside = evidence.rows("beside_lora")
    findings = []
    for row in rows:
        own = [one for one in beside if panel(one) == panel(row)]
        low, high = family.of(row, "contested_change", "contested_", "contested_sd")
        lora = row["family"] == "lora"
        stand = above_zero(row["contested_low"], high) if lora else _absent(row, low, own, family)
        number = f"Δℓ {written(row['contested_change'], row['contested_low'], row['contested_high'])} nats"
        findings.append(finding_of(row["frame"], row, stand, number + _shares(own)))
    unasked = [name for family_name, name in _FAMILIES.items() if family_name not in {row["family"] for row in rows}]
    of_lora = [f for f, row in zip(findings, rows, strict=True) if row["family"] == "lora"]
    others = [f for f, row in zip(findings, rows, strict=True) if row["family"] != "lora"]
    parts = [
        counts(of_lora, "LoRA conditions", "rising", "falling") if of_lora else "",
        counts(others, "conditions of full fine-tuning or IA3", "not rising", "rising") if others else "",
    ]
    answer = f"the mean loss of contested examples is {', and it is '.join(filter(None, parts))}"
    unmet = f"the study has no run of {' or '.join(unasked)}" if unasked else ""
    return claim_of("c", findings, answer, unmet=unmet)


def _absent(row: Mapping[str, Any], low: float, beside: Sequence[Mapping[str, Any]], family: Family) -> Stand:
    """Where a condition of another method stands: its Δℓ is absent, is there, or cannot be told.

    Args:
        row: Its row of Table 2 or 5.
        low: Lower end of its Δℓ, widened for all findings.
        beside: Its rows beside LoRA conditions; ``excess`` is its Δℓ less a fifth of LoRA's.
        family: All findings.

    Returns:
        Where it stands.
    """
    if row["contested_high"] <= 0 and not math.isnan(row["contested_low"]):
        return "for"
    if beside and all(one["excess_high"] < 0 for one in beside):
        return "for"
    more = not beside or any(family.of(one, "excess", "excess_", "excess_sd")[0] > 0 for one in beside)
    return "against" if low > 0 and more else "open"


def _shares(beside: Sequence[Mapping[str, Any]]) -> str:
    told = [
        f"{written(one['difference'], one['difference_low'], one['difference_high'])} from {one['reference']}"
        for one in beside
    ]
    return f", {', '.join(told)}" if told else ""


def soft_labels(evidence: Evidence) -> Claim:
    """(f) Soft labels leave the un-learning of contested examples unchanged, by an equivalence test.

    Args:
        evidence: ``soft_labels_summary``: ``least`` is the soft Δℓ less 80 % of the hard one, ``most`` 125 % of the
            hard one less the soft one.

    Returns:
        The claim.
    """
    rows = evidence.rows("soft_labels_summary")
    findings = []
    for row in rows:
        hard = row["contested_change_hard"]
        difference = written(row["difference_mean"], row["difference_low"], row["difference_high"])
        ratio = "" if math.isnan(row["ratio"]) else f", a ratio of {row['ratio']:.2f}"
        number = f"soft − hard {difference} nats at a hard Δℓ of {written(hard)}{ratio}"
        findings.append(finding_of("soft_labels_summary", row, _same(row, evidence.family_of(rows)), number))
    listed = "; ".join(f"{f.label}: {f.number}" for f in findings)
    shares = counts(findings, "conditions with soft labels", "unchanged", "changed", numbers=False)
    answer = f"contested Δℓ is {shares}: {listed}"
    return claim_of("f", findings, answer, unmet="" if findings else "the study has no soft-label run")


def _same(row: Mapping[str, Any], family: Family) -> Stand:
    if row["least_low"] > 0 and row["most_low"] > 0:
        return "for"
    ends = [family.of(row, name, f"{name}_", f"{name}_sd")[1] for name in ("least", "most")]
    # Where nothing is un-learned, there is nothing that soft labels could change.
    return "against" if row["hard_low"] > 0 and min(ends) < 0 else "open"


def aligned(evidence: Evidence) -> Claim:
    """(g) Under LoRA the gradients of clean and contested examples stay aligned, more than under full fine-tuning.

    Each run counts with its mean cosine after the first probe, for the steps of one run resemble each other; intervals
    are Student's t over seeds.

    Args:
        evidence: ``figure8``.

    Returns:
        The claim.
    """
    by_condition: dict[tuple[str, ...], dict[int, list[dict[str, Any]]]] = {}
    for row in evidence.rows("figure8"):
        key = tuple(str(row[name]) for name in CONDITION)
        by_condition.setdefault(key, {}).setdefault(int(row["seed"]), []).append(row)
    families = {key: evidence.family(next(iter(seeds.values()))[0]) for key, seeds in by_condition.items()}
    full = {(key[0], key[2]): seeds for key, seeds in by_condition.items() if families[key] == "full"}
    lora = {key: seeds for key, seeds in by_condition.items() if families[key] == "lora"}
    family = evidence.family_of(list(lora))
    findings = [_alignment(seeds, full.get((key[0], key[2]), {}), family) for key, seeds in lora.items()]
    unmet = "" if findings else "the study has no LoRA run with gradient alignment"
    if findings and not full:
        unmet = "the study has no full fine-tuning run with gradient alignment"
    listed = "; ".join(f"{f.label}: {f.number}" for f in findings)
    answer = f"alignment is {counts(findings, 'LoRA conditions', 'kept', 'lost', numbers=False)}: {listed}"
    return claim_of("g", findings, answer, unmet=unmet)


_Probes = Mapping[int, Sequence[Mapping[str, Any]]]


def _alignment(own: _Probes, rival: _Probes, family: Family) -> Finding:
    """One LoRA condition, by seed, beside full fine-tuning of the same backbone and data."""
    cosines = {seed: _mean(_later_cosines(probed)) for seed, probed in own.items()}
    differences = {seed: _difference(probed, rival[seed]) for seed, probed in own.items() if seed in rival}
    cosine, difference = (
        seed_interval(list(found.values()), confidence=family.confidence) for found in (cosines, differences)
    )
    stand: Stand = "open"
    if _widened(cosine, family)[1] < ALIGNED or _widened(difference, family)[1] < 0:
        stand = "against"
    elif cosine.low > ALIGNED and difference.low > 0:
        stand = "for"
    number = (
        f"mean cosine {_over_seeds(cosine)}, minus full fine-tuning {_over_seeds(difference)}"
        if cosine.n > 1 or difference.n > 1
        else f"mean cosine {written(cosine.mean)}, minus full fine-tuning {written(difference.mean)}, one seed: no "
        "interval over seeds"
    )
    probed = [row for seeds in (own, rival) for rows in seeds.values() for row in rows]
    ids, missing = (",".join(unique(row[name] for row in probed)) for name in ("run_ids", "missing"))
    return Finding("figure8", panel(next(iter(own.values()))[0]), stand, number, ids, missing, cosine.n)


def _over_seeds(found: SeedInterval) -> str:
    return f"{written(found.mean, found.low, found.high)} over {found.n} seeds" if found.n > 1 else written(found.mean)


def _widened(found: SeedInterval, family: Family) -> tuple[float, float]:
    return family.ends(found.mean, found.low, found.high, found.sd, found.n)


def _difference(probed: Sequence[Mapping[str, Any]], rival: Sequence[Mapping[str, Any]]) -> float:
    """Mean cosine minus the rival's at the steps that both have."""
    own, other = _later_cosines(probed), _later_cosines(rival)
    return _mean({step: own[step] - other[step] for step in own if step in other})


def _mean(by_step: Mapping[int, float]) -> float:
    return sum(by_step.values()) / len(by_step) if by_step else math.nan


def _later_cosines(probed: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Step to cosine after the first probe; steps without a cosine are left out."""
    in_order = sorted((row["step"], row["cosine"]) for row in probed)
    return {int(step): float(cosine) for step, cosine in in_order[1:] if not math.isnan(cosine)}


def calibration(evidence: Evidence) -> Claim:
    """(h) Full fine-tuning is more confident than LoRA, and yet it is LoRA that un-learns.

    Were un-learning a matter of confident answers, the more confident method would un-learn more. The argument is
    indirect: it sets methods against each other, not examples. Where nothing is un-learned, there is nothing to
    explain.

    Args:
        evidence: ``beside_lora``, and Tables 2 and 5.

    Returns:
        The claim.
    """
    lora = {panel(row): row for row in evidence.changes() if row["family"] == "lora"}
    beside = [row for row in evidence.rows("beside_lora") if evidence.family(row) == "full"]
    pairs = [(row, own) for row in beside if (own := lora.get(panel(row | {"method": row["reference"]})))]
    findings = [_confidence(row, own, evidence.family_of(pairs)) for row, own in pairs]
    told = counts(
        findings, "pairs", "less confident and yet un-learns", "the more confident one un-learns more", numbers=False
    )
    answer = f"beside full fine-tuning, LoRA is {told}"
    answer += "".join(f"; {f.label}: {f.number}" for f in findings[:1])
    unmet = "" if findings else "the study has no main LoRA condition with full fine-tuning beside it"
    return claim_of("h", findings, answer, unmet=unmet)


def _confidence(row: Mapping[str, Any], lora: Mapping[str, Any], family: Family) -> Finding:
    """Full fine-tuning minus LoRA, example by example and seed by seed, beside LoRA's own row of Table 2 or 5."""
    sharpness, unlearned = (
        (row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in ("entropy_difference", "difference")
    )
    number = (
        f"full fine-tuning minus LoRA: prediction entropy {written(*sharpness)} nats, contested Δℓ "
        f"{written(*unlearned)} nats at a Δℓ of {written(row['reference_change'])} under LoRA"
    )
    stand: Stand = "open"
    if row["entropy_difference_high"] < 0 and row["difference_high"] < 0 and lora["contested_low"] > 0:
        stand = "for"
    else:
        sharper = family.of(row, "entropy_difference", "entropy_difference_", "entropy_difference_sd")
        more = family.of(row, "difference", "difference_", "difference_sd")
        if (sharper[1] < 0 and more[0] > 0) or (sharper[0] > 0 and more[1] < 0):
            stand = "against"
    return finding_of("beside_lora", row, stand, number, f"{panel(lora)} against full")
