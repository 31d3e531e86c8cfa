"""The demo's data: a generated language-inference world, annotated by simulated annotators.

Two sets are drawn, as in the studies of real data. The annotated set is small, has 100 labels per item
and is rich in operators that annotators read differently (ChaosNLI's items were chosen for disagreement);
the bulk set has one label per item, the majority of five annotators, and is mostly easy (like SNLI).
Only the two operator mixtures and the readers' bounds are calibrated, and only on the spread of entropy
(ChaosNLI-SNLI: 25 % below 0.4 nats, 51 % up to 0.7, 24 % above) and the balance of classes. Nothing here
has seen a training run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from contested.annotations import Annotations, Votes
from contested.demo.annotators import Annotators, IntArray, hire
from contested.demo.grammar import Scene, caption, chance, draw_scene
from contested.demo.hypotheses import LABELS, Hypothesis
from contested.demo.operators import OPERATORS
from contested.errors import DataError

N_LABELS = 100
_CREW, _SHIFT, _AGREED = 1000, 5, 3
_WORDING = 0.3
"""Standard deviation of what one wording adds to an item's plausibility, for all readers alike."""

ANNOTATED_MIXTURE: Mapping[str, float] = {
    "restate": 1,
    "hypernym": 2,
    "existence": 1,
    "sure_implication": 1,
    "kept_modifier": 1,
    "implication": 19,
    "setting": 3,
    "inference": 9,
    "character": 3,
    "relation": 2,
    "surroundings": 7,
    "subtype": 2,
    "new_modifier": 1,
    "reworded_modifier": 7,
    "new_place": 2,
    "near_place": 4,
    "vague_number": 7,
    "fewer": 4,
    "other_action": 7,
    "wrong_action": 6,
    "wrong_thing": 4,
    "wrong_place": 6,
    "wrong_subject": 7,
    "wrong_modifier": 3,
    "more": 2,
    "negation": 1,
}
"""Operator -> weight in the annotated set: disputed ones prevail."""

BULK_MIXTURE: Mapping[str, float] = {
    "restate": 9,
    "hypernym": 9,
    "existence": 5,
    "sure_implication": 6,
    "kept_modifier": 4,
    "implication": 3,
    "setting": 4,
    "inference": 9,
    "character": 3,
    "relation": 1,
    "surroundings": 3,
    "subtype": 6,
    "new_modifier": 7,
    "reworded_modifier": 1,
    "new_place": 5,
    "near_place": 1,
    "vague_number": 1,
    "fewer": 1,
    "other_action": 3,
    "wrong_action": 9,
    "wrong_thing": 4,
    "wrong_place": 8,
    "wrong_subject": 7,
    "wrong_modifier": 4,
    "more": 2,
    "negation": 3,
}
"""Operator -> weight in the bulk set: every operator, plain ones prevail."""


@dataclass(frozen=True)
class Item:
    """One pair before annotation.

    Attributes:
        premise: The premise.
        operator: The name of the operator that made the hypothesis.
        hypothesis: The hypothesis and what it means.
    """

    premise: str
    operator: str
    hypothesis: Hypothesis

    @property
    def example_id(self) -> str:
        """A stable id: the digest of the pair."""
        pair = f"{self.premise}\t{self.hypothesis.text}"
        return f"world-{hashlib.blake2b(pair.encode(), digest_size=6).hexdigest()}"


@dataclass(frozen=True, eq=False)
class World:
    """The data of one demo.

    Attributes:
        annotated: N examples with 100 labels each; fields are premise, hypothesis and operator.
        bulk: Examples with one label: columns example_id, premise, hypothesis, label.
        latents: What the simulation knows of the annotated examples, in their order: columns example_id,
            strict (label under strict logic), plausibility, otherwise, evidence, vagueness. No
            statistic of the demo reads it.
        votes: Which of the 1,000 annotators gave the annotated examples which labels.
    """

    annotated: Annotations
    bulk: pd.DataFrame
    latents: pd.DataFrame
    votes: Votes


def make_world(*, n_annotated: int = 625, n_bulk: int = 4000, seed: int = 0) -> World:
    """Generate and annotate a world.

    A larger set of the same seed begins with the smaller one's examples, as long as ``n_annotated``
    stays the same for the bulk set.

    Args:
        n_annotated: Examples with 100 labels each.
        n_bulk: Examples with one label each; none of them is an annotated one.
        seed: Any two worlds of the same sizes and seed are equal.

    Returns:
        The annotated set with its votes and latent values, and the bulk set.

    Raises:
        DataError: A size is not positive.

    Examples:
        >>> world = make_world(n_annotated=10, n_bulk=20, seed=1)
        >>> world.annotated.n_items, len(world.bulk), set(world.annotated.n_annotators.tolist())
        (10, 20, {100})
    """
    if min(n_annotated, n_bulk) < 1:
        raise DataError(f"A world of {n_annotated} annotated and {n_bulk} bulk examples: give at least 1 of each.")
    crew = hire(np.random.default_rng([seed, 0]), _CREW)
    taken: set[tuple[str, str]] = set()
    items, votes = _annotate(np.random.default_rng([seed, 1]), crew, n_annotated, taken)
    annotated = Annotations(
        example_ids=tuple(item.example_id for item in items),
        label_counts=votes.counts(n_items=n_annotated, n_classes=len(LABELS)),
        label_names=LABELS,
        fields=pd.DataFrame(
            {
                "premise": [item.premise for item in items],
                "hypothesis": [item.hypothesis.text for item in items],
                "operator": [item.operator for item in items],
            }
        ),
        source=f"contested demo world, seed {seed}",
    )
    bulk = _label_bulk(np.random.default_rng([seed, 2]), crew, n_bulk, taken)
    return World(annotated, bulk, _latents(items), votes)


