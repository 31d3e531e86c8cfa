"""The paper's claims (a) to (i) and what decides each of them, in one table for the code, the page and the docs."""

from __future__ import annotations

from typing import NamedTuple

from contested.analysis.equivalence import ABSENT, SAME
from contested.formats import percent

ALIGNED = 0.5
"""Cosine above which two mean gradients count as aligned: less than 60° between them."""


class Rule(NamedTuple):
    """What decides one claim.

    Attributes:
        key: "a" to "i".
        claim: The claim, in our words.
        finding: What one finding is.
        favours: When a finding is for the claim.
        opposes: When it is against it, by intervals and p-values that allow for all findings of the claim.
        needs: What the claim cannot hold without.
    """

    key: str
    claim: str
    finding: str
    favours: str
    opposes: str
    needs: str


_SAME = f"{percent(SAME[0], 0)} to {percent(SAME[1], 0)}"

RULES: dict[str, Rule] = {
    rule.key: rule
    for rule in (
        Rule(
            "a", "Annotation entropy goes with AULC in every condition: ρ > 0 everywhere",
            "a main condition", "the interval of ρ lies above 0", "it lies below 0", "a main condition",
        ),
        Rule(
            "b", "The correlation stays significant after correction for all conditions in most of them (21 of 25)",
            "a main condition", "ρ > 0 and p after Bonferroni is at most 0.05",
            "ρ is not significant, and its interval ends below the ρ that would be",
            "as large a share of the conditions as in the paper; with fewer, even if all open ones were significant, "
            "it does not hold",
        ),
        Rule(
            "c", "Contested examples are un-learned under LoRA (Δℓ > 0), and not under full fine-tuning or IA3",
            "a condition of LoRA, full fine-tuning or IA3",
            "LoRA: the interval of contested Δℓ lies above 0. The others: it ends at or below 0, or Δℓ is shown to be "
            f"less than {percent(ABSENT, 0)} of that of every LoRA condition on the same backbone and data, example by "
            "example and seed by seed",
            "LoRA: it lies below 0. The others: it lies above 0, and no LoRA condition stands beside it, or Δℓ is "
            f"shown to be more than {percent(ABSENT, 0)} of that of one",
            "runs of all three methods",
        ),
        Rule(
            "d", "The correlation grows with LoRA rank",
            "a rank sweep of one backbone and data set",
            "ρ rises with rank (Spearman, p below 0.05, exact over all orders of the ranks), and ρ at the highest rank "
            "minus ρ at the lowest lies above 0",
            "ρ falls with rank with such a p, or that difference lies below 0 over several seeds a rank",
            "a rank sweep",
        ),
        Rule(
            "e", "The correlation survives control for sentence length and gold label",
            "a main condition whose ρ lies above 0", "the partial ρ given both lies above 0",
            "it does not, and its interval ends below that of the raw ρ", "a main condition with ρ above 0",
        ),
        Rule(
            "f", "Training on soft labels leaves the un-learning of contested examples unchanged",
            "a condition with soft labels",
            f"contested Δℓ under soft labels is shown to be {_SAME} of that under hard ones (equivalence test)",
            "it is shown to be less or more than that, of a hard Δℓ whose interval lies above 0",
            "runs with soft labels",
        ),
        Rule(
            "g",
            "Gradients of clean and contested examples stay aligned under LoRA, more so than under full fine-tuning",
            "a LoRA condition with gradient alignment",
            f"the mean cosine after the first probe lies above {ALIGNED:g}, and above that of full fine-tuning of the "
            "same backbone, data and seeds, both by Student's t over seeds: steps of one run resemble each other",
            "either lies below", "two seeds or more of LoRA and of full fine-tuning",
        ),
        Rule(
            "h",
            "Un-learning is not explained by calibration: full fine-tuning is more confident and does not un-learn",
            "a LoRA condition beside full fine-tuning of the same backbone and data",
            "full fine-tuning has the lower prediction entropy and the lower contested Δℓ, both by the interval of the "
            "difference, example by example and seed by seed, and Δℓ under LoRA lies above 0",
            "the method with the lower prediction entropy has the higher contested Δℓ, by the same intervals",
            "a main LoRA condition with full fine-tuning beside it",
        ),
        Rule(
            "i", "Noise in the training labels of clean examples raises their AULC",
            "a condition and rate of noise", "the interval of the shift of clean AULC lies above 0", "it lies below 0",
            "runs with noise",
        ),
    )
}  # fmt: skip
"""By key."""

HOW_CLAIMS_ARE_DECIDED = (
    "A claim holds where every finding is for it and no run that it needs is missing; each finding counts by its own "
    "interval, for asking all of them needs no correction. One finding against a claim decides that it does not hold; "
    "its interval is widened for the number of findings (Bonferroni), so that a claim that is true of every condition "
    "is overturned in at most 5 % of studies. Anything else is inconclusive. Over several seeds the intervals are over "
    "seeds as well; what rests on one seed is said to."
)
