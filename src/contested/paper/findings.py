"""What claims are made of: findings, each for a claim, against it or open, and the sentences they become."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from contested.analysis.study.columns import is_caution
from contested.analysis.study.groups import Resampling
from contested.formats import CHANGE
from contested.paper.frames.columns import CONDITION
from contested.paper.frames.conditions import PaperStudy, panel
from contested.paper.rules import RULES

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
        n_seeds: Seeds behind it; 0 where they are not counted.
        cautioned: Whether an interval of the row may cover the truth less often than it says.
    """

    frame: str
    label: str
    stand: Stand
    number: str
    run_ids: str
    missing: str
    n_seeds: int = 0
    cautioned: bool = False


@dataclass(frozen=True)
class Family:
    """The findings of one claim, all of which are asked at once.

    A single interval of 95 % lies beside a true number in 5 % of studies; that one of 25 does is likely. What tells
    against a claim must therefore do so by an interval widened for all of them (Bonferroni), so that a claim that is
    true of every condition is overturned in at most 5 % of studies.

    Attributes:
        size: How many findings there are.
        confidence: Coverage of the intervals as they are given.
    """

    size: int
    confidence: float

    def ends(
        self, value: float, low: float, high: float, sd: float = math.nan, n_seeds: float = math.nan
    ) -> tuple[float, float]:
        """Widen an interval for the whole family.

        An interval over examples and seeds weights two critical values by the variances V of their parts, that of the
        normal distribution, z, and Student's t with S − 1 degrees of freedom (:mod:`contested.analysis.crossed`): half
        of it is z √V + (t − z) V_seeds / √V. The standard deviation over seeds gives V_seeds and so V, and the same
        with the critical values of the family is the wider interval. With one seed there is no part of seeds, and
        nothing here speaks of other seeds.

        Args:
            value: The number.
            low: Lower end of its interval.
            high: Upper end.
            sd: Its standard deviation over seeds; NaN where there is none.
            n_seeds: Seeds S.

        Returns:
            Both ends; those given where the family is of one.
        """
        if self.size < 2:
            return low, high
        tails = np.array([1.0, 1.0 / self.size]) * (1 - self.confidence) / 2
        z = stats.norm.ppf(1 - tails)
        t, of_seeds = (stats.t.ppf(1 - tails, n_seeds - 1), sd * sd / n_seeds) if n_seeds > 1 and sd > 0 else (z, 0.0)
        return value - _widened(value - low, z, t, of_seeds), value + _widened(high - value, z, t, of_seeds)

    def of(self, row: Mapping[str, Any], value: str, prefix: str, sd: str = "") -> tuple[float, float]:
        """:meth:`ends` of a row's columns ``value``, ``<prefix>low``, ``<prefix>high`` and perhaps ``sd``."""
        spread = row.get(sd, math.nan) if sd else math.nan
        return self.ends(row[value], row[f"{prefix}low"], row[f"{prefix}high"], spread, row.get("n_seeds", math.nan))


def _widened(side: float, z: NDArray[np.float64], t: NDArray[np.float64], of_seeds: float) -> float:
    """One half of an interval with other critical values.

    Args:
        side: Its length.
        z: The normal distribution's value that it was made with, and the one wanted, shape (2,).
        t: Student's values, shape (2,).
        of_seeds: The part of the variance that seeds make.

    Returns:
        The length wanted; where two variances give the same ``side``, the larger one.
    """
    extra = of_seeds * (t - z)
    root = side * side - 4 * z[0] * extra[0]
    spreads = (side + np.array([-1.0, 1.0]) * math.sqrt(root)) / (2 * z[0]) if root >= 0 else np.empty(0)
    # With √V below that of the seeds alone there is no variance left for the examples.
    spreads = spreads[spreads >= math.sqrt(of_seeds)]
    spreads = spreads[spreads > 0]
    return float((z[1] * spreads + extra[1] / spreads).max()) if len(spreads) else side * float(t[1] / t[0])


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

    def family_of(self, findings: Sequence[object]) -> Family:
        """What tells against a claim of so many findings."""
        return Family(len(findings), self.draw.confidence)

    def changes(self) -> list[dict[str, Any]]:
        """Rows of Tables 2 and 5, each with its frame and the family of its method."""
        return [
            row | {"frame": name, "family": self.family(row)}
            for name in ("table2", "table5")
            for row in self.rows(name)
        ]


