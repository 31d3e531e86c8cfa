"""The local files that a study names: whether they are there, hold enough, and can be read."""

from __future__ import annotations

import functools
from pathlib import Path

from contested.config import RunConfig
from contested.errors import DataError
from contested.wording import without_texts

_JSON_LINES = (".jsonl", ".ndjson")
_LINES = {".jsonl": 0, ".ndjson": 0, ".csv": 1, ".tsv": 1}  # suffix -> lines that are no examples


def missing(config: RunConfig) -> list[str]:
    """Find the local files and folders of a run that are not there.

    Args:
        config: The run's configuration.

    Returns:
        One sentence each.
    """
    problems = config.task.missing_files
    if Path(config.model.name).is_absolute() and not (Path(config.model.name) / "config.json").is_file():
        problems.append(f"no backbone in {config.model.name}: it holds no config.json")
    return problems


def short_bulk(config: RunConfig) -> list[str]:
    """Find bulk files that together have fewer lines than the run needs examples.

    Args:
        config: The run's configuration.

    Returns:
        One sentence, or none; also none where a file's lines say nothing of its examples.
    """
    files, size = config.task.bulk_files, config.task.bulk.size if config.task.bulk else None
    lines = None if size is None else _bulk_lines(config)
    if size is None or lines is None or lines >= size:
        return []
    return [
        f"task.bulk.size is {size:,}, but {', '.join(files)} has {lines:,}: lower task.bulk.size or give more files"
    ]


def bulk_examples(config: RunConfig) -> int | None:
    """How many bulk examples a run trains on, as far as its configuration and the lines of its files say.

    Args:
        config: The run's configuration.

    Returns:
        How many; None where all of a set are taken whose size nobody can say from here.
    """
    bulk = config.task.bulk
    if bulk is None:
        return 0
    return _bulk_lines(config) if bulk.size is None else bulk.size


def _bulk_lines(config: RunConfig) -> int | None:
    files = config.task.bulk_files
    if not files or any(Path(file).suffix not in _LINES or not Path(file).is_file() for file in files):
        return None
    return sum(map(_count, files))


def annotated_lines(config: RunConfig) -> int | None:
    """Count the lines of a run's annotated file.

    Args:
        config: The run's configuration.

    Returns:
        How many; None where there is no such file here, or its lines say nothing of its examples.
    """
    files = config.task.annotated.files
    # A table may have a line for each label of an example.
    if not files or not all(Path(file).suffix in _JSON_LINES and Path(file).is_file() for file in files):
        return None
    return sum(map(_count, files))


@functools.lru_cache(maxsize=64)
def _count(file: str) -> int:
    lines, last = 0, b"\n"
    with open(file, "rb") as stream:
        while chunk := stream.read(1 << 20):
            lines, last = lines + chunk.count(b"\n"), chunk
    return max(0, lines + (not last.endswith(b"\n")) - _LINES[Path(file).suffix])


def unreadable(config: RunConfig) -> list[str]:
    """Read the annotated data of a run and find what is wrong with them.

    Args:
        config: The run's configuration.

    Returns:
        One sentence a problem, each with the file's name.
    """
    # A plan asks only whether files are there, and must not wait for pandas.
    from contested.annotations import read_annotations

    section = config.task.annotated
    if section.path is None:
        return config.task.in_memory
    try:
        found = read_annotations(section.path, format=section.format, **section.options)
    except DataError as error:
        problems = error.problems or (error.message,)
        told = ", ".join(section.files)
        return [text if any(file in text for file in section.files) else f"{told}: {text}" for text in problems]
    return without_texts(", ".join(section.files), config.task.text_columns, found.fields.columns)
