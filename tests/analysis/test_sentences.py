from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from contested.analysis import analyze, statements
from contested.analysis.sentences import _amounts

NAN = float("nan")


@pytest.fixture
def found(unlearning_run):
    """An analysis whose contested rows are set by hand."""
    return analyze(unlearning_run)


def with_contested(found, loss, kl, rose=None):
    """Contested loss and KL changes given as (mean, low, high, verdict); most rise where the mean does."""

    def changed(changes, values):
        mean, low, high, verdict = values
        count = rose or (109 if verdict == "falls" else 187)
        row = changes.rows[2]._replace(
            n=296, mean=mean, low=low, high=high, verdict=verdict, rose=count, rose_share=count / 296
        )
        return changes._replace(rows=(*changes.rows[:2], row))

    return replace(found, unlearning=changed(found.unlearning, loss), kl=changed(found.kl, kl))


RISE, FALL = (0.12, 0.08, 0.16, "rises"), (-0.2, -0.25, -0.15, "falls")
NONE = (0.01, -0.02, 0.04, "unclear")


def with_clean(found, verdict):
    """The same with another verdict of clean examples' loss."""
    clean, *others = found.unlearning.rows
    return replace(found, unlearning=found.unlearning._replace(rows=(clean._replace(verdict=verdict), *others)))


def test_unlearned_while_closer_to_the_annotators(found):
    assert statements(with_contested(found, RISE, FALL))[0] == (
        "In this run (steps 0 to 400), contested examples were un-learned: their mean loss rose by 0.12 nats "
        "(95% interval 0.08 to 0.16; 63% of 296 rose), while the model moved closer to the annotators on them: "
        "KL(annotators ‖ model) fell by 0.20 nats (95% interval 0.15 to 0.25)."
    )


def test_not_unlearned(found):
    assert statements(with_contested(found, FALL, FALL))[0] == (
        "In this run (steps 0 to 400), contested examples were not un-learned: their mean loss fell "
        "by 0.20 nats (95% interval 0.15 to 0.25; 37% of 296 rose), and the model moved closer to the annotators on "
        "them: KL(annotators ‖ model) fell by 0.20 nats (95% interval 0.15 to 0.25)."
    )


def test_a_mean_that_a_minority_drives_is_said_to_be_one(found):
    first = statements(with_contested(found, RISE, RISE, rose=147))[0]
    assert "contested examples were un-learned on average, though most of them were not: their mean loss rose" in first
    assert "the model moved away from the annotators on them on average: KL(annotators ‖ model) rose by 0.12" in first
    assert first.count("; 50% of 296 rose)") == 2
    first = statements(with_contested(found, FALL, FALL, rose=149))[0]
    assert "were not un-learned on average, though most of them were: their mean loss fell" in first
    assert "closer to the annotators on them on average: KL" in first
    # Half of them are no minority.
    for values, rose in ((RISE, 148), (FALL, 148)):
        first = statements(with_contested(found, values, values, rose=rose))[0]
        assert "though most" not in first
        assert "on them on average" not in first


def test_unclear_claims_no_direction(found):
    first = statements(with_contested(found, NONE, NONE))[0]
    assert first == (
        "In this run (steps 0 to 400), it is unclear whether contested examples were un-learned: their mean "
        "loss changed by +0.01 nats, not distinguishable from zero (95% interval −0.02 to +0.04; 63% of 296 rose), "
        "and it is unclear whether the model moved closer to the annotators on them: KL(annotators ‖ model) changed by "
        "+0.01 nats, not distinguishable from zero (95% interval −0.02 to +0.04)."
    )


def test_moved_away_from_the_annotators(found):
    first = statements(with_contested(found, FALL, RISE))[0]
    assert ", while the model moved away from the annotators on them: KL(annotators ‖ model) rose by 0.12 nats" in first


