from __future__ import annotations

import numpy as np
import pytest

from contested.annotations.categories import FIXED, Categories
from contested.annotations.partitions import partitions, unreached


@pytest.mark.parametrize(("n", "classes"), [(1, 2), (4, 2), (5, 3), (7, 5), (3, 6)])
def test_splits_are_all_counts_in_falling_order(n, classes):
    every = {tuple(sorted(counts, reverse=True)) for counts in np.ndindex(*[n + 1] * classes) if sum(counts) == n}
    assert sorted(map(tuple, partitions(n, classes).tolist())) == sorted(every)


def test_few_annotations_leave_categories_empty():
    # 2: 0 or ln 2 = 0.693; 3: 0, 0.637, 1.099. Miller–Madow adds 1/(2 · 2) and 1/(2 · 3), or 2/(2 · 3).
    assert unreached(2, 3, FIXED, "plugin") == ("contested",)
    assert unreached(2, 3, FIXED, "miller-madow") == ("ambiguous",)
    assert unreached(3, 3, FIXED, "plugin") == ()
    assert unreached(3, 3, FIXED, "miller-madow") == ("ambiguous",)
    assert unreached(10, 3, FIXED, "miller-madow") == ()
    assert unreached(3, 3, Categories(("low", "high"), (1.2,)), "plugin") == ("high",)
