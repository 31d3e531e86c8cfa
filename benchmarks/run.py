"""A whole run of the paper's recipe, and how long the usual way would take for it.

python benchmarks/run.py --model FOLDER --annotated chaosNLI_snli.jsonl --bulk snli_train.jsonl snli_dev.jsonl
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

import pandas as pd
import torch
from workload import UsualWay, build

import contested as ct
from contested.training import Recipe, checkpoint_steps, steps_per_epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub name of an encoder, such as all-MiniLM-L6-v2")
    parser.add_argument("--annotated", required=True, help="annotated pairs, such as ChaosNLI's")
    parser.add_argument("--bulk", required=True, nargs="+", help="JSONL of labelled pairs, such as SNLI's")
    parser.add_argument("--threads", type=int, default=2, help="threads of both ways")
    parser.add_argument("--steps", type=int, default=100, help="steps of the usual way that are measured; 0: none")
    parser.add_argument("--passes", type=int, default=2, help="evaluation passes of the usual way that are measured")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{given.threads} thread(s) of {os.cpu_count()} cores, torch {torch.__version__}, {given.model}", flush=True)

    annotated = ct.read_annotations(given.annotated)
    task = ct.NLITask(annotated=annotated, bulk=ct.read_bulk(given.bulk, label_names=annotated.label_names))
    data = task.prepare()
    recipe = Recipe()
    steps = recipe.epochs * steps_per_epoch(len(data.train_texts), recipe.batch_size)
    passes = len(checkpoint_steps(recipe, len(data.train_texts)))
    print(f"{len(data.train_texts):,} examples, {steps:,} steps, {passes} passes over {data.n_tracked:,} tracked ones")

    usual = None
    if given.steps:
        texts = data.train_texts.assign(label=data.train_labels)
        tracked = pd.DataFrame(data.examples[: data.n_tracked]).assign(label=lambda table: table["gold"])
        way = UsualWay(build(given.model, "lora"), texts, tracked, width=128, steps=given.steps)
        step = way.steps()
        one = statistics.median(way.evaluation() for _ in range(given.passes))
        usual = steps * step + passes * one
        print(f"HF Trainer, padded: {1e3 * step:.0f} ms per step, {one:.1f} s per pass -> {usual / 60:.1f} minutes")

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        result = ct.train(
            given.model,
            ct.LoRA(r=4),
            task,
            out=folder + "/run",
            execution={"threads": given.threads, "device": "cpu"},
        )
        seconds = time.perf_counter() - started
        tracking = ct.Trajectory.load(result.path).metrics["tracking_seconds"].sum()
    print(f"contested: {seconds / 60:.1f} minutes, of which tracking {100 * tracking / seconds:.0f} %")
    if usual is not None:
        print(f"the usual way takes {usual / seconds:.1f} times as long")


if __name__ == "__main__":
    main()