def test_a_name_of_ones_own_is_no_adjective(found):
    names = {"clean": "A", "ambiguous": "B", "contested": "C"}

    def renamed(changes):
        contrast = changes.contrast and changes.contrast._replace(category="C", reference="A")
        rows = tuple(row._replace(category=names[row.category]) for row in changes.rows)
        return changes._replace(rows=rows, contrast=contrast)

    found = with_contested(found, RISE, FALL)
    found = with_clean(found, "unclear")
    first, second, third, contrast, *_ = statements(
        replace(found, unlearning=renamed(found.unlearning), kl=renamed(found.kl))
    )
    assert "examples of category C were un-learned" in first
    assert second.startswith("Examples of category B: mean loss")
    assert third.startswith("Examples of category A: mean loss")
    assert "for examples of category C than for examples of category A (C minus A" in contrast


def test_too_few_examples_claim_nothing(make):
    run = make([[40, 30, 30]] * 4 + [[100, 0, 0]] * 9, [np.zeros((13, 3)), np.full((13, 3), [1.0, 0, 0])])
    first = statements(analyze(run))[0]
    assert "it is unclear whether contested examples were un-learned" in first
    assert "(no interval: 4 examples: too few for a 95% interval (6 needed); 0% of 4 rose)" in first


def test_the_first_sentence_is_of_the_highest_category_that_has_examples(make):
    run = make([[50, 50, 0]] * 9 + [[100, 0, 0]] * 9, [np.zeros((18, 3)), np.full((18, 3), [1.0, 0, 0])])
    first, second, third, contrast, *_ = statements(analyze(run))
    assert "ambiguous examples were" in first
    assert second == "Contested examples: there are none."
    assert third.startswith("Clean examples: mean loss fell by")
    assert contrast == (
        "The changes in loss of contested and clean examples are not compared: smaller group: no examples."
    )


def test_other_sentences(found):
    _, ambiguous, clean, contrast, *others = statements(found)
    (correlation,) = [sentence for sentence in others if "Spearman ρ(AULC, H)" in sentence]
    assert ambiguous.startswith("Ambiguous examples: mean loss rose by 0.20 nats (95% interval ")
    assert clean.startswith("Clean examples: mean loss fell by 1.04 nats (95% interval ")
    assert "; 0% of 13 rose), and the model moved closer to the annotators on them" in clean
    assert contrast.startswith(
        "Loss rose for contested examples and fell for clean examples (contested minus clean +1.52 nats, "
    )
    rho = found.correlation.aulc.rho
    assert correlation.startswith(
        "Examples that annotators disagree on more tended to have a higher loss over the run: "
        f"Spearman ρ(AULC, H) = +{rho:.2f} (95% interval "
    )


def test_contrast_that_is_unclear_or_downwards(found):
    contrast = found.unlearning.contrast

    def sentence(**changes):
        unlearning = found.unlearning._replace(contrast=contrast._replace(**changes))
        return statements(replace(found, unlearning=unlearning))[3]

    assert sentence(difference=0.01, low=-0.1, high=0.12, verdict="unclear") == (
        "The changes in loss of contested and clean examples are not distinguishable "
        "(contested minus clean +0.01 nats, 95% interval −0.10 to +0.12)."
    )


