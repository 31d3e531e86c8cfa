"""The paper's claims (a) to (i), each decided by its rule in :mod:`contested.paper.rules`.

Every claim is a set of findings, each for it, against it, or open. One finding against it decides: the claim does
not hold. It holds where every finding is for it and no run that it needs is missing. Otherwise it is inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from scipy import stats

from contested.analysis.study.groups import Resampling
from contested.formats import p_equation, percent
from contested.paper.claims_unlearning import aligned, calibration, soft_labels, unlearning
from contested.paper.findings import (
    Claim,
    Evidence,
    Family,
    Finding,
    Stand,
    Verdict,
    above_zero,
    claim_of,
    counts,
    finding_of,
    seeds_of,
    written,
)
from contested.paper.frames.conditions import PaperStudy, panel
from contested.paper.frames.robustness import BOTH, NONE

SIGNIFICANT_SHARE = 21 / 25
"""Share of the conditions that the paper finds significant after Bonferroni's correction."""


def claims(study: PaperStudy, frames: Mapping[str, pd.DataFrame], draw: Resampling) -> tuple[Claim, ...]:
    """Decide the paper's claims on the frames of a study.

    Args:
        study: The study.
        frames: Its frames by name.
        draw: How intervals are made; its confidence sets the level of tests.

    Returns:
        Claims (a) to (i).
    """
    evidence = Evidence(study, frames, draw)
    return tuple(
        decide(evidence)
        for decide in (
            _positive,
            _significant,
            unlearning,
            _rank,
            _controlled,
            soft_labels,
            aligned,
            calibration,
            _noise,
        )
    )


def _positive(evidence: Evidence) -> Claim:
    """(a) ρ(AULC, H) is above 0 in every main condition."""
    rows = evidence.rows("table1", main=True)
    family = evidence.family_of(rows)
    findings = [
        finding_of(
            "table1",
            row,
            above_zero(row["rho_low"], family.of(row, "rho_mean", "rho_", "rho_sd")[1]),
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
    for row in evidence.rows("omnibus")[-1:]:
        if not math.isnan(row["p_value"]):
            answer += (
                f"; over all of them together ρ is {written(row['rho_mean'])} on average, "
                f"{p_equation(row['p_value'])} by permuting the entropies"
            )
    return claim_of("a", findings, answer, unmet="" if rows else "the study has no main condition")


def _significant(evidence: Evidence) -> Claim:
    """(b) ρ is significant after Bonferroni in most main conditions; one that is not may lack the power to be."""
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
    by_run = sum(row["p_run_highest"] * row["family_size"] <= level for row in rows)
    answer = (
        f"{sure} of {len(rows)} main conditions have a positive and significant ρ at level {level:.2g} "
        f"after Bonferroni over {size} tests ({bh} after Benjamini–Hochberg), {needed} would match the paper's share, "
        f"and {possible} more may only lack power; tested run by run, as in the paper's Table 3, every run is "
        f"significant at that level in {by_run}"
    )
    unmet = "" if rows else "the study has no main condition"
    return claim_of("b", findings, answer, unmet=unmet, verdict=verdict)


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


def _rank(evidence: Evidence) -> Claim:
    """(d) ρ grows with LoRA rank."""
    rows = evidence.rows("table6_trend")
    findings = []
    for row in rows:
        stand = _trend(row, evidence.family_of(rows))
        p = "" if math.isnan(row["p_value"]) else f", {p_equation(row['p_value'])}"
        number = (
            f"trend {written(row['rank_rho'])} over {row['n_ranks']} ranks{p}, ρ highest minus lowest "
            f"{written(row['difference'], row['low'], row['high'])}"
        )
        of_rank = row | {"n_seeds": row["seeds_per_rank"]}
        findings.append(finding_of("table6_trend", of_rank, stand, number, f"{row['backbone']} · {row['dataset']}"))
    answer = f"ρ is {counts(findings, 'rank sweeps', 'rising with LoRA rank', 'falling')}"
    answer += "".join(f"; {f.label}: {f.number}" for f in findings if f.stand == "for")
    return claim_of("d", findings, answer, unmet="" if findings else "the study has no rank sweep")


def _trend(row: Mapping[str, Any], family: Family) -> Stand:
    """Where a rank sweep stands.

    The trend is over runs of different ranks and so allows for what one seed does to each of them; the difference of
    two ranks is over examples, and over seeds only where a rank has several.
    """
    level, p_value, rank_rho = 1.0 - family.confidence, row["p_value"], row["rank_rho"]
    if p_value < level and rank_rho > 0 and row["low"] > 0:
        return "for"
    falls = p_value < level / family.size and rank_rho < 0
    lower = seeds_of({"n_seeds": row["seeds_per_rank"]}) > 1 and family.of(row, "difference", "")[1] < 0
    return "against" if falls or lower else "open"


def _controlled(evidence: Evidence) -> Claim:
    """(e) ρ survives control for length and gold label; a raw ρ not above 0 has nothing that could survive."""
    findings: list[Finding] = []
    rows = evidence.rows("table1", main=True)
    names = [panel(row) for row in rows]
    raw = {panel(row): row for row in evidence.rows("controls", control=NONE) if panel(row) in names}
    held = {panel(row): row for row in evidence.rows("controls", control=BOTH)}
    family = evidence.family_of([row for row in raw.values() if row["low"] > 0])
    for name in names:
        before, after = raw[name], held.get(name)
        if after is None:
            findings.append(finding_of("controls", before, "open", "no ρ"))
        elif before["low"] > 0:
            gone = family.of(after, "rho", "")[1] < family.of(before, "rho", "")[0]
            stand: Stand = "for" if after["low"] > 0 else "against" if gone else "open"
            number = f"ρ {written(before['rho'])}, given both {written(after['rho'], after['low'], after['high'])}"
            findings.append(finding_of("controls", after, stand, number))
        elif before["missing"]:
            findings.append(finding_of("controls", before, "open", "no ρ above 0 without the missing runs"))
    answer = (
        f"of {len(rows)} main conditions {sum(row['low'] > 0 for row in raw.values())} have ρ above 0, and "
        f"with length and gold label held fixed it is {counts(findings, 'of these', 'still above 0', 'gone')}"
    )
    unmet = "" if findings else "no main condition has a ρ whose interval is above 0"
    return claim_of("e", findings, answer, unmet=unmet)


def _noise(evidence: Evidence) -> Claim:
    """(i) Label noise raises the AULC of clean examples."""
    findings = []
    rows = evidence.rows("noise_summary")
    for row in rows:
        low, high = row["shift_low"], row["shift_high"]
        widened = evidence.family_of(rows).of(row, "shift_mean", "shift_", "shift_sd")[1]
        number = f"{written(row['shift_mean'], low, high)} nats"
        label = f"{panel(row)}, {percent(row['noise'])} noise"
        findings.append(finding_of("noise_summary", row, above_zero(low, widened), number, label))
    listed = "; ".join(f"{f.label}: {f.number}" for f in findings)
    shares = counts(findings, "noise settings", "raised", "lowered", numbers=False)
    answer = f"the AULC of clean examples is {shares}: {listed}"
    return claim_of("i", findings, answer, unmet="" if findings else "the study has no run with noise")
