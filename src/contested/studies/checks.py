"""What would stop or slow a study's runs, found before the first one starts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence

from contested.errors import ConfigError, ModelError
from contested.options import PEFT
from contested.studies.backbone import slowdowns, too_long
from contested.studies.cells import Cell
from contested.studies.inputs import missing, short_bulk, unreadable


def check_cells(cells: Sequence[Cell], *, here: bool = True) -> None:
    """Find what would stop runs: every problem of every cell, each once. Needs torch where there are any.

    Args:
        cells: The runs to be done.
        here: Whether they are to be done on this machine, which then needs their devices.

    Raises:
        ConfigError: With all problems of a kind at once: missing files, then unreadable data, then backbones.
    """
    if not cells:
        return
    from contested.runs import check_run

    # Files first: they need no network, which a backbone's name may.
    _refuse({cell.run_id: cell.config.task.missing_files for cell in cells})
    data: dict[str, list[str]] = {}
    found: dict[str, list[str]] = {}
    for cell in cells:
        task = cell.config.task
        key = str((task.annotated, task.text_columns))
        if key not in data:
            data[key] = unreadable(cell.config)
        found[cell.run_id] = [*short_bulk(cell.config), *data[key]]
    _refuse(found)
    models: dict[str, list[str]] = {}
    for cell in cells:
        key = str((cell.config.model, cell.config.method, cell.config.execution.device))
        if key not in models:
            models[key] = check_run(cell.config, here=here)
        found[cell.run_id] = models[key]
    _refuse(found)


def missing_inputs(cells: Sequence[Cell]) -> list[str]:
    """Find local files and backbones that are not there, and bulk files that are too small.

    Args:
        cells: The runs; excluded ones do not count.

    Returns:
        One sentence each, each once.
    """
    configs = [cell.config for cell in cells if not cell.excluded]
    return _once([*(problem for config in configs for problem in missing(config)), *short_bulks(cells)])


def misfits(cells: Sequence[Cell]) -> list[str]:
    """Find methods that are not there and inputs longer than backbones read, as far as this machine can tell.

    Args:
        cells: The runs; excluded ones do not count.

    Returns:
        One sentence each, each once; none of methods where PEFT, which says what there is, is not installed.
    """
    configs = [cell.config for cell in cells if not cell.excluded]
    problems = [problem for config in configs for problem in too_long(config)]
    methods = [config.method for config in configs if isinstance(config.method, PEFT)]
    # The methods that have a section of their own need no look, which takes seconds.
    if not methods or importlib.util.find_spec("peft") is None:
        return _once(problems)
    from contested.models import tuner_class

    for method in methods:
        try:
            tuner_class(method.type, method.options)
        except ModelError as error:
            problems.append(error.message.rstrip("."))
    return _once(problems)


def short_bulks(cells: Sequence[Cell]) -> list[str]:
    """Find bulk files that hold fewer examples than runs need.

    Args:
        cells: The runs; excluded ones do not count.

    Returns:
        One sentence each, each once.
    """
    return _once(problem for cell in cells if not cell.excluded for problem in short_bulk(cell.config))


def slow_cells(cells: Sequence[Cell], *, on_cpu: bool) -> list[str]:
    """Find what makes runs slower than they need be, as far as backbones' folders and this machine show.

    Args:
        cells: The runs; excluded ones do not count.
        on_cpu: Whether runs that leave the device open train on a CPU.

    Returns:
        One sentence each, each once.
    """
    cpus = {"cpu", "auto"} if on_cpu else {"cpu"}
    configs = [cell.config for cell in cells if not cell.excluded]
    return _once(line for config in configs for line in slowdowns(config, on_cpu=config.execution.device in cpus))


def _once(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def _refuse(found: Mapping[str, Sequence[str]]) -> None:
    runs_of: dict[str, list[str]] = {}
    for run_id, problems in found.items():
        for problem in problems:
            runs_of.setdefault(problem, []).append(run_id)
    if runs_of:
        problems = [f"{problem} ({len(runs)} runs, such as {runs[0]})" for problem, runs in runs_of.items()]
        raise ConfigError("The study cannot start:", problems)
