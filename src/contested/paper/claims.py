"""The paper's claims (a) to (i), each decided by a rule on intervals that its function states.

Every claim is a set of findings, each for it, against it, or open. One finding against it decides: the claim does
not hold. It holds where every finding is for it and no run that it needs is missing. Otherwise it is inconclusive.
Intervals are for one number each; a claim over many conditions asks all of them at once, which makes "holds" harder
to reach than one interval's confidence suggests, and "does not hold" easier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from scipy import stats

from contested.analysis.checks import OVERALL
from contested.analysis.intervals import mean_interval
from contested.analysis.study.groups import Resampling
from contested.formats import NATS, p_equation, percent
from contested.paper.findings import (
    Claim,
    Evidence,
    Finding,
    Stand,
    Verdict,
    above_zero,
    claim_of,
    counts,
    finding_of,
    unique,
    written,
)
from contested.paper.frames.conditions import PaperStudy, panel
from contested.paper.frames.robustness import BOTH, NONE

SIGNIFICANT_SHARE = 21 / 25
"""Share of the conditions that the paper finds significant after Bonferroni's correction."""

ALIGNED = 0.5
"""Cosine above which two mean gradients count as aligned: less than 60° between them."""


def claims(study: PaperStudy, frames: Mapping[str, pd.DataFrame], draw: Resampling) -> tuple[Claim, ...]:
    """Decide the paper's claims on the frames of a study.

    Args:
        study: The study.
        frames: Its frames by name.
        draw: How intervals are made.

    Returns:
        Claims (a) to (i).
    """
    evidence = Evidence(study, frames, draw.spawn(1)[0])
    return tuple(
        decide(evidence)
        for decide in (
            _positive,
            _significant,
            _unlearning,
            _rank,
            _controlled,
            _soft_labels,
            _aligned,
            _calibration,
            _noise,
        )
    )


def _positive(evidence: Evidence) -> Claim:
    """(a) A condition is for the claim if ρ's nested interval lies above 0, against it if it lies below."""
    rows = evidence.rows("table1", main=True)
    findings = [
        finding_of(
            "table1",
            row,
            above_zero(row["rho_low"], row["rho_high"]),
            written(row["rho_mean"], row["rho_low"], row["rho_high"]),
        )
        for row in rows
    ]
    known = [row["rho_mean"] for row in rows if not math.isnan(row["rho_mean"])]
    spread = f"ρ lies between {written(min(known))} and {written(max(known))}, and " if known else ""
    positive = sum(rho > 0 for rho in known)
    answer = (
        f"{spread}is above 0 in {positive} of {len(rows)} main conditions; by its interval it is "
        f"{counts(findings, 'conditions', 'above 0', 'below 0')}"
    )
    claim = "Annotation entropy goes with AULC in every condition: ρ > 0 everywhere"
    return claim_of("a", claim, findings, answer, unmet="" if rows else "the study has no main condition")


def _significant(evidence: Evidence) -> Claim:
    """(b) Holds if ρ is positive and significant after Bonferroni in at least the paper's share, 21 of 25.

    A condition that is not significant may still be: its test lacked power if the interval of its ρ reaches the
    ρ that would be significant. The claim does not hold if even with those the share is not reached.
    """
    rows = evidence.rows("table1", main=True)
    plain = {panel(row): row for row in evidence.rows("controls", control=NONE)}
    level = 1.0 - evidence.draw.confidence
    findings = [_significance(row, plain[panel(row)], level) for row in rows]
    needed = math.ceil(SIGNIFICANT_SHARE * len(rows))
    sure = sum(finding.stand == "for" for finding in findings)
    possible = sum(finding.stand == "open" for finding in findings)
    complete = not any(finding.missing for finding in findings)
    verdict: Verdict = "inconclusive"
    if sure + possible < needed:
        verdict = "does not hold"
    elif rows and sure >= needed and complete:
        verdict = "holds"
    bh = sum(bool(row["significant_bh"]) for row in rows)
    size = int(rows[0]["family_size"]) if rows else 0
    answer = (
        f"{sure} of {len(rows)} main conditions have a positive and significant ρ at level {level:.2g} "
        f"after Bonferroni over {size} tests ({bh} after Benjamini–Hochberg), {needed} would match the paper's share, "
        f"and {possible} more may only lack power"
    )
    claim = "The correlation stays significant after correction for all conditions in most of them (21 of 25)"
    unmet = "" if rows else "the study has no main condition"
    return claim_of("b", claim, findings, answer, unmet=unmet, verdict=verdict)


