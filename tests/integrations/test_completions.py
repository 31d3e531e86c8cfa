"""Completions inside TRL's SFTTrainer: its tokens, losses against a slow reference, and classes told as text."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from scipy import special, stats
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, set_seed

import contested as ct
from contested.annotations import Annotations
from contested.integrations import log_probs as module
from contested.integrations.log_probs import has_fused_head
from contested.training.tracking import inference_mode

trl = pytest.importorskip("trl")

LETTERS = {"entailment": " e", "neutral": " n", "contradiction": " c"}  # a token each
NAMES = {name: name for name in LETTERS}  # of different numbers of tokens
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' sits ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


class World:
    """A tiny decoder, and an annotated set told as prompts and completions."""

    def __init__(self, folder: Path, annotated: Annotations, out: Path) -> None:
        self.folder, self.annotated, self.out = folder, annotated, out
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        pairs = zip(*(annotated.fields[name] for name in ("premise", "hypothesis")), strict=True)
        self.prompts = [f"premise: {premise} hypothesis: {hypothesis} answer:" for premise, hypothesis in pairs]

    def rows(self, labels: dict[str, str] = LETTERS, *, chat: bool = False) -> list[dict[str, Any]]:
        told = [labels[self.annotated.label_names[gold]] for gold in self.annotated.majority]
        rows = [{"id": name, "prompt": p, "completion": c} for name, p, c in self.zipped(told)]
        if chat:
            roles = {"prompt": "user", "completion": "assistant"}
            rows = [{**row, **{n: [{"role": r, "content": row[n]}] for n, r in roles.items()}} for row in rows]
        return rows

    def zipped(self, told: list[str]) -> Any:
        return zip(self.annotated.example_ids, self.prompts, told, strict=True)

    def model(self, kind: str = "full") -> Any:
        set_seed(3)
        model = AutoModelForCausalLM.from_pretrained(self.folder)
        if kind == "lora":
            model = get_peft_model(model, LoraConfig("CAUSAL_LM", target_modules=["q_proj"], init_lora_weights=False))
        if kind == "prompt":
            model = get_peft_model(model, PromptTuningConfig("CAUSAL_LM", num_virtual_tokens=3))
        return model

    def trainer(self, *callbacks: Any, model: Any = None, rows: Any = None, name: str = "sft", **options: Any) -> Any:
        numbers = {
            **{"max_steps": 4, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "save_strategy": "no"},
            **{"report_to": [], "use_cpu": True, "bf16": False, "disable_tqdm": True, "max_length": 256},
        }
        rows = self.rows() if rows is None else rows
        return trl.SFTTrainer(
            self.model() if model is None else model,
            trl.SFTConfig(str(self.out / name), **{**numbers, **options}),
            train_dataset=Dataset.from_list([{key: row[key] for key in row if key != "id"} for row in rows]),
            processing_class=self.tokenizer,
            callbacks=list(callbacks),
        )

    def slow(self, model: Any, prompt: str, completion: str) -> list[float]:
        """−ln p of each token of one completion and the end of the text, by the library's own forward."""
        before = self.tokenizer(prompt)["input_ids"]
        whole = self.tokenizer(prompt + completion + self.tokenizer.eos_token)["input_ids"]
        with torch.no_grad():
            # What prompt learning puts before a text comes first.
            scores = model(input_ids=torch.tensor([whole])).logits[0, -len(whole) :].double().log_softmax(-1)
        assert whole[: len(before)] == before
        return [-scores[index - 1, whole[index]].item() for index in range(len(before), len(whole))]


@pytest.fixture
def world(checkpoint: Callable[[str], Path], annotated: Annotations, tmp_path: Path) -> World:
    return World(checkpoint("qwen2"), annotated, tmp_path)


def answered(tracked: Any, model: Any, batch_size: int = 7, rows: Any = None) -> Any:
    rows = np.arange(len(tracked.ids)) if rows is None else np.array(rows)
    with inference_mode(model):
        return tracked.outputs(model, rows, processing_class=None, batch_size=batch_size)