def claim_of(
    key: str,
    findings: Sequence[Finding],
    answer: str,
    *,
    unmet: str = "",
    verdict: Verdict | None = None,
) -> Claim:
    """Put a claim together.

    Args:
        key: "a" to "i".
        findings: What it rests on.
        answer: The numbers in words, where there are findings.
        unmet: What the study lacks although the claim needs it; it keeps the claim from holding.
        verdict: Where the rule is another than that of :func:`verdict_of`.

    Returns:
        The claim; its answer names runs that are missing.
    """
    missing = unique(finding.missing for finding in findings)
    found = verdict or verdict_of(findings, incomplete=bool(missing or unmet))
    gaps = [_of_one_seed(findings), _of_cautions(findings), unmet, f"missing runs: {_some(missing)}" if missing else ""]
    return Claim(
        key=key,
        claim=RULES[key].claim,
        verdict=found,
        answer="; ".join(part for part in (answer if findings else "", *gaps) if part) + ".",
        evidence=tuple(f"{finding.frame}: {finding.label}: {finding.number}" for finding in findings),
        run_ids=unique(finding.run_ids for finding in findings),
    )


def verdict_of(findings: Sequence[Finding], *, incomplete: bool) -> Verdict:
    """One finding against decides; all for and nothing missing is "holds"; anything else is inconclusive.

    All must be for it, each by its own interval: asking for all of them needs no correction for their number (R. L.
    Berger, 1982: intersection–union). A finding against has allowed for it already (:class:`Family`).
    """
    stands = {finding.stand for finding in findings}
    if "against" in stands:
        return "does not hold"
    return "holds" if stands == {"for"} and not incomplete else "inconclusive"


def _of_one_seed(findings: Sequence[Finding]) -> str:
    """That findings which decide something rest on one seed each; empty where none does."""
    count = sum(finding.n_seeds == 1 and finding.stand != "open" for finding in findings)
    if not count:
        return ""
    which = (
        "this rests" if count == len(findings) == 1 else f"{count} of these rest" if count > 1 else "1 of these rests"
    )
    return f"{which} on one seed and may be another with another seed"


def _of_cautions(findings: Sequence[Finding]) -> str:
    """That findings which decide something rest on intervals that cover less often than they say; empty otherwise."""
    count = sum(finding.cautioned and finding.stand != "open" for finding in findings)
    if not count:
        return ""
    return f"{count} of them {'rests' if count == 1 else 'rest'} on intervals that may cover less often than they say"


def unique(joined: Iterable[str]) -> tuple[str, ...]:
    """The names in comma-joined lists, each once, in their order."""
    return tuple(dict.fromkeys(name for names in joined for name in names.split(",") if name))


def _some(names: Sequence[str]) -> str:
    shown = "; ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}; and {len(names) - _SHOWN} more"


def above_zero(low: float, widened_high: float) -> Stand:
    """For a number that should be above 0: its interval lies above it, or, widened for all findings, below it.

    Args:
        low: Lower end of its own interval.
        widened_high: Upper end of the interval widened for the family.

    Returns:
        Open where neither is so, or an end is missing.
    """
    if low > 0:
        return "for"
    return "against" if widened_high < 0 else "open"


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
    cautioned = any(is_caution(name) and bool(said) for name, said in row.items())
    return Finding(frame, label or panel(row), stand, number, row["run_ids"], row["missing"], seeds_of(row), cautioned)


def seeds_of(row: Mapping[str, Any]) -> int:
    """How many seeds a row rests on; 0 where it does not say."""
    n_seeds = row.get("n_seeds", math.nan)
    return 0 if math.isnan(n_seeds) else int(n_seeds)


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
