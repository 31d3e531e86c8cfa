"""Annotated files as people publish them, each with the values that are right, worked out by hand.

Plug-in entropy in nats: 2:1 -> 0.6365, 1:1 -> 0.6931, 3:1 -> 0.5623, 1:1:1 -> 1.0986, 2:1:1 -> 1.0397, unanimous -> 0.
"""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest
from as_read import notes_of, problems_of

from contested.annotations import read_annotations
from contested.errors import DataError

TWO_ONE, EVEN, THREE_ONE, THIRDS, HALF = 0.6365, 0.6931, 0.5623, 1.0986, 1.0397


def entropies(data):
    return dict(zip(data.example_ids, data.entropy.round(4).tolist(), strict=True))


def test_sets_of_labels_are_no_votes(write_jsonl):
    cells = ["wet", "wet, cold", "cold", "dark, cold", "wet, dark, cold", "cold, wet"]
    rows = [{"id": f"s{i}", "labels": cell} for i, cell in enumerate(cells)]
    [found] = problems_of(write_jsonl(rows))
    assert "no label occurs twice in any of the 4 items with several labels in labels" in found
    assert "look like sets of labels" in found
    # Two people who never agreed are possible, and whoever says so is believed.
    assert entropies(read_annotations(write_jsonl(rows), format="labels"))["s1"] == EVEN
    # One label that two people gave shows that they are votes.
    votes = read_annotations(write_jsonl([*rows, {"id": "t", "labels": "wet, wet"}]))
    assert entropies(votes)["s4"] == THIRDS
    assert "No label occurs twice in the 1 item" in notes_of(read_annotations(write_jsonl(rows[:2])))


@pytest.mark.parametrize(
    "text",
    [
        "id,wet,cold,dark\na,1,1,0\nb,0,1,1\nc,1,0,0\n",
        "id,label_counts\na,\"{'wet': 1, 'cold': 1}\"\nb,\"{'cold': 1, 'dark': 1, 'wet': 1}\"\n",
    ],
)
def test_marks_of_labels_are_no_counts(write_text, text):
    columns = ["wet", "cold", "dark"] if "wet,cold" in text else None
    [found] = problems_of(write_text("a.csv", text), count_columns=columns)
    assert "in any of the 2 items with several labels" in found
    assert read_annotations(write_text("a.csv", text), count_columns=columns, format="counts").n_items >= 2


def test_as_many_different_votes_on_every_item_may_be_votes(write_jsonl):
    data = read_annotations(write_jsonl([{"id": i, "counts": {"a": 1, "b": 1}} for i in range(3)]))
    assert "No label occurs twice in the 3 items" in notes_of(data)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["['si', 'no', 'si']", "['no', 'no', 'no']", "['si', 'no', 'no', 'si']"], ("no", "si")),
        (["[4 2 4]", "[2 2 2]", "[4 2 4 2]"], ("2", "4")),
        (['c("si", "no", "si")', 'c("no", "no", "no")', 'c("si", "no", "no", "si")'], ("no", "si")),
        (["{si,no,si}", "{no,no,no}", "{si,no,no,si}"], ("no", "si")),
    ],
)
def test_printed_lists(tmp_path, cells, names):
    path = tmp_path / "a.csv"
    pd.DataFrame({"id": ["a", "b", "c"], "labels": cells}).to_csv(path, index=False)
    data = read_annotations(path)
    assert (data.label_names, data.n_annotators.tolist()) == (names, [3, 3, 4])
    assert entropies(data) == {"a": TWO_ONE, "b": 0, "c": EVEN}
    assert data.summary().entropy_nats.mean == pytest.approx(0.4432, abs=1e-4)
    assert data.summary().categories == {"clean": 1, "ambiguous": 2, "contested": 0}


def test_printed_lists_with_nan(write_text):
    data = read_annotations(write_text("a.csv", 'id,labels\na,"[1.0, nan, 2.0, 2.0]"\nb,"[nan, nan, 1.0, 1.0]"\n'))
    assert (data.label_names, data.label_counts.tolist()) == (("1", "2"), [[1, 2], [2, 0]])
    assert data.receipt.missing == {"nan": 3}