@pytest.mark.parametrize(
    ("contrast", "contested", "clean", "expected"),
    [
        ("rises", RISE, "rises", "rose more for contested than for"),
        ("rises", FALL, "falls", "fell less for contested than for"),
        ("rises", RISE, "falls", "rose for contested examples and fell for"),
        ("rises", NONE, "falls", "rose more, or fell less, for contested than for"),
        ("rises", RISE, "unclear", "rose more, or fell less, for contested than for"),
        ("falls", RISE, "rises", "rose less for contested than for"),
        ("falls", FALL, "falls", "fell more for contested than for"),
        ("falls", FALL, "rises", "fell for contested examples and rose for"),
        ("falls", NONE, "rises", "fell more, or rose less, for contested than for"),
    ],
)
def test_the_contrast_says_what_both_did_where_that_is_known(found, contrast, contested, clean, expected):
    found = with_clean(with_contested(found, contested, FALL), clean)
    unlearning = found.unlearning._replace(contrast=found.unlearning.contrast._replace(verdict=contrast))
    said = statements(replace(found, unlearning=unlearning))[3]
    assert said.startswith(f"Loss {expected} clean examples (contested minus clean ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"rho": 0.02, "low": -0.04, "high": 0.08, "p_value": 0.49, "direction": "unclear"},
            "It is unclear whether disagreement among annotators goes with loss over the run: "
            "Spearman ρ(AULC, H) = +0.02 (95% interval −0.04 to +0.08; p = 0.490; n = 120)",
        ),
        (
            {"rho": -0.3, "low": -0.4, "high": -0.2, "p_value": 1e-9, "direction": "negative"},
            "Examples that annotators disagree on more tended to have a lower loss over the run: "
            "Spearman ρ(AULC, H) = −0.30 (95% interval −0.40 to −0.20; p < 0.001; n = 120)",
        ),
        (
            {"rho": NAN, "direction": "unclear", "note": "constant: entropy"},
            "It is unclear whether disagreement among annotators goes with loss over the run: "
            "Spearman ρ(AULC, H) is undefined (constant: entropy)",
        ),
        (
            {"rho": 0.9, "low": NAN, "p_value": 0.04, "n": 5, "direction": "unclear", "note": "5 examples"},
            "It is unclear whether disagreement among annotators goes with loss over the run: "
            "Spearman ρ(AULC, H) = +0.90 (p = 0.040, n = 5; no interval: 5 examples)",
        ),
    ],
)
def test_correlation(found, changes, expected):
    aulc = found.correlation.aulc._replace(**changes)
    told = statements(replace(found, correlation=found.correlation._replace(aulc=aulc)))
    (said,) = [sentence for sentence in told if "Spearman ρ(AULC, H)" in sentence]
    assert said.startswith(expected)


def test_the_data_map_and_disagreement(found):
    (said,) = [sentence for sentence in statements(found) if "data map" in sentence]
    row = found.correlation.confidence
    assert row.rho == pytest.approx(stats.spearmanr(found.examples["confidence"], found.examples["entropy"])[0])
    tended = {"positive": "tended to be higher", "negative": "tended to be lower"}
    how = tended.get(row.direction, "is not clearly higher or lower")
    assert said.startswith(
        f"On the data map, with more disagreement confidence {how}: "
        f"ρ(confidence, H) = {row.rho:+.2f} (95% interval ".replace("-", "−")
    )
    changed = found.correlation._replace(variability=found.correlation.variability._replace(direction="positive"))
    (said,) = [line for line in statements(replace(found, correlation=changed)) if "data map" in line]
    assert "; variability tended to be higher: ρ(variability, H) = " in said
    bare = found.correlation._replace(confidence=None, variability=None)
    assert not any("data map" in line for line in statements(replace(found, correlation=bare)))


def test_an_incomplete_run_says_so_at_once_and_at_the_end(unlearning_run):
    told = statements(analyze(replace(unlearning_run, status="failed")))
    assert told[0].startswith("In this incomplete run (status: failed, steps 0 to 400), contested examples")
    assert any(sentence.startswith("The run is not complete (status: failed)") for sentence in told[-2:])


@pytest.mark.parametrize(
    ("rose", "expected"),
    [(0, "0% of 500"), (1, "1 of 500"), (499, "499 of 500"), (500, "100% of 500"), (5, "1% of 500")],
)
def test_all_and_none_are_said_only_of_all_and_none(found, rose, expected):
    row = found.unlearning.rows[2]._replace(n=500, rose=rose, rose_share=rose / 500)
    changed = found.unlearning._replace(rows=(*found.unlearning.rows[:2], row))
    assert f"; {expected} rose)" in statements(replace(found, unlearning=changed))[0]


def test_confidence_is_named(unlearning_run):
    assert "(99% interval " in statements(analyze(unlearning_run, confidence=0.99))[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.12, 0.08, 0.16), ["+0.12", "+0.08", "+0.16"]),
        ((0.0123, 0.0101, 0.0146), ["+0.012", "+0.010", "+0.015"]),
        # 0.004 must not read as an end at zero
        ((0.05, 0.004, 0.096), ["+0.050", "+0.004", "+0.096"]),
        ((0.0, -0.1, 0.1), ["0.00", "−0.10", "+0.10"]),
        ((0.25, 0.25, 0.25), ["+0.25"] * 3),
    ],
)
def test_amounts_have_the_decimals_their_spread_deserves(values, expected):
    assert _amounts(*values) == expected
