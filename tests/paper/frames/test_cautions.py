"""Why an interval may cover less often than it says stands at every number of the paper's frames that rests on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

SAID = "too skewed for so few examples: the interval covers less often than it says"
# Frame to the column, and to what picks the rows of skewed numbers.
COLUMNS = {
    "table2": ("contested_caution", ""),
    "beside_lora": ("difference_caution", ""),
    "figure1": ("caution", "category == 'contested' and step == 100"),
    "figure5": ("caution", "scheme == 'fixed' and bin == 'contested'"),
    "noise": ("caution", ""),
    "noise_summary": ("shift_caution", ""),
    "soft_labels": ("caution", ""),
    "soft_labels_summary": ("difference_caution", ""),
    "lr_control": ("caution", ""),
}


@pytest.fixture(scope="module")
def study(made):
    def of(peak: float):
        """LoRA, full fine-tuning, noise and soft labels; one clean and one contested example lie apart by ``peak``."""
        peaks = np.zeros(made.N)
        peaks[[3, 20]] = peak
        even = np.tile(
            np.linspace(-0.2, 0.2, 8)[[3, 0, 6, 1, 7, 2, 5, 4]], 3
        )  # in each category as many above as below
        arms = ({"group": "lr-control"}, {"method": "full"}, {"noise": 0.3}, {"soft_labels": True})
        cells = [cell for arm in arms for cell in made.seeds(2, **arm)]
        runs = {}
        for place, cell in enumerate(cells):
            arm = place // 2
            end = 1 + even * (1 + place / 10) + (arm + 1) * peaks
            runs[cell["run_id"]] = made.run(np.stack([1 + even / 2, end]))
        return made.results(cells, runs)

    return of


@pytest.fixture(scope="module")
def skewed(study):
    return study(3.0)


@pytest.fixture(scope="module")
def even(study):
    return study(0.0)


@pytest.mark.parametrize("name", COLUMNS)
def test_numbers_of_few_and_skewed_examples_have_a_caution(skewed, even, name):
    column, where = COLUMNS[name]

    def chosen(table: pd.DataFrame) -> list[str]:
        table = table.query(where) if where else table
        return table.loc[table["note"] != "no complete run", column].tolist()

    assert set(chosen(skewed.frames[name])) == {SAID}
    assert set(chosen(even.frames[name])) == {""}


def test_claims_count_the_intervals_that_decide(made, skewed, even):
    assert not any("may cover less often" in claim.answer for claim in even.claims)
    decided = [claim for claim in skewed.claims if "may cover less often than they say" in claim.answer]
    assert {claim.key for claim in decided} <= set("cfhi")
