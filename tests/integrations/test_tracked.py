"""Reading tracked examples: padding, joins and every problem at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import contested as ct
from contested.annotations.categories import fixed_categories
from contested.integrations.classification import read_tracked
from contested.integrations.inputs import padded
from contested.integrations.tracked import categories_in_order, check_order, counts_in_order

ROWS = {"id": ["a", "b", "c"], "input_ids": [[5, 6, 0], [0, 7, 8], [9]], "labels": [0, 1, 1]}
MASKED = {**ROWS, "attention_mask": [[1, 1, 0], [0, 1, 1], [1]]}


def read(tracked: Any, annotations: ct.Annotations | None = None) -> Any:
    return read_tracked(tracked, annotations, id_column="id", text_columns=())


@pytest.mark.parametrize("as_rows", [False, True])
def test_padding_is_left_out_on_either_side(as_rows: bool) -> None:
    given = [dict(zip(MASKED, row, strict=True)) for row in zip(*MASKED.values(), strict=True)] if as_rows else MASKED
    found = read(given)
    assert found.inputs.encoded.input_ids.tolist() == [5, 6, 7, 8, 9]
    assert found.inputs.encoded.offsets.tolist() == [0, 2, 4, 5]
    assert (found.ids, found.gold.tolist()) == (("a", "b", "c"), [0, 1, 1])
    assert found.fingerprint == read(dict(MASKED)).fingerprint != read({**MASKED, "labels": [0, 0, 1]}).fingerprint


def test_annotations_are_joined_by_id_and_what_is_missing_is_counted() -> None:
    annotations = ct.Annotations(("c", "x", "a"), [[1, 4], [2, 2], [5, 0]], ("no", "yes"))
    with pytest.warns(UserWarning, match="annot") as told:
        found = read(MASKED, annotations)
    assert [str(warning.message) for warning in told] == [
        "1 of 3 tracked examples have no annotations and are left out: b",
        "1 of 3 annotated examples are not among the tracked ones: x",
    ]
    assert (found.ids, found.inputs.encoded.input_ids.tolist()) == (("a", "c"), [5, 6, 9])
    np.testing.assert_array_equal(found.label_counts, [[5, 0], [1, 4]])
    assert found.counts == {"tracked": 2, "tracked_without_annotations": 1, "annotated_not_tracked": 1}
    with pytest.raises(ct.DataError, match="None of the 3 ids"):
        read({**MASKED, "id": [1, 2, 3]}, annotations)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ct.DataError) as caught:
        read({"id": ["a", "a"], "input_ids": [[1, 2], [3]], "labels": [0, -1], "attention_mask": [[0, 0], [1]]})
    assert caught.value.problems == (
        "labels: 1 of 2 are no class index (0, 1, …), the first -1",
        "input_ids, attention_mask and token_type_ids differ in length, or the mask leaves no token or has a gap: a",
        "id: ids occur more than once: a",
    )
    with pytest.raises(ct.DataError) as caught:
        read({"input_ids": [[1]]})
    assert len(caught.value.problems) == 2  # no ids, no labels
    with pytest.raises(ct.DataError, match="tracked is a int"):
        read(3)


def test_columns_beside_tokens_lose_the_same_places_and_are_padded_or_stacked() -> None:
    rows = [
        {"input_ids": [0, 7, 8], "attention_mask": [0, 1, 1], "position_ids": [9, 0, 1], "size": [1.5, 2.5]},
        {"input_ids": [9], "attention_mask": [1], "position_ids": [4], "size": [3.5, 4.5]},
    ]
    batch = padded(rows, pad_id=6)
    assert {name: values.tolist() for name, values in batch.items()} == {
        "input_ids": [[7, 8], [9, 6]],
        "attention_mask": [[1, 1], [1, 0]],
        "position_ids": [[0, 1], [4, 0]],
        "size": [[1.5, 2.5], [3.5, 4.5]],
    }
    with pytest.raises(ct.DataError, match="Give a collator") as caught:
        padded([{**rows[0], "size": [1.0]}, {**rows[1], "size": "large"}], pad_id=6)
    assert caught.value.problems == ("size: float64 of shape (1,) in the first row",)


def test_an_unknown_split_is_refused_and_a_collator_needs_no_tokens() -> None:
    with pytest.raises(ct.DataError) as caught:
        read({**ROWS, "split": ["train", "test", "validation"]})
    assert caught.value.problems == ("split: given test; expected train or validation",)
    pictures = {"id": ["a", "b"], "label": [0, 1], "pixel_values": [[1.0], [2.0]]}
    found = read_tracked(pictures, None, id_column="id", text_columns=(), collator=dict)
    assert found.inputs.encoded is None
    other = read_tracked(
        {**pictures, "pixel_values": [[1.0], [3.0]]}, None, id_column="id", text_columns=(), collator=dict
    )
    assert found.fingerprint != other.fingerprint


def test_an_order_of_the_classes_that_annotators_contradict_is_refused() -> None:
    # 60 examples; nine in ten gold labels are what most annotators chose.
    gold = np.repeat([0, 1, 2], 20)
    chosen = gold.copy()
    chosen[::10] = (gold[::10] + 1) % 3
    ids = [f"x{row}" for row in range(60)]
    annotations = ct.Annotations(tuple(ids), 5 * np.eye(3, dtype=int)[chosen], ("e", "n", "c"))
    found = read({"id": ids, "input_ids": [[1]] * 60, "labels": gold}, annotations)
    check_order(found, ("e", "n", "c"))
    check_order(found, ())
    # By hand: with n and c exchanged, 18 + 2 of the first class and of n for c agree.
    with pytest.raises(ct.ConfigError, match="agree for 33% of 60 examples in this order, and for 90% in the order"):
        check_order(found, ("e", "c", "n"))
    assert counts_in_order(found, ("c", "e", "n"))[0].tolist() == [0, 0, 5]
    assert found.label_counts[0].tolist() == [0, 5, 0]


def test_the_split_of_all_is_told_at_once() -> None:
    def of(tracked: Any, split: str) -> Any:
        return read_tracked(tracked, None, id_column="id", text_columns=(), split=split)

    assert of(ROWS, "validation").covariates["split"].tolist() == ["validation"] * 3
    assert "split" not in read(ROWS).covariates
    with pytest.raises(ct.DataError, match="split: given dev; expected train or validation"):
        of(ROWS, "dev")
    with pytest.raises(ct.DataError, match="split is given as a column and as an argument"):
        of({**ROWS, "split": ["train"] * 3}, "validation")


_SPREAD = ct.Disagreement("sd", (1, 2, 3, 4, 5))


class _Followed:
    label_names = tuple("12345")
    disagreement = _SPREAD


def test_a_scale_follows_the_order_of_the_logits():
    found = categories_in_order(_Followed(), ("5", "1", "3", "2", "4"))
    assert found.disagreement.values == (5, 1, 3, 2, 4)
    counts = np.array([[0, 2, 2, 0, 0], [2, 0, 0, 0, 2], [0, 0, 4, 0, 0], [0, 3, 0, 1, 0]])
    order = [4, 0, 2, 1, 3]
    assert found.disagreement.of(counts[:, order]).tolist() == _SPREAD.of(counts).tolist()
    polar = ct.Disagreement("polarisation", _SPREAD.values).reordered(order)
    assert polar.of(counts[:, order]).tolist() == [0, 1, 0, pytest.approx(1 / 3)]
    assert categories_in_order(_Followed(), ()).disagreement == _SPREAD
    assert fixed_categories() == ct.Categories(("clean", "ambiguous", "contested"), (0.4, 0.7))