def test_printed_counts(write_text):
    path = write_text("a.csv", "id,label_counts\na,\"{'no': 1, 'si': 3}\"\nb,\"Counter({'si': 4, nan: 2})\"\n")
    data = read_annotations(path)
    assert (data.label_names, data.label_counts.tolist()) == (("no", "si"), [[1, 3], [0, 4]])
    assert (entropies(data), data.receipt.missing) == ({"a": THREE_ONE, "b": 0}, {"nan": 1})


def test_a_list_beside_an_annotator_is_no_single_label(write_text):
    path = write_text(
        "a.csv", "uid,worker_id,first,why\na,w1,\"['si', 'no', 'si']\",x\nb,w1,\"['no', 'no', 'no']\",y\n"
    )
    data = read_annotations(path, labels_column="first")
    assert (data.receipt.format, data.n_classes, entropies(data)) == ("labels", 2, {"a": TWO_ONE, "b": 0})


def test_a_cell_that_is_cut_off_is_told(write_text):
    [found] = problems_of(write_text("a.csv", "id,labels\na,\"['si', 'no'\"\nb,\"['si', 'si']\"\n"))
    assert found.startswith("line 2: labels is \"['si', 'no'\", a list or object that cannot be read: it is cut off")


@pytest.mark.parametrize("written", ["NA", "nan", "NaN", "<NA>", "N/A", "NULL", "-"])
def test_what_stands_for_no_answer_is_no_class(write_text, written):
    text = f"id,r1,r2,r3,r4\na,1,1,2,{written}\nb,2,{written},2,{written}\nc,1,2,1,2\n"
    data = read_annotations(write_text("a.csv", text), labels_column=["r1", "r2", "r3", "r4"])
    assert (data.n_classes, data.n_annotators.tolist()) == (2, [3, 2, 4])
    assert entropies(data) == {"a": TWO_ONE, "b": 0, "c": EVEN}
    assert data.receipt.missing == {written: 3}
    assert data.receipt.lines()["no answer"] == f"3 × {written}"
    # Whoever names it as a class means it.
    named = read_annotations(data.source, labels_column=["r1", "r2", "r3", "r4"], label_names=["1", "2", written])
    assert named.n_annotators.tolist() == [4, 4, 4]


def test_a_minus_beside_a_plus_is_a_sign(write_text):
    data = read_annotations(write_text("a.csv", "id,labels\na,+|-|-\nb,+|+|+\n"))
    assert (data.label_names, data.label_counts.tolist()) == (("+", "-"), [[1, 2], [3, 0]])


@pytest.mark.parametrize("written", ["-1", "-1.0", "-01"])
def test_minus_one_is_a_class_and_said_or_missing(write_text, written):
    text = f"id,r1,r2,r3,r4\na,0,0,1,{written}\nb,1,-1,1,{written}\nc,0,1,0,1\n"
    path, columns = write_text("a.csv", text), ["r1", "r2", "r3", "r4"]
    data = read_annotations(path, labels_column=columns)
    assert data.label_names == ("-1", "0", "1")
    assert "-1 is a class here; some files write it where an annotator gave no answer" in notes_of(data)
    assert "give missing=-1" in notes_of(data)
    data = read_annotations(path, labels_column=columns, missing="-1")
    assert (data.n_annotators.tolist(), entropies(data)) == ([3, 2, 4], {"a": TWO_ONE, "b": 0, "c": EVEN})
    assert sum(data.receipt.missing.values()) == 3
    assert data.reading["options"]["missing"] == ["-1"]


def test_ratings_below_zero_are_no_missing_answers(write_text):
    data = read_annotations(write_text("a.csv", "id,labels\na,-2|-1|-1\nb,0|1|2\nc,2|2|2\n"))
    assert "gave no answer" not in notes_of(data)
    data = read_annotations(write_text("b.csv", "id,labels\na,1|2|99\nb,3|3|99\nc,2|2|2\n"))
    assert "99 is a class here" in notes_of(data)


