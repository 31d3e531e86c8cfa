"""What a refusal advises: the likely reading of columns, the order of a scale, and columns that identify a row."""

from __future__ import annotations

import json

import pytest

from contested.annotations import read_annotations
from contested.annotations.readers.explain import explain_annotations
from contested.errors import ConfigError, DataError

WIDE = "id,r1,r2,r3\na,yes,no,yes\nb,no,no,yes\nc,yes,yes,no\n"
MARKS = (
    "text,id,rater_id,unclear,joy,anger,neutral\n"
    "t1,a,1,False,1,0,0\nt1,a,2,False,1,1,0\nt1,a,3,False,0,0,1\n"
    "t2,b,1,False,0,1,0\nt2,b,2,True,0,0,0\nt2,b,3,False,0,1,0\n"
)
JOINED = "postCategory,postId,annID,racist\nold,1,w1,1\nold,1,w2,5\nnew,1,w1,2\nnew,1,w2,2\n"
SHARES = "itemid\tn\tsoft\na\t10\tcause:0.7; list:0.3\nb\t10\tcause:0; list:1.0\n"
LENGTHS = SHARES.replace("itemid", "itemid\tlength").replace("a\t", "a\t20\t").replace("b\t", "b\t30\t")
SLIDER = [{"id": "a", "labels": [49.9, 50.1, 48.2, -0.3]}, {"id": "b", "labels": [-49.8, -50.2, 49.7, 50.4]}]
SETS = [
    {"id": str(n), "labels": labels} for n, labels in enumerate(["r", "r, b", "b", "g, b", "r, g, b", "b, r", *"ggrb"])
]
ROUNDS = [
    {"id": "a", "rated": {"e": 2, "n": 1, "c": None}, "label_count_1": {"e": 1, "n": None, "c": 3}},
    {"id": "b", "rated": {"e": 1, "n": 1, "c": None}, "label_count_1": {"e": 4, "n": 1, "c": None}},
]
TASKS = [
    {"id_task": 100 + n, "number_annotators": 3, "labels_task1": labels}
    for n, labels in enumerate([["YES", "NO", "YES"], ["NO", "NO", "NO"], ["YES", "YES", "NO"]])
]
SENTENCES = "sent_id,batch,w1,w2,w3\n" + "".join(
    f"s{sentence},{batch},disagrees,agrees,neutral\n" for batch in "pqr" for sentence in (1, 2, 3)
)
WORDS = {"labels_column": ["w1", "w2", "w3"]}


def refusal(path, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        read_annotations(path, **options)
    return caught.value


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", WIDE, "r1, r2, r3 hold the same few values: labels_column=r1,r2,r3 if each is an annotator's"),
        (
            "a.csv",
            "id,calm,sad\na,3,0\nb,0,3\nc,2,1\n",
            "calm, sad hold whole numbers: count_columns=calm,sad if they count labels by class",
        ),
        (
            "a.csv",
            WIDE.replace("r1,r2", '"my rater","x, y"'),
            "labels_column='my rater,\"x, y\",r3' if each is an annotator's",
        ),
        ("a.csv", MARKS, "count_columns=joy,anger,neutral with multilabel=mentions, sets, each or a class"),
        ("a.tsv", SHARES, "soft holds shares by label: distribution_column='soft', with n_annotators or"),
        ("a.csv", JOINED, "id_column=postCategory+postId, worker_column=annID, labels_column=racist"),
    ],
    ids=["wide", "counts", "names with commas", "marks", "shares", "rows"],
)
def test_the_likely_columns_are_named(write_text, name, text, told):
    found = refusal(write_text(name, text))
    assert told in " ".join(found.problems)
    assert "Expected one of the formats below" not in found.message


def test_the_formats_are_listed_where_nothing_is_likely(write_text):
    found = refusal(write_text("a.csv", "id,size,place\na,0.5,here\nb,0.25,there\n"))
    assert "Expected one of the formats below" in found.message
    assert found.problems[0].startswith("chaosnli: ")


def test_an_explanation_does_not_advise_itself(write_text):
    path = write_text("a.csv", WIDE)
    assert "--explain" in refusal(path).message
    assert "--explain" not in explain_annotations(path).refusal.message