def as_texts(world: World) -> list[dict[str, Any]]:
    return [{"id": row["id"], "text": row["prompt"] + row["completion"]} for row in world.rows()]


FORMS: dict[str, Callable[[World], list[dict[str, Any]]]] = {
    "texts": lambda world: world.rows(NAMES),
    "conversations": lambda world: world.rows(chat=True),
    "text alone": as_texts,
    # The prompt's last token becomes part of another one.
    "merging": lambda world: [
        {"id": row["id"], "prompt": row["prompt"] + " do", "completion": "g"} for row in world.rows()
    ],
}


@pytest.mark.parametrize(
    ("form", "length"), [*((form, None) for form in FORMS), ("texts", 32), ("conversations", 45), ("text alone", 32)]
)
def test_tokens_and_what_is_scored_of_them_are_trls(world: World, form: str, length: int | None) -> None:
    world.tokenizer.chat_template = TEMPLATE
    rows = FORMS[form](world)
    theirs = [
        (row["input_ids"], [label != -100 for label in row["labels"]])
        for row in world.trainer(rows=rows, shuffle_dataset=False, max_length=length).train_dataset
    ]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tracked = ct.Completions(rows, world.tokenizer, max_length=length)
    lost = 40 - len(theirs)
    assert (0 < lost < 40) is (length is not None and form != "text alone")
    expected = f"{lost} of 40 tracked examples are left out, for they are without a completion: "
    assert [str(warning.message)[: len(expected)] for warning in told] == [expected] * (lost > 0)
    if form == "merging":
        assert tracked.covariates["completion_tokens"].tolist() == [2] * 40  # " dog" and the end
    found = [tracked._sequences[row] for row in range(len(tracked.ids))]
    # The first token is nobody's to predict; TRL leaves it to the shift.
    assert [(one.ids.tolist(), one.scored.tolist()[1:]) for one in found] == [(ids, mask[1:]) for ids, mask in theirs]
    assert tracked.covariates["completion_tokens"].tolist() == [sum(mask[1:]) for _, mask in theirs]


