"""Two models compared: every number against a slow reference, on fixtures and on what runs may lack."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial import distance
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from contested.analysis import analyze, compare
from contested.errors import ConfigError, DataError, RunError
from contested.trajectories import Trajectory


@pytest.fixture
def other(unlearning_run):
    """A second run of the same examples, of which it gets others wrong."""
    rng = np.random.default_rng(9)
    logits = unlearning_run.logits + rng.normal(0, 0.8, unlearning_run.logits.shape)
    rows = np.arange(120)
    losses = -special.log_softmax(logits, axis=2)[:, rows, unlearning_run.gold]
    return replace(unlearning_run, run_id="other", logits=logits, losses=losses)


def row_of(found, measure, category):
    (row,) = [row for row in found.differences if (row.measure, row.category) == (measure, category)]
    return row


def test_every_number_against_a_slow_reference(unlearning_run, other):
    found = compare(unlearning_run, other, n_resamples=200, n_flips=500)
    gold, people = unlearning_run.gold, unlearning_run.label_counts / unlearning_run.label_counts.sum(1, keepdims=True)
    p, q = (special.softmax(run.logits[-1], axis=1) for run in (unlearning_run, other))
    assert [row.category for row in found.transitions] == ["clean", "ambiguous", "contested", "overall"]
    for index, category in enumerate(found.categories):
        own = np.arange(120) if category == "overall" else np.flatnonzero(unlearning_run.categories == category)
        right = [run.logits[-1, own].argmax(axis=1) == gold[own] for run in (unlearning_run, other)]
        lost, gained = (right[0] & ~right[1]).sum(), (~right[0] & right[1]).sum()
        turned = found.transitions[index]
        assert (turned.n, turned.lost, turned.gained) == (len(own), lost, gained)
        assert turned.by_guessing == pytest.approx((~right[0] & ~right[1]).sum() / 2)
        accuracy = row_of(found, "correct", category)
        assert (accuracy.first, accuracy.second) == pytest.approx([side.mean() for side in right])
        assert accuracy.p_value == pytest.approx(mcnemar([[0, lost], [gained, 0]], exact=True).pvalue)
        loss = row_of(found, "loss", category)
        changes = (other.losses[-1] - unlearning_run.losses[-1])[own]
        assert loss.difference == pytest.approx(changes.mean())
        assert (loss.n_changed, loss.n_higher) == ((changes != 0).sum(), (changes > 0).sum())
        kl = row_of(found, "kl", category)
        toward = stats.entropy(people, q, axis=1) - stats.entropy(people, p, axis=1)
        assert kl.difference == pytest.approx(toward[own].mean())
        apart = found.distances[index]
        assert apart.changed == (p.argmax(1) != q.argmax(1))[own].sum()
        assert apart.kl == pytest.approx(stats.entropy(p, q, axis=1)[own].mean())
        assert apart.js == pytest.approx((distance.jensenshannon(p, q, axis=1) ** 2)[own].mean())
        assert apart.toward_share == pytest.approx((toward < 0)[own].mean())


def test_p_values_are_adjusted_within_what_checkpoints_and_what_runs_do(unlearning_run, other):
    found = compare(unlearning_run, other, n_resamples=100, n_flips=500)
    for family in ("checkpoint", "run"):
        rows = [row for row in found.differences if row.family == family]
        p_values = [row.p_value for row in rows]
        if family == "checkpoint":
            p_values += [p for row in found.transitions for p in (row.lost_p_value, row.gained_p_value)]
        expected = multipletests(p_values, method="fdr_bh")[1]
        assert [row.q_value for row in rows] == pytest.approx(expected[: len(rows)].tolist())
        assert all((row.direction != "unclear") == (row.q_value <= 0.05 and row.difference != 0) for row in rows)
    q_values = [q for row in found.transitions for q in (row.lost_q_value, row.gained_q_value)]
    of_checkpoints = [row.p_value for row in found.differences if row.family == "checkpoint"]
    both = [*of_checkpoints, *(p for row in found.transitions for p in (row.lost_p_value, row.gained_p_value))]
    assert q_values == pytest.approx(multipletests(both, method="fdr_bh")[1][len(of_checkpoints) :].tolist())


def test_whole_runs_are_compared_by_every_measure_of_a_course(unlearning_run, other):
    found = compare(unlearning_run, other, n_resamples=100, n_flips=200)
    first, second = (analyze(run, n_resamples=100).examples for run in (unlearning_run, other))
    measures = {row.measure for row in found.differences if row.family == "run"}
    assert measures >= {"aulc", "loss_change", "kl_change", "forgetting_events", "rose", "learning_time", "correctness"}
    assert not {name for name in measures if name.endswith(("_first", "_last"))}
    assert row_of(found, "aulc", "overall").difference == pytest.approx((second["aulc"] - first["aulc"]).mean())
    both = first["learning_time"].notna() & second["learning_time"].notna()
    learning = row_of(found, "learning_time", "overall")
    assert (learning.n, learning.n_skipped) == (both.sum(), 120 - both.sum())
    assert learning.difference == pytest.approx((second["learning_time"] - first["learning_time"])[both].mean())
    # Not at other checkpoints than the last, nor within one run.
    for apart in (compare(unlearning_run, other, at=200, n_flips=200), compare(unlearning_run, n_flips=200)):
        assert {row.family for row in apart.differences} == {"checkpoint"}


def test_two_checkpoints_of_one_run(unlearning_run):
    found = compare(unlearning_run, n_resamples=100, n_flips=200)
    assert (found.first.name, found.second.name) == ("step 0", "step 400")
    change = analyze(unlearning_run, n_resamples=100).unlearning
    assert [row_of(found, "loss", name).difference for name in found.categories] == pytest.approx(
        [row.mean for row in change.every]
    )
    later = compare(unlearning_run, at=(100, "last"), n_resamples=100, n_flips=200)
    assert later.first.step == 100
    assert row_of(later, "loss", "overall").first == pytest.approx(unlearning_run.losses[1].mean())
    with pytest.raises(RunError, match="only one model to compare: step 400 of made"):
        compare(unlearning_run, at="last")


def test_examples_the_largest_change_first(unlearning_run, other):
    found = compare(unlearning_run, other, n_resamples=100, n_flips=200).examples
    assert found["size"].is_monotonic_decreasing
    assert found["size"].tolist() == found["js"].tolist()
    by_id = found.set_index("example_id")
    for row, example in enumerate(unlearning_run.example_ids):
        gold = unlearning_run.gold[row]
        answers = unlearning_run.logits[-1, row].argmax(), other.logits[-1, row].argmax()
        right = answers[0] == gold, answers[1] == gold
        expected = {(True, False): "1→0", (False, True): "0→1"}.get(
            right, "same" if answers[0] == answers[1] else "other"
        )
        assert by_id.loc[example, "change"] == expected
        assert by_id.loc[example, "answer_second"] == "enc"[answers[1]]
        assert by_id.loc[example, "loss_difference"] == pytest.approx(
            other.losses[-1, row] - unlearning_run.losses[-1, row]
        )
    assert set(found["change"]) == {"1→0", "0→1", "same"}


def test_a_wrong_answer_for_another_is_neither_lost_nor_gained():
    ids, names = ["a", "b", "c", "d"], ("x", "y", "z")
    first, second = (3 * np.eye(3)[answers][None] for answers in ([0, 0, 1, 2], [1, 0, 0, 1]))
    runs = [
        Trajectory.from_arrays(logits=logits, ids=ids, gold=[0, 0, 0, 0], label_names=names, run_id=name)
        for logits, name in ((first, "A"), (second, "B"))
    ]
    found = compare(*runs, n_flips=200).examples.set_index("example_id")["change"]
    assert found.to_dict() == {"a": "1→0", "b": "same", "c": "0→1", "d": "other"}


def test_the_order_of_examples_changes_no_number(unlearning_run, other):
    order = np.random.default_rng(1).permutation(120)
    mixed = replace(
        other,
        example_ids=other.example_ids[order],
        losses=other.losses[:, order],
        logits=other.logits[:, order],
        examples=other.examples.iloc[order].reset_index(drop=True),
    )
    plain, again = (compare(unlearning_run, run, n_resamples=100, n_flips=200) for run in (other, mixed))
    assert again.to_dict() == plain.to_dict()


def test_swapping_the_two_turns_every_difference(unlearning_run, other):
    there, back = compare(unlearning_run, other, n_flips=200), compare(other, unlearning_run, n_flips=200)
    for one, two in zip(there.differences, back.differences, strict=True):
        assert one.difference == pytest.approx(-two.difference)
        assert one.p_value == pytest.approx(two.p_value)
    assert [(row.lost, row.gained) for row in there.transitions] == [(row.gained, row.lost) for row in back.transitions]


def test_a_model_and_itself_do_not_differ(unlearning_run):
    found = compare(unlearning_run, replace(unlearning_run, run_id="twin"), n_flips=200)
    assert {row.direction for row in found.differences} == {"unclear"}
    assert {row.p_value for row in found.differences} == {1.0}
    assert {row.changed for row in found.distances} == {0}
    assert found.examples["kl"].max() == 0.0


def test_identical_models_are_called_identical(unlearning_run):
    found = compare(unlearning_run, replace(unlearning_run, run_id="twin"), names=("A", "B"), n_flips=200)
    sizes = {row.category: row.n for row in found.transitions}
    n = sizes["contested"]
    # Of n examples none turned: at most 1 - 0.05^(1/n) of such examples do, exactly and one-sided.
    bound = 100 * (1 - 0.05 ** (1 / n))
    said = found.statements()
    assert said[0] == (
        f"Of {n} contested examples, none turned right or wrong from A to B: this happens to at most about "
        f"{bound:.1f}% of such examples, with 95% confidence. Their losses are identical. Both are equally far from "
        "the annotators on each of them."
    )
    assert "The two give the same probabilities on all 120 examples." in said
    assert f"Over the whole runs, Δℓ is the same on each of {n} contested examples." in said
    assert not any("inconclusive" in sentence or "differently" in sentence for sentence in said)
    assert found.headline() == (
        f"Of {n} contested examples, none turned right or wrong from A to B; the losses on them are identical; both "
        "are equally far from the annotators."
    )
    together = compare(*(with_texts(replace(unlearning_run, run_id=name)) for name in "AB"), n_flips=200)
    row = together.transitions[2]
    assert row.n_clusters < row.n
    share = f"{100 * (1 - 0.05 ** (1 / row.n_clusters)):.1f}% of clusters of such examples (0 of {row.n_clusters})"
    assert share in together.statements()[0]
    ids = unlearning_run.example_ids.tolist()
    losses = [Trajectory.from_arrays(losses=unlearning_run.losses, ids=ids, run_id=name) for name in "AB"]
    assert compare(*losses, n_flips=200).headline() == "The losses on all 120 examples are identical."


def test_an_answer_that_is_another_wrong_one_is_no_change_of_right_and_wrong():
    gold = np.zeros(40, int)
    one, other = (np.eye(3)[np.where(np.arange(40) < 20, 0, wrong)][None] * 4.0 for wrong in (1, 2))
    ids = [f"i{row}" for row in range(40)]
    runs = [
        Trajectory.from_arrays(logits=logits, ids=ids, gold=gold, label_names=tuple("xyz"), run_id=name)
        for logits, name in ((one, "A"), (other, "B"))
    ]
    said = compare(*runs, n_flips=200).statements()
    assert said[0].startswith(
        "Of all 40 examples, none turned right or wrong from A to B (20 have another wrong answer)"
    )
    assert "The two answer 20 (50%) of all 40 examples differently" in said[1]


def test_fewer_changes_than_guessing_gives_are_said_to_be_so():
    # 30 wrong in both and one turned: 30 / (3 − 1) = 15 of either by guessing alone.
    answers = np.array([0] * 10 + [1] * 30), np.array([1] + [0] * 9 + [1] * 30)
    runs = [
        Trajectory.from_arrays(
            logits=4.0 * np.eye(3)[given][None],
            ids=[f"i{row}" for row in range(40)],
            gold=np.zeros(40, int),
            label_names=tuple("xyz"),
            run_id=name,
        )
        for given, name in zip(answers, "AB", strict=True)
    ]
    said = compare(*runs, n_flips=200).statements()[0]
    assert (
        "0 (0%) the other way round (0→1): neither is more than lucky guesses would give (15.0 of either, if a model "
        "knows an example or guesses among all classes)." in said
    )


def with_texts(run):
    premises = [f"premise {row // 3}" for row in range(120)]
    examples = run.examples.assign(premise=premises, genre=[f"g{row // 6}" for row in range(120)])
    return replace(run, examples=examples, text_columns=("premise",))


def test_examples_that_share_a_text_are_one_cluster(unlearning_run, other):
    first, second = with_texts(unlearning_run), with_texts(other)
    found = compare(first, second, n_resamples=100, n_flips=200)
    assert (found.clusters, found.n_clusters) == ("shared texts", 40)
    by_genre = compare(first, second, clusters="genre", n_resamples=100, n_flips=200)
    assert (by_genre.clusters, by_genre.n_clusters) == ("genre", 20)
    alone = compare(first, second, clusters="none", n_resamples=100, n_flips=200)
    assert (alone.clusters, alone.n_clusters) == ("", 120)
    assert row_of(found, "loss", "overall").low != row_of(alone, "loss", "overall").low
    with pytest.raises(DataError, match="no column 'topic'"):
        compare(first, second, clusters="topic")


def test_what_is_lacking_is_left_out_and_said(unlearning_run, other):
    ids = unlearning_run.example_ids.tolist()
    losses = [Trajectory.from_arrays(losses=run.losses, ids=ids, run_id=run.run_id) for run in (unlearning_run, other)]
    found = compare(*losses, n_flips=200)
    assert (found.transitions, found.distances) == ((), ())
    assert found.categories == ("overall",)
    assert found.absent[0].startswith("Neither has logits, so these are not compared: answers")
    assert found.absent[1] == "Neither has gold labels, so these are not compared: which answers are right."
    (sentence, *_) = found.statements()
    assert sentence.startswith("The mean loss on all 120 examples is ")
    assert found.examples["size"].tolist() == np.abs(found.examples["loss_difference"]).tolist()
    bare = [Trajectory.from_arrays(logits=run.logits, ids=ids, run_id=run.run_id) for run in (unlearning_run, other)]
    found = compare(*bare, n_flips=200)
    assert found.transitions == ()
    assert len(found.distances) == 1
    assert np.isnan(found.distances[0].toward_share)
    assert set(found.examples["change"]) == {"same", "other"}
    changed = found.distances[0].changed
    assert found.headline() == (
        f"The answers of made and other differ on {changed} ({100 * changed / 120:.1f}%) of 120 examples."
    )
    with pytest.raises(DataError, match="losses has losses but no logits, and bare no losses: nothing"):
        compare(replace(losses[0], run_id="losses"), replace(bare[0], run_id="bare"))


def test_single_predictions_are_compared(unlearning_run, other):
    """Two models' final predictions, as a run of one checkpoint each."""
    states = [
        Trajectory.from_arrays(
            logits=run.logits[-1:], ids=run.example_ids.tolist(), label_counts=run.label_counts, gold=run.gold,
            label_names=run.label_names, run_id=run.run_id,
        )
        for run in (unlearning_run, other)
    ]  # fmt: skip
    found, whole = compare(*states, n_flips=200), compare(unlearning_run, other, n_flips=200)
    assert [row.lost for row in found.transitions] == [row.lost for row in whole.transitions]
    assert {row.family for row in found.differences} == {"checkpoint"}


