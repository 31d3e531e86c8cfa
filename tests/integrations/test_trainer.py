"""The callback inside a real Trainer: what it records, and that training does not notice."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PromptEncoderConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from typer.testing import CliRunner

import contested as ct
from contested.annotations import Annotations
from contested.cli import app, register
from contested.integrations.arguments import check_supported, content_fingerprint

# 40 texts, 4 per batch, 2 batches per step: 5 steps per epoch, 10 in two. Every 4 steps and at ends of epochs:
STEPS, EPOCHS = [0, 4, 5, 8, 10], [0.0, 0.8, 1.0, 1.6, 2.0]


class Weights(TrainerCallback):
    """Keeps the weights of every step, and stops the first training after a step as a crash would."""

    def __init__(self, crash: int | None = None, error: str = "killed") -> None:
        self.of: dict[int, dict[str, torch.Tensor]] = {}
        self.crash, self.error = crash, error

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.of[state.global_step] = copy.deepcopy(given["model"].state_dict())

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.of[state.global_step] = copy.deepcopy(given["model"].state_dict())
        if state.global_step == self.crash:
            self.crash = None
            raise RuntimeError(self.error)


class World:
    """A tiny encoder, 40 training texts and 30 tracked ones."""

    def __init__(self, folder: Path, annotated: Annotations, out: Path) -> None:
        self.folder, self.annotated, self.out = folder, annotated, out
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        texts = [list(annotated.fields[name]) for name in ("premise", "hypothesis")]
        rows = {**self.tokenizer(*texts), "labels": annotated.majority.tolist(), "id": list(annotated.example_ids)}
        self.train = Dataset.from_dict({name: rows[name] for name in rows if name != "id"})
        self.tracked = Dataset.from_dict({name: values[:30] for name, values in rows.items()})

    def model(self, *, lora: bool = False, checkpointing: bool = False) -> Any:
        set_seed(3)
        model = AutoModelForSequenceClassification.from_pretrained(
            self.folder, num_labels=3, id2label=dict(enumerate(self.annotated.label_names))
        )
        if checkpointing:
            new_name = hasattr(model, "activation_checkpointing_enable")
            (model.activation_checkpointing_enable if new_name else model.gradient_checkpointing_enable)()
        return get_peft_model(model, LoraConfig("SEQ_CLS", target_modules=["query"])) if lora else model

    def callback(self, name: str = "run", **options: Any) -> ct.TrajectoryCallback:
        with pytest.warns(UserWarning, match="10 of 40 annotated examples are not among the tracked ones"):
            return ct.TrajectoryCallback(
                self.tracked, self.out / name, **{"every": 4, "annotations": self.annotated, **options}
            )

    def trainer(self, *callbacks: TrainerCallback, model: Any = None, name: str = "trainer", **options: Any) -> Trainer:
        numbers = {
            **{"num_train_epochs": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2},
            **{"learning_rate": 1e-2, "save_strategy": "no", "report_to": [], "use_cpu": True, "disable_tqdm": True},
        }
        return Trainer(
            self.model() if model is None else model,
            TrainingArguments(str(self.out / name), **{**numbers, **options}),
            train_dataset=self.train,
            eval_dataset=self.train,
            processing_class=self.tokenizer,
            callbacks=list(callbacks),
        )

    def load(self, name: str = "run") -> ct.Trajectory:
        return ct.Trajectory.load(self.out / name)

    def slow_logits(self, weights: dict[str, torch.Tensor]) -> np.ndarray:
        """One example at a time by the library's own forward."""
        model = self.model().eval()
        model.load_state_dict(weights)
        names = [name for name in self.tracked.column_names if name not in {"id", "labels"}]
        with torch.no_grad():
            rows = [model(**{n: torch.tensor([row[n]]) for n in names}).logits[0].numpy() for row in self.tracked]
        return np.stack(rows)


@pytest.fixture
def world(checkpoint: Callable[[str], Path], annotated: Annotations, tmp_path: Path) -> World:
    return World(checkpoint("bert"), annotated, tmp_path)


