import numpy as np
import pytest

from contested.demo.annotators import Annotators, hire
from contested.demo.hypotheses import COREFERENCE, EXACTNESS, Hypothesis


def crew(m=4, **traits):
    usual = {"entailment_bound": 2.0, "contradiction_bound": -2.0, "coreference": 0, "exactness": 0, "lapse": 0}
    return Annotators(**{name: np.full(m, traits.get(name, value), float) for name, value in usual.items()})


def share(labels, label):
    return (labels == label).mean()


@pytest.mark.parametrize(("plausibility", "label"), [(5, 0), (0, 1), (-5, 2)])
def test_bounds_part_the_plausible_from_the_open_and_the_excluded(plausibility, label):
    item = Hypothesis("", "neutral", plausibility, plausibility, vagueness=0.0)
    assert crew().label(item, np.random.default_rng(0)).tolist() == [label] * 4


def test_the_strict_ask_more_of_entailment():
    item = Hypothesis("", "neutral", 2.5, 2.5, vagueness=0.0)
    assert crew(entailment_bound=2.4).label(item, np.random.default_rng(0)).tolist() == [0] * 4
    assert crew(entailment_bound=2.6).label(item, np.random.default_rng(0)).tolist() == [1] * 4


@pytest.mark.parametrize("trait", [COREFERENCE, EXACTNESS])
def test_the_trait_of_the_item_decides_between_its_readings(trait):
    item = Hypothesis("", "contradiction", -5, 0, evidence=0.0, trait=trait, vagueness=0.0)
    other = EXACTNESS if trait == COREFERENCE else COREFERENCE
    rng = np.random.default_rng(0)
    assert share(crew(200, **{trait: 3}).label(item, rng), 2) == 1
    assert share(crew(200, **{trait: -3}).label(item, rng), 1) == 1
    # The other trait has no say: evidence 0 leaves a fair coin; 5 sd of 200 throws are 0.18.
    assert share(crew(200, **{other: 3}).label(item, rng), 2) == pytest.approx(0.5, abs=0.18)


def test_a_lapse_is_a_random_answer():
    item = Hypothesis("", "entailment", 9, 9)
    labels = crew(3000, lapse=1).label(item, np.random.default_rng(0))
    # Each third has sd sqrt(2/9/3000) = 0.0086.
    assert np.bincount(labels, minlength=3) / 3000 == pytest.approx([1 / 3] * 3, abs=0.04)


def test_vagueness_divides_people():
    rng = np.random.default_rng(0)
    clear, vague = (Hypothesis("", "neutral", 1, 1, vagueness=v) for v in (0.1, 3.0))
    assert share(crew(1000).label(clear, rng), 1) == 1
    assert share(crew(1000).label(vague, rng), 1) < 0.7


def test_hired_annotators_differ_and_their_bounds_are_in_order():
    people = hire(np.random.default_rng(0), 1000)
    assert len(people) == 1000
    assert (people.contradiction_bound < people.entailment_bound).all()
    assert min(people.entailment_bound.std(), people.coreference.std(), people.exactness.std()) > 0.5
    # Strict people are strict on both sides: a high bound goes with a low one.
    assert np.corrcoef(people.entailment_bound, people.contradiction_bound)[0, 1] < -0.3
    assert 0 < people.lapse.mean() < 0.05


def test_selected_annotators_keep_their_traits_together():
    people = hire(np.random.default_rng(0), 10)
    chosen = people.select(np.array([7, 2]))
    assert chosen.lapse.tolist() == people.lapse[[7, 2]].tolist()
    assert chosen.exactness.tolist() == people.exactness[[7, 2]].tolist()
