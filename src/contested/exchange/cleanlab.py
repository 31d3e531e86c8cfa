"""What cleanlab takes: predicted probabilities and labels of one checkpoint, and a table of annotators' labels."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contested.errors import ConfigError, DataError
from contested.exchange.collect import Collector
from contested.exchange.format import NOT_ARRAYS, Format, new_file, required
from contested.exchange.records import Recording, Rows
from contested.wording import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contested.trajectories.trajectory import Trajectory

_PROB = "prob_"
_ANNOTATOR = "annotator_"
_SEED = 0  # of the annotators' columns


def read(source: Path, keep: Container[str] | None, label_names: tuple[str, ...] | None) -> Recording:
    """Read predicted probabilities, and labels where there are any.

    Args:
        source: ``.npz`` with pred_probs (N, K), and perhaps labels (N,), example_ids and label_names; ``.csv`` with
            prob_<class>, and perhaps example_id and label; or ``.npy`` with pred_probs alone.
        keep: Ids that are wanted; None wants all.
        label_names: The classes in the order of the probabilities; where the file names them, in any order.

    Returns:
        One checkpoint without a number; examples without ids are numbered from 0.

    Raises:
        ConfigError: If the file is of another kind.
        DataError: If the file cannot be used as given.
    """
    readers = {".npz": _read_npz, ".npy": _read_npz, ".csv": _read_csv}
    if source.suffix not in readers:
        raise ConfigError(f"{source} is of an unknown type: expected a file that ends in .npz, .npy or .csv.")
    try:
        found = readers[source.suffix](source)
    except NOT_ARRAYS as error:
        raise DataError(f"{source} cannot be read: {error}.") from error
    probabilities, labels, ids, names = _checked(source, found, label_names)
    rows = Rows(steps=_zeros(len(ids)), ids=ids, scores=probabilities, gold=labels, probabilities=True)
    collector = Collector(keep)
    collector.add_rows(rows, lambda row: f"row {row}")
    numbered = [] if "example_ids" in found else ["The file has no ids: examples are numbered from 0 as they stand."]
    return collector.recording(str(source), step_unit=None, label_names=names, notes=numbered)


def _zeros(n: int) -> NDArray[np.int64]:
    import numpy as np

    return np.zeros(n, np.int64)


def _read_npz(source: Path) -> dict[str, Any]:
    import numpy as np

    found = np.load(source)
    if source.suffix == ".npy":
        return {"pred_probs": found}
    with found:
        names = ("pred_probs", "labels", "example_ids", "label_names")
        return {name: found[name] for name in names if name in found.files}


def _read_csv(source: Path) -> dict[str, Any]:
    import pandas as pd

    # As text, because an id or a class may be called NA.
    table = pd.read_csv(source, dtype=str, keep_default_na=False)
    columns = [name for name in table if str(name).startswith(_PROB)]
    found: dict[str, Any] = {"pred_probs": table[columns].to_numpy().astype(float)} if columns else {}
    classes = [str(name).removeprefix(_PROB) for name in columns]
    if classes != [str(index) for index in range(len(classes))]:
        found["label_names"] = classes
    renamed = {"labels": "label", "example_ids": "example_id"}
    return found | {name: table[column].to_numpy() for name, column in renamed.items() if column in table}


def _checked(
    source: Path, found: Mapping[str, Any], label_names: tuple[str, ...] | None
) -> tuple[NDArray[np.floating], list[int | str | None] | None, list[str], tuple[str, ...]]:
    """Probabilities, labels, ids and class names that fit together, the classes in the order asked for."""
    import numpy as np

    probabilities = found.get("pred_probs", np.zeros(0))
    if probabilities.ndim != 2 or probabilities.dtype.kind != "f":
        raise DataError(
            f"{source} holds no pred_probs of shape (N, K); expected probabilities in an array pred_probs of an .npz "
            f"file, an .npy file, or in columns {_PROB}<class> of a .csv file."
        )
    n_examples, n_classes = probabilities.shape
    ids = [str(name) for name in found.get("example_ids", range(n_examples))]
    names = tuple(str(name) for name in found.get("label_names", ()))
    labels = [_label(value, names) for value in found["labels"].tolist()] if "labels" in found else None
    wrong = [
        f"{what}: given {given:,}, expected {wanted:,}"
        for what, given, wanted in (
            ("example_ids", len(ids), n_examples),
            ("labels", n_examples if labels is None else len(labels), n_examples),
            ("label_names", len(names) or n_classes, n_classes),
        )
        if given != wanted
    ]
    if label_names and names and sorted(label_names) != sorted(names):
        wrong.append(f"its classes are {listed(names)}; the label names are {listed(label_names)}")
    if "" in ids:
        wrong.append(f"row {ids.index('')} has no example_id")
    if wrong:
        raise DataError(f"{source} does not fit together:", wrong)
    if names and labels is not None:
        # By name they are right in any order.
        labels = [names[label] if isinstance(label, int) and 0 <= label < n_classes else label for label in labels]
    if label_names and names:
        return probabilities[:, [names.index(name) for name in label_names]], labels, ids, label_names
    return probabilities, labels, ids, names


def _label(value: Any, names: tuple[str, ...]) -> int | str | None:
    """A label as the index or the name of a class; numbers with gaps between them are stored as floats."""
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value not in names and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) else str(value)


def write(trajectory: Trajectory, target: Path) -> list[str]:
    """Write ``pred_probs`` and ``labels`` of a run's last checkpoint, and annotators' labels where there are any.

    Who gave which label is not in a run: each example's labels are dealt out to M columns by chance, M the most
    annotators of an example; a cell without one is NaN.

    Args:
        trajectory: A run with logits and gold labels.
        target: A new file: ``.npz`` with the arrays pred_probs (N, K), labels (N,), example_ids, label_names and
            labels_multiannotator (N, M), or ``.csv`` with the columns example_id, label, prob_<class> and
            annotator_<m>.

    Returns:
        Which checkpoint it is, and what is not known of the annotators.

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
    ids, names, counts = trajectory.example_ids, trajectory.label_names, trajectory.label_counts
    by_annotator = None if counts is None or counts.sum(axis=1).max() < 2 else _dealt(counts)
    with new_file(target) as path, path.open("wb") as file:
        if target.suffix == ".npz":
            arrays: dict[str, Any] = {"pred_probs": probabilities, "labels": gold, "example_ids": ids.astype(str)}
            more: dict[str, Any] = {} if by_annotator is None else {"labels_multiannotator": by_annotator}
            np.savez(file, **arrays, label_names=np.array(names), **more)
        else:
            shares = {f"{_PROB}{name}": probabilities[:, index] for index, name in enumerate(names)}
            table = pd.DataFrame({"example_id": ids, "label": gold, **shares})
            if by_annotator is not None:
                columns = [f"{_ANNOTATOR}{number}" for number in range(1, by_annotator.shape[1] + 1)]
                given = pd.DataFrame(by_annotator, columns=columns).astype("Int64")
                table = pd.concat([table, given], axis=1)
            table.to_csv(file, index=False)
    return _notes(trajectory, by_annotator is not None)


