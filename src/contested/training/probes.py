"""Gradient probes: at chosen steps of a run, how steep each tracked example is and whether the groups agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from contested.errors import TrainingError
from contested.tasks import EncodedTexts
from contested.training.engine import Engine
from contested.training.gradients import Alignment, Mode, gradient_norms, group_alignment, trained_parameters
from contested.training.objective import Objective
from contested.training.processes import ALONE, Processes


class Probe(Protocol):
    """What the loop calls at step 0 and after each optimiser step, before the snapshot of the same step.

    It must change nothing that training depends on, and do the same again when a resumed run repeats the step.
    """

    def __call__(self, step: int, total_steps: int) -> None:
        """Look at the model after ``step`` optimiser steps, if this step is one to look at."""


class GradientRecorder(Protocol):
    """Where probes go."""

    def write_gradient_norms(self, *, step: int, norms: NDArray[np.float64], facts: Mapping[str, Any]) -> None:
        """Keep the norms (N,) of one step, with what they are of."""

    def write_alignment(self, values: Mapping[str, Any]) -> None:
        """Keep one line of group comparisons."""


class GradientProbe:
    """Per-example gradient norms and cosines between groups at the steps that a run's options set.

    Args:
        module: The model that trains.
        engine: Computes logits with it.
        texts: The tracked examples, N of them.
        targets: What their losses are against, shape (N, …).
        objective: Gives each example's loss.
        groups: Name and rows of each group to compare.
        recorder: Where the results go; None in processes other than the first.
        norms: Never, at the last step, or at every probe.
        every: Steps between probes; step 0 and the last are probes too. None: no comparison of groups.
        head: Names of the head's modules.
        with_head: Whether the head's parameters count.
        mode: ``train`` has dropout on, drawn afresh from the number of the step.
        processes: Those among whom the examples are shared; each has a probe of its own.
    """

    def __init__(
        self,
        module: nn.Module,
        engine: Engine,
        texts: EncodedTexts,
        targets: NDArray[Any],
        *,
        objective: Objective,
        groups: Mapping[str, NDArray[np.int64]],
        recorder: GradientRecorder | None,
        norms: Literal["never", "end", "every"] = "never",
        every: int | None = None,
        head: Sequence[str] = (),
        with_head: bool = True,
        mode: Mode = "eval",
        processes: Processes = ALONE,
    ) -> None:
        self._given = (module, engine, texts, targets, trained_parameters(module, without=() if with_head else head))
        self._groups = groups
        self._recorder = recorder
        self._norms = norms
        self._every = every
        self._how: dict[str, Any] = {"objective": objective, "mode": mode, "processes": processes}
        self._facts = {"head": with_head, "mode": mode}

    def __call__(self, step: int, total_steps: int) -> None:
        """See :class:`Probe`."""
        last = step == total_steps
        due = self._every is not None and (last or step % self._every == 0)
        if (self._norms == "every" and due) or (self._norms == "end" and last):
            norms, method, note = gradient_norms(*self._given, seed=step, **self._how)
            _check_finite(norms, step)
            if self._recorder is not None:
                facts = {**self._facts, "method": method, "notes": [note] if note else []}
                self._recorder.write_gradient_norms(step=step, norms=norms, facts=facts)
        if due:
            alignment = group_alignment(*self._given, self._groups, seed=step, **self._how)
            _check_finite(alignment.norms[alignment.counts > 0], step)
            if self._recorder is not None:
                self._recorder.write_alignment({"step": step, **_plain(alignment), **self._facts, "method": "summed"})


def groups_of(categories: Sequence[str] | NDArray[np.object_], names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Rows of each category.

    >>> groups_of(["clean", "contested", "clean"], ["clean", "ambiguous"])
    {'clean': array([0, 2]), 'ambiguous': array([], dtype=int64)}
    """
    return {name: np.flatnonzero(np.asarray(categories, object) == name) for name in names}


def _plain(alignment: Alignment) -> dict[str, Any]:
    """As JSON, in which NaN is null."""

    def nulls(values: Any) -> Any:
        if isinstance(values, list):
            return [nulls(value) for value in values]
        return None if math.isnan(values) else values

    return {
        "groups": list(alignment.groups),
        "counts": alignment.counts.tolist(),
        "norms": nulls(alignment.norms.tolist()),
        "cosines": nulls(alignment.cosines.tolist()),
        "notes": list(alignment.notes),
    }


def _check_finite(values: NDArray[np.float64], step: int) -> None:
    if not np.isfinite(values).all():
        raise TrainingError(
            f"After step {step} {int((~np.isfinite(values)).sum())} of {len(values)} probed gradients are not finite. "
            "Everything recorded before is intact. Lower the learning rate or use float32."
        )
