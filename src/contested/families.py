"""What differs between architectures, in one table without torch.

Which modules an adapter goes to, how text columns become inputs, which token the head pools, whether and how batches
run packed. Models, tokenisation, training and the plans of studies read it. A new architecture is one entry here; for
the packed engine also the order of its modules' calls in :mod:`contested.training.families`. Architectures without
an entry train too: they need ``target_modules`` for methods that target modules, and are taken for encoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

SINGLE_TEXT = "{name}: {value}"
"""How a column enters a text that all columns share."""

_LAYERS = ("num_hidden_layers", "n_layers", "n_layer")
_WIDTH = ("hidden_size", "dim", "n_embd")


@dataclass(frozen=True, kw_only=True)
class Family:
    """Facts of one ``model_type`` of transformers.

    Attributes:
        lora_targets: Modules that LoRA adapts (paper §3.3: query and value for encoders; query, key,
            value and output for decoders).
        ia3_targets: Modules whose outputs or inputs IA3 scales.
        ia3_feedforward: Those of ``ia3_targets`` that are scaled at their input.
        pools_last_token: Whether the pooled token, the one that the head reads, is an example's last, not its first.
        padding_side: Where the tokenizer pads.
        pads_left: Whether batches must be padded on the left, because the head reads the last cell whatever it holds.
        template: How each text column enters the one text that the model reads, with ``{name}`` and ``{value}``; None
            where the tokenizer joins two columns itself.
        positions_after_pad: Whether positions are counted from behind the pad token's id instead of from 0.
        forward: Name of the packed forward in :mod:`contested.training.families`, or None: batches are padded.
        packed_with: Values of keys of config.json without which there is no packed forward; a key that is absent fits.
        windows_everywhere: Whether ``sliding_window`` of config.json holds in every layer; else in those that its
            ``layer_types`` name.
        caps_scores: Whether ``attn_logit_softcapping`` of config.json holds; elsewhere it is there and not used.
        not_text: Pattern of the names of modules that text never reaches, which adapters leave out.
        stack_problem: Why LoRA runs over one backbone cannot train together although they run packed, or empty.
    """

    lora_targets: tuple[str, ...] = ()
    ia3_targets: tuple[str, ...] = ()
    ia3_feedforward: tuple[str, ...] = ()
    pools_last_token: bool = False
    padding_side: Literal["left", "right"] = "right"
    pads_left: bool = False
    template: str | None = None
    positions_after_pad: bool = False
    forward: str | None = None
    packed_with: Mapping[str, Any] = field(default_factory=dict)
    windows_everywhere: bool = False
    caps_scores: bool = False
    not_text: str = ""
    stack_problem: str = ""


_BERT = Family(
    lora_targets=("query", "value"),
    ia3_targets=("query", "value", "intermediate.dense"),
    ia3_feedforward=("intermediate.dense",),
    forward="bert",
)
_ROBERTA = replace(_BERT, positions_after_pad=True)
_LIKE_ROBERTA = [
    "esm", "longformer", "luke", "layoutlmv3", "lilt", "markuplm", "roberta-prelayernorm", "xlm-roberta-xl", "xmod",
]  # fmt: skip
_LLAMA = Family(
    lora_targets=("q_proj", "k_proj", "v_proj", "o_proj"),
    ia3_targets=("k_proj", "v_proj", "down_proj"),
    ia3_feedforward=("down_proj",),
    pools_last_token=True,
    padding_side="left",
    template=SINGLE_TEXT,
    forward="llama",
)

_GEMMA = replace(_LLAMA, packed_with={"use_bidirectional_attention": False})

FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "data2vec-text"), _ROBERTA),
    # Relatives whose layers are other than RoBERTa's.
    **dict.fromkeys(_LIKE_ROBERTA, replace(_ROBERTA, forward=None)),
    "mpnet": Family(
        lora_targets=("attn.q", "attn.v"),
        ia3_targets=("attn.q", "attn.v", "intermediate.dense"),
        ia3_feedforward=("intermediate.dense",),
        positions_after_pad=True,
    ),
    "ibert": Family(positions_after_pad=True),
    "electra": _BERT,
    "distilbert": Family(
        lora_targets=("q_lin", "v_lin"),
        ia3_targets=("q_lin", "v_lin", "ffn.lin1"),
        ia3_feedforward=("ffn.lin1",),
        forward="distilbert",
    ),
    "deberta-v2": Family(
        lora_targets=("query_proj", "value_proj"),
        ia3_targets=("query_proj", "value_proj", "intermediate.dense"),
        ia3_feedforward=("intermediate.dense",),
        forward="deberta",
        # v2-xlarge has a convolution over the whole row.
        packed_with={"conv_kernel_size": 0},
        stack_problem="its adapters also see relative positions, which belong to no run",
    ),
    "modernbert": Family(
        lora_targets=("Wqkv",),
        ia3_targets=("Wqkv", "mlp.Wo"),
        ia3_feedforward=("mlp.Wo",),
        forward="modernbert",
        packed_with={"classifier_pooling": "cls"},
    ),
    # Of one task type alone, which is the default.
    "ernie": _BERT,
    "gemma": _LLAMA,
    "ministral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "llama": _LLAMA,
    "mistral": replace(_LLAMA, windows_everywhere=True),
    "gemma2": replace(_GEMMA, caps_scores=True),
    "gemma3": replace(_GEMMA, not_text=r".*\b(vision_tower|multi_modal_projector)\b.*"),
    "gemma3_text": _GEMMA,
    # Which expert computes a token is known on the device alone: padded, like every mixture of experts.
    "gpt_oss": replace(_LLAMA, forward=None, ia3_targets=("k_proj", "v_proj"), ia3_feedforward=()),
    "xlnet": Family(pools_last_token=True, padding_side="left", pads_left=True),
}

_UNKNOWN = Family()
_ALWAYS = {"is_decoder": False, "chunk_size_feed_forward": 0}


def family_of(model_type: str | None) -> Family:
    """The facts of an architecture; those of a plain encoder without targets where it has no entry."""
    return FAMILIES.get(model_type or "", _UNKNOWN)


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json that is about text: all of it, or its ``text_config`` where it has one.

    Args:
        config: Content of a config.json.

    Returns:
        The part.
    """
    nested: Mapping[str, Any] | None = config.get("text_config")
    return nested or config


