"""Time ``contested entropy`` on files of a million rows beside ``pandas.read_csv`` of the same files.

Each is a process of its own, from its start to its end; they take turns, and the least of several times counts.

Run: ``python benchmarks/reading.py [ROWS] [TIMES]``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

LABELS = np.array(["entailment", "neutral", "contradiction"], dtype=object)


def votes(rng: np.random.Generator, n_items: int, n_each: int) -> np.ndarray:
    """Labels by so many annotators each, of items that they agree on more or less."""
    shares = rng.dirichlet(np.full(3, 0.5), n_items).cumsum(axis=1)
    drawn = (rng.random((n_items, n_each, 1)) > shares[:, None, :]).sum(axis=2)
    return LABELS[drawn.clip(0, 2)]


def write_long(path: Path, rng: np.random.Generator, n_rows: int) -> None:
    """A row per vote: item, annotator (one of 800) and label; five votes an item."""
    n_items = n_rows // 5
    workers = (rng.integers(0, 800, n_items)[:, None] + 37 * np.arange(5)) % 800
    items = np.char.add("item-", np.repeat(np.arange(n_items), 5).astype(str))
    columns = {"item": items, "annotator": np.char.add("w", workers.ravel().astype(str))}
    pd.DataFrame({**columns, "label": votes(rng, n_items, 5).ravel()}).to_csv(path, index=False)


def write_wide(path: Path, rng: np.random.Generator, n_rows: int) -> None:
    """A row per item and a column for each of five annotators; a fifth of the cells is empty."""
    labels = votes(rng, n_rows, 5)
    labels[rng.random(labels.shape) < 0.2] = None
    columns = {f"annotator_{k + 1}": labels[:, k] for k in range(5)}
    pd.DataFrame({"id": np.char.add("item-", np.arange(n_rows).astype(str)), **columns}).to_csv(path, index=False)


def seconds(command: list[str]) -> float:
    """How long a process takes."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    """Print the times and their ratio for both files."""
    n_rows, times = (int(sys.argv[1]) if sys.argv[1:] else 1_000_000), (int(sys.argv[2]) if sys.argv[2:] else 3)
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("long", write_long), ("wide", write_wide)):
            path = Path(folder) / f"{name}.csv"
            write(path, np.random.default_rng(0), n_rows)
            pandas = [sys.executable, "-c", f"import pandas; pandas.read_csv({str(path)!r})"]
            own = [sys.executable, "-m", "contested", "entropy", str(path)]
            found = np.array([[seconds(pandas), seconds(own)] for _ in range(times)]).min(axis=0)
            print(
                f"{name}: {n_rows:,} rows, {path.stat().st_size / 1e6:.0f} MB; pandas.read_csv {found[0]:.2f} s, "
                f"contested entropy {found[1]:.2f} s, {found[1] / found[0]:.1f} times"
            )


if __name__ == "__main__":
    main()
