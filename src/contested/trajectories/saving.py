"""A whole run as a run folder."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.errors import RunError
from contested.files import atomic_folder, make_folder
from contested.trajectories.gradients import Gradients
from contested.trajectories.layout import Status
from contested.trajectories.writer import RunWriter, disk_errors

if TYPE_CHECKING:
    from contested.trajectories.trajectory import Trajectory


class Checkpoint(NamedTuple):
    """What a run recorded at one step.

    Attributes:
        step: Steps (or epochs) done.
        epoch: Epochs done; NaN where unknown.
        losses: Shape (N,), or None.
        logits: Shape (N, K), or None.
        extra: Further values of each example by name, shape (N,) each.
    """

    step: int
    epoch: float
    losses: NDArray[np.float64] | None
    logits: NDArray[np.float32] | None
    extra: Mapping[str, NDArray[np.float64]]


def checkpoints_of(run: Trajectory) -> Iterator[Checkpoint]:
    """What a run recorded, checkpoint by checkpoint."""
    for index, (step, epoch) in enumerate(zip(run.steps.tolist(), run.epochs.tolist(), strict=True)):
        yield Checkpoint(
            step,
            epoch,
            None if run.losses is None else run.losses[index],
            None if run.logits is None else run.logits[index],
            {name: values[index] for name, values in run.extra.items()},
        )


def write_run(
    path: Path,
    *,
    header: Mapping[str, Any],
    examples: pd.DataFrame,
    text_columns: Sequence[str],
    checkpoints: Iterable[Checkpoint],
    baseline: tuple[NDArray[np.float64] | None, NDArray[np.float32] | None],
    metrics: pd.DataFrame,
    gradients: Gradients | None,
    status: Status,
) -> None:
    """Write a whole run as a run folder.

    Args:
        path: The folder, new or empty.
        header: What the manifest says of the run besides what follows.
        examples: One row per tracked example.
        text_columns: Which columns of ``examples`` are the model's input text.
        checkpoints: What was recorded, in the order of the steps.
        baseline: Losses and logits of the untouched model, each None where there are none.
        metrics: One row per line of metrics.jsonl.
        gradients: What gradient probes found, or None.
        status: How the run ended.

    Raises:
        RunError: If the folder holds something already or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} exists and is not an empty folder. Give a new folder for the run {header['run_id']}.")
    with disk_errors(path):
        make_folder(path.parent)
        # Whatever stops this leaves nothing under the run's name.
        with atomic_folder(path) as made:
            writer = RunWriter.create(made, header=header, examples=examples, text_columns=text_columns)
            _write_gradients(writer, gradients)
            if any(values is not None for values in baseline):
                writer.write_baseline(losses=baseline[0], logits=baseline[1], exact=True)
            writer.write_metrics(*({str(key): _plain(value) for key, value in line.items()} for line in _rows(metrics)))
            for step, epoch, losses, logits, extra in checkpoints:
                known = None if math.isnan(epoch) else epoch
                writer.write_checkpoint(step=step, epoch=known, losses=losses, logits=logits, extra=extra, exact=True)
                writer.manifest["checkpoints"].append({"step": step, "epoch": known})
            writer.finish(status)


def _rows(metrics: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return metrics.to_dict("records")


def _plain(value: Any) -> Any:
    """A number as JSON holds it; a missing one is null."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_gradients(writer: RunWriter, gradients: Gradients | None) -> None:
    if gradients is None:
        return
    facts: dict[str, Any] = {"head": gradients.head, "mode": gradients.mode, "method": "unknown", "notes": []}
    for step, norms in zip(gradients.steps.tolist(), gradients.norms, strict=True):
        if np.isfinite(norms).any():
            writer.write_gradient_norms(step=step, norms=norms, facts=facts)
    for line in _alignment_lines(gradients.alignment):
        writer.write_alignment({**line, "head": gradients.head, "mode": gradients.mode, "method": "unknown"})


def _alignment_lines(alignment: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One line per probed step, as the probe wrote it: the pairs of groups put back into a matrix."""
    for step, pairs in alignment.groupby("step", sort=True):
        groups = list(dict.fromkeys([*pairs["reference"], *pairs["group"]]))
        norms: list[float | None] = [None] * len(groups)
        counts = [0] * len(groups)
        cosines: list[list[float | None]] = [[None] * len(groups) for _ in groups]
        for pair in pairs.itertuples(index=False):
            later, earlier = groups.index(str(pair.group)), groups.index(str(pair.reference))
            norms[later], norms[earlier] = _plain(pair.norm), _plain(pair.norm_reference)
            counts[later], counts[earlier] = int(str(pair.n)), int(str(pair.n_reference))
            cosines[later][earlier] = cosines[earlier][later] = _plain(pair.cosine)
        for index, norm in enumerate(norms):
            # A mean gradient that is zero, or of no examples, has no direction, not even its own.
            cosines[index][index] = 1.0 if norm else None
        notes = list(dict.fromkeys(note for text in pairs["note"] for note in str(text).split("; ") if note))
        yield {"step": step, "groups": groups, "counts": counts, "norms": norms, "cosines": cosines, "notes": notes}
