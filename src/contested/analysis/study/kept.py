"""Measures of a study's runs that are kept between reports, so that runs which have not changed are not read again.

A run's measures are kept under the digest of its manifest, which has the checksums of its files, and hold for the code,
the packages and the options that made them. What is kept is a cache: it may be deleted, and a file of other code or
options, or that is not as it was written, counts as none.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import platform
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy
from numpy.typing import NDArray

from contested.analysis.study.runs import Run
from contested.errors import ContestedError
from contested.files import atomic_path

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

_PACKAGE = Path(__file__).parents[2]
_LARGEST = 1 << 28  # bytes of a file
_CHECKSUM = 64  # characters at its end
_NUMBERS = ("val_accuracy", "train_loss")
_TEXTS = ("learned_little", "at_chance", "ended_by_alert")
_TUPLES = ("absent", "rho", "made_of")
_ARRAYS = ("steps", "losses", "first_logits", "last_logits")
_BY_NAME = ("columns", "reached")


class KeepingRuns(Mapping[str, "Trajectory"]):
    """Runs by run id, whose measures are kept.

    Attributes:
        kept: Where.
    """

    kept: KeptRuns


class KeptRuns:
    """The measures of a study's runs in a file.

    Args:
        file: The file; at most 256 MB of measures are written into it.
        digests: Run id to the digest of the run's manifest, of runs whose files are known to be what it says.
        options: What of the runs is measured, beside their clusters.
    """

    def __init__(self, file: Path, digests: Mapping[str, str], options: str) -> None:
        self._file, self._digests, self._options = file, digests, options

    def load(
        self, made: type[Run], clusters: str | None, summaries_of: Callable[[str], Mapping[str, Any]]
    ) -> dict[str, Run]:
        """The runs that are as they were when they were measured.

        Args:
            made: What they are made as.
            clusters: The column of clusters that they are measured with.
            summaries_of: What runs say of their examples, by the id of one with these; asked once for each table.

        Returns:
            The runs by run id.
        """
        index, records = _read(self._file)
        if index.get("rules") != self._rules(made, clusters):
            return {}
        examples: dict[str, Mapping[str, Any] | None] = {}
        found = {}
        for row in index["runs"]:
            digest, table = row["made_of"]
            if self._digests.get(row["run_id"]) != digest:
                continue
            if table not in examples:
                examples[table] = _summaries(summaries_of, row["run_id"])
            if (summaries := examples[table]) is not None:
                found[row["run_id"]] = made(**_unpacked(row, records[row["record"]][row["place"]]), **summaries)
        return found

    def save(self, made: type[Run], clusters: str | None, runs: Collection[Run]) -> None:
        """Keep the measures of runs, in the place of what was kept before.

        Args:
            made: What they are made as.
            clusters: The column of clusters that they were measured with.
            runs: The runs. Those with gradients are left out, those of which nothing says what they were measured from,
                and those whose examples no other run has: to find what is known of them takes as long as to measure.
        """
        rows: list[dict[str, Any]] = []
        like: dict[np.dtype[np.void], list[dict[str, NDArray[Any]]]] = {}
        room, tables = _LARGEST, Counter(run.made_of[1] for run in runs)
        for run in runs:
            packed = _packed(run) if tables[run.made_of[1]] > 1 else None
            if packed is None or (room := room - sum(array.nbytes for array in packed[1].values())) < 0:
                continue
            dtype = np.dtype([(name, array.dtype, array.shape) for name, array in packed[1].items()], align=True)
            place = len(like.setdefault(dtype, []))
            rows.append(packed[0] | {"record": f"record {list(like).index(dtype)}", "place": place})
            like[dtype].append(packed[1])
        index = json.dumps({"rules": self._rules(made, clusters), "runs": rows}, separators=(",", ":"))
        records = {f"record {number}": _records(*given) for number, given in enumerate(like.items())}
        with contextlib.suppress(OSError):  # whoever may only read the folder measures again the next time
            _write(self._file, index, records)

    def _rules(self, made: type[Run], clusters: str | None) -> list[str | None]:
        return [_code(), made.__name__, self._options, clusters]


@functools.cache
def _code() -> str:
    """The digest of the project's source, and of the versions of what it computes with."""
    versions = [platform.python_version(), *(package.__version__ for package in (np, pd, pa, scipy))]
    found = hashlib.sha256(repr(versions).encode())
    for file in sorted(_PACKAGE.rglob("*.py")):
        found.update(repr((file.relative_to(_PACKAGE).as_posix(), file.stat().st_size)).encode())
        found.update(file.read_bytes())
    return found.hexdigest()