@pytest.mark.parametrize("kind", ["full", "lora", "prompt"])
@pytest.mark.parametrize("fused", [False, True])
def test_losses_are_those_of_one_example_at_a_time(
    world: World, kind: str, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = world.model(kind)
    if fused:
        model = world.trainer(model=model).model
        monkeypatch.setattr(module, "_fused_pays", lambda _: True)  # as on a GPU
        monkeypatch.delattr(module._Batch, "plain")  # no logits are built
    assert has_fused_head(model) is fused
    rows = world.rows(NAMES)
    tracked = ct.Completions(rows, world.tokenizer)
    slow = [world.slow(model.eval(), row["prompt"], row["completion"]) for row in rows]
    for batch_size in (1, 7, 64):
        losses, logits, extra = answered(tracked, model, batch_size)
        np.testing.assert_allclose(losses, [np.mean(values) for values in slow], atol=1e-5)
        np.testing.assert_allclose(extra["completion_loss_sum"], [np.sum(values) for values in slow], atol=1e-4)
        assert logits is None
    assert tracked.covariates["completion_tokens"].tolist() == [len(values) for values in slow]
    monkeypatch.setattr(module, "_takes", lambda *_: False)  # a model that gives all its logits
    some = answered(tracked, model, rows=[31, 4, 17])
    np.testing.assert_allclose(some.losses, losses[[31, 4, 17]], atol=1e-6)
    summed = answered(ct.Completions(rows, world.tokenizer, loss="sum"), model)
    np.testing.assert_allclose(summed.losses, extra["completion_loss_sum"], atol=1e-5)
    np.testing.assert_allclose(summed.extra["completion_loss_mean"], losses, atol=1e-6)


class Weights(trl.trainer.sft_trainer.TrainerCallback):
    """Keeps the weights of every step."""

    def __init__(self) -> None:
        self.of: dict[int, dict[str, torch.Tensor]] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.of[state.global_step] = copy.deepcopy(given["model"].state_dict())

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.of[state.global_step] = copy.deepcopy(given["model"].state_dict())


@pytest.mark.parametrize("options", [{"packing": True}, {"padding_free": True, "max_length": None}, {}], ids=str)
def test_training_packed_or_not_is_recorded_and_ends_in_the_same_bits(world: World, options: dict[str, Any]) -> None:
    # Packed rows see the others that they are packed with where attention is not told of their ends; see TRL.
    ends, weights = [], Weights()
    tracked = ct.Completions(world.rows()[:30], world.tokenizer, annotations=world.annotated.select(np.arange(30)))
    callback = ct.TrajectoryCallback(tracked, world.out / "run", every=2)
    for index, callbacks in enumerate([[], [callback, weights]]):
        trainer = world.trainer(*callbacks, name=f"sft-{index}", **options)
        trainer.train()
        ends.append((trainer.model.state_dict(), trainer.state.log_history[-1]["train_loss"]))
    assert all(torch.equal(ends[0][0][name], value) for name, value in ends[1][0].items())
    assert ends[0][1] == ends[1][1]
    run = ct.Trajectory.load(world.out / "run")
    assert {0, 2, 4} <= set(run.steps.tolist())
    assert (run.logits, run.status) == (None, "complete")
    assert list(run.example_ids) == list(world.annotated.example_ids[:30])
    for step, losses, sums in zip(
        run.steps.tolist(), run.required("losses"), run.extra["completion_loss_sum"], strict=True
    ):
        model = world.model()
        model.load_state_dict(weights.of[step])
        slow = [world.slow(model.eval(), row["prompt"], row["completion"]) for row in world.rows()[:30]]
        np.testing.assert_allclose(losses, [np.mean(values) for values in slow], atol=1e-5)
        np.testing.assert_allclose(sums, [np.sum(values) for values in slow], atol=1e-4)
    assert run.examples["completion_tokens"].tolist() == [len(values) for values in slow]
    assert np.abs(run.required("losses")[-1] - run.required("losses")[0]).max() > 1
    # Annotators chose among three classes, the model among all words: ln 3 is no guess of its.
    assert run.label_names == world.annotated.label_names
    assert run.has >= {"losses", "annotators"}
    assert "classes" not in run.has
    analysis = ct.analyze(run)
    assert "learning_time" not in set(analysis.measures["measure"])
    why = "The run has no classes that its losses are of, so these are not computed: "
    assert f"{why}learning time, restricted learning time." in analysis.absent


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("labels", "passes"), [(LETTERS, 1), (NAMES, 3)])
def test_logits_are_the_log_probabilities_of_the_classes_words(
    world: World, labels: dict[str, str], passes: int, fused: bool
) -> None:
    model = world.trainer().model if fused else world.model()
    tracked = ct.Completions(world.rows(labels), world.tokenizer, labels=labels, annotations=world.annotated)
    calls = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    losses, logits, extra = answered(tracked, model, batch_size=40)
    hook.remove()
    assert len(calls) == passes  # words that differ in one token alone need one
    assert tracked.names(model) == world.annotated.label_names
    np.testing.assert_array_equal(tracked.gold, world.annotated.majority)
    # The word without the end of the text, which is the last token of each completion.
    slow = np.array([[-sum(world.slow(model.eval(), p, w)[:-1]) for w in labels.values()] for p in world.prompts])
    np.testing.assert_allclose(logits, slow, atol=1e-4)
    rows = np.arange(len(slow))
    np.testing.assert_allclose(losses, -special.log_softmax(slow, axis=1)[rows, tracked.gold], atol=1e-4)
    np.testing.assert_allclose(extra["label_words_probability"], np.exp(slow).sum(axis=1), rtol=1e-4)
    own = [world.slow(model, row["prompt"], row["completion"]) for row in world.rows(labels)]
    np.testing.assert_allclose(extra["completion_loss_mean"], [np.mean(values) for values in own], atol=1e-5)
    np.testing.assert_allclose(extra["completion_loss_sum"], [np.sum(values) for values in own], atol=1e-4)


