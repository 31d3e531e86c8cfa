"""What the benchmarks share: real sentence pairs, an encoder, the usual way with Hugging Face, and fair timing."""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from contested import models, tasks
from contested.training import TrainingSet

LABELS = ("entailment", "neutral", "contradiction")
LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.05}
BATCH = 32


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub name of an encoder, such as all-MiniLM-L6-v2")
    parser.add_argument("--pairs", required=True, help="JSONL of premise, hypothesis and label, such as SNLI's")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contestant")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant")
    return parser


def pairs(path: str, n: int) -> pd.DataFrame:
    """The first ``n`` labelled pairs of a JSONL file."""
    rows = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        label = row.get("label", row.get("gold_label"))
        label = LABELS[label] if isinstance(label, int) and 0 <= label < 3 else label
        if label in LABELS:
            premise, hypothesis = row.get("premise", row.get("sentence1")), row.get("hypothesis", row.get("sentence2"))
            rows.append((premise, hypothesis, LABELS.index(label)))
        if len(rows) == n:
            break
    return pd.DataFrame(rows, columns=["premise", "hypothesis", "label"])


def build(model: str, method: str, *, dropout: bool = True) -> models.TextModel:
    """A backbone with LoRA r4 or whole, its head far enough from zero that logits mean something."""
    made = models.build(model, label_names=LABELS, method=method, options=LORA if method == "lora" else {}, seed=1)
    if not dropout:
        for part in made.module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
    return made


def training_set(made: models.TextModel, table: pd.DataFrame, tracked: pd.DataFrame) -> TrainingSet:
    def encode(texts: pd.DataFrame) -> tasks.EncodedTexts:
        return tasks.encode(
            made.tokenizer, texts[["premise", "hypothesis"]], max_length=128, template=made.family.template
        )

    none = tracked.iloc[:0]
    return TrainingSet(
        train=encode(table),
        train_targets=table["label"].to_numpy(np.int64),
        tracked=encode(tracked),
        tracked_targets=tracked["label"].to_numpy(np.int64),
        validation=encode(none),
        validation_targets=none["label"].to_numpy(np.int64),
    )


