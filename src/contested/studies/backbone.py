"""What is known from a local checkpoint's folder: size, shape and speed, without loading its weights."""

from __future__ import annotations

import functools
import json
import math
import re
from pathlib import Path
from typing import Any

from contested.config import RunConfig
from contested.families import FAMILIES, family_of, input_limit, packed_forward_name, size_of
from contested.studies.file import ModelInfo

_FLAGS = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_IN_A_LAYER = re.compile(r"(^|\.)(layers?|h|blocks?)\.\d+\.")


def stacks(name: str) -> bool:
    """Whether LoRA runs over a backbone can train together, as far as its folder shows.

    Args:
        name: A model's name or folder.

    Returns:
        True also where nothing is known.
    """
    config = _config(name)
    if "model_type" not in config:
        return True
    return packed_forward_name(config) is not None and not family_of(config["model_type"]).stack_problem


def slowdowns(config: RunConfig, *, on_cpu: bool) -> list[str]:
    """Find what makes a run slower than it need be, as far as its backbone's folder and this machine show.

    Args:
        config: The run's configuration.
        on_cpu: Whether it trains on this machine's CPU.

    Returns:
        One sentence each.
    """
    found, name = [], config.model.name
    folder = _config(name)
    if "model_type" in folder and packed_forward_name(folder) is None:
        found.append(f"{name}: {folder['model_type']} has no packed forward; its batches are padded and slower")
    if config.training.precision == "bfloat16" and on_cpu and not computes_bfloat16():
        found.append(
            "training.precision is bfloat16, for which this CPU has no instructions (avx512_bf16 or amx_bf16): "
            "a step takes many times as long as in float32"
        )
    return found


def too_long(config: RunConfig) -> list[str]:
    """Find inputs longer than a backbone reads, as far as its folder says.

    Args:
        config: The run's configuration.

    Returns:
        One sentence, or none.
    """
    asked, room = config.model.max_length, input_limit(_config(config.model.name))
    if room is None or asked <= room:
        return []
    return [f"max_length is {asked}, but {config.model.name} reads at most {room} tokens; lower max_length"]


def computes_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies matrices in bfloat16.

    Args:
        cpuinfo: What the kernel says of it.

    Returns:
        True also where it says nothing.
    """
    try:
        found = _FLAGS.search(cpuinfo.read_text(encoding="utf-8"))
    except OSError:
        return True
    return found is None or not _BFLOAT16.isdisjoint(found[1].split())


def _config(name: str) -> dict[str, Any]:
    """Content of a folder's config.json; empty where it cannot be read."""
    try:
        found = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@functools.lru_cache(maxsize=64)
def read_checkpoint_info(name: str) -> ModelInfo:
    """Read the facts of a backbone's folder from its configuration and the headers of its weights.

    Args:
        name: A model's name or folder.

    Returns:
        What is found; nothing where the folder is not there, or cannot be read.
    """
    folder, config = Path(name), _config(name)
    if not config:
        return ModelInfo()
    try:
        sizes = {key: size for file in sorted(folder.glob("*.safetensors")) for key, size in _sizes(file).items()}
        layers, hidden = size_of(config)
        family = FAMILIES.get(config.get("model_type", ""))
        causal = any(str(kind).endswith("CausalLM") for kind in config.get("architectures") or [])
        found: dict[str, Any] = {
            "layers": layers,
            "hidden": hidden,
            "decoder": causal if family is None else family.pools_last_token,
        }
        if sizes:
            found["params"] = float(sum(sizes.values()))
            found["body"] = float(sum(size for key, size in sizes.items() if _IN_A_LAYER.search(key))) or None
        return ModelInfo.model_validate(found)
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return ModelInfo()


def _sizes(file: Path) -> dict[str, int]:
    """Numbers of each tensor, from the header alone."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > file.stat().st_size:
            return {}
        header = json.loads(stream.read(length))
    return {key: math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__"}
