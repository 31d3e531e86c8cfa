"""One training step and one tracking pass against the usual way, and against what the arithmetic allows.

python benchmarks/step.py --model FOLDER --pairs snli_train.jsonl --threads 1
"""

from __future__ import annotations

import itertools
import os
import statistics
import time

import torch
from workload import (
    BATCH,
    Apart,
    UsualWay,
    alternate,
    arguments,
    build,
    flop_counter,
    gemm_rate,
    pairs,
    show,
    training_set,
)

from contested.runs.prepare import keep_freed_memory
from contested.training import Recipe, TrainingLoop, make_engine, track


class Ours:
    """The packed engine in the training loop."""

    def __init__(self, made, table, tracked, precision: str = "float32") -> None:  # type: ignore[no-untyped-def]
        keep_freed_memory()
        self.made, self.data, self.precision = made, training_set(made, table, tracked), precision
        self.engine = make_engine(
            made.module, pad_id=made.tokenizer.pad_token_id, device=torch.device("cpu"), precision=precision
        )

    def steps(self) -> float:
        """Seconds of a training step, the first one of a turn left out."""
        ends = []
        recipe = Recipe(epochs=1, batch_size=BATCH, precision=self.precision)  # type: ignore[arg-type]
        TrainingLoop(
            self.made.module, self.engine, self.data, recipe, observer=lambda _: ends.append(time.perf_counter())
        ).fit()
        return statistics.median(b - a for a, b in itertools.pairwise(ends))

    def flops(self) -> float:
        """Floating-point operations of a step, forward and backward."""
        with flop_counter() as counter:
            self.steps()
        return counter.get_total_flops() / (len(self.data.train) // BATCH)

    def evaluation(self) -> float:
        """Seconds of a tracking pass."""
        started = time.perf_counter()
        track(self.engine, self.made.module, self.data.tracked, batch_size=64)
        return time.perf_counter() - started


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--steps", type=int, default=4, help="steps of a turn, the first not counted")
    parser.add_argument("--tracked", type=int, default=300, help="examples of a tracking pass")
    parser.add_argument("--only", choices=["lora", "full", "bfloat16", "limit"], help="one part alone")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    table = pairs(given.pairs, given.steps * BATCH + given.tracked)
    train, tracked = table.iloc[: given.steps * BATCH], table.iloc[given.steps * BATCH :]
    print(f"{given.threads} thread(s) of {os.cpu_count()} cores, torch {torch.__version__}, {given.model}")

    parts = [(method, "float32") for method in ("lora", "full") if given.only in {None, method}]
    parts += [("lora", "bfloat16")] if given.only in {None, "bfloat16"} else []
    for method, precision in parts:
        bfloat16 = precision == "bfloat16"
        settings = (given.model, method, given.threads, train, tracked)
        contestants = {
            "HF Trainer, padded, float32": Apart(UsualWay, *settings, width=128, steps=given.steps),
            f"HF Trainer, tuned, {precision}": Apart(
                UsualWay, *settings, width=None, steps=given.steps, bfloat16=bfloat16
            ),
            f"contested, {precision}": Apart(Ours, *settings, precision=precision),
        }
        first = next(iter(contestants))
        steps = alternate({name: each.steps for name, each in contestants.items()}, given.rounds)
        show(f"training step, {method} (ms)", steps, first)
        passes = alternate({name: each.evaluation for name, each in contestants.items()}, given.rounds)
        show(f"tracking pass of {len(tracked)} examples, {method} (ms)", passes, first)
        for each in contestants.values():
            each.close()
    if given.only in {None, "limit"}:
        limit(given, train, tracked)


def limit(given, train, tracked) -> None:  # type: ignore[no-untyped-def]
    """Share of the measured rate of matrix products at which whole steps do their necessary work."""
    config = build(given.model, "lora").module.config
    width, inner = config.hidden_size, config.intermediate_size
    shapes = [(850, width, inner), (850, inner, width), (850, width, width), (1024, 1024, 1024)]
    for method in ("lora", "full"):
        for dropout in (True, False):
            ours = Ours(build(given.model, method, dropout=dropout), train, tracked)
            flops = ours.flops()
            ours.steps()
            shares, rates = [], []
            for _ in range(given.rounds):
                rate = gemm_rate(shapes, torch.float32)
                shares.append(flops / ours.steps() / rate)
                rates.append(rate)
            print(
                f"\n{method}, dropout {'on' if dropout else 'off'}: {flops / 1e9:.1f} GFLOP per step, products at "
                f"{statistics.median(rates) / 1e9:.0f} GFLOP/s; the step runs at "
                f"{100 * statistics.median(shares):.0f} % of it ({100 * min(shares):.0f} – {100 * max(shares):.0f})"
            )


if __name__ == "__main__":
    main()
