"""Every word of the demo's world, for a word-level tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from contested.demo import actions, lexicon
from contested.demo.grammar import article, predicate, wearing

_TEMPLATES = (
    "a an the there is are some in several group of nobody not wearing outdoors indoors",
    "many more than a few ten couple",
    "brown scarves",
)


def vocabulary() -> tuple[str, ...]:
    """The lower-case words of all captions and hypotheses, and the period and comma, sorted."""
    words = {word for phrase in _phrases() for word in re.findall(r"[a-z]+", phrase)}
    return (",", ".", *sorted(words))


def _phrases() -> Iterator[str]:
    yield from _TEMPLATES
    yield from lexicon.COLOURS
    yield from lexicon.COUNTS.values()
    yield from lexicon.OPPOSITES
    yield from (form for garment in lexicon.GARMENTS for form in (garment, wearing(("", garment), plural=True)))
    yield from (form for noun in lexicon.NOUNS.values() for form in (article(noun.name), noun.plural))
    yield from (phrase for place in lexicon.PLACES.values() for phrase in (place.phrase, *place.hints))
    yield from (action.verb for action in actions.ACTIONS)
    for text in _predicates():
        yield from (predicate(text, plural=plural) for plural in (False, True))


def _predicates() -> Iterator[str]:
    tables = [
        actions.PERSON_HINTS,
        actions.CHILD_HINTS,
        actions.ANIMAL_HINTS,
        actions.OCCUPATION_HINTS,
        *actions.GROUP_HINTS.values(),
        *lexicon.REWORDED_ADJECTIVES.values(),
        *(table for action in actions.ACTIONS for table in (action.implies, action.hints)),
    ]
    for table in tables:
        yield from table
