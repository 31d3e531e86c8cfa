"""The tables of the paper's claims: what a study answers, and what decides it."""

from __future__ import annotations

from contested.paper.rules import HOW_CLAIMS_ARE_DECIDED
from contested.report import Column as Col
from contested.report import Table

CLAIM_TABLES: tuple[Table, ...] = (
    Table(
        "claims", "claims", "", "The paper's claims and this study's answers",
        HOW_CLAIMS_ARE_DECIDED,
        (Col("key", "claim"), Col("claim", "it says"), Col("verdict", "verdict"), Col("answer", "found")),
        needs="claims",
    ),
    Table(
        "claim_rules", "claim_rules", "", "What decides each claim",
        HOW_CLAIMS_ARE_DECIDED,
        (
            Col("key", "claim"), Col("finding", "a finding is"), Col("favours", "it is for the claim where"),
            Col("opposes", "it is against it where"), Col("needs", "the claim needs"),
        ),
        needs="claims", folded=True,
    ),
)  # fmt: skip
