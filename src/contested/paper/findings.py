"""What claims are made of: findings, each for a claim, against it or open, and the sentences they become."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from contested.analysis.study.groups import Resampling
from contested.formats import CHANGE
from contested.paper.frames.columns import CONDITION
from contested.paper.frames.conditions import PaperStudy, panel

Verdict = Literal["holds", "does not hold", "inconclusive"]
Stand = Literal["for", "against", "open"]

_SHOWN = 3


class Claim(NamedTuple):
    """One of the paper's claims and this study's answer.

    Attributes:
        key: "a" to "i".
        claim: The claim, in our words.
        verdict: "holds", "does not hold" or "inconclusive".
        answer: One plain sentence with the numbers.
        evidence: Frame and row of each number that the verdict rests on.
        run_ids: The runs behind them.
    """

    key: str
    claim: str
    verdict: Verdict
    answer: str
    evidence: tuple[str, ...]
    run_ids: tuple[str, ...]


class Finding(NamedTuple):
    """One row of a frame that counts for or against a claim.

    Attributes:
        frame: The frame.
        label: What the row is of, such as its condition.
        stand: For the claim, against it, or open.
        number: Its number, as text.
        run_ids: The runs it rests on, comma-joined.
        missing: The runs it lacks, comma-joined.
    """

    frame: str
    label: str
    stand: Stand
    number: str
    run_ids: str
    missing: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """What claims are decided on.

    Attributes:
        study: The study.
        frames: Its frames by name.
        draw: How intervals are made.
    """

    study: PaperStudy
    frames: Mapping[str, pd.DataFrame]
    draw: Resampling

    def rows(self, name: str, **where: Any) -> list[dict[str, Any]]:
        """The rows of a frame with these values."""
        table = self.frames[name]
        for column, value in where.items():
            table = table[table[column] == value]
        return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]

    def family(self, row: Mapping[str, Any]) -> str:
        """The family of a condition's method."""
        cells = self.study.cells
        same = np.logical_and.reduce([cells[name] == row[name] for name in CONDITION])
        return str(cells.loc[same, "family"].iloc[0])

    def changes(self) -> list[dict[str, Any]]:
        """Rows of Tables 2 and 5, each with its frame and the family of its method."""
        return [
            row | {"frame": name, "family": self.family(row)}
            for name in ("table2", "table5")
            for row in self.rows(name)
        ]


def claim_of(
    key: str,
    claim: str,
    findings: Sequence[Finding],
    answer: str,
    *,
    unmet: str = "",
    verdict: Verdict | None = None,
) -> Claim:
    """Put a claim together.

    Args:
        key: "a" to "i".
        claim: The claim, in our words.
        findings: What it rests on.
        answer: The numbers in words, where there are findings.
        unmet: What the study lacks although the claim needs it; it keeps the claim from holding.
        verdict: Where the rule is another than that of :func:`verdict_of`.

    Returns:
        The claim; its answer names runs that are missing.
    """
    missing = unique(finding.missing for finding in findings)
    found = verdict or verdict_of(findings, incomplete=bool(missing or unmet))
    gaps = [unmet, f"missing runs: {_some(missing)}" if missing else ""]
    return Claim(
        key=key,
        claim=claim,
        verdict=found,
        answer="; ".join(part for part in (answer if findings else "", *gaps) if part) + ".",
        evidence=tuple(f"{finding.frame}: {finding.label}: {finding.number}" for finding in findings),
        run_ids=unique(finding.run_ids for finding in findings),
    )


def verdict_of(findings: Sequence[Finding], *, incomplete: bool) -> Verdict:
    """One finding against decides; all for and nothing missing is "holds"; anything else is inconclusive."""
    stands = {finding.stand for finding in findings}
    if "against" in stands:
        return "does not hold"
    return "holds" if stands == {"for"} and not incomplete else "inconclusive"


def unique(joined: Iterable[str]) -> tuple[str, ...]:
    """The names in comma-joined lists, each once, in their order."""
    return tuple(dict.fromkeys(name for names in joined for name in names.split(",") if name))


def _some(names: Sequence[str]) -> str:
    shown = "; ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}; and {len(names) - _SHOWN} more"


def above_zero(low: float, high: float) -> Stand:
    """For a number that should be above 0: its interval is above, below, or holds 0 (or does not exist)."""
    if low > 0:
        return "for"
    return "against" if high < 0 else "open"


def written(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """A number with its interval.

    >>> written(-0.25, -0.5, 0.0)
    '−0.250 (−0.500 to 0.000)'
    """
    if math.isnan(value):
        return "no number"
    ends = "" if math.isnan(low) else f" ({CHANGE(low)} to {CHANGE(high)})"
    return f"{CHANGE(value)}{ends}"


def finding_of(frame: str, row: Mapping[str, Any], stand: Stand, number: str, label: str = "") -> Finding:
    """The finding of a frame's row, called by its condition unless ``label`` says otherwise."""
    return Finding(frame, label or panel(row), stand, number, row["run_ids"], row["missing"])


def counts(findings: Sequence[Finding], what: str, yes: str, no: str, *, numbers: bool = True) -> str:
    """How many findings are for, against or open, naming those that are not for the claim.

    Args:
        findings: One or more.
        what: What the findings are of, in the plural.
        yes: What is true of a finding for the claim.
        no: What is true of one against it.
        numbers: Whether those named come with their numbers.

    Returns:
        Part of a sentence, such as "above 0 in 1 of 2 conditions, open in 1 (a · b · c)".
    """
    by: dict[Stand, list[str]] = {"for": [], "against": [], "open": []}
    for found in findings:
        by[found.stand].append(f"{found.label}: {found.number}" if numbers else found.label)
    parts = [f"{yes} in {len(by['for'])} of {len(findings)} {what}"]
    parts += [f"{no} in {len(by['against'])} ({_some(by['against'])})"] if by["against"] else []
    parts += [f"open in {len(by['open'])} ({_some(by['open'])})"] if by["open"] else []
    return ", ".join(parts)
