"""Peak memory of tracking, writing, reading and analysing very many tracked examples, each stage in its own process.

python benchmarks/memory.py --examples 1000000 --checkpoints 40 --resamples 40
python benchmarks/memory.py --growth   # one table: how seconds, memory and disk grow with examples and checkpoints
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LABELS = ("entailment", "neutral", "contradiction")
CATEGORIES = ("clean", "middle", "contested")
TOKENS = 30  # mean length of an SNLI pair
STAGES = {
    "imports": "nothing but the packages that analysis needs",
    "write": "example table and every checkpoint through RunWriter",
    "track": "torch, token ids, one tracking pass with an engine that answers at once, its losses, its file",
    "load": "Trajectory.load",
    "analyze": "Trajectory.load and analyze",
    "report": "contested report: every table, figure and the page",
}
GIGA = 1e9
GROWTH = ((1_000, 39), (10_000, 39), (100_000, 39), (1_000, 390), (10_000, 390))  # tracked examples, checkpoints
GROWTH_RESAMPLES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--examples", type=int, default=1_000_000, help="tracked examples")
    parser.add_argument("--checkpoints", type=int, default=40, help="tracking passes")
    parser.add_argument("--resamples", type=int, default=2000, help="bootstrap resamples of each interval")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES), help="which stages")
    parser.add_argument("--run", type=Path, help="the fabricated run folder; a temporary one without it")
    parser.add_argument("--growth", action="store_true", help="tabulate how cost grows, and do nothing else")
    parser.add_argument("--stage", choices=list(STAGES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        stage(given)
        return
    if given.growth:
        growth()
        return
    n, t = given.examples, given.checkpoints
    print(f"{n:,} tracked examples × {len(LABELS)} classes × {t} checkpoints: logits {n * t * 12 / GIGA:.2f} GB")
    with tempfile.TemporaryDirectory() as temporary:
        run = given.run or Path(temporary) / "run"
        for name in given.stages:
            said = apart(name, run, n, t, given.resamples)
            print(f"{name:8} {said}   {STAGES[name]}", flush=True)
    print("\n" + decoder())


def apart(name: str, run: Path, n: int, t: int, resamples: int) -> str:
    """Do one stage in a process of its own; what it says, or why it said nothing."""
    command = [sys.executable, __file__, "--stage", name, "--run", str(run), "--examples", str(n)]
    command += ["--checkpoints", str(t), "--resamples", str(resamples)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def growth() -> None:
    """Print what writing, loading and analysing take (seconds of the stage, peak GB), and the folder's size."""
    print(f"Seconds and peak memory of each stage, imports in it; {GROWTH_RESAMPLES} resamples.\n")
    print("| examples | checkpoints | writing | loading | analysing | on disk |\n|--:|--:|--:|--:|--:|--:|")
    for n, t in GROWTH:
        with tempfile.TemporaryDirectory() as temporary:
            run = Path(temporary) / "run"
            cells = [cell(apart(name, run, n, t, GROWTH_RESAMPLES)) for name in ("write", "load", "analyze")]
            size = sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
        print(f"| {n:,} | {t} | {' | '.join(cells)} | {size / 1e6:,.1f} MB |", flush=True)


def cell(said: str) -> str:
    """Seconds and peak of a stage from what it said; a stage that failed stands there with its words."""
    found = re.search(r"peak +([\d.]+ GB).* ([\d.]+ s)$", said)
    return f"{found[2]}, {found[1]}" if found else said


def stage(given: argparse.Namespace) -> None:
    """Do one stage and say what it took."""
    start = time.perf_counter()
    globals()[f"do_{given.stage}"](given)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak, busy = used.ru_maxrss * 1024 / GIGA, used.ru_utime + used.ru_stime
    print(f"peak {peak:5.2f} GB, CPU {busy:7.1f} s, wall {seconds:7.1f} s", end="")


def do_imports(given: argparse.Namespace) -> None:
    import contested.analysis
    import contested.report  # noqa: F401


def do_write(given: argparse.Namespace) -> None:
    import numpy as np

    from contested.trajectories import RunWriter

    table = examples(given.examples)
    header = {
        "run_id": "fabricated",
        "label_names": list(LABELS),
        "category_names": list(CATEGORIES),
        "config": {},
        "provenance": {},
    }
    writer = RunWriter.create(given.run, header=header, examples=table, text_columns=("premise", "hypothesis"))
    gold = table["gold"].to_numpy(np.int64)
    rng = np.random.default_rng(1)
    for index in range(given.checkpoints):
        logits = rng.normal(size=(given.examples, len(LABELS))).astype(np.float32)
        logits[np.arange(given.examples), gold] += 3 * index / given.checkpoints
        write_checkpoint(writer, index, logits, gold)
    writer.finish("complete")


