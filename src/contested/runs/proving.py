"""What a run proves: before step 0 that its engine is right and its model can be saved, in the end that it was."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from contested import models, tasks, training
from contested.config import RunConfig
from contested.errors import ModelError, TrainingError
from contested.runs.free_memory import free_memory
from contested.runs.prepare import RunComponents
from contested.runs.proved import Kind, engine_before

_LARGE = 1 << 30  # bytes of a whole model that is not saved before its run
_ROOM = 1.25  # memory of a second copy of a model, in units of its weights


class Proof(NamedTuple):
    """What a run has proven before step 0.

    Attributes:
        engine: Its engine.
        not_loadable: Why nobody can say whether the saved weights will be right, or empty.
        saved: What its weights are as files, with which they were loaded right; None where that was not proven.
        by: The id of the run of the same process and kind that has proven it; empty: this one.
    """

    engine: training.Proven
    not_loadable: str
    saved: models.SavedForm | None = None
    by: str = ""

    @property
    def checks(self) -> dict[str, Any]:
        """What the manifest says of it."""
        proven = self.engine
        engine = {
            "name": proven.name,
            "because": proven.because,
            "examples": proven.examples,
            "largest_difference": proven.difference,
            "merges": proven.merges,
            **({"proven_by": self.by} if self.by else {}),
        }
        return {"engine": engine, **({"weights": {"not_checked": self.not_loadable}} if self.not_loadable else {})}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of it, a sentence each; nothing where all is as usual."""
        found = []
        if self.engine.because:
            found.append(f"Batches are computed {_SAID[self.engine.name]}, which takes longer: {self.engine.because}.")
        if not self.engine.merges:
            found.append("Adapters stay apart from the weights that they adapt: merged they gave other logits.")
        if self.not_loadable:
            found.append(f"Whether the saved weights are right is not checked: {self.not_loadable}.")
        return tuple(found)


_SAID: dict[training.EngineName, str] = {
    "packed": "without padding",
    "padded": "with padding",
    "equal lengths": "in pieces of equal lengths",
    "one by one": "one example at a time",
}


def beginning(components: RunComponents, sample: tasks.EncodedTexts | None = None) -> training.Beginning:
    """What a run's model gives a few examples before anything of it is replaced or moved.

    Args:
        components: The run's parts, as they were built.
        sample: The examples; chosen from the run's where not given.

    Returns:
        The examples and their logits.

    Raises:
        ModelError: If the model's own forward fails.
    """
    module, data = components.model.module, components.encoded
    if sample is None:
        others = [data.train, data.validation]
        return training.Beginning.of(module, data.tracked, others=others, **_where(components))
    return training.Beginning(sample, training.own_logits(module, sample, **_where(components)))


def prove(
    config: RunConfig,
    components: RunComponents,
    begun: training.Beginning,
    before: Mapping[str, Any] | None,
    kind: Kind,
) -> Proof:
    """Prove what can be proven before a run costs anything, and was not proven before.

    Args:
        config: The checked configuration.
        components: The run's parts, as they were built.
        begun: What its model gives the examples that ``kind`` shows.
        before: The run's manifest where it began earlier: it keeps its engine, or takes a slower one.
        kind: The run's kind. What an earlier run of it has proven holds as long as its engine gives ``begun``.

    Returns:
        What came of it.

    Raises:
        ModelError: If no engine gives the logits of the library's own forward, or the saved model would not.
    """
    if kind.proved is not None:
        module, given = components.model.module, {**_where(components), "precision": config.training.precision}
        engine = training.engine_like(kind.proved.engine, module, begun, **given)
        if engine is not None:
            return Proof(engine, "", kind.proved.saved, kind.proved.by)
        begun = beginning(components, kind.sample)
    found = _check_saving(config, components, begun)
    not_loadable, saved = (found, None) if isinstance(found, str) else ("", found)
    return Proof(prove_engine(config, components, begun, before), not_loadable, saved)