def test_a_run_of_label_words_is_a_classifiers_run(world: World) -> None:
    rows = [{**row, "split": "validation" if index % 4 == 0 else "train"} for index, row in enumerate(world.rows())]
    options = {"annotations": world.annotated, "text_columns": ["prompt"], "covariates": ["genre"]}
    tracked = ct.Completions(rows, world.tokenizer, labels=LETTERS, **options)
    trainer = world.trainer(ct.TrajectoryCallback(tracked, world.out / "run", every=2, clusters="genre"))
    with pytest.warns(UserWarning, match="2 independent examples"):  # genres
        trainer.train()
    run = ct.Trajectory.load(world.out / "run")
    assert run.has >= {"losses", "logits", "gold", "annotators", "texts"}
    assert run.examples["prompt"].tolist() == world.prompts
    assert run.examples["split"].tolist() == [row["split"] for row in rows]
    assert run.examples["genre"].tolist() == list(world.annotated.fields["genre"])
    assert run.manifest["provenance"]["packages"]["trl"] == trl.__version__
    assert run.manifest["identity"]["config"]["arguments"]["max_length"] == 256
    trained = np.arange(len(rows)) % 4 != 0
    given = ct.Trajectory.from_arrays(
        logits=run.required("logits")[:, trained],
        ids=run.example_ids[trained],
        gold=world.annotated.majority[trained],
        label_counts=world.annotated.label_counts[trained],
        label_names=world.annotated.label_names,
        steps=run.steps,
        check_label_order=False,
    )
    found, same = ct.analyze(run), ct.analyze(given)
    assert [row.mean for row in found.unlearning.rows] == pytest.approx([row.mean for row in same.unlearning.rows])
    rho = stats.spearmanr(given.required("losses").mean(axis=0), world.annotated.entropy[trained]).statistic
    assert found.correlation.aulc.rho == pytest.approx(rho, abs=1e-6) == same.correlation.aulc.rho
    assert (found.n_examples, found.validation.n_examples) == (trained.sum(), (~trained).sum())


def test_words_end_where_all_completions_end_alike(world: World) -> None:
    rows = [{**row, "label": index % 2} for index, row in enumerate(world.rows()[:6])]
    # "ab" begins as "a" does: the end of the text tells them apart, and belongs to the words.
    prompts = [{key: row[key] for key in ("id", "prompt", "label")} for row in rows]
    tracked = ct.Completions(prompts, world.tokenizer, labels={"short": " x", "long": " xqx"})
    model = world.model()
    logits = answered(tracked, model).logits
    slow = [[-sum(world.slow(model.eval(), row["prompt"], word)) for word in (" x", " xqx")] for row in rows]
    np.testing.assert_allclose(logits, slow, atol=1e-4)
    assert tracked.gold.tolist() == [0, 1, 0, 1, 0, 1]
    world.tokenizer.eos_token = None
    with pytest.raises(ct.DataError, match="cannot be told apart in tokens after 6 of 6 prompts"):
        ct.Completions(prompts, world.tokenizer, labels={"short": " x", "long": " xqx"})


def test_longer_ones_and_ones_without_annotations_are_left_out_and_counted(world: World) -> None:
    rows = world.rows()
    rows[3]["prompt"] = "red house " * 150 + rows[3]["prompt"]
    few = world.annotated.select(np.arange(20))
    with pytest.warns(UserWarning, match="tracked") as told:
        tracked = ct.Completions(rows, world.tokenizer, labels=LETTERS, annotations=few, max_length=150)
    assert [str(warning.message) for warning in told] == [
        "1 of 40 tracked examples are left out, for they are too long: item-3",
        "20 of 39 tracked examples have no annotations and are left out: "
        "item-20, item-21, item-22, item-23, item-24, item-25, item-26, item-27, item-28, item-29",
        "1 of 20 annotated examples are not among the tracked ones: item-3",
    ]
    assert tracked.ids == tuple(f"item-{index}" for index in range(20) if index != 3)
    assert tracked.counts["tracked"] == len(tracked.gold) == len(tracked.label_counts) == 19
    assert tracked.counts["tracked_too_long"] == 1
    ready = [{"id": index, "input_ids": [5] * length} for index, length in enumerate((3, 9))]
    cut = ct.Completions(ready, world.tokenizer, max_length=4)
    assert cut.counts == {"tracked": 2, "truncated": 1}
    assert cut.covariates["completion_tokens"].tolist() == [2, 3]


