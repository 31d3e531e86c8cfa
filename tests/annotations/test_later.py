"""What is read is made when it is asked for, and is then what it would have been at once."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contested.annotations import Annotations, measures, read_annotations
from contested.annotations.later import Later
from contested.errors import DataError
from contested.rows import delimited

IDS = ["a", "b", "c", "d", "e", " a", "f ", "1.2E+17", "é", ""]
LABELS = ["yes", "no", "no", "yes", "NA", "", " no", "1", "01", '"yes, no"']
WHO = ["ann", "bob", "cid", "dan", "eve ", ""]
TEXTS = ["A text.", "Another one.", "", '"Quoted, with ""marks"""']


def drawn(draw: random.Random) -> str:
    """A long or a wide file, in most of which ids, labels and annotators are plain."""
    odd = draw.random() < 0.5
    ids, labels, who = (draw.sample(values, 4) if odd else values[:4] for values in (IDS, LABELS, WHO))
    if draw.random() < 0.5:
        pairs = [(i, w) for i in ids for w in who] + [(draw.choice(ids), draw.choice(who))] * (draw.random() < 0.2)
        rows = [[i, w, draw.choice(labels), TEXTS[IDS.index(i) % 2]] for i, w in pairs if draw.random() < 0.8]
        return "\n".join(map(",".join, [["item", "annotator", "label", "text"], *rows])) + "\n"
    width, more = draw.randint(2, 4), draw.sample(range(100), draw.randint(1, 20))
    names = [*ids, *map(str, more), *draw.sample(ids, draw.random() < 0.1)]
    cells = [[draw.choice(labels) for _ in range(width)] for _ in names]
    header = ["id", *(f"annotator_{j}" for j in range(width)), "text"]
    return (
        "\n".join(
            map(",".join, [header, *([i, *row, draw.choice(TEXTS)] for i, row in zip(names, cells, strict=True))])
        )
        + "\n"
    )


def content(data: Annotations) -> tuple[object, ...]:
    votes = data.votes
    assert votes is not None
    assert data.receipt is not None
    return (
        data.example_ids,
        data.label_counts.tolist(),
        data.label_names,
        data.fields.to_dict("list"),
        [part.tolist() for part in (votes.items, votes.labels, votes.annotators)],
        votes.annotator_ids,
        data.receipt.to_json(),
        data.summary().to_json(),
    )


def outcome(path: Path, **options: object) -> tuple[object, ...]:
    try:
        return content(read_annotations(path, **options))  # type: ignore[arg-type]
    except DataError as error:
        return (error.message, error.problems)


def test_files_give_the_same_by_column_and_by_record(monkeypatch, tmp_path):
    draw, read = random.Random(0), 0
    for number in range(200):
        path = tmp_path / "a.csv"
        path.write_text(drawn(draw), encoding="utf-8")
        options = {"text_columns": "text"} if draw.random() < 0.2 else {}
        found = outcome(path, **options)
        with monkeypatch.context() as context:
            context.setattr(delimited, "read_plain", lambda content, delimiter: None)
            # NaN of a summary is equal to itself here.
            assert repr(found) == repr(outcome(path, **options)), number
        read += len(found) > 2
    assert 60 < read < 190


@pytest.fixture
def data(tmp_path) -> Annotations:
    (tmp_path / "a.csv").write_text("id,annotator_1,annotator_2,text\na,x,y,one\nb,,,two\nc,y,y,three\n")
    return read_annotations(tmp_path / "a.csv")


def test_ids_fields_and_votes_are_made_when_they_are_read(data):
    assert data.summary().n_items == 2
    parts = ("example_ids", "fields", "votes")
    assert [isinstance(vars(data)[name], Later) for name in parts] == [True] * 3
    assert data.example_ids == ("a", "c")
    assert data.fields["text"].tolist() == ["one", "three"]
    assert data.votes is not None
    assert data.votes.items.tolist() == [0, 0, 1, 1]
    assert not any(isinstance(vars(data)[name], Later) for name in parts)
    assert data.fields is data.fields


@pytest.mark.parametrize("options", [{"scale": ["x", "y"]}, {"by": "scaled-entropy"}, {"anonymous": True}])
def test_options_make_nothing_of_ids_and_fields(data, options):
    found = read_annotations(data.source, **options)
    assert [isinstance(vars(found)[name], Later) for name in ("example_ids", "fields")] == [True] * 2
    assert content_of_fields(found) == content_of_fields(data)


def test_what_is_not_made_yet_goes_to_another_process(data):
    assert content_of_fields(pickle.loads(pickle.dumps(data))) == content_of_fields(data)


def content_of_fields(data: Annotations) -> tuple[object, ...]:
    return data.example_ids, data.fields.to_dict("list"), data.label_counts.tolist()


@pytest.mark.parametrize("highest", [3, 10**9])
def test_many_rows_give_what_each_of_them_gives(monkeypatch, highest):
    counts = np.random.default_rng(0).integers(0, highest, (400, 3)) + np.array([1, 1, 0])
    functions = [measures.entropy, measures.ties, measures.majority]
    functions += [measures.pairwise_agreement, measures.krippendorff_alpha]
    alone = [function(counts) for function in functions]
    monkeypatch.setattr(measures, "_MANY", 1)
    assert [np.array_equal(f(counts), found) for f, found in zip(functions, alone, strict=True)] == [True] * 5


def test_reading_and_summing_up_load_no_pandas(tmp_path):
    (tmp_path / "a.csv").write_text("item,annotator,label\na,x,yes\na,y,no\nb,x,no\nb,y,\n")
    code = "import contested, sys; contested.read_annotations('a.csv').summary(); sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
