"""What the report of the paper's study shows beyond that of any study: sections, tables, figures and claims."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from contested.paper.findings import Claim
from contested.paper.report import comparison_figures, curve_figures, example_figures, intervention_figures
from contested.paper.report.declared_tables import TABLES
from contested.paper.results import PaperResults
from contested.paper.rules import RULES, Rule
from contested.report import FigureSpec, FindingCard, ReportSpec, Section
from contested.report.labels import short_ids
from contested.wording import counted

SECTIONS = (
    Section("disagreement", "Does disagreement go with loss?"),
    Section("unlearning", "Are contested examples un-learned?"),
    Section("rank", "Does it grow with rank?"),
    Section("rate", "Or with the learning rate?"),
    Section("robustness", "Does it survive controls?"),
    Section("interventions", "What if the labels change?"),
    Section("mechanism", "What happens inside?"),
    Section("dynamics", "When are examples learned and forgotten?"),
)

FIGURES: tuple[FigureSpec, ...] = tuple(
    sorted(
        (
            *curve_figures.FIGURES,
            *example_figures.FIGURES,
            *comparison_figures.FIGURES,
            *intervention_figures.FIGURES,
        ),
        key=lambda figure: figure.name,
    )
)
"""By the paper's numbers, then those beside it."""

_KINDS = {"holds": "yes", "does not hold": "no"}
_TESTS = (
    "Tests",
    "One test per condition, on each example's mean over seeds: seeds share their examples, so their p-values must not "
    "be averaged. Corrections are over each family of tests by itself.",
)


def report_spec(results: PaperResults) -> ReportSpec:
    """What the paper adds to the report of its study.

    Args:
        results: The paper's results.

    Returns:
        Its sections, tables, figures, its claims as findings, and what is to be known of its tests.
    """
    return ReportSpec(
        sections=SECTIONS,
        tables=TABLES,
        figures=FIGURES,
        frames={"claims": claims_frame(results.claims), "claim_rules": rules_frame(results.claims)},
        findings=tuple(_finding(claim) for claim in results.claims),
        findings_heading="The paper's claims and this study's answers",
        lead=_lead(results.frames["runs"]),
        method=(_TESTS,),
    )


def _lead(runs: pd.DataFrame) -> str:
    """One plain sentence that says what the page covers; "" for a study without runs."""
    asked = runs[runs["excluded"].fillna("") == ""]
    if asked.empty:
        return ""
    here = int((asked["n_seeds"] > 0).sum())
    main = asked[asked["main"].astype(bool)]
    conditions = len(main[["backbone", "method", "dataset"]].drop_duplicates())
    numbers = {"model": asked["backbone"].nunique(), "method": asked["method"].nunique()}
    numbers |= {"data set": asked["dataset"].nunique()}
    parts = ", ".join(counted(number, noun) for noun, number in numbers.items())
    return (
        f"{here:,} of the {len(asked):,} runs of the study: {parts}; "
        f"{counted(conditions, 'condition')} as in the paper's Table 1."
    )


def claims_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """The claims as a table: one row each, evidence and run ids joined."""
    columns = ["key", "claim", "verdict", "answer", "evidence", "run_ids"]
    rows = [
        {**claim._asdict(), "evidence": "; ".join(claim.evidence), "run_ids": ",".join(claim.run_ids)}
        for claim in claims
    ]
    return pd.DataFrame(rows, columns=columns)


def rules_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """What decides each of the claims, as a table."""
    return pd.DataFrame([RULES[claim.key] for claim in claims], columns=list(Rule._fields))


def _finding(claim: Claim) -> FindingCard:
    """A claim as a card, with its runs in short."""
    # An answer is the rest of a sentence; a Greek letter at its start stays as it is.
    answer = claim.answer[:1].upper() + claim.answer[1:] if claim.answer[:1].isascii() else claim.answer
    runs = short_ids(claim.run_ids) if len(claim.run_ids) < 4 else f"{len(claim.run_ids)} runs, named in results.json"
    return FindingCard(
        name=f"claim-{claim.key}",
        title=f"({claim.key}) {claim.claim}",
        verdict=claim.verdict[:1].upper() + claim.verdict[1:],
        kind=_KINDS.get(claim.verdict, "open"),
        answer=answer,
        evidence=claim.evidence,
        runs=runs,
    )
