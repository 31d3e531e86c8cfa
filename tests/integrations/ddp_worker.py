"""One of the processes that test_distributed.py starts: trains as a job says, with whatever others there are."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from datasets import Dataset
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

import contested as ct


class Ends(TrainerCallback):
    """Ends the training at a step, in all processes by an error, or one process without a word."""

    def __init__(self, step: int, lost: bool) -> None:
        self.step, self.lost = step, lost

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == self.step:
            if not self.lost:
                raise RuntimeError("killed")
            if args.process_index == 1:
                os._exit(3)


def train(described: dict[str, Any]) -> None:
    """Train once: 40 texts, 4 per step in all, 10 steps."""
    job = {"resume": None, "ends": 0, "lost": False, "rate": 0.02, "options": {}, **described}
    set_seed(3)
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    names = dict(enumerate(job["label_names"]))
    model = AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=3, id2label=names, **still)
    out, size = Path(job["out"]), int(os.environ.get("WORLD_SIZE", "1"))
    args = TrainingArguments(
        **{"output_dir": str(out / "trainer"), "num_train_epochs": 1, "per_device_train_batch_size": 4 // size},
        **{"optim": "sgd", "learning_rate": job["rate"], "report_to": [], "use_cpu": True, "disable_tqdm": True},
        **{"save_strategy": "steps", "save_steps": 3, "ddp_backend": "gloo" if size > 1 else None},
    )
    callback = ct.TrajectoryCallback(job["tracked"], out / "run", every=4, **job["options"])
    # Before the other one, which is called after it: the pass of the step at which a process goes lacks its share.
    ends = [Ends(job["ends"], job["lost"])] if job["ends"] else []
    callbacks = [*ends, callback] if job["lost"] else [callback, *ends]
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    rows = Dataset.from_dict(job["train"])
    trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer, callbacks=callbacks)
    try:
        trainer.train(resume_from_checkpoint=job["resume"])
    except (RuntimeError, ct.RunError) as error:
        (out / f"error-{args.process_index}.txt").write_text(f"{type(error).__name__}: {error}")


def train_sharded(job: dict[str, Any]) -> None:
    """Train three steps with FSDP 2, whose Trainer shards on accelerators alone: the events are sent by hand."""
    set_seed(3)
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=3, **still)
    out, tokenizer = Path(job["out"]), AutoTokenizer.from_pretrained(job["model"])
    size = int(os.environ.get("WORLD_SIZE", "1"))
    given = {"output_dir": str(out / "trainer"), "report_to": [], "use_cpu": True}
    args = TrainingArguments(**given, ddp_backend="gloo" if size > 1 else None)
    if size > 1:
        for part in (*model.bert.encoder.layer, model):
            fully_shard(part, mesh=init_device_mesh("cpu", (size,)))
    callback = ct.TrajectoryCallback(job["tracked"], out / "run", every=1, label_names=job["label_names"], alert=False)
    known = {"model": model, "processing_class": tokenizer, "control": TrainerControl()}
    state = TrainerState(max_steps=3)
    if size > 1:
        try:
            callback.on_train_begin(args, state, **known)
        except ct.ConfigError as error:
            (out / f"refused-{args.process_index}.txt").write_text(str(error))
    trainer = SimpleNamespace(callback_handler=SimpleNamespace(callbacks=[]), add_callback=lambda callback: None)
    callback.attach(trainer).on_train_begin(args, state, **known)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    for step in range(3):
        rows = range(step * 8 + args.process_index, step * 8 + 8, size)
        texts = [{name: job["train"][name][row] for name in ("input_ids", "attention_mask")} for row in rows]
        labels = torch.tensor([job["train"]["labels"][row] for row in rows])
        model.train()
        model(**tokenizer.pad(texts, return_tensors="pt"), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        state.global_step = step + 1
        callback.on_step_end(args, state, **known)
    callback.on_train_end(args, state, **known)


if __name__ == "__main__":
    for described in json.loads(Path(sys.argv[1]).read_text()):
        (train_sharded if described.get("sharded") else train)(described)
    # One that is lost leaves the others waiting where they say goodbye.
    os._exit(0)
