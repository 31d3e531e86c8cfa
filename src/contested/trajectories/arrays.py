"""A trajectory out of arrays that something else recorded: every check, and what follows from what is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.annotations import measures
from contested.annotations.categories import Categories, resolve_categories
from contested.errors import ContestedError, DataError
from contested.trajectories.label_order import TOLERANCE, contradiction, wrong_order
from contested.trajectories.layout import StepUnit

Texts = Sequence[str] | Mapping[str, Sequence[str]] | pd.DataFrame
"""N texts, or text columns by name."""


@dataclass(eq=False)
class Arrays:
    """What :meth:`Trajectory.from_arrays` was given; its arguments say what each is.

    Problems are collected, so that all are told at once; a check whose input is already refused is left out.
    """

    losses: ArrayLike | None
    logits: ArrayLike | None
    ids: Sequence[Any] | NDArray[Any] | None
    gold: ArrayLike | Literal["majority"] | None
    label_counts: ArrayLike | None
    label_names: Sequence[str] | None
    steps: ArrayLike | None
    step_unit: StepUnit
    epochs: ArrayLike | None
    texts: Texts | None
    categories: str | Categories | Sequence[str] | NDArray[Any]
    category_names: Sequence[str] | None
    check_label_order: bool
    problems: list[str] = field(default_factory=list)

    def checked(self, origin: Mapping[str, Any]) -> dict[str, Any]:
        """Check everything and make the fields of a trajectory.

        Args:
            origin: What is known of where the arrays come from.

        Returns:
            The fields but for the run's id, status and manifest.

        Raises:
            DataError: If anything is wrong; the error lists all of it.
        """
        fields = self._fields()
        if self.problems:
            raise DataError("These arrays do not make a run:", self.problems)
        facts = {**origin, "steps": "numbered"} if self.steps is None else dict(origin)
        return {**fields, "origin": facts, "step_unit": self.step_unit}

    def _fields(self) -> dict[str, Any]:
        losses, logits = self._numbers("losses", self.losses, 2), self._numbers("logits", self.logits, 3)
        shape = self._shape(losses, logits)
        if shape is None:
            return {}
        n_checkpoints, n_examples = shape
        counts = self._counts(n_examples)
        names = self._label_names(logits, counts)
        ids, steps = self._ids(n_examples, n_checkpoints), self._steps(n_checkpoints)
        epochs = self._epochs(n_checkpoints, steps)
        gold = self._gold(n_examples, names, counts)

        def where(checkpoint: int, example: int) -> str:
            return f"example {ids[example]!r} at {self.step_unit} {steps[checkpoint]}"

        self._finite("losses", losses, where)
        self._finite("logits", logits, where)
        categories, category_names = self._categories(n_examples, counts)
        texts = self._texts(n_examples)
        if not self.problems:
            self._plausible(losses, logits)
            self._label_order(losses, logits, gold, counts=counts, names=names, where=where)
        if self.problems:
            return {}
        if losses is None and logits is not None and gold is not None:
            losses = _cross_entropy(logits, gold)
        return {
            "steps": steps,
            "epochs": epochs,
            "example_ids": np.array(ids, dtype=object),
            "losses": losses,
            "logits": None if logits is None else logits.astype(np.float32),
            "examples": _table(ids, texts, gold=gold, counts=counts, categories=categories),
            "label_names": names,
            "text_columns": tuple(texts),
            "category_names": category_names,
            "metrics": pd.DataFrame({"step": np.array([], np.int64)}),
        }

    def _numbers(self, name: str, values: ArrayLike | None, ndim: int) -> NDArray[Any] | None:
        """An array of numbers as it is given, or None where there is none or it is not one."""
        if values is None:
            return None
        wanted = "(T, N, K): checkpoints, examples, classes" if ndim == 3 else "(T, N): checkpoints, examples"
        try:
            array = np.asarray(values)
            array = array if array.dtype.kind == "f" and array.dtype.itemsize <= 8 else array.astype(np.float64)
        except (TypeError, ValueError):
            self.problems.append(f"{name}: expected numbers of shape {wanted}, all rows of one length")
            return None
        if array.ndim != ndim or 0 in array.shape:
            self.problems.append(f"{name}: given shape {array.shape}, expected {wanted}")
            return None
        return array.astype(np.float64) if ndim == 2 else array

    def _shape(self, losses: NDArray[Any] | None, logits: NDArray[Any] | None) -> tuple[int, int] | None:
        """T and N, or None where nothing says them."""
        if self.losses is None and self.logits is None:
            self.problems.append("give losses of shape (T, N), logits of shape (T, N, K), or both")
        if losses is not None and logits is not None and losses.shape != logits.shape[:2]:
            self.problems.append(f"losses {losses.shape} and logits {logits.shape} differ in checkpoints or examples")
            return None
        given = losses if losses is not None else logits
        return None if given is None else (given.shape[0], given.shape[1])

    def _fits(self, name: str, given: int, wanted: int, what: str = "example") -> bool:
        if given != wanted:
            self.problems.append(f"{name}: given {given:,}, expected {wanted:,}, one per {what}")
        return given == wanted

    def _ids(self, n_examples: int, n_checkpoints: int) -> list[str]:
        numbers = [str(row) for row in range(n_examples)]
        if self.ids is None:
            return numbers
        if not self._fits("ids", len(self.ids), n_examples):
            if len(self.ids) == n_checkpoints:
                self.problems[-1] += "; if losses or logits have examples first and checkpoints second, swap these axes"
            return numbers
        found = pd.Series(list(self.ids), dtype=object)
        if missing := int(found.isna().sum()):
            self.problems.append(f"ids: {missing} are missing, the first in row {int(found.isna().argmax())}")
        texts = found.astype(str)
        counts = texts.value_counts()
        self.problems += [f"ids: {name!r} is duplicated ({count} times)" for name, count in counts.items() if count > 1]
        return list(texts)

    def _label_names(self, logits: NDArray[Any] | None, counts: NDArray[np.int64] | None) -> tuple[str, ...]:
        widths = {
            name: int(array.shape[-1])
            for name, array in (("logits", logits), ("label_counts", counts))
            if array is not None
        }
        if self.label_names is not None:
            widths["label_names"] = len(self.label_names)
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{name} {width}" for name, width in widths.items())
            self.problems.append(
                f"the numbers of classes differ: {told}; expected the same K classes in the same order"
            )
        if self.label_names is None:
            return tuple(str(index) for index in range(next(iter(widths.values()), 0)))
        names = tuple(str(name) for name in self.label_names)
        if len(set(names)) < len(names):
            self.problems.append(f"label_names: given {', '.join(names)}, expected names that differ from one another")
        return names

    def _steps(self, n_checkpoints: int) -> NDArray[np.int64]:
        numbered = np.arange(1, n_checkpoints + 1)
        if self.step_unit not in {"step", "epoch"}:
            self.problems.append(f"step_unit: given {self.step_unit!r}, expected 'step' or 'epoch'")
        if self.steps is None:
            return numbered
        steps = self._whole("steps", self.steps)
        if steps is None or not self._fits("steps", len(steps), n_checkpoints, "checkpoint"):
            return numbered
        if (np.diff(steps) <= 0).any() or steps[0] < 0:
            self.problems.append(f"steps: given {steps.tolist()[:8]}, expected rising whole numbers from 0")
        return steps

    def _whole(self, name: str, values: ArrayLike) -> NDArray[np.int64] | None:
        array = np.asarray(values)
        whole = array.ndim == 1 and array.dtype.kind in "iuf" and bool((array == np.round(array)).all())
        if not whole:
            self.problems.append(
                f"{name}: given {array.dtype} of shape {array.shape}, expected whole numbers in one dimension"
            )
        return array.astype(np.int64) if whole else None

    def _epochs(self, n_checkpoints: int, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.epochs is None:
            return steps.astype(np.float64) if self.step_unit == "epoch" else np.full(n_checkpoints, np.nan)
        epochs = np.asarray(self.epochs, np.float64)
        self._fits("epochs", len(epochs), n_checkpoints, "checkpoint")
        return epochs

    def _counts(self, n_examples: int) -> NDArray[np.int64] | None:
        if self.label_counts is None:
            return None
        try:
            counts = measures.check_counts(self.label_counts)
        except DataError as error:
            self.problems += [f"label_counts: {problem}" for problem in error.problems or (error.message,)]
            return None
        return counts if self._fits("label_counts", len(counts), n_examples) else None

    def _gold(
        self, n_examples: int, names: tuple[str, ...], counts: NDArray[np.int64] | None
    ) -> NDArray[np.int64] | None:
        if self.gold is None:
            return None
        if isinstance(self.gold, str):
            if self.gold != "majority" or self.label_counts is None:
                self.problems.append(
                    f"gold: given {self.gold!r}, expected one label per example, or 'majority' beside label_counts"
                )
            return None if counts is None else measures.majority(counts)
        labels = np.asarray(self.gold)
        if not self._fits("gold", len(labels) if labels.ndim else 0, n_examples):
            return None
        if labels.dtype.kind in "OUT":
            return self._named_gold(labels, names)
        indices = self._whole("gold", labels)
        if indices is None:
            return None
        wrong = np.flatnonzero((indices < 0) | (indices >= (len(names) or np.inf)))
        if len(wrong):
            self.problems.append(
                f"gold: {len(wrong)} of {n_examples} are not class indices from 0 to {len(names) - 1}, "
                f"the first {indices[wrong[0]]} in row {wrong[0]}"
            )
        return indices

    def _named_gold(self, labels: NDArray[Any], names: tuple[str, ...]) -> NDArray[np.int64] | None:
        if self.label_names is None:
            self.problems.append("gold: class names need label_names, which say the order of the classes")
            return None
        indices = pd.Index(names).get_indexer(pd.Index(labels.astype(str)))
        unknown = sorted(set(labels[indices < 0].astype(str)))
        if unknown:
            self.problems.append(f"gold: {', '.join(unknown[:5])} not among the label_names {', '.join(names)}")
        return np.asarray(indices, np.int64)

    def _finite(self, name: str, values: NDArray[Any] | None, where: Callable[[int, int], str]) -> None:
        if values is None:
            return
        # One checkpoint at a time: a mask of all logits is a quarter of their memory.
        wrong = [(index, ~np.isfinite(checkpoint)) for index, checkpoint in enumerate(values)]
        wrong = [(index, mask) for index, mask in wrong if mask.any()]
        if wrong:
            index, mask = wrong[0]
            at = tuple(int(axis[0]) for axis in np.nonzero(mask))
            total = sum(int(mask.sum()) for _, mask in wrong)
            self.problems.append(
                f"{name}: {total:,} of {values.size:,} values are not finite, the first of {where(index, at[0])} "
                f"({values[index][at]})"
            )

    def _plausible(self, losses: NDArray[np.float64] | None, logits: NDArray[Any] | None) -> None:
        if losses is not None and (losses < -TOLERANCE).any():
            self.problems.append(
                f"losses: {int((losses < -TOLERANCE).sum()):,} of {losses.size:,} are negative, the lowest "
                f"{losses.min():.4g}; expected cross-entropy in nats, which never is"
            )
        if logits is not None and all((c >= 0).all() and np.allclose(c.sum(axis=1), 1, atol=1e-3) for c in logits):
            self.problems.append(
                "logits: no value is negative and every row sums to 1, so these are probabilities; give their "
                "logarithms, np.log(probabilities)"
            )

    def _categories(
        self, n_examples: int, counts: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.object_] | None, tuple[str, ...]]:
        """The category of each example and the order of the categories."""
        entropy = None if counts is None else measures.entropy(counts)
        if isinstance(self.categories, str | Categories):
            if entropy is None:
                return None, ()
            try:
                return _cut(entropy, self.categories)
            except ContestedError as error:
                self.problems.append(f"categories: {error}")
                return None, ()
        given = np.array([str(name) for name in self.categories], dtype=object)
        if not self._fits("categories", len(given), n_examples):
            return None, ()
        if self.category_names is None:
            return given, _in_order(given, entropy)
        names = tuple(str(name) for name in self.category_names)
        if unknown := sorted(set(given.tolist()) - set(names)):
            self.problems.append(
                f"categories: {', '.join(unknown[:5])} not among the category_names {', '.join(names)}"
            )
        return given, names

    def _texts(self, n_examples: int) -> dict[str, list[str]]:
        if self.texts is None:
            return {}
        given = self.texts if isinstance(self.texts, Mapping | pd.DataFrame) else {"text": self.texts}
        columns = {str(name): [str(text) for text in column] for name, column in given.items()}
        for name, column in columns.items():
            self._fits(f"texts {name!r}", len(column), n_examples)
        if taken := sorted(set(columns) & _RESERVED):
            self.problems.append(f"texts: the column {', '.join(taken)} has another meaning in a run; rename it")
        return columns

    def _label_order(
        self,
        losses: NDArray[np.float64] | None,
        logits: NDArray[Any] | None,
        gold: NDArray[np.int64] | None,
        *,
        counts: NDArray[np.int64] | None,
        names: tuple[str, ...],
        where: Callable[[int, int], str],
    ) -> None:
        """Hold logits against losses and gold labels, or where there are none against the annotators' majority."""
        if logits is None:
            return
        if losses is not None and gold is not None:
            problem = contradiction(losses, logits, gold, label_names=names, where=where)
        elif gold is not None and self.check_label_order:
            problem = wrong_order(logits, gold, "the gold labels", names)
        elif counts is not None and self.check_label_order:
            problem = wrong_order(logits, measures.majority(counts), "the annotators' majority", names)
        else:
            return
        self.problems += [problem] if problem else []


