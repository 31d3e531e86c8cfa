"""What of a Trainer's arguments, model and training set identifies a run, and what is said of its origin."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor

from contested.errors import ConfigError
from contested.training import is_sharded
from contested.training.passes import packing_problem
from contested.trajectories.identity import IDENTITY_VERSION, digest
from contested.trajectories.provenance import PACKAGES, run_provenance

DECISIVE = (
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio"),
    *("optim", "optim_args", "optim_target_modules", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *("max_grad_norm", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("label_smoothing_factor", "neftune_noise_alpha", "seed", "data_seed", "bf16", "fp16", "dataloader_drop_last"),
    *("train_sampling_strategy", "group_by_length", "ignore_data_skip"),
    # Of TRL's trainers.
    *("packing", "packing_strategy", "padding_free", "max_length", "truncation_mode", "completion_only_loss"),
    *("assistant_only_loss", "loss_type", "loss_weights", "beta", "label_smoothing", "ld_alpha", "use_weighting"),
    *("center_rewards_coefficient", "disable_dropout", "shuffle_dataset", "sync_ref_model"),
)
"""Arguments of a Trainer that decide what it trains, and so identify a run."""

INITIAL_WEIGHTS = "initial_weights"
"""The key of an identity that only the start of a training knows."""

_SAMPLED = 1000


def check_supported(args: Any, model: nn.Module, *, attached: bool) -> None:
    """Refuse training whose passes would be wrong or would hang.

    Args:
        args: The Trainer's arguments.
        model: The model as the Trainer hands it over.
        attached: Whether the callback was attached to the Trainer.

    Raises:
        ConfigError: If training is of such a kind.
    """
    spread = {
        f"{args.n_gpu} GPUs in one process (DataParallel)": args.n_gpu > 1,
        "DeepSpeed": bool(getattr(args, "deepspeed", None)) or hasattr(next(model.parameters(), None), "ds_id"),
        "FSDP 1 (fsdp_config version 1)": any(isinstance(part, FullyShardedDataParallel) for part in model.modules()),
        "tensor, context or sequence parallelism": _split_otherwise(model),
    }
    found = [name for name, there in spread.items() if there]
    if found:
        raise ConfigError(
            f"TrajectoryCallback does not support training with {' and '.join(found)}. Train with one process per "
            "device (DDP: torchrun, accelerate launch), with FSDP 2, or on one device (CUDA_VISIBLE_DEVICES=0)."
        )
    if is_sharded(model) and not attached:
        raise ConfigError(
            "The model's weights are spread over processes (FSDP). Leave the callback out of callbacks= and attach it: "
            "TrajectoryCallback(…).attach(trainer), before trainer.train()."
        )


def _split_otherwise(model: nn.Module) -> bool:
    """Whether processes hold parts of the weights that answer the same rows, which must not be shared out."""
    meshes = [value.device_mesh for value in model.parameters() if isinstance(value, DTensor)]
    named = {name for mesh in meshes for name in mesh.mesh_dim_names or ()}
    return bool(meshes) and (not is_sharded(model) or bool(named & {"tp", "cp", "sp"}))


def decisive(args: Any) -> dict[str, Any]:
    """What of a Trainer's arguments decides what it trains.

    Args:
        args: The Trainer's arguments.

    Returns:
        Arguments by name, ready for JSON; a batch size that the Trainer looks for itself is left out.
    """
    given = json.loads(json.dumps(args.to_dict(), default=str))
    chosen = {name: given[name] for name in DECISIVE if given.get(name) is not None}
    if args.auto_find_batch_size:
        chosen.pop("per_device_train_batch_size", None)
    return chosen


def identity_of(args: Any, model: nn.Module, loader: Any, *, every: int, data: str) -> dict[str, Any]:
    """What identifies a run of somebody else's Trainer.

    Args:
        args: The Trainer's arguments.
        model: The model.
        loader: The loader of the training set, or None.
        every: Optimiser steps from one pass to the next.
        data: Fingerprint of the tracked examples.

    Returns:
        The identity, ready for the manifest.
    """
    dataset: Any = getattr(loader, "dataset", None)
    size = {"train_examples": len(dataset)} if hasattr(dataset, "__len__") else {}
    content = content_fingerprint(dataset)
    return {
        "version": IDENTITY_VERSION,
        "config": {"arguments": decisive(args), "every": every, **size},
        "data": data,
        **({} if content is None else {"train_data": content}),
        "model": _structure(model),
        INITIAL_WEIGHTS: weights_fingerprint(model),
    }


def content_fingerprint(dataset: Any) -> str | None:
    """A fingerprint of a training set's content: of at most a thousand rows, evenly spaced.

    Args:
        dataset: A ``datasets.Dataset`` (whose transform is not called), a list or a tuple. What any other answers may
            be random, or change when it is asked.

    Returns:
        The fingerprint, the same on every machine, or None of any other data set.
    """
    if not hasattr(dataset, "__len__"):
        return None
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), _SAMPLED)).astype(np.int64)).tolist()
    if isinstance(dataset, list | tuple):
        content: Any = [dataset[row] for row in rows]
    elif hasattr(dataset, "with_format") and hasattr(dataset, "column_names"):
        content = dataset.with_format("arrow")[rows].to_pydict() if rows else {}
    else:
        return None
    return hashlib.sha256(json.dumps(content, default=_plain, sort_keys=True).encode()).hexdigest()[:16]


def weights_fingerprint(model: nn.Module) -> str:
    """A fingerprint of the weights that train, as they are: of at most a thousand values of each, evenly spaced."""
    content = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        # Of weights that are spread over processes, the part that is here.
        values: Any = parameter.detach()
        values = values.to_local() if hasattr(values, "to_local") else values
        sampled = values.reshape(-1)[:: max(1, values.numel() // _SAMPLED)]
        content.update(name.encode())
        content.update(sampled.float().cpu().numpy().tobytes())
    return content.hexdigest()[:16]


def run_id(args: Any, model: nn.Module, identity: Mapping[str, Any]) -> str:
    """A name for a run: model, seed and identity."""
    named = str(getattr(getattr(model, "config", None), "_name_or_path", "") or type(model).__name__)
    backbone = re.sub(r"[^A-Za-z0-9.]+", "-", Path(named).name).strip("-").lower()
    return f"{backbone}-s{args.seed}-{digest(identity)}"


def provenance(args: Any, model: nn.Module, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Code, packages, device, and how passes run, for the manifest."""
    return run_provenance(
        (*PACKAGES, "accelerate", "datasets", "trl"),
        device=args.device.type,
        threads=torch.get_num_threads(),
        batches="padded" if packing_problem(model) else "packed",
        data_fingerprint=identity["data"],
        model_fingerprint=identity["model"],
    )


def _plain(value: Any) -> Any:
    """What JSON cannot hold: arrays as lists, and of an unknown thing its kind, the same on every machine."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return value.tolist() if hasattr(value, "tolist") else type(value).__name__


def _structure(model: nn.Module) -> str:
    """A fingerprint of what trains: resumed weights are other ones, their names and shapes are not."""
    parameters = [(name, list(value.shape), value.requires_grad) for name, value in model.named_parameters()]
    return hashlib.sha256(json.dumps([type(model).__name__, parameters]).encode()).hexdigest()[:16]
