"""What a short run of a study costs beyond its steps and passes: CPU seconds of a study, less those of bare loops.

python benchmarks/short_runs.py --runs 200 --workers 8

Real runs on the demo's files: three layers of its encoder, LoRA and full fine-tuning at several rates and seeds, ten
steps and two passes each. The bare loops take the same steps and passes in as many processes at once, with nothing
recorded. What workers take to start is measured by a small study, with a run of each method for each of them (the
first of a method proves its engine and what is saved), and shared out among the runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from contested.demo import ENCODER_PATH
from contested.demo.files import write_files

LAYERS, BATCH, RATES = 3, 24, (3e-4, 1e-3, 2e-3, 5e-3)
METHODS: tuple[dict[str, Any], ...] = ({"name": "lora", "r": 4}, {"name": "lora", "r": 8}, {"name": "full"})
MANY = 1000  # runs of the study for which the workers' start is shared out, too


class Taken(NamedTuple):
    """Processor seconds and wall seconds."""

    cpu: float
    wall: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="runs of the study, all trained")
    parser.add_argument("--workers", type=int, default=8, help="worker processes on this machine")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder)
        few = given.workers * len(METHODS)
        start = trained(study(folder, few), folder / "start", given.workers)
        whole = trained(study(folder, given.runs), folder / "study", given.workers)
        bare = bare_loops(study(folder, given.runs), given.runs, given.workers)
    print(f"{given.workers} workers, {given.runs} runs: {whole.cpu:.1f} CPU s, {whole.wall:.1f} s")
    print(f"{given.workers} workers, {few} runs: {start.cpu:.1f} CPU s, {start.wall:.1f} s")
    print("Each run, in CPU s:")
    more = given.runs - few
    each = (whole.cpu - start.cpu) / more
    print(f"  its steps and passes, in bare loops              {bare:6.3f}")
    print(f"  all of it, once workers have done one            {each:6.3f}, {each - bare:.3f} of them overhead")
    for runs in sorted({given.runs, MANY}):
        share = (start.cpu + each * (runs - few)) / runs
        print(
            f"  with what starts the workers, of {runs:5,} runs      {share:6.3f}, {share - bare:.3f} of them overhead"
        )
    print(f"  wall, of all workers together                    {(whole.wall - start.wall) / more:6.3f}")


def make(folder: Path) -> None:
    """Write the demo's files, and its encoder with few layers."""
    from transformers import AutoModel, AutoTokenizer

    write_files(folder / "demo")
    AutoTokenizer.from_pretrained(ENCODER_PATH).save_pretrained(folder / "encoder")
    AutoModel.from_pretrained(ENCODER_PATH, num_hidden_layers=LAYERS).save_pretrained(folder / "encoder")


def study(folder: Path, n_runs: int) -> Path:
    """Write the file of a study of so many runs: rates and methods take turns, each round of them has its seed."""
    cells = [(method, rate) for rate in RATES for method in METHODS]
    values = {
        f"run-{index}": {
            "method": cells[index % len(cells)][0],
            "training": {"learning_rate": cells[index % len(cells)][1]},
            "seed": index // len(cells),
        }
        for index in range(n_runs)
    }
    content = {
        "name": "short-runs",
        "defaults": {
            "model": {"name": str(folder / "encoder"), "max_length": 64},
            "task": {"annotated": {"path": str(folder / "demo" / "annotated.jsonl")}},
            "training": {"epochs": 1, "batch_size": BATCH},
            "tracking": {"every": 1000},
            "execution": {"threads": 1, "device": "cpu"},
        },
        "axes": {"run": values},
    }
    file = folder / f"{n_runs}.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def trained(file: Path, out: Path, workers: int) -> Taken:
    """Train a study by the command; what its workers take counts."""
    command = [sys.executable, "-m", "contested", "study", "run", str(file), "--out", str(out), "--jobs", str(workers)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return Taken(usage.ru_utime + usage.ru_stime, time.perf_counter() - started)


def bare_loops(file: Path, n_runs: int, workers: int) -> float:
    """CPU s of steps and passes of a run, in the mean."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        taken = pool.starmap(bare, [(file, index) for index in range(n_runs)], chunksize=max(1, n_runs // workers))
    return sum(taken) / n_runs


def bare(file: Path, index: int) -> float:
    """CPU s of a run's steps and passes, without whatever else belongs to it; nothing is written."""
    from contested import training
    from contested.runs.prepare import load_data, prepare, recipe
    from contested.studies import expand, load_study

    config = expand(load_study(file))[index].config
    made = prepare(config, load_data(config))
    module, data = made.model.module, made.encoded
    engine = training.make_engine(module, pad_id=made.model.pad_id, device=made.device)
    loop = training.TrainingLoop(module, engine, data, recipe(config), recorder=Nowhere())
    started = time.process_time()
    loop.fit()
    return time.process_time() - started


class Nowhere:
    """A recorder that keeps nothing."""

    write_checkpoint = list_checkpoint = write_metrics = staticmethod(lambda *_, **__: None)


if __name__ == "__main__":
    main()
