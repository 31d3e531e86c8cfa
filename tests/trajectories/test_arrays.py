"""Runs made of arrays: what follows from what is given, and every mistake told at once."""

from __future__ import annotations

import json
import re
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import contested as ct
from contested.errors import DataError
from contested.trajectories import Trajectory
from contested.trajectories.label_order import far_below_chance, mismatch

N, K = 60, 3
LABELS = ("yes", "no", "maybe")


def made(seed: int = 0, n_checkpoints: int = 4, n_classes: int = K) -> dict[str, Any]:
    """Logits that move from nothing to the gold label, and the losses that belong to them."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, n_classes, N)
    grow = np.linspace(0, 4, n_checkpoints)[:, None, None]
    logits = grow * np.eye(n_classes)[gold] + rng.normal(0, 0.3, (n_checkpoints, N, n_classes))
    losses = -np.log(special.softmax(logits, axis=2))[:, np.arange(N), gold]
    return {"logits": logits, "losses": losses, "gold": gold}


def problems(**given: Any) -> list[str]:
    with pytest.raises(DataError, match="These arrays do not make a run:") as told:
        Trajectory.from_arrays(**given)
    return list(told.value.problems)


def test_losses_alone_make_a_run():
    losses = np.random.default_rng(0).random((3, 5))
    run = ct.Trajectory.from_arrays(losses=losses)
    np.testing.assert_array_equal(run.losses, losses)
    assert run.has == {"losses"}
    assert run.example_ids.tolist() == ["0", "1", "2", "3", "4"]
    assert (run.steps.tolist(), run.step_unit) == ([1, 2, 3], "step")
    assert run.origin == {"kind": "arrays", "steps": "numbered"}
    assert (run.label_names, run.category_names, run.status) == ((), (), "complete")
    assert np.isnan(run.epochs).all()


def test_losses_follow_from_logits_and_gold():
    given = made()
    run = Trajectory.from_arrays(logits=given["logits"], gold=given["gold"], label_names=LABELS)
    np.testing.assert_allclose(run.losses, given["losses"], rtol=1e-12)
    assert run.logits.dtype == np.float32
    assert run.has == {"losses", "logits", "classes", "gold"}
    named = Trajectory.from_arrays(
        logits=given["logits"], gold=[LABELS[index] for index in given["gold"]], label_names=LABELS
    )
    assert named.gold.tolist() == given["gold"].tolist()


def test_logits_without_gold_have_no_losses():
    run = Trajectory.from_arrays(logits=made()["logits"])
    assert run.losses is None
    assert run.label_names == ("0", "1", "2")


def test_annotators_bring_entropy_and_categories():
    # 10 of 10: H = 0, clean; 9 + 1: 0.325, clean; 5 + 5: ln 2 = 0.693, ambiguous; 4 + 3 + 3: 1.089, contested
    counts = [[10, 0, 0], [9, 1, 0], [5, 5, 0], [3, 4, 3]]
    run = Trajectory.from_arrays(losses=np.ones((2, 4)), label_counts=counts, gold="majority", label_names=LABELS)
    assert run.entropy == pytest.approx(stats.entropy(counts, axis=1))
    assert run.categories.tolist() == ["clean", "clean", "ambiguous", "contested"]
    assert run.category_names == ("clean", "ambiguous", "contested")
    assert run.gold.tolist() == [0, 0, 0, 1]
    halves = Trajectory.from_arrays(
        losses=np.ones((2, 4)), label_counts=counts, categories=ct.Categories(("low", "high"), (0.5,))
    )
    assert halves.categories.tolist() == ["low", "low", "high", "high"]
    assert halves.gold is None


def test_categories_can_be_given_and_stand_in_their_order():
    losses, given = np.ones((2, 4)), ["b", "a", "b", "a"]
    assert Trajectory.from_arrays(losses=losses, categories=given).category_names == ("b", "a")
    ordered = Trajectory.from_arrays(losses=losses, categories=given, category_names=["a", "b", "c"])
    assert ordered.category_names == ("a", "b", "c")
    # x comes first and holds the examples of higher entropy: ln 2 and ln 2; y those of 0
    counts = [[2, 2], [4, 0], [2, 2], [4, 0]]
    by_entropy = Trajectory.from_arrays(losses=losses, categories=["x", "y", "x", "y"], label_counts=counts)
    assert by_entropy.category_names == ("y", "x")


def test_epochs_may_be_the_steps():
    run = Trajectory.from_arrays(losses=np.ones((3, 2)), steps=[1, 2, 3], step_unit="epoch", origin="a paper's files")
    assert run.epochs.tolist() == [1, 2, 3]
    assert run.origin == {"kind": "arrays", "source": "a paper's files"}


def test_texts_are_one_column_or_several():
    one = Trajectory.from_arrays(losses=np.ones((2, 2)), texts=["a b", "c"])
    assert (one.text_columns, one.examples["text"].tolist()) == (("text",), ["a b", "c"])
    frame = pd.DataFrame({"premise": ["p", "q"], "hypothesis": ["h", "i"]})
    two = Trajectory.from_arrays(losses=np.ones((2, 2)), texts=frame)
    assert two.text_columns == ("premise", "hypothesis")
    assert "texts" in two.has


def test_further_values_by_name_have_the_shape_of_losses():
    run = Trajectory.from_arrays(losses=[[1.0, 2.0], [0.5, 1.0]], extra={"tokens": [[3, 4], [3, 4]]})
    assert run.extra["tokens"].tolist() == [[3.0, 4.0], [3.0, 4.0]]
    with pytest.raises(DataError) as caught:
        Trajectory.from_arrays(losses=[[1.0, 2.0]], extra={"a": [[1.0], [2.0]], "loss": [[1.0, 2.0]], "b": [1.0, 2.0]})
    assert caught.value.problems == (
        "extra: loss has another meaning in a run; rename it",
        "extra 'b': given shape (2,), expected (T, N): checkpoints, examples",
        "extra 'a': given shape (2, 1), expected (1, 2): checkpoints, examples",
    )


def test_all_problems_at_once():
    losses = np.ones((2, 3))
    losses[1, 2] = np.nan
    told = problems(
        losses=losses,
        ids=["a", "b", "a"],
        gold=[0, 1, 7],
        label_names=["x", "y"],
        label_counts=[[1, 0], [0, 0], [2, 1]],
        steps=[10, 5],
        texts=["one", "two"],
    )
    assert told == [
        "label_counts: expected whole numbers ≥ 0, at least one annotation per row; 1 of 3 rows differ, the first: "
        "row 1 (counted from 0): [0, 0] has no annotation",
        "ids: 'a' is duplicated (2 times)",
        "steps: given [10, 5], expected rising whole numbers from 0",
        "gold: 1 of 3 are not class indices from 0 to 1, the first 7 in row 2",
        "losses: 1 of 6 values are not finite, the first of example 'a' at step 5 (nan)",
        "texts 'text': given 2, expected 3, one per example",
    ]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "give losses of shape (T, N), logits of shape (T, N, K), or both"),
        ({"losses": [1.0, 2.0]}, "losses: given shape (2,), expected (T, N): checkpoints, examples"),
        ({"losses": [[1.0], [1.0, 2.0]]}, "losses: expected numbers of shape (T, N)"),
        ({"losses": np.ones((2, 3)), "logits": np.ones((2, 4, 2))}, "losses (2, 3) and logits (2, 4, 2) differ"),
        ({"losses": np.ones((2, 3)), "ids": ["a"]}, "ids: given 1, expected 3, one per example"),
        (
            {"losses": np.ones((3, 2)), "ids": ["a", "b", "c"]},
            "ids: given 3, expected 2, one per example; if losses or",
        ),
        ({"losses": -np.ones((2, 3))}, "losses: 6 of 6 are negative, the lowest -1; expected cross-entropy in nats"),
        ({"logits": np.full((2, 3, 4), 0.25)}, "logits: no value is negative and every row sums to 1, so these are"),
        ({"losses": np.ones((2, 3)), "ids": ["a", None, "b"]}, "ids: 1 of 3 missing, the first in row 1"),
        ({"losses": np.ones((2, 3)), "steps": [0.5, 1]}, "steps: given float64 of shape (2,), expected whole numbers"),
        ({"losses": np.ones((2, 3)), "steps": [-1, 2]}, "steps: given [-1, 2], expected rising whole numbers from 0"),
        ({"losses": np.ones((2, 3)), "steps": [1]}, "steps: given 1, expected 2, one per checkpoint"),
        ({"losses": np.ones((2, 3)), "step_unit": "day"}, "step_unit: given 'day', expected 'step' or 'epoch'"),
        ({"losses": np.ones((2, 3)), "gold": ["a", "b", "a"]}, "gold: class names need label_names"),
        (
            {"losses": np.ones((2, 3)), "gold": ["a", "b", "z"], "label_names": ["a", "b"]},
            "gold: z not among the label_names a, b",
        ),
        (
            {"losses": np.ones((2, 3)), "gold": [0, -1, 1], "label_names": ["a", "b"]},
            "gold: 1 of 3 are not class indices from 0 to 1, the first -1 in row 1",
        ),
        ({"losses": np.ones((2, 3)), "gold": "majority"}, "gold: given 'majority', expected one label per example"),
        (
            {"logits": np.ones((2, 3, 2)), "label_names": ["a"]},
            "the numbers of classes differ: logits 2, label_names 1",
        ),
        (
            {"logits": np.ones((2, 3, 2)), "label_names": ["a", "a"]},
            "label_names: given a, a, expected distinct names",
        ),
        ({"losses": np.ones((2, 3)), "categories": ["a"]}, "categories: given 1, expected 3, one per example"),
        (
            {"losses": np.ones((2, 3)), "categories": ["a", "b", "c"], "category_names": ["a", "b"]},
            "categories: c not among the category_names a, b",
        ),
        (
            {"losses": np.ones((2, 3)), "label_counts": [[1, 0]] * 3, "categories": "tercile"},
            "categories: Unknown categories 'tercile' (did you mean 'terciles'?)",
        ),
        ({"losses": np.ones((2, 3)), "texts": {"gold": ["a"] * 3}}, "texts: the column gold has another meaning"),
        ({"losses": np.ones((2, 3)), "texts": "abc"}, "texts 'text': given 'abc', expected one per example"),
        (
            {"losses": np.ones((2, 3)), "texts": {"a": ["x", None, "y"]}},
            "texts 'a': 1 of 3 missing, the first in row 1",
        ),
        ({"losses": np.ones((2, 3)), "texts": 5}, "texts 'text': given 5, expected one per example"),
        ({"losses": np.ones((2, 3)), "ids": "abc"}, "ids: given 'abc', expected one per example, in one dimension"),
        ({"losses": np.ones((2, 3)), "ids": np.ones((3, 2))}, "ids: given ndarray of shape (3, 2), expected one per"),
        ({"losses": np.ones((2, 3)), "ids": 3}, "ids: given 3, expected one per example"),
        ({"losses": np.ones((2, 3)), "steps": [0, np.nan]}, "steps: 1 of 2 missing, the first in row 1"),
        ({"losses": np.ones((2, 3)), "epochs": ["a", "b"]}, "epochs: given ['a', 'b'], expected one number per"),
        ({"losses": np.ones((2, 3)), "epochs": 2}, "epochs: given 2, expected one number per checkpoint"),
        ({"losses": np.ones((2, 3)), "epochs": [1]}, "epochs: given 1, expected 2, one per checkpoint"),
        ({"losses": np.ones((2, 3)), "epochs": [2, 1]}, "epochs: given [2.0, 1.0], expected non-decreasing numbers"),
        (
            {"losses": np.ones((2, 3)), "epochs": [0, 1], "step_unit": "epoch"},
            "epochs: steps count epochs already (step_unit); leave epochs out",
        ),
        ({"logits": np.ones((2, 3, 2)), "gold": [0, None, 1]}, "gold: 1 of 3 missing, the first in row 1"),
        ({"logits": np.ones((2, 3, 2)), "gold": np.eye(3)}, "gold: given ndarray of shape (3, 3), expected one per"),
        (
            {"logits": np.ones((2, 3, 2)), "label_names": "ab"},
            "label_names: given 'ab', expected a list of class names",
        ),
        ({"logits": np.ones((2, 3, 2)), "label_names": 2}, "label_names: given 2, expected a list of class names"),
        ({"logits": np.ones((2, 3, 1))}, "logits: given 1 class, expected 2 or more"),
        ({"logits": np.full((2, 3, 2), 1e39)}, "logits: 12 of 12 values are not finite or too large for float32, the"),
        ({"losses": np.ones((2, 3)) + 1j}, "losses: expected numbers of shape (T, N)"),
        ({"losses": np.ones((2, 3)), "categories": None}, "categories: given None, expected one per example"),
        ({"losses": np.ones((2, 3)), "categories": ["a", None, "b"]}, "categories: 1 of 3 missing, the first in row 1"),
        ({"losses": np.ones((2, 3)), "categories": ["a", "overall", "b"]}, "categories: 'overall' is reserved for all"),
        ({"losses": np.ones((2, 3)), "categories": "terciles"}, "categories: given 'terciles', which cuts annotation"),
        (
            {"losses": np.ones((2, 3)), "category_names": ["a"]},
            "category_names: only for categories given by",
        ),
        (
            {"losses": np.ones((2, 3)), "categories": ["a"] * 3, "category_names": ["a", "a"]},
            "category_names: given a, a, expected distinct names",
        ),
        (
            {"losses": np.ones((2, 3)), "categories": ["a"] * 3, "category_names": 1},
            "category_names: given 1, expected a list of names",
        ),
        ({"losses": np.ones((2, 3)), "run_id": " "}, "run_id: given ' ', expected a name"),
        ({"losses": np.ones((2, 3)), "origin": 5}, "origin: given int, expected a sentence, or facts by name"),
        ({"losses": np.ones((2, 3)), "origin": {"a": np.ones(2)}}, "origin: given dict, expected a sentence, or facts"),
        (
            {"losses": np.ones((2, 3)), "origin": {"kind": "keras"}},
            "origin: kind is recorded automatically; use another",
        ),
    ],
)
def test_each_problem_is_named(given, wanted):
    assert any(wanted in problem for problem in problems(**given)), problems(**given)


def test_shapes_that_differ_do_not_hide_what_else_is_wrong():
    # Both say 2 checkpoints, so that steps can be held against them; the number of examples is open.
    told = problems(
        losses=np.ones((2, 3)), logits=np.ones((2, 4, 2)), ids=["a", "a"], steps=[1, 2, 3], label_names=["x", "x"]
    )
    assert told == [
        "losses (2, 3) and logits (2, 4, 2) differ in checkpoints or examples",
        "label_names: given x, x, expected distinct names",
        "ids: 'a' is duplicated (2 times)",
        "steps: given 3, expected 2, one per checkpoint",
    ]


def test_ids_and_texts_may_be_of_any_kind():
    losses = np.ones((2, 2))
    for ids in ([7, 8], np.array([7, 8]), pd.Series([7, 8], index=[3, 9]), range(7, 9), (i for i in (7, 8))):
        assert Trajectory.from_arrays(losses=losses, ids=ids).example_ids.tolist() == ["7", "8"]
    assert Trajectory.from_arrays(losses=losses, texts=iter(["p", "q"])).examples["text"].tolist() == ["p", "q"]


def test_tensors_are_arrays():
    torch = pytest.importorskip("torch")
    logits = torch.tensor([[[1.0, 2.0], [0.5, 0.25]]] * 2, requires_grad=True)
    run = Trajectory.from_arrays(logits=logits, gold=torch.tensor([1, 0]), ids=torch.tensor([7, 8]))
    assert run.logits.tolist() == logits.tolist()
    assert (run.example_ids.tolist(), run.gold.tolist()) == (["7", "8"], [1, 0])
    # These values are exact in bfloat16, which NumPy does not know.
    assert Trajectory.from_arrays(logits=logits.bfloat16()).logits.tolist() == logits.tolist()


def test_losses_that_the_logits_contradict_name_the_order_that_fits():
    given = made()
    for order in permutations(range(K)):
        mixed = given["logits"][:, :, list(order)]
        if order == (0, 1, 2):
            Trajectory.from_arrays(logits=mixed, losses=given["losses"], gold=given["gold"])
            continue
        (told,) = problems(logits=mixed, losses=given["losses"], gold=given["gold"], label_names=LABELS)
        # Column c of the mixed logits holds class order[c].
        assert f"in the order {', '.join(LABELS[index] for index in order)} (logits[:, :, " in told
        columns = json.loads(re.search(r"logits\[:, :, (\[.*?\])\]", told)[1])
        np.testing.assert_array_equal(mixed[:, :, columns], given["logits"])


def test_losses_that_no_order_explains_say_so():
    given = made()
    (told,) = problems(logits=given["logits"], losses=given["losses"] * 1.01 + 0.1, gold=given["gold"])
    first = given["losses"][0, 0]
    assert "240 of 240 losses" in told
    assert f"example '0' at step 1 ({first * 1.01 + 0.1:.4g} given, {first:.4g} from the logits)" in told
    assert "No order of the classes makes them agree" in told


def test_rounding_contradicts_nothing():
    given = made()
    losses = given["losses"].astype(np.float16).astype(float)
    Trajectory.from_arrays(logits=given["logits"].astype(np.float32), losses=losses, gold=given["gold"])


def test_blocks_of_examples_find_the_same_contradiction(monkeypatch):
    given = made()
    losses = given["losses"].copy()
    losses[2, 40] += 1  # in a later block, at an earlier checkpoint than the next
    losses[3, 3] += 1
    whole = mismatch(losses, given["logits"], given["gold"])
    monkeypatch.setattr("contested.trajectories.label_order._BLOCK", 7 * 4 * K)
    assert mismatch(losses, given["logits"], given["gold"]) == whole
    assert whole[:3] == (2, 2, 40)
    assert whole.order is None


def test_logits_far_below_chance_that_fit_another_order():
    given = made()
    turned = np.roll(given["logits"], 1, axis=2)
    (told,) = problems(logits=turned, gold=given["gold"], label_names=LABELS)
    right = (turned[-1].argmax(axis=1) == given["gold"]).mean()
    best = (given["logits"][-1].argmax(axis=1) == given["gold"]).mean()
    assert told.startswith(f"logits: {right:.0%} right against the gold labels at the last checkpoint")
    assert f"but {best:.0%} if their classes are in the order maybe, yes, no (logits[:, :, [1, 2, 0]])" in told
    unchecked = Trajectory.from_arrays(logits=turned, gold=given["gold"], check_label_order=False)
    assert unchecked.losses[-1].mean() > 2
    counts = 5 * np.eye(K, dtype=int)[given["gold"]]
    (told,) = problems(logits=turned, label_counts=counts)
    assert "against the annotators' majority" in told


def test_a_model_at_chance_or_wrong_now_and_then_is_no_mistake():
    given = made()
    assert far_below_chance(given["logits"], given["gold"]) is None
    noise = np.random.default_rng(1).normal(size=(3, N, K))
    assert far_below_chance(noise, given["gold"]) is None
    # Always wrong, but in no order of the classes right: nobody's gold label is the one that is always given.
    never = np.tile([0.0, 0.0, 1.0], (3, N, 1))
    assert far_below_chance(never, np.arange(N) % 2) is None
    # Right before, wrong at the end: the order of the classes does not change during a run.
    turned = given["logits"].copy()
    turned[-1] = np.roll(turned[-1], 1, axis=1)
    assert far_below_chance(turned, given["gold"]) is None


def test_what_is_saved_reads_back_equal(tmp_path):
    given = made()
    counts = np.random.default_rng(0).integers(0, 9, (N, K)) + 1
    run = Trajectory.from_arrays(
        **given,
        ids=[f"item {row}" for row in range(N)],
        label_counts=counts,
        label_names=LABELS,
        steps=[0, 1, 5, 9],
        step_unit="epoch",
        texts=[f"text {row}" for row in range(N)],
        run_id="mine",
        origin={"tool": "keras", "version": 3},
    )
    run.save(tmp_path / "run")
    assert_equal(run, Trajectory.load(tmp_path / "run"))


@pytest.mark.parametrize(
    "given",
    [
        {"losses": np.random.default_rng(0).random((2, 3))},
        {"logits": np.random.default_rng(0).random((2, 3, 4))},
        {"losses": np.ones((1, 3)), "categories": ["b", "a", "b"], "epochs": [0.5]},
    ],
)
def test_runs_that_lack_much_read_back_equal(given, tmp_path):
    run = Trajectory.from_arrays(**given)
    run.save(tmp_path / "run")
    assert_equal(run, Trajectory.load(tmp_path / "run"))


def assert_equal(a: Trajectory, b: Trajectory) -> None:
    for name in ("run_id", "status", "label_names", "text_columns", "category_names", "step_unit", "origin", "has"):
        assert getattr(a, name) == getattr(b, name), name
    for name in ("steps", "epochs", "example_ids", "gold", "label_counts", "entropy", "categories", "losses", "logits"):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None), name
        if left is not None:
            np.testing.assert_array_equal(left, right, err_msg=name)
            assert left.dtype == right.dtype, name
    pd.testing.assert_frame_equal(a.examples, b.examples)
    pd.testing.assert_frame_equal(a.metrics, b.metrics)


def test_covariates_stand_in_the_example_table(tmp_path: Path) -> None:
    given = {
        "genre": ["travel", None, "fiction"],
        "length": np.array([3, 4, 5]),
        "share": [0.5, 1, None],
        "seen": [True, False, True],
    }
    run = Trajectory.from_arrays(losses=[[0.7, 0.7, 0.7], [0.1, 0.4, 1.2]], covariates=given, texts=["x", "y", "z"])
    run.save(tmp_path / "run")
    for found in (run, Trajectory.load(tmp_path / "run")):
        assert found.text_columns == ("text",)
        assert found.examples["length"].tolist() == [3, 4, 5]
        assert found.examples["genre"].isna().tolist() == [False, True, False]
        assert found.examples["share"].tolist()[:2] == [0.5, 1.0]
        assert found.examples["seen"].tolist() == [True, False, True]


def test_covariates_that_are_none() -> None:
    given = {"genre": ["a"], "mixed": ["a", 1], "text": ["a", "b"], "split": ["a", "b"], "one": "a"}
    with pytest.raises(DataError) as caught:
        Trajectory.from_arrays(losses=[[0.7, 0.7], [0.1, 1.2]], covariates=given, texts=["x", "y"])
    assert caught.value.problems == (
        "covariates 'genre': given 1, expected 2, one per example",
        "covariates 'mixed': given mixed-integer values, expected only numbers or only text",
        "covariates 'one': given 'a', expected one per example, in one dimension",
        "covariates: the column split, text has another meaning in a run; rename it",
    )


def test_read_only_arrays_are_not_copied() -> None:
    logits = np.zeros((2, 3, 2), np.float32)
    assert not np.shares_memory(Trajectory.from_arrays(logits=logits).logits, logits)
    logits.setflags(write=False)
    assert np.shares_memory(Trajectory.from_arrays(logits=logits).logits, logits)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"ids": ["\ud800", "b"]}, "ids"),
        ({"texts": ["a", "\udfff"]}, "texts 'text'"),
        ({"texts": {"\ud800": ["a", "b"]}}, "names of texts"),
        ({"covariates": {"genre": ["a", "\ud800"]}}, "covariates 'genre'"),
        ({"covariates": {"genre": [2**63, 1]}}, "covariates 'genre': 9223372036854775808 is beyond"),
        ({"label_names": ["\ud800", "b"], "gold": [0, 1]}, "label_names"),
        ({"categories": ["\ud800", "b"]}, "categories"),
        ({"run_id": "\ud800"}, "run_id and origin"),
        ({"origin": {"source": "\ud800"}}, "run_id and origin"),
    ],
)
def test_what_no_file_can_hold_is_refused(given, name):
    with pytest.raises(DataError) as caught:
        Trajectory.from_arrays(losses=[[0.5, 0.6]], **given)
    assert name in "\n".join(caught.value.problems)
