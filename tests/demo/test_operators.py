from dataclasses import replace

import numpy as np
import pytest

from contested.demo import actions, lexicon
from contested.demo.actions import ACTIONS
from contested.demo.grammar import GROUP, Scene, caption, draw_scene
from contested.demo.hypotheses import COREFERENCE, EXACTNESS, LABELS
from contested.demo.operators import OPERATORS
from contested.demo.vocabulary import vocabulary
from contested.demo.world import ANNOTATED_MIXTURE


def action(verb):
    return next(a for a in ACTIONS if a.verb == verb)


POODLE = Scene(
    noun=lexicon.NOUNS["poodle"],
    count=1,
    adjective="big",
    clothing=(),
    action=action("running"),
    thing=None,
    place=lexicon.PLACES["park"],
)
NURSES = Scene(
    noun=lexicon.NOUNS["nurse"],
    count=3,
    adjective="",
    clothing=("red", "coat"),
    action=action("reading"),
    thing=lexicon.NOUNS["book"],
    place=None,
)


def said(operator, scene, n=60):
    rng = np.random.default_rng(0)
    hypotheses = [OPERATORS[operator](rng, scene) for _ in range(n)]
    return {h.text: h for h in hypotheses if h is not None}


@pytest.mark.parametrize(
    ("operator", "scene", "sentence", "strict"),
    [
        ("restate", POODLE, "The poodle is running.", "entailment"),
        ("hypernym", POODLE, "An animal is running.", "entailment"),
        ("hypernym", NURSES, "Some adults are reading books.", "entailment"),
        ("existence", POODLE, "There is a dog in a park.", "entailment"),
        ("implication", POODLE, "A poodle is moving.", "entailment"),
        ("implication", POODLE, "A poodle is sprinting.", "neutral"),
        ("setting", POODLE, "The poodle is outdoors.", "entailment"),
        ("setting", POODLE, "The poodle is indoors.", "contradiction"),
        ("kept_modifier", NURSES, "The nurses are wearing red coats.", "entailment"),
        ("inference", POODLE, "The poodle is tired.", "neutral"),
        ("relation", NURSES, "The nurses are friends.", "neutral"),
        ("subtype", NURSES, "The women are reading books.", "neutral"),
        ("subtype", NURSES, "The nurses are reading novels.", "neutral"),
        ("surroundings", POODLE, "It is sunny.", "neutral"),
        ("near_place", POODLE, "A poodle is in a garden.", "neutral"),
        ("new_place", NURSES, "The nurses are in a library.", "neutral"),
        ("vague_number", NURSES, "Several nurses are reading books.", "neutral"),
        ("fewer", NURSES, "A nurse is reading a book.", "entailment"),
        ("more", POODLE, "A group of poodles is running.", "contradiction"),
        ("wrong_action", POODLE, "The poodle is sleeping.", "contradiction"),
        ("wrong_thing", NURSES, "The nurses are reading newspapers.", "contradiction"),
        ("wrong_modifier", POODLE, "The small poodle is running.", "contradiction"),
        ("wrong_subject", POODLE, "The cat is running.", "contradiction"),
        ("negation", POODLE, "Nobody is running.", "contradiction"),
    ],
)
def test_an_operator_says_this_with_that_strict_label(operator, scene, sentence, strict):
    assert said(operator, scene, n=400)[sentence].strict == strict


@pytest.mark.parametrize(
    ("operator", "scene"),
    [("existence", NURSES), ("setting", NURSES), ("relation", POODLE), ("fewer", POODLE), ("new_place", POODLE)],
)
def test_an_operator_without_a_hold_passes(operator, scene):
    assert said(operator, scene) == {}


def test_the_place_of_a_wrong_place_is_neither_the_same_nor_near():
    texts = " ".join(said("wrong_place", POODLE, 500))
    assert "kitchen" in texts
    assert not any(place in texts for place in ("in a park.", "playground", "garden"))


def test_the_speaks_of_the_same_and_some_may_not():
    hypotheses = said("wrong_place", POODLE, 500)
    the = [h.evidence for text, h in hypotheses.items() if text.startswith("The poodle")]
    some = [h.evidence for text, h in hypotheses.items() if text.startswith("A poodle")]
    assert min(the) > max(some) > 0


def test_a_lower_number_depends_on_exactness_and_all_else_on_coreference():
    traits = {name: {h.trait for h in said(name, replace(NURSES, count=GROUP)).values()} for name in OPERATORS}
    assert traits.pop("fewer") == {EXACTNESS}
    assert set().union(*traits.values()) == {COREFERENCE}


def test_strictly_entailed_hypotheses_hold_whoever_is_meant():
    for operator in ("restate", "hypernym", "existence", "sure_implication"):
        assert all(h.plausibility == h.otherwise >= 3.5 for h in said(operator, POODLE).values())


def test_every_operator_is_in_the_mixture_and_finds_scenes():
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng) for _ in range(300)]
    assert set(ANNOTATED_MIXTURE) == set(OPERATORS)
    for operator in OPERATORS.values():
        found = [h for h in (operator(rng, scene) for scene in scenes) if h]
        assert found
        assert {h.strict for h in found} <= set(LABELS)


def test_a_caption_names_all_that_the_scene_says():
    rng = np.random.default_rng(0)
    captions = {caption(rng, NURSES) for _ in range(60)}
    assert captions == {
        "Three nurses in red coats are reading books.",
        "There are three nurses in red coats reading books.",
        "Three nurses in red coats reading books.",
    }
    assert "In a park, a big poodle is running." in {caption(rng, POODLE) for _ in range(60)}


def test_the_lexicon_names_only_what_it_knows():
    for noun in lexicon.NOUNS.values():
        assert {*noun.above, *noun.below, *noun.others} <= lexicon.NOUNS.keys(), noun.name
    for place in lexicon.PLACES.values():
        assert set(place.near) <= lexicon.PLACES.keys(), place.name
    for act in actions.ACTIONS:
        assert set(act.objects) <= lexicon.NOUNS.keys(), act.verb
        assert set(act.places) <= lexicon.PLACES.keys(), act.verb


def test_the_vocabulary_is_sorted_lower_case_words():
    words = vocabulary()
    assert words[:2] == (",", ".")
    assert list(words[2:]) == sorted(set(words[2:]))
    assert all(word.isalpha() and word.islower() for word in words[2:])
    assert {"poodle", "poodles", "are", "has", "have"} <= set(words)