def _significance(row: Mapping[str, Any], plain: Mapping[str, Any], level: float) -> Finding:
    rho, p_value = plain["rho"], row["p_bonferroni"]
    number = (
        "no test"
        if math.isnan(p_value)
        else f"ρ of the seed-mean AULC {written(rho)}, p after Bonferroni {p_value:.2g}"
    )
    if math.isnan(p_value):
        return finding_of("table1", row, "open", number)
    if bool(row["significant_bonferroni"]) and rho > 0:
        return finding_of("table1", row, "for", number)
    t = float(stats.t.isf(level / row["family_size"] / 2, plain["n"] - 2))
    critical = t / math.sqrt(plain["n"] - 2 + t * t)
    unlikely = plain["high"] < critical
    return finding_of("table1", row, "against" if unlikely else "open", number)


def _unlearning(evidence: Evidence) -> Claim:
    """(c) Under LoRA, contested Δℓ must lie above 0 with its interval; under full fine-tuning and IA3 it must not.

    Under these two a condition is for the claim if its interval ends at or below 0, or if it holds 0 and ends
    below the intervals of LoRA on the same backbone and data set; against it if the interval lies above 0. LoRA is
    against the claim where the interval lies below 0. Without runs of all three methods it is at best inconclusive.
    """
    rows = evidence.changes()
    lora = [row for row in rows if row["family"] == "lora"]
    findings = []
    for row in rows:
        if row["family"] == "lora":
            stand = above_zero(row["contested_low"], row["contested_high"])
        elif row["family"] in ("full", "ia3"):
            stand = _absent(row, lora)
        else:
            continue
        number = f"Δℓ {written(row['contested_change'], row['contested_low'], row['contested_high'])} nats"
        findings.append(finding_of(row["frame"], row, stand, number))
    families = {row["family"] for row in rows}
    names = {"lora": "LoRA", "full": "full fine-tuning", "ia3": "IA3"}
    unasked = [name for family, name in names.items() if family not in families]
    of_lora = [f for f in findings if f.label in {panel(row) for row in lora}]
    others = [f for f in findings if f not in of_lora]
    parts = [
        counts(of_lora, "LoRA conditions", "rising", "falling") if of_lora else "",
        counts(others, "conditions of full fine-tuning or IA3", "not rising", "rising") if others else "",
    ]
    answer = f"the mean loss of contested examples is {', and it is '.join(filter(None, parts))}"
    claim = "Contested examples are un-learned under LoRA (Δℓ > 0), and not under full fine-tuning or IA3"
    unmet = f"the study has no run of {' or '.join(unasked)}" if unasked else ""
    return claim_of("c", claim, findings, answer, unmet=unmet)


def _absent(row: Mapping[str, Any], lora: Sequence[Mapping[str, Any]]) -> Stand:
    low, high = row["contested_low"], row["contested_high"]
    if math.isnan(low) or math.isnan(high):
        return "open"
    if low > 0:
        return "against"
    rivals = [
        rival["contested_low"]
        for rival in lora
        if (rival["backbone"], rival["dataset"]) == (row["backbone"], row["dataset"])
    ]
    # min() of a missing number is no bound, so every rival must be known.
    below = bool(rivals) and all(high < rival for rival in rivals)
    return "for" if high <= 0 or below else "open"


def _rank(evidence: Evidence) -> Claim:
    """(d) A backbone is for the claim if Spearman of rank with ρ is positive with p below 1 − confidence.

    It is against the claim if that trend is negative with such a p, or if ρ at the highest rank minus ρ at the
    lowest lies below 0 with its interval.
    """
    level = 1.0 - evidence.draw.confidence
    findings = []
    for row in evidence.rows("table6_trend"):
        clear = row["p_value"] < level
        stand: Stand = "open"
        if row["high"] < 0 or (clear and row["rank_rho"] < 0):
            stand = "against"
        elif clear and row["rank_rho"] > 0:
            stand = "for"
        p = "" if math.isnan(row["p_value"]) else f", {p_equation(row['p_value'])}"
        number = (
            f"trend {written(row['rank_rho'])} over {row['n_ranks']} ranks{p}, ρ highest minus lowest "
            f"{written(row['difference'], row['low'], row['high'])}"
        )
        findings.append(finding_of("table6_trend", row, stand, number, f"{row['backbone']} · {row['dataset']}"))
    answer = f"ρ is {counts(findings, 'rank sweeps', 'rising with LoRA rank', 'falling')}"
    answer += "".join(f"; {f.label}: {f.number}" for f in findings if f.stand == "for")
    claim = "The correlation grows with LoRA rank"
    return claim_of("d", claim, findings, answer, unmet="" if findings else "the study has no rank sweep")


