"""What processes that train together say to one another: shares, losses and gradients; and the only process."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contested.errors import RunError
from contested.training import ALONE
from contested.training.processes import in_order, share


@pytest.mark.parametrize("n", [1, 2, 5, 6])
@pytest.mark.parametrize("evenly", [False, True])
def test_shares_put_together_have_every_row_once_in_order(n: int, evenly: bool) -> None:
    shares = [share(n, rank, 3, evenly=evenly) for rank in range(3)]
    assert not evenly or len({len(rows) for rows in shares}) == 1
    rows = np.concatenate(shares)
    by = np.repeat(np.arange(3), [len(each) for each in shares])
    order = in_order(n, shares)
    np.testing.assert_array_equal(rows[order], np.arange(n))
    # Of a row that two answered the first one's counts.
    np.testing.assert_array_equal(by[order], np.arange(n) % 3)
    with pytest.raises(RunError, match=f"gave {n - 1} of them" if n > 1 else "gave 0 of them"):
        in_order(n, [each[each > 0] for each in shares])


def test_the_only_process_answers_everything_itself() -> None:
    lengths = np.array([3, 1, 2])
    outputs = ALONE.outputs(lengths, lambda places: torch.from_numpy(lengths[places]))
    assert outputs.tolist() == [3, 1, 2]
    assert ALONE.gathered(3, lambda rows: rows * 2).answers[0].tolist() == [0, 2, 4]
    assert (ALONE.first(lambda: 7), ALONE.each(7), ALONE.any(True), ALONE.any(False)) == (7, [7], True, False)


def test_memory_that_is_lacking_is_no_process_that_is_lost() -> None:
    for error, told in ((torch.OutOfMemoryError, torch.OutOfMemoryError), (RuntimeError, RunError)):
        with pytest.raises(told), ALONE._together():
            raise error


@pytest.fixture(scope="module")
def told(
    forkserver: Any, meeting: Callable[[int], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What a process alone found, and each of two together."""
    worker, started, out = str(Path(__file__).with_name("process.py")), [], tmp_path_factory.mktemp("told")
    for size in (1, 2):
        environment = meeting(size)
        for rank in range(size):
            given = {"GIVEN": (rank, environment, out)}
            started.append(forkserver.Process(target=runpy.run_path, args=(worker, given, "__main__")))
            started[-1].start()
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    return [torch.load(out / f"found-{name}.pt") for name in ("0-of-1", "0-of-2", "1-of-2")]


def test_shares_of_a_batch_have_the_loss_and_the_gradients_of_the_whole(told: list[dict[str, Any]]) -> None:
    # Of the batch of one example the second process has none.
    for expected, *shared in zip(*(each["batches"] for each in told), strict=True):
        for found in shared:
            assert found[0] == pytest.approx(expected[0], rel=1e-14)
            for gradient, wanted in zip(found[1:3], expected[1:3], strict=True):
                np.testing.assert_allclose(gradient, wanted, rtol=1e-12, atol=1e-15)
            assert (found[3], found[4]) == (None, [1.0])


def test_a_pass_takes_as_many_of_each_process_where_who_asks_wants_it(told: list[dict[str, Any]]) -> None:
    two = ([[0, 2, 4], [1, 3, 0]], [0, 3, 1, 4, 2])
    assert [each["evenly"] for each in told] == [([[0, 1, 2, 3, 4]], [0, 1, 2, 3, 4]), two, two]


def test_what_one_process_fails_at_all_fail_at(told: list[dict[str, Any]]) -> None:
    own = "ValueError: no room"
    alone, first, second = (each["failed"] for each in told)
    assert alone == [own, own, ""]
    elsewhere = f"RunError: A pass over the tracked examples failed in another process:\n  - process 1: {own}"
    assert first[:2] == [own, elsewhere]
    assert second[:2] == [f"RunError: The first process failed: {own}", own]
    assert first[2] == second[2]
    assert "hold different weights now: process 1 and process 0." in first[2]