def test_one_number_is_one_class_however_it_is_spelled(write_text):
    rows = ["a,w1,1", "a,w2,1.0", "a,w3,2", "b,w1,0", "b,w2,00", "b,w3,-0", "c,w1,+2", "c,w2,2.00", "c,w3,02"]
    path = write_text("a.csv", "item,worker,label\n" + "\n".join(rows))
    data = read_annotations(path)
    assert (data.label_names, entropies(data)) == (("0", "1", "2"), {"a": TWO_ONE, "b": 0, "c": 0})
    assert "1, 1.0 is 1; 2, +2, 2.00, 02 is 2; 0, 00, -0 is 0" in notes_of(data)
    assert read_annotations(path, label_names=["2.0", "1", "0"]).label_counts.tolist() == [
        [1, 2, 0],
        [0, 0, 3],
        [3, 0, 0],
    ]


def test_codes_keep_their_zeros_where_nothing_contradicts_them(write_text):
    assert read_annotations(write_text("a.csv", "id,labels\na,01|02|02\n")).label_names == ("01", "02")
    assert read_annotations(write_text("b.csv", "id,labels\na,1.0|2.0|2.0\n")).label_names == ("1", "2")


def test_keys_of_counts_that_are_one_number(write_jsonl):
    rows = [{"id": "a", "counts": {"1": 2, "2": 1}}, {"id": "b", "counts": {"1.0": 3}}]
    data = read_annotations(write_jsonl(rows))
    assert (data.label_names, data.label_counts.tolist()) == (("1", "2"), [[2, 1], [3, 0]])
    assert "two keys are one class" in problems_of(write_jsonl([{"id": "a", "counts": {"1": 2, "1.0": 1}}]))[0]


def test_classes_that_differ_by_case_are_named(write_text):
    rows = ["a,w1,Si", "a,w2,si", "a,w3,No", "b,w1,No", "b,w2,NO", "b,w3,no "]
    data = read_annotations(write_text("a.csv", "item,worker,label\n" + "\n".join(rows)))
    assert data.n_classes == 5
    assert "in blanks only: NO, No, no; Si, si." in notes_of(data)
    signs = read_annotations(write_text("b.csv", "id,labels\na,-1|1|1\nb,-2|2|2\n"))
    assert "in blanks only" not in notes_of(signs)


def test_the_strongest_separator_of_a_column_is_the_only_one(write_text):
    data = read_annotations(
        write_text("a.csv", 'id,labels\na,"Ja, klar|Nein|Nein"\nb,"Ja, klar|Ja, klar|Nein"\nc,"Ja, klar"\n')
    )
    assert (data.label_names, data.label_counts.tolist()) == (("Ja, klar", "Nein"), [[1, 2], [2, 1], [1, 0]])
    data = read_annotations(write_text("b.csv", 'id,labels\na,"x;y, z;x"\nb,x;x\n'))
    assert data.label_names == ("x", "y, z")
    # A class that is named is not split.
    data = read_annotations(write_text("c.csv", 'id,labels\na,"Ja, klar"\nb,Nein\n'), label_names=["Ja, klar", "Nein"])
    assert data.label_counts.tolist() == [[1, 0], [0, 1]]


def test_decimal_commas(write_text):
    data = read_annotations(write_text("a.csv", 'id,labels\na,"1,0|2,0|2,0"\nb,"1,0|1,0|1,0"\n'))
    assert (data.label_names, data.label_counts.tolist()) == (("1", "2"), [[1, 2], [3, 0]])
    assert "Labels such as 1,0 were read as numbers with a decimal comma." in notes_of(data)


def test_a_column_that_is_twice_in_the_header_and_not_read(write_text):
    path = write_text("a.csv", 'uid,genre,text,genre,labels\na,x,t,z,"1, 2, 2"\nb,y,u,y,"3, 3, 3"\n')
    data = read_annotations(path)
    assert (data.label_counts.tolist(), list(data.fields)) == ([[1, 2, 0], [0, 0, 3]], ["text"])
    assert "were not read: genre." in notes_of(data)
    [found] = problems_of(path, labels_column="genre")
    assert found == "the header has the column genre (labels_column) twice, with different values; rename one"
    twice = write_text("b.csv", "id,id,labels\na,b,x|x|y\n")
    assert problems_of(twice) == ("the header has the column id (id_column) twice, with different values; rename one",)


