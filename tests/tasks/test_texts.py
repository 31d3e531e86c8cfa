"""Texts that are none: missing, empty, not text, half a character."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contested.annotations import Annotations
from contested.errors import DataError
from contested.tasks import TextClassificationTask


def with_text(annotated: Annotations, row: int, **values: Any) -> Annotations:
    fields = annotated.fields.astype(object)
    for name, value in values.items():
        fields.loc[row, name] = value
    return dataclasses.replace(annotated, fields=fields)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "premise is missing"),
        (float("nan"), "premise is missing"),
        (True, r"premise is no text but bool \(True\)"),
        (["a"], r"premise is no text but list \(\['a'\]\)"),
        ("a \ud83d b", "premise has half a character at position 3"),
    ],
)
def test_what_is_no_text_is_refused_by_id(annotated: Annotations, value: Any, said: str) -> None:
    fields = annotated.fields.astype(object)
    fields.at[3, "premise"] = value
    changed = dataclasses.replace(annotated, fields=fields)
    with pytest.raises(DataError, match=rf"annotated example 'item-3': {said}"):
        TextClassificationTask(changed).prepare()


def test_all_texts_that_cannot_be_used_are_named_at_once(annotated: Annotations, bulk: pd.DataFrame) -> None:
    # A zero-width space and a byte order mark are nothing to read.
    changed = with_text(with_text(annotated, 2, premise=" ", hypothesis="\u200b\ufeff"), 5, hypothesis=None)
    broken = bulk.astype(object)
    broken.loc[7, "premise"] = np.nan
    with pytest.raises(DataError) as caught:
        TextClassificationTask(changed, broken, bulk_size=20).prepare()
    assert caught.value.problems == (
        "annotated example 'item-5': hypothesis is missing",
        "annotated example 'item-2': premise and hypothesis empty",
        "bulk example 'bulk-7': premise is missing",
    )


def test_one_empty_text_of_two_is_said(annotated: Annotations) -> None:
    data = TextClassificationTask(with_text(annotated, 2, hypothesis="\u2060")).prepare()
    assert data.notes == ("hypothesis is empty in 1 example.",)
    assert TextClassificationTask(annotated).prepare().notes == ()


def test_numbers_and_characters_that_python_does_not_know_are_texts(annotated: Annotations) -> None:
    # U+1FADF is of Unicode 16, which Python 3.11 has not.
    data = TextClassificationTask(with_text(annotated, 2, premise=7, hypothesis="\U0001fadf")).prepare()
    assert data.notes == ()
