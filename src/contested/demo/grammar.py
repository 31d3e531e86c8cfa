"""From scenes to captions: what is drawn, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from contested.demo import actions as acts
from contested.demo.actions import ACTIONS, Action
from contested.demo.lexicon import ANIMALS, COLOURS, COUNTS, GARMENTS, NOUNS, OUTDOORS, PEOPLE, PLACES, Noun, Place

T = TypeVar("T")

SEVERAL, GROUP = 5, 8
"""Counts that are said as "several" and "a group of"."""

_AGREEMENT = {"is": "are", "has": "have"}
_ANIMAL_COLOURS = ("brown", "black", "white", "gray")
_KIND_OF_ANIMAL = frozenset(noun.name for noun in ANIMALS) | {"animal"}


@dataclass(frozen=True)
class Scene:
    """What a caption shows.

    Attributes:
        noun: The kind of the subjects.
        count: How many there are.
        adjective: Their size, age or colour; "" if unsaid.
        clothing: Colour and garment, such as ("red", "shirt"); () if unsaid.
        action: What they do.
        thing: The action's object, if it has one.
        place: Where; None if unsaid.
    """

    noun: Noun
    count: int
    adjective: str
    clothing: tuple[str, str] | tuple[()]
    action: Action
    thing: Noun | None
    place: Place | None

    @property
    def plural(self) -> bool:
        """Whether there are two subjects or more."""
        return self.count > 1


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, uniformly."""
    return options[int(rng.integers(len(options)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def is_animal(noun: Noun) -> bool:
    """Whether the noun names an animal, not a person."""
    return noun.name in _KIND_OF_ANIMAL


def adjectives_for(noun: Noun) -> tuple[str, ...]:
    """The sizes, ages and colours that captions give to such a subject."""
    if is_animal(noun):
        return ("big", "small", *_ANIMAL_COLOURS)
    if noun.name == "toddler":
        return ("big", "small")
    if noun.name in acts.CHILDREN or noun.name in ("teenager", "student"):
        return ("tall", "short")
    return ("young", "old", "tall", "short")


def actions_for(noun: Noun) -> tuple[Action, ...]:
    """The actions that such a subject is seen at."""
    if noun.name in acts.LARGE_ANIMALS:
        allowed = [a for a in ACTIONS if a.who != acts.PERSON and a.verb in acts.LARGE_ANIMAL_VERBS]
    elif is_animal(noun):
        allowed = [a for a in ACTIONS if a.who != acts.PERSON]
    elif noun.name in acts.CHILDREN:
        allowed = [a for a in ACTIONS if a.who != acts.ANIMAL and a.verb not in acts.ADULT_VERBS]
    else:
        allowed = [a for a in ACTIONS if a.who != acts.ANIMAL]
    return tuple(allowed)


def things_for(noun: Noun, action: Action) -> tuple[str, ...]:
    """The objects of the action that suit such a subject."""
    if noun.name in acts.CHILDREN:
        return tuple(name for name in action.objects if name not in acts.ADULT_OBJECTS)
    return action.objects


def places_for(noun: Noun, action: Action) -> tuple[str, ...]:
    """Where such a subject is seen at the action, most typical first."""
    if noun.name in acts.LARGE_ANIMALS:
        return tuple(p for p in action.places if p in acts.PASTURES) or acts.PASTURES
    if is_animal(noun):
        return tuple(p for p in action.places if p in OUTDOORS or p in acts.HOME)
    return action.places


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene; three in four show people."""
    noun = pick(rng, PEOPLE if chance(rng, 0.75) else ANIMALS)
    action = pick(rng, _ACTIONS_FOR[noun.name])
    things = things_for(noun, action)
    clothed = not is_animal(noun) and chance(rng, 0.3)
    return Scene(
        noun=noun,
        count=int(rng.choice((1, 2, 3, SEVERAL, GROUP), p=(0.56, 0.17, 0.09, 0.09, 0.09))),
        adjective=pick(rng, adjectives_for(noun)) if chance(rng, 0.35) else "",
        clothing=(pick(rng, COLOURS), pick(rng, GARMENTS)) if clothed else (),
        action=action,
        thing=NOUNS[pick(rng, things)] if things else None,
        place=PLACES[pick(rng, places_for(noun, action))] if chance(rng, 0.75) else None,
    )


_ACTIONS_FOR = {noun.name: actions_for(noun) for noun in (*PEOPLE, *ANIMALS)}


def article(phrase: str) -> str:
    """The phrase with "a" or "an" before it.

    >>> article("old dog"), article("uniform")
    ('an old dog', 'a uniform')
    """
    vowel = phrase[0] in "aeiou" and not phrase.startswith("uni")
    return f"{'an' if vowel else 'a'} {phrase}"


def quantified(phrase: str, plural_phrase: str, count: int) -> str:
    """Singular or plural phrase with its number.

    >>> quantified("dog", "dogs", 2), quantified("old dog", "old dogs", 1)
    ('two dogs', 'an old dog')
    """
    if count == 1:
        return article(phrase)
    if count == GROUP:
        return f"a group of {plural_phrase}"
    return f"{COUNTS.get(count, 'several')} {plural_phrase}"


def subject(scene: Scene) -> str:
    """The subjects as a caption names them, with adjective and clothing."""
    before = f"{scene.adjective} " if scene.adjective else ""
    phrase = quantified(before + scene.noun.name, before + scene.noun.plural, scene.count)
    if not scene.clothing:
        return phrase
    return f"{phrase} in {wearing(scene.clothing, plural=scene.plural)}"


def wearing(clothing: Sequence[str], *, plural: bool) -> str:
    """A garment with its colour: "a red shirt", "red shirts"."""
    colour, garment = clothing
    if plural:
        return f"{colour} {'scarves' if garment == 'scarf' else garment + 's'}"
    return article(f"{colour} {garment}")


def thing_phrase(thing: Noun, *, plural: bool) -> str:
    """An object: "a guitar", "guitars" for several owners, "soccer" for a mass noun."""
    if not thing.plural:
        return thing.name
    return thing.plural if plural else article(thing.name)


def doing(action: Action, thing: Noun | None, *, plural: bool) -> str:
    """The action with its object and no auxiliary: "playing a guitar"."""
    if thing is None:
        return action.verb
    return f"{action.verb} {thing_phrase(thing, plural=plural and not action.shared)}"


def predicate(text: str, *, plural: bool) -> str:
    """A predicate of the lexicon in the wanted number.

    >>> predicate("is a pet|are pets", plural=True), predicate("has an owner", plural=True)
    ('are pets', 'have an owner')
    """
    singular, _, given = text.partition("|")
    if not plural:
        return singular
    first, _, rest = singular.partition(" ")
    return given or f"{_AGREEMENT.get(first, first.removesuffix('s'))} {rest}".rstrip()


def be(scene: Scene) -> str:
    """The auxiliary that agrees with the caption's subject phrase."""
    return "is" if scene.count in (1, GROUP) else "are"


def sentence(text: str) -> str:
    """The text with a capital and a period."""
    return f"{text[0].upper()}{text[1:]}."


def caption(rng: np.random.Generator, scene: Scene) -> str:
    """Say the scene in one of four ways."""
    who, act = subject(scene), doing(scene.action, scene.thing, plural=scene.plural)
    where = f" {scene.place.phrase}" if scene.place else ""
    way = rng.random()
    if way < 0.12 and scene.place:
        return sentence(f"{scene.place.phrase}, {who} {be(scene)} {act}")
    if way < 0.24:
        return sentence(f"there {be(scene)} {who} {act}{where}")
    if way < 0.40:
        return sentence(f"{who} {act}{where}")
    return sentence(f"{who} {be(scene)} {act}{where}")
