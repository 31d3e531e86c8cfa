from __future__ import annotations

import csv

import pandas as pd
import pytest

from contested.annotations import read_annotations
from contested.annotations.core import Annotations
from contested.annotations.writing import check_writable, write_table
from contested.errors import ConfigError

DATA = Annotations(("a", "ü,\n"), [[30, 70, 0], [1, 1, 1]], ("e|x", "n", "c"))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_item_tables_are_read_back_as_counts(tmp_path, suffix):
    path = tmp_path / f"items{suffix}"
    write_table(DATA.item_table(), path)
    again = read_annotations(path, label_names=DATA.label_names)
    assert again.example_ids == ("a", "ü,")
    assert again.label_counts.tolist() == DATA.label_counts.tolist()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_csv_numbers_keep_every_digit(tmp_path):
    path = tmp_path / "items.csv"
    write_table(DATA.item_table(), path)
    with path.open(encoding="utf-8", newline="") as lines:
        read = [float(row["entropy_nats"]) for row in csv.DictReader(lines)]
    assert read == DATA.entropy.tolist()


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        write_table(pd.DataFrame({"x": [float("inf")]}), path)
    assert path.read_text(encoding="utf-8") == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_number_is_null_in_json_lines(tmp_path):
    write_table(pd.DataFrame({"x": [float("nan"), 1.5]}), tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == '{"x": null}\n{"x": 1.5}\n'


def test_places_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"suffix '\.xlsx' is unknown. Use one of \.csv"):
        check_writable(tmp_path / "a.xlsx")
    with pytest.raises(ConfigError, match="none does not exist"):
        check_writable(tmp_path / "none" / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="it is a folder"):
        check_writable(tmp_path / "folder.csv")