def do_track(given: argparse.Namespace) -> None:
    import numpy as np
    import torch

    from contested.tasks import EncodedTexts
    from contested.training import track
    from contested.trajectories import RunWriter

    class Instant:
        """An engine that takes no time and no memory of its own."""

        def logits(self, texts: EncodedTexts, rows: np.ndarray, key: object = None) -> torch.Tensor:
            return torch.zeros(len(rows), len(LABELS))

    n = given.examples
    offsets = np.arange(n + 1, dtype=np.int64) * TOKENS
    ids = np.ones(n * TOKENS, np.int32)
    texts = EncodedTexts(ids, offsets, np.zeros_like(ids), 0)
    table = examples(n)
    header = {"run_id": "tracked", "label_names": list(LABELS), "category_names": list(CATEGORIES)}
    with tempfile.TemporaryDirectory() as folder:
        writer = RunWriter.create(folder, header=header, examples=table, text_columns=("premise", "hypothesis"))
        logits = track(Instant(), torch.nn.Linear(1, 1), texts, batch_size=64)
        write_checkpoint(writer, 0, logits, table["gold"].to_numpy(np.int64))


def do_load(given: argparse.Namespace) -> None:
    from contested.trajectories import Trajectory

    Trajectory.load(given.run)


def do_analyze(given: argparse.Namespace) -> None:
    from contested.analysis import analyze
    from contested.trajectories import Trajectory

    analyze(Trajectory.load(given.run), n_resamples=given.resamples)


def do_report(given: argparse.Namespace) -> None:
    from contested.report import write_report
    from contested.trajectories import Trajectory

    with tempfile.TemporaryDirectory() as folder:
        write_report([Trajectory.load(given.run)], Path(folder), n_resamples=given.resamples)


def examples(n: int):  # type: ignore[no-untyped-def]
    """A run's example table with texts of the usual length, all of it tracked."""
    import numpy as np
    import pandas as pd

    from contested.annotations.measures import entropy

    rng = np.random.default_rng(0)
    counts = rng.multinomial(100, [0.7, 0.2, 0.1], size=n)
    human = entropy(counts)
    return pd.DataFrame(
        {
            "row_key": np.arange(n),
            "example_id": [f"example-{index}" for index in range(n)],
            "premise": [f"Two dogs run through the tall grass beside the river, number {index}." for index in range(n)],
            "hypothesis": [f"Animal {index} is outside." for index in range(n)],
            "gold": counts.argmax(axis=1),
            "label_counts": list(counts),
            "entropy": human,
            "category": np.array(CATEGORIES, object)[np.digitize(human, [0.75, 0.85])],
            "split": "train",
        }
    )


def write_checkpoint(writer, index, logits, gold) -> None:  # type: ignore[no-untyped-def]
    """One tracking pass as the training loop records it."""
    import numpy as np

    values = logits.astype(np.float64)
    losses = np.log(np.exp(values).sum(axis=1)) - values[np.arange(len(gold)), gold]
    writer.write_checkpoint(step=100 * index, epoch=index / 10, losses=losses, logits=logits)
    writer.write_metrics({"step": 100 * index, "epoch": index / 10, "train_loss": 1.0, "val_accuracy": 0.5})
    writer.list_checkpoint(step=100 * index, epoch=index / 10)


def decoder() -> str:
    """What a decoder of 8 billion weights takes beside that, by arithmetic (the shapes of Llama 3.1 8B)."""
    layers, width, inner, narrow, words = 32, 4096, 14336, 1024, 128_256
    linear = layers * (2 * width * width + 2 * width * narrow + 3 * width * inner)
    embeddings = words * width
    rank, batch = 16, 32
    # q and o are width × width, k and v width × narrow; A and B of each.
    lora = layers * rank * (2 * (width + width) + 2 * (width + narrow))
    # Kept for the backward pass of one layer and token, two bytes each: the inputs of norms and projections, q, k, v,
    # attention's output, three tensors of the feed-forward; LoRA keeps its inputs at float32's four.
    kept = 2 * (6 * width + 2 * narrow + 4 * inner) + 4 * 4 * (width + rank)
    activations = batch * TOKENS * layers * kept
    parts = {
        "frozen linear weights, bfloat16": 2 * linear,
        "token embeddings, float32": 4 * embeddings,
        f"LoRA r{rank} on q, k, v, o: weights, gradients and AdamW's two moments, float32": 16 * lora,
        f"activations of {batch} examples of {TOKENS} tokens": activations,
    }
    lines = [f"  {size / GIGA:6.2f} GB  {name}" for name, size in parts.items()]
    return "\n".join(
        [
            f"An 8-billion-parameter decoder as a classifier ({(linear + embeddings) / 1e9:.2f} billion weights, no "
            "language head), by arithmetic:",
            *lines,
            f"  {sum(parts.values()) / GIGA:6.2f} GB  together, while training",
            f"  {4 * (linear + embeddings) / GIGA:6.2f} GB  for a moment at its start: weights are loaded in float32, "
            "then cast",
            "  The record of tracked examples above is beside that in the host's memory.",
        ]
    )


if __name__ == "__main__":
    main()