@pytest.mark.parametrize(
    ("model", "options", "steps"),
    [
        ({}, {}, STEPS),
        ({"checkpointing": True}, {}, STEPS),
        ({"lora": True}, {}, STEPS),
        # 10 batches of an epoch are steps of 4, 4 and 2.
        ({}, {"gradient_accumulation_steps": 4}, [0, 3, 4, 6]),
    ],
    ids=str,
)
def test_training_ends_in_the_same_bits_with_and_without(
    world: World, model: dict[str, Any], options: dict[str, Any], steps: list[int]
) -> None:
    ends = []
    for callbacks in ([], [world.callback()]):
        trainer = world.trainer(*callbacks, model=world.model(**model), **options)
        trainer.train()
        ends.append((trainer.model.state_dict(), torch.get_rng_state()))
    assert all(torch.equal(ends[0][0][name], value) for name, value in ends[1][0].items())
    assert torch.equal(ends[0][1], ends[1][1])
    assert world.load().steps.tolist() == steps


@pytest.mark.parametrize("compiled", ["by the Trainer", "whole", "layers"])
def test_compiled_parts_are_not_compiled_again(world: World, compiled: str) -> None:
    ends = []
    for callbacks in ([], [world.callback()]):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        model, options = world.model(), {"torch_compile": True, "torch_compile_backend": "eager"}
        if compiled == "whole":
            model, options = torch.compile(model, backend="eager"), {"remove_unused_columns": False}
        elif compiled == "layers":
            options = {}
            for layer in model.bert.encoder.layer:
                layer.compile(backend="eager")
        trainer = world.trainer(*callbacks, model=model, **options)
        trainer.train()
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        ends.append((getattr(trainer.model, "_orig_mod", trainer.model).state_dict(), graphs))
    assert all(torch.equal(ends[0][0][name], value) for name, value in ends[1][0].items())
    assert ends[0][1] == ends[1][1] > 0
    assert world.load().steps.tolist() == STEPS
    assert world.load().manifest["provenance"]["batches"] == "packed"


