"""Generated files: whatever stands in one, it is read or refused in words, in little time."""

from __future__ import annotations

import gzip
import json
import random
import time

import pytest

from contested.annotations import read_annotations
from contested.errors import ContestedError

NAMES = [
    *("id", "uid", "item", "worker", "label", "labels", "annotations", "label_counts", "soft_label", "n_annotators"),
    *("annotator_1", "annotator_2", "text", "a", "b", ""),
]
CELLS = [
    *("x", "y", "x|y|y", "x;y", "x, y", "1", "1.0", "01", "-1", "99", "0.5", "nan", "NA", "-", "+", "", " ", "None"),
    *(
        "['x', 'y']",
        "{'x': 1, 'y': 2}",
        "[0 1]",
        "[0.5, 0.5]",
        "[1, 2]",
        "(1, 2)",
        "c(1, 2)",
        "Counter({'x': 1})",
        "...",
    ),
    *('{"x": 1}', "[", "]", "{", "}", '"', "'", "\n", "\r", "\t", ",", ";", "|", ":", "\0", "\ufeff", "é", "\ud800"),
    *("sep=;", "1e400", "9" * 30, "true", "null", "[" * 50, "x y", "..."),
]
VALUES = [*CELLS, 1, 0, -1, 2.5, 10**30, float("nan"), float("inf"), None, True]
OPTIONS = [
    {},
    {"labels_column": ["a", "b"]},
    {"labels_column": "labels"},
    {"count_columns": "labels"},
    {"count_columns": ["a", "b"]},
    {"missing": ["-1", "x"]},
    {"label_names": ["x", "y"]},
    {"format": "long"},
    {"format": "labels"},
    {"format": "annotators"},
    {"id_column": ""},
    {"distribution_column": "a", "n_annotators": 2},
]


def _value(draw: random.Random, depth: int = 0):
    kind = draw.random() if depth < 3 else 1.0
    if kind < 0.2:
        return [_value(draw, depth + 1) for _ in range(draw.randint(0, 4))]
    if kind < 0.35:
        return {draw.choice(CELLS): _value(draw, depth + 1) for _ in range(draw.randint(0, 3))}
    return draw.choice(VALUES)


VOTES = [
    "x|y|y",
    "x|x",
    "['x', 'y', 'y']",
    "[1.0, nan, 1.0]",
    "{'w1': 'x', 'w2': 'x'}",
    "y;x;y",
    "2|2|3",
    "-1|1|1",
    "NA",
]


def _usual(draw: random.Random) -> str:
    """A file as it should be, but for what the cells hold."""
    if draw.random() < 0.5:
        rows = [f"{row},{draw.choice(['', chr(34)])}{draw.choice(VOTES)}" for row in range(draw.randint(2, 5))]
        return "id,labels\n" + "".join(row + (chr(34) if chr(34) in row else "") + "\n" for row in rows)
    labels = draw.sample(["x", "y", "X", "1", "1.0", "-1", "", "NA", "x y", "99"], 3)
    rows = [f"i{row},w{worker},{draw.choice(labels)}" for row in range(draw.randint(1, 4)) for worker in range(3)]
    return "Item,rater_id,Label\n" + "\n".join([*rows, draw.choice(rows)])


def _text(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.3:
        return _usual(draw)
    if kind < 0.5:
        separator, header = draw.choice(",;\t|"), draw.sample(NAMES, draw.randint(1, 5))
        few = draw.sample(CELLS, draw.randint(1, 6))
        rows = [[str(row), *(draw.choice(few) for _ in header[1:])] for row in range(draw.randint(0, 6))]
        return "".join(separator.join(row) + "\n" for row in [header, *rows])
    if kind < 0.9:
        rows = [
            {"id": draw.choice([row, str(row), row, None]), **{draw.choice(NAMES): _value(draw) for _ in range(3)}}
            for row in range(draw.randint(1, 5))
        ]
        if draw.random() < 0.5:
            return "\n".join(map(json.dumps, rows))
        return json.dumps(draw.choice([rows, dict(zip(map(str, range(5)), rows, strict=False)), {"data": rows}]))
    return "".join(draw.choice(CELLS) for _ in range(draw.randint(0, 60)))


def _content(draw: random.Random) -> bytes:
    content = bytearray(_text(draw).encode(draw.choice(["utf-8", "utf-8", "utf-16"]), "surrogatepass"))
    if content and draw.random() < 0.15:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    if draw.random() < 0.1:
        del content[draw.randrange(len(content) + 1) :]
    return gzip.compress(content) if draw.random() < 0.1 else bytes(content)


def _tried(tmp_path, seed: int) -> bool:
    draw = random.Random(seed)
    path = tmp_path / f"a{draw.choice(['.csv', '.tsv', '.jsonl', '.json', '.csv.gz', '.txt', '.parquet'])}"
    path.write_bytes(_content(draw))
    try:
        data = read_annotations(path, **draw.choice(OPTIONS))
        data.summary()
        data.item_table()
    except ContestedError:
        return False
    assert data.receipt.lines()
    json.dumps(data.receipt.to_json(), allow_nan=False)
    # Every vote of the summary is a vote of the receipt.
    assert sum(data.receipt.votes.values()) == data.n_items
    return True


def _try_all(tmp_path, seeds) -> int:
    read = 0
    for seed in seeds:
        begin = time.process_time()
        read += _tried(tmp_path, seed)
        assert time.process_time() - begin < 5, seed
    return read


def test_generated_files_are_read_or_refused(tmp_path):
    assert _try_all(tmp_path, range(400)) > 10


@pytest.mark.slow
def test_many_generated_files_are_read_or_refused(tmp_path):
    assert _try_all(tmp_path, range(1000, 13_000)) > 250
