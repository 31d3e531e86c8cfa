"""What following the tracked examples costs inside a transformers.Trainer, against its own evaluate() on the same ones.

python benchmarks/callback.py --model FOLDER --annotated chaosNLI_snli.jsonl --bulk snli_train.jsonl --threads 1
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import transformers
from datasets import Dataset
from workload import BATCH, LORA

import contested as ct
from contested.training.passes import packing_problem
from contested.training.tracking import inference_mode

EVERY = 100
"""Steps between two passes of the paper's recipe."""


class Seconds(NamedTuple):
    """By the clock on the wall, and of the processor: what this process alone used, whatever else the machine does."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Seconds:
        """What the clocks show."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: Seconds) -> Seconds:
        """What passed since then."""
        return Seconds(self.wall - start.wall, self.processor - start.processor)


class Turns(transformers.TrainerCallback):  # type: ignore[misc]
    """After so many steps, times a pass of the callback, one without packing, and evaluate() at each batch size.

    Args:
        callback: What records.
        every: Steps from one turn of all to the next.
        batch_sizes: Of evaluate().
    """

    def __init__(self, callback: ct.TrajectoryCallback, every: int, batch_sizes: list[int]) -> None:
        self.callback, self.every, self.batch_sizes = callback, every, batch_sizes
        self.times: dict[str, list[Seconds]] = defaultdict(list)
        self.trainer: Any = None
        self.losses: list[float] = []
        self._steps: list[Seconds] = []
        self._began = Seconds(0, 0)

    def on_train_begin(self, *given: Any, **more: Any) -> None:
        """Let the callback begin; not timed."""
        self.callback.on_train_begin(*given, **more)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock of a step."""
        self._began = Seconds.now()

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Stop the clock of a step; where it is time, give everybody a turn."""
        self._steps.append(Seconds.now().since(self._began))
        if state.global_step % self.every:
            return
        self.times["step"].append(Seconds(*(statistics.median(part) for part in zip(*self._steps, strict=True))))
        self._steps.clear()
        self._timed("pass", lambda: self.callback.on_step_end(args, state, control, **given))
        hook = given["model"].register_forward_hook(lambda *_: None)  # a module with hooks runs its own forward
        self._timed("pass, unpacked", lambda: self._outputs(given["model"]))
        hook.remove()
        for size in self.batch_sizes:
            args.per_device_eval_batch_size = size
            loss = self._timed(f"evaluate(), batches of {size}", self.trainer.evaluate)["eval_loss"]
        self.losses.append(loss)
        given["model"].train()

    def on_train_end(self, *given: Any, **more: Any) -> None:
        """Let the callback finish; not timed."""
        self.callback.on_train_end(*given, **more)

    def _outputs(self, model: Any) -> None:
        tracked = self.callback._tracked
        with inference_mode(model):
            rows = np.arange(len(tracked.ids))
            tracked.outputs(model, rows, processing_class=self.trainer.processing_class, batch_size=64)

    def _timed(self, name: str, work: Any) -> Any:
        began = Seconds.now()
        result = work()
        self.times[name].append(Seconds.now().since(began))
        return result


def accuracy(predictions: Any) -> dict[str, float]:
    """Some metric: without any, evaluate() keeps no logits."""
    return {"accuracy": float((predictions.predictions.argmax(-1) == predictions.label_ids).mean())}


def tokens(tokenizer: Any, table: pd.DataFrame, labels: Any, width: int | None) -> dict[str, Any]:
    padded = {"padding": "max_length"} if width else {}
    texts = [list(table[name]) for name in ("premise", "hypothesis")]
    return {**tokenizer(*texts, truncation=True, max_length=128, **padded), "labels": [int(label) for label in labels]}


def model_of(folder: str, names: tuple[str, ...], method: str) -> Any:
    transformers.set_seed(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(names), id2label=dict(enumerate(names))
    )
    if method == "full":
        return model
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig("SEQ_CLS", target_modules=["query", "value"], **LORA))


