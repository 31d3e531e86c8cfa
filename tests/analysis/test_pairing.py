"""Two runs brought to the examples that they share, and what keeps them from being compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contested.analysis.pairing import at_checkpoint, checkpoint_index, names_of, paired
from contested.errors import DataError, RunError
from contested.trajectories import Trajectory


def run(ids, *, names=("e", "n", "c"), seed=0, **given):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, len(ids), len(names)))
    options = {"logits": logits, "ids": ids, "label_names": names, "run_id": f"run-{seed}", "check_label_order": False}
    return Trajectory.from_arrays(**{**options, **given})


def test_shared_examples_in_the_order_of_the_ids_and_the_others_counted():
    first, second = run(["d", "a", "c"]), run(["c", "x", "a", "y"], seed=1)
    one, other, notes = paired(first, second)
    assert one.example_ids.tolist() == other.example_ids.tolist() == ["a", "c"]
    assert np.array_equal(one.logits, first.logits[:, [1, 2]])
    assert np.array_equal(other.logits, second.logits[:, [2, 0]])
    assert notes == (
        "1 example of run-0 left out, which the other does not track.",
        "2 examples of run-1 left out, which the other does not track.",
    )


def test_classes_in_another_order_are_put_in_the_firsts():
    ids = ["a", "b", "c", "d"]
    first = run(ids, gold=[0, 1, 2, 0], label_counts=[[5, 1, 0], [0, 4, 2], [0, 1, 5], [3, 2, 1]])
    order = [2, 0, 1]
    second = run(
        ids,
        names=("c", "e", "n"),
        logits=first.logits[:, :, order],
        gold=["e", "n", "c", "e"],
        label_counts=first.label_counts[:, order],
        seed=1,
    )
    one, other, notes = paired(first, second)
    assert other.label_names == ("e", "n", "c")
    assert np.array_equal(other.logits, one.logits)
    assert np.array_equal(other.gold, one.gold)
    assert np.array_equal(other.label_counts, one.label_counts)
    assert notes == ()


@pytest.mark.parametrize("swapped", [False, True])
def test_what_one_of_them_knows_of_the_examples_holds_for_both(swapped):
    ids = ["a", "b", "c"]
    counts = [[9, 1, 0], [3, 4, 3], [0, 2, 8]]
    known = run(ids, gold="majority", label_counts=counts, texts={"premise": ["x", "y", "z"]})
    bare = run(ids, seed=1)
    assert bare.losses is None
    pair = paired(*((bare, known) if swapped else (known, bare)))
    for side in pair[:2]:
        assert side.has >= {"losses", "logits", "gold", "annotators", "texts"}
        assert side.categories.tolist() == known.categories.tolist()
        assert side.category_names == known.category_names
    # Losses follow from its own logits and the other's labels.
    side = pair[0] if swapped else pair[1]
    shares = np.exp(bare.logits) / np.exp(bare.logits).sum(axis=2, keepdims=True)
    assert side.losses == pytest.approx(-np.log(shares[:, np.arange(3), [0, 1, 2]]), rel=1e-5)
    if swapped:
        assert pair.notes == ("Taken from run-0 for both: gold labels, annotators' labels, categories.",)


def test_losses_alone_take_the_classes_of_the_other():
    losses = Trajectory.from_arrays(losses=np.ones((2, 2)), ids=["a", "b"], run_id="losses")
    known = run(["a", "b"], gold=[0, 2], label_counts=[[3, 1, 0], [0, 0, 4]])
    for pair in (paired(losses, known), paired(known, losses)):
        assert [side.label_names for side in pair[:2]] == [("e", "n", "c")] * 2
        assert pair.first.label_counts.shape == pair.second.label_counts.shape == (2, 3)


@pytest.mark.parametrize("swapped", [False, True])
def test_classes_known_by_their_numbers_take_the_names_of_the_other(swapped):
    known, unnamed = run(["a", "b"], gold=[0, 1]), run(["a", "b"], names=("0", "1", "2"), gold=[0, 1], seed=1)
    pair = paired(*((unnamed, known) if swapped else (known, unnamed)))
    assert [side.label_names for side in pair[:2]] == [("e", "n", "c")] * 2
    assert np.array_equal(pair[0 if swapped else 1].logits, unnamed.logits)
    said = (
        "The classes of run-1 have no names (0, 1, 2): they are taken for those of run-0 in the same order (e, n, c)."
    )
    assert pair.notes == (said,)
    # Two runs without names have nothing to say, and another order by number is put right.
    assert paired(unnamed, run(["a", "b"], names=("0", "1", "2"))).notes == ()
    turned = run(["a", "b"], names=("2", "0", "1"))
    assert np.array_equal(paired(unnamed, turned).second.logits, turned.logits[:, :, [1, 2, 0]])
    with pytest.raises(DataError, match=r"another gold label .* have no names .* If that order is wrong, import it"):
        paired(known, run(["a", "b"], names=("0", "1", "2"), gold=[0, 2], seed=1))


def test_what_does_not_mean_the_same_is_refused():
    first = run(["a", "b"], gold=[0, 1], texts={"premise": ["x", "y"]})
    with pytest.raises(DataError, match=r"share no example, .* ids such as a, b and c, d"):
        paired(first, run(["c", "d"], seed=1))
    for names in (("0", "1"), ("0", "1", "3"), ("x", "y", "z")):
        with pytest.raises(DataError, match=rf"different classes \(e, n, c; {', '.join(names)}\).* same label names"):
            paired(first, run(["a", "b"], names=names, seed=1))
    with pytest.raises(DataError, match="1 of 2 examples with the same id have another gold label in them, such as b"):
        paired(first, run(["a", "b"], gold=[0, 2], seed=1))
    with pytest.raises(DataError, match="2 of 2 examples with the same id have another premise in them, such as a, b"):
        paired(first, run(["a", "b"], texts={"premise": ["p", "q"]}, seed=1))


def test_other_annotators_are_noted():
    first = run(["a", "b"], label_counts=[[9, 1, 0], [3, 4, 3]])
    second = run(["a", "b"], label_counts=[[9, 1, 0], [1, 1, 0]], seed=1)
    pair = paired(first, second)
    assert pair.notes == ("Annotators' labels differ for 1 example: those of run-0 hold for both.",)
    assert pair.second.label_counts.tolist() == [[9, 1, 0], [3, 4, 3]]


def test_checkpoints_by_step_and_by_name(unlearning_run):
    steps = [checkpoint_index(unlearning_run, at) for at in (0, 300, "first", "last")]
    assert steps == [0, 3, 0, 4]
    with pytest.raises(RunError, match=r"made has no checkpoint at step 310\. Nearest are 100, 200, 300, 400, of 5"):
        checkpoint_index(unlearning_run, 310)


def test_one_checkpoint_of_a_run(unlearning_run):
    marked = replace(unlearning_run, extra={"length": unlearning_run.losses})
    state = at_checkpoint(marked, 3)
    assert (state.steps.tolist(), state.extra) == ([300], {})
    assert np.array_equal(state.losses, unlearning_run.losses[3:4])
    assert np.array_equal(state.logits, unlearning_run.logits[3:4])


def test_runs_of_one_name_are_numbered(unlearning_run):
    assert names_of([unlearning_run, unlearning_run]) == ["made (1)", "made (2)"]
    assert names_of([unlearning_run, replace(unlearning_run, run_id="b")]) == ["made", "b"]