def _dealt(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each example's labels in M columns, shape (N, M), NaN where there are fewer.

    By chance, because cleanlab weighs annotators by how often they agree: in order of the classes the first column
    would seem to be an annotator who prefers the first class.
    """
    import numpy as np

    n_examples, n_classes = counts.shape
    totals = counts.sum(axis=1)
    table = np.full((n_examples, totals.max()), np.nan)
    table[np.arange(totals.max()) < totals[:, None]] = np.repeat(
        np.tile(np.arange(n_classes), n_examples), counts.ravel()
    )
    return np.random.default_rng(_SEED).permuted(table, axis=1)


def _notes(trajectory: Trajectory, with_annotators: bool) -> list[str]:
    notes = [
        f"Probabilities are those of the last checkpoint ({trajectory.counted_in} {trajectory.steps[-1]}). Where the "
        "examples were trained on they are in-sample, while cleanlab expects out-of-sample ones."
    ]
    if with_annotators:
        notes.append(
            "A run counts labels and does not know who gave which: they are dealt out to columns by chance, so what "
            "cleanlab says of single annotators means nothing; consensus, agreement and their quality do."
        )
    return notes


FORMAT = Format(
    name="cleanlab",
    summary="pred_probs and labels of one checkpoint, as .npz or .csv, and a column of labels per annotator",
    read=read,
    write=write,
)
