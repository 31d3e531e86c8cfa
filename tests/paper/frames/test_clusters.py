"""Examples that share a text are one cluster in every interval and test of the paper's frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

# In each category, eight examples, two pairs of one text and one label: six clusters, the fewest for an interval.
PARTNER = np.array([row - 3 * (row % 8 in {3, 4}) for row in range(24)])
LENGTHS = [" and so on" * (row % 5) for row in range(24)]
PAIRS, ALONE = (
    np.array([f"premise {row}{LENGTHS[partner]}" for row, partner in zip(rows, PARTNER, strict=True)], dtype=object)
    for rows in (PARTNER, range(24))
)
# Frame to numbers that rest on how examples are counted, and to one that does not.
NUMBERS = {
    "runs": (("p_value",), "rho"),
    "table1": (("rho_low", "p_value", "p_mean_rho", "p_run_lowest", "p_max_t"), "rho_mean"),
    "omnibus": (("p_value",), "rho_mean"),
    "table2": (("contested_low", "clean_high"), "contested_change"),
    "beside_lora": (("difference_low", "entropy_difference_low", "excess_high"), "difference"),
    "table3": (("p_value",), "rho"),
    "controls": (("p_value", "low"), "rho"),
    "regression": (("se", "p_value"), "beta"),
    "per_label": (("low",), "rho"),
    "figure1": (("low",), "mean"),
    "figure4_tests": (("p_value", "low"), "kruskal_p"),
    "figure5": (("low",), "aulc_mean"),
    "figure7_tests": (("p_value_entropy",), "delta_r2_entropy"),
    "figure9": (("prediction_entropy_low", "calibration_error"), "ece"),
    "noise": (("low", "wilcoxon_p", "p_value"), "shift"),
    "noise_summary": (("p_seeds", "wilcoxon_p", "p_value"), "shift_mean"),
    "soft_labels": (("low", "wilcoxon_p"), "difference"),
    "soft_labels_summary": (("least_low", "wilcoxon_p"), "difference_mean"),
}  # fmt: skip


@pytest.fixture(scope="module")
def study(made):
    """A study whose neighbours are alike, by what their texts are; and what of it is analysed."""
    cells = made.seeds(2, group="main,gradients") + made.seeds(2, method="full")
    cells += made.seeds(2, noise=0.3) + made.seeds(2, soft_labels=True)

    def of(texts, **options):
        runs = {}
        for place, cell in enumerate(cells):
            # Seeds differ little, so that what examples add to the intervals is not hidden by what seeds add.
            alike = np.random.default_rng(place // 2).normal(0, 0.3, 24)[PARTNER] + made.wobble(place, 0.02)
            alone = made.wobble(place // 2 + 20, 0.1)
            losses = np.stack([1.5 + alike, 1.6 + 0.2 * made.ENTROPY - alike + alone])
            probe = made.gradients([0.9, 0.8], 1 + alike**2 + made.ENTROPY / 4)
            examples = {"text": texts, "pair": PAIRS}
            runs[cell["run_id"]] = made.run(
                losses, examples=examples, gradients=probe if "gradients" in cell["group"] else None
            )
        return made.results(cells, runs, **options)

    return of


@pytest.fixture(scope="module")
def shared(study):
    return study(PAIRS)


@pytest.fixture(scope="module")
def alone(study):
    return study(PAIRS, clusters="none")


@pytest.fixture(scope="module")
def unshared(study):
    return study(ALONE)


@pytest.fixture(scope="module")
def column(study):
    return study(ALONE, clusters="pair")


def numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    return table[name].dropna().to_numpy(float)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_count_clusters_and_estimates_stay(alone, shared, name):
    counted, same = NUMBERS[name]
    own, other = shared.frames[name], alone.frames[name]
    assert len(numbers(own, same))
    np.testing.assert_allclose(numbers(own, same), numbers(other, same), rtol=1e-12)
    for column in counted:
        known = own[column].notna() & other[column].notna()
        assert known.any(), column
        assert not np.allclose(numbers(own[known], column), numbers(other[known], column), rtol=1e-6, atol=0), column


def test_none_is_as_if_no_text_were_shared_and_a_column_as_if_its_values_were_texts(unshared, column, alone, shared):
    for found, expected in ((alone, unshared), (column, shared)):
        for name, table in expected.frames.items():
            pd.testing.assert_frame_equal(table, found.frames[name], obj=name)
        assert found.claims == expected.claims


def test_one_p_of_a_condition_wherever_it_stands(made, shared):
    table = made.only(shared.frames["table1"], method="lora-r4")
    assert table["p_value"] == made.only(shared.frames["controls"], method="lora-r4", control="none")["p_value"]
    run = made.only(shared.frames["table3"], seed=42, method="lora-r4")
    assert run["p_value"] == made.only(shared.frames["runs"], run_id="roberta-lora-r4-snli-42")["p_value"]


def test_tests_that_know_no_clusters_say_so(made, shared, unshared):
    orders = made.only(shared.frames["learning_order"], method="full")
    assert orders["note"] == "p takes examples as independent, although some belong together"
    assert made.only(shared.frames["figure4_tests"])["note"].startswith("Kruskal–Wallis takes examples as independent")
    assert "independent" not in made.only(unshared.frames["learning_order"], method="full")["note"]


def test_what_a_study_says_of_its_clusters(shared, alone, unshared, column):
    said = "Examples that share a text are one cluster in intervals and tests: 18 clusters of 24 examples."
    assert said in shared.notes
    assert (shared.clusters, shared.to_dict()["clusters"]) == ("shared texts", "shared texts")
    assert said.replace("a text", "pair") in column.notes
    assert column.clusters == "pair"
    assert "Each example stands for itself in every interval and test, also where several share a text." in alone.notes
    assert alone.clusters == ""
    assert not any("stands for itself" in note for note in unshared.notes)
