"""What processes that train together say to one another, without any: shares, gradients, and the only process."""

from __future__ import annotations

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
