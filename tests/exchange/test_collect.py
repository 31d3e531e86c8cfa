"""Records one by one and many at once: the same arrays, the same findings."""

from __future__ import annotations

import numpy as np
import pytest

from contested.errors import DataError
from contested.exchange.collect import Collector
from contested.exchange.records import Record, Recording, Rows


def _rows(steps: list[int], ids: str, gold: list[int] | None = None) -> Rows:
    """Rows whose scores tell their place: row i has (i, i + 0.5)."""
    scores = np.arange(len(ids))[:, None] + [0.0, 0.5]
    return Rows(np.array(steps), list(ids), scores=scores, losses=scores[:, 0], gold=gold)


def _both(*batches: Rows, keep: set[str] | None = None) -> tuple[Recording, Recording]:
    """The recording made of rows, and that made of their records one by one."""
    many, single = Collector(keep), Collector(keep)
    for number, rows in enumerate(batches):
        many.add_rows(rows, lambda row, number=number: f"row {number}.{row}")
        for row, step in enumerate(rows.steps.tolist()):
            single.add(step, rows.record(row), f"row {number}.{row}")
    told = []
    for collector in (many, single):
        try:
            told.append(collector.recording("made"))
        except DataError as error:
            told.append(error)
    if isinstance(told[0], DataError):
        assert told[0].problems == told[1].problems
        raise told[0]
    return told[0], told[1]


def _same(one: Recording, other: Recording) -> None:
    assert (one.ids, one.steps, one.gold, one.left_out) == (other.ids, other.steps, other.gold, other.left_out)
    assert np.array_equal(one.logits, other.logits)
    assert np.array_equal(one.losses, other.losses)


def test_many_rows_are_the_same_as_single_records() -> None:
    # By checkpoint, by example, and the second time in another order, with new examples in between.
    made, slow = _both(
        _rows([0, 0, 0], "abc", [0, 1, 0]),
        _rows([5, 0, 5, 5, 5], "cdadb", [0, 1, 0, 1, 1]),
        _rows([0, 5], "ee", [1, 1]),
    )
    _same(made, slow)
    assert (made.ids, made.steps, made.gold) == (list("abcde"), [0, 5], [0, 1, 0, 1, 1])
    assert made.losses is not None
    assert made.losses.tolist() == [[0, 1, 2, 1, 0], [2, 4, 0, 3, 1]]


def test_rows_that_are_not_wanted() -> None:
    made, slow = _both(_rows([0, 0, 0], "abc"), _rows([1, 1, 1], "cxb"), keep={"b", "c"})
    _same(made, slow)
    assert (made.ids, made.left_out) == (["b", "c"], ["a", "x"])
    assert made.losses is not None
    assert made.losses.tolist() == [[1, 2], [2, 0]]


def test_what_is_wrong_is_found_either_way() -> None:
    with pytest.raises(DataError) as caught:
        _both(
            _rows([0, 0, 1], "aba", [0, 1, 0]),
            _rows([0, 1], "ac", [1, 1]),
            _rows([2, 2], "aa", [0, 0]),
            Rows(np.array([3]), ["a"], scores=np.ones((1, 3)), losses=np.ones(1), gold=[0]),
            Rows(np.array([3]), ["a"], scores=np.ones((1, 2)), gold=[0]),
            Rows(np.array([3]), ["a"], scores=np.ones((1, 2)), losses=np.ones(1), gold=[0], probabilities=True),
        )
    assert caught.value.problems == (
        "row 1.0: the gold label of 'a' is 1, before it was 0",
        "row 1.0: 'a' is recorded a second time at checkpoint 0",
        "row 2.1: 'a' is recorded a second time at checkpoint 2",
        "row 3.0: 3 logits, where the first record has 2",
        "row 4.0: no loss, unlike the first record",
        "row 5.0: logits in place of probabilities, or the other way round, unlike the first record",
        "checkpoint 0 lacks 1 of 3 examples: c",
        "checkpoint 1 lacks 1 of 3 examples: b",
        "checkpoint 2 lacks 2 of 3 examples: b, c",
        "checkpoint 3 lacks 3 of 3 examples: a, b, c",
    )


def test_reading_stops_where_everything_is_wrong() -> None:
    collector = Collector()
    for row in range(1001):  # the first is right
        collector.add(0, Record("a", loss=1.0), f"row {row}")
    with pytest.raises(DataError, match=r"stopped at 1,000 problems"):
        collector.add(0, Record("a", loss=1.0), "row 1001")


def test_a_checkpoint_without_a_number() -> None:
    collector = Collector()
    collector.add(0, Record("a", probabilities=[0.25, 0.75]), "row 1")
    made = collector.recording("made", step_unit=None, notes=["The column x was not read."])
    assert made.steps is None
    assert made.logits is None
    assert made.probabilities is not None
    assert made.probabilities.tolist() == [[[0.25, 0.75]]]
    assert made.notes == ("The column x was not read.",)