def test_it_is_written_as_json_and_tables(unlearning_run, other):
    found = compare(unlearning_run, other, names=("A", "B"), n_resamples=100, n_flips=200)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["first"] == {
        "name": "A", "run_id": "made", "status": "complete", "step": 400, "step_unit": "step", "n_tracked": 120
    }  # fmt: skip
    assert told["statements"] == found.statements()
    assert set(found.tables()) == {"transitions", "distances", "differences", "examples"}
    assert len(found.tables()["examples"]) == 120


def test_the_sentences_say_the_numbers(unlearning_run, other):
    found = compare(unlearning_run, other, names=("A", "B"), n_flips=200)
    turned = found.transitions[2]
    said = found.statements()
    share = f"{turned.lost} ({100 * turned.lost / turned.n:.1f}%)"
    assert said[0].startswith(f"Of {turned.n} contested examples, {share} are right with A and wrong with B")
    given = f"{turned.by_guessing:.1f} of either, if a model knows an example or guesses among all classes"
    assert max(turned.lost, turned.gained) > turned.by_guessing
    assert f"the other way round (0→1); lucky guesses alone would give {given}. " in said[0]
    assert [sentence.partition(" are right")[0].partition(", ")[0].split(" ", 2)[2] for sentence in said[1:3]] == [
        "ambiguous examples",
        "clean examples",
    ]
    assert said[3].startswith("Of all 120 examples, ")
    kl = row_of(found, "kl", "contested")
    assert kl.direction == "higher"
    assert (
        f"KL(annotators ‖ model) on them is {kl.difference:.3f} nats higher with B [{kl.low:+.3f}, {kl.high:+.3f}]"
        in said[0]
    )
    assert "further from the annotators." in said[0]
    assert row_of(found, "loss", "contested").direction == "unclear"
    counts = f"{turned.lost} turned wrong and {turned.gained} turned right from A to B"
    assert found.headline() == (
        f"Of {turned.n} contested examples, {counts}; "
        "whether the loss on them differs is inconclusive; B is further from the annotators."
    )
    assert any(sentence.startswith("The two answer ") and "KL(A ‖ B)" in sentence for sentence in said)
    assert any("another seed of the same settings gives another model" in sentence for sentence in said)
    within = compare(unlearning_run, n_flips=200).statements()
    assert not any("another seed" in sentence for sentence in within)
    assert "are right at step 0 and wrong at step 400 (1→0)" in within[0]
    running = compare(replace(unlearning_run, status="interrupted"), other, n_flips=200)
    assert "The run made is not complete (status: interrupted)." in running.statements()


