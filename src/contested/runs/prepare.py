"""From a configuration to a run's parts: data, model, tokens and device, checked before any long computation."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from contested import models, tasks, training
from contested.annotations import Annotations, read_annotations
from contested.config import RunConfig
from contested.errors import ConfigError, DataError
from contested.options import BulkSection, Method, TaskOptions, TaskSection
from contested.runs.devices import check_sharding, device_of, pick_device, place
from contested.runs.proved import Proved
from contested.runs.words import check_words
from contested.wording import without_texts

_KEPT = 2  # data sets: a study's runs alternate between no more


@dataclass(frozen=True)
class RunComponents:
    """The parts of a run, checked and made, right before it starts.

    Attributes:
        model: The module that trains, with its tokenizer.
        task: What trains and what is tracked.
        encoded: Token ids and targets.
        device: Where it trains.
        notes: What is to be said of them, a sentence each.
        processes: Those that train it together.
    """

    model: models.TextModel
    task: tasks.TaskData
    encoded: training.TrainingSet
    device: torch.device
    notes: tuple[str, ...] = ()
    processes: training.Processes = training.ALONE

    @property
    def tracked(self) -> pd.DataFrame:
        """The tracked rows of the example table, in the order of every checkpoint."""
        return self.task.examples[: len(self.encoded.tracked)]


class DataCache:
    """What the runs of one process have in common, made once: data as it trains, and its tokens, for the last two.

    Nothing in it is ever written to, so that a run is the same with it and without. Backbones are not kept: to copy
    one takes as long as to load it from a disk that is warm.

    Attributes:
        proofs: What was proven, by kind of run.
    """

    def __init__(self) -> None:
        self.proofs: dict[str, Proved] = {}
        self._fitting: set[str] = set()
        self._data: deque[tuple[str, int, tasks.TaskData]] = deque(maxlen=_KEPT)
        self._tokens: deque[tuple[tasks.TaskData, str, training.TrainingSet]] = deque(maxlen=_KEPT)

    def misfits(self, config: RunConfig, n_classes: int) -> list[str]:
        """Find what of a run's checkpoint and method does not fit together, unless those of an earlier run did.

        Args:
            config: The checked configuration.
            n_classes: Number of classes K.

        Returns:
            As :func:`contested.models.preflight`.
        """
        key = _model_key(config, n_classes)
        problems = [] if key in self._fitting else _misfits(config, n_classes)
        if not problems:
            self._fitting.add(key)
        return problems

    def data(self, config: RunConfig) -> tasks.TaskData:
        """Read and prepare the data of a run, unless an earlier run had the same from the same unchanged files.

        Args:
            config: The checked configuration.

        Returns:
            The concrete task.
        """
        key = _data_key(config)
        for known, seed, data in self._data:
            if known == key and (seed == config.seed or not data.depends_on_seed):
                return data
        data = load_task(config).prepare(config.seed)
        self._data.append((key, config.seed, data))
        return data

    def tokens(self, config: RunConfig, data: tasks.TaskData, model: models.TextModel) -> training.TrainingSet:
        """Tokenise data, unless an earlier run had the same object for the same checkpoint and length.

        Args:
            config: The checked configuration.
            data: From :meth:`data`.
            model: Decides tokenizer and layout.

        Returns:
            As :func:`encode_task`.
        """
        key = f"{model.fingerprint} {config.model.revision} {config.model.max_length} {config.tracking.validation}"
        for of, known, tokens in self._tokens:
            if of is data and known == key:
                return tokens
        tokens = encode_task(data, model, config.model.max_length, track_validation=config.tracking.validation)
        self._tokens.append((data, key, tokens))
        return tokens


def check_run(config: RunConfig, *, here: bool = True, cache: DataCache | None = None) -> list[str]:
    """Find what would stop a run, without loading weights or data.

    Args:
        config: The checked configuration.
        here: Whether it is to be done on this machine, which then needs its device.
        cache: What the runs of this process have in common.

    Returns:
        One sentence a problem: missing files, unavailable devices, parts that do not fit.
    """
    problems = config.task.missing_files
    try:
        if here:
            pick_device(config.execution.device)
    except ConfigError as error:
        problems.append(str(error))
    return problems + (DataCache() if cache is None else cache).misfits(config, 3)


def load_task(config: RunConfig) -> tasks.TextClassificationTask:
    """Read the files that a configuration names.

    Args:
        config: The checked configuration.

    Returns:
        The task.

    Raises:
        DataError: With the problems of all files at once.
    """
    section = config.task
    problems = section.in_memory
    annotated = _load_annotated(section, problems)
    names = annotated.label_names if annotated is not None else tasks.NLI_LABELS
    bulk = None
    if section.bulk is not None and section.bulk.in_memory is None:
        try:
            bulk = _load_bulk(section.bulk, names, section.text_columns)
        except DataError as error:
            problems += error.problems or [error.message]
    if annotated is None or problems:
        raise DataError("The task's data cannot be used:", problems)
    sample: dict[str, Any] = (
        {} if section.bulk is None else {"bulk_size": section.bulk.size, "bulk_seed": section.bulk.seed}
    )
    options = {name: getattr(section, name) for name in TaskOptions.model_fields}
    return tasks.TextClassificationTask(annotated, bulk, **sample, **options)


def _load_annotated(section: TaskSection, problems: list[str]) -> Annotations | None:
    given = section.annotated
    if given.path is None:
        return None
    try:
        annotated = read_annotations(given.path, format=given.format, **given.options)
        if given.covariates is not None:
            annotated = tasks.with_covariates(annotated, given.covariates)
    except DataError as error:
        problems += error.problems or [error.message]
        return None
    problems += without_texts(", ".join(given.files), section.text_columns, annotated.fields.columns)
    return annotated


def load_data(config: RunConfig, cache: DataCache | None = None) -> tasks.TaskData:
    """Read and prepare the data of a run that has nothing else in its way.

    Args:
        config: The checked configuration.
        cache: What the runs of this process have in common; the data are the same without.

    Returns:
        The concrete task.

    Raises:
        ConfigError: With what would stop the run.
        DataError: With the problems of all files at once.
    """
    problems = check_run(config, cache=cache)
    if problems:
        raise ConfigError("The run cannot start:", problems)
    return load_task(config).prepare(config.seed) if cache is None else cache.data(config)


def prepare(
    config: RunConfig,
    data: tasks.TaskData,
    cache: DataCache | None = None,
    processes: training.Processes = training.ALONE,
) -> RunComponents:
    """Make model and tokens of a run.

    Args:
        config: The checked configuration.
        data: What trains and what is tracked.
        cache: What earlier runs of this process left, where ``data`` is from there.
        processes: Those that train the run together.

    Returns:
        Everything the loop needs.

    Raises:
        ConfigError: If there is no device for each process, or something does not go with ``execution.fsdp``.
        ModelError: If a checkpoint cannot be loaded or does not fit the method.
        DataError: If the model cannot read the texts as they are.
    """
    if config.execution.threads is not None:
        torch.set_num_threads(config.execution.threads)
    keep_freed_memory()
    device = device_of(processes, config.execution.device)
    check_sharding(config, processes)
    cache = DataCache() if cache is None else cache
    method, options = method_parts(config.method)
    model = models.build(
        config.model.name,
        label_names=data.label_names,
        method=method,
        options=options,
        max_length=config.model.max_length,
        revision=config.model.revision,
        seed=config.seed,
        checked=not cache.misfits(config, len(data.label_names)),
    )
    place(config, model.module, device)
    encoded = cache.tokens(config, data, model)
    notes = (*data.notes, *model.notes, *check_words(data, model, encoded))
    return RunComponents(model, data, encoded, device, notes, processes)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, instead of asking the system for it again in every layer.

    What a layer returns to the system comes back page by page, each cleared first: up to a seventh of a step's time.
    Linux with glibc alone, unless its user has set the allocator up by environment variables.
    """
    if not sys.platform.startswith("linux") or any(
        name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ
    ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        # Numbers of glibc's malloc.h. An older glibc takes no threshold of mmap beyond 32 MiB.
        m_trim_threshold, m_mmap_threshold, largest = -1, -3, 2**31 - 1
        if mallopt(m_mmap_threshold, largest) or mallopt(m_mmap_threshold, 2**25):
            mallopt(m_trim_threshold, largest)


def encode_task(
    data: tasks.TaskData, model: models.TextModel, max_length: int, *, track_validation: bool = False
) -> training.TrainingSet:
    """Tokenise a task for a model.

    Args:
        data: The concrete task.
        model: Decides tokenizer and layout.
        max_length: Longest input in tokens.
        track_validation: Whether the validation examples are tracked too, after the others.

    Returns:
        Token ids and labels, tracked examples first.
    """
    types = models.takes_token_types(model.module)

    def tokens(texts: Any) -> tasks.EncodedTexts:
        made = tasks.encode(
            model.tokenizer, texts, max_length=max_length, template=model.family.template, cache=tasks.cache_folder()
        )
        return made if types else dataclasses.replace(made, token_type_ids=None)

    columns = list(data.text_columns)
    validation = data.examples[data.n_tracked :]
    tracked = data.examples if track_validation else data.examples[: data.n_tracked]
    return training.TrainingSet(
        train=tokens(data.train_texts),
        train_targets=data.train_labels if data.train_targets is None else data.train_targets,
        tracked=tokens(tracked[columns]),
        tracked_targets=tracked["gold"].to_numpy(np.int64),
        validation=tokens(validation[columns]),
        validation_targets=validation["gold"].to_numpy(np.int64),
        validation_is_tracked=track_validation,
        objective=training.Classification(data.class_weights),
    )


def method_parts(method: Method) -> tuple[str, dict[str, Any]]:
    """A method's name and options as plain arguments of :func:`contested.models.build`."""
    name = method.type if method.name == "peft" else method.name
    return name, dict(method.options)


def recipe(config: RunConfig) -> training.Recipe:
    """The recipe of a configuration as plain numbers."""
    tracking = config.tracking.model_dump(exclude={"validation"})
    return training.Recipe(**config.training.model_dump(), **tracking, seed=config.seed)


def _data_key(config: RunConfig) -> str:
    """Everything but the run's seed that can decide its data: the whole task, and its files as they are now."""
    return json.dumps([config.task.model_dump(mode="json"), [_stamp(Path(path)) for path in config.task.files]])


def _model_key(config: RunConfig, n_classes: int) -> str:
    """All that decides whether checkpoint and method fit: both, and the checkpoint's files as they are now."""
    folder = Path(config.model.name).expanduser()
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    content: Any = [[file.name, _stamp(file)] for file in files]
    return json.dumps(
        [
            config.model.model_dump(mode="json"),
            config.method.model_dump(mode="json"),
            n_classes,
            content or models.pinned_revision(config.model.name, config.model.revision),
        ]
    )


def _misfits(config: RunConfig, n_classes: int) -> list[str]:
    method, options = method_parts(config.method)
    return models.preflight(
        config.model.name,
        n_classes=n_classes,
        method=method,
        options=options,
        max_length=config.model.max_length,
        revision=config.model.revision,
    )


def _stamp(file: Path) -> list[int]:
    try:
        found = file.stat()
    except OSError:
        return []
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _load_bulk(section: BulkSection, label_names: tuple[str, ...], text_columns: list[str]) -> pd.DataFrame:
    if section.hub is not None:
        return tasks.hub_bulk(
            section.hub,
            subset=section.subset,
            split=section.split,
            revision=section.revision,
            label_names=label_names,
            text_columns=text_columns,
        )
    return tasks.read_bulk(section.path or [], label_names=label_names, text_columns=text_columns)
