"""Tracked examples of a classifier: read, checked, and joined with annotators' labels."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from contested.annotations import Annotations
from contested.annotations.disagreement import PLAIN, Disagreement
from contested.errors import ConfigError, DataError
from contested.integrations.arguments import content_fingerprint
from contested.integrations.columns import access, covariate_of, join_annotations, values_of
from contested.integrations.inputs import LABELS, TOKENS, Collator, Inputs, encoded_columns
from contested.integrations.tracked import Outputs, measured
from contested.tasks import EncodedTexts
from contested.training.objective import cross_entropy
from contested.wording import listed

_SPLIT = "split"


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False)
class TrackedExamples:
    """N tracked examples of a classifier, checked (see :class:`Tracked`).

    Attributes:
        ids: Their ids, unique, (N,).
        inputs: What a model reads of them.
        gold: Class indices, (N,).
        texts: Text columns by name, N texts each.
        label_counts: How many annotators chose each class, (N, K), or None.
        label_names: The classes of ``label_counts`` in their order; empty without annotations.
        counts: How many were given, and how many ids only one side has.
        given_names: Class names in the order of the logits as the user says, or None.
        covariates: Further columns of the example table, (N,) each.
        content: A fingerprint of what a model reads beside tokens; empty where there is nothing else.
        disagreement: The measure by which the annotations are cut into categories.
    """

    ids: tuple[str, ...]
    inputs: Inputs
    gold: NDArray[np.int64]
    texts: Mapping[str, Sequence[str]]
    label_counts: NDArray[np.int64] | None
    label_names: tuple[str, ...]
    counts: Mapping[str, int]
    given_names: tuple[str, ...] | None
    covariates: Mapping[str, NDArray[Any]]
    content: str
    disagreement: Disagreement = PLAIN

    def names(self, model: nn.Module) -> tuple[str, ...]:
        """See :class:`Tracked`; an order that nobody stated is asked for, not guessed."""
        configured = getattr(getattr(model, "config", None), "id2label", None) or {}
        names = self.given_names or tuple(str(configured[key]) for key in sorted(configured))
        unnamed = self.given_names is None and all(name == f"LABEL_{index}" for index, name in enumerate(names))
        if not names or (unnamed and self.label_names):
            raise ConfigError(
                "The model's configuration does not name its classes, so that their order is unknown. Give "
                "label_names, the class names in the order of the logits"
                + (f" (the annotations have {', '.join(self.label_names)})." if self.label_names else ".")
            )
        if self.label_names and sorted(names) != sorted(self.label_names):
            raise ConfigError(
                f"The model's classes are {', '.join(names)}, those of the annotations {', '.join(self.label_names)}. "
                "Give label_names, the names of the annotations in the order of the logits."
            )
        if self.gold.max() >= len(names):
            raise ConfigError(
                f"A tracked example has the label {self.gold.max()}, but the classes are 0 to {len(names) - 1} "
                f"({', '.join(names)})."
            )
        return names

    def outputs(self, model: nn.Module, rows: NDArray[np.int64], *, processing_class: Any, batch_size: int) -> Outputs:
        """See :class:`Tracked`."""
        pad_id = getattr(processing_class, "pad_token_id", None)
        logits = self.inputs.logits(model, rows, pad_id=pad_id, batch_size=batch_size)
        return Outputs(cross_entropy(logits, self.gold[rows]), logits)

    @property
    def fingerprint(self) -> str:
        """Of ids, tokens, labels and annotators' labels; the same on every machine."""
        content = hashlib.sha256(json.dumps([self.ids, self.label_names, *measured(self)]).encode())
        encoded = self.inputs.encoded
        tokens = () if encoded is None else (encoded.input_ids, encoded.offsets, encoded.token_type_ids)
        for array in (*tokens, self.gold, self.label_counts):
            content.update(b"-" if array is None else np.asarray(array, "<i8").tobytes())
        for name, values in self.covariates.items():
            content.update(json.dumps([name, [str(value) for value in values]]).encode())
        content.update(self.content.encode())
        return content.hexdigest()[:16]


