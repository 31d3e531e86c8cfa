"""Every method that is tried: full fine-tuning, each tuner of PEFT, and variants of LoRA, with tiny options."""

from __future__ import annotations

from typing import Any

from peft import PEFT_TYPE_TO_CONFIG_MAPPING

_VIRTUAL = {"num_virtual_tokens": 3}
_OPTIONS: dict[str, dict[str, Any]] = {
    "adamss": {"r": 8, "num_subspaces": 2},
    "adaption_prompt": {"adapter_len": 3, "adapter_layers": 1},
    "boft": {"boft_block_size": 4},
    "c3a": {"block_size": 4},
    "cartridge": {**_VIRTUAL, "num_frozen_tokens": 1},
    "cpt": {"cpt_token_ids": [5, 6, 7], "cpt_mask": [1, 1, 1], "cpt_tokens_type_mask": [1, 2, 3]},
    "deft": {"r": 4},
    "delora": {"r": 4},
    "fourierft": {"n_frequency": 20},
    "frod": {"progressbar": False},
    "glora": {"r": 4},
    "gralora": {"r": 4, "gralora_k": 2},
    "hira": {"r": 4},
    "lily": {"r": 4},
    "loha": {"r": 4},
    "lokr": {"r": 4},
    "miss": {"r": 4},
    "multitask_prompt_tuning": _VIRTUAL,
    "oft": {"r": 0, "oft_block_size": 4},
    "peanut": {"r": 4},
    "poly": {"r": 4, "n_tasks": 1},
    "prefix_tuning": _VIRTUAL,
    "prompt_tuning": _VIRTUAL,
    "psoft": {"r": 4},
    "pvera": {"r": 4},
    "p_tuning": {**_VIRTUAL, "encoder_hidden_size": 16},
    "randlora": {"r": 4},
    "road": {"group_size": 8},
    "shadow": {"r": 4},
    "shira": {"r": 4},
    "tinylora": {"u": 8},
    "trainable_tokens": {"token_indices": [5, 6]},
    "unilora": {"r": 4, "theta_d_length": 64},
    "vblora": {"r": 4, "num_vectors": 8, "vector_length": 4},
    "vera": {"r": 4},
    "waveft": {"n_frequency": 20},
}
_LORA: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "lora bias": {"bias": "lora_only"},
    "lora layer_replication": {"layer_replication": [[0, 2], [1, 2]]},
    "lora trainable_token_indices": {"trainable_token_indices": [5, 6]},
    **{
        f"lora {kind}": {"init_lora_weights": kind}
        for kind in ("gaussian", "pissa", "pissa_niter_4", "olora", "orthogonal", "eva", "corda", "lora_ga", "loftq")
    },
}

METHODS: dict[str, dict[str, Any]] = {
    "full": {"name": "full"},
    "lora": {"name": "lora"},
    **{
        kind.value.lower(): {"name": kind.value.lower(), **_OPTIONS.get(kind.value.lower(), {})}
        for kind in sorted(PEFT_TYPE_TO_CONFIG_MAPPING, key=lambda kind: kind.value)
        if kind.value != "LORA"
    },
    **{name: {"name": "lora", "extra": extra} for name, extra in _LORA.items()},
}
"""Name in the table -> the section ``method`` of a run."""
