"""From a caption to a hypothesis, by an operator whose strict label and leeway are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from contested.demo import actions as acts
from contested.demo import lexicon
from contested.demo.actions import Action
from contested.demo.grammar import (
    GROUP,
    SEVERAL,
    Scene,
    actions_for,
    adjectives_for,
    be,
    chance,
    doing,
    is_animal,
    pick,
    places_for,
    predicate,
    quantified,
    sentence,
    things_for,
    wearing,
)
from contested.demo.hypotheses import (
    ENTAILMENT,
    EXACTNESS,
    EXCLUDED,
    KNOWN,
    LOOSE,
    THE,
    Hypothesis,
    entailed,
    excluded,
    implied,
    mention,
    undecided,
)
from contested.demo.lexicon import NOUNS, PLACES, Noun

Operator = Callable[[np.random.Generator, Scene], Hypothesis | None]


def _act(scene: Scene, *, plural: bool, action: Action | None = None, thing: Noun | None = None) -> str:
    return doing(action or scene.action, thing if action else thing or scene.thing, plural=plural)


def _where(scene: Scene) -> str:
    return f" {scene.place.phrase}" if scene.place else ""


def restate(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Say less: leave out adjective, clothing and perhaps the place."""
    who = mention(rng, scene)
    where = _where(scene) if chance(rng, 0.4) else ""
    return entailed(f"{who.text} {who.be} {_act(scene, plural=who.plural)}{where}")


