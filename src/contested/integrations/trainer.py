"""A callback of ``transformers.Trainer`` that records tracked examples while the Trainer trains."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import TrainerCallback

from contested.analysis.live import Alarm
from contested.analysis.watch import MARGIN
from contested.annotations import Annotations
from contested.errors import ConfigError
from contested.integrations.arguments import check_supported, identity_of, provenance, run_id
from contested.integrations.classification import read_tracked
from contested.integrations.distributed import merged, reshard
from contested.integrations.inputs import Collator
from contested.integrations.recording import Recording
from contested.integrations.tracked import Outputs, Tracked, check_order
from contested.integrations.watching import Watching
from contested.integrations.words import check_words
from contested.training import Processes, is_sharded
from contested.training.baseline import baseline_problem, without_adapters
from contested.training.tracking import inference_mode


class TrajectoryCallback(TrainerCallback):  # type: ignore[misc]
    """Records what happens to each tracked example while ``transformers.Trainer`` trains, as a run folder.

    At step 0, every N optimiser steps, at the ends of epochs and at the end, each step once. Training ends with the
    same bits as without it. A Trainer that resumes from a checkpoint resumes the folder: what was recorded beyond the
    checkpoint's step is dropped. One process on one device or several that train alike (DDP), of which each answers
    its share of the tracked examples and the first one writes, or several that share the weights (FSDP 2, see
    :meth:`attach`); anything else is refused.

    Args:
        tracked: The examples to follow, as your own processing made them: a ``datasets.Dataset``, columns by name or
            a list of rows, with ``input_ids``, ``labels`` (class indices) and an id each; ``attention_mask`` and
            ``token_type_ids`` where there are any, and whatever else the model's forward takes. A column ``split``
            says which are validation examples, that is not trained on. Or any other
            :class:`~contested.integrations.Tracked`.
        out: The run folder, new or of this same run.
        every: Optimiser steps from one pass to the next.
        annotations: Annotators' labels, joined by id; tracked examples without are left out, with a warning.
        id_column: The column of ``tracked`` with ids.
        text_columns: Columns of ``tracked`` with texts to show in reports.
        label_names: Class names in the order of the model's logits; those of the model's configuration without it.
        check_label_order: Whether to refuse an order of the classes with which gold labels and annotators disagree
            while they agree in another; switch it off where gold labels are wrong on purpose.
        split: ``"validation"`` where none of the tracked examples is trained on, ``"train"`` (so without it) where
            they are; in place of a column.
        collator: Makes a batch of rows as your Trainer's ``data_collator`` does, where padding is not all there is to
            it; rows then need no tokens.
        batch_size: Tracked examples at work at once.
        baseline: Whether a further pass at step 0 records the model with its adapters disabled, where it has any.
        name: The run's name; made of model, seed and identity without it.
        alert: Chance, over the whole run, of warning that the expected loss of a category lies above its start
            though it never does; asked at every checkpoint. False asks nothing.
        margin: A rise up to this is none (nats).
        on_alert: Called with each :class:`~contested.analysis.live.Alarm`, in the process that records.
        stop: Whether an alarm ends training, at the step that raised it.
        clusters: A column of ``tracked`` or of the annotated examples, of which equal values mark examples that are
            not independent; examples that share a text without it.

    Examples:
        >>> callback = ct.TrajectoryCallback(tracked, out="runs/mine", every=100)  # doctest: +SKIP
        >>> Trainer(model, args, train_dataset=train, callbacks=[callback]).train()  # doctest: +SKIP
    """

    def __init__(
        self,
        tracked: Any,
        out: str | os.PathLike[str],
        *,
        every: int = 100,
        annotations: Annotations | None = None,
        id_column: str = "id",
        text_columns: Sequence[str] = (),
        label_names: Sequence[str] | None = None,
        check_label_order: bool = True,
        split: str | None = None,
        collator: Collator | None = None,
        batch_size: int = 64,
        baseline: bool = True,
        name: str | None = None,
        alert: float | bool = 0.05,
        margin: float = MARGIN,
        on_alert: Callable[[Alarm], Any] | None = None,
        stop: bool = False,
        clusters: str | None = None,
    ) -> None:
        for option, value in (("every", every), ("batch_size", batch_size)):
            if value < 1:
                raise ConfigError(f"{option} is {value}; expected a whole number from 1.")
        reading: dict[str, Any] = {"text_columns": text_columns, "label_names": label_names, "collator": collator}
        reading["split"] = split
        if isinstance(tracked, Tracked):
            self._tracked: Tracked = tracked
            _check_unused(annotations=annotations, **reading)
        else:
            covariates = () if clusters is None else (clusters,)
            self._tracked = read_tracked(tracked, annotations, id_column=id_column, covariates=covariates, **reading)
        self._every = every
        self._batch_size = batch_size
        self._baseline = baseline
        self._check_label_order = check_label_order
        self._name = name
        # What has been recorded is in the folder alone.
        folder = Path(out).expanduser()
        self._watching = Watching(folder, alert=alert, margin=margin, on_alert=on_alert, stop=stop, clusters=clusters)
        self._recording = Recording(folder, self._tracked, self._watching)
        self._training: _Training | None = None
        self._attached = False

    def attach(self, trainer: Any) -> Self:
        """Join a Trainer that is made already, as FSDP needs it: all processes then answer in step.

        Args:
            trainer: The Trainer, made without this callback and not yet training.

        Returns:
            The callback.

        Examples:
            >>> ct.TrajectoryCallback(tracked, out="runs/mine").attach(trainer)  # doctest: +SKIP
        """
        if self not in trainer.callback_handler.callbacks:
            trainer.add_callback(self)
        self._attached = True
        return self

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin the folder or resume it, and record step 0."""
        check_supported(args, _inner(given["model"]), attached=self._attached)
        self._training = None
        names = self._tracked.names(_inner(given["model"]))
        if self._check_label_order:
            check_order(self._tracked, names)
        notes = check_words(self._tracked, _inner(given["model"]), given.get("processing_class"))
        processes = Processes(args.process_index, args.world_size, timeout_s=args.ddp_timeout)
        try:
            last_step, header = processes.first(lambda: self._open(args, state, notes, **given))
            self._training = _Training(processes, names, header, last_step)
            if state.global_step == 0 or self._due(state):
                self._record(args, state, control, **given)
        except BaseException:
            self._recording.close()
            raise

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Record a step that is due: before the Trainer saves a checkpoint of it."""
        if getattr(given.get("optimizer"), "step_was_skipped", False):
            # Its gradients were not finite in half precision; the Trainer counts it all the same.
            self._recording.note(state.global_step, float(state.epoch or 0), skipped=True)
        if self._due(state):
            self._record(args, state, control, **given)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Record the end of an epoch, also of one that was cut short."""
        self._record(args, state, control, **given)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
        """Keep the training loss and the learning rate that the Trainer logs, when it does."""
        known = {"loss": "train_loss", "learning_rate": "lr", "grad_norm": "grad_norm"}
        values = {kept: float(logs[name]) for name, kept in known.items() if name in (logs or {})}
        if "train_loss" in values:
            self._recording.note(state.global_step, float(state.epoch or 0), **values)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Say in the manifest that the run is complete; the model may be another one by now (the best)."""
        self._recording.finish()

    def _due(self, state: Any) -> bool:
        step, epoch = state.global_step, float(state.epoch or 0)
        return step % self._every == 0 or step >= state.max_steps or epoch.is_integer()

    def _open(self, args: Any, state: Any, notes: Sequence[str], **given: Any) -> tuple[int, dict[str, Any]]:
        """Open the folder in the process that records: the last checkpoint that counts, and what is said of the run."""
        model, data = _inner(given["model"]), self._tracked.fingerprint
        identity = identity_of(args, model, given.get("train_dataloader"), every=self._every, data=data)
        self._recording.open(identity, step=state.global_step, planned_steps=state.max_steps, every=self._every)
        self._watching.report(args.report_to, output_dir=args.output_dir, after=self._recording.last_step)
        for note in notes:
            warnings.warn(note, stacklevel=2)
        return self._recording.last_step, {
            "run_id": self._name or run_id(args, model, identity),
            "planned_steps": state.max_steps,
            "origin": {"kind": "transformers.Trainer", "every": self._every},
            "baseline": self._why_no_baseline(model) or "recorded with adapters disabled",
            "identity": identity,
            "provenance": provenance(args, model, identity),
            **({"notes": list(notes)} if notes else {}),
        }

    def _record(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        training, step = self._training, state.global_step
        if training is None or training.last_step >= step:
            return
        outputs = merged(
            training.processes,
            len(self._tracked.ids),
            lambda rows: self._outputs(rows, **given),
            # Those that share the weights call the model as often as one another.
            evenly=is_sharded(_inner(given["model"])),
        )
        baseline = self._untouched(training.processes, **given) if step == 0 else None
        epoch = float(state.epoch or 0)
        done = training.processes.first(lambda: self._write(training, step, epoch, outputs, baseline))
        self._training = training._replace(last_step=step) if done.goes_on else None
        if done.alarmed:
            control.should_training_stop = True
            # Nobody asked for a checkpoint at just this step, and there will be no other.
            control.should_save |= args.save_strategy != "no"

    def _write(self, training: _Training, step: int, epoch: float, outputs: Outputs, baseline: Outputs | None) -> _Done:
        if step == 0:
            self._recording.begin(outputs, names=training.names, header=training.header, baseline=baseline)
        alarmed = self._recording.write(step, epoch, outputs)
        return _Done(self._recording.active, alarmed)

    def _untouched(self, processes: Processes, **given: Any) -> Outputs | None:
        """What the model says without its adapters, where it can."""
        model = _inner(given["model"])
        if self._why_no_baseline(model):
            return None
        with without_adapters(model):
            return merged(processes, len(self._tracked.ids), lambda rows: self._outputs(rows, **given))

    def _why_no_baseline(self, model: nn.Module) -> str:
        if self._baseline and is_sharded(model):
            return "the model's weights are spread over processes"
        return baseline_problem(model) if self._baseline else "not wanted (baseline=False)"

    def _outputs(self, rows: NDArray[np.int64], **given: Any) -> Outputs:
        tokenizer, model = given.get("processing_class"), _inner(given["model"])
        with _without_compiling(), inference_mode(model):
            outputs = self._tracked.outputs(model, rows, processing_class=tokenizer, batch_size=self._batch_size)
        reshard(model)
        return outputs


class _Training(NamedTuple):
    """The training that is being recorded, the same in every process but for the folder that the first one holds.

    Attributes:
        processes: The processes that train.
        names: The classes in the order of the logits.
        header: What the manifest says of the run.
        last_step: The step of the last checkpoint; −1 before the first.
    """

    processes: Processes
    names: tuple[str, ...]
    header: dict[str, Any]
    last_step: int


class _Done(NamedTuple):
    """What came of a checkpoint: whether recording goes on, and whether an alarm ends training."""

    goes_on: bool
    alarmed: bool


def _inner(model: Any) -> nn.Module:
    """The module itself inside ``torch.compile``'s wrapper, whose mode says nothing of it."""
    inner: nn.Module = getattr(model, "_orig_mod", model)
    return inner


def _without_compiling() -> contextlib.AbstractContextManager[Any]:
    """Compiled parts run as they are written: other shapes and modes would compile them again, up to torch's limit."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    eager: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return eager


def _check_unused(**options: Any) -> None:
    found = [name for name, value in options.items() if value]
    if found:
        raise ConfigError(
            f"{' and '.join(found)} cannot be given beside tracked examples that bring their own; give "
            f"{'it' if len(found) == 1 else 'them'} where those are made."
        )
