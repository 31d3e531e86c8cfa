"""Pairs of answers inside TRL's RewardTrainer and DPOTrainer: margins, votes and references are TRL's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, set_seed

import contested as ct
from contested.annotations import Annotations
from contested.training.tracking import inference_mode

trl = pytest.importorskip("trl")

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' sits ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
BETA = 0.3


class World:
    """A tiny decoder, and 12 pairs of answers that annotators voted on."""

    def __init__(self, folder: Path, annotated: Annotations, out: Path) -> None:
        self.folder, self.out = folder, out
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        premises, hypotheses = (list(annotated.fields[name]) for name in ("premise", "hypothesis"))
        self.rows: list[dict[str, Any]] = [
            {
                "id": f"pair-{i}",
                "prompt": premises[i],
                "chosen": f" {hypotheses[i]}",
                "rejected": f" {premises[i + 12]}",
            }
            for i in range(12)
        ]
        self.votes = np.stack([np.arange(12) % 5 + 1, np.arange(12) % 3], axis=1)

    def talking(self) -> list[dict[str, Any]]:
        roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
        return [{**row, **{n: [{"role": r, "content": row[n]}] for n, r in roles.items()}} for row in self.rows]

    def model(self, *, reward: bool = False, lora: bool = False) -> Any:
        set_seed(3)
        kind: Any = AutoModelForSequenceClassification if reward else AutoModelForCausalLM
        model = kind.from_pretrained(self.folder, **({"num_labels": 1} if reward else {}))
        if lora:
            config = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
            model = get_peft_model(model, config)
        return model

    def trainer(self, model: Any, *callbacks: Any, rows: Any = None, reward: bool = False, **options: Any) -> Any:
        models = {name: options.pop(name) for name in ("ref_model", "peft_config") if name in options}
        numbers = {
            **{"max_steps": 3, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "save_strategy": "no"},
            **{"report_to": [], "use_cpu": True, "bf16": False, "disable_tqdm": True, "max_length": None},
            **({} if reward else {"beta": BETA}),
        }
        config, kind = (trl.RewardConfig, trl.RewardTrainer) if reward else (trl.DPOConfig, trl.DPOTrainer)
        given = self.rows if rows is None else rows
        return kind(
            model=model,
            args=config(str(self.out / "trl"), **{**numbers, **options}),
            train_dataset=Dataset.from_list([{key: row[key] for key in row if key != "id"} for row in given]),
            processing_class=self.tokenizer,
            callbacks=list(callbacks),
            **models,
        )

    def dpo(self, kind: str, **options: Any) -> Any:
        """A trainer whose policy has left its reference."""
        if kind == "full":
            trainer = self.trainer(self.model(), ref_model=self.model(), **options)
        elif kind == "new adapter":
            trainer = self.trainer(self.model(), peft_config=LoraConfig(target_modules=["q_proj"]), **options)
        else:
            trainer = self.trainer(self.model(lora=True), **options)
        torch.manual_seed(5)
        with torch.no_grad():
            for weight in trainer.model.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight) * (0.05 if kind == "full" else 0.5))
        return trainer


@pytest.fixture
def world(checkpoint: Callable[[str], Path], annotated: Annotations, tmp_path: Path) -> World:
    return World(checkpoint("qwen2"), annotated, tmp_path)


def answered(tracked: Any, model: Any, batch_size: int = 5) -> Any:
    rows = np.arange(len(tracked.ids))
    with inference_mode(model):
        return tracked.outputs(model, rows, processing_class=None, batch_size=batch_size)


def theirs(trainer: Any, margin: str) -> tuple[list[float], list[float]]:
    """Loss and margin of each pair as the trainer itself computes them, one pair at a time."""
    trainer.model.eval()
    losses, margins = [], []
    for row in trainer.train_dataset:
        inputs = trainer._prepare_inputs(trainer.data_collator([row]))
        with torch.no_grad():
            losses.append(trainer.compute_loss(trainer.model, inputs).item())
        margins.append(trainer._metrics["eval"][margin][-1])
    return losses, margins


@pytest.mark.parametrize("form", ["texts", "conversations", "whole"])
@pytest.mark.parametrize("lora", [False, True])
def test_a_reward_models_margins_are_trls(world: World, form: str, lora: bool) -> None:
    world.tokenizer.chat_template = TEMPLATE
    rows = world.talking() if form == "conversations" else world.rows
    if form == "whole":
        rows = [{"id": r["id"], **{name: r["prompt"] + r[name] for name in ("chosen", "rejected")}} for r in rows]
    trainer = world.trainer(world.model(reward=True, lora=lora), rows=rows, reward=True)
    losses, margins = theirs(trainer, "margin")
    tracked = ct.Preferences(rows, world.tokenizer)
    assert tracked.names(trainer.model) == ("chosen", "rejected")
    found = answered(tracked, trainer.model)
    np.testing.assert_allclose(found.extra["reward_margin"], margins, atol=1e-5)
    np.testing.assert_allclose(found.logits[:, 0] - found.logits[:, 1], margins, atol=1e-5)
    np.testing.assert_allclose(found.losses, losses, atol=1e-5)
    assert tracked.covariates["chosen_tokens"].tolist() == [len(row["chosen_ids"]) for row in trainer.train_dataset]
    assert np.std(margins) > 0.01
    ready = [{"id": index, **row} for index, row in enumerate(trainer.train_dataset)]
    made = ct.Preferences([{n: row[n] for n in ("id", "chosen_ids", "rejected_ids")} for row in ready], world.tokenizer)
    np.testing.assert_array_equal(answered(made, trainer.model).logits, found.logits)


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("kind", ["full", "new adapter", "trained adapter"])
def test_the_margins_of_dpo_are_trls(world: World, kind: str, chat: bool) -> None:
    world.tokenizer.chat_template = TEMPLATE
    rows = world.talking() if chat else world.rows
    trainer = world.dpo(kind, rows=rows)
    reference = trainer.ref_model
    assert (reference is None) is (kind != "full")
    losses, margins = theirs(trainer, "rewards/margins")
    tracked = ct.Preferences(rows, world.tokenizer, beta=BETA, reference=reference)
    assert tracked.names(trainer.model) == ("chosen", "rejected")
    trains = [weight.requires_grad for weight in trainer.model.parameters()]
    found = answered(tracked, trainer.model)
    assert [weight.requires_grad for weight in trainer.model.parameters()] == trains
    np.testing.assert_allclose(found.extra["reward_margin"], margins, atol=1e-5)
    np.testing.assert_allclose(found.losses, losses, atol=1e-5)
    assert np.std(margins) > 0.01
    again = answered(tracked, trainer.model)  # the adapters are on again
    np.testing.assert_array_equal(again.extra["chosen_log_probability"], found.extra["chosen_log_probability"])


def test_a_reference_is_scored_at_once_or_taken_from_trls_columns(world: World) -> None:
    trainer = world.dpo("full")
    expected = answered(
        ct.Preferences(world.rows, world.tokenizer, beta=BETA, reference=trainer.ref_model), trainer.model
    )
    before = world.model()
    tracked = ct.Preferences(world.rows, world.tokenizer, beta=BETA, reference=before)
    with torch.no_grad():
        for weight in before.parameters():
            weight.zero_()
    np.testing.assert_allclose(answered(tracked, trainer.model).logits, expected.logits, atol=1e-6)
    precomputed = world.dpo("full", precompute_ref_log_probs=True)
    precomputed.get_train_dataloader()
    columns = ("ref_chosen_logps", "ref_rejected_logps")
    kept = [
        {**row, **{name: made[name] for name in columns}}
        for row, made in zip(world.rows, precomputed.train_dataset, strict=True)
    ]
    given = ct.Preferences(kept, world.tokenizer, beta=BETA)
    np.testing.assert_allclose(answered(given, trainer.model).logits, expected.logits, atol=1e-5)


def test_longer_sequences_are_cut_for_dpo_and_left_out_for_a_reward_model(world: World) -> None:
    trainer = world.dpo("full", max_length=8)
    _, margins = theirs(trainer, "rewards/margins")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tracked = ct.Preferences(world.rows, world.tokenizer, beta=BETA, reference=trainer.ref_model, max_length=8)
    assert 0 < 12 - len(margins) == tracked.counts["tracked_without_an_answer"] < 12
    assert [f"{12 - len(margins)} of 12 tracked examples are left out" in str(one.message) for one in told] == [True]
    assert tracked.counts["truncated"] > 0
    np.testing.assert_allclose(answered(tracked, trainer.model).extra["reward_margin"], margins, atol=1e-5)
    kept = world.trainer(world.model(reward=True), reward=True, max_length=20).train_dataset
    with pytest.warns(
        UserWarning, match=f"{12 - len(kept)} of 12 tracked examples are left out, for they are too long"
    ):
        tracked = ct.Preferences(world.rows, world.tokenizer, max_length=20)
    assert 0 < len(kept) == len(tracked.ids) < 12
    assert tracked.covariates["rejected_tokens"].tolist() == [len(row["rejected_ids"]) for row in kept]


def test_votes_are_counts_of_two_classes_and_every_measure_applies(world: World) -> None:
    rows = [{**row, "votes": votes.tolist(), "margin": 0.5} for row, votes in zip(world.rows, world.votes, strict=True)]
    tracked = ct.Preferences(rows, world.tokenizer, votes_column="votes", text_columns=["prompt"])
    ends = []
    for callbacks in ([], [ct.TrajectoryCallback(tracked, world.out / "run", every=2)]):
        trainer = world.trainer(world.model(reward=True), *callbacks, rows=world.rows, reward=True)
        trainer.train()
        ends.append(trainer.model.state_dict())
    assert all(torch.equal(ends[0][name], value) for name, value in ends[1].items())
    run = ct.Trajectory.load(world.out / "run")
    assert (run.steps.tolist(), run.label_names, run.gold.tolist()) == ([0, 2, 3], ("chosen", "rejected"), [0] * 12)
    np.testing.assert_array_equal(run.label_counts, world.votes)
    assert run.examples["margin"].tolist() == [0.5] * 12
    np.testing.assert_allclose(run.extra["reward_margin"][-1], theirs(trainer, "margin")[1], atol=1e-5)
    # p(chosen) is the sigmoid of the margin, and the loss −ln of it.
    np.testing.assert_allclose(run.losses, np.log1p(np.exp(-run.extra["reward_margin"])), atol=1e-6)
    analysis = ct.analyze(run)
    assert set(analysis.measures["measure"]) >= {"loss_change", "aulc", "kl_change", "aum"}
    annotations = Annotations(tuple(row["id"] for row in rows), world.votes[:, ::-1], ("rejected", "chosen"))
    joined = ct.Preferences(world.rows, world.tokenizer, annotations=annotations)
    world.trainer(world.model(reward=True), ct.TrajectoryCallback(joined, world.out / "joined"), reward=True).train()
    np.testing.assert_array_equal(ct.Trajectory.load(world.out / "joined").label_counts, world.votes)


def test_a_policy_in_training_is_recorded(world: World) -> None:
    tracked = ct.Preferences(world.rows, world.tokenizer, beta=BETA)
    callback = ct.TrajectoryCallback(tracked, world.out / "run", every=2)
    trainer = world.trainer(
        world.model(), callback, peft_config=LoraConfig(target_modules=["q_proj"]), learning_rate=0.1
    )
    trainer.train()
    run = ct.Trajectory.load(world.out / "run")
    assert run.steps.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(run.logits[0], np.zeros((12, 2)))  # a new adapter changes nothing
    losses, margins = theirs(trainer, "rewards/margins")
    np.testing.assert_allclose(run.extra["reward_margin"][-1], margins, atol=1e-5)
    np.testing.assert_allclose(run.losses[-1], losses, atol=1e-5)
    assert np.abs(margins).max() > 0.01


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({}, {"beta": 0}, "beta is 0; expected a number above 0"),
        ({"prompt": None}, {"beta": 0.1}, r"lack the columns prompt; .* trl.extract_prompt splits it off"),
        ({"rejected": None}, {}, "lack the columns rejected"),
        ({"votes": [0, 0]}, {"votes_column": "votes"}, "votes: 12 of 12 are no two counts"),
        ({"votes": [1, 0.5]}, {"votes_column": "votes"}, "votes: 12 of 12 are no two counts"),
        ({}, {"votes_column": "votes"}, "lack the column votes"),
        ({}, {"reference": torch.nn.Linear(1, 1)}, "A reward model has no reference"),
    ],
)
def test_pairs_that_cannot_be_followed_are_refused(
    world: World, change: dict[str, Any], options: dict[str, Any], told: str
) -> None:
    rows = [{key: value for key, value in {**row, **change}.items() if value is not None} for row in world.rows]
    with pytest.raises(ct.ContestedError, match=told):
        ct.Preferences(rows, world.tokenizer, **options)


def test_models_of_another_kind_are_refused(world: World) -> None:
    rewards = ct.Preferences(world.rows, world.tokenizer)
    with pytest.raises(ct.ConfigError, match=r"Qwen2ForCausalLM does not \(it predicts tokens"):
        rewards.names(world.model())
    with pytest.raises(ct.ConfigError, match="num_labels is 2"):
        rewards.names(AutoModelForSequenceClassification.from_pretrained(world.folder))
    policy = ct.Preferences(world.rows, world.tokenizer, beta=0.1)
    with pytest.raises(ct.ConfigError, match="Qwen2ForSequenceClassification predicts no tokens"):
        policy.names(world.model(reward=True))
    with pytest.raises(ct.ConfigError, match="this model has no adapters to switch off"):
        policy.names(world.model())