_RESERVED = frozenset({"row_key", "example_id", "gold", "label_counts", "entropy", "category", "split"})


def _cut(entropy: NDArray[np.float64], scheme: str | Categories) -> tuple[NDArray[np.object_], tuple[str, ...]]:
    cut = resolve_categories(entropy, scheme)
    return cut.assign(entropy).astype(object), cut.names


def _in_order(given: NDArray[np.object_], entropy: NDArray[np.float64] | None) -> tuple[str, ...]:
    if entropy is None:
        return tuple(dict.fromkeys(given.tolist()))
    means = pd.Series(entropy).groupby(given, sort=False).mean()
    return tuple(str(name) for name in means.sort_values(kind="stable").index)


def _table(
    ids: list[str],
    texts: dict[str, list[str]],
    *,
    gold: NDArray[np.int64] | None,
    counts: NDArray[np.int64] | None,
    categories: NDArray[np.object_] | None,
) -> pd.DataFrame:
    columns: dict[str, Any] = {"row_key": np.arange(len(ids)), "example_id": ids, **texts}
    if gold is not None:
        columns["gold"] = gold
    if counts is not None:
        columns["label_counts"] = list(counts.astype(np.int32))
        columns["entropy"] = measures.entropy(counts)
    if categories is not None:
        columns["category"] = categories.tolist()
    return pd.DataFrame({**columns, "split": "train"})


def _cross_entropy(logits: NDArray[Any], gold: NDArray[np.int64]) -> NDArray[np.float64]:
    """One checkpoint after the other, so that no copy of all logits is made."""
    rows = np.arange(len(gold))
    losses = [-special.log_softmax(scores.astype(np.float64), axis=1)[rows, gold] for scores in logits]
    return np.stack(losses)