def measure(given: argparse.Namespace, data: Any, annotated: Any, method: str, width: int | None, out: Path) -> Turns:
    """A Trainer that trains for some steps of the recipe, with a turn of everybody in between."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(given.model)
    model = model_of(given.model, annotated.label_names, method)
    examples = data.examples.iloc[: min(data.n_tracked, given.examples)]
    tracked = Dataset.from_dict(
        {**tokens(tokenizer, examples, examples["gold"], width), "id": list(examples["example_id"])}
    )
    rows = slice(0, BATCH * given.steps * (given.rounds + 1))
    texts = data.train_texts.sample(frac=1, random_state=0).iloc[rows]
    train = Dataset.from_dict(tokens(tokenizer, texts, data.train_labels[texts.index], width))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not among the tracked ones")
        callback = ct.TrajectoryCallback(tracked, out / "run", every=given.steps, annotations=annotated)
    print(f"  {'packed' if not packing_problem(model) else packing_problem(model)}", flush=True)
    turns = Turns(callback, given.steps, given.batches)
    settings: dict[str, Any] = {"per_device_train_batch_size": BATCH, "max_steps": given.steps * (given.rounds + 1)}
    settings |= {"learning_rate": 1e-3 if method == "lora" else 2e-5, "lr_scheduler_type": "cosine", "seed": 1}
    settings |= {"report_to": [], "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
    turns.trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(str(out / "trainer"), use_cpu=True, **settings),
        train_dataset=train,
        eval_dataset=tracked.remove_columns("id"),
        processing_class=tokenizer,
        compute_metrics=accuracy,
        callbacks=[turns],
    )
    turns.trainer.remove_callback(transformers.PrinterCallback)
    turns.trainer.train()
    means = ct.Trajectory.load(out / "run").required("losses")[1:].mean(axis=1)
    np.testing.assert_allclose(means, turns.losses, atol=1e-4)  # both looked at the same examples and weights
    return turns


def show(turns: Turns, title: str) -> None:
    """Medians over the rounds but the first, and ratios within a round."""
    print(f"\n{title}")
    print(f"  {'':28s}{'wall s':>9s}{'CPU s':>9s}   {'a pass costs: of evaluate() / of 100 steps (CPU; min – max)'}")
    times = {name: taken[1:] for name, taken in turns.times.items()}
    for name, taken in times.items():
        wall, processor = (statistics.median(part) for part in zip(*taken, strict=True))
        line = f"  {name:28s}{wall:9.2f}{processor:9.2f}"
        if name != "pass":
            many = EVERY if name == "step" else 1
            shares = [a.processor / (many * b.processor) for a, b in zip(times["pass"], taken, strict=True)]
            walls = [a.wall / (many * b.wall) for a, b in zip(times["pass"], taken, strict=True)]
            line += f"   {100 * statistics.median(shares):5.1f} % ({100 * min(shares):.1f} – {100 * max(shares):.1f})"
            line += f", 1 / {1 / statistics.median(shares):.1f}; by the wall {100 * statistics.median(walls):.1f} %"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub name of an encoder, such as all-MiniLM-L6-v2")
    parser.add_argument("--annotated", required=True, help="annotated pairs, such as ChaosNLI's")
    parser.add_argument("--bulk", required=True, nargs="+", help="JSONL of labelled pairs, such as SNLI's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="turns that count")
    parser.add_argument("--steps", type=int, default=10, help="training steps between two turns")
    parser.add_argument("--examples", type=int, default=1_211, help="tracked examples at most")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 64], help="batch sizes of evaluate()")
    parser.add_argument("--methods", nargs="+", default=["lora", "full"])
    parser.add_argument("--widths", nargs="+", default=["longest", "128"], help="what the user's tokeniser pads to")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{given.threads} thread(s) of {os.cpu_count()} cores, torch {torch.__version__}, {given.model}")
    annotated = ct.read_annotations(given.annotated)
    task = ct.NLITask(annotated=annotated, bulk=ct.read_bulk(given.bulk, label_names=annotated.label_names))
    data = task.prepare()
    print(f"{data.n_tracked:,} tracked examples, {len(data.train_texts):,} that train")
    for method in given.methods:
        for width in given.widths:
            padded = None if width == "longest" else int(width)
            with tempfile.TemporaryDirectory() as folder:
                turns = measure(given, data, annotated, method, padded, Path(folder))
            show(turns, f"{method}, padded to {'the longest of a batch' if padded is None else padded}")


if __name__ == "__main__":
    main()
