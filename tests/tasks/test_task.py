from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contested.annotations import Annotations
from contested.errors import DataError
from contested.tasks import NLITask, TextClassificationTask, class_weights, read_bulk
from contested.tasks.task import normalise, stratified_split


def test_class_weights_by_hand() -> None:
    # Counts 1, 2, 4: inverses 1, 1/2, 1/4 sum to 7/4; times 3 / (7/4) = 12/7: 12/7, 6/7, 3/7, which sum to 3.
    labels = np.array([0, 1, 1, 2, 2, 2, 2])
    np.testing.assert_allclose(class_weights(labels, 3), [12 / 7, 6 / 7, 3 / 7])


def test_a_class_without_examples_cannot_be_weighted() -> None:
    with pytest.raises(DataError, match=r"Class 1 has no training example \(counts \[2, 0, 1\]\)"):
        class_weights(np.array([0, 0, 2]), 3)


def test_the_split_keeps_every_stratums_share() -> None:
    strata = np.array(["clean"] * 50 + ["ambiguous"] * 100 + ["contested"] * 50, object)
    train, validation = stratified_split(strata, 0.2, 42)
    assert sorted([*train, *validation]) == list(range(200))
    assert pd.Series(strata[validation]).value_counts().to_dict() == {"ambiguous": 20, "clean": 10, "contested": 10}


def test_a_stratum_of_one_is_refused_with_sizes() -> None:
    strata = np.array(["clean"] + ["contested"] * 9, object)
    with pytest.raises(DataError, match=r"contested: 9, clean: 1.*Use other categories"):
        stratified_split(strata, 0.2, 42)


