from __future__ import annotations

import pytest

from contested.annotations import FORMATS, read_annotations
from contested.errors import ConfigError, DataError


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


def test_format_names_are_unique():
    names = [known.name for known in FORMATS]
    assert len(set(names)) == len(names)