@pytest.mark.parametrize(("n_higher", "average"), [(0, True), (15, True), (16, False)])
def test_a_difference_that_a_minority_drives_is_said_to_be_one(unlearning_run, other, n_higher, average):
    found = compare(unlearning_run, other, names=("A", "B"), n_flips=200)
    n = row_of(found, "loss", "contested").n
    n_higher += n // 2 - 15  # of n examples at least n / 2 are no minority

    def changed(row):
        if row.category != "contested" or row.measure not in ("loss", "kl", "loss_change"):
            return row
        # Lower on the same number as it would be higher on: half of them do not differ at all.
        direction = "higher" if row.measure != "kl" else "lower"
        n_changed = n_higher if direction == "higher" else 2 * n_higher
        return row._replace(direction=direction, n_higher=n_higher, n_changed=n_changed)

    found = replace(found, differences=tuple(map(changed, found.differences)))
    assert ("the loss on them is higher with B on average; B is closer to" in found.headline()) is average
    assert found.headline().endswith("the annotators on average.") is average
    said = found.statements()
    share = f"{n_higher} ({100 * n_higher / n:.1f}%) alone."
    assert (f", though higher on {share}" in said[0]) is average
    assert (f"closer to the annotators on average, though lower on {share}" in said[0]) is average
    (course,) = [sentence for sentence in said if sentence.startswith("Over the whole runs")]
    assert course.endswith(f", though higher on {share}") is average


def test_an_argument_out_of_range_is_refused(unlearning_run, other):
    with pytest.raises(ConfigError, match="given 3 checkpoints"):
        compare(unlearning_run, other, at=(0, 100, 200))
    with pytest.raises(ConfigError, match="n_resamples: given 3"):
        compare(unlearning_run, other, n_resamples=3)
