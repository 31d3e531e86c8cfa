"""Published sets with their documented commands, against a computation with pandas that knows each file's layout."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from contested.annotations import read_annotations


def convabuse(path):
    entries = json.loads(path.read_text(encoding="utf-8"))
    return [(key, label) for key, entry in entries.items() for label in entry["annotations"].split(",")]


def by_annotator(path):
    entries = json.loads(path.read_text(encoding="utf-8"))
    votes = [(key, given) for key, entry in entries.items() for given in entry["annotations"].values()]
    return [(key, label) for key, given in votes for label in given.split(",")]


def varierr(path):
    rows = pd.read_json(path, lines=True, dtype={"id": str})
    counts = [
        (key, label, n)
        for key, found in zip(rows["id"], rows["label_count_round_1"], strict=True)
        for label, n in found.items()
    ]
    return [(key, label) for key, label, n in counts for _ in range(int(n or 0))]


def gwsd(path):
    rows = pd.read_csv(path, sep="\t")
    votes = rows.melt("guid", [f"worker_{i}" for i in range(8)]).dropna()
    return list(zip(votes["guid"], votes["value"], strict=True))


def chaosnli(path):
    rows = pd.read_json(path, lines=True)
    names = {"e": "entailment", "n": "neutral", "c": "contradiction"}
    counters = zip(rows["uid"], rows["label_counter"], strict=True)
    return [(uid, names[key]) for uid, counter in counters for key, n in counter.items() for _ in range(n)]


WORKERS = [f"worker_{i}" for i in range(8)]


@pytest.mark.parametrize(
    ("file", "options", "votes"),
    [
        ("chaosnli/chaosNLI_snli.jsonl", {}, chaosnli),
        ("chaosnli/chaosNLI_mnli_m.jsonl", {}, chaosnli),
        ("annotators/lewidi2023_ConvAbuse_train.json", {}, convabuse),
        ("annotators/lewidi2023_ConvAbuse_dev.json", {}, convabuse),
        ("annotators/lewidi2025_Paraphrase_train.json", {"scale": range(-5, 6)}, by_annotator),
        ("annotators/lewidi2025_VariErrNLI_train.json", {"multilabel": "mentions"}, by_annotator),
        ("annotators/varierr.jsonl", {"count_columns": "label_count_round_1"}, varierr),
        ("annotators/gwsd.tsv", {"id_column": "guid", "labels_column": WORKERS}, gwsd),
    ],
    ids=lambda value: value.rsplit("/")[-1] if isinstance(value, str) else "",
)
def test_published_sets_agree_with_pandas(shared_data, file, options, votes):
    path = shared_data / file
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    if "scale" in options:
        options = {"scale": [str(rating) for rating in options["scale"]]}
    data = read_annotations(path, **options)
    told = pd.DataFrame(votes(path), columns=["item", "label"]).astype(str)
    counts = pd.crosstab(told["item"], told["label"]).reindex(list(data.example_ids))
    assert set(counts.columns) == set(np.array(data.label_names)[data.label_counts.sum(axis=0) > 0])
    counts = counts.reindex(columns=list(data.label_names), fill_value=0)
    np.testing.assert_array_equal(counts.to_numpy(), data.label_counts)
    shares = counts.div(counts.sum(axis=1), axis=0).to_numpy()
    entropy = -np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1)), 0).sum(axis=1)
    known = data.n_annotators > 1
    np.testing.assert_allclose(data.entropy[known], entropy[known], rtol=0, atol=1e-12)
    if data.votes is not None:
        assert data.votes.are_named
