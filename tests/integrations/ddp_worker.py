"""One of the processes that test_distributed.py starts: trains as a job says, with whatever others there are."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
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


if __name__ == "__main__":
    for described in json.loads(Path(sys.argv[1]).read_text()):
        train(described)
    # One that is lost leaves the others waiting where they say goodbye.
    os._exit(0)
