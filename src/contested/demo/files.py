"""The demo's data, encoder and configuration as ordinary files, to begin with before there are others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from contested.demo import ENCODER_PATH, World, make_world
from contested.errors import ConfigError
from contested.files import atomic_folder, write_text

N_ANNOTATED, N_BULK, N_SINGLE = 300, 900, 100
"""Annotated items, bulk examples, and of the 1,000 annotators those whose single votes are written: ten per item."""

_RUN = """# A run of contested train; relative paths are taken from this file's folder.
model: {name: ./encoder, max_length: 64}
task:
  annotated: {path: annotated.jsonl}
  bulk: {path: bulk.jsonl, size: null}
method: {name: lora, r: 4}
training: {learning_rate: 5.0e-3}
tracking: {every: 20}
execution: {threads: 1}
"""


def write_files(out: Path) -> dict[str, str]:
    """Write a folder with what the tutorials use.

    Args:
        out: The folder; it must not exist, or be empty.

    Returns:
        What each of its files and folders is, by name.

    Raises:
        ConfigError: If the folder holds something.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(f"Cannot write the demo's files to {out}: it is not an empty folder. Name another --out.")
    out.parent.mkdir(parents=True, exist_ok=True)
    world = make_world(n_annotated=N_ANNOTATED, n_bulk=N_BULK, seed=0)
    with atomic_folder(out) as folder:
        _annotated(world).to_json(folder / "annotated.jsonl", orient="records", lines=True)
        world.bulk.to_json(folder / "bulk.jsonl", orient="records", lines=True)
        _votes(world).to_csv(folder / "votes.csv", index=False)
        shutil.copytree(ENCODER_PATH, folder / "encoder")
        write_text(folder / "run.yaml", _RUN)
    return {
        "votes.csv": f"{N_ANNOTATED} items, a row for each vote of {N_SINGLE} annotators",
        "annotated.jsonl": "the same items, with the label counts of 100 annotators each",
        "bulk.jsonl": f"{N_BULK} training examples with one label each",
        "encoder": "a small encoder to fine-tune",
        "run.yaml": "the configuration of a run on them",
    }


def _annotated(world: World) -> pd.DataFrame:
    data = world.annotated
    table = data.fields[["premise", "hypothesis"]].copy()
    table.insert(0, "id", list(data.example_ids))
    counts = (dict(zip(data.label_names, row, strict=True)) for row in data.label_counts.tolist())
    table["label_counts"] = pd.Series(list(counts), dtype=object)
    return table


def _votes(world: World) -> pd.DataFrame:
    """One row per vote of the first annotators."""
    votes, data = world.votes, world.annotated
    of = votes.annotators < N_SINGLE
    items = votes.items[of]
    texts = data.fields[["premise", "hypothesis"]].iloc[items].reset_index(drop=True)
    texts.insert(0, "item", [data.example_ids[item] for item in items])
    texts["annotator"] = [votes.annotator_ids[annotator] for annotator in votes.annotators[of]]
    texts["label"] = [data.label_names[label] for label in votes.labels[of]]
    return texts