def prove_engine(
    config: RunConfig,
    components: RunComponents,
    begun: training.Beginning,
    before: Mapping[str, Any] | None = None,
) -> training.Proven:
    """Find the fastest engine that gives the logits of the library's own forward.

    Args:
        config: The checked configuration.
        components: The run's parts, as they were built.
        begun: From :func:`beginning`.
        before: The run's manifest where it began earlier: it keeps its engine, or takes a slower one.

    Returns:
        The engine.

    Raises:
        ModelError: If there is none.
    """
    return training.proven_engine(
        components.model.module,
        begun,
        **_where(components),
        precision=config.training.precision,
        fastest=engine_before(before or {}),
    )


def check_engines(config: RunConfig, components: RunComponents, proven: training.Proven) -> None:
    """Hold what every process has proven against the first one's, and shares of a batch against the whole.

    Args:
        config: The checked configuration.
        components: The run's parts.
        proven: This process's engine.

    Raises:
        ModelError: If one gives other logits or takes another engine, or if processes that compute shares of a batch
            would not train what one trains; in every process.
    """
    processes, texts = components.processes, components.encoded.tracked
    if processes.size == 1:
        return
    sample = training.selected(texts, training.chosen_rows(texts.lengths))
    logits = training.track(proven.engine, components.model.module, sample, batch_size=len(sample))
    found = processes.each((proven.name, proven.merges, logits))
    apart = [_apart(config, each, found[0][2])[1] for _, _, each in found]
    problems = [f"process {rank} gives {problem}" for rank, problem in enumerate(apart) if problem]
    others = [(rank, name) for rank, (name, *_) in enumerate(found) if name != found[0][0]]
    problems += [f"process {rank} computes batches {_SAID[name]}" for rank, name in others]
    if problems:
        raise ModelError(
            "The processes of the training do not compute the same. Give all of them the same checkpoint and packages:",
            problems,
        )
    _check_shares(config, components, proven.engine, sample)


def check_weights(
    config: RunConfig, components: RunComponents, folder: Path, logits: NDArray[np.float32], proof: Proof
) -> dict[str, Any]:
    """Load saved weights as their user will, and hold them against what was recorded last.

    Where an earlier run has proven that such files are loaded right, they are held against the module's weights
    instead, value by value, and the module against what was recorded last.

    Args:
        config: The run's configuration.
        components: Its parts.
        folder: Where the weights were saved.
        logits: Of the last checkpoint, shape (N, K).
        proof: What the run has proven.

    Returns:
        What the manifest says of it: ``largest_difference``, or ``not_checked`` with the reason.

    Raises:
        TrainingError: If they are not the weights of the last checkpoint.
    """
    rows = training.chosen_rows(components.encoded.tracked.lengths)
    sample = training.selected(components.encoded.tracked, rows)
    if proof.by and _is_as_proven(components, folder, proof):
        engine, module = proof.engine, components.model.module
        own = training.track(engine.engine, module, sample, batch_size=len(sample), merge=engine.merges)
        difference, problem = _apart(config, own, logits[rows])
        if not problem:
            return {"largest_difference": difference, "loading_proven_by": proof.by}
    found = _loaded_logits(config, components, folder, sample)
    if isinstance(found, str):
        return {"not_checked": found}
    difference, problem = _apart(config, found, logits[rows])
    if problem:
        raise TrainingError(
            f"The weights that were saved are not those of the last checkpoint: loaded by {_how(config)}, they give "
            f"{problem}. They are not kept; what was recorded is intact. Choose another method, or other options of "
            "this one."
        )
    return {"largest_difference": difference}


def check_loaded(config: RunConfig, components: RunComponents, logits: NDArray[np.float32]) -> None:
    """Hold a module whose trained weights were loaded against what was recorded last.

    Args:
        config: The run's configuration.
        components: Its parts; no engine was made for the module yet.
        logits: Of the last checkpoint, shape (N, K).

    Raises:
        ModelError: If the weights are not those of the last checkpoint.
    """
    rows = training.chosen_rows(components.encoded.tracked.lengths)
    sample = training.selected(components.encoded.tracked, rows)
    found = training.own_logits(components.model.module, sample, **_where(components))
    problem = _apart(config, found, logits[rows])[1]
    if problem:
        raise ModelError(
            f"The run's trained weights are not those of its last checkpoint: loaded, they give {problem}. What is "
            "recorded is not touched. Train the run again into another folder, and probe that one."
        )


