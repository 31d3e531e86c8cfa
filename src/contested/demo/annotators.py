"""Simulated annotators, who read the same pair and mean different things by a label.

A reader settles who and how many the hypothesis is about (coreference, exactness), feels how likely it
then is, and answers entailment above one personal bound, contradiction below another, neutral between.
Now and then attention lapses and the answer is random. Disagreement is what these habits make of an
item; no label is drawn from an entropy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from contested.demo.hypotheses import COREFERENCE, LABELS, Hypothesis

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ENTAILMENT_BOUND = 1.8
_CONTRADICTION_BOUND = -2.2
_OPEN = 0.5
"""Nobody calls an even chance anything but neutral: the bounds keep this distance from 0."""


@dataclass(frozen=True)
class Annotators:
    """The latent habits of M annotators, each of shape (M,).

    Attributes:
        entailment_bound: Log-odds from which "likely" counts as entailment.
        contradiction_bound: Log-odds up to which "unlikely" counts as contradiction.
        coreference: Leaning to take both sentences for the same subjects; 0 on average.
        exactness: Leaning to take "two" for "just two"; 0 on average.
        lapse: Probability of a random answer.
    """

    entailment_bound: FloatArray
    contradiction_bound: FloatArray
    coreference: FloatArray
    exactness: FloatArray
    lapse: FloatArray

    def __len__(self) -> int:
        return len(self.lapse)

    def select(self, rows: IntArray) -> Annotators:
        """The annotators of the given rows."""
        return Annotators(*(getattr(self, trait.name)[rows] for trait in fields(self)))

    def label(self, hypothesis: Hypothesis, rng: np.random.Generator) -> IntArray:
        """Each annotator's label for one item.

        Args:
            hypothesis: The item's latent plausibility and ambiguity.
            rng: Source of perception noise and lapses.

        Returns:
            Indices into ``LABELS``, shape (M,).
        """
        m = len(self)
        leaning = self.coreference if hypothesis.trait == COREFERENCE else self.exactness
        first_reading = hypothesis.evidence + leaning + rng.normal(0, 0.5, m) > 0
        felt = np.where(first_reading, hypothesis.plausibility, hypothesis.otherwise)
        felt = felt + rng.normal(0, hypothesis.vagueness, m)
        answer = np.where(felt > self.entailment_bound, 0, np.where(felt < self.contradiction_bound, 2, 1))
        return np.where(rng.random(m) < self.lapse, rng.integers(len(LABELS), size=m), answer)


def hire(rng: np.random.Generator, m: int) -> Annotators:
    """Draw annotators; the strict among them ask more of entailment and of contradiction alike.

    Args:
        rng: Source of their traits.
        m: How many.

    Returns:
        M annotators.
    """
    strictness = rng.normal(size=m)
    return Annotators(
        entailment_bound=np.maximum(_ENTAILMENT_BOUND + 0.6 * strictness + rng.normal(0, 0.3, m), _OPEN),
        contradiction_bound=np.minimum(_CONTRADICTION_BOUND - 0.4 * strictness + rng.normal(0, 0.4, m), -_OPEN),
        coreference=rng.normal(size=m),
        exactness=rng.normal(size=m),
        lapse=rng.beta(1.0, 40.0, m),
    )
