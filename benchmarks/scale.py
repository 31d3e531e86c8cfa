"""CPU and wall time of plan, status and report of a study of thousands of runs.

python benchmarks/scale.py --runs 10000

The runs are synthetic: folders as the writer makes them, of few examples and checkpoints, without weights. Only so many
are different; the files of the others are links to theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from contested.annotations.measures import entropy
from contested.config import identifying
from contested.studies import Cell, expand, load_study
from contested.studies.folder import begin, run_folder
from contested.trajectories import RunWriter, layout
from contested.trajectories.identity import IDENTITY_VERSION
from contested.trajectories.manifest import read_manifest, write_manifest
from contested.trajectories.provenance import run_provenance

LABELS = ("entailment", "neutral", "contradiction")
RANKS, RATES, EPOCHS = 5, 5, 4
DIFFERENT = 100  # runs of different losses
COMMANDS = {
    "plan": ["study", "plan", "{study}/study.yaml", "--out", "{study}"],
    "status, first": ["study", "status", "{study}", "--once"],
    "status": ["study", "status", "{study}", "--once"],
    "status --json": ["study", "status", "{study}", "--json"],
    "report, first": ["report", "{study}"],
    "report": ["report", "{study}"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="runs of the study, a multiple of 100, all complete")
    parser.add_argument("--examples", type=int, default=40, help="tracked examples of each")
    parser.add_argument("--checkpoints", type=int, default=4, help="checkpoints of each")
    parser.add_argument("--folder", type=Path, help="keep the study here, and use it where it is there")
    parser.add_argument("--only", nargs="*", choices=list(COMMANDS), default=list(COMMANDS), help="commands to measure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        study = given.folder or Path(temporary) / "study"
        if not (study / "study.yaml").is_file():
            make(study, given.runs, given.examples, given.checkpoints)
        print(f"{given.runs:,} runs × {given.examples} examples × {given.checkpoints} checkpoints")
        print(f"  {'':16}{'CPU s':>9}{'wall s':>9}{'MB':>9}")
        for name in given.only:
            print(f"  {name:16}" + "".join(f"{value:9.1f}" for value in measured(COMMANDS[name], study)), flush=True)


def measured(command: list[str], study: Path) -> tuple[float, float, float]:
    """CPU and wall seconds of a command with the processes that it started, and its peak memory in MB."""
    words = [word.format(study=study) for word in command]
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "contested", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"contested {' '.join(words)} failed")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024


def make(folder: Path, n_runs: int, n_examples: int, n_checkpoints: int) -> None:
    """Write a study's folder with all its runs complete."""
    folder.mkdir(parents=True)
    examples = annotated(n_examples)
    rows = [
        {
            "uid": row.example_id,
            "label_counter": dict(zip("enc", map(int, row.label_counts), strict=True)),
            "example": {"premise": row.premise, "hypothesis": row.hypothesis},
        }
        for row in examples.itertuples()
    ]
    (folder / "annotated.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    file = folder / "given.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "name": "scale",
                "defaults": {
                    "model": {"name": "encoder-of-nobody"},
                    "task": {"annotated": {"path": "annotated.jsonl"}},
                },
                "axes": {
                    "method.r": [2**k for k in range(RANKS)],
                    "training.learning_rate": [float(f"{10 ** (-5 + k / 2):.2g}") for k in range(RATES)],
                    "training.epochs": list(range(1, EPOCHS + 1)),
                    "seed": list(range(n_runs // (RANKS * RATES * EPOCHS))),
                },
            }
        )
    )
    study = load_study(file)
    os.fsync = lambda _: None  # of no interest here, and most of the time
    begin(study, folder)
    provenance = run_provenance(device="cpu", device_name="none", threads=1, batches="packed")
    made: list[Path] = []
    for seed, cell in enumerate(expand(study)):
        run = run_folder(folder, cell)
        if seed < DIFFERENT:
            write(run, cell, examples, n_checkpoints, provenance, np.random.default_rng(seed))
            made.append(run)
        else:
            link(made[seed % DIFFERENT], run, cell)


def link(made: Path, run: Path, cell: Cell) -> None:
    """Make a run of another's files, under a manifest of its own."""
    for file in sorted(made.rglob("*")):
        if file.is_file() and file.name != layout.MANIFEST:
            (run / file.relative_to(made)).parent.mkdir(parents=True, exist_ok=True)
            os.link(file, run / file.relative_to(made))
    write_manifest(run, read_manifest(made) | of_cell(cell))


def of_cell(cell: Cell) -> dict[str, object]:
    """What a manifest says of its cell."""
    return {
        "run_id": cell.run_id,
        "identity": {"version": IDENTITY_VERSION, "config": identifying(cell.config), "data": "d", "model": "m"},
        "config": cell.config.model_dump(mode="json"),
    }


def annotated(n: int) -> pd.DataFrame:
    """Examples with votes, about which people disagree by degrees."""
    people = np.random.default_rng(0)
    counts = np.stack([people.multinomial(100, shares) for shares in people.dirichlet([1.2, 0.5, 0.4], n)])
    human = entropy(counts)
    return pd.DataFrame(
        {
            "row_key": np.arange(n),
            "example_id": [f"pair-{row:05d}" for row in range(n)],
            "premise": [f"Two dogs run through field {row}" for row in range(n)],
            "hypothesis": [f"Animal {row} is outside." for row in range(n)],
            "gold": counts.argmax(axis=1),
            "label_counts": list(counts),
            "entropy": human,
            "category": np.array(["clean", "ambiguous", "contested"], object)[np.digitize(human, [0.4, 0.7])],
            "split": "train",
        }
    )


def write(
    folder: Path,
    cell: Cell,
    examples: pd.DataFrame,
    n_checkpoints: int,
    provenance: dict[str, object],
    rng: np.random.Generator,
) -> None:
    """Write one run: learned by degrees, the less so the more people disagree."""
    n, gold, human = len(examples), examples["gold"].to_numpy(), examples["entropy"].to_numpy()
    writer = RunWriter.create(
        folder,
        header={
            **of_cell(cell),
            "created_at": "2026-11-30T00:00:00+00:00",
            "planned_steps": 100 * (n_checkpoints - 1),
            "label_names": list(LABELS),
            "category_names": ["clean", "ambiguous", "contested"],
            "categories_by": {"measure": "entropy"},
            "counts": {"tracked": n, "trainable_params": 10_000, "total_params": 1_000_000},
            "provenance": provenance,
            "notes": [],
        },
        examples=examples,
        text_columns=("premise", "hypothesis"),
    )
    for index in range(n_checkpoints):
        logits = rng.normal(size=(n, len(LABELS)))
        logits[np.arange(n), gold] += index / max(1, n_checkpoints - 1) * (3 - 2.5 * human)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(n), gold]
        step, epoch = 100 * index, cell.config.training.epochs * index / max(1, n_checkpoints - 1)
        writer.write_checkpoint(step=step, epoch=epoch, losses=losses, logits=logits)
        writer.write_metrics({"step": step, "epoch": epoch, "train_loss": float(losses.mean()), "seconds": 1.0})
        writer.list_checkpoint(step=step, epoch=epoch)
    writer.finish("complete")


if __name__ == "__main__":
    main()