def test_preparing_is_deterministic_and_tracks_the_train_split(annotated: Annotations, bulk: pd.DataFrame) -> None:
    first, second = (NLITask(annotated, bulk, bulk_size=30).prepare() for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert first.n_tracked == 32
    assert len(first.train_texts) == len(first.train_labels) == 62
    assert (first.examples["split"][:32] == "train").all()
    assert (first.examples["split"][32:] == "validation").all()
    # A tracked example's own row: text, counts and gold belong together.
    source = {uid: i for i, uid in enumerate(annotated.example_ids)}
    for row in first.examples.itertuples():
        i = source[row.example_id]
        assert row.premise == annotated.fields["premise"][i]
        assert np.array_equal(row.label_counts, annotated.label_counts[i])
        assert row.gold == annotated.label_counts[i].argmax()


def test_the_split_seed_and_the_bulk_seed_matter(annotated: Annotations, bulk: pd.DataFrame) -> None:
    prints = {
        NLITask(annotated, bulk, bulk_size=30, **seeds).prepare().fingerprint
        for seeds in ({}, {"split_seed": 1}, {"bulk_seed": 1})
    }
    assert len(prints) == 3


def test_bulk_examples_that_are_annotated_are_dropped_and_counted(annotated: Annotations, bulk: pd.DataFrame) -> None:
    leaked = bulk.copy()
    for row, item in [(0, 3), (5, 39)]:  # whichever split the item falls into
        leaked.loc[row, "premise"] = annotated.fields["premise"][item].upper() + " !"
        leaked.loc[row, "hypothesis"] = annotated.fields["hypothesis"][item]
    task = NLITask(annotated, leaked, bulk_size=None).prepare()
    assert task.counts == {"tracked": 32, "validation": 8, "bulk": 98, "bulk_available": 98, "leaked": 2}
    assert not {"bulk-0", "bulk-5"} & set(task.bulk["example_id"])


def test_sharing_only_a_premise_is_no_leak(annotated: Annotations, bulk: pd.DataFrame) -> None:
    alike = bulk.copy()
    alike.loc[0, "premise"] = annotated.fields["premise"][3]
    assert NLITask(annotated, alike, bulk_size=None).prepare().counts["leaked"] == 0


def test_too_small_a_bulk_is_refused(annotated: Annotations, bulk: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="500 bulk examples were requested, but there are 100"):
        NLITask(annotated, bulk, bulk_size=500).prepare()


def test_missing_text_columns_are_named(annotated: Annotations) -> None:
    with pytest.raises(DataError, match="no column text; they have premise, hypothesis, genre"):
        TextClassificationTask(annotated, text_columns=("text",)).prepare()


def test_nli_needs_its_classes(annotated: Annotations) -> None:
    other = dataclasses.replace(annotated, label_names=("a", "b", "c"))
    with pytest.raises(DataError, match="NLITask needs the classes entailment, neutral, contradiction"):
        NLITask(other)


def test_fields_named_like_own_columns_are_kept_beside_them(annotated: Annotations) -> None:
    fields = annotated.fields.assign(split="theirs", category="theirs")
    task = TextClassificationTask(dataclasses.replace(annotated, fields=fields)).prepare()
    assert set(task.examples["split"]) == {"train", "validation"}
    assert set(task.examples["split_given"]) == set(task.examples["category_given"]) == {"theirs"}


def test_examples_with_one_annotation_are_in_no_category_and_said(annotated: Annotations) -> None:
    counts = np.array(annotated.label_counts)
    single = [0, 5]
    counts[single] = [1, 0, 0]
    data = Annotations(annotated.example_ids, counts, annotated.label_names, annotated.fields)
    task = NLITask(data).prepare()
    ids = {annotated.example_ids[row] for row in single}
    examples = task.examples.set_index("example_id")
    assert set(examples.index[examples["category"] == "unknown"]) == ids
    assert set(examples.index[examples["entropy"].isna()]) == ids
    assert task.category_names == ("clean", "ambiguous", "contested")
    assert task.notes == (
        f"2 of {data.n_items} examples have one annotation, which shows no disagreement whatever people think: they "
        "are unknown, not clean, and in no category.",
    )
    assert NLITask(annotated).prepare().notes == ()
    # One such example alone does not stand in the way of the split.
    counts[5] = annotated.label_counts[5]
    alone = Annotations(annotated.example_ids, counts, annotated.label_names, annotated.fields)
    assert (NLITask(alone).prepare().examples["category"] == "unknown").sum() == 1


def test_without_bulk_the_annotated_examples_train_alone(annotated: Annotations) -> None:
    task = TextClassificationTask(annotated, class_weights=False).prepare()
    assert len(task.train_texts) == 32
    assert task.class_weights is None


def test_normalising_keeps_letters_and_digits_only() -> None:
    assert normalise("Two  dogs, 3 cats.") == normalise("two dogs 3 cats") == "twodogs3cats"


def test_bulk_files_of_snlis_own_form(tmp_path: Path) -> None:
    rows = [
        '{"pairID": "p1", "sentence1": "A.", "sentence2": "B.", "gold_label": "neutral"}',
        '{"pairID": "p2", "sentence1": "A.", "sentence2": "C.", "gold_label": "-"}',
    ]
    (tmp_path / "snli.jsonl").write_text("\n".join(rows))
    names = ("entailment", "neutral", "contradiction")
    table = read_bulk(tmp_path / "snli.jsonl", label_names=names)
    assert table[["example_id", "premise", "hypothesis", "label"]].to_numpy().tolist() == [
        ["p1", "A.", "B.", "neutral"]
    ]
    assert table.attrs == {"unlabelled": 1}


def test_bulk_labels_may_be_indices(tmp_path: Path) -> None:
    pd.DataFrame({"premise": ["A."] * 3, "hypothesis": ["B."] * 3, "label": [0, 2, -1]}).to_csv(
        tmp_path / "b.csv", index=False
    )
    assert read_bulk(tmp_path / "b.csv", label_names=("e", "n", "c"))["label"].tolist() == ["e", "c"]


def test_bulk_files_of_parquet(tmp_path: Path) -> None:
    rows = {"premise": ["A."] * 3, "hypothesis": ["B."] * 3, "label": [0, 2, -1], "idx": [7, 8, 9], "genre": ["x"] * 3}
    pd.DataFrame(rows).to_parquet(tmp_path / "b.parquet")
    table = read_bulk(tmp_path / "b.parquet", label_names=("e", "n", "c"))
    assert table["label"].tolist() == ["e", "c"]
    assert table["example_id"].tolist() == ["7", "8"]
    assert list(table) == ["premise", "hypothesis", "label", "example_id", "genre"]
    assert table.attrs == {"unlabelled": 1}


def test_problems_of_bulk_files_of_parquet_are_named_by_row(tmp_path: Path) -> None:
    rows = {"premise": ["A.", None], "hypothesis": ["B.", "B."], "label": ["e", "x"]}
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError) as caught:
        read_bulk([tmp_path / "a.parquet", tmp_path / "b.parquet"], label_names=("e", "n"))
    found = [problem.split(":")[0].replace(f"{tmp_path}/", "") for problem in caught.value.problems]
    assert sorted(found) == ["a.parquet, row 2", "a.parquet, row 2", "b.parquet is not a readable Parquet file"]


