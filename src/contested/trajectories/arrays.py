"""A trajectory out of arrays that something else recorded: every check, and what follows from what is given."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.annotations import measures
from contested.annotations.categories import Categories
from contested.errors import DataError
from contested.trajectories.given import Checks, as_entries, as_facts, as_numbers, shown
from contested.trajectories.given_categories import categories_of
from contested.trajectories.given_columns import Covariates, Texts, covariates_of, texts_of
from contested.trajectories.label_order import TOLERANCE, contradiction, wrong_order
from contested.trajectories.layout import CHECKPOINT_COLUMNS, StepUnit


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
    covariates: Covariates | None
    categories: str | Categories | Sequence[str] | NDArray[Any]
    category_names: Sequence[str] | None
    run_id: str
    origin: Mapping[str, Any] | str
    check_label_order: bool
    extra: Mapping[str, ArrayLike] | None = None
    checks: Checks = field(default_factory=Checks)

    def checked(self) -> dict[str, Any]:
        """Check everything and make the fields of a trajectory.

        Returns:
            The fields but for status and manifest.

        Raises:
            DataError: If anything is wrong; the error lists all of it.
        """
        fields = self._fields()
        origin = self._origin()
        if not isinstance(self.run_id, str) or not self.run_id.strip():
            self.checks.add(f"run_id: given {self.run_id!r}, expected a name")
        if self.checks.problems:
            raise DataError("These arrays do not make a run:", self.checks.problems)
        return {**fields, "run_id": self.run_id, "origin": origin, "step_unit": self.step_unit}

    def _origin(self) -> dict[str, Any]:
        facts = as_facts(self.origin)
        self.checks.storable("run_id and origin", [self.run_id, json.dumps(facts, ensure_ascii=False)])
        if facts is None:
            self.checks.add(
                f"origin: given {type(self.origin).__name__}, expected a sentence, or facts by name that JSON can hold"
            )
            return {}
        if taken := sorted({"kind", "steps"} & facts.keys()):
            self.checks.add(f"origin: {', '.join(taken)} is recorded automatically; use another name")
        numbered = {"steps": "numbered"} if self.steps is None else {}
        return {"kind": "arrays", **facts, **numbered}

    def _fields(self) -> dict[str, Any]:
        losses, logits = self._numbers("losses", self.losses, 2), self._numbers("logits", self.logits, 3)
        n_checkpoints, n_examples = self._shape(losses, logits)
        counts = self._counts(n_examples)
        names = self._label_names(logits, counts)
        ids, steps = self._ids(n_examples, n_checkpoints), self._steps(n_checkpoints)
        epochs = self._epochs(n_checkpoints, steps)
        gold = self._gold(n_examples, names, counts)

        where = functools.partial(_where, ids, steps, self.step_unit)
        if n_checkpoints is not None and n_examples is not None:
            self._finite("losses", losses, where)
            self._finite("logits", logits, where)
        categories, category_names = categories_of(
            self.categories, self.category_names, label_counts=counts, n_examples=n_examples, checks=self.checks
        )
        texts, extra = texts_of(self.texts, n_examples, self.checks), self._extra((n_checkpoints, n_examples))
        covariates = covariates_of(self.covariates, n_examples, texts=texts, checks=self.checks)
        columns = _titled("texts", texts) | {"categories": category_names} | _titled("covariates", covariates)
        for name, values in ({"ids": ids, "label_names": names} | columns).items():
            self.checks.storable(name, values)
        if not self.checks.problems:
            self._plausible(losses, logits)
            self._label_order(losses, logits, gold, counts=counts, names=names, where=where)
        if self.checks.problems:
            return {}
        if losses is None and logits is not None and gold is not None:
            losses = _cross_entropy(logits, gold)
        return {
            "steps": steps,
            "epochs": epochs,
            "example_ids": np.array(ids, dtype=object),
            "losses": losses,
            "logits": None if logits is None else _own(logits, np.float32),
            "examples": _table(ids, texts, covariates, gold=gold, counts=counts, categories=categories),
            "label_names": names,
            "text_columns": tuple(texts),
            "category_names": category_names,
            "metrics": pd.DataFrame({"step": np.array([], np.int64)}),
            "extra": extra,
        }

    def _numbers(self, name: str, values: ArrayLike | None, ndim: int) -> NDArray[Any] | None:
        """An array of numbers as it is given, or None where there is none or it is not one."""
        if values is None:
            return None
        wanted = "(T, N, K): checkpoints, examples, classes" if ndim == 3 else "(T, N): checkpoints, examples"
        array = as_numbers(values)
        if array is None:
            self.checks.add(f"{name}: expected numbers of shape {wanted}, all rows of one length")
            return None
        if array.ndim != ndim or 0 in array.shape:
            self.checks.add(f"{name}: given shape {array.shape}, expected {wanted}")
            return None
        return _own(array, np.float64) if ndim == 2 else array

    def _shape(self, losses: NDArray[Any] | None, logits: NDArray[Any] | None) -> tuple[int | None, int | None]:
        """T and N, each None where nothing says it or two things differ."""
        if self.losses is None and self.logits is None:
            self.checks.add("give losses of shape (T, N), logits of shape (T, N, K), or both")
        given = [array.shape for array in (losses, logits) if array is not None]
        if losses is not None and logits is not None and losses.shape != logits.shape[:2]:
            self.checks.add(f"losses {losses.shape} and logits {logits.shape} differ in checkpoints or examples")
        n_checkpoints, n_examples = ({shape[axis] for shape in given} for axis in (0, 1))
        return (
            n_checkpoints.pop() if len(n_checkpoints) == 1 else None,
            n_examples.pop() if len(n_examples) == 1 else None,
        )

    def _ids(self, n_examples: int | None, n_checkpoints: int | None) -> list[str]:
        numbers = [str(row) for row in range(n_examples or 0)]
        if self.ids is None:
            return numbers
        entries = as_entries(self.ids)
        ids = self.checks.entries("ids", self.ids if entries is None else entries, n_examples)
        if ids is None:
            if entries is not None and len(entries) == n_checkpoints and n_checkpoints != n_examples:
                self.checks.problems[-1] += (
                    "; if losses or logits have examples first and checkpoints second, swap these axes"
                )
            return numbers
        texts = [str(name) for name in ids]
        twice = [(name, count) for name, count in Counter(texts).items() if count > 1]
        self.checks.problems += [f"ids: {name!r} is duplicated ({count} times)" for name, count in twice]
        return texts

    def _label_names(self, logits: NDArray[Any] | None, counts: NDArray[np.int64] | None) -> tuple[str, ...]:
        widths = {
            name: int(array.shape[-1])
            for name, array in (("logits", logits), ("label_counts", counts))
            if array is not None
        }
        given = None if self.label_names is None else as_entries(self.label_names)
        if given is not None:
            widths["label_names"] = len(given)
        elif self.label_names is not None:
            self.checks.add(f"label_names: given {shown(self.label_names)}, expected a list of class names")
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{name} {width}" for name, width in widths.items())
            self.checks.add(f"the numbers of classes differ: {told}; expected the same K classes in the same order")
        elif 1 in widths.values():
            self.checks.add(f"{' and '.join(widths)}: given 1 class, expected 2 or more")
        if given is None:
            return tuple(str(index) for index in range(next(iter(widths.values()), 0)))
        names = tuple(str(name) for name in given)
        if len(set(names)) < len(names):
            self.checks.add(f"label_names: given {', '.join(names)}, expected distinct names")
        return names

    def _steps(self, n_checkpoints: int | None) -> NDArray[np.int64]:
        numbered = np.arange(1, (n_checkpoints or 0) + 1)
        if self.step_unit not in {"step", "epoch"}:
            self.checks.add(f"step_unit: given {self.step_unit!r}, expected 'step' or 'epoch'")
        if self.steps is None:
            return numbered
        entries = self.checks.entries("steps", self.steps, n_checkpoints, "checkpoint")
        steps = None if entries is None else self._whole("steps", entries)
        if steps is None:
            return numbered
        if (np.diff(steps) <= 0).any() or steps.min() < 0:
            self.checks.add(f"steps: given {steps.tolist()[:8]}, expected rising whole numbers from 0")
        return steps

    def _whole(self, name: str, entries: list[Any]) -> NDArray[np.int64] | None:
        array = np.asarray(entries)
        whole = array.ndim == 1 and array.dtype.kind in "iuf" and bool((array == np.round(array)).all())
        if not whole:
            self.checks.add(
                f"{name}: given {array.dtype} of shape {array.shape}, expected whole numbers in one dimension"
            )
        return array.astype(np.int64) if whole else None

    def _epochs(self, n_checkpoints: int | None, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        counted = self.step_unit == "epoch"
        unknown = steps.astype(np.float64) if counted else np.full(n_checkpoints or 0, np.nan)
        if self.epochs is None:
            return unknown
        given = as_entries(self.epochs)
        epochs = None if given is None else as_numbers(given)
        if epochs is None or epochs.ndim != 1:
            self.checks.add(f"epochs: given {shown(self.epochs)}, expected one number per checkpoint")
            return unknown
        if not self.checks.fits("epochs", len(epochs), n_checkpoints, "checkpoint"):
            return unknown
        known = epochs[~np.isnan(epochs)]
        if (np.diff(known) < 0).any() or (known < 0).any() or np.isinf(known).any():
            self.checks.add(f"epochs: given {epochs.tolist()[:8]}, expected non-decreasing numbers from 0")
        elif counted and not np.array_equal(epochs, steps):
            self.checks.add("epochs: steps count epochs already (step_unit); leave epochs out")
        return epochs.astype(np.float64)

    def _counts(self, n_examples: int | None) -> NDArray[np.int64] | None:
        if self.label_counts is None:
            return None
        try:
            counts = measures.check_counts(self.label_counts)
        except DataError as error:
            told = (
                f"expected whole numbers ≥ 0, at least one annotation per row; {len(error.problems):,} of "
                f"{len(np.asarray(self.label_counts)):,} rows differ, the first: {error.problems[0]}"
                if error.problems
                else error.message
            )
            self.checks.add(f"label_counts: {told}")
            return None
        return counts if self.checks.fits("label_counts", len(counts), n_examples) else None

    def _gold(
        self, n_examples: int | None, names: tuple[str, ...], counts: NDArray[np.int64] | None
    ) -> NDArray[np.int64] | None:
        if self.gold is None:
            return None
        if isinstance(self.gold, str):
            if self.gold != "majority" or self.label_counts is None:
                self.checks.add(
                    f"gold: given {self.gold!r}, expected one label per example, or 'majority' beside label_counts"
                )
            return None if counts is None else measures.majority(counts)
        labels = self.checks.entries("gold", self.gold, n_examples)
        if labels is None:
            return None
        if any(isinstance(label, str) for label in labels):
            return self._named_gold(np.array(labels, dtype=object), names)
        indices = self._whole("gold", labels)
        if indices is None:
            return None
        wrong = np.flatnonzero((indices < 0) | (indices >= (len(names) or np.inf)))
        if len(wrong):
            self.checks.add(
                f"gold: {len(wrong)} of {len(labels)} are not class indices from 0 to {len(names) - 1}, "
                f"the first {indices[wrong[0]]} in row {wrong[0]}"
            )
        return indices

    def _named_gold(self, labels: NDArray[Any], names: tuple[str, ...]) -> NDArray[np.int64] | None:
        if self.label_names is None:
            self.checks.add("gold: class names need label_names, which say the order of the classes")
            return None
        indices = pd.Index(names).get_indexer(pd.Index(labels.astype(str)))
        unknown = sorted(set(labels[indices < 0].astype(str)))
        if unknown:
            self.checks.add(f"gold: {', '.join(unknown[:5])} not among the label_names {', '.join(names)}")
        return np.asarray(indices, np.int64)

    def _finite(self, name: str, values: NDArray[Any] | None, where: Callable[[int, int], str]) -> None:
        if values is None:
            return
        # Logits are kept as float32. One checkpoint at a time: a mask of all logits is a quarter of their memory.
        highest = np.finfo(np.float32 if name == "logits" else np.float64).max
        wrong = [(index, ~(np.abs(checkpoint) <= highest)) for index, checkpoint in enumerate(values)]
        wrong = [(index, mask) for index, mask in wrong if mask.any()]
        if wrong:
            index, mask = wrong[0]
            at = tuple(int(axis[0]) for axis in np.nonzero(mask))
            total = sum(int(mask.sum()) for _, mask in wrong)
            self.checks.add(
                f"{name}: {total:,} of {values.size:,} values are not finite"
                f"{' or too large for float32' if name == 'logits' else ''}, the first of {where(index, at[0])} "
                f"({values[index][at]})"
            )

    def _plausible(self, losses: NDArray[np.float64] | None, logits: NDArray[Any] | None) -> None:
        if losses is not None and (losses < -TOLERANCE).any():
            self.checks.add(
                f"losses: {int((losses < -TOLERANCE).sum()):,} of {losses.size:,} are negative, the lowest "
                f"{losses.min():.4g}; expected cross-entropy in nats, which never is"
            )
        if logits is not None and all((c >= 0).all() and np.allclose(c.sum(axis=1), 1, atol=1e-3) for c in logits):
            self.checks.add(
                "logits: no value is negative and every row sums to 1, so these are probabilities; give their "
                "logarithms, np.log(probabilities)"
            )

    def _extra(self, shape: tuple[int | None, int | None]) -> dict[str, NDArray[np.float64]]:
        given = {} if self.extra is None else dict(self.extra)
        if taken := sorted(set(given) & set(CHECKPOINT_COLUMNS)):
            self.checks.add(f"extra: {', '.join(taken)} has another meaning in a run; rename it")
        found = {name: self._numbers(f"extra {name!r}", values, 2) for name, values in given.items()}
        for name, values in found.items():
            if values is not None and None not in shape and values.shape != shape:
                self.checks.add(f"extra {name!r}: given shape {values.shape}, expected {shape}: checkpoints, examples")
        return {name: values for name, values in found.items() if values is not None}

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
        self.checks.problems += [problem] if problem else []


def _where(ids: Sequence[str], steps: NDArray[np.int64], unit: str, checkpoint: int, example: int) -> str:
    return f"example {ids[example]!r} at {unit} {steps[checkpoint]}"


def _titled(what: str, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Columns by what messages call them; their own names are the values of the last."""
    return {**{f"{what} {name!r}": values for name, values in columns.items()}, f"names of {what}": list(columns)}


def _table(
    ids: list[str],
    texts: dict[str, list[str]],
    covariates: dict[str, list[Any]],
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
    return pd.DataFrame({**columns, "split": "train", **covariates})


def _own(array: NDArray[Any], dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """An array that nobody else writes to: a copy, but of one that is read-only; a second copy of all may not fit."""
    return array.astype(dtype, copy=bool(array.flags.writeable))


def _cross_entropy(logits: NDArray[Any], gold: NDArray[np.int64]) -> NDArray[np.float64]:
    """One checkpoint after the other, so that no copy of all logits is made."""
    rows = np.arange(len(gold))
    losses = np.empty(logits.shape[:2])
    for index, scores in enumerate(logits):
        losses[index] = -special.log_softmax(scores.astype(np.float64), axis=1)[rows, gold]
    return losses
