"""What a study consists of: its axes, and each run with its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from contested.analysis.study.cells import StudyRuns
from contested.analysis.study.columns import columns_of, frame_of
from contested.analysis.study.runs import Run
from contested.naming import value_name
from contested.wording import joined


def axes_frame(study: StudyRuns) -> pd.DataFrame:
    """What the cells of a study differ in, besides the seed: one row per axis."""
    varying = study.varying
    rows = [
        {
            "axis": axis.name,
            "key": axis.key,
            "numeric": axis.numeric,
            "varies": axis in varying,
            "values": ", ".join(value_name(value, axis.name, axis.key) for value in axis.values),
        }
        for axis in study.axes
    ]
    return frame_of("axes", columns_of("axes", ()), rows)


def runs_frame(study: StudyRuns) -> pd.DataFrame:
    """Every cell with the result of its run; NaN where it is missing, excluded or unusable."""
    names = [axis.name for axis in study.axes]
    rows = [run_row(study, cell, ("run_id", "name", *names, "seed", "status", "excluded")) for cell in cells_of(study)]
    return frame_of("runs", columns_of("runs", names), rows)


def cells_of(study: StudyRuns) -> list[dict[str, Any]]:
    """The cells, one by one."""
    columns = {str(name): study.cells[name].tolist() for name in study.cells}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def run_row(study: StudyRuns, cell: Mapping[str, Any], columns: tuple[str, ...]) -> dict[str, object]:
    """The result of one cell's run.

    Args:
        study: The study.
        cell: One of its cells.
        columns: The columns of the cell that the row repeats.

    Returns:
        Columns by name.
    """
    run_id = str(cell["run_id"])
    excluded, run = str(cell["excluded"]), study.runs.get(run_id)
    row = {
        **{name: cell[name] for name in columns},
        "run_ids": run_id if run else "",
        "missing": "" if run or excluded else run_id,
        "n_seeds": int(run is not None),
        "n_expected": int(not excluded),
    }
    if run is None:
        left_out = f"excluded: {excluded}" if excluded else ""
        return row | {"notes": joined(left_out, study.unusable.get(run_id, ""))}
    rho, p_value, note = run.rho
    return row | {
        "rho": rho,
        "p_value": p_value,
        "val_accuracy": run.val_accuracy,
        "train_loss": run.train_loss,
        "n": len(run.example_ids),
        "notes": joined(note, _late_start(run)),
    }


def _late_start(run: Run) -> str:
    first = int(run.steps[0])
    return f"the first checkpoint is at step {first}: changes leave out what happened before it" if first > 0 else ""
