"""Whether a model gets real words: token ids held against its embeddings, and what its tokenizer made of the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from contested import models, tasks, training
from contested.errors import DataError
from contested.wording import counted, listed


def check_words(data: tasks.TaskData, model: models.TextModel, encoded: training.TrainingSet) -> tuple[str, ...]:
    """Refuse texts that a model cannot read as they are, before anything is trained.

    Args:
        data: The concrete task.
        model: Decides the tokens.
        encoded: The task's tokens.

    Returns:
        What is to be said of them, a sentence each.

    Raises:
        DataError: With every text that has no token, ids beyond the model's embeddings or end tokens that its head
            would miscount, by example id; or if many tokens are unknown.
    """
    parts = _parts(data, encoded)
    plain = _plain_text(data, model)
    problems = [problem for part in parts for problem in _problems(part, model, plain)]
    unknown, notes = tasks.unknown_tokens(parts, model.tokenizer)
    if problems or unknown:
        raise DataError(
            "The model cannot read the texts as they are; give the tokenizer that belongs to it, change these texts "
            "or leave these examples out:",
            [*unknown, *problems],
        )
    return (*notes, *_marked(data, parts, model, plain), *_cut(data, model, encoded))


def _parts(data: tasks.TaskData, encoded: training.TrainingSet) -> list[tasks.TextPart]:
    """Every text once: of the training set the bulk alone, as its other examples are tracked."""
    ids = data.examples["example_id"].tolist()
    bulk = data.bulk["example_id"].tolist()
    apart = [] if encoded.validation_is_tracked else [encoded.validation]
    return [
        tasks.TextPart("tracked example", ids[: len(encoded.tracked)], encoded.tracked),
        *(tasks.TextPart("validation example", ids[data.n_tracked :], texts) for texts in apart),
        tasks.TextPart("bulk example", bulk, encoded.train.rest(len(encoded.train) - len(bulk))),
    ]


def _plain_text(data: tasks.TaskData, model: models.TextModel) -> tasks.EncodedTexts:
    """The tokens of texts in which nothing is special, which are those that the tokenizer adds by itself, and words."""
    table = pd.DataFrame({name: ["a"] for name in data.text_columns})
    return tasks.encode(model.tokenizer, table, max_length=2**20, template=model.family.template)


def _problems(part: tasks.TextPart, model: models.TextModel, plain: tasks.EncodedTexts) -> Iterator[str]:
    rows, texts, tokenizer = models.embeddings_of(model.module), part.texts, model.tokenizer
    yield from tasks.beyond_embeddings(part, tokenizer, tokens=rows.tokens, types=rows.types)
    added = plain.count(tasks.added_ids(tokenizer))[0] if model.family.template is None else 0
    empty = np.flatnonzero(texts.lengths <= added)
    if len(empty):
        yield f"{part.first(empty)}: the tokenizer makes no token of the text"
    if models.base_model(model.module).config.model_type in models.READS_LAST_END:
        yield from _miscounted(part, model, plain)


def _miscounted(part: tasks.TextPart, model: models.TextModel, plain: tasks.EncodedTexts) -> Iterator[str]:
    """Texts with other than the tokenizer's own end tokens, where a head reads at the last of as many as all have."""
    config = models.base_model(model.module).config
    wanted, found = plain.count(config.eos_token_id)[0], part.texts.count(config.eos_token_id)
    wrong = np.flatnonzero((found != wanted) | (found == 0))
    if len(wrong):
        yield (
            f"{part.first(wrong)}: {counted(int(found[wrong[0]]), 'end token')} where {max(wanted, 1)} belong, at the "
            f"last of which the head of {config.model_type} reads"
        )


def _marked(
    data: tasks.TaskData, parts: Sequence[tasks.TextPart], model: models.TextModel, plain: tasks.EncodedTexts
) -> list[str]:
    """Say which texts hold special tokens, and whether they are read as such or as letters."""
    tokenizer = model.tokenizer
    if tokenizer.split_special_tokens:
        return _as_letters(data, tokenizer)
    notes = []
    for part in parts:
        found = {number: part.texts.count(number) > plain.count(number)[0] for number in tasks.added_ids(tokenizer)}
        rows = np.flatnonzero(np.any(list(found.values()), axis=0)) if found else np.zeros(0, np.int64)
        if len(rows):
            names = [tokenizer.convert_ids_to_tokens(int(number)) for number, where in found.items() if where.any()]
            notes.append(f"Special tokens in the text of {part.first(rows)} are read as such ({listed(names)}).")
    return notes


def _as_letters(data: tasks.TaskData, tokenizer: Any) -> list[str]:
    columns = [*data.text_columns]
    texts = pd.concat([data.examples[columns], data.bulk[columns]]).astype(str)
    holds = [texts[name].str.contains(str(tokenizer.eos_token), regex=False) for name in columns]
    number = int(np.any(holds, axis=0).sum())
    if not number:
        return []
    return [
        f"The end token {tokenizer.eos_token!r} stands in the text of {counted(number, 'example')}; it is read as "
        "letters, as the model's head reads at the last end token. The saved tokenizer does the same."
    ]


def _cut(data: tasks.TaskData, model: models.TextModel, encoded: training.TrainingSet) -> list[str]:
    """Say how many texts are cut, and what of them."""
    sets = {"training": encoded.train, "tracked": encoded.tracked, "validation": encoded.validation}
    cut = [f"{texts.truncated:,} of {len(texts):,} {name}" for name, texts in sets.items() if texts.truncated]
    if not cut:
        return []
    longest = max(int(texts.lengths.max()) for texts in sets.values() if len(texts))
    said = f"Texts longer than {longest} tokens are cut ({', '.join(cut)}); model.max_length sets this."
    if model.family.template is not None and len(data.text_columns) > 1:
        side = 0 if model.tokenizer.truncation_side == "left" else -1
        said += f" What is cut is of {data.text_columns[side]}, which may be lost altogether."
    return [said]