def _summaries(summaries_of: Callable[[str], Mapping[str, Any]], run_id: str) -> Mapping[str, Any] | None:
    try:
        return summaries_of(run_id)
    except ContestedError:  # measuring the runs anew says why
        return None


def _packed(run: Run) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """A run without its examples, as values of JSON and arrays of numbers; None where it cannot be kept."""
    if run.gradients is not None or not all(run.made_of):
        return None
    arrays = {name: getattr(run, name) for name in _ARRAYS if getattr(run, name) is not None}
    arrays |= {f"{of}.{name}": values for of in _BY_NAME for name, values in getattr(run, of).items()}
    words = {}
    for name, values in arrays.items():
        if values.dtype == object:
            if not all(isinstance(value, str) for value in values):
                return None
            codes, known = pd.factorize(values)
            arrays[name], words[name] = codes.astype(np.int32), known.tolist()
    values = {name: getattr(run, name) for name in ("run_id", *_NUMBERS, *_TEXTS, *_TUPLES)}
    return values | {"words": words}, arrays


def _unpacked(row: Mapping[str, Any], record: np.void) -> dict[str, Any]:
    """What :func:`_packed` was given."""
    arrays = {name: record[name] for name in record.dtype.names or ()}
    arrays |= {name: np.array(known, object)[arrays[name]] for name, known in row["words"].items()}
    by_name: dict[str, dict[str, NDArray[Any]]] = {of: {} for of in _BY_NAME}
    for name in [name for name in arrays if name not in _ARRAYS]:
        of, _, own = name.partition(".")
        by_name[of][own] = arrays.pop(name)
    return {
        **dict.fromkeys(_ARRAYS),
        **arrays,
        **by_name,
        **{name: row[name] for name in ("run_id", *_NUMBERS, *_TEXTS)},
        **{name: tuple(row[name]) for name in _TUPLES},
        "gradients": None,
    }


def _records(dtype: np.dtype[np.void], given: list[dict[str, NDArray[Any]]]) -> NDArray[np.void]:
    records = np.zeros(len(given), dtype)
    for name in dtype.names or ():
        records[name] = [arrays[name] for arrays in given]
    return records


def _read(file: Path) -> tuple[dict[str, Any], dict[str, NDArray[np.void]]]:
    """What a file holds; nothing where it is not there, or is not as it was written."""
    try:
        content = file.read_bytes()
    except OSError:
        return {}, {}
    checksum = content[-_CHECKSUM:]
    if hashlib.sha256(memoryview(content)[:-_CHECKSUM]).hexdigest().encode() != checksum:
        return {}, {}
    with np.load(io.BytesIO(content)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return json.loads(arrays.pop("index").tobytes()), arrays


def _write(file: Path, index: str, records: Mapping[str, NDArray[np.void]]) -> None:
    with atomic_path(file) as path:
        with path.open("wb") as opened:
            np.savez(opened, index=np.frombuffer(index.encode(), np.uint8), **records)  # type: ignore[arg-type]
        with path.open("r+b") as opened:
            checksum = hashlib.file_digest(opened, "sha256").hexdigest()
            opened.write(checksum.encode())
