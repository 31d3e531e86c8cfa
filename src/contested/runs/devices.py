"""Where a run computes: a device, or one of several processes' devices."""

from __future__ import annotations

import torch
from torch import nn

from contested import models, training
from contested.config import RunConfig
from contested.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """Turn a device's name into a device that is there.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Returns:
        The device.

    Raises:
        ConfigError: If the device is unknown or not available.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is None or device.type not in available:
        raise ConfigError(f"execution.device is {name!r}; expected auto, cpu, cuda, cuda:N or mps.")
    if not available[device.type] or (device.index or 0) >= max(1, torch.cuda.device_count()):
        here = ", ".join(kind for kind, there in available.items() if there)
        raise ConfigError(
            f"execution.device is {name!r}, which is not available on this machine (available: {here}). Use auto."
        )
    return device


def device_of(processes: training.Processes, name: str) -> torch.device:
    """The device of one of several processes: of GPUs without a number each takes its own.

    Args:
        processes: Those that train together.
        name: As for :func:`pick_device`.

    Returns:
        The device.

    Raises:
        ConfigError: If there are fewer GPUs than processes on this machine, or the device is not for several.
    """
    device = pick_device(name)
    if processes.size == 1 or device.type == "cpu" or ":" in name:
        return device
    if device.type != "cuda":
        raise ConfigError(f"Several processes cannot train on {device.type}. Start one, or give execution.device=cpu.")
    if processes.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"There are more processes on this machine than its {torch.cuda.device_count()} GPUs. Start one per GPU "
            "(--nproc-per-node), or give execution.device=cpu."
        )
    return torch.device("cuda", processes.local_rank)


def check_sharding(config: RunConfig, processes: training.Processes) -> None:
    """Refuse what does not go with weights that are spread over processes (``execution.fsdp``).

    Args:
        config: The checked configuration.
        processes: Those that train the run together.

    Raises:
        ConfigError: With everything that does not.
    """
    if not config.execution.fsdp:
        return
    problems = []
    if processes.size == 1:
        problems.append("there is one process; start several with torchrun --nproc-per-node N -m contested train")
    if config.method.name == "full":
        problems.append("method full freezes nothing; choose lora or another adapter")
    if config.training.precision != "float32":
        problems.append(f"training.precision is {config.training.precision}; choose float32")
    if config.probes.gradient_norms != "never" or config.probes.every is not None:
        problems.append("gradient probes need the whole model in one process; leave probes out")
    if problems:
        raise ConfigError("execution.fsdp spreads the frozen weights of a model over processes:", problems)


def place(config: RunConfig, module: nn.Module, device: torch.device) -> None:
    """Bring a model to the device of this process, or its share of it.

    Args:
        config: The checked configuration.
        module: The model, in the host's memory.
        device: The device.
    """
    if config.execution.fsdp:
        models.shard_frozen(module, device)
    else:
        module.to(device)
