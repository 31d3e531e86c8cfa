from __future__ import annotations

import pytest

from contested.annotations import read_annotations
from contested.errors import DataError


def test_a_column_per_annotator_with_gaps(write_text):
    path = write_text("x.csv", "id,premise,annotator_1,annotator_2,annotator_10\na,p,yes,no,no\nb,q,,yes,\n")
    data = read_annotations(path)
    assert (data.example_ids, data.label_names) == (("a", "b"), ("no", "yes"))
    assert data.label_counts.tolist() == [[2, 1], [0, 1]]
    assert data.fields.to_dict("list") == {"premise": ["p", "q"]}


def test_what_a_model_said_of_an_example_is_no_field_of_it(write_text):
    path = write_text("x.csv", "id,genre,label,prob_no,prob_yes,annotator_1,annotator_2\na,g,1,0.5,0.5,yes,no\n")
    assert read_annotations(path).fields.to_dict("list") == {"genre": ["g"]}


@pytest.mark.parametrize("cells", ["0,2,1\nb,1,,\n", "0.0,2.0,1.0\nb,1.0,,\n"])
def test_indices_of_the_classes_as_cleanlab_has_them(write_text, cells):
    path = write_text("x.csv", f"id,worker_0,worker_1,worker_2\na,{cells}")
    # 0, 2 and 1 are no, maybe and yes.
    data = read_annotations(path, label_names=["no", "yes", "maybe"])
    assert (data.label_names, data.label_counts.tolist()) == (("no", "yes", "maybe"), [[1, 1, 1], [0, 1, 0]])
    assert read_annotations(path).label_names == ("0", "1", "2")


def test_numbers_that_are_names_stay_names(write_text):
    # On a scale from 1 to 3 an index would give every label but 3 to its neighbour.
    path = write_text("x.csv", "id,annotator_1,annotator_2\na,1,2\nb,2,1\n")
    assert read_annotations(path, label_names=["1", "2", "3"]).label_counts.tolist() == [[1, 1, 0], [1, 1, 0]]


def test_all_problems_are_told_at_once(write_text):
    path = write_text("x.csv", "id,annotator_1,annotator_2\na,yes,nein\na,no,\nc,,\n")
    with pytest.raises(DataError) as caught:
        read_annotations(path, label_names=["no", "yes"])
    assert caught.value.problems == (
        "line 2: unknown label 'nein'; expected no, yes",
        "line 3: id 'a' is already on line 2; ids must be unique",
    )
    with pytest.raises(DataError, match="no column annotator_1") as caught:
        read_annotations(write_text("y.csv", "label\nno\n"), format="annotators")
