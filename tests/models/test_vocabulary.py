"""Tokenizers and checkpoints that do not belong together, or are not what they say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from contested import models
from contested.errors import ModelError

LABELS = ("entailment", "neutral", "contradiction")


def build(folder: Path, *, method: str = "full", **options: Any) -> models.TextModel:
    return models.build(str(folder), label_names=LABELS, method=method, options=options)


@pytest.fixture
def copied(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Gives a copy of a checkpoint that may be changed."""
    return lambda kind: Path(shutil.copytree(checkpoint(kind), tmp_path / kind))


def change_json(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize("kind", ["bert", "roberta", "qwen2", "deberta-v2", "electra", "distilbert"])
def test_a_folder_without_tokenizer_files_is_refused(copied: Callable[[str], Path], kind: str) -> None:
    # transformers makes an empty tokenizer of it, to which every word is unknown.
    folder = copied(kind)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"knows no words: its files are missing \(.*tokenizer\.json.*save_pretrained"):
        build(folder)


@pytest.mark.parametrize("kind", ["llama", "modernbert"])
def test_files_without_which_no_tokenizer_can_be_made_are_named(copied: Callable[[str], Path], kind: str) -> None:
    folder = copied(kind)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"its files are missing or incomplete \(tokenizer\.json"):
        build(folder)


def test_half_of_a_vocabulary_is_named(copied: Callable[[str], Path]) -> None:
    folder = copied("qwen2")
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    for file in folder.glob("tokenizer*"):
        file.unlink()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(ModelError, match=r"its files are missing or incomplete"):
        build(folder)


def test_a_tokenizer_of_characters_needs_no_files(tmp_path: Path) -> None:
    config = transformers.CanineConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48, num_hash_buckets=64
    )
    transformers.CanineModel(config).save_pretrained(tmp_path)
    transformers.CanineTokenizer().save_pretrained(tmp_path)
    problems = models.preflight(str(tmp_path), n_classes=3, method="full", options={}, max_length=64)
    assert problems == []
    assert models.embeddings_of(transformers.CanineForSequenceClassification(config)).tokens is None


def resized(checkpoint: Path, folder: Path, rows: int) -> Path:
    """The checkpoint with another number of embeddings, its tokenizer beside it."""
    model = transformers.AutoModel.from_pretrained(checkpoint)
    model.resize_token_embeddings(rows)
    model.save_pretrained(folder)
    for file in checkpoint.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


@pytest.mark.parametrize("rows", [20, 33])  # of 23 tokens: 23 > 1.1 * 20, 23 < 0.7 * 33 = 23.1
def test_a_vocabulary_far_from_the_models_is_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path, rows: int
) -> None:
    folder = resized(checkpoint("bert"), tmp_path / "resized", rows)
    with pytest.raises(ModelError, match=rf"the tokenizer knows 23 tokens and the model has {rows} embeddings: they"):
        build(folder)


@pytest.mark.parametrize(("rows", "said"), [(23, False), (30, True)])
def test_a_vocabulary_unlike_the_models_is_said(
    checkpoint: Callable[[str], Path], tmp_path: Path, rows: int, said: bool
) -> None:
    notes = build(resized(checkpoint("bert"), tmp_path / "resized", rows)).notes
    assert [note.startswith(f"The tokenizer knows 23 tokens and the model has {rows}") for note in notes] == [
        True
    ] * said


def test_embeddings_are_counted_inside_adapters(checkpoint: Callable[[str], Path]) -> None:
    adapted = build(checkpoint("roberta"), method="lora", target_modules=["query", "word_embeddings"], r=2)
    assert models.embeddings_of(adapted.module) == (23, 1)
    assert models.embeddings_of(build(checkpoint("distilbert")).module) == (23, None)


