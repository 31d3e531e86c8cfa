"""CPU time of analysis and report: a study of 54 runs × 1,211 examples × 39 checkpoints, and one large run.

python benchmarks/analysis.py --examples 100000 --checkpoints 40
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contested import paper
from contested.analysis import analyze
from contested.annotations.measures import entropy
from contested.paper.report import report_spec
from contested.report import write_report, write_study_report
from contested.studies.cells import cell_table, expand
from contested.studies.file import load_study
from contested.studies.results import OpenedStudy, axes_of
from contested.trajectories import Trajectory

LABELS = ("entailment", "neutral", "contradiction")
CATEGORIES = ("clean", "ambiguous", "contested")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--only", choices=["study", "run"], help="one part alone")
    parser.add_argument("--examples", type=int, default=100_000, help="tracked examples of the large run")
    parser.add_argument("--checkpoints", type=int, default=40, help="its checkpoints")
    parser.add_argument("--resamples", type=int, default=2000, help="bootstrap resamples of each interval")
    parser.add_argument("--profile", action="store_true", help="show where each part's time goes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.only != "run":
            study(Path(folder) / "study", given)
        if given.only != "study":
            large(Path(folder) / "run", given)


def study(folder: Path, given: argparse.Namespace) -> None:
    main = load_study("paper-main")
    cells = [cell for cell in expand(main) if not cell.excluded]
    table = cell_table(main, cells, dict.fromkeys((cell.run_id for cell in cells), "complete"))
    trajectories = {
        cell.run_id: trajectory(cell.run_id, 1211, 39, seed, cell.coordinates["dataset"])
        for seed, cell in enumerate(cells)
    }
    opened = OpenedStudy(main, cells, table, axes_of(main), trajectories, {})
    print(f"study: {len(cells)} runs × 1,211 examples × 39 checkpoints, {given.resamples} resamples")
    found = timed("analysis", given, lambda: paper.results(opened, n_resamples=given.resamples))
    timed("report", given, lambda: write_study_report(found, folder, spec=report_spec(found)))


def large(folder: Path, given: argparse.Namespace) -> None:
    n, t = given.examples, given.checkpoints
    made = trajectory("large", n, t, 0, "made")
    print(f"one run: {n:,} examples × {t} checkpoints, {given.resamples} resamples")
    timed("analysis", given, lambda: analyze(made, n_resamples=given.resamples))
    timed("analysis and report", given, lambda: write_report([made], folder, n_resamples=given.resamples))


def timed(name: str, given: argparse.Namespace, work: Callable[[], Any]) -> Any:
    """Do something and say how long the processor worked at it."""
    profile = cProfile.Profile() if given.profile else None
    before = resource.getrusage(resource.RUSAGE_SELF)
    found = profile.runcall(work) if profile else work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"  {name:20} {seconds:7.1f} s of CPU", flush=True)
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)
    return found


def trajectory(run_id: str, n: int, n_checkpoints: int, seed: int, dataset: str) -> Trajectory:
    """A run in memory: learned by degrees, the less so the more people disagree; examples depend on the data alone."""
    people = np.random.default_rng(sum(dataset.encode()))
    counts = np.stack([people.multinomial(100, shares) for shares in people.dirichlet([1.2, 0.5, 0.4], n)])
    human, gold = entropy(counts), counts.argmax(axis=1)
    rng = np.random.default_rng(seed)
    progress = np.linspace(0, 1, n_checkpoints)[:, None] * (3 - 2.5 * human)
    logits = rng.normal(size=(n_checkpoints, n, len(LABELS))).astype(np.float32)
    logits[:, np.arange(n), gold] += progress.astype(np.float32)
    values = logits.astype(np.float64)
    losses = np.log(np.exp(values).sum(axis=2)) - values[:, np.arange(n), gold]
    steps = 100 * np.arange(n_checkpoints)
    examples = pd.DataFrame(
        {
            "row_key": np.arange(n),
            "example_id": [f"{dataset}-{row:07d}" for row in range(n)],
            "premise": [f"Two dogs run through the grass {'again ' * (row % 7)}" for row in range(n)],
            "hypothesis": [f"Animal {row} is outside." for row in range(n)],
            "gold": gold,
            "label_counts": list(counts),
            "entropy": human,
            "category": np.array(CATEGORIES, object)[np.digitize(human, [0.4, 0.7])],
            "split": "train",
        }
    )
    return Trajectory(
        run_id=run_id,
        status="complete",
        steps=steps,
        epochs=steps / 663,
        example_ids=examples["example_id"].to_numpy(object),
        losses=losses,
        logits=logits,
        examples=examples,
        label_names=LABELS,
        text_columns=("premise", "hypothesis"),
        category_names=CATEGORIES,
        metrics=pd.DataFrame({"step": steps, "train_loss": 1.0, "val_accuracy": 0.8}),
        manifest={"config": {}, "provenance": {}},
    )


if __name__ == "__main__":
    main()
