from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from contested import models
from contested.runs import encode_task
from contested.tasks import NLITask, TaskData
from contested.training import Engine, PaddedEngine, Recipe, Trainer, TrainingSet, make_engine

LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.05}


class Parts(NamedTuple):
    model: models.TextModel
    task: TaskData
    data: TrainingSet
    engine: Engine

    def trainer(self, recipe: Recipe, **options: Any) -> Trainer:
        return Trainer(self.model.module, self.engine, self.data, recipe, **options)


@pytest.fixture
def parts(checkpoint: Callable[[str], Path], annotated: Any, bulk: Any) -> Callable[..., Parts]:
    """Builds a tiny run's parts, afresh and the same at every call."""

    def make(kind: str = "bert", method: str = "lora", *, padded: bool = False, **engine: Any) -> Parts:
        task = NLITask(annotated=annotated, bulk=bulk, bulk_size=60).prepare()
        model = models.build(
            str(checkpoint(kind)),
            label_names=task.label_names,
            method=method,
            options=LORA if method == "lora" else {},
            seed=7,
        )
        where = {
            "pad_id": model.tokenizer.pad_token_id,
            "device": torch.device("cpu"),
        }
        made = PaddedEngine(model.module, **where, **engine) if padded else make_engine(model.module, **where, **engine)
        return Parts(model, task, encode_task(task, model, 64), made)

    return make