def test_no_code_of_a_checkpoint_is_run(copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("bert")
    trace = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(trace)!r}, 'w').close()\nclass Own: pass\n")
    change_json(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"})
    with pytest.raises(ModelError, match=r"needs Python code of its own \(auto_map.*which is never run here"):
        build(folder)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("declared", "method"),
    [({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"), ({"bits": 4}, "of no named method")],
)
def test_a_declared_quantisation_is_refused(
    copied: Callable[[str], Path], declared: dict[str, Any], method: str
) -> None:
    folder = copied("bert")
    change_json(folder / "config.json", quantization_config=declared)
    with pytest.raises(ModelError, match=rf"declares quantised weights \({method}\).*a run trains weights in float32"):
        build(folder)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_a_quantisation_that_is_not_declared_is_refused(copied: Callable[[str], Path]) -> None:
    folder, name = copied("bert"), "encoder.layer.0.attention.self.query"

    def quantise(weights: dict[str, torch.Tensor]) -> None:
        largest = weights[f"{name}.weight"].abs().amax(1, keepdim=True)
        weights[f"{name}.weight"] = (weights[f"{name}.weight"] / largest * 127).round().to(torch.int8)
        weights[f"{name}.SCB"] = largest

    change_weights(folder, quantise)
    with pytest.raises(ModelError, match=r"are quantised \(.*query\.SCB\), which its config\.json does not say"):
        build(folder)


def test_layers_that_the_config_leaves_out_are_said(copied: Callable[[str], Path]) -> None:
    folder = copied("bert")
    assert build(folder).notes == ()
    change_json(folder / "config.json", num_hidden_layers=1)
    # A layer of BERT has 16 weights: query, key, value, two norms and three dense, each with its bias.
    [note] = build(folder).notes
    assert note.startswith("16 weights of the checkpoint's layers not used, as the layers that its config.json")


def test_another_problem_type_is_not_used_and_said(copied: Callable[[str], Path]) -> None:
    folder = copied("bert")
    change_json(folder / "config.json", problem_type="multi_label_classification")
    built = build(folder)
    assert built.notes == (
        "The checkpoint's problem_type 'multi_label_classification' is not used: a run chooses one class.",
    )
    assert built.module.config.problem_type == "single_label_classification"


@pytest.mark.parametrize("start", ["eva", "EVA", "corda", "lora_ga"])
def test_initialisations_from_data_are_refused(checkpoint: Callable[[str], Path], start: str) -> None:
    with pytest.raises(
        ModelError, match=rf"init_lora_weights {start.lower()} cannot be used here: it draws the adapter"
    ):
        build(checkpoint("bert"), method="lora", init_lora_weights=start)
    assert build(checkpoint("bert"), method="lora", init_lora_weights="olora", r=2).trainable_params


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_head_of_other_classes_is_begun_anew_as_if_there_were_none(
    checkpoint: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    plain = checkpoint(kind)
    for name, order in {"other": LABELS[::-1], "none": None, "more": ["a", "b", "c", "d"]}.items():
        folder = tmp_path / name
        with_head(plain, folder, order)
        built, wanted = build(folder), build(plain)
        [note] = built.notes
        assert note.startswith("The checkpoint's own classification head is not used: its classes")
        assert ("have no names" in note) == (order is None)
        found, fresh = built.module.state_dict(), wanted.module.state_dict()
        assert all(torch.equal(found[key], fresh[key]) for key in fresh if key.startswith("classifier"))


def with_head(plain: Path, folder: Path, order: Any) -> None:
    """Save a checkpoint with a head of its own for classes in some order."""
    names = (
        {} if order is None else {"id2label": dict(enumerate(order)), "label2id": {n: i for i, n in enumerate(order)}}
    )
    with torch.random.fork_rng():
        torch.manual_seed(9)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            plain, num_labels=3 if order is None else len(order), **names
        )
        for weight in model.parameters():
            weight.data.add_(torch.randn_like(weight), alpha=0.1 if weight.dim() > 1 else 0.0)
    model.save_pretrained(folder)
    for file in plain.glob("tokenizer*"):
        shutil.copy(file, folder)


def test_a_head_of_the_same_classes_is_kept_and_said(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    with_head(checkpoint("bert"), tmp_path / "same", [name.upper() for name in LABELS])
    saved = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "same")
    built = build(tmp_path / "same")
    assert torch.equal(built.module.classifier.weight, saved.classifier.weight)
    [note] = built.notes
    assert note.startswith("The checkpoint's own classification head is kept: its classes are the task's (ENTAILMENT,")


@pytest.mark.parametrize(
    ("kind", "lost", "size"),
    [
        ("bert", "classifier.weight", (5, 16)),
        ("bert", "classifier.weight", (3, 99)),
        ("bert", "classifier.bias", None),
        ("bert", "bert.pooler.dense.weight", None),
        ("roberta", "classifier.dense.weight", None),
    ],
)
def test_a_head_that_is_not_whole_is_not_said_to_be_kept(
    checkpoint: Callable[[str], Path], tmp_path: Path, kind: str, lost: str, size: tuple[int, int] | None
) -> None:
    with_head(checkpoint(kind), tmp_path / "half", LABELS)
    file = tmp_path / "half" / "model.safetensors"
    weights = load_file(file)
    before = weights.pop(lost)
    if size is not None:
        weights[lost] = before.new_ones(size)
    save_file(weights, file, {"format": "pt"})
    built = build(tmp_path / "half")
    assert built.notes == (
        f"The checkpoint's own classification head is not used: {lost} is missing or of another size. The run's seed "
        "decides a fresh head.",
    )
    fresh = build(checkpoint(kind)).module.state_dict()
    found = built.module.state_dict()
    assert all(torch.equal(found[key], fresh[key]) for key in fresh if key.startswith("classifier"))


def test_a_missing_package_of_an_architecture_is_named(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs(*_: Any, **__: Any) -> Any:
        raise ImportError("\nThe layout model requires the detectron2 library.")

    monkeypatch.setattr(transformers.AutoModelForSequenceClassification, "from_config", needs)
    problems = models.preflight(str(checkpoint("bert")), n_classes=3, method="lora", options={}, max_length=None)
    assert len(problems) == 1
    assert "needs a package that is not installed: The layout model requires the detectron2 library" in problems[0]