def input_limit(config: Mapping[str, Any]) -> int | None:
    """The longest input that a model reads.

    Args:
        config: What its config.json says.

    Returns:
        Tokens; None where it sets no limit, or does not say.

    >>> input_limit({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1})
    512
    """
    positions: int | None = text_config(config).get("max_position_embeddings")
    if positions is None or positions < 0:  # XLNet says -1 for none
        return None
    if family_of(config.get("model_type")).positions_after_pad:
        return positions - (config.get("pad_token_id") or 0) - 1
    return positions


def full_attention_limit(config: Mapping[str, Any]) -> int | None:
    """The longest text that a model with sparse attention (BigBird) reads with full attention.

    A longer one is read with sparse attention, unless a shorter one was read before it, which makes the model change
    its attention for good.

    Args:
        config: Content of its config.json.

    Returns:
        Tokens; None for other models.
    """
    if config.get("attention_type") != "block_sparse":
        return None
    blocks: int = 5 + 2 * config["num_random_blocks"]
    return blocks * int(config["block_size"])


def packed_forward_name(config: Mapping[str, Any]) -> str | None:
    """Name of the packed forward of a checkpoint.

    Args:
        config: Content of its config.json.

    Returns:
        The name of a forward in :mod:`contested.training.families`, or None where batches are padded.

    >>> packed_forward_name({"model_type": "roberta"})
    'bert'
    >>> packed_forward_name({"model_type": "modernbert", "classifier_pooling": "mean"}) is None
    True
    """
    family = family_of(config.get("model_type"))
    needed = {**_ALWAYS, **family.packed_with}
    fits = all(text_config(config).get(key) in (None, value) for key, value in needed.items())
    return family.forward if fits else None


def size_of(config: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Number of layers and their width.

    Args:
        config: Content of a config.json.

    Returns:
        Both, each None where the file does not say.

    >>> size_of({"model_type": "distilbert", "n_layers": 6, "dim": 768})
    (6, 768)
    """
    about = text_config(config)

    def first(names: tuple[str, ...]) -> int | None:
        return next((about[name] for name in names if name in about), None)

    return first(_LAYERS), first(_WIDTH)
