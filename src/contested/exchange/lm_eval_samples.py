"""One line of lm-evaluation-harness's samples, and what the lines of a task have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from contested.errors import DataError
from contested.exchange.annotated import usual_texts
from contested.exchange.records import Record

_IDS = ("uid", "id", "example_id", "item_id", "guid", "pairID", "question_id")


class Sample(NamedTuple):
    """What was logged of one document.

    Attributes:
        position: Its number in the task's split.
        fields: The document's own fields.
        scores: Log-likelihood of each choice (nats, summed over its tokens).
        choices: Text of each choice; empty where they are not told apart by it.
        target: What the task calls right: the index of a choice, or its text.
        right: Whether the choice with the highest log-likelihood is; None where that is not said.
        filter: The name of the filter that the answers went through.
        document: Hash of the document.
        prompt: Hash of what the model was asked.
    """

    position: str
    fields: Mapping[str, Any]
    scores: list[float]
    choices: tuple[str, ...]
    target: str
    right: bool | None
    filter: str
    document: str
    prompt: str


def as_sample(line: Any) -> Sample:
    """A line of a file.

    Args:
        line: What JSON gives.

    Returns:
        The sample.

    Raises:
        ValueError: If it is no line of a multiple-choice task.
    """
    if not isinstance(line, dict) or not {"doc_id", "filtered_resps", "arguments"} <= line.keys():
        raise ValueError(f"expected an object with doc_id, filtered_resps and arguments; given {json.dumps(line):.60}")
    answers, asked = line["filtered_resps"], _arguments(line["arguments"])
    try:
        scores = [float(answer[0]) for answer in answers]
    except (TypeError, ValueError, IndexError, KeyError):
        scores = []
    if "acc_mutual_info" in line and len(scores) % 2 == 0:
        # The second half is of the choices without a question.
        scores = scores[: len(scores) // 2]
    if len(scores) < 2:
        raise ValueError(
            f"filtered_resps is {json.dumps(answers):.60}, expected a log-likelihood for each of several choices "
            "(output_type: multiple_choice)"
        )
    choices = tuple(text.strip() for text in asked[: len(scores)])
    fields = line.get("doc")
    return Sample(
        position=str(line["doc_id"]),
        fields=fields if isinstance(fields, dict) else {},
        scores=scores,
        choices=choices if len(set(choices)) == len(scores) else (),
        target=str(line.get("target", "")).strip(),
        right=bool(line["acc"]) if line.get("acc") in (0, 1) else None,
        filter=str(line.get("filter", "")),
        document=str(line.get("doc_hash", "")),
        prompt=str(line.get("prompt_hash", "")),
    )


def _arguments(given: Any) -> list[str]:
    """The continuation of each request; of older versions they are lists."""
    requests = list(given.values()) if isinstance(given, dict) else given if isinstance(given, list) else []
    texts = [request.get("arg_1") if isinstance(request, dict) else request[1:2] for request in requests]
    return [str(text[0] if isinstance(text, list) and text else text) for text in texts]


@dataclass(frozen=True)
class Convention:
    """How a task's samples are read.

    Attributes:
        filter: The filter whose answers count; other lines repeat them.
        id_field: The document's field with its id; empty where its position is the id.
        gold: A sample to the index of its right choice; None where targets do not say it.
        order: The index of the choice of each class.
        label_names: Class names; empty where classes are the choices' positions.
    """

    filter: str
    id_field: str
    gold: Callable[[Sample], int | None] | None
    order: tuple[int, ...]
    label_names: tuple[str, ...]

    def name(self, sample: Sample) -> str:
        """The example's id; a ValueError says that there is none."""
        name = str(sample.fields.get(self.id_field, "")) if self.id_field else sample.position
        if not name:
            raise ValueError(f"the document has no {self.id_field}, unlike those of the first checkpoint")
        return name

    def texts(self, samples: Sequence[Sample]) -> dict[str, dict[str, str]]:
        """The documents' texts, as far as their fields have usual names.

        Args:
            samples: All of a checkpoint.

        Returns:
            Each column's text by the example's id.
        """
        columns = usual_texts(samples[0].fields)
        return {
            column: {self.name(sample): str(sample.fields.get(column, "")) for sample in samples} for column in columns
        }

    def record(self, sample: Sample) -> tuple[str, Record]:
        """A sample as a record, and its id.

        Args:
            sample: One of the task's.

        Returns:
            Both.

        Raises:
            ValueError: If it is unlike the task's first checkpoint.
        """
        name = self.name(sample)
        if len(sample.scores) != len(self.order):
            raise ValueError(f"{len(sample.scores)} choices, where the first document has {len(self.order)}")
        label = None if self.gold is None else self.gold(sample)
        if self.gold is not None and label is None:
            raise ValueError(f"the target {sample.target!r:.40} is none of the choices, unlike at the first checkpoint")
        logits = [sample.scores[index] for index in self.order]
        return name, Record(name, logits=logits, gold=None if label is None else self.order.index(label))


def convention_of(samples: Sequence[Sample], label_names: tuple[str, ...] | None) -> tuple[Convention, list[str]]:
    """Find how a task's samples are to be read from those of its first checkpoint.

    Args:
        samples: All of them.
        label_names: The classes as the caller names them, or None.

    Returns:
        The convention, and what is to be known of it, a sentence each.

    Raises:
        DataError: If there are none, or targets can be read in two ways.
    """
    if not samples:
        raise DataError("The first file of samples holds no line.")
    seen = [sample for sample in samples if sample.filter == samples[0].filter]
    id_field, notes = _id_field(seen)
    gold = _gold(seen)
    if gold is None:
        notes.append(
            "Gold labels are unknown: the targets are neither indices nor texts of one choice with which the logged "
            "accuracy (acc) agrees."
        )
    names = seen[0].choices if all(sample.choices == seen[0].choices for sample in seen) else ()
    order = tuple(range(len(seen[0].scores)))
    if label_names and sorted(label_names) == sorted(names):
        order = tuple(names.index(name) for name in label_names)
    elif not names:
        notes.append("Choices differ from document to document: a class is the position of a choice.")
    return Convention(seen[0].filter, id_field, gold, order, label_names or names), notes


def _id_field(seen: list[Sample]) -> tuple[str, list[str]]:
    for field in _IDS:
        values = [sample.fields.get(field) for sample in seen]
        if all(type(value) in {int, str} and value != "" for value in values) and len(set(values)) == len(values):
            return field, []
    return "", ["Documents have no id of their own: ids are their positions in the task's split (doc_id)."]


def _gold(seen: list[Sample]) -> Callable[[Sample], int | None] | None:
    """How targets are read: as the one of two ways that gives every sample a choice, and its logged accuracy."""
    fitting = [way for way in (_by_index, _by_text) if all(_fits(way(sample), sample) for sample in seen)]
    if len(fitting) == 2 and any(_by_index(sample) != _by_text(sample) for sample in seen):
        raise DataError(
            "Targets such as "
            f"{seen[0].target!r} are indices of choices as well as texts of others, and no logged accuracy (acc) "
            "tells which. Log the samples with the metric acc."
        )
    return fitting[0] if fitting else None


def _by_index(sample: Sample) -> int | None:
    index = int(sample.target) if sample.target.isdecimal() else len(sample.scores)
    return index if index < len(sample.scores) else None


def _by_text(sample: Sample) -> int | None:
    return sample.choices.index(sample.target) if sample.target in sample.choices else None


def _fits(label: int | None, sample: Sample) -> bool:
    best = sample.scores.index(max(sample.scores))
    return label is not None and (sample.right is None or sample.right == (label == best))