def read_tracked(
    tracked: Any,
    annotations: Annotations | None,
    *,
    id_column: str,
    text_columns: Sequence[str],
    label_names: Sequence[str] | None = None,
    collator: Collator | None = None,
    covariates: Sequence[str] = (),
    split: str | None = None,
) -> TrackedExamples:
    """Read and check tracked examples; those that nobody annotated are left out, with a warning that counts them.

    Args:
        tracked: A ``datasets.Dataset``, columns by name, or a list of rows.
        annotations: Annotators' labels by id, or None.
        id_column: The column of ids.
        text_columns: Columns to keep as text.
        label_names: Class names in the order of the model's logits, or None where the model names them.
        collator: Makes batches of rows; rows then need no tokens.
        covariates: Columns to keep as they are, of these examples or of the annotated ones.
        split: Of all examples, in place of a column; None: as the column says.

    Returns:
        The examples in the order given.

    Raises:
        DataError: If columns are missing or do not fit; all problems at once.
    """
    names, column, row_of = access(tracked)
    label_column = next((name for name in LABELS if name in names), LABELS[0])
    tokens = ["input_ids"] if collator is None or "input_ids" in names else []
    annotated = () if annotations is None else tuple(map(str, annotations.fields))
    needed = [id_column, *tokens, label_column, *text_columns, *sorted(set(covariates) - {*annotated})]
    problems = [f"the column {name} is missing; it has {listed(names)}" for name in needed if name not in names]
    if problems:
        raise DataError("The tracked examples cannot be used:", problems)
    ids = [str(value) for value in values_of(column(id_column))]
    gold = _gold(column(label_column), label_column, problems)
    found = {name: column(name) for name in TOKENS if name in names} if tokens else {}
    encoded = encoded_columns(found, ids, problems) if tokens else None
    splits = _splits([str(value) for value in column(_SPLIT)] if _SPLIT in names else None, split, ids, problems)
    problems += _mistakes(ids, gold, encoded, id_column=id_column, split=splits)
    if problems:
        raise DataError("The tracked examples cannot be used:", problems)
    rows, counts, numbers = np.arange(len(ids)), None, {"tracked": len(ids)}
    if annotations is not None:
        rows, counts, numbers = join_annotations(ids, annotations)
    known = {id_column, label_column, _SPLIT, *TOKENS, *text_columns}
    further = tuple(name for name in names if name not in known)
    inputs = Inputs(encoded, further, row_of, np.arange(len(ids)), collator)
    kept = {} if splits is None else {_SPLIT: np.array(splits, object)}
    for name in set(covariates) - {*text_columns}:
        kept[name] = covariate_of(name, column(name) if name in names else None, annotations, ids)
    return TrackedExamples(
        tuple(ids[row] for row in rows),
        inputs.selected(rows),
        gold[rows],
        {name: [str(value) for value in np.array(column(name), object)[rows]] for name in text_columns},
        counts,
        () if annotations is None else annotations.label_names,
        numbers,
        None if label_names is None else tuple(label_names),
        {name: values[rows] for name, values in kept.items()},
        _content(tracked, row_of, len(ids)) if further or collator is not None else "",
        PLAIN if annotations is None else annotations.disagreement,
    )


def _splits(column: list[str] | None, split: str | None, ids: Sequence[str], problems: list[str]) -> list[str] | None:
    """The split of each example: of its column, or one for all."""
    if split is None:
        return column
    if column:
        problems.append("split is given as a column and as an argument; give one of them")
    return [split] * len(ids)


def _content(tracked: Any, row_of: Callable[[int], Mapping[str, Any]], n: int) -> str:
    return content_fingerprint([row_of(row) for row in range(n)] if isinstance(tracked, Mapping) else tracked) or ""


def _mistakes(
    ids: list[str],
    gold: NDArray[np.int64],
    encoded: EncodedTexts | None,
    *,
    id_column: str,
    split: list[str] | None,
) -> Iterator[str]:
    repeated = [name for name, times in Counter(ids).items() if times > 1]
    if repeated:
        yield f"{id_column}: ids occur more than once: {listed(repeated)}"
    if not ids:
        yield "there are none"
    lengths = {"labels": len(gold)} | ({} if encoded is None else {"token lists": len(encoded)})
    if any(length != len(ids) for length in lengths.values()):
        told = " and ".join(f"{length} {name}" for name, length in lengths.items())
        yield f"{len(ids)} ids, {told}; expected as many of each"
    unknown = sorted(set(split or ()) - {"train", "validation"})
    if unknown:
        yield f"{_SPLIT}: given {listed(unknown)}; expected train or validation"


def _gold(column: Sequence[Any], name: str, problems: list[str]) -> NDArray[np.int64]:
    given = values_of(column)
    wrong = [value for value in given if isinstance(value, bool) or not isinstance(value, int) or value < 0]
    if wrong:
        problems.append(f"{name}: {len(wrong)} of {len(given)} are no class index (0, 1, …), the first {wrong[0]!r}")
        return np.zeros(len(given), np.int64)
    return np.array(given, np.int64)