def hypernym(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Name a wider kind: a poodle is a dog, a guitar is an instrument."""
    things = scene.thing.above if scene.thing else ()
    if not scene.noun.above:
        return None
    who = mention(rng, scene, NOUNS[pick(rng, scene.noun.above)])
    thing = NOUNS[pick(rng, things)] if things and chance(rng, 0.5) else None
    return entailed(f"{who.text} {who.be} {_act(scene, plural=who.plural, thing=thing)}", 4.7)


def existence(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """There is such a subject at the place."""
    if scene.place is None:
        return None
    noun = NOUNS[pick(rng, (scene.noun.name, *scene.noun.above))]
    who = quantified(noun.name, noun.plural, scene.count)
    return entailed(f"there {be(scene)} {who} {scene.place.phrase}")


def implication(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """What the action amounts to: surely (running, moving) or by loose wording (running, jogging)."""
    text, plausibility = pick(rng, tuple(scene.action.implies.items()))
    who = mention(rng, scene)
    return implied(f"{who.text} {predicate(text, plural=who.be == 'are')}", plausibility, who.evidence)


def sure_implication(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Only what the action surely amounts to."""
    hypothesis = implication(rng, scene)
    return hypothesis if hypothesis and hypothesis.plausibility >= KNOWN else None


def setting(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Indoors or outdoors, as far as the place tells."""
    if scene.place is None:
        return None
    who, outdoors = mention(rng, scene), chance(rng, 0.5)
    odds = scene.place.outdoors if outdoors else -scene.place.outdoors
    text = f"{who.text} {who.be} {'outdoors' if outdoors else 'indoors'}"
    if odds <= -3:
        return excluded(text, who.evidence, odds)
    return implied(text, odds, who.evidence)


def inference(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Guess from the action: plausible, unstated."""
    return _guess(rng, scene, scene.action.hints)


def character(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Guess from who is shown: what such subjects are, have and want."""
    if is_animal(scene.noun):
        return _guess(rng, scene, acts.ANIMAL_HINTS)
    if scene.noun.name in acts.CHILDREN:
        return _guess(rng, scene, acts.CHILD_HINTS)
    occupied = scene.noun.name in acts.OCCUPATIONS
    return _guess(rng, scene, acts.OCCUPATION_HINTS if occupied else acts.PERSON_HINTS)


def _guess(rng: np.random.Generator, scene: Scene, hints: dict[str, float]) -> Hypothesis | None:
    text, plausibility = pick(rng, tuple(hints.items()))
    who = mention(rng, scene)
    said = predicate(text, plural=who.be == "are")
    if scene.noun.name in said or (scene.plural and "alone" in said):
        return None
    return undecided(f"{who.text} {said}", plausibility, who.evidence)


def relation(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Guess what several subjects are to each other."""
    if not scene.plural:
        return None
    kind = "animal" if is_animal(scene.noun) else "child" if scene.noun.name in acts.CHILDREN else "person"
    text, plausibility = pick(rng, tuple(acts.GROUP_HINTS[kind].items()))
    return undecided(f"the {scene.noun.plural} {text}", plausibility, THE)


def surroundings(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Guess from the place: weather, time, what is near."""
    if scene.place is None:
        return None
    text, plausibility = pick(rng, tuple(scene.place.hints.items()))
    return implied(text, plausibility, THE)


def subtype(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Name a narrower kind of subject or object: a dog may be a poodle."""
    thing = scene.thing
    if thing and thing.below and chance(rng, 0.4):
        name, odds = pick(rng, tuple(thing.below.items()))
        who = mention(rng, scene)
        return undecided(f"{who.text} {who.be} {_act(scene, plural=who.plural, thing=NOUNS[name])}", odds, who.evidence)
    if not scene.noun.below:
        return None
    name, odds = pick(rng, tuple(scene.noun.below.items()))
    who = mention(rng, scene, NOUNS[name])
    return undecided(f"{who.text} {who.be} {_act(scene, plural=who.plural)}", odds, who.evidence)


def new_modifier(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Add an adjective or garment that the caption does not give."""
    if not is_animal(scene.noun) and not scene.clothing and chance(rng, 0.5):
        clothing = (pick(rng, lexicon.COLOURS), pick(rng, lexicon.GARMENTS))
        who = mention(rng, scene)
        return undecided(f"{who.text} {who.be} wearing {wearing(clothing, plural=who.plural)}", -0.4, who.evidence)
    adjectives = adjectives_for(scene.noun)
    if scene.adjective or not adjectives:
        return None
    who = mention(rng, _described(scene, pick(rng, adjectives)))
    return undecided(f"{who.text} {who.be} {_act(scene, plural=who.plural)}", -0.2, who.evidence)


def _described(scene: Scene, adjective: str) -> Scene:
    noun = scene.noun
    plural = f"{adjective} {noun.plural}"
    return replace(scene, noun=replace(noun, name=f"{adjective} {noun.name}", plural=plural))


def wrong_modifier(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Change the colour of the clothes, or the adjective to its opposite."""
    if scene.clothing:
        colour = pick(rng, [c for c in lexicon.COLOURS if c != scene.clothing[0]])
        who = mention(rng, scene)
        worn = wearing((colour, scene.clothing[1]), plural=who.plural)
        return excluded(f"{who.text} {who.be} wearing {worn}", who.evidence)
    if scene.adjective not in lexicon.OPPOSITES:
        return None
    who = mention(rng, _described(scene, lexicon.OPPOSITES[scene.adjective]))
    return excluded(f"{who.text} {who.be} {_act(scene, plural=who.plural)}", who.evidence)


def kept_modifier(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Repeat the clothes or the adjective as they are."""
    if scene.clothing:
        who = mention(rng, scene)
        return entailed(f"{who.text} {who.be} wearing {wearing(scene.clothing, plural=who.plural)}")
    if not scene.adjective:
        return None
    who = mention(rng, _described(scene, scene.adjective))
    return entailed(f"{who.text} {who.be} {_act(scene, plural=who.plural)}")


def reworded_modifier(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Take an adjective for something close to it: old for retired."""
    if scene.adjective not in lexicon.REWORDED_ADJECTIVES:
        return None
    text, odds = pick(rng, tuple(lexicon.REWORDED_ADJECTIVES[scene.adjective].items()))
    said = predicate(text, plural=scene.plural)
    name = scene.noun.plural if scene.plural else scene.noun.name
    return None if scene.noun.name in said else undecided(f"the {name} {said}", odds, THE, vagueness=LOOSE)


def new_place(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Give a place where the caption gives none: the more typical for the action, the likelier."""
    if scene.place is not None:
        return None
    typical = places_for(scene.noun, scene.action)
    if chance(rng, 0.7):
        rank = int(rng.integers(len(typical)))
        name, odds = typical[rank], 1.4 - 0.5 * rank
    else:
        name, odds = pick(rng, [place for place in PLACES if place not in typical]), -2.2
    who = mention(rng, scene)
    return undecided(f"{who.text} {who.be} {PLACES[name].phrase}", odds, who.evidence)


def wrong_place(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Move the scene elsewhere."""
    if scene.place is None:
        return None
    place = scene.place
    name = pick(rng, [p for p in PLACES if p != place.name and p not in place.near])
    who = mention(rng, scene)
    act = f" {_act(scene, plural=who.plural)}" if chance(rng, 0.5) else ""
    return excluded(f"{who.text} {who.be}{act} {PLACES[name].phrase}", who.evidence)


def near_place(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Name a place that may be the same spot: a park, a garden."""
    if scene.place is None or not scene.place.near:
        return None
    who = mention(rng, scene)
    place = PLACES[pick(rng, scene.place.near)]
    return undecided(f"{who.text} {who.be} {place.phrase}", -1.2, who.evidence, vagueness=LOOSE)


def wrong_subject(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Swap the subjects for a kind that they cannot be."""
    other = NOUNS[pick(rng, scene.noun.others)]
    if is_animal(other) and scene.action not in actions_for(other):
        return None
    who = mention(rng, scene, other)
    return excluded(f"{who.text} {who.be} {_act(scene, plural=who.plural)}", who.evidence - 0.3)


def wrong_thing(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Swap the object: a guitar is no violin."""
    others = [t for t in things_for(scene.noun, scene.action) if scene.thing and t in scene.thing.others]
    if not others:
        return None
    who = mention(rng, scene)
    thing = NOUNS[pick(rng, others)]
    return excluded(f"{who.text} {who.be} {_act(scene, plural=who.plural, thing=thing)}", who.evidence)


def wrong_action(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Swap the action for one of another posture: who sleeps does not run."""
    posture = scene.action.posture
    rivals = [a for a in actions_for(scene.noun) if posture and a.posture and a.posture != posture]
    if not rivals:
        return None
    return _instead(rng, scene, pick(rng, rivals), EXCLUDED)


def other_action(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Name another action that could go on at once, easily or (both hands needed) hardly."""
    action = pick(rng, actions_for(scene.noun))
    together = not (action.posture and scene.action.posture)
    if not together or action.verb == scene.action.verb or "sleeping" in (action.verb, scene.action.verb):
        return None
    return _instead(rng, scene, action, -2.3 if action.busy and scene.action.busy else -0.9)


def _instead(rng: np.random.Generator, scene: Scene, action: Action, odds: float) -> Hypothesis:
    who = mention(rng, scene)
    things = things_for(scene.noun, action)
    thing = NOUNS[pick(rng, things)] if things else None
    text = f"{who.text} {who.be} {_act(scene, plural=who.plural, action=action, thing=thing)}"
    return excluded(text, who.evidence) if odds == EXCLUDED else undecided(text, odds, who.evidence, vagueness=LOOSE)


def negation(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Deny the action."""
    if chance(rng, 0.3):
        return excluded(f"nobody is {_act(scene, plural=False)}", 1.6)
    who = mention(rng, scene)
    return excluded(f"{who.text} {who.be} not {_act(scene, plural=who.plural)}", who.evidence)


def fewer(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Name a lower number: true if "a dog" is "at least one", false if it is "just one"."""
    if not scene.plural:
        return None
    lower = [n for n in (1, 2, 3) if n < min(scene.count, 4)]
    count = pick(rng, lower)
    who = quantified(scene.noun.name, scene.noun.plural, count)
    text = sentence(f"{who} {'is' if count == 1 else 'are'} {_act(scene, plural=count > 1)}")
    return Hypothesis(text, ENTAILMENT, -3.0, 4.0, evidence=0.9 * (count - 1.6), trait=EXACTNESS)


def more(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Name a higher number."""
    if scene.count >= SEVERAL:
        return None
    count = pick(rng, [n for n in (2, 3, 4, SEVERAL, GROUP) if n > scene.count])
    who = quantified(scene.noun.name, scene.noun.plural, count)
    verb = "is" if count == GROUP else "are"
    return excluded(f"{who} {verb} {_act(scene, plural=True)}", 1.3)


def vague_number(rng: np.random.Generator, scene: Scene) -> Hypothesis | None:
    """Name a number that a vague one may or may not mean: several, many, more than two."""
    words = _VAGUE_NUMBERS.get(scene.count)
    if not words:
        return None
    word, odds = pick(rng, tuple(words.items()))
    return undecided(f"{word} {scene.noun.plural} are {_act(scene, plural=True)}", odds, 1.5, vagueness=LOOSE)


_VAGUE_NUMBERS: dict[int, dict[str, float]] = {
    2: {"several": -1.8, "a few": 0.4, "many": -2.9, "a couple of": 2.6},
    3: {"several": 1.2, "a few": 2.3, "many": -1.8},
    SEVERAL: {"three": -0.2, "many": 0.9, "more than two": 2.5, "two": -1.8, "a few": 1.9},
    GROUP: {"three": -0.3, "many": 1.2, "more than two": 2.2, "two": -1.5, "ten": -0.8},
}

OPERATORS: dict[str, Operator] = {
    operator.__name__: operator
    for operator in (
        restate,
        hypernym,
        existence,
        implication,
        sure_implication,
        setting,
        kept_modifier,
        inference,
        character,
        relation,
        surroundings,
        subtype,
        new_modifier,
        reworded_modifier,
        new_place,
        near_place,
        vague_number,
        fewer,
        other_action,
        wrong_action,
        wrong_thing,
        wrong_place,
        wrong_subject,
        wrong_modifier,
        more,
        negation,
    )
}
