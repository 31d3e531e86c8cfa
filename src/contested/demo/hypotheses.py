"""What a hypothesis says, how likely it is, and how much that is a matter of reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from contested.demo.grammar import Scene, be, chance, quantified, sentence
from contested.demo.lexicon import Noun

ENTAILMENT, NEUTRAL, CONTRADICTION = LABELS = ("entailment", "neutral", "contradiction")
COREFERENCE, EXACTNESS = "coreference", "exactness"

CERTAIN, KNOWN, EXCLUDED = 5.0, 3.5, -4.5
PLAIN, LOOSE = 0.95, 1.15
"""Vagueness of plain words and of loose rewordings."""
THE, SOME = 1.8, 0.7
"""Evidence that the hypothesis speaks of the caption's subjects: "the dog", "a dog"."""
_HEARSAY = 0.25
"""What is left of a guess for a reader who thinks of other subjects."""


@dataclass(frozen=True)
class Hypothesis:
    """A sentence, and how likely it is given the caption, under each of two readings.

    Attributes:
        text: The sentence.
        strict: The label under strict logic, same subjects and scene assumed.
        plausibility: Log-odds under the first reading (same subjects; "two" is "just two").
        otherwise: Log-odds under the other reading (other subjects; "two" is "at least two").
        evidence: How strongly the wording suggests the first reading; 0 is undecided.
        trait: The annotator's leaning that joins the evidence.
        vagueness: Standard deviation of what the words mean to different annotators.
    """

    text: str
    strict: str
    plausibility: float
    otherwise: float
    evidence: float = THE
    trait: str = COREFERENCE
    vagueness: float = PLAIN


class Mention(NamedTuple):
    """The subjects as a hypothesis names them."""

    text: str
    be: str
    plural: bool
    evidence: float


def mention(rng: np.random.Generator, scene: Scene, noun: Noun | None = None) -> Mention:
    """Name the scene's subjects again, or subjects of another kind, by "the", "some" or a number."""
    noun = noun or scene.noun
    if chance(rng, 0.5):
        name = noun.plural if scene.plural else noun.name
        return Mention(f"the {name}", "are" if scene.plural else "is", scene.plural, THE)
    if scene.plural and chance(rng, 0.4):
        return Mention(f"some {noun.plural}", "are", True, SOME)
    return Mention(quantified(noun.name, noun.plural, scene.count), be(scene), scene.plural, SOME)


def entailed(text: str, plausibility: float = CERTAIN, *, vagueness: float = PLAIN) -> Hypothesis:
    """Follows from the caption, whoever is meant: somebody in it makes the sentence true."""
    return Hypothesis(sentence(text), ENTAILMENT, plausibility, plausibility, vagueness=vagueness)


def undecided(text: str, plausibility: float, evidence: float, *, vagueness: float = PLAIN) -> Hypothesis:
    """Is left open by the caption; other subjects make a guess weaker, not wrong."""
    otherwise = _HEARSAY * plausibility
    return Hypothesis(sentence(text), NEUTRAL, plausibility, otherwise, evidence, vagueness=vagueness)


def excluded(text: str, evidence: float, plausibility: float = EXCLUDED) -> Hypothesis:
    """Cannot be so of the same subjects; of others anything may be."""
    return Hypothesis(sentence(text), CONTRADICTION, plausibility, 0.0, evidence)


def implied(text: str, plausibility: float, evidence: float) -> Hypothesis:
    """Follows if it is likely enough to be knowledge; else a loose rewording, which annotators read differently."""
    if plausibility >= KNOWN:
        return entailed(text, plausibility)
    return undecided(text, plausibility, evidence, vagueness=LOOSE)
