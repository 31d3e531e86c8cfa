"""What is said or refused of tracked examples whose tokens a user's own processing made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

import contested as ct
from contested.integrations.classification import read_tracked
from contested.integrations.words import check_words
from contested.tasks import added_ids

LABELS = ("no", "yes")


class Given:
    """A tiny encoder, its tokenizer, and rows of tokens."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForSequenceClassification.from_pretrained(folder, id2label=dict(enumerate(LABELS)))
        self.words = sorted(
            set(range(len(self.tokenizer))) - {*added_ids(self.tokenizer).tolist(), self.tokenizer.unk_token_id}
        )

    def rows(self, lengths: list[int], **columns: Any) -> dict[str, Any]:
        """Rows of words of some lengths, the first token [CLS]."""
        tokens = [[self.tokenizer.cls_token_id, *self.words[: length - 1]] for length in lengths]
        ids = [f"e{row}" for row in range(len(lengths))]
        return {"id": ids, "input_ids": tokens, "labels": [0] * len(ids), **columns}

    def said(self, rows: dict[str, Any], *, tokenizer: Any = "its own", **options: Any) -> tuple[str, ...]:
        tracked = read_tracked(rows, None, id_column="id", text_columns=(), **options)
        return check_words(tracked, self.model, self.tokenizer if tokenizer == "its own" else tokenizer)


@pytest.fixture
def given(checkpoint: Callable[[str], Path]) -> Given:
    return Given(checkpoint("bert"))


def test_nothing_is_said_of_words_that_the_model_knows(given: Given) -> None:
    assert given.said(given.rows([3, 4, 5, 6, 7, 8])) == ()


def test_ids_beyond_the_embeddings_are_refused_by_id(given: Given) -> None:
    size = given.model.get_input_embeddings().num_embeddings
    rows = given.rows([3, 3, 3], token_type_ids=[[0, 0, 0], [0, 0, 7], [0, 0, 0]])
    rows["input_ids"][1][2] = size
    rows["input_ids"][2][1] = size
    given.tokenizer.add_tokens([f"new{number}" for number in range(size + 1 - len(given.tokenizer))])
    for tokenizer, named in (("its own", "the token 'new"), (None, "a token has")):
        with pytest.raises(ct.DataError) as caught:
            given.said(rows, tokenizer=tokenizer)
        first, second = caught.value.problems
        assert first.startswith("tracked example 'e1' and 1 more: ")
        assert named in first
        assert f"the id {size}, the model {size:,} embeddings" in first
        assert second.startswith("tracked example 'e1': the token type 7, and the model has 2 embeddings")


def test_a_collators_ids_are_its_own_affair(given: Given) -> None:
    rows = given.rows([3])
    rows["input_ids"][0][1] = 10**6
    assert given.said(rows, collator=dict) == ()


def test_examples_without_a_token_of_a_text_are_refused(given: Given) -> None:
    rows = given.rows([3, 3])
    rows["input_ids"][1] = [given.tokenizer.cls_token_id, given.tokenizer.sep_token_id]
    with pytest.raises(ct.DataError, match="tracked example 'e1': nothing but special tokens"):
        given.said(rows)
    assert given.said(rows, tokenizer=None) == ()


def test_unknown_tokens_are_counted_and_many_refused(given: Given) -> None:
    rows = given.rows([11] * 4)
    rows["input_ids"][2][1] = given.tokenizer.unk_token_id
    assert given.said(rows) == ("2.5% of the tokens are unknown to the tokenizer ([UNK]).",)
    rows["input_ids"][2] = [given.tokenizer.unk_token_id] * 10
    rows["input_ids"][1][1:] = [given.tokenizer.unk_token_id] * 10
    with pytest.raises(ct.DataError, match=r"of the tokens are unknown to the tokenizer .* was not made for"):
        given.said(rows)


@pytest.mark.parametrize(
    ("lengths", "cut"),
    [
        ([3, 5, 6, 7, 9, 15, *[16] * 6], True),
        ([3, 5, 6, 7, 9, 15, *[16] * 4], False),  # a few
        ([3, 5, 6, 7, 9, 15, *[17] * 6], False),  # no number that anybody cuts at
        ([3, 5, 13, 14, 14, 15, 15, 15, 15, *[16] * 6], False),  # the end of a hill
        ([16] * 9, False),
    ],
)
def test_texts_that_seem_to_be_cut_are_counted(given: Given, lengths: list[int], cut: bool) -> None:
    told = f"6 of {len(lengths)} tracked examples have exactly 16 tokens, the most that any has: they seem to be cut"
    found = given.said(given.rows(lengths))
    assert [told in note for note in found] == [True] * cut


def test_the_trainer_hears_of_it_before_step_0(given: Given, tmp_path: Path) -> None:
    def train(rows: dict[str, Any]) -> None:
        arguments = TrainingArguments(
            str(tmp_path / "trainer"), max_steps=1, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True
        )
        train_rows = [{"input_ids": tokens, "labels": 0} for tokens in given.rows([4, 5])["input_ids"]]
        callback = ct.TrajectoryCallback(rows, tmp_path / "run", split="validation")
        Trainer(
            given.model,
            arguments,
            train_dataset=train_rows,
            processing_class=given.tokenizer,
            callbacks=[callback],
        ).train()

    rows = given.rows([11] * 4)
    rows["input_ids"][2][1] = given.model.get_input_embeddings().num_embeddings
    with pytest.raises(ct.DataError, match="The model cannot read the tracked examples as they are"):
        train(rows)
    assert not (tmp_path / "run").exists()
    rows["input_ids"][2][1] = given.tokenizer.unk_token_id
    with pytest.warns(UserWarning, match=r"2.5% of the tokens are unknown to the tokenizer"):
        train(rows)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["notes"] == ["2.5% of the tokens are unknown to the tokenizer ([UNK])."]
    assert np.isfinite(ct.Trajectory.load(tmp_path / "run").losses).all()