def _apart(config: RunConfig, found: NDArray[np.float32], expected: NDArray[np.float32]) -> tuple[float, str]:
    """By how much logits differ, and what is to be said where that is more than rounding."""
    difference = training.largest_difference(found, expected)
    most = training.TOLERANCE[config.training.precision] * training.unit(expected)
    right = difference <= most  # not so of NaN
    return difference, (
        "" if right else f"logits that differ by up to {difference:.2g} (at most {most:.2g} is rounding)"
    )


def _check_shares(
    config: RunConfig, components: RunComponents, engine: training.Engine, sample: tasks.EncodedTexts
) -> None:
    module = components.model.module
    problem = training.split_difference(module, engine, sample, precision=config.training.precision)
    if problem:
        raise ModelError(
            f"{training.module_name(module)} with method {config.method.label} cannot be trained by several processes: "
            f"{problem}. What it drops is drawn for a batch, not for each example. Train it in one process."
        )


def _is_as_proven(components: RunComponents, folder: Path, proof: Proof) -> bool:
    """Whether saved weights are the module's own, in files that are loaded right."""
    if proof.saved is None or models.SavedForm.of(folder) != proof.saved:
        return False
    return models.holds_weights_of(folder, components.model.module)


def _check_saving(
    config: RunConfig, components: RunComponents, begun: training.Beginning
) -> models.SavedForm | str | None:
    """Save the model, adapters moved, and load it: what was loaded right, or why not; None: in the end alone."""
    module = components.model.module
    if training.is_sharded(module):
        return None  # no process has all of it
    if config.method.name == "full" and 4 * components.model.total_params > _LARGE:
        return None  # to write it twice may take minutes
    own = training.own_engine(module, **_where(components))
    with training.moved_adapters(module, begun, engine=own) as expected, tempfile.TemporaryDirectory() as name:
        try:
            models.save(module, components.model.tokenizer, Path(name))
        except Exception as error:
            return f"they cannot be saved to {name} ({training.error_line(error)})"
        found = _loaded_logits(config, components, Path(name), begun.sample)
        saved = models.SavedForm.of(Path(name))
    if isinstance(found, str):
        return found
    difference = training.largest_difference(found, expected)
    most = training.TOLERANCE["float32"] * training.unit(expected)
    if difference > most:
        raise ModelError(
            f"What method {config.method.label} trains cannot be given to others: saved, and loaded by {_how(config)}, "
            f"it gives logits that differ by up to {difference:.2g} (at most {most:.2g} is rounding). Choose another "
            "initialisation or method."
        )
    return saved


def _loaded_logits(
    config: RunConfig, components: RunComponents, folder: Path, sample: Any
) -> NDArray[np.float32] | str:
    """Logits of the saved weights, or why there are none."""
    device, pad_id = components.device, components.model.pad_id
    size = int(_ROOM * 4 * components.model.total_params)
    devices = [each for each in (device, torch.device("cpu")) if _has_room(each, size)]
    if not devices:
        return f"a second copy of the model takes {size / 1e9:.1f} GB of memory, which are not free"
    try:
        module = models.load_saved(
            folder,
            backbone=None if config.method.name == "full" else config.model.name,
            n_classes=len(components.task.label_names),
            pad_id=pad_id,
            revision=config.model.revision,
        )
        return training.own_logits(module.to(devices[0]), sample, pad_id=pad_id, device=devices[0])
    except Exception as error:
        return f"{_how(config)} cannot load them ({training.error_line(error)})"


def _has_room(device: torch.device, size: int) -> bool:
    free = free_memory(device)
    return free is None or free > size


def _how(config: RunConfig) -> str:
    return "AutoModelForSequenceClassification" if config.method.name == "full" else "PeftModel.from_pretrained"


def _where(components: RunComponents) -> dict[str, Any]:
    return {"pad_id": components.model.pad_id, "device": components.device}
