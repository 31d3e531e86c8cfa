from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import processors
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    CanineConfig,
    CanineModel,
    CanineTokenizer,
    Gemma3Config,
    Qwen2Tokenizer,
)

from contested import models
from contested.errors import ModelError

LABELS = ("entailment", "neutral", "contradiction")
FAMILIES = ["bert", "roberta", "distilbert", "deberta-v2", "qwen2"]
HEADS = {
    "bert": ("classifier",),
    "roberta": ("classifier",),
    "distilbert": ("pre_classifier", "classifier"),
    "deberta-v2": ("pooler", "classifier"),
    "qwen2": ("score",),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_trains_its_targets_and_the_whole_head_only(checkpoint: Callable[[str], Path], family: str) -> None:
    built = models.build(str(checkpoint(family)), label_names=LABELS, method="lora", options={"r": 2})
    assert built.head == HEADS[family]
    trained = {name for name, p in built.module.named_parameters() if p.requires_grad}
    targets = built.family.lora_targets
    adapted = {name for name in trained if "lora_" in name}
    assert all(any(f".{target}." in name for target in targets) for name in adapted)
    # Two layers, each target with A and B.
    assert len(adapted) == 2 * 2 * len(targets)
    rest = trained - adapted
    assert rest
    assert all(any(f".{part}." in name for part in built.head) for name in rest)
    for part in built.head:
        assert any(f".{part}." in name for name in rest)


@pytest.mark.parametrize(
    ("family", "per_rank", "head"),
    [
        # Hidden 16: a pair A (r x 16), B (16 x r) has 32 r weights; two layers of query and value: 128 r.
        ("bert", 128, 16 * 3 + 3),
        ("roberta", 128, 16 * 16 + 16 + 16 * 3 + 3),
        ("distilbert", 128, 16 * 16 + 16 + 16 * 3 + 3),
        # Qwen2 with one key-value head of 8: q and o 32 r, k and v 16 r + 8 r = 24 r; two layers: 224 r.
        ("qwen2", 224, 16 * 3),
    ],
)
def test_trainable_counts_by_hand(checkpoint: Callable[[str], Path], family: str, per_rank: int, head: int) -> None:
    for r in (2, 4):
        built = models.build(str(checkpoint(family)), label_names=LABELS, method="lora", options={"r": r})
        assert built.trainable_params == per_rank * r + head


def test_full_fine_tuning_trains_everything(checkpoint: Callable[[str], Path]) -> None:
    built = models.build(str(checkpoint("bert")), label_names=LABELS, method="full")
    assert built.trainable_params == built.total_params
    assert built.module.config.id2label == dict(enumerate(LABELS))


def test_the_seed_decides_the_head_and_leaves_the_global_state_alone(checkpoint: Callable[[str], Path]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(5)
        built = models.build(str(checkpoint("bert")), label_names=LABELS, method="full", seed=seed)
        heads.append(built.module.classifier.weight.detach())
        assert torch.equal(torch.rand(2), expected)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_decoder_without_pad_token_pads_with_its_end_token_to_the_left(checkpoint: Callable[[str], Path]) -> None:
    built = models.build(str(checkpoint("qwen2")), label_names=LABELS, method="full")
    assert built.family.template is not None
    assert built.tokenizer.pad_token == built.tokenizer.eos_token
    assert built.tokenizer.padding_side == "left"
    assert built.module.config.pad_token_id == built.tokenizer.pad_token_id


def test_an_end_token_that_every_text_has_is_no_pad_token(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    """A decoder's head would take it for padding and read the token before; another token pads instead."""
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    tokenizer.add_special_tokens({"bos_token": "dog"})
    tokenizer.save_pretrained(folder)
    built = models.build(str(folder), label_names=LABELS, method="full")
    assert built.tokenizer("a dog")["input_ids"][-1] == built.tokenizer.eos_token_id
    bos = built.tokenizer.bos_token_id
    assert built.pad_id == built.module.config.pad_token_id == built.tokenizer.pad_token_id == bos


def test_a_pad_token_that_the_checkpoint_names_stays(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("roberta"), tmp_path / "roberta")
    AutoTokenizer.from_pretrained(folder, pad_token="[MASK]").save_pretrained(folder)
    built = models.build(str(folder), label_names=LABELS, method="full")
    assert (built.pad_id, built.module.config.pad_token_id, built.tokenizer.pad_token) == (0, 0, "[MASK]")


def test_the_parts_that_text_never_reaches_get_no_adapter(tmp_path: Path) -> None:
    """Gemma-3 with its tower for images, and its configuration of text within another."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**sizes, "vocab_size": 320, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": None}
    config = Gemma3Config(text_config=text, vision_config={**sizes, "image_size": 8, "patch_size": 4})
    AutoModelForSequenceClassification.from_config(config).base_model.save_pretrained(tmp_path)
    Qwen2Tokenizer().train_new_from_iterator(["a dog runs in the park"] * 2, vocab_size=320).save_pretrained(tmp_path)
    built = models.build(str(tmp_path), label_names=LABELS, method="lora", options={"r": 2}, max_length=64)
    adapted = [name for name, p in built.module.named_parameters() if p.requires_grad and "lora_" in name]
    assert len(adapted) == 2 * 4
    assert all(".language_model." in name for name in adapted)
    assert built.module.config.get_text_config().pad_token_id == built.pad_id == built.tokenizer.pad_token_id
    models.save(built.module, built.tokenizer, tmp_path / "saved")
    loaded = models.load_saved(tmp_path / "saved", backbone=str(tmp_path), n_classes=3, pad_id=built.pad_id)
    assert loaded.config.get_text_config().pad_token_id == built.pad_id


def test_characters_need_no_vocabulary(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
    CanineModel(CanineConfig(**sizes, max_position_embeddings=128, num_hash_buckets=256)).save_pretrained(tmp_path)
    CanineTokenizer().save_pretrained(tmp_path)
    assert models.preflight(str(tmp_path), n_classes=3, method="full", options={}, max_length=64) == []
    assert models.build(str(tmp_path), label_names=LABELS, method="full").pad_id == 0


def test_a_checkpoint_without_pooler_trains_it_with_the_head(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("bert"), tmp_path / "bert")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    weights = {name: w for name, w in model.bert.state_dict().items() if not name.startswith("pooler")}
    from safetensors.torch import save_file

    save_file({name: w.contiguous() for name, w in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    built = models.build(str(folder), label_names=LABELS, method="lora", options={"r": 2})
    assert built.head == ("classifier", "bert.pooler")
    assert any("pooler" in name and p.requires_grad for name, p in built.module.named_parameters())


def test_a_checkpoint_of_another_family_is_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint("bert"), tmp_path / "mixed")
    shutil.copy(checkpoint("distilbert") / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"is not a checkpoint of the architecture 'bert'.* are missing"):
        models.build(str(folder), label_names=LABELS, method="full")


def test_preflight_names_an_unknown_method_beside_a_backbone_that_is_not_there(tmp_path: Path) -> None:
    problems = models.preflight(str(tmp_path), n_classes=3, method="lorra", options={}, max_length=None)
    assert len(problems) == 2
    assert problems[1] == "There is no method 'lorra'; did you mean 'lora'?"
    problems = models.preflight(str(tmp_path), n_classes=3, method="vera", options={"rr": 4}, max_length=None)
    assert problems[1].startswith("The method vera does not know 'rr'. VeraConfig knows: ")


def test_preflight_names_every_incompatibility_at_once(checkpoint: Callable[[str], Path]) -> None:
    problems = models.preflight(
        str(checkpoint("bert")),
        n_classes=3,
        method="lora",
        options={"target_modules": ["qurey", "value", "classifier"]},
        max_length=65,
    )
    assert len(problems) == 3
    assert "max_length is 65" in problems[0]
    assert "'qurey' does not exist in 'bert'" in problems[1]
    assert "'classifier' is in the head" in problems[2]


@pytest.mark.parametrize(
    ("method", "options", "wanted"),
    [
        ("loar", {}, "There is no method 'loar'; did you mean 'lora'?"),
        ("lora", {"rank": 4}, "does not know 'rank'. LoraConfig knows: "),
        ("adalora", {}, "cannot be trained here: it re-allocates its ranks"),
        ("poly", {}, "cannot be trained here: its forward wants to know which of several tasks each example is of"),
        ("cpt", {}, "cannot be trained here: PEFT has it for causal language models alone"),
        ("ln_tuning", {}, "PEFT knows no norms of 'bert'; give target_modules (its norms: LayerNorm)"),
        ("lora", {"target_modules": ["attention"]}, "to this model: Target module BertAttention is not supported."),
    ],
)
def test_methods_that_do_not_exist_or_fit(
    checkpoint: Callable[[str], Path], method: str, options: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(ModelError) as caught:
        models.build(str(checkpoint("bert")), label_names=LABELS, method=method, options=options)
    assert wanted in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2  # what failed, and one problem


def test_a_tuner_of_other_modules_than_linear_ones_keeps_its_own_targets(checkpoint: Callable[[str], Path]) -> None:
    built = models.build(str(checkpoint("llama")), label_names=LABELS, method="ln_tuning")
    trained = {name for name, p in built.module.named_parameters() if p.requires_grad}
    # Two layers with two norms each, and the last one; beside them the head.
    assert len([name for name in trained if "norm" in name]) == 2 * 2 + 1
    assert all("norm" in name or ".score." in name for name in trained)


def test_a_configuration_without_a_pad_token_is_no_obstacle(tmp_path: Path) -> None:
    from transformers import PerceiverConfig, PerceiverForSequenceClassification, PerceiverTokenizer

    sizes = {"d_model": 16, "d_latents": 16, "num_latents": 4, "num_self_attends_per_block": 1}
    heads = {"num_self_attention_heads": 2, "num_cross_attention_heads": 2}
    PerceiverTokenizer().save_pretrained(tmp_path)
    for n_classes in (3, 2):
        config = PerceiverConfig(**sizes, **heads, max_position_embeddings=32, num_labels=n_classes)
        assert not hasattr(config, "pad_token_id")
        PerceiverForSequenceClassification(config).save_pretrained(tmp_path)
        if n_classes == 3:
            built = models.build(str(tmp_path), label_names=LABELS, method="full", max_length=32)
            assert built.pad_id == built.tokenizer.pad_token_id == 0
    with pytest.raises(ModelError, match=r"has its head inside its backbone \(perceiver\.decoder"):
        models.build(str(tmp_path), label_names=LABELS, method="full", max_length=32)


def test_layers_to_adapt_are_named_whatever_their_kind(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2Model

    GPT2Model(GPT2Config(vocab_size=23, n_embd=16, n_layer=1, n_head=2, n_positions=32)).save_pretrained(tmp_path)
    for file in checkpoint("bert").glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    problems = models.preflight(str(tmp_path), n_classes=3, method="lora", options={}, max_length=None)
    # GPT-2 has Conv1D in place of linear layers; its head is one and trains anyway.
    assert problems == [
        "'gpt2' has no entry in contested.families; give target_modules (its linear layers: c_attn, c_fc, c_proj)"
    ]


def test_a_folder_without_checkpoint_and_a_name_nobody_has(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no config\.json in it"):
        models.build(str(tmp_path), label_names=LABELS, method="full")
    with pytest.raises(ModelError, match="Cannot load the backbone 'no-such-model-anywhere'"):
        models.build("no-such-model-anywhere", label_names=LABELS, method="full")


def test_a_family_without_entry_trains_with_given_targets(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from transformers import AlbertConfig, AlbertModel

    config = AlbertConfig(
        vocab_size=23,
        embedding_size=8,
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=32,
        num_hidden_layers=2,
    )
    AlbertModel(config).save_pretrained(tmp_path)
    for file in checkpoint("bert").glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    problems = models.preflight(str(tmp_path), n_classes=3, method="lora", options={}, max_length=None)
    assert problems
    assert "'albert' has no entry" in problems[0]
    assert "query" in problems[0]
    built = models.build(
        str(tmp_path), label_names=LABELS, method="lora", options={"target_modules": ["query", "value"]}
    )
    assert built.trainable_params > 0


@pytest.mark.parametrize("method", ["lora", "full", "prompt_tuning"])
def test_trained_weights_come_back(checkpoint: Callable[[str], Path], tmp_path: Path, method: str) -> None:
    options: dict[str, Any] = {"lora": {"r": 2}, "prompt_tuning": {"num_virtual_tokens": 2}}.get(method, {})
    trained, again = (build_bert(checkpoint, method, options, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        for parameter in trained.module.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    models.save(trained.module, trained.tokenizer, tmp_path / "saved")
    models.load_trained(again.module, tmp_path / "saved")
    inputs = {"input_ids": torch.tensor([[2, 7, 8, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    with torch.no_grad():
        expected, found = (built.module.eval()(**inputs).logits for built in (trained, again))
    assert torch.equal(found, expected)
    assert {n for n, p in again.module.named_parameters() if p.requires_grad} == {
        n for n, p in trained.module.named_parameters() if p.requires_grad
    }


def build_bert(checkpoint: Callable[[str], Path], method: str, options: dict[str, Any], seed: int = 42) -> Any:
    return models.build(str(checkpoint("bert")), label_names=LABELS, method=method, options=options, seed=seed)


def test_trained_weights_of_something_else_are_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    made = build_bert(checkpoint, "lora", {"r": 2})
    models.save(made.module, made.tokenizer, saved)
    with pytest.raises(ModelError, match=r"lora_A.weight has the shape \(2, 16\), expected \(3, 16\)"):
        models.load_trained(build_bert(checkpoint, "lora", {"r": 3}).module, saved)
    with pytest.raises(ModelError, match=r"key.lora_A.weight is missing(.|\n)*query.lora_A.weight is not part of it"):
        models.load_trained(build_bert(checkpoint, "lora", {"r": 2, "target_modules": ["key"]}).module, saved)
    # Older transformers read an adapter's folder as if it held the whole model, and find other weights.
    with pytest.raises(ModelError, match=r"Cannot load the trained weights|are not those that this model trains"):
        models.load_trained(build_bert(checkpoint, "full", {}).module, saved)
    (saved / "adapter_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="Cannot load the trained weights"):
        models.load_trained(made.module, saved)
    with pytest.raises(ModelError, match="There are no trained weights: "):
        models.load_trained(made.module, tmp_path / "none")
    whole = build_bert(checkpoint, "full", {})
    del whole.module.classifier
    models.save(whole.module, whole.tokenizer, tmp_path / "whole")
    with pytest.raises(ModelError, match=r"classifier\.bias is missing(.|\n)*classifier\.weight is missing"):
        models.load_trained(build_bert(checkpoint, "full", {}).module, tmp_path / "whole")


def test_an_adapter_that_lacks_what_was_trained_is_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    # Of a prompt encoder PEFT saves what it puts out, not its weights.
    made = build_bert(checkpoint, "p_tuning", {"num_virtual_tokens": 2, "encoder_hidden_size": 16})
    models.save(made.module, made.tokenizer, tmp_path / "saved")
    with pytest.raises(ModelError, match=r"mlp_head\.0\.weight trained, but PEFT does not save it"):
        models.load_trained(made.module, tmp_path / "saved")


def test_the_fingerprint_is_of_the_content(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    copies = [shutil.copytree(checkpoint("bert"), tmp_path / name) for name in "ab"]
    prints = [models.build(str(copy), label_names=LABELS, method="full").fingerprint for copy in copies]
    assert prints[0] == prints[1]
    config = json.loads((copies[1] / "config.json").read_text())
    (copies[1] / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    assert models.build(str(copies[1]), label_names=LABELS, method="full").fingerprint != prints[0]
