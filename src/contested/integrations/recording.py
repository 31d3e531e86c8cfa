"""The run folder of somebody else's training: opened, begun or resumed, checked, written and finished."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contested.errors import RunError
from contested.integrations.arguments import INITIAL_WEIGHTS
from contested.integrations.tracked import Outputs, Tracked, categories_in_order, counts_in_order
from contested.integrations.watching import Watching
from contested.trajectories import RunWriter, Trajectory, held, layout, read_manifest
from contested.trajectories.identity import differences
from contested.trajectories.label_order import agreement

_SEED_FIRST = " (seed before the model is made, with transformers.set_seed, where its head is new)"

_GO_ON = (
    "Restore what is damaged from a copy, resume from an earlier checkpoint of the Trainer, or train from the start "
    "with a new folder as out."
)

_HELD: dict[Path, contextlib.ExitStack] = {}
"""Leases that this process holds: training that failed here never says so, and may be started again."""


class Recording:
    """The run folder of one training that somebody else conducts; the folder is the only state.

    Args:
        out: The folder, new or of this same run.
        tracked: The examples that are followed.
        watching: What follows each checkpoint.
    """

    def __init__(self, out: Path, tracked: Tracked, watching: Watching) -> None:
        self.path = out
        self._tracked = tracked
        self._watching = watching
        self._writer: RunWriter | None = None
        self._begun_here = False

    @property
    def active(self) -> bool:
        """Whether it is being recorded: begun or resumed, and neither finished nor broken off."""
        return self._writer is not None

    @property
    def last_step(self) -> int:
        """The step of the last checkpoint; −1 before the first."""
        listed = self._writer.manifest["checkpoints"] if self._writer is not None else []
        return int(listed[-1]["step"]) if listed else -1

    def open(self, identity: Mapping[str, Any], *, step: int, planned_steps: int, every: int) -> None:
        """Hold the folder for this process, and resume what it has where training resumes.

        Args:
            identity: What identifies the run.
            step: Optimiser steps done: at 0 the folder is to be begun (:meth:`begin`).
            planned_steps: The step at which training is to end.
            every: Steps from one pass to the next, at most.

        Raises:
            RunError: If the folder cannot be used, is another run's, complete, has lost something that was recorded,
                or is not empty without a run.
        """
        self._writer = None
        self._lock()
        existing = read_manifest(self.path) if (self.path / layout.MANIFEST).exists() else None
        if existing is not None:
            # A training that resumes has its first weights behind it; one that starts again by itself (with smaller
            # batches) begins with whatever it has.
            lost = step > 0 or self._begun_here
            check_same_run(self.path, existing, identity, but={INITIAL_WEIGHTS} if lost else set())
        if step == 0:
            self._check_free(existing)
            return
        if existing is None or not existing["checkpoints"]:
            raise RunError(
                f"Training resumes at step {step:,}, but {self.path} holds no run. Give the folder of "
                "the training that is resumed as out, or train from the start."
            )
        taken = [listed["step"] for listed in existing["checkpoints"] if listed["step"] <= step]
        check_no_hole(self.path, taken, step, every)
        self._writer = RunWriter.resume(self.path, step=step, go_on=_GO_ON)
        run = Trajectory.load(self.path)
        self._watching.begin(
            run.examples,
            run.category_names,
            run.text_columns,
            planned_steps=planned_steps,
            recorded=list(zip(run.steps.tolist(), run.required("losses"), strict=True)),
        )
        self._writer.manifest["alert"] = self._watching.settings

    def begin(
        self, outputs: Outputs, *, names: tuple[str, ...], header: Mapping[str, Any], baseline: Outputs | None = None
    ) -> None:
        """Begin a folder without checkpoints, whatever an earlier start left there.

        Args:
            outputs: What the pass at step 0 found of all examples; :meth:`write` records it.
            names: The classes in the order of the logits.
            header: What the manifest says beside classes, categories and counts.
            baseline: What the untouched model says of all examples, or None.
        """
        tracked = self._tracked
        run = Trajectory.from_arrays(
            losses=outputs.losses[None],
            logits=None if outputs.logits is None else outputs.logits[None],
            ids=tracked.ids,
            gold=tracked.gold,
            label_counts=counts_in_order(tracked, names),
            categories="fixed" if tracked.label_counts is None else categories_in_order(tracked, names),
            label_names=names or tracked.label_names or None,
            texts=dict(tracked.texts) or None,
            steps=[0],
            check_label_order=False,  # An untrained head may contradict the labels.
        )
        known: dict[str, Any] = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "label_names": list(run.label_names),
            "category_names": list(run.category_names),
            **run.manifest,
            "counts": dict(tracked.counts),
        }
        if "split" in tracked.covariates:
            known["tracked_splits"] = sorted({str(value) for value in tracked.covariates["split"]})
        if run.gold is not None and run.label_counts is not None:
            known["gold_agreement"] = round(agreement(run.gold, run.label_counts), 4)
        if outputs.logits is None and tracked.gold is None:
            known["origin"] = {**header["origin"], "losses": "completions"}
        examples = run.examples.assign(**{name: pd.Series(values) for name, values in tracked.covariates.items()})
        self._watching.begin(examples, run.category_names, run.text_columns, planned_steps=header["planned_steps"])
        known["alert"] = self._watching.settings
        self._writer = RunWriter.create(
            self.path, header={**header, **known}, examples=examples, text_columns=run.text_columns
        )
        self._begun_here = True
        if baseline is not None:
            self._writer.write_baseline(losses=baseline.losses, logits=baseline.logits)

    def write(self, step: int, epoch: float, outputs: Outputs) -> bool:
        """Record a checkpoint; values that are not finite end the recording, with a warning, and not the training.

        Args:
            step: Optimiser steps done.
            epoch: Epochs done.
            outputs: What the pass found of all examples.

        Returns:
            Whether an alarm is to end training.
        """
        if self._writer is None or self._broken(step, outputs):
            return False
        self._writer.write_checkpoint(
            step=step, epoch=epoch, losses=outputs.losses, logits=outputs.logits, extra=outputs.extra
        )
        self._watching.look(step, outputs.losses, self._writer)
        self._writer.list_checkpoint(step=step, epoch=epoch)
        return self._watching.tell(step)

    def note(self, step: int, epoch: float, **values: Any) -> None:
        """Add a line to metrics.jsonl where it is being recorded.

        Args:
            step: Optimiser steps done.
            epoch: Epochs done.
            **values: What is to be said; a number that is not finite is written as null.
        """
        if self._writer is not None:
            known = {
                name: None if isinstance(value, float) and not np.isfinite(value) else value
                for name, value in values.items()
            }
            self._writer.write_metrics({"step": step, "epoch": epoch, **known})

    def finish(self) -> None:
        """Say in the manifest that the run is complete, and leave the folder to others."""
        if self._writer is not None:
            self._writer.finish("complete")
            self._writer = None
        self._watching.close()
        self.close()

    def close(self) -> None:
        """Leave the folder to others as it is."""
        lease = _HELD.pop(self.path.resolve(), None)
        if lease is not None:
            lease.close()

    def _broken(self, step: int, outputs: Outputs) -> bool:
        finite = np.isfinite(outputs.losses)
        if outputs.logits is not None:
            finite &= np.isfinite(outputs.logits).all(axis=1)
        if finite.all() or self._writer is None:
            return False
        broken = [self._tracked.ids[row] for row in np.flatnonzero(~finite)]
        values = "losses" if outputs.logits is None else "logits"
        told = f"At step {step:,} the {values} of {len(broken):,} of {len(finite):,} tracked examples are not finite"
        self._writer.finish("failed", error=f"{told}, the first of {broken[0]!r}.")
        warnings.warn(f"{told} ({', '.join(broken[:10])}); recording into {self.path} ends here.", stacklevel=4)
        self._writer = None
        return True

    def _lock(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; out must be a folder for the run.")
        self.close()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"Cannot write to {self.path}: {error.strerror or error}. Give another out.") from error
        with contextlib.ExitStack() as stack:
            stack.enter_context(held(self.path, instead=", or give another out", wait=True))
            _HELD[self.path.resolve()] = stack.pop_all()

    def _check_free(self, existing: Mapping[str, Any] | None) -> None:
        if existing is not None and existing["status"] == "complete":
            raise RunError(
                f"{self.path} holds this run already, complete. Give another out, or remove the folder to train again."
            )
        foreign = sorted(file.name for file in self.path.iterdir() if not file.name.startswith("."))
        if existing is None and foreign:
            raise RunError(
                f"{self.path} is not empty and holds no run (it has {', '.join(foreign[:3])}). Give a new folder."
            )


def check_no_hole(out: Path, steps: Sequence[int], resumed_at: int, every: int) -> None:
    """Refuse a folder that lacks a checkpoint of a step that training has behind it.

    Args:
        out: The folder.
        steps: Steps of the checkpoints up to where training resumes.
        resumed_at: Steps done there.
        every: Steps from one checkpoint to the next, at most.

    Raises:
        RunError: If one is missing.
    """
    known = [-every, *steps, resumed_at]
    holes = [(before, after) for before, after in itertools.pairwise(known) if after - before > every]
    if holes:
        before, after = holes[0]
        raise RunError(
            f"Training resumes at step {resumed_at:,}, but {out} has no checkpoint between the steps "
            f"{max(before, 0):,} and {after:,}, and one every {every:,} was recorded. {_GO_ON}"
        )


def check_same_run(
    out: Path, manifest: Mapping[str, Any], identity: Mapping[str, Any], *, but: Collection[str] = ()
) -> None:
    """Refuse a folder that holds another run, naming all that differs.

    Args:
        out: The folder.
        manifest: Its manifest.
        identity: What is to be recorded now.
        but: Parts of the identity that do not count.

    Raises:
        RunError: If it is another run.
    """
    problems = [
        f"{key}: the folder has {old!r}, now given {new!r}{_SEED_FIRST if key == INITIAL_WEIGHTS else ''}"
        for key, old, new in differences(manifest.get("identity", {}), dict(identity))
        if key not in but
    ]
    if problems:
        raise RunError(
            f"{out} holds another run ({manifest['run_id']}, status {manifest['status']}). Give another out, or "
            "train as the folder was made:",
            problems,
        )
