"""What cleanlab takes: predicted probabilities and labels, of the last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from contested.errors import ConfigError
from contested.exchange.format import Format, new_file, required

if TYPE_CHECKING:
    from contested.trajectories.trajectory import Trajectory


def write(trajectory: Trajectory, target: Path) -> list[str]:
    """Write ``pred_probs`` and ``labels`` of a run's last checkpoint.

    Args:
        trajectory: A run with logits and gold labels.
        target: A new file: ``.npz`` with the arrays pred_probs (N, K), labels (N,), example_ids and label_names, or
            ``.csv`` with the columns example_id, label and prob_<class>.

    Returns:
        Which checkpoint it is.

    Raises:
        ConfigError: If the file is of another kind.
        RunError: If the run lacks logits or gold labels, or the file exists or cannot be written.
    """
    import numpy as np
    import pandas as pd
    from scipy import special

    if target.suffix not in {".npz", ".csv"}:
        raise ConfigError(f"{target} is of an unknown type: give a file that ends in .npz or .csv.")
    logits, gold = required(trajectory, "logits", "gold")
    probabilities = special.softmax(logits[-1].astype(np.float64), axis=1)
    ids, names = trajectory.example_ids, trajectory.label_names
    with new_file(target) as path, path.open("wb") as file:
        if target.suffix == ".npz":
            label_names = np.array(names)
            np.savez(file, pred_probs=probabilities, labels=gold, example_ids=ids.astype(str), label_names=label_names)
        else:
            columns = {f"prob_{name}": probabilities[:, index] for index, name in enumerate(names)}
            pd.DataFrame({"example_id": ids, "label": gold, **columns}).to_csv(file, index=False)
    return [
        f"Probabilities are those of the last checkpoint ({trajectory.counted_in} {trajectory.steps[-1]}). Where the "
        "examples were trained on they are in-sample, while cleanlab expects out-of-sample ones."
    ]


FORMAT = Format(name="cleanlab", summary="pred_probs and labels of the last checkpoint, as .npz or .csv", write=write)