@pytest.mark.parametrize("named", [None, "", "Unnamed: 0"])
def test_ids_in_a_column_without_a_name(write_text, named):
    path = write_text("a.csv", ",rude,mean,fine\n7,0,0,3\n8,1,2,0\n9,1,1,1\n")
    data = read_annotations(path, count_columns=["rude", "mean", "fine"], id_column=named)
    assert entropies(data) == {"7": 0, "8": TWO_ONE, "9": THIRDS}
    assert data.summary().categories == {"clean": 1, "ambiguous": 1, "contested": 1}
    assert data.fields.shape == (3, 0)


def test_rows_are_numbered_where_no_column_holds_ids(write_text):
    path = write_text("a.csv", "text,rater 1,rater 2,rater 3\nt,J,N,J\nu,N,N,N\nu,J,J,N\n")
    data = read_annotations(path, labels_column=["rater 1", "rater 2", "rater 3"])
    assert entropies(data) == {"1": TWO_ONE, "2": 0, "3": TWO_ONE}
    assert "items are numbered by their rows, from 1" in notes_of(data)
    assert data.receipt.columns["ids"] == ("row number",)
    assert list(data.fields) == ["text"]


def test_json_lines_under_json_and_rows_under_a_key(write_text):
    lines = '{"id": 0, "labels": ["e", "n", "e"]}\n{"id": 1, "labels": ["c", "c", "c"]}\n'
    assert entropies(read_annotations(write_text("a.json", lines))) == {"0": TWO_ONE, "1": 0}
    wrapped = json.dumps({"version": 1, "data": [json.loads(line) for line in lines.splitlines()]})
    data = read_annotations(write_text("b.json", wrapped))
    assert (entropies(data), notes_of(data)) == ({"0": TWO_ONE, "1": 0}, "The rows are those under the key 'data'.")


@pytest.mark.parametrize("joined", ["fun fear", "fun+fear", "fun and fear", "fun/fear", "fun|fear"])
def test_labels_that_join_others_are_told(write_text, joined):
    rows = ["a,w1,fun", f"a,w2,{joined}", "a,w3,fear", "b,w1,fear", "b,w2,fear"]
    [found] = problems_of(write_text("a.csv", "item,worker,label\n" + "\n".join(rows)))
    assert found.startswith(f"line 3: '{joined}' gives several labels at once")


def test_labels_of_the_same_parts_in_another_order_are_told(write_text):
    found = problems_of(write_text("a.csv", "item,worker,label\na,w1,fun fear\na,w2,fear fun\nb,w1,dull\nb,w2,dull\n"))
    assert [text[:8] for text in found] == ["line 2: ", "line 3: "]


def test_rows_of_a_long_table_without_a_label_are_left_out(write_text):
    rows = ["a,w1,x", "a,w2,y", "a,w3,", "b,w1,x", "b,w2,x", "b,w3,NA", "c,w1,", "d,,"]
    data = read_annotations(write_text("a.csv", "item,worker,label\n" + "\n".join(rows)))
    assert (data.example_ids, data.label_counts.tolist()) == (("a", "b"), [[1, 1], [2, 0]])
    assert data.receipt.left_out == (
        "4 rows without a label were left out: lines 4, 7, 8, … (4 in all)",
        "2 of 4 items have no label and were left out: c, d",
    )
    assert data.receipt.missing == {"NA": 1, "empty": 3}


def test_fields_of_left_out_items_are_left_out_too(write_text):
    rows = ["a,w1,x,s", "a,w2,y,s", "b,w1,,t", "c,w1,x,u", "c,w2,x,u"]
    data = read_annotations(write_text("a.csv", "item,worker,label,text\n" + "\n".join(rows)), text_columns="text")
    assert (data.example_ids, data.fields["text"].tolist()) == (("a", "c"), ["s", "u"])
    wide = read_annotations(write_text("b.csv", "id,text,r1,r2\na,s,x,y\nb,t,,\nc,u,x,x\n"), labels_column=["r1", "r2"])
    assert (wide.example_ids, wide.fields["text"].tolist()) == (("a", "c"), ["s", "u"])
    assert wide.label_counts.tolist() == [[1, 1], [2, 0]]