class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Tokenised pairs as the usual way has them: padded to a width, or not."""

    def __init__(self, made: models.TextModel, table: pd.DataFrame, width: int | None) -> None:
        padding = "max_length" if width else False
        given = [table[name].tolist() for name in ("premise", "hypothesis")]
        encoded = made.tokenizer(*given, padding=padding, truncation=True, max_length=128)
        labels = table["label"].tolist()
        self.rows = [{**{k: v[i] for k, v in encoded.items()}, "labels": labels[i]} for i in range(len(table))]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


class UsualWay:
    """The Hugging Face Trainer.

    Args:
        made: The model.
        table: Training pairs.
        tracked: Pairs of the evaluation pass.
        width: Width that everything is padded to; None pads to the longest, by length in evaluation.
        steps: Optimiser steps per turn.
        bfloat16: Whether to use autocast.
    """

    def __init__(
        self,
        made: models.TextModel,
        table: pd.DataFrame,
        tracked: pd.DataFrame,
        *,
        width: int | None,
        steps: int,
        bfloat16: bool = False,
    ) -> None:
        import transformers

        self.times: list[float] = []
        times, started = self.times, [0.0]

        class Clock(transformers.TrainerCallback):
            def on_step_begin(self, *_: Any, **__: Any) -> None:
                started[0] = time.perf_counter()

            def on_step_end(self, *_: Any, **__: Any) -> None:
                times.append(time.perf_counter() - started[0])

        settings = transformers.TrainingArguments(
            output_dir="/tmp/contested-benchmark", max_steps=steps, per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=64, learning_rate=2e-5, lr_scheduler_type="cosine", warmup_steps=1,
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True, bf16=bfloat16,
            train_sampling_strategy="random", dataloader_num_workers=0, seed=1,
        )  # fmt: skip
        self.made = made
        self.table = Rows(made, table, width)
        order = np.arange(len(tracked))
        if width is None:  # the tuned way evaluates in order of length
            lengths = [len(row["input_ids"]) for row in Rows(made, tracked, None).rows]
            order = np.argsort(lengths)[::-1]
        self.tracked = Rows(made, tracked.iloc[order], width)
        self.trainer = transformers.Trainer(
            model=made.module,
            args=settings,
            train_dataset=self.table,
            eval_dataset=self.tracked,
            data_collator=transformers.DataCollatorWithPadding(made.tokenizer),
            callbacks=[Clock()],
        )
        self.trainer.remove_callback(transformers.PrinterCallback)

    def steps(self) -> float:
        """Seconds of a training step, the first one of a turn left out."""
        self.times.clear()
        self.trainer.train()
        return statistics.median(self.times[1:])

    def evaluation(self) -> float:
        """Seconds of an evaluation pass that keeps the logits."""
        started = time.perf_counter()
        self.trainer.predict(self.tracked)
        return time.perf_counter() - started


class Apart:
    """A contestant in a process of its own, so that how one sets its process up is nothing to the others.

    Args:
        kind: What it is made by, from a model and ``given``.
        model: Folder or hub name of its encoder.
        method: How it is fine-tuned; see :func:`build`.
        threads: Threads of its process.
        given: What else ``kind`` takes.
        options: And by name.
    """

    def __init__(
        self, kind: Callable[..., Any], model: str, method: str, threads: int, *given: object, **options: object
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_take_turns, args=(theirs, kind, model, method, threads, given, options), daemon=True
        )
        self._process.start()
        theirs.close()

    def steps(self) -> float:
        """Seconds of a training step."""
        return self._turn("steps")

    def evaluation(self) -> float:
        """Seconds of a pass over the tracked examples."""
        return self._turn("evaluation")

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()

    def _turn(self, name: str) -> float:
        self._pipe.send(name)
        return float(self._pipe.recv())


def _take_turns(
    pipe: Connection,
    kind: Callable[..., Any],
    model: str,
    method: str,
    threads: int,
    given: tuple[object, ...],
    options: dict[str, object],
) -> None:
    torch.set_num_threads(threads)
    contestant = kind(build(model, method), *given, **options)
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(getattr(contestant, pipe.recv())())


def alternate(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let every contestant have a turn in each round; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            taken = run()
            if turn:
                times[name].append(taken)
    return times


def show(title: str, times: dict[str, list[float]], reference: str, unit: float = 1e3) -> None:
    """Print medians with spread, and ratios to a reference, pair by pair of one round."""
    print(f"\n{title}")
    print(f"  {'':34s}{'median':>10s}{'min':>10s}{'max':>10s}   {reference} takes (min – max)")
    for name, values in times.items():
        ratios = [b / a for a, b in zip(values, times[reference], strict=True)]
        shown = [unit * statistics.median(values), unit * min(values), unit * max(values)]
        print(
            f"  {name:34s}" + "".join(f"{value:10.1f}" for value in shown)
            + f"   {statistics.median(ratios):6.2f}× ({min(ratios):.2f} – {max(ratios):.2f})"
        )  # fmt: skip


def flop_counter() -> FlopCounterMode:
    """PyTorch's counter, which does not know the products that add in place."""

    def added(_: torch.Size, left: torch.Size, right: torch.Size, **__: object) -> int:
        return 2 * left[0] * left[1] * right[1]

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: added})


def gemm_rate(
    shapes: Sequence[tuple[int, int, int]],
    dtype: torch.dtype,
    seconds: float = 0.3,
    device: torch.device = torch.device("cpu"),  # noqa: B008
) -> float:
    """Rate in FLOP/s of matrix products (m, k) · (k, n): the median of calls, for the fastest of the shapes."""
    rates = []
    for m, k, n in shapes:
        left, right = (torch.randn(rows, k, dtype=dtype, device=device) for rows in (m, n))
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            started = time.perf_counter()
            left @ right.T
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
        rates.append(2 * m * k * n / statistics.median(times))
    return max(rates)