@pytest.mark.parametrize("labels", [["1", "2", "5"], [1, 2, 5], [1.0, 2, 5], ["1.0", " 2", "5.0"]])
def test_bulk_labels_of_classes_that_are_numbers_are_their_names(tmp_path: Path, labels: list[Any]) -> None:
    rows = [{"text": f"T{row}.", "label": label} for row, label in enumerate(labels)]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    table = read_bulk(tmp_path / "a.jsonl", label_names=("1", "2", "3", "4", "5"), text_columns=["text"])
    assert table["label"].tolist() == ["1", "2", "5"]
    # Indices, where no class is called so.
    named = read_bulk(tmp_path / "a.jsonl", label_names=("u", "v", "w", "x", "y", "z"), text_columns=["text"])
    assert named["label"].tolist() == ["v", "w", "z"]
    (tmp_path / "b.jsonl").write_text('{"text": "A.", "label": 0}\n{"text": "B.", "label": 1}\n')
    with pytest.raises(DataError, match="unknown label '0'; expected one of 1, 2"):
        read_bulk(tmp_path / "b.jsonl", label_names=("1", "2"), text_columns=["text"])


@pytest.mark.parametrize("label", ["1.5", "Infinity", "1e400"])
def test_bulk_labels_that_are_no_whole_numbers_are_no_indices(tmp_path: Path, label: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "A.", "label": {label}}}\n{{"text": "B.", "label": 0}}\n')
    with pytest.raises(DataError, match=r"line 1: unknown label '(1\.5|inf)'"):
        read_bulk(tmp_path / "a.jsonl", label_names=("e", "n"), text_columns=["text"])


def test_bulk_rows_without_an_id_or_a_label(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": 1, "text": "A.", "label": "e"}\n{"text": "B.", "label": "NA"}\n{"text": "C.", "label": " n"}\n'
    )
    table = read_bulk(tmp_path / "a.jsonl", label_names=("e", "n"), text_columns=["text"])
    assert (table["example_id"].tolist(), table["label"].tolist()) == (["1", "a.jsonl:3"], ["e", "n"])
    assert table.attrs["unlabelled"] == 1


def test_every_problem_of_every_bulk_file_is_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"premise": "A.", "hypothesis": "", "label": "e"}\n{oops\n'
        '{"premise": "A.", "hypothesis": "B.", "label": "x"}\n'
    )
    (tmp_path / "b.csv").write_text("premise,label\nA.,e\n")
    with pytest.raises(DataError) as caught:
        read_bulk([tmp_path / "a.jsonl", tmp_path / "b.csv", tmp_path / "c.jsonl"], label_names=("e", "n"))
    text = str(caught.value)
    for wanted in (
        "a.jsonl, line 2: is not valid JSON",
        "a.jsonl, line 1: hypothesis is empty",
        "a.jsonl, line 3: unknown label 'x'; expected one of e, n",
        "b.csv: no column hypothesis; it has premise, label",
        "c.jsonl does not exist",
    ):
        assert wanted in text


def test_the_papers_sizes_on_real_data(shared_data: Path) -> None:
    from contested.annotations import read_annotations

    annotated = read_annotations(shared_data / "chaosnli" / "chaosNLI_snli.jsonl")
    files: list[Any] = [shared_data / "snli" / f"snli_{part}.jsonl" for part in ("train_12k", "dev", "test")]
    bulk = read_bulk(files, label_names=annotated.label_names)
    task = NLITask(annotated, bulk).prepare()
    assert task.counts["leaked"] == 1514
    assert (task.n_tracked, len(task.examples) - task.n_tracked) == (1211, 303)
    assert len(task.train_texts) == 21_211
    tracked = task.examples[: task.n_tracked]["category"].value_counts()
    # 80 % of 378, 766 and 370.
    assert tracked.to_dict() == {"ambiguous": 613, "clean": 302, "contested": 296}


def test_hub_bulk_reads_the_data_sets_own_class_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    from contested.tasks import hub_bulk

    # As stanfordnlp/snli: classes as integers with names of their own, -1 for none.
    features = datasets.Features(
        premise=datasets.Value("string"),
        hypothesis=datasets.Value("string"),
        label=datasets.ClassLabel(names=["entailment", "neutral", "contradiction"]),
    )
    rows = {"premise": ["A."] * 3, "hypothesis": ["B.", "C.", "D."], "label": [2, -1, 0]}
    asked = []

    def load(*args: Any, **kwargs: Any) -> Any:
        asked.append((args, kwargs))
        return datasets.Dataset.from_dict(rows, features=features)

    monkeypatch.setattr(datasets, "load_dataset", load)
    table = hub_bulk(
        "nyu-mll/glue", subset="mnli", split="train", label_names=("contradiction", "entailment", "neutral")
    )
    assert asked == [(("nyu-mll/glue", "mnli"), {"split": "train", "revision": None})]
    assert table["label"].tolist() == ["contradiction", "entailment"]
    assert table.attrs["unlabelled"] == 1


def test_hub_bulk_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    from contested.tasks import hub_bulk

    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Couldn't reach the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(DataError, match=r"Cannot load 'stanfordnlp/snli'.*Couldn't reach the Hub.*give local files"):
        hub_bulk("stanfordnlp/snli", subset=None, split="train", label_names=("e", "n", "c"))
