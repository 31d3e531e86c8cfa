"""Tests of contested.spreadsheets: no cell is computed, and nothing is lost."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contested.annotations.writing import write_table
from contested.spreadsheets import guarded, guarded_frame, unguarded

BEGINNINGS = st.text("'=+-@\t\r\n＝1.e ", max_size=4)


@given(st.builds(str.__add__, BEGINNINGS, st.text(max_size=4)))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_every_text_comes_back_and_none_begins_a_formula(text):
    cell = guarded(text)
    assert unguarded(cell) == text
    if cell[:1] in set("=+-@\t\r\n＝") and cell:
        assert cell in {"+", "-"} or set(cell) <= set("+-0123456789.,_eE%")


def test_numbers_are_as_they_were():
    frame = pd.DataFrame({"=a": [-1.5, 2], "b": ["-1.5", "-x"], "c": [True, False], "d": [None, "@y"], "e": [-1, "+z"]})
    wanted = "'=a,b,c,d,e\n-1.5,-1.5,True,,-1\n2.0,'-x,False,'@y,'+z\n"
    assert guarded_frame(frame).to_csv(index=False) == wanted
    assert list(guarded_frame(frame.iloc[:0]).columns) == ["'=a", "b", "c", "d", "e"]
    assert guarded_frame(frame.astype({"b": "category"})).to_csv(index=False) == wanted


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_tables_of_annotations(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    write_table(pd.DataFrame({"example_id": ["=1+1", "-7"], "votes": [[1, 2], {"a": 1}]}), file)
    assert "'=1+1" in file.read_text()
    assert "\n-7" in file.read_text()


def test_files_of_machines_hold_texts_as_they_are(tmp_path):
    file = tmp_path / "a.jsonl"
    write_table(pd.DataFrame({"example_id": ["=1+1"]}), file)
    assert file.read_text() == '{"example_id": "=1+1"}\n'