def test_what_the_trainer_logs_and_skips_is_noted_and_cut_on_resuming(world: World) -> None:
    class Skips(TrainerCallback):
        """Says what a gradient scaler says of a step whose gradients were not finite."""

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            given["optimizer"]._is_overflow = state.global_step + 1 == 7

    logged: dict[int, float] = {}

    class Logs(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
            if "loss" in logs:
                logged[state.global_step] = logs["loss"]

    options = {"logging_steps": 2, "save_strategy": "steps", "save_steps": 4}
    with pytest.raises(RuntimeError, match="killed"):
        world.trainer(world.callback(), Skips(), Weights(crash=7), Logs(), **options).train()
    # Said after the last checkpoint of the manifest: on the disk, and no part of the run before the next one.
    assert '"step": 7, "epoch": ' in (written := (world.out / "run/metrics.jsonl").read_text())
    assert '"skipped": true' in written
    assert "skipped" not in world.load().metrics
    resumed_from = str(world.out / "trainer/checkpoint-4")
    world.trainer(world.callback(), Skips(), Logs(), **options).train(resume_from_checkpoint=resumed_from)
    metrics = world.load().metrics
    assert metrics["step"].tolist() == [2, 4, 6, 7, 8, 10]
    lines = metrics[metrics["train_loss"].notna()]
    np.testing.assert_allclose(lines["train_loss"], [logged[step] for step in (2, 4, 6, 8, 10)], rtol=1e-12)
    assert lines["lr"].is_monotonic_decreasing
    assert metrics.loc[metrics["skipped"] == True, "step"].tolist() == [7]  # noqa: E712


def test_a_wrong_order_of_the_classes_is_refused_before_anything_is_recorded(world: World) -> None:
    model = world.model()
    model.config.id2label = {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    entailment, neutral, contradiction = world.annotated.label_names
    swapped = [entailment, contradiction, neutral]
    with pytest.raises(ct.ConfigError, match=f"order {entailment},{neutral},{contradiction}. Give") as caught:
        world.trainer(world.callback(label_names=swapped), model=model).train()
    assert "give check_label_order=False" in str(caught.value)
    assert not world.out.joinpath("run").exists()
    world.trainer(world.callback(label_names=swapped, check_label_order=False), model=model, max_steps=1).train()
    run = world.load()
    # Gold labels are the majority's numbers, and two of the three names now lie.
    of_gold = np.array(world.annotated.label_names)[world.annotated.majority[:30]]
    assert run.manifest["gold_agreement"] == pytest.approx((of_gold == entailment).mean(), abs=1e-4)
    world.trainer(world.callback("right", label_names=world.annotated.label_names), model=model, max_steps=1).train()
    assert world.load("right").manifest["gold_agreement"] == 1.0


def test_what_is_recorded_is_the_model_at_that_step(world: World) -> None:
    weights = Weights()
    world.trainer(world.callback(), weights).train()
    run = world.load()
    assert (run.status, run.origin["kind"]) == ("complete", "transformers.Trainer")
    assert (run.steps.tolist(), run.epochs.tolist()) == (STEPS, EPOCHS)
    for step, logits in zip(STEPS, run.required("logits"), strict=True):
        np.testing.assert_allclose(logits, world.slow_logits(weights.of[step]), atol=1e-5)
    assert np.abs(run.required("logits")[-1] - run.required("logits")[0]).max() > 0.1
    assert list(run.example_ids) == world.tracked["id"][:]
    np.testing.assert_array_equal(run.label_counts, world.annotated.label_counts[:30])
    assert run.manifest["counts"] == {"tracked": 30, "tracked_without_annotations": 0, "annotated_not_tracked": 10}
    assert run.manifest["provenance"]["packages"]["transformers"]


def test_further_inputs_of_the_models_forward_are_passed(world: World) -> None:
    backwards = [list(range(len(row) - 1, -1, -1)) for row in world.tracked["input_ids"]]
    plain, weights = world.tracked, Weights()
    world.tracked = plain.add_column("position_ids", backwards).add_column("comment", ["not an input"] * 30)
    world.trainer(world.callback(), weights, num_train_epochs=1).train()
    world.tracked = world.tracked.remove_columns("comment")
    logits = world.load().required("logits")
    np.testing.assert_allclose(logits[-1], world.slow_logits(weights.of[5]), atol=1e-5)
    world.tracked = plain
    assert np.abs(logits[-1] - world.slow_logits(weights.of[5])).max() > 1e-3


def test_a_users_collator_makes_the_batches_and_its_draws_are_not_trainings(world: World) -> None:
    texts = [list(world.annotated.fields[name])[:30] for name in ("premise", "hypothesis")]
    tokens, weights, widths = world.tracked, Weights(), []
    world.tracked = Dataset.from_dict(
        {**dict(zip("ab", texts, strict=True)), "label": tokens["labels"], "id": tokens["id"]}
    )

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        assert set(rows[0]) == {"a", "b", "label", "id"}
        torch.rand(3), np.random.rand(3), random.random()
        batch = world.tokenizer(
            [row["a"] for row in rows], [row["b"] for row in rows], padding=True, return_tensors="pt"
        )
        widths.append(len(rows))
        return {**batch, "labels": torch.tensor([row["label"] for row in rows])}

    ends = []
    for callbacks in ([], [world.callback(collator=collate, batch_size=8), weights]):
        random.seed(1)
        trainer = world.trainer(*callbacks, num_train_epochs=1)
        trainer.train()
        ends.append((trainer.model.state_dict(), torch.get_rng_state(), random.random(), np.random.rand()))
    assert all(torch.equal(ends[0][0][name], value) for name, value in ends[1][0].items())
    assert torch.equal(ends[0][1], ends[1][1])
    assert ends[0][2:] == ends[1][2:]
    assert widths == [8, 8, 8, 6] * 3
    world.tracked = tokens
    np.testing.assert_allclose(world.load().required("logits")[-1], world.slow_logits(weights.of[5]), atol=1e-5)


def test_validation_examples_are_tracked_and_marked_also_when_training_resumes(world: World) -> None:
    split = ["validation" if row % 3 == 0 else "train" for row in range(30)]
    world.tracked = world.tracked.add_column("split", split)
    options = {"save_strategy": "steps", "save_steps": 5}
    with pytest.raises(RuntimeError, match="killed"):
        world.trainer(world.callback(), Weights(crash=7), **options).train()
    world.trainer(world.callback(), **options).train(resume_from_checkpoint=str(world.out / "trainer/checkpoint-5"))
    run = world.load()
    assert run.required("losses").shape == (len(STEPS), 30)
    assert run.examples["split"].tolist() == split
    run.save(world.out / "copy")
    assert world.load("copy").examples["split"].tolist() == split


@pytest.mark.parametrize("method", ["lora", "prompt", "transformers' own", "full", "pissa"])
def test_the_untouched_model_is_recorded_and_the_model_left_as_it_was(world: World, method: str) -> None:
    base = world.model()
    configs = {
        "lora": LoraConfig(
            "SEQ_CLS", target_modules=["query"], init_lora_weights=False, modules_to_save=["classifier"]
        ),
        "prompt": PromptEncoderConfig("SEQ_CLS", num_virtual_tokens=4, encoder_hidden_size=8),
        "pissa": LoraConfig("SEQ_CLS", target_modules=["query"], init_lora_weights="pissa"),
        "transformers' own": LoraConfig(target_modules=["query"], init_lora_weights=False),
    }
    if method == "transformers' own":
        model = copy.deepcopy(base)
        model.add_adapter(configs[method])
    else:
        model = get_peft_model(copy.deepcopy(base), configs[method]) if method in configs else copy.deepcopy(base)
    # A weight of the adapter that its owner freezes stays frozen.
    next(weight for name, weight in model.named_parameters() if weight.requires_grad).requires_grad_(False)
    twin = copy.deepcopy(model)
    before = [(name, weight.requires_grad) for name, weight in model.named_parameters()]
    trainer = world.trainer(world.callback(), model=model, num_train_epochs=1)
    trainer.train()
    plain = world.trainer(model=twin, num_train_epochs=1)
    plain.train()
    assert [(name, weight.requires_grad) for name, weight in model.named_parameters()] == before
    assert {name: set(vars(part)) for name, part in twin.named_modules()} == {
        name: set(vars(part)) for name, part in model.named_modules()
    }
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in model.state_dict().items())
    run = world.load()
    if method in {"full", "pissa"}:
        assert run.baseline_losses is None
        told = "no adapters" if method == "full" else "init_lora_weights=pissa changes the weights"
        assert told in run.manifest["baseline"]
        return
    expected = world.slow_logits(base.state_dict())
    np.testing.assert_allclose(run.baseline_logits, expected, atol=1e-5)
    assert np.abs(run.required("logits")[0] - expected).max() > 1e-3
    run.save(world.out / "copy")
    np.testing.assert_array_equal(world.load("copy").baseline_logits, run.baseline_logits)
    changes = ct.analyze(run, n_resamples=100).examples.set_index("example_id")["loss_change_baseline"]
    wanted = run.required("losses")[-1] - run.baseline_losses
    np.testing.assert_allclose(changes[list(run.example_ids)], wanted, atol=1e-12)


class KilledAfterSaving(TrainerCallback):
    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        raise RuntimeError("killed")


class Begins(TrainerCallback):
    """What the folder holds when training begins or resumes."""

    def __init__(self, world: World) -> None:
        self.world, self.steps = world, [-1]

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.steps = self.world.load().steps.tolist()


# Step 5 ends an epoch: a Trainer saves there before it says that the epoch ended.
@pytest.mark.parametrize(
    ("saved", "killer", "before", "kept"),
    [(3, Weights(crash=6), [0, 4, 5], [0]), (5, KilledAfterSaving(), [0, 4, 5], [0, 4, 5])],
)
def test_a_killed_training_resumes_to_the_same_folder(
    world: World, saved: int, killer: TrainerCallback, before: list[int], kept: list[int]
) -> None:
    world.trainer(world.callback("whole"), name="whole").train()
    # Every 3 steps it saves at 6 also, but is killed before.
    options = {"save_strategy": "steps", "save_steps": saved}
    with pytest.raises(RuntimeError, match="killed"):
        world.trainer(world.callback(), killer, **options).train()
    assert (world.load().status, world.load().steps.tolist()) == ("running", before)
    begins = Begins(world)
    resumed_from = str(world.out / f"trainer/checkpoint-{saved}")
    world.trainer(world.callback(), begins, **options).train(resume_from_checkpoint=resumed_from)
    assert begins.steps == kept
    whole, resumed = world.load("whole"), world.load()
    assert resumed.status == "complete"
    assert (resumed.steps.tolist(), resumed.epochs.tolist()) == (STEPS, EPOCHS)
    np.testing.assert_array_equal(resumed.required("logits"), whole.required("logits"))
    assert (resumed.run_id, resumed.manifest["identity"]) == (whole.run_id, whole.manifest["identity"])


def test_the_last_pass_is_of_the_last_step_not_of_the_best_model(world: World) -> None:
    weights = Weights()
    options = {"save_strategy": "epoch", "eval_strategy": "epoch", "load_best_model_at_end": True}
    best = set()
    # By the lowest loss or by the highest: one of the two loads the first epoch's model at the end.
    for better in (False, True):
        trainer = world.trainer(world.callback(str(better)), weights, greater_is_better=better, **options)
        trainer.train()
        last = world.load(str(better)).required("logits")[-1]
        np.testing.assert_allclose(last, world.slow_logits(weights.of[10]), atol=1e-5)
        best.add(Path(trainer.state.best_model_checkpoint).name)
    assert best == {"checkpoint-5", "checkpoint-10"}


def test_a_training_that_stops_early_has_its_last_step(world: World) -> None:
    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            control.should_training_stop = state.global_step == 7

    world.trainer(world.callback(), Stop()).train()
    assert world.load().steps.tolist() == [0, 4, 5, 7]
    assert world.load().status == "complete"


def test_a_restart_with_smaller_batches_begins_the_record_again(world: World) -> None:
    weights = Weights(crash=6, error="CUDA out of memory.")
    options = {"auto_find_batch_size": True, "gradient_accumulation_steps": 1, "num_train_epochs": 1}
    trainer = world.trainer(world.callback(), weights, **options)
    trainer.train()
    # 10 steps of 4 texts; after the error fewer texts per step, so more steps: all from one training.
    last = trainer.state.max_steps
    assert last > 10
    assert world.load().steps.tolist() == sorted({*range(0, last, 4), last})
    np.testing.assert_allclose(world.load().required("logits")[0], world.slow_logits(weights.of[0]), atol=1e-5)


def test_logits_that_are_not_finite_end_the_record_and_not_the_training(world: World) -> None:
    class Break(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if state.global_step == 6:
                given["model"].classifier.bias.data[0] = float("nan")

    trainer = world.trainer(world.callback(), Break())
    with pytest.warns(UserWarning, match="At step 8 the logits of 30 of 30 tracked examples are not finite"):
        trainer.train()
    assert trainer.state.global_step == 10
    assert (world.load().status, world.load().steps.tolist()) == ("failed", [0, 4, 5])


def test_a_folder_of_another_or_a_complete_run_is_refused(world: World) -> None:
    world.trainer(world.callback()).train()
    with pytest.raises(ct.RunError, match="holds this run already, complete"):
        world.trainer(world.callback()).train()
    with pytest.raises(ct.RunError, match="holds another run") as caught:
        world.trainer(world.callback(every=5), learning_rate=1e-3).train()
    assert caught.value.problems == (
        "arguments.learning_rate: the folder has 0.01, now given 0.001",
        "every: the folder has 4, now given 5",
    )
    world.train = world.train.select(range(39, -1, -1))
    with pytest.raises(ct.RunError, match="holds another run") as caught:
        world.trainer(world.callback()).train()
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["train_data"]
    (world.out / "mine").mkdir()
    (world.out / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ct.RunError, match=r"holds no run \(it has notes.txt\)"):
        world.trainer(world.callback("mine")).train()


def test_other_first_weights_are_another_run_unless_training_resumes(world: World) -> None:
    options = {"save_strategy": "steps", "save_steps": 5}
    with pytest.raises(RuntimeError, match="killed"):
        world.trainer(world.callback(), Weights(crash=7), **options).train()
    began = world.load().manifest["identity"]["initial_weights"]
    other = world.model()
    with torch.no_grad():
        other.classifier.bias += 1
    with pytest.raises(ct.RunError, match="holds another run") as caught:
        world.trainer(world.callback(), model=copy.deepcopy(other), **options).train()
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["initial_weights"]
    assert "set_seed" in caught.value.problems[0]
    # The Trainer puts the checkpoint's weights in their place.
    resumed_from = str(world.out / "trainer/checkpoint-5")
    world.trainer(world.callback(), model=other, **options).train(resume_from_checkpoint=resumed_from)
    assert (world.load().status, world.load().manifest["identity"]["initial_weights"]) == ("complete", began)


def test_a_training_set_is_told_apart_by_its_content_without_calling_its_transform() -> None:
    rows = [{"input_ids": [1, 2]}, {"input_ids": [3]}]
    plain = Dataset.from_list(rows)
    told = content_fingerprint(plain)
    assert told == content_fingerprint(Dataset.from_list(rows)) != content_fingerprint(Dataset.from_list(rows[::-1]))
    assert content_fingerprint(rows) != content_fingerprint(rows[::-1])
    assert content_fingerprint([{"input_ids": torch.tensor([1, 2])}, rows[1]]) == content_fingerprint(rows)

    def draws(batch: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("a transform that draws would change the training")

    assert content_fingerprint(plain.with_transform(draws)) == told
    assert content_fingerprint(iter(rows)) is None


def test_resuming_a_training_that_was_not_recorded_is_refused(world: World) -> None:
    world.trainer(save_strategy="steps", save_steps=5).train()
    with pytest.raises(ct.RunError, match=r"Training resumes at step 5, but .* holds no run"):
        world.trainer(world.callback()).train(resume_from_checkpoint=str(world.out / "trainer" / "checkpoint-5"))


@pytest.mark.parametrize(
    ("args", "told"),
    [({"n_gpu": 2}, "2 GPUs"), ({"deepspeed": "z.json"}, "DeepSpeed")],
)
def test_what_is_not_supported_is_refused(args: dict[str, Any], told: str) -> None:
    with pytest.raises(ct.ConfigError, match=f"does not support training with {told}"):
        check_supported(SimpleNamespace(**{"n_gpu": 1, **args}), torch.nn.Linear(1, 1), attached=True)


def test_classes_in_another_order_are_put_in_the_models(world: World) -> None:
    world.annotated = Annotations(
        world.annotated.example_ids, world.annotated.label_counts[:, ::-1], world.annotated.label_names[::-1]
    )
    callback = world.callback()
    model = world.model()
    model.config.id2label = dict(enumerate(world.annotated.label_names[::-1]))
    world.trainer(callback, model=model, num_train_epochs=1).train()
    # The columns were turned round, and turning them round again gives the ones they came from.
    np.testing.assert_array_equal(world.load().label_counts, world.annotated.label_counts[:30, ::-1])
    model.config.id2label = {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    with pytest.raises(ct.ConfigError, match="Give label_names"):
        world.trainer(world.callback("other"), model=model).train()


def test_other_commands_take_the_folder(world: World) -> None:
    world.trainer(world.callback()).train()
    register()
    run, report = str(world.out / "run"), str(world.out / "report")
    for command in (["analyze", run], ["report", run, "--out", report]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    assert "transformers.Trainer" in (world.out / "report" / "report.html").read_text(encoding="utf-8")