def _controlled(evidence: Evidence) -> Claim:
    """(e) A main condition whose ρ is above 0 is for the claim if ρ given length and gold label is so too.

    "Above 0" is by the interval. A condition is against the claim if the partial ρ is not above 0 and its
    interval ends below that of the raw ρ; conditions with a raw ρ not above 0 have nothing that could survive.
    """
    findings: list[Finding] = []
    rows = evidence.rows("table1", main=True)
    names = [panel(row) for row in rows]
    raw = {panel(row): row for row in evidence.rows("controls", control=NONE) if panel(row) in names}
    held = {panel(row): row for row in evidence.rows("controls", control=BOTH)}
    for name in names:
        before, after = raw[name], held.get(name)
        if after is None:
            findings.append(finding_of("controls", before, "open", "no ρ"))
        elif before["low"] > 0:
            stand: Stand = "for" if after["low"] > 0 else "against" if after["high"] < before["low"] else "open"
            number = f"ρ {written(before['rho'])}, given both {written(after['rho'], after['low'], after['high'])}"
            findings.append(finding_of("controls", after, stand, number))
        elif before["missing"]:
            findings.append(finding_of("controls", before, "open", "no ρ above 0 without the missing runs"))
    answer = (
        f"of {len(rows)} main conditions {sum(row['low'] > 0 for row in raw.values())} have ρ above 0, and "
        f"with length and gold label held fixed it is {counts(findings, 'of these', 'still above 0', 'gone')}"
    )
    claim = "The correlation survives control for sentence length and gold label"
    unmet = "" if findings else "no main condition has a ρ whose interval is above 0"
    return claim_of("e", claim, findings, answer, unmet=unmet)


def _soft_labels(evidence: Evidence) -> Claim:
    """(f) For the claim: the interval of soft − hard contested Δℓ holds 0 and is narrower than the hard effect.

    Against it: the interval does not hold 0. An interval that holds 0 and is as wide as the effect itself shows
    nothing.
    """
    findings = []
    for row in evidence.rows("soft_labels_summary"):
        low, high, hard = row["difference_low"], row["difference_high"], row["contested_change_hard"]
        stand: Stand = "open"
        if low > 0 or high < 0:
            stand = "against"
        elif high - low < abs(hard):
            stand = "for"
        number = f"soft − hard {written(row['difference_mean'], low, high)} nats at a hard Δℓ of {written(hard)}"
        findings.append(finding_of("soft_labels_summary", row, stand, number))
    listed = "; ".join(f"{f.label}: {f.number}" for f in findings)
    shares = counts(findings, "conditions with soft labels", "unchanged", "changed", numbers=False)
    answer = f"contested Δℓ is {shares}: {listed}"
    claim = "Training on soft labels leaves the un-learning of contested examples unchanged"
    return claim_of("f", claim, findings, answer, unmet="" if findings else "the study has no soft-label run")


def _aligned(evidence: Evidence) -> Claim:
    """(g) Under LoRA the mean cosine after the first probe lies above 0.5, and above full fine-tuning's.

    Both by intervals over probed steps: of the cosine, and of its difference to the full fine-tuning run of the
    same backbone, data set and seed at the same steps. Neighbouring steps resemble each other, so these intervals
    are too narrow, and they are for these runs, not for other seeds. Against the claim: an interval below 0.5, or a
    difference below 0.
    """
    rows = evidence.rows("figure8")
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault((panel(row), int(row["seed"])), []).append(row)
    findings, full = [], {}
    for (_, seed), probed in runs.items():
        if evidence.family(probed[0]) == "full":
            full[probed[0]["backbone"], probed[0]["dataset"], seed] = probed
    for (name, seed), probed in runs.items():
        if evidence.family(probed[0]) == "lora":
            rival = full.get((probed[0]["backbone"], probed[0]["dataset"], seed), [])
            findings.append(_alignment(f"{name}, seed {seed}", probed, rival, evidence.draw))
    claim = "Gradients of clean and contested examples stay aligned under LoRA, more so than under full fine-tuning"
    unmet = "" if findings else "the study has no LoRA run with gradient alignment"
    if findings and not full:
        unmet = "the study has no full fine-tuning run with gradient alignment"
    listed = "; ".join(f"{f.label}: {f.number}" for f in findings)
    answer = f"alignment is {counts(findings, 'LoRA runs', 'kept', 'lost', numbers=False)}: {listed}"
    return claim_of("g", claim, findings, answer, unmet=unmet)


