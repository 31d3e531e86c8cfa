"""The columns that the paper's tables need of each cell, derived from the cell's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from contested.studies import Cell
    from contested.studies.results import OpenedStudy


def paper_cells(opened: OpenedStudy) -> pd.DataFrame:
    """The cells of a study with the paper's columns.

    Args:
        opened: The study.

    Returns:
        The table with the columns :data:`~contested.paper.frames.columns.CELL_COLUMNS`. ``backbone``, ``method`` and
        ``dataset`` are the axes of these names, where the study has them.
    """
    table = opened.table
    derived = pd.DataFrame([_derived(cell, opened.params) for cell in opened.cells], index=table.index)
    return pd.concat([table, derived.drop(columns=[name for name in derived if name in table])], axis=1)


def _derived(cell: Cell, params: Mapping[str, float]) -> Mapping[str, Any]:
    config, task = cell.config, cell.config.task
    method = config.method
    known = float("nan") if cell.facts.params is None else cell.facts.params
    return {
        "backbone": Path(config.model.name).name,
        "decoder": cell.facts.decoder,
        "params": float(params.get(cell.run_id, known)),
        "method": method.label,
        "family": method.type.lower() if method.name == "peft" else method.name,
        "rank": float(method.r) if method.name == "lora" else float("nan"),
        "dataset": "+".join(Path(file).stem for file in task.annotated.files),
        "learning_rate": config.training.learning_rate,
        "composition": task.composition,
        "noise": task.noise.share if task.noise else 0.0,
        "noise_rule": task.noise.rule if task.noise else "",
        "soft_labels": task.soft_labels,
    }
