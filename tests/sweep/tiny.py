"""Tiny random checkpoints of every architecture that transformers can classify texts with, and tokenizers that fit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    CanineTokenizer,
    PerceiverTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as _CLASSIFIERS

ARCHITECTURES = tuple(sorted(_CLASSIFIERS))
"""Every ``model_type`` that has a classifier of texts."""

WORDS = ["a", "dog", "cat", "man", "woman", "runs", "sleeps", "sits", "in", "the", "park", "house", "red", "two"]
_ALPHABET = [f"{mark}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz:." for mark in ("", "Ġ")]
_CHARACTERS = {"canine": CanineTokenizer, "perceiver": PerceiverTokenizer}
"""Tokenizers without a vocabulary of their own."""

# What the tokenizer of an architecture puts around a text; all others classify at the first token, as BERT does.
_FIRST_AND_END = "bart|bigbird_pegasus|mbart|mvp|plbart|t5|mt5|umt5|t5gemma2?|opt|biogpt"
_ROBERTA = (
    "roberta.*|xlm-roberta.*|camembert|data2vec-text|ibert|jina.*|lilt|layoutlmv3|longformer|luke|markuplm|xmod|mra"
)
_LAST = (
    "arcee|axk.|bloom|cohere.*|ctrl|deepseek.*|diffllama|doge|exaone4|falcon|gemma.*|glm.*|gpt.*|helium|hunyuan.*|jamba"
    "|jetmoe|llama|minicpm3|minimax|ministral.*|mistral.*|mixtral|modernbert-decoder|mpt|nemotron|olmo.*|openai-gpt"
    "|persimmon|phi.*|qwen.*|seed_oss|smollm3|stablelm|starcoder2|zamba.*|ultra.*"
)

_SIZES: dict[str, Any] = {
    **dict.fromkeys(
        ["hidden_size", "d_model", "dim", "n_embd", "emb_dim", "embedding_size", "word_embed_proj_dim"], 32
    ),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"], 2),
    **dict.fromkeys(["num_decoder_layers", "num_self_attends_per_block", "num_hash_functions", "depth"], 2),
    **dict.fromkeys(["num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"], 4),
    **dict.fromkeys(["decoder_attention_heads", "num_self_attention_heads", "num_cross_attention_heads"], 4),
    **dict.fromkeys(["num_key_value_heads", "num_kv_heads", "num_query_groups", "n_mamba_heads"], 2),
    **dict.fromkeys(["head_dim", "attention_head_size", "d_kv", "d_head", "kv_channels", "rotary_dim"], 8),
    **dict.fromkeys(["intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "hidden_dim", "dff"], 48),
    **dict.fromkeys(["ffn_dim", "d_inner", "feed_forward_size", "ffn_hidden_size", "prediction_head_size"], 48),
    **dict.fromkeys(["moe_intermediate_size", "shared_expert_intermediate_size"], 16),
    **dict.fromkeys(["num_experts", "n_routed_experts", "num_local_experts"], 4),
    **dict.fromkeys(["num_experts_per_tok", "moe_topk"], 2),
    **dict.fromkeys(["max_position_embeddings", "n_positions", "max_seq_len"], 80),
    **dict.fromkeys(["initializer_range", "init_std"], 0.3),
    **dict.fromkeys(["pooler_hidden_size", "input_embedding_size", "cross_attention_hidden_size"], 32),
    "num_hash_buckets": 64,
    "query_pre_attn_scalar": 8,
    "sliding_window": 8,
    "window_size": 8,
}
"""Keys of configurations, by whatever name an architecture has them."""
_MODEL_KEYS = {"num_hidden_layers", "text_config"}
"""What is in a part of a configuration that is a model's own."""

_LATENT = {"num_key_value_heads": 4, "head_dim": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
_LATENT |= {"qk_head_dim": 16, "kv_lora_rank": 16, "q_lora_rank": 16}
_LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_LINEAR |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
_HYBRID = {"num_hidden_layers": 4, "layer_types": ["linear_attention", "hybrid"] * 2}
_OWN: dict[str, dict[str, Any]] = {
    "axk1": _LATENT | {"n_group": 2, "topk_group": 1},
    "axk2": _LATENT | {"index_topk": 8, "index_head_dim": 8, "index_n_heads": 2},
    "bigbird_pegasus": {"block_size": 4, "num_random_blocks": 1},
    "big_bird": {"block_size": 4, "num_random_blocks": 1},
    "cohere_compass_text": {
        "layer_types": ["full_attention", "full_attention"],
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}},
    },
    "deepseek_v2": _LATENT | {"num_experts_per_tok": 2},
    "deepseek_v3": _LATENT | {"n_group": 2, "topk_group": 1},
    "esmc": {"num_key_value_heads": 4},
    "eurobert": {"mask_token_id": 3},
    "flaubert": {"mask_token_id": 3},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gte": {"type_vocab_size": 2},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8},
    "lilt": {"hidden_size": 48},
    "longformer": {"attention_window": [8, 8]},
    "minicpm3": _LATENT,
    "ministral": {"head_dim": 8},
    "mistral4": _LATENT | {"head_dim": 16},
    "modernbert-decoder": {"cls_token_id": 1, "sep_token_id": 2},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
    "perceiver": {"d_latents": 32, "num_latents": 8, "vocab_size": 262},
    "qwen3_5": {"text_config": _LINEAR},
    "qwen3_5_text": _LINEAR,
    "qwen3_next": _LINEAR,
    "reformer": {
        "axial_pos_shape": [8, 16],
        "axial_pos_embds_dim": [16, 16],
        "max_position_embeddings": 128,
        "attn_layers": ["local", "lsh"],
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "num_buckets": 4,
        "hash_seed": 0,
    },
    "t5": {"decoder_start_token_id": 1},
    "xmod": {"default_language": "en_XX"},
    "yoso": {"type_vocab_size": 2},
    "zamba": _HYBRID | {"attention_head_dim": 16, "attention_hidden_size": 64, "mamba_dt_rank": 4},
    "zamba2": {
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "num_key_value_heads": 4,
        "adapter_rank": 4,
    },
}
"""What an architecture needs besides."""