def _alignment(
    name: str, probed: Sequence[Mapping[str, Any]], rival: Sequence[Mapping[str, Any]], draw: Resampling
) -> Finding:
    own, other = _later_cosines(probed), _later_cosines(rival)
    shared = [step for step in own if step in other]
    cosine = mean_interval([own[step] for step in own], **draw.options)
    difference = mean_interval([own[step] - other[step] for step in shared], **draw.options)
    stand: Stand = "open"
    if cosine.high < ALIGNED or difference.high < 0:
        stand = "against"
    elif cosine.low > ALIGNED and difference.low > 0:
        stand = "for"
    number = (
        f"mean cosine {written(cosine.estimate, cosine.low, cosine.high)}, minus full fine-tuning "
        f"{written(difference.estimate, difference.low, difference.high)}"
    )
    ids = ",".join(unique(row["run_ids"] for row in (*probed, *rival)))
    missing = ",".join(unique(row["missing"] for row in (*probed, *rival)))
    return Finding("figure8", name, stand, number, ids, missing)


def _later_cosines(probed: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Step to cosine after the first probe; steps without a cosine are left out."""
    in_order = sorted((row["step"], row["cosine"]) for row in probed)
    return {int(step): float(cosine) for step, cosine in in_order[1:] if not math.isnan(cosine)}


def _calibration(evidence: Evidence) -> Claim:
    """(h) For the claim: full fine-tuning is more confident than LoRA, and yet it is LoRA that un-learns.

    By intervals that do not touch of the mean prediction entropy of all examples and of contested Δℓ, and a contested
    Δℓ under LoRA above 0: where nothing is un-learned, there is nothing to explain and the pair is open. Were
    un-learning a matter of confident answers, the more confident method would un-learn more; where it does, the pair is
    against the claim. The argument is indirect: it sets methods against each other, not examples.
    """
    entropies = {panel(row): row for row in evidence.rows("figure9", category=OVERALL)}
    changes = evidence.changes()
    full = {(row["backbone"], row["dataset"]): row for row in changes if row["family"] == "full"}
    findings = []
    for row in changes:
        rival = full.get((row["backbone"], row["dataset"]))
        if row["family"] != "lora" or rival is None:
            continue
        findings.append(_confidence(row, rival, entropies))
    pairs = counts(
        findings, "pairs", "less confident and yet un-learns", "the more confident one un-learns more", numbers=False
    )
    answer = f"beside full fine-tuning, LoRA is {pairs}"
    answer += "".join(f"; {f.label}: {f.number}" for f in findings[:1])
    claim = "Un-learning is not explained by calibration: full fine-tuning is more confident and does not un-learn"
    unmet = "" if findings else "the study has no main LoRA condition with full fine-tuning beside it"
    return claim_of("h", claim, findings, answer, unmet=unmet)


def _confidence(
    lora: Mapping[str, Any], full: Mapping[str, Any], entropies: Mapping[str, Mapping[str, Any]]
) -> Finding:
    ids, missing = (",".join(unique(row[name] for row in (lora, full))) for name in ("run_ids", "missing"))
    label = f"{panel(lora)} against full"
    ours, theirs = entropies.get(panel(lora)), entropies.get(panel(full))
    if ours is None or theirs is None:
        return Finding("figure9", label, "open", "no number", ids, missing)
    full_sharper = theirs["prediction_entropy_high"] < ours["prediction_entropy_low"]
    lora_sharper = ours["prediction_entropy_high"] < theirs["prediction_entropy_low"]
    lora_more = lora["contested_low"] > full["contested_high"]
    lora_unlearns = lora["contested_low"] > 0
    full_more = full["contested_low"] > lora["contested_high"]
    stand: Stand = "open"
    if full_sharper and lora_more and lora_unlearns:
        stand = "for"
    elif (full_sharper and full_more) or (lora_sharper and lora_more):
        stand = "against"
    number = (
        f"prediction entropy {NATS(ours['prediction_entropy'])} against {NATS(theirs['prediction_entropy'])} nats, "
        f"contested Δℓ {written(lora['contested_change'])} against {written(full['contested_change'])}"
    )
    return Finding("figure9", label, stand, number, ids, missing)


def _noise(evidence: Evidence) -> Claim:
    """(i) A noise rate is for the claim if the nested interval of the shift of clean AULC lies above 0.

    It is against the claim if the interval lies below 0.
    """
    findings = []
    for row in evidence.rows("noise_summary"):
        low, high = row["shift_low"], row["shift_high"]
        number = f"{written(row['shift_mean'], low, high)} nats"
        label = f"{panel(row)}, {percent(row['noise'])} noise"
        findings.append(finding_of("noise_summary", row, above_zero(low, high), number, label))
    listed = "; ".join(f"{f.label}: {f.number}" for f in findings)
    shares = counts(findings, "noise settings", "raised", "lowered", numbers=False)
    answer = f"the AULC of clean examples is {shares}: {listed}"
    claim = "Noise in the training labels of clean examples raises their AULC"
    return claim_of("i", claim, findings, answer, unmet="" if findings else "the study has no run with noise")