def test_tokens_made_already_are_taken_as_they_are(world: World) -> None:
    rows = world.rows()[:5]
    made = world.trainer(rows=rows, shuffle_dataset=False).train_dataset
    ready = [{"id": row["id"], **tokens} for row, tokens in zip(rows, made, strict=True)]
    masked = [
        {"id": row["id"], "input_ids": row["input_ids"], "completion_mask": [label != -100 for label in row["labels"]]}
        for row in ready
    ]
    model = world.model()
    expected = answered(ct.Completions(rows, world.tokenizer), model).losses
    for given in (ready, masked, Dataset.from_list(ready)):
        np.testing.assert_array_equal(answered(ct.Completions(given, world.tokenizer), model).losses, expected)


def test_a_conversation_ends_with_its_last_message(world: World) -> None:
    world.tokenizer.chat_template = TEMPLATE
    rows = world.rows(chat=True)
    messages = [{"id": row["id"], "messages": row["prompt"] + row["completion"]} for row in rows]
    one, other = (ct.Completions(given, world.tokenizer) for given in (rows, messages))
    assert one.fingerprint == other.fingerprint != ct.Completions(rows[:9], world.tokenizer).fingerprint
    told = ct.Completions(rows, world.tokenizer, labels=LETTERS)
    np.testing.assert_array_equal(told.gold, world.annotated.majority)


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({}, {"labels": {"a": "x", "b": "x"}}, "the completions of two classes or more, all different"),
        ({}, {"labels": {"a": " e", "b": " n"}}, r"completion: \d+ of 40 are none of ' e', ' n', the first ' c'"),
        (
            {"label": "neutral"},
            {"labels": LETTERS},
            r"completions of \d+ of 40 tracked examples do not tell their label",
        ),
        (
            {"label": 7},
            {"labels": LETTERS},
            "label: 40 of 40 are none of entailment, neutral, contradiction, the first 7",
        ),
        ({"prompt": None}, {"labels": LETTERS}, "need rows with a prompt"),
        ({"prompt": None}, {}, "need the columns prompt and completion, messages, text, or input_ids"),
        ({"id": "same"}, {}, "ids occur more than once: same"),
        ({}, {"text_columns": ["premise"]}, "the column premise is missing; it has id, prompt, completion"),
        ({}, {"loss": "median"}, "loss is 'median'; expected mean or sum"),
        ({"split": "test"}, {}, "split: test; expected train or validation"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    world: World, change: dict[str, Any], options: dict[str, Any], told: str
) -> None:
    rows = [{key: value for key, value in {**row, **change}.items() if value is not None} for row in world.rows()]
    with pytest.raises(ct.ContestedError, match=told):
        ct.Completions(rows, world.tokenizer, **options)


def test_other_classes_and_models_without_words_are_refused(world: World) -> None:
    labels = {"yes": " e", "no": " n", "perhaps": " c"}
    with pytest.raises(ct.ConfigError, match="The classes here are yes, no, perhaps, those of the annotations entail"):
        ct.Completions(world.rows(), world.tokenizer, labels=labels, annotations=world.annotated)
    model = AutoModelForSequenceClassification.from_pretrained(world.folder, num_labels=3)
    with pytest.raises(ct.ConfigError, match="Qwen2ForSequenceClassification predicts no tokens"):
        ct.Completions(world.rows(), world.tokenizer).names(model)