def checkpoint(model_type: str, folder: Path) -> None:
    """Write a tiny random checkpoint without a head, and its tokenizer, into a folder.

    Where a package that the architecture needs is not installed, there are no weights.
    """
    tokens = tokenizer(model_type)
    config = configuration(model_type, tokens)
    torch.manual_seed(0)
    config.save_pretrained(folder)
    tokens.save_pretrained(folder)
    with contextlib.suppress(ImportError):
        model = AutoModelForSequenceClassification.from_config(config)
        _enliven(model)
        getattr(model, model.base_model_prefix, model).save_pretrained(folder)


def configuration(model_type: str, tokens: PreTrainedTokenizerBase) -> Any:
    """A configuration of tiny sizes for an architecture, in keeping with a tokenizer."""
    whole = AutoConfig.for_model(model_type)
    made = _shrunk(whole.to_dict(), tokens)
    for key, value in _OWN.get(model_type, {}).items():
        made[key] = made[key] | value if isinstance(made.get(key), dict) else value
    return AutoConfig.for_model(model_type, **made)


def _shrunk(content: Mapping[str, Any], tokens: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The keys of a configuration that decide its size or its special tokens, with small values."""
    special = ("bos_token_id", "eos_token_id", "pad_token_id", "cls_token_id", "sep_token_id", "mask_token_id")
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict) and (key.endswith("_config") or _MODEL_KEYS & value.keys()):
            found[key] = _shrunk(value, tokens)
        elif key in _SIZES and value is not None:
            found[key] = _SIZES[key]
        elif key in special:
            found[key] = getattr(tokens, key)
    if "vocab_size" in content:
        found["vocab_size"] = len(tokens)
    return found


def tokenizer(model_type: str) -> PreTrainedTokenizerBase:
    """A tokenizer of the words of the sweep's texts, with the special tokens of an architecture."""
    if model_type in _CHARACTERS:
        return _CHARACTERS[model_type]()
    if re.fullmatch(_FIRST_AND_END, model_type):
        return _byte_level(["<s>", "<pad>", "</s>", "<unk>"], "$A </s>", "$A </s> $B </s>", "r")
    if re.fullmatch(_ROBERTA, model_type):
        return _byte_level(["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", "<s> $A </s> </s> $B </s>", "r")
    if re.fullmatch(_LAST, model_type):
        return _byte_level(["<unk>", "<s>", "</s>", "<pad>"], "<s> $A", "<s> $A $B", "r")
    if model_type == "xlnet":
        return _byte_level(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "$A [SEP] [CLS]", "$A [SEP] $B [SEP] [CLS]", "b")
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    return _byte_level(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "[CLS] $A [SEP]", pair, "b")


def _byte_level(special: list[str], one: str, two: str, kind: str) -> PreTrainedTokenizerBase:
    """Byte-level BPE, which transformers keeps whatever class it reads the folder with."""
    merges: list[tuple[str, str]] = []
    vocabulary = dict.fromkeys([*special, *_ALPHABET, "Ġ"])
    for word in [*WORDS, "premise", "hypothesis"]:
        for start in ("", "Ġ"):
            built = start + word[0]
            if start:
                merges.append((start, word[0]))
            for letter in word[1:]:
                merges.append((built, letter))
                built += letter
                vocabulary[built] = None
    core = Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(vocabulary)}, list(dict.fromkeys(merges)), unk_token=special[1])
    )
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    names = [(token, list(vocabulary).index(token)) for token in special if token in f"{one} {two}"]
    core.post_processor = processors.TemplateProcessing(single=one, pair=two, special_tokens=names)
    inputs = ["input_ids", "attention_mask"]
    if kind == "b":
        named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        inputs.insert(1, "token_type_ids")
    else:
        named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, model_input_names=inputs, **named)


def _enliven(model: nn.Module) -> None:
    """Weights so large that examples differ: where all logits are near zero, wrong code looks right."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 and parameter.is_floating_point():
                parameter.normal_(0.0, 1.2 * parameter[0].numel() ** -0.5)
            elif parameter.is_floating_point():
                parameter.add_(0.1 * torch.randn_like(parameter))
