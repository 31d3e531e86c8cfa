from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contested.annotations import FORMATS, Annotations, read_annotations, readers
from contested.annotations.readers import Format, Options
from contested.errors import ConfigError, DataError
from contested.rows import TEXT, Table


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "label_counts": [1, 2]}, None),
        ({"id": "a", "labels": ["x", "y"]}, None),
        ({"item": "a", "worker": "w", "label": "x"}, "only one class"),
        ({"id": "a", "label_dist": [0.5, 0.5]}, "how many annotators"),
    ],
)
def test_auto_recognises_each_format_by_its_columns(write_jsonl, row, message):
    path = write_jsonl([row])
    if message is None:
        assert read_annotations(path).n_classes == 2
    else:
        with pytest.raises(DataError, match=message):
            read_annotations(path)


def test_auto_prefers_counts_to_labels_to_proportions(write_jsonl):
    row = {"id": "a", "label_dist": [0.5, 0.5], "labels": ["x", "y", "y"], "label_counts": [7, 1]}
    assert read_annotations(write_jsonl([row])).label_counts.tolist() == [[7, 1]]
    del row["label_counts"]
    assert read_annotations(write_jsonl([row])).label_counts.tolist() == [[1, 2]]


def test_auto_takes_single_labels_of_annotators_for_a_long_table(write_jsonl):
    rows = [{"id": "a", "worker": w, "label": label, "counts": [9, 9]} for w, label in enumerate("xyy")]
    assert read_annotations(write_jsonl(rows)).label_counts.tolist() == [[1, 2]]


def test_unrecognised_files_say_what_was_seen_and_what_can_be_given(write_jsonl):
    with pytest.raises(DataError) as caught:
        read_annotations(write_jsonl([{"uid": "a", "premise": "p", "unli": 0.3}]))
    text = str(caught.value)
    assert "was recognised as jsonl with the columns uid, premise, unli" in text
    assert "count_columns, labels_column, distribution_column or worker_column" in text
    for known in FORMATS:
        assert f"{known.name}: {known.summary}" in caught.value.problems


def test_files_without_one_good_line_report_their_lines(write_jsonl):
    with pytest.raises(DataError, match="2 problems") as caught:
        read_annotations(write_jsonl(["{", "["]))
    assert [text[:7] for text in caught.value.problems] == ["line 1:", "line 2:"]


def test_unknown_format_is_named_with_the_nearest(write_jsonl, chaosnli_row):
    with pytest.raises(ConfigError, match=r"'chaosNLI' \(did you mean 'chaosnli'\?\): use one of auto, chaosnli"):
        read_annotations(write_jsonl([chaosnli_row()]), format="chaosNLI")


def test_options_that_a_format_does_not_use_are_refused(write_jsonl):
    path = write_jsonl([{"id": "a", "label_counts": [1, 2]}])
    with pytest.raises(ConfigError, match="counts does not use worker_column; it takes count_columns"):
        read_annotations(path, format="counts", worker_column="w")
    with pytest.raises(ConfigError, match="counts does not use n_annotators"):
        read_annotations(path, count_columns="label_counts", n_annotators=5)


def test_unknown_format_is_told_before_the_file_is_read(tmp_path):
    with pytest.raises(ConfigError, match="Unknown format"):
        read_annotations(tmp_path / "none.jsonl", format="x")


def test_source_is_the_path_given(write_jsonl, chaosnli_row):
    path = write_jsonl([chaosnli_row()])
    assert read_annotations(path).source == str(path)
    assert read_annotations(str(path)).n_items == 1


def _of_lines() -> Format:
    """A format without a header: id, then a label an annotator."""

    def read(table: Table, _: Options) -> Annotations:
        rows = [str(line).split() for line in table.columns["line"] if line]
        counts = np.array([[own[1:].count(label) for label in "ny"] for own in rows])
        ids = tuple(own[0] for own in rows)
        return Annotations(ids, counts, ("n", "y"), pd.DataFrame(index=range(len(ids))), source=str(table.path))

    return Format("words", "an id and labels a line", frozenset(), frozenset(), lambda t, _: t.kind == TEXT, read)


@pytest.mark.parametrize("format", ["auto", "words"])
def test_a_reader_of_lines_is_one_entry(tmp_path, monkeypatch, format):
    monkeypatch.setattr(readers, "FORMATS", (*FORMATS, _of_lines()))
    path = tmp_path / "people.words"
    path.write_text("a y y n\n\nb n n\n")
    assert read_annotations(path, format=format).label_counts.tolist() == [[1, 2], [2, 0]]


@pytest.mark.parametrize("format", ["auto", "counts"])
def test_lines_that_no_format_knows_are_refused_as_before(tmp_path, format):
    path = tmp_path / "people.words"
    path.write_text("a y y n\n")
    with pytest.raises(DataError, match=r"is of an unknown type: its suffix '\.words'"):
        read_annotations(path, format=format)


def test_format_names_are_unique():
    names = [known.name for known in FORMATS]
    assert len(set(names)) == len(names)
