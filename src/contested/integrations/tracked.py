"""What is followed while somebody else trains, and tracked examples of a classifier: read, checked, joined."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import nn

from contested.annotations import Annotations
from contested.annotations.categories import Categories, fixed_categories
from contested.annotations.disagreement import PLAIN, Disagreement
from contested.errors import ConfigError, DataError
from contested.integrations.arguments import content_fingerprint
from contested.integrations.inputs import LABELS, TOKENS, Collator, Inputs, encoded_columns
from contested.tasks import EncodedTexts
from contested.training.objective import cross_entropy
from contested.trajectories.label_order import contradicted_order
from contested.wording import listed

_SPLIT = "split"


class Outputs(NamedTuple):
    """What a pass found of n examples, in the order in which they were asked for.

    Attributes:
        losses: Nats, shape (n,).
        logits: Shape (n, K), or None where the examples have no classes.
        extra: Further values of each example to record, by column name, each of shape (n,).
    """

    losses: NDArray[np.float64]
    logits: NDArray[np.float32] | None
    extra: Mapping[str, NDArray[np.float64]] = {}


@runtime_checkable
class Tracked(Protocol):
    """N examples that are followed while somebody else trains, and how a model answers them.

    An implementation knows neither when it is asked nor who trains: modes, gradients and random states are the
    caller's affair.
    """

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids, unique, (N,)."""
        ...

    @property
    def gold(self) -> NDArray[np.int64] | None:
        """Class indices in the order of the logits, (N,), or None where there are no classes."""
        ...

    @property
    def label_counts(self) -> NDArray[np.int64] | None:
        """How many annotators chose each class, (N, K), in the order of ``label_names``, or None."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """The classes of ``label_counts``; empty without annotators."""
        ...

    @property
    def texts(self) -> Mapping[str, Sequence[str]]:
        """Text columns by name, N texts each."""
        ...

    @property
    def covariates(self) -> Mapping[str, NDArray[Any]]:
        """Further columns of the example table by name, (N,) each."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How many were given, and how many were left out and why, for the manifest."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of everything that decides what is recorded; the same on every machine."""
        ...

    def names(self, model: nn.Module) -> tuple[str, ...]:
        """The classes in the order of the model's logits; a ConfigError where unknown; empty without logits."""
        ...

    def outputs(self, model: nn.Module, rows: NDArray[np.int64], *, processing_class: Any, batch_size: int) -> Outputs:
        """Answer the examples ``rows`` with the model as it stands.

        How often the model is called depends on ``len(rows)`` and ``batch_size`` alone: processes that share a
        model's weights call it together.
        """
        ...


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
    names, column, row_of = _access(tracked)
    label_column = next((name for name in LABELS if name in names), LABELS[0])
    tokens = ["input_ids"] if collator is None or "input_ids" in names else []
    annotated = () if annotations is None else tuple(map(str, annotations.fields))
    needed = [id_column, *tokens, label_column, *text_columns, *sorted(set(covariates) - {*annotated})]
    problems = [f"the column {name} is missing; it has {listed(names)}" for name in needed if name not in names]
    if problems:
        raise DataError("The tracked examples cannot be used:", problems)
    ids = [str(value) for value in _values(column(id_column))]
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


def check_order(tracked: Tracked, names: tuple[str, ...]) -> None:
    """Refuse an order of the classes that gold labels and annotators contradict.

    Args:
        tracked: The examples.
        names: The classes in the order of the logits.

    Raises:
        ConfigError: If gold labels and annotators only agree with the classes in another order.
    """
    counts = counts_in_order(tracked, names)
    if tracked.gold is None or counts is None or not names:
        return
    if problem := contradicted_order(tracked.gold, counts, names):
        raise ConfigError(
            "The labels of the tracked examples and their annotations contradict each other: "
            f"{problem}, by label_names or the model's id2label, or make the labels again in this order. "
            "Where labels are wrong on purpose, give check_label_order=False."
        )