def test_the_item_is_the_column_that_tells_items_apart(write_text):
    rows = ["irony,a,w1,1", "irony,a,w2,0", "irony,b,w1,0", "irony,b,w2,0"]
    data = read_annotations(write_text("a.csv", "task,id,annotator,label\n" + "\n".join(rows)))
    assert (entropies(data), data.receipt.columns["ids"]) == ({"a": EVEN, "b": 0}, ("id",))
    # Of two columns that both tell rows apart, the one in which no annotator stands twice.
    rows = ["s1,a,w1,1", "s1,a,w2,0", "s1,b,w1,0", "s2,b,w2,0", "s2,c,w1,1", "s2,c,w2,1"]
    data = read_annotations(write_text("a.csv", "task,id,annotator,label\n" + "\n".join(rows)))
    assert (entropies(data), data.receipt.columns["ids"]) == ({"a": EVEN, "b": 0, "c": 0}, ("id",))
    # One id per row, beside the item.
    rows = ["r1,a,w1,1", "r2,a,w2,0", "r3,b,w1,0", "r4,b,w2,0"]
    data = read_annotations(write_text("b.csv", "uid,item_id,annotator,label\n" + "\n".join(rows)))
    assert (entropies(data), data.receipt.columns["ids"]) == ({"a": EVEN, "b": 0}, ("item_id",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_encodings(tmp_path, encoding, separator):
    path = tmp_path / "a.csv"
    rows = [["id", "r1", "r2", "r3"], ["ä", "1", "2", "2"], ["b", "1", "1", "1"]]
    path.write_bytes("".join(separator.join(row) + "\r\n" for row in rows).encode(encoding))
    data = read_annotations(path, labels_column=["r1", "r2", "r3"])
    assert (data.label_counts.tolist(), entropies(data)) == ([[1, 2], [3, 0]], {"ä": TWO_ONE, "b": 0})


def test_latin_1_is_refused_with_the_way_to_convert_it(tmp_path):
    (tmp_path / "a.csv").write_bytes("id,text,labels\na,Bär,ja|nein|ja\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"is not UTF-8: line 2 holds the byte 0xe4.*iconv -f latin1 -t utf-8"):
        read_annotations(tmp_path / "a.csv")


def test_fractions_on_a_scale_are_measurements(write_jsonl):
    rows = [{"id": "a", "labels": [9.9, 10.1, 8.08, -0.03]}, {"id": "b", "labels": [-9.95, -10.1, 9.99, 10.02]}]
    [found] = problems_of(write_jsonl(rows))
    assert found.startswith("the labels are 8 different numbers such as -10.1, -9.95, as measurements on a scale are")
    half_steps = [{"id": str(i), "labels": [i / 2, i / 2, 1.5]} for i in range(9)]
    assert read_annotations(write_jsonl(half_steps)).n_classes == 9
    slider = [{"id": str(i), "labels": [i, i, 50]} for i in range(30)]
    assert "The labels are 31 different numbers, as of a slider" in notes_of(read_annotations(write_jsonl(slider)))


def test_repeats_of_an_annotator_count_once_and_contradictions_are_told(write_text):
    rows = ["a,w1,x", "a,w1,x", "a,w2,y", "b,w1,x", "b,w2,x"]
    data = read_annotations(write_text("a.csv", "item,worker,label\n" + "\n".join(rows)))
    assert entropies(data) == {"a": EVEN, "b": 0}
    assert data.receipt.left_out == ("1 row that repeats an annotator's label of the same item was left out: line 3",)
    [found] = problems_of(write_text("b.csv", "item,worker,label\n" + "\n".join([*rows, "b,w2,y"])))
    assert found == (
        "line 7: worker 'w2' already annotated item 'b' with 'x' on line 6, and here with 'y'; expected one label each"
    )


def test_quotation_marks_that_are_text_swallow_no_rows(write_text):
    path = write_text("a.tsv", 'id\ttext\tlabels\na\t"Starts\t0|1|1\nb\tstops"\t0|0|0\nc\tplain\t1|1|0\n')
    assert entropies(read_annotations(path)) == {"a": TWO_ONE, "b": 0, "c": TWO_ONE}


def test_gzip(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"id,labels\na,0|1|1\nb,0|0|0\n"))
    assert entropies(read_annotations(tmp_path / "a.csv.gz")) == {"a": TWO_ONE, "b": 0}


def test_questions_that_were_not_asked(write_text):
    entries = {
        "7": {
            "hate": ["Y", "N", "Y"],
            "kind": ["A", "-", "B"],
            "all": [["A", "C"], ["-"]],
        },
        "8": {"hate": ["N", "N", "N"], "kind": ["-", "-", "-"], "all": [["-"], ["-"]]},
    }
    path = write_text("a.json", json.dumps(entries))
    assert entropies(read_annotations(path, labels_column="hate")) == {"7": TWO_ONE, "8": 0}
    kinds = read_annotations(path, labels_column="kind")
    assert (entropies(kinds), kinds.n_annotators.tolist()) == ({"7": EVEN}, [2])
    assert kinds.receipt.left_out == ("1 of 2 items has no label and was left out: 8",)
    assert kinds.receipt.missing == {"-": 4}
    found = problems_of(path, labels_column="all")
    assert len(found) == 2
    assert "annotators who gave several labels each have no distribution over classes" in found[0]


def test_aspects_are_no_annotators(write_jsonl):
    rows = [{"id": "s", "annotations": {"style": 4, "sense": 5}}, {"id": "t", "annotations": {"style": 4, "sense": 4}}]
    assert (
        "The annotators are the keys of the objects in annotations, the same for every item: style, sense."
        in notes_of(read_annotations(write_jsonl(rows)))
    )
    people = [{"id": "s", "annotations": {"Ann1": 4, "Ann2": 5}}, {"id": "t", "annotations": {"Ann1": 4, "Ann2": 4}}]
    assert notes_of(read_annotations(write_jsonl(people))) == ""


def test_an_id_twice_is_refused_and_not_lost(write_text):
    with pytest.raises(DataError, match="duplicated keys in one object: 1"):
        read_annotations(write_text("a.json", '{"1": {"annotations": "0,1"}, "1": {"annotations": "0,0"}}'))


def test_maps_from_annotator_to_label(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = pa.array([[("w1", "x"), ("w2", "y")], [("w1", "x")]], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"id": ["1", "2"], "labels": labels}), tmp_path / "a.parquet")
    data = read_annotations(tmp_path / "a.parquet")
    assert (data.label_counts.tolist(), data.categories().tolist()) == ([[1, 1], [1, 0]], ["ambiguous", "unknown"])


@pytest.mark.parametrize(
    "names",
    [
        ("Item", "Annotator", "Label"),
        ("item_id", "rater_id", "rating"),
        ("ITEM ID", "Rater-ID", "Rating"),
        ("_unit_id", "_worker_id", "response"),
        ("postId", "userId", "vote"),
    ],
)
def test_usual_names_in_whatever_case(write_text, names):
    data = read_annotations(write_text("a.csv", f"{','.join(names)}\na,w1,1\na,w2,2\nb,w1,1\nb,w2,1\n"))
    assert (data.receipt.format, entropies(data)) == ("long", {"a": EVEN, "b": 0})
    assert data.receipt.columns == {"ids": (names[0],), "annotators": (names[1],), "labels": (names[2],)}


def test_excels_line_of_the_separator(write_text):
    assert entropies(read_annotations(write_text("a.csv", "sep=,\nid,labels\na,x|y\nb,x|x\n"))) == {"a": EVEN, "b": 0}


def test_a_table_of_single_labels_beside_lists_is_read_by_its_lists(write_jsonl):
    # The author of a text and its gold label are no annotation.
    rows = [{"id": i, "user": f"u{i}", "label": "x", "labels": ["x", "y", "y"]} for i in range(3)]
    data = read_annotations(write_jsonl(rows))
    assert (data.receipt.format, data.label_counts.tolist()) == ("labels", [[1, 2]] * 3)
