"""Dataset Cartography's ``td_metrics.jsonl``: where each example lies on the data map, one per line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from contested.errors import ConfigError
from contested.exchange.cartography import guids_of
from contested.exchange.format import Format, new_file, required

if TYPE_CHECKING:
    from contested.trajectories.trajectory import Trajectory

NEVER_LEARNED = 1000
"""What the tool writes as the forgetfulness of an example whose gold label is never on top."""

_COLUMNS = (
    *("guid", "index", "threshold_closeness", "confidence", "variability"),
    *("correctness", "forgetfulness"),
)


def write(trajectory: Trajectory, target: Path) -> list[str]:
    """Write the coordinates of a run's examples under the names that the tool gives them.

    The numbers are the tool's own definitions, of this run's checkpoints: confidence is the mean and variability the
    population standard deviation of the gold label's probability, threshold closeness is confidence × (1 −
    confidence), correctness *counts* the checkpoints with the gold label on top (the paper, S. Swayamdipta et al.,
    EMNLP 2020, has their share), and forgetfulness counts changes from right to wrong, or is
    :data:`NEVER_LEARNED` for an example that is never right.

    Args:
        trajectory: A run with logits and gold labels, and two checkpoints or more.
        target: A new file that ends in ``.jsonl`` or ``.csv``.

    Returns:
        What correctness and forgetfulness count.

    Raises:
        ConfigError: If the file is of another kind.
        RunError: If the run lacks logits or gold labels, or the file exists or cannot be written.
    """
    writers = {".jsonl": _write_jsonl, ".csv": _write_csv}
    if target.suffix not in writers:
        raise ConfigError(f"{target} is of an unknown type: give a file that ends in .jsonl or .csv.")
    required(trajectory, "logits", "gold")
    with new_file(target) as path, path.open("w", encoding="utf-8", newline="") as file:
        writers[target.suffix](file, _rows(trajectory))
    return [
        f"Correctness counts the {len(trajectory.steps)} checkpoints with the gold label on top, and an example that "
        f"is never right has the forgetfulness {NEVER_LEARNED:,}, as in the tool's own file."
    ]


def _rows(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    import numpy as np

    from contested.analysis import cartography, correct, forgetting_events
    from contested.analysis.blocks import blocks

    logits, gold = required(trajectory, "logits", "gold")
    guids = guids_of(trajectory.example_ids.tolist())
    n_checkpoints, n_examples, n_classes = logits.shape
    for block in blocks(n_examples, n_checkpoints * n_classes):
        found = cartography(logits[:, block], gold[block])
        right = correct(logits[:, block], gold[block])
        forgotten = np.where(right.any(axis=0), forgetting_events(right), NEVER_LEARNED)
        values = (
            np.arange(n_examples)[block],
            found.confidence * (1 - found.confidence),
            found.confidence,
            found.variability,
            right.sum(axis=0),
            forgotten,
        )
        for row in zip(guids[block], *(array.tolist() for array in values), strict=True):
            yield dict(zip(_COLUMNS, row, strict=True))


def _write_jsonl(file: TextIO, rows: Iterator[dict[str, Any]]) -> None:
    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_csv(file: TextIO, rows: Iterator[dict[str, Any]]) -> None:
    writer = csv.DictWriter(file, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)


FORMAT = Format(
    name="coordinates",
    summary="Dataset Cartography's td_metrics.jsonl, or the same as .csv: coordinates of the data map",
    write=write,
)
