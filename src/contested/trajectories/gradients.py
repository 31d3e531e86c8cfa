"""Reading what gradient probes left in a run folder."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from contested.errors import RunError
from contested.trajectories import layout
from contested.trajectories.checksums import RunFiles
from contested.trajectories.manifest import read_manifest
from contested.trajectories.manifest_content import gradient_facts_problems
from contested.trajectories.reading import read_lines, read_table

_ALIGNMENT = f"{layout.GRADIENTS}/{layout.ALIGNMENT}"

ALIGNMENT_COLUMNS = (
    *("step", "group", "reference", "cosine"),
    *("norm", "norm_reference", "n", "n_reference", "note"),
)


class Gradients(NamedTuple):
    """Gradients of the tracked examples' losses over the weights that trained, at S probed steps.

    Attributes:
        steps: Optimiser steps done at each probe, rising, shape (S,).
        norms: Norm of each example's gradient, shape (S, N); NaN rows where only groups were compared.
        alignment: One row per step and pair of categories: ``step``, ``group`` (the later category), ``reference``
            (the earlier one, in order of rising entropy), ``cosine`` of their mean gradients (NaN where one is
            exactly zero or has no examples), ``norm`` and ``norm_reference`` of those means, ``n`` and
            ``n_reference`` examples, ``note``.
        head: Whether the classification head's weights count.
        mode: ``eval``, or ``train`` with dropout on.
    """

    steps: NDArray[np.int64]
    norms: NDArray[np.float64]
    alignment: pd.DataFrame
    head: bool
    mode: Literal["eval", "train"]


class Probed(NamedTuple):
    """One thing that a probe recorded.

    Attributes:
        step: Optimiser steps done.
        what: Norms of the examples' gradients, or the alignment of the groups'.
        head: Whether the classification head's weights count.
        mode: ``eval``, or ``train`` with dropout on.
    """

    step: int
    what: Literal["norms", "alignment"]
    head: bool
    mode: Literal["eval", "train"]


def probed(run: Path) -> list[Probed]:
    """List what gradient probes left in a run folder.

    Args:
        run: The run folder.

    Returns:
        Norms first, each by rising step.

    Raises:
        RunError: If a file is damaged.
    """
    files = RunFiles(run, read_manifest(run))
    norms = {step: _facts(table) for step, table in _norms(files).items()}
    found = [Probed(step, "norms", bool(facts["head"]), facts["mode"]) for step, facts in norms.items()]
    lines = read_lines(files, _ALIGNMENT)
    return found + [Probed(line["step"], "alignment", bool(line["head"]), line["mode"]) for line in lines]


def read_gradients(files: RunFiles, *, row_keys: NDArray[np.int64], last_step: int) -> Gradients | None:
    """Read a run's gradient probes.

    Args:
        files: The run's files.
        row_keys: Row keys of the tracked examples, shape (N,).
        last_step: Step of the last checkpoint that counts; later probes do not count yet.

    Returns:
        The probes, or None where there are none.

    Raises:
        RunError: If a file is damaged or of other examples.
    """
    tables = _norms(files, last_step)
    lines = [line for line in read_lines(files, _ALIGNMENT) if line["step"] <= last_step]
    steps = sorted({*tables, *(line["step"] for line in lines)})
    if not steps:
        return None
    norms = np.full((len(steps), len(row_keys)), math.nan)
    for step, table in tables.items():
        if not np.array_equal(table["row_key"].to_numpy(), row_keys):
            raise RunError(
                f"The gradient norms at step {step} of {files.run} are of other examples than its checkpoints."
            )
        norms[steps.index(step)] = table["norm"].to_numpy()
    facts = lines[-1] if lines else _facts(next(iter(tables.values())))
    return Gradients(np.array(steps, np.int64), norms, _alignment(lines), bool(facts["head"]), facts["mode"])


def _norms(files: RunFiles, last_step: int | None = None) -> dict[int, pa.Table]:
    """The tables of norms by step, rising."""
    steps = {layout.step_of(name): name for name in files.named(layout.GRADIENTS)}
    taken = sorted(step for step in steps if step is not None and (last_step is None or step <= last_step))
    return {step: read_table(files, steps[step]) for step in taken}


def _facts(table: pa.Table) -> dict[str, Any]:
    """What a file of norms says of its probe.

    Args:
        table: The file's content.

    Returns:
        An object with head and mode, and what else it says.

    Raises:
        RunError: If it says nothing, or something else.
    """
    try:
        found: dict[str, Any] = json.loads((table.schema.metadata or {})[layout.NORM_FACTS])
        problems = list(gradient_facts_problems(found))
    except (KeyError, ValueError, RecursionError) as error:
        problems = [str(error)]
    if problems:
        raise RunError("A file of gradient norms does not say what was measured:", problems)
    return found


def _alignment(lines: list[dict[str, Any]]) -> pd.DataFrame:
    rows = [row for line in lines for row in _pairs(line)]
    return pd.DataFrame(rows, columns=list(ALIGNMENT_COLUMNS))


def _pairs(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a pair of groups; null is NaN."""
    groups, counts = line["groups"], line["counts"]
    norms, cosines = (np.array(line[name], np.float64) for name in ("norms", "cosines"))
    return [
        {
            "step": line["step"],
            "group": groups[later],
            "reference": groups[earlier],
            "cosine": cosines[later, earlier],
            "norm": norms[later],
            "norm_reference": norms[earlier],
            "n": counts[later],
            "n_reference": counts[earlier],
            "note": "; ".join(note for note in line["notes"] if note.startswith(_named(groups, earlier, later))),
        }
        for earlier, later in itertools.combinations(range(len(groups)), 2)
    ]


def _named(groups: list[str], *indices: int) -> tuple[str, ...]:
    return tuple(f"{groups[index]}: " for index in indices)
