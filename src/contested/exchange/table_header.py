"""What the header of a table says: which layout it is, and which columns hold what."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from contested.errors import DataError
from contested.exchange.table_columns import Examples, Layout, ListLayout, LongLayout, Values, WideLayout
from contested.wording import listed

_IDS = ("example_id", "uid", "id", "guid", "item_id", "pairID")
_GOLD = ("gold", "label", "labels")
_STEPS = ("step", "global_step")
_SCORES = {"logits": False, "probs": True, "probabilities": True}
_LOSSES = ("loss", "cross_entropy", "nll")
_BY_CLASS = {"logit_": False, "prob_": True}
_AT_CHECKPOINT = re.compile(r"(loss|cross_entropy|nll|logits|probs|logit_.+|prob_.+)_(step|epoch)_(\d+)")
_EXPECTED = (
    "expected example_id, step or epoch, and loss, logits or probs, these two as a list or as a column per class "
    "(logit_<class>, prob_<class>); gold (class index or name) may stand beside them. Or one row per example, with "
    "the checkpoint in each name (loss_step_100, logits_epoch_2, …), or with lists in steps or epochs, losses, logits, "
    "probs"
)


class Meaning(NamedTuple):
    """What the header of a table says.

    Attributes:
        layout: How records follow from rows.
        used: The columns that it reads.
        step_unit: What the checkpoints count; empty where the table numbers none.
        label_names: The classes in the order of the scores; empty where they are not named.
    """

    layout: Layout
    used: tuple[str, ...]
    step_unit: str
    label_names: tuple[str, ...]


def meaning(header: Sequence[str], label_names: tuple[str, ...] | None, number: int | None, source: str) -> Meaning:
    """Find out what the columns mean.

    Args:
        header: The names of the columns.
        label_names: The classes in the order that is wanted, or None.
        number: The checkpoint of all rows, where something else than a column says it, or None.
        source: What is read, for messages.

    Returns:
        The meaning.

    Raises:
        DataError: If columns are missing or contradict each other; all problems at once.
    """
    problems = [f"the column {name} is there more than once" for name in sorted(set(header)) if header.count(name) > 1]
    example = next((name for name in _IDS if name in header), "")
    if not example:
        problems.append(f"there is no column {_IDS[0]} (nor {', '.join(_IDS[1:])})")
    gold = next((name for name in _GOLD if name in header), "")
    found = _Found(tuple(header), label_names, problems)
    examples = Examples(example, gold, ())
    made = found.lists(examples) or found.long(examples, number) or found.wide(examples) or found.one(examples, number)
    if problems or made is None:
        told = problems or [found.lacking()]
        raise DataError(
            f"{source} cannot be read as a table: {_EXPECTED}; its columns are {listed(header) or 'none'}.", told
        )
    return made


class _Found:
    """Looks for one layout after the other in a header."""

    def __init__(self, header: tuple[str, ...], label_names: tuple[str, ...] | None, problems: list[str]) -> None:
        self.header = header
        self.label_names = label_names
        self.problems = problems

    def lacking(self) -> str:
        """What a table without any layout lacks."""
        return f"there is neither a loss, nor logits, nor probs (a loss may be called {' or '.join(_LOSSES[1:])} too)"

    def lists(self, examples: Examples) -> Meaning | None:
        """A row per example with lists, told by the plural of its checkpoints."""
        units = [name for name in ("steps", "epochs") if name in self.header]
        if not units:
            return None
        if len(units) > 1:
            self.problems.append("there are the columns steps and epochs, expected one of them")
        loss = next((name for name in ("losses", *_LOSSES) if name in self.header), "")
        scores = next((name for name in _SCORES if name in self.header), "")
        values = Values((scores,) if scores else (), bool(scores), _SCORES.get(scores, False), loss)
        return self._made(
            lambda named: ListLayout(named, values, units[0]),
            examples,
            [values],
            (units[0],),
            units[0].removesuffix("s"),
        )

    def long(self, examples: Examples, number: int | None) -> Meaning | None:
        """A row per example and checkpoint, told by a column of checkpoints."""
        steps = [name for name in _STEPS if name in self.header]
        if len(steps) > 1:
            self.problems.append(f"there are the columns {' and '.join(steps)}, expected one of them")
        epoch = "epoch" if "epoch" in self.header else ""
        step = steps[0] if steps else epoch
        if not step:
            return None
        beside = epoch if steps else ""
        values, names = self._values("")
        used = tuple(name for name in (step, beside) if name)
        return self._made(
            lambda named: LongLayout(named, values, step, number or 0, beside),
            examples,
            [values],
            used,
            "step" if steps else "epoch",
            names,
        )

    def wide(self, examples: Examples) -> Meaning | None:
        """A row per example, told by columns with the checkpoint in their names."""
        matches = [match for name in self.header if (match := _AT_CHECKPOINT.fullmatch(name))]
        units = {match[2] for match in matches}
        if not matches:
            return None
        if len(units) > 1:
            self.problems.append("some columns are of a step and others of an epoch, expected one of them")
        unit = sorted(units)[0]
        values: dict[int, Values] = {}
        names: tuple[str, ...] = ()
        for text in dict.fromkeys(match[3] for match in matches):
            values[int(text)], names = self._values(f"_{unit}_{text}")
        return self._made(lambda named: WideLayout(named, values), examples, list(values.values()), (), unit, names)

    def one(self, examples: Examples, number: int | None) -> Meaning | None:
        """A row per example at one checkpoint, which no column tells."""
        values, names = self._values("")
        if not values.scores and not values.loss:
            return None
        return self._made(
            lambda named: LongLayout(named, values, "", number or 0, ""), examples, [values], (), "", names
        )

    def _made(
        self,
        layout: Callable[[Examples], Layout],
        examples: Examples,
        values: Sequence[Values],
        used: tuple[str, ...],
        unit: str,
        names: tuple[str, ...] = (),
    ) -> Meaning:
        if not all(each.scores or each.loss for each in values):
            self.problems.append(self.lacking())
        known = self.label_names or names
        examples = Examples(examples.id, examples.gold, known)
        columns = [name for each in values for name in (*each.scores, each.loss)]
        every = tuple(name for name in (examples.id, examples.gold, *used, *columns) if name)
        return Meaning(layout(examples), every, unit, known)

    def _values(self, suffix: str) -> tuple[Values, tuple[str, ...]]:
        """The columns of one checkpoint, which end in ``suffix``, and the names of the classes that they tell."""
        loss = next((name + suffix for name in _LOSSES if name + suffix in self.header), "")
        for prefix, probabilities in _BY_CLASS.items():
            pattern = re.compile(f"{prefix}(.+){suffix}")
            classes = [match[1] for name in self.header if (match := pattern.fullmatch(name))]
            if classes:
                ordered, names = self._order(classes, prefix)
                return Values(tuple(prefix + name + suffix for name in ordered), False, probabilities, loss), names
        for name, probabilities in _SCORES.items():
            if name + suffix in self.header:
                return Values((name + suffix,), True, probabilities, loss), ()
        return Values((), False, False, loss), ()

    def _order(self, classes: list[str], prefix: str) -> tuple[Sequence[str], tuple[str, ...]]:
        """The classes of columns in their order, and their names where these are no numbers."""
        numbers = [str(index) for index in range(len(classes))]
        given = self.label_names
        if given and sorted(classes) == sorted(given):
            return given, given
        if sorted(classes) == sorted(numbers):
            return numbers, ()
        if given:
            self.problems.append(f"columns {prefix}… are of {listed(classes)}; the label names are {listed(given)}")
        return classes, tuple(classes)
