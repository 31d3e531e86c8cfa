"""What differs between architectures: which modules an adapter goes to, and how text is laid out.

A new architecture is one entry here. Architectures without an entry train too: they need
``target_modules`` for methods that target modules, and are taken for encoders.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Defaults for one ``model_type`` of transformers.

    Attributes:
        lora_targets: Modules that LoRA adapts (paper §3.3: query and value for encoders; query, key,
            value and output for decoders).
        ia3_targets: Modules whose outputs or inputs IA3 scales.
        ia3_feedforward: Those of ``ia3_targets`` that are scaled at their input.
        decoder: Whether the last token is read, texts are single and padding goes to the left.
    """

    lora_targets: tuple[str, ...]
    ia3_targets: tuple[str, ...]
    ia3_feedforward: tuple[str, ...]
    decoder: bool = False


_BERT = Family(("query", "value"), ("query", "value", "intermediate.dense"), ("intermediate.dense",))
_LLAMA = Family(
    ("q_proj", "k_proj", "v_proj", "o_proj"), ("k_proj", "v_proj", "down_proj"), ("down_proj",), decoder=True
)

FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "distilbert": Family(("q_lin", "v_lin"), ("q_lin", "v_lin", "ffn.lin1"), ("ffn.lin1",)),
    "deberta-v2": Family(
        ("query_proj", "value_proj"), ("query_proj", "value_proj", "intermediate.dense"), ("intermediate.dense",)
    ),
    "modernbert": Family(("Wqkv",), ("Wqkv", "mlp.Wo"), ("mlp.Wo",)),
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "gemma2": _LLAMA,
}
