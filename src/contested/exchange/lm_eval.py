"""Samples that lm-evaluation-harness logged of several checkpoints: log-likelihoods of the choices are logits."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from contested.errors import DataError
from contested.exchange.collect import Collector, first
from contested.exchange.format import Format
from contested.exchange.lm_eval_samples import Sample, as_sample, convention_of
from contested.exchange.records import Recording
from contested.wording import counted, listed, not_json

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")
_STEP = re.compile(r"(?<![a-z])(?:checkpoint|ckpt|global_?step|step|iter)[-_=]?(\d+)(?!\d)", re.IGNORECASE)


def read(source: Path, keep: Container[str] | None, label_names: tuple[str, ...] | None) -> Recording:
    """Read one task's samples of several checkpoints.

    Args:
        source: A folder that holds ``samples_<task>_<date>.jsonl`` files, however deep; a pattern of such files
            (``evals/**/samples_mnli_*.jsonl``); or one file.
        keep: Ids that are wanted; None wants all.
        label_names: The classes in the order of the choices; where these are the choices' own texts, in any order.

    Returns:
        One checkpoint per file. Its step is in the model's revision or in the name of its folder
        (``checkpoint-100``, ``step1000``).

    Raises:
        DataError: If a file has no step, a step has several files, there are several tasks, or a line is wrong; all
            problems at once.
    """
    files = _by_step(_files(source))
    seen = list(_samples(next(iter(files.values()))))
    convention, notes = convention_of(seen, label_names)
    texts = convention.texts(seen)
    collector, prompts = Collector(keep), _Prompts()
    for step, file in files.items():
        for where, line in _lines(file):
            try:
                sample = as_sample(line)
                if sample.filter == convention.filter:
                    name, record = convention.record(sample)
                    prompts.check(name, sample)
                    collector.add(step, record, where)
            except (ValueError, OverflowError) as error:
                collector.problems.append(f"{where}: {error}")
    found = collector.recording(
        str(source), step_unit="step", label_names=convention.label_names, notes=[*notes, *prompts.told()]
    )
    return replace(found, texts={column: [told[name] for name in found.ids] for column, told in texts.items()})


class _Prompts:
    """Whether every checkpoint was asked the same about the same documents."""

    def __init__(self) -> None:
        self._hashes: dict[str, tuple[str, str]] = {}
        self._differ: dict[str, None] = {}

    def check(self, name: str, sample: Sample) -> None:
        document, prompt = self._hashes.setdefault(name, (sample.document, sample.prompt))
        if document != sample.document:
            raise ValueError(f"the document of {name!r} differs from that of a checkpoint before (doc_hash)")
        if prompt != sample.prompt:
            self._differ[name] = None

    def told(self) -> list[str]:
        if not self._differ:
            return []
        n = counted(len(self._differ), "example")
        return [
            f"The prompts of {n} differ between checkpoints (prompt_hash: other few-shot examples, another template), "
            f"so what changes is not the model's doing alone: {first(self._differ)}"
        ]


def _files(source: Path) -> list[Path]:
    """The samples of one task."""
    if source.is_dir():
        found = sorted(source.rglob("samples_*.jsonl"))
    elif glob.has_magic(str(source)):
        found = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]
    else:
        found = [source]
    tasks = {match["task"] for file in found if (match := _NAME.fullmatch(file.name))}
    unknown = [file.name for file in found if not _NAME.fullmatch(file.name)]
    if not found or unknown:
        given = f"; {first(unknown)} is not named so" if unknown else ""
        raise DataError(
            f"{source} holds no samples of lm-evaluation-harness: expected files samples_<task>_<date>.jsonl, which "
            f"it writes with --log_samples{given}."
        )
    if len(tasks) > 1:
        raise DataError(
            f"{source} holds samples of {len(tasks)} tasks ({listed(sorted(tasks))}); expected one. Give a pattern in "
            f"quotes, such as '{source}/**/samples_{min(tasks)}_*.jsonl'."
        )
    return found


def _by_step(files: list[Path]) -> dict[int, Path]:
    steps = {file: _step(file) for file in files}
    problems = [f"{file}: there is no step" for file, step in steps.items() if step is None]
    found: dict[int, Path] = {}
    for file, step in steps.items():
        if step is not None and found.setdefault(step, file) != file:
            problems.append(f"{file}: step {step} has a file already, {found[step]}")
    if problems:
        raise DataError(
            "Each file of samples is one checkpoint, whose step is in the model's revision or in the name of its "
            "folder, such as checkpoint-100 or step1000. Rename folders (checkpoint-0 for the untouched model), or "
            "give a pattern in quotes that takes one file per step.",
            problems,
        )
    return dict(sorted(found.items()))


def _step(file: Path) -> int | None:
    """The step of the model whose samples a file has: of its revision, else of its name, else of the file's folders.

    The tool makes a folder of the model's name in the one that it is given; folders above say nothing of the model.
    """
    folder = file.resolve().parent
    for told in (*_model(file), folder.name, folder.parent.name):
        if matches := _STEP.findall(told):
            return int(matches[-1])
    return None


def _model(file: Path) -> list[str]:
    """The model's revision and name, as the results file of the same evaluation says them."""
    match = _NAME.fullmatch(file.name)
    found = sorted(file.parent.glob(f"*_{match['date']}.json")) if match else []
    if not found:
        return []
    results = found[0]
    try:
        content = json.loads(results.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{results} cannot be read, and it may have the step of {file.name}: {error}.") from error
    config = content.get("config") if isinstance(content, dict) else None
    arguments = config.get("model_args") if isinstance(config, dict) else None
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    revision = arguments.get("revision") if isinstance(arguments, dict) else None
    return [str(told) for told in (revision, content.get("model_name")) if told]


def _lines(file: Path) -> Iterator[tuple[str, Any]]:
    """Each line of a file and where it stands."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    where = f"{file.parent.name}/{file.name}, line {number}"
                    yield where, _json(line, where)
    except OSError as error:
        raise DataError(f"{file} cannot be opened: {error.strerror}.") from error


def _json(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is {not_json(error)}.") from error


def _samples(file: Path) -> Iterator[Sample]:
    for where, line in _lines(file):
        try:
            yield as_sample(line)
        except ValueError as error:
            raise DataError(f"{where}: {error}.") from error


FORMAT = Format(
    name="lm-eval",
    summary="lm-evaluation-harness's samples of several checkpoints (--log_samples): one multiple-choice task",
    read=read,
)