def captions(n: int, *, seed: int = 0) -> list[str]:
    """Captions alone, as unlabelled text.

    Args:
        n: How many; some may be equal.
        seed: Of the draw.

    Returns:
        N sentences.
    """
    rng = np.random.default_rng([seed, 3])
    return [caption(rng, draw_scene(rng)) for _ in range(n)]


def caption_pairs(n: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Two captions of one scene, as two people describe one photograph; the second leaves things out.

    Args:
        n: How many; some may be equal.
        seed: Of the draw.

    Returns:
        N pairs of sentences.
    """
    rng = np.random.default_rng([seed, 5])
    scenes = [draw_scene(rng) for _ in range(n)]
    return [(caption(rng, scene), caption(rng, _half_seen(rng, scene))) for scene in scenes]


def sentence_pairs(n: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Premises with hypotheses of the bulk mixture, without labels: text for pretraining.

    Args:
        n: How many; all are distinct.
        seed: Of the draw.

    Returns:
        N (premise, hypothesis) pairs.
    """
    draws = _draw_items(np.random.default_rng([seed, 4]), BULK_MIXTURE, set())
    return [(item.premise, item.hypothesis.text) for item, _ in zip(draws, range(n), strict=False)]


def _half_seen(rng: np.random.Generator, scene: Scene) -> Scene:
    adjective, clothing, place = (chance(rng, 0.6) for _ in range(3))
    return replace(
        scene,
        adjective=scene.adjective if adjective else "",
        clothing=scene.clothing if clothing else (),
        place=scene.place if place else None,
    )


def _annotate(
    rng: np.random.Generator, crew: Annotators, n: int, taken: set[tuple[str, str]]
) -> tuple[list[Item], Votes]:
    items: list[Item] = []
    votes = np.empty((2, n, N_LABELS), dtype=np.int64)
    for row, item in zip(range(n), _draw_items(rng, ANNOTATED_MIXTURE, taken), strict=False):
        items.append(item)
        votes[:, row] = _ask(rng, crew, item, N_LABELS)
    readers, labels = votes.reshape(2, -1)
    return items, Votes(np.repeat(np.arange(n), N_LABELS), labels, readers, tuple(f"a{i}" for i in range(len(crew))))


def _label_bulk(rng: np.random.Generator, crew: Annotators, n: int, taken: set[tuple[str, str]]) -> pd.DataFrame:
    rows: list[tuple[str, str, str, str]] = []
    for item in _draw_items(rng, BULK_MIXTURE, taken):
        votes = np.bincount(_ask(rng, crew, item, _SHIFT)[1], minlength=len(LABELS))
        # As in SNLI, a pair without a majority of its five annotators gets no label and is left out.
        if votes.max() >= _AGREED:
            rows.append((item.example_id, item.premise, item.hypothesis.text, LABELS[int(votes.argmax())]))
        if len(rows) == n:
            break
    return pd.DataFrame(rows, columns=["example_id", "premise", "hypothesis", "label"])


def _ask(rng: np.random.Generator, crew: Annotators, item: Item, m: int) -> tuple[IntArray, IntArray]:
    """Which M of the crew label an item, and their labels."""
    readers = rng.choice(len(crew), m, replace=False, shuffle=False)
    return readers, crew.select(readers).label(item.hypothesis, rng)


def _draw_items(rng: np.random.Generator, mixture: Mapping[str, float], taken: set[tuple[str, str]]) -> Iterator[Item]:
    """Endless new pairs; each is added to those taken."""
    names = tuple(mixture)
    cumulative = np.cumsum(list(mixture.values())) / sum(mixture.values())
    while True:
        name = names[int(np.searchsorted(cumulative, rng.random(), side="right"))]
        item = _draw_item(rng, name)
        pair = (item.premise, item.hypothesis.text)
        if pair not in taken and item.premise != item.hypothesis.text:
            taken.add(pair)
            yield item


def _draw_item(rng: np.random.Generator, operator: str) -> Item:
    # An operator that a scene gives no hold (no place to change) waits for one that does, so that
    # the mixture's weights are the shares of the set.
    while True:
        scene = draw_scene(rng)
        hypothesis = OPERATORS[operator](rng, scene)
        if hypothesis is not None:
            felt = hypothesis.plausibility + float(rng.normal(0, _WORDING))
            return Item(caption(rng, scene), operator, replace(hypothesis, plausibility=felt))


def _latents(items: list[Item]) -> pd.DataFrame:
    names = ("strict", "plausibility", "otherwise", "evidence", "vagueness")
    columns = {name: [getattr(item.hypothesis, name) for item in items] for name in names}
    return pd.DataFrame({"example_id": [item.example_id for item in items], **columns})