def counts_in_order(tracked: Tracked, names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """Annotators' label counts (N, K) in the order of the logits; as they are where there are no logits.

    Args:
        tracked: The examples.
        names: The classes in the order of the logits; empty without logits.

    Returns:
        The counts, or None without annotators.
    """
    if tracked.label_counts is None or not names:
        return tracked.label_counts
    return tracked.label_counts[:, [tracked.label_names.index(name) for name in names]]


def categories_in_order(tracked: Tracked, names: tuple[str, ...]) -> Categories:
    """Return the fixed bands of the examples' measure, its scale in the order of the logits.

    Args:
        tracked: The examples; a ``disagreement`` that they have is their measure, entropy without one.
        names: The classes in the order of the logits; empty without logits.

    Returns:
        The categories.
    """
    measure: Disagreement = getattr(tracked, "disagreement", PLAIN)
    return fixed_categories(
        measure.reordered([tracked.label_names.index(name) for name in names or tracked.label_names])
    )


def measured(tracked: Tracked) -> list[Any]:
    """What a fingerprint says of the measure of the categories: nothing where that is entropy."""
    measure: Disagreement = getattr(tracked, "disagreement", PLAIN)
    return [measure.to_json()] if measure.by != "entropy" else []


def columns_of(tracked: Any) -> dict[str, list[Any]]:
    """Columns by name of a ``datasets.Dataset``, of columns, or of a list of rows; a DataError of anything else."""
    names, column, _ = _access(tracked)
    return {name: column(name) for name in names}


def _access(tracked: Any) -> tuple[list[str], Callable[[str], list[Any]], Callable[[int], Mapping[str, Any]]]:
    """Names of columns, and how to get a column and a row; nothing is read that is not asked for."""
    if isinstance(tracked, list | tuple) and all(isinstance(row, Mapping) for row in tracked):
        names = list(dict.fromkeys(str(name) for row in tracked for name in row))
        return names, lambda name: [row[name] for row in tracked if name in row], lambda row: tracked[row]
    given: Any = list(tracked) if isinstance(tracked, Mapping) else getattr(tracked, "column_names", None)
    if not isinstance(given, list):
        raise DataError(
            f"tracked is a {type(tracked).__name__}; expected a datasets.Dataset, columns by name, or a list of rows."
        )
    names = [str(name) for name in given]
    if isinstance(tracked, Mapping):
        return names, lambda name: list(tracked[name]), lambda row: {name: tracked[name][row] for name in names}
    return names, lambda name: list(tracked[name]), lambda row: tracked[row]


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


def _values(column: Iterable[Any]) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in column]


def _gold(column: Sequence[Any], name: str, problems: list[str]) -> NDArray[np.int64]:
    given = _values(column)
    wrong = [value for value in given if isinstance(value, bool) or not isinstance(value, int) or value < 0]
    if wrong:
        problems.append(f"{name}: {len(wrong)} of {len(given)} are no class index (0, 1, …), the first {wrong[0]!r}")
        return np.zeros(len(given), np.int64)
    return np.array(given, np.int64)


def covariate_of(
    name: str, column: list[Any] | None, annotations: Annotations | None, ids: Sequence[str]
) -> NDArray[Any]:
    """One value per example, of its own column or of the annotated example with its id; None where there is neither."""
    if column is not None or annotations is None:
        return np.array(_values(column or ()), dtype=object)
    known = dict(zip(annotations.example_ids, annotations.fields[name], strict=True))
    return np.array([known.get(example) for example in ids], dtype=object)


def join_annotations(
    ids: Sequence[str], annotations: Annotations
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """Find annotators' labels by id; what is missing on either side is counted in a warning.

    Args:
        ids: Ids of the examples, N of them.
        annotations: Annotators' labels.

    Returns:
        Rows of the examples that have annotations (M,), their label counts (M, K), and the numbers for the manifest.

    Raises:
        DataError: If no id has annotations.
    """
    known = {name: row for row, name in enumerate(annotations.example_ids)}
    rows = np.array([row for row, name in enumerate(ids) if name in known], np.int64)
    without = [name for name in ids if name not in known]
    unused = sorted(set(known) - set(ids))
    if not len(rows):
        raise DataError(
            f"None of the {len(ids)} ids of the tracked examples (such as {ids[0]!r}) is among the ids of the "
            f"annotations (such as {annotations.example_ids[0]!r}). Give the column with the same ids as id_column."
        )
    if without:
        warnings.warn(
            f"{len(without)} of {len(ids)} tracked examples have no annotations and are left out: "
            f"{listed(without[:10])}",
            stacklevel=4,
        )
    if unused:
        warnings.warn(
            f"{len(unused)} of {len(known)} annotated examples are not among the tracked ones: {listed(unused[:10])}",
            stacklevel=4,
        )
    counts = annotations.label_counts[[known[ids[row]] for row in rows.tolist()]]
    found = {"tracked": len(rows), "tracked_without_annotations": len(without), "annotated_not_tracked": len(unused)}
    return rows, counts, found
