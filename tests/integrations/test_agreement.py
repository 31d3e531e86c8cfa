"""One training told twice: what the callback records of a Trainer is what ``contested.train`` records of itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

import contested as ct
from contested import models
from contested.annotations import Annotations
from contested.tasks import TaskData
from contested.training import Recipe
from contested.training.passes import packing_problem
from contested.training.recipe import data_order, learning_rate

# 32 tracked and 40 further texts, 8 per batch, two epochs: 18 steps. Every third is a checkpoint, ends of epochs too.
STEPS = [0, 3, 6, 9, 12, 15, 18]
RECIPE: dict[str, Any] = {"learning_rate": 5e-3, "epochs": 2, "batch_size": 8}
LORA = {"r": 2, "lora_alpha": 4, "lora_dropout": 0.0}
SEED = 5


class Twice(NamedTuple):
    """What both trainings start from: a checkpoint without dropout, and a task without class weights."""

    folder: Path
    task: Any
    data: TaskData
    out: Path

    def by_contested(self, method: str) -> ct.Trajectory:
        made: Any = ct.LoRA(r=2, alpha=4, dropout=0.0) if method == "lora" else ct.Full()
        sections = {"training": RECIPE, "tracking": {"every": 3}, "execution": {"threads": 1, "device": "cpu"}}
        return ct.Trajectory.load(
            ct.train(str(self.folder), made, self.task, out=self.out / "own", max_length=60, seed=SEED, **sections).path
        )

    def model(self, method: str) -> Any:
        """The user's own model, made by the libraries alone, with the weights that ``contested.train`` begins with."""
        names = dict(enumerate(self.data.label_names))
        model: Any = AutoModelForSequenceClassification.from_pretrained(self.folder, num_labels=3, id2label=names)
        if method == "lora":
            model = get_peft_model(model, LoraConfig("SEQ_CLS", target_modules=["query", "value"], **LORA))
        built = models.build(
            str(self.folder),
            label_names=self.data.label_names,
            method=method,
            options=LORA if method == "lora" else {},
            seed=SEED,
        )
        model.load_state_dict(built.module.state_dict())
        return model

    def rows(self, table: Any) -> dict[str, Any]:
        return dict(AutoTokenizer.from_pretrained(self.folder)(list(table["premise"]), list(table["hypothesis"])))

    def in_order(self) -> Dataset:
        """The training texts in the order in which ``contested.train`` takes them, both epochs end to end."""
        texts, labels = self.data.train_texts, self.data.train_labels
        epochs = [data_order(len(texts), seed=SEED, epoch=epoch) for epoch in range(RECIPE["epochs"])]
        order = np.concatenate(epochs)
        return Dataset.from_dict({**self.rows(texts.iloc[order]), "labels": labels[order].tolist()})

    def by_trainer(self, method: str, annotated: Annotations) -> ct.Trajectory:
        model, recipe, train = self.model(method), Recipe(seed=SEED, **RECIPE), self.in_order()
        examples = self.data.examples.iloc[: self.data.n_tracked]
        tracked = {**self.rows(examples), "labels": list(examples["gold"]), "id": list(examples["example_id"])}
        with pytest.warns(UserWarning, match="annotated examples are not among the tracked ones"):
            callback = ct.TrajectoryCallback(tracked, self.out / "theirs", every=3, annotations=annotated)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate(recipe, step, STEPS[-1]) / recipe.learning_rate
        )
        numbers = {"num_train_epochs": 1, "per_device_train_batch_size": 8, "train_sampling_strategy": "sequential"}
        quiet = {"save_strategy": "no", "report_to": [], "use_cpu": True, "disable_tqdm": True}
        Trainer(
            model,
            TrainingArguments(str(self.out / "trainer"), **numbers, **quiet),
            train_dataset=train,
            processing_class=AutoTokenizer.from_pretrained(self.folder),
            optimizers=(optimizer, schedule),
            callbacks=[callback],
        ).train()
        return ct.Trajectory.load(self.out / "theirs")


@pytest.fixture
def twice(checkpoint: Callable[[str], Path], annotated: Annotations, bulk: Any, tmp_path: Path) -> Callable[..., Twice]:
    def make(kind: str) -> Twice:
        folder = tmp_path / kind
        shutil.copytree(checkpoint(kind), folder)
        config = json.loads((folder / "config.json").read_text())
        config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout_prob": 0.0}
        (folder / "config.json").write_text(json.dumps(config))
        task = ct.NLITask(annotated=annotated, bulk=bulk, bulk_size=40, class_weights=False)
        return Twice(folder, task, task.prepare(SEED), tmp_path)

    return make


@pytest.mark.parametrize(
    ("kind", "method", "packed"), [("bert", "lora", True), ("bert", "full", True), ("albert", "full", False)]
)
def test_the_same_training_is_the_same_trajectory(
    twice: Callable[..., Twice], annotated: Annotations, kind: str, method: str, packed: bool
) -> None:
    both = twice(kind)
    assert (not packing_problem(both.model(method))) == packed
    ours, theirs = both.by_contested(method), both.by_trainer(method, annotated)
    assert ours.steps.tolist() == theirs.steps.tolist() == STEPS
    assert ours.example_ids.tolist() == theirs.example_ids.tolist()
    for name in ("gold", "label_counts", "entropy", "categories"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_allclose(theirs.required("logits"), ours.required("logits"), atol=1e-5)
    np.testing.assert_allclose(theirs.required("losses"), ours.required("losses"), atol=1e-5)
    assert np.abs(ours.required("losses")[-1] - ours.required("losses")[0]).mean() > 0.1  # it did train
