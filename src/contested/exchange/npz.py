"""NumPy archives: ids, steps, logits or probabilities or losses, gold labels, each an array of its own."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contested.errors import DataError
from contested.exchange.collect import Collector
from contested.exchange.format import NOT_ARRAYS, Format, new_file, not_held
from contested.exchange.records import Recording, Rows
from contested.wording import listed

if TYPE_CHECKING:
    from contested.trajectories.trajectory import Trajectory

_NAMES = {
    "ids": ("example_ids", "example_id", "ids", "id"),
    "steps": ("steps", "step", "epochs", "epoch"),
    "scores": ("logits", "probs", "probabilities", "pred_probs"),
    "losses": ("losses", "loss"),
    "gold": ("gold", "labels"),
    "label_names": ("label_names",),
}
_EXPECTED = (
    "expected example_ids (N,), steps or epochs (T,), and logits or probs (T, N, K), losses (T, N), or both; gold (N,) "
    "and label_names (K,) may stand beside them; of one checkpoint steps and the first axis may be left out"
)


def read(source: Path, keep: Container[str] | None, label_names: tuple[str, ...] | None) -> Recording:
    """Read an archive.

    Args:
        source: The file, as ``numpy.savez`` writes it.
        keep: Ids that are wanted; None wants all.
        label_names: The classes in the order of the scores; those of the file are used without it.

    Returns:
        The recording.

    Raises:
        DataError: If the file cannot be used as given; all problems at once.
    """
    found, unread = _load(source)
    arrays = {what: next((found[name] for name in names if name in found), None) for what, names in _NAMES.items()}
    unit = next((name.removesuffix("s") for name in _NAMES["steps"] if name in found), "")
    scores, losses = _with_checkpoints(arrays["scores"], 3), _with_checkpoints(arrays["losses"], 2)
    if problems := _problems(arrays, scores, losses, unit):
        raise DataError(f"{source} cannot be read as arrays of a recording: {_EXPECTED}.", problems)
    collector = Collector(keep)
    ids, gold = _entries(arrays["ids"]), arrays["gold"]
    shape = next(array.shape for array in (scores, losses) if array is not None)
    steps = np.zeros(1, np.int64) if arrays["steps"] is None else np.atleast_1d(arrays["steps"]).astype(np.int64)
    for index in range(shape[0]):
        rows = Rows(
            np.full(shape[1], steps[index]),
            ids,
            None if scores is None else scores[index],
            None if losses is None else losses[index],
            None if gold is None else gold.tolist(),
            "logits" not in found,
        )
        collector.add_rows(rows, f"checkpoint {index}, row {{}}".format)
    names = label_names or (() if arrays["label_names"] is None else tuple(_entries(arrays["label_names"])))
    notes = [f"Not read: the array{'s' * (len(unread) > 1)} {listed(unread)}."] if unread else []
    return collector.recording(str(source), step_unit=unit or None, label_names=names, notes=notes)


def _load(source: Path) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The arrays that mean something, and the names of the others."""
    known = [name for names in _NAMES.values() for name in names]
    try:
        loaded = np.load(source, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise DataError(f"{source} is one array without ids. Save several with numpy.savez: {_EXPECTED}.")
        with loaded as archive:
            # Of two names for the same the first one counts.
            used = [next((name for name in names if name in archive), "") for names in _NAMES.values()]
            return {name: archive[name] for name in used if name}, [name for name in archive if name not in used]
    except NOT_ARRAYS as error:
        raise DataError(
            f"{source} cannot be read as a NumPy archive: {error}. Ids and names are saved as text: "
            f"np.array({known[0]}, dtype=str)."
        ) from error


def _with_checkpoints(array: NDArray[Any] | None, ndim: int) -> NDArray[Any] | None:
    """Numbers of one checkpoint get the axis that they may leave out."""
    return None if array is None else array[None] if array.ndim == ndim - 1 else array


def _problems(
    arrays: Mapping[str, NDArray[Any] | None],
    scores: NDArray[Any] | None,
    losses: NDArray[Any] | None,
    unit: str,
) -> list[str]:
    told = ["there are no example_ids"] if arrays["ids"] is None else []
    if scores is None and losses is None:
        told.append("there are neither logits, nor probs, nor losses")
    for what, array, ndim in (("scores", scores, 3), ("losses", losses, 2)):
        if array is not None and (array.ndim != ndim or array.dtype.kind not in "fiu"):
            told.append(f"the {what} are {array.dtype} of shape {array.shape}")
    if told:
        return told
    shapes = [array.shape[:2] for array in (scores, losses) if array is not None]
    n_checkpoints, n_examples = shapes[0]
    wanted = {"ids": n_examples, "gold": n_examples, "steps": n_checkpoints}
    if len(set(shapes)) > 1:
        told.append(f"scores have shape {shapes[0]} and losses {shapes[1]}, expected the same T and N")
    for what, length in wanted.items():
        array = arrays[what]
        if array is not None and np.atleast_1d(array).shape != (length,):
            told.append(f"{what} have shape {array.shape}, expected ({length},)")
    steps = arrays["steps"]
    if steps is None and n_checkpoints > 1:
        told.append(f"there are {n_checkpoints} checkpoints, and neither steps nor epochs")
    if steps is not None and (steps.dtype.kind not in "fiu" or (steps != np.round(steps)).any()):
        told.append(f"{unit}s are {steps.dtype}, expected whole numbers")
    return told


def _entries(array: NDArray[Any] | None) -> list[str]:
    return [] if array is None else [str(value) for value in array.tolist()]


def write(trajectory: Trajectory, target: Path) -> list[str]:
    """Write a run as an archive of arrays, with which ``numpy.load`` gives them by name.

    Args:
        trajectory: Any run.
        target: A new file.

    Returns:
        What it does not hold.

    Raises:
        RunError: If the file exists or cannot be written.
    """
    arrays: dict[str, Any] = {
        "example_ids": trajectory.example_ids.astype(str),
        f"{trajectory.step_unit}s": trajectory.steps,
        "losses": trajectory.losses,
        "logits": trajectory.logits,
        "gold": trajectory.gold,
        "label_names": np.array(trajectory.label_names) if trajectory.label_names else None,
    }
    with new_file(target) as path, path.open("wb") as file:
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    return not_held(trajectory, "the archive")


FORMAT = Format(
    name="npz",
    summary="arrays: example_ids, steps or epochs, logits, probs or losses, gold, label_names",
    read=read,
    write=write,
)