@pytest.mark.parametrize(
    ("name", "text", "first"),
    [
        ("a.csv", MARKS, {"count_columns": ["joy", "anger", "neutral"], "multilabel": "mentions"}),
        (
            "a.csv",
            JOINED,
            {"id_column": "postCategory+postId", "worker_column": "annID", "labels_column": "racist"},
        ),
        ("a.tsv", SHARES, {"distribution_column": "soft", "annotators_column": "n"}),
        ("a.tsv", LENGTHS, {"distribution_column": "soft", "annotators_column": "n"}),
        ("a.json", json.dumps(SLIDER), {"bins": 3}),
        ("a.json", json.dumps(SETS), {"format": "labels"}),
        ("a.json", json.dumps(ROUNDS), {"count_columns": "label_count_1"}),
        ("a.json", json.dumps(TASKS), {"labels_column": "labels_task1"}),
    ],
    ids=[
        "marks",
        "joined id",
        "shares",
        "shares and lengths",
        "slider",
        "sets",
        "counts with nothing",
        "number of annotators",
    ],
)
def test_the_likeliest_reading_is_proposed_first(write_text, name, text, first):
    found = explain_annotations(write_text(name, text))
    assert found.reading is None
    assert dict(found.others[0].options) == first


def test_unlikely_readings_are_not_proposed(write_text):
    def proposed(name, text):
        return [dict(other.options) for other in explain_annotations(write_text(name, text)).others]

    # The truth of "unclear" is no label before the marks; each of the three readings of sets is there.
    marks = proposed("a.csv", MARKS)
    assert [one.get("multilabel") for one in marks[:3]] == ["mentions", "sets", "each"]
    assert "unclear" not in [one.get("labels_column") for one in marks[:5]]
    assert all("multilabel" not in one for one in proposed("b.json", json.dumps(SETS)))
    assert all("labels_column" not in one for one in proposed("c.json", json.dumps(ROUNDS)))
    assert all("count_columns" not in one for one in proposed("d.json", json.dumps(TASKS)))


def test_a_scale_keeps_its_order_in_the_spelling_of_the_file(write_text):
    path = write_text("a.csv", SENTENCES)
    item = "batch+sent_id"
    found = refusal(path, id_column=item, scale=["disagree", "neutral", "agree"], **WORDS)
    assert "Give other classes of the scale, or fix the file" in found.message
    assert found.problems[0] == (
        "the scale disagree,neutral,agree lacks labels of the file: agrees (9 times), disagrees (9 times); if the file "
        "is right, give scale=disagrees,neutral,agrees, from the lowest to the highest"
    )
    read = read_annotations(path, id_column=item, scale=["disagrees", "neutral", "agrees"], **WORDS)
    assert (type(read.label_names), read.label_names) == (tuple, ("disagrees", "neutral", "agrees"))
    # Of a label that is near to none of the scale's, only the person who gave the scale knows the place.
    found = refusal(path, id_column=item, scale=["disagrees", "agrees"], **WORDS)
    assert "give scale=disagrees,agrees, with neutral put in its place, from" in found.problems[0]


def test_a_measure_that_knows_the_order_says_which_classes_lack_one(write_text):
    path = write_text("a.csv", SENTENCES)
    with pytest.raises(
        ConfigError, match=r"by=sd needs the order of the classes.*: agrees, disagrees, neutral"
    ) as caught:
        read_annotations(path, id_column="batch+sent_id", by="sd", **WORDS)
    assert "Give scale=agrees,disagrees,neutral if this is their order" in caught.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SENTENCES, "ids must be unique, and several columns may identify a row together: id_column=batch+sent_id"),
        (
            SENTENCES.replace(",q,", ",p,"),
            "ids must be unique, and several columns may identify a row together: id_column=…+sent_id",
        ),
        (
            "".join(f"{'guid' if n == 0 else n},{row}\n" for n, row in enumerate(SENTENCES.splitlines())),
            "ids must be unique, as in id_column=guid",
        ),
    ],
    ids=["pair", "no pair", "another id"],
)
def test_ids_on_many_rows_are_one_problem(write_text, text, told):
    found = refusal(write_text("a.csv", text), id_column="sent_id", **WORDS)
    assert found.problems == (f"sent_id is the same on several rows, first on line 2 and line 5 ('s1'); {told}",)


def test_the_first_id_that_repeats_is_named_with_both_its_places(write_text):
    once = SENTENCES.replace("s1,p,", "alone,p,")
    [found] = refusal(write_text("a.csv", once), id_column="sent_id", **WORDS).problems
    assert found.startswith("sent_id is the same on several rows, first on line 3 and line 6 ('s2'); ")
