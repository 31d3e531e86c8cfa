"""Trained weights, saved and loaded: an adapter with its head, or a whole model."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils import CONFIG_NAME
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from contested.errors import ModelError
from contested.models.checkpoints import quiet
from contested.models.random_start import as_plain_lora, without_start
from contested.models.tokenizers import first_line


def save(module: nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save an adapter (PEFT format, head included) or a whole model, with its tokenizer: the same bytes every time.

    Args:
        module: What was trained.
        tokenizer: Its tokenizer.
        folder: Where to.

    Raises:
        OSError: If the system refuses to write.
    """
    with quiet(), system_errors(), as_plain_lora(module) as options:
        module.save_pretrained(folder, **options)  # type: ignore[operator]
        tokenizer.save_pretrained(folder)
    if isinstance(module, PeftModel):
        _sort_sets(module, folder / CONFIG_NAME)


def _sort_sets(module: PeftModel, file: Path) -> None:
    """Sort the lists that PEFT makes of sets: their order is that of the process's random hashes."""
    written = json.loads(file.read_text(encoding="utf-8"))
    given = module.peft_config[module.active_adapter].to_dict()
    sets = {key: sorted(value) for key, value in given.items() if isinstance(value, set)}
    file.write_text(json.dumps({**written, **sets}, indent=2, sort_keys=True), encoding="utf-8")


@contextlib.contextmanager
def system_errors() -> Iterator[None]:
    """Make OSErrors of what safetensors and tokenizers raise where the system refuses: errors of kinds of their own."""
    try:
        yield
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None or isinstance(error, OSError):
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def load_trained(module: nn.Module, folder: Path) -> None:
    """Load what :func:`save` wrote into a module that :func:`contested.models.build` made of the same parts.

    Args:
        module: The module, on any device; of no use after an error.
        folder: The folder of an adapter or of a whole model.

    Raises:
        ModelError: If the folder holds no readable weights, others than the module has, or not all that trained.
    """
    if not folder.is_dir():
        raise ModelError(f"There are no trained weights: {folder} is not a folder. Give the folder as it was saved.")
    try:
        with quiet():
            problems = _load_adapter(module, folder) if isinstance(module, PeftModel) else _load_whole(module, folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"Cannot load the trained weights from {folder}: {first_line(error)} Give the folder as it was saved."
        ) from error
    if problems:
        raise ModelError(f"The weights in {folder} are not those that this model trains:", problems)


def _load_adapter(module: PeftModel, folder: Path) -> list[str]:
    saved, problems = without_start(module, load_file(folder / "adapter_model.safetensors"))
    wanted = get_peft_model_state_dict(module)
    problems += [f"{name} is missing" for name in wanted.keys() - saved.keys()]
    problems += [f"{name} is not part of it" for name in saved.keys() - wanted.keys()]
    problems += [
        f"{name} has the shape {tuple(saved[name].shape)}, expected {tuple(wanted[name].shape)}"
        for name in saved.keys() & wanted.keys()
        if saved[name].shape != wanted[name].shape
    ]
    if problems:
        return sorted(problems)
    # What is still NaN was trained but not saved. Prompt methods mark the head's unused original as trained too.
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad and ".original_module." not in name}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.fill_(torch.nan)
    set_peft_model_state_dict(module, saved)
    return [f"{name} trained, but PEFT does not save it" for name, p in trained.items() if p.isnan().any()]


def _load_whole(module: nn.Module, folder: Path) -> list[str]:
    loaded, info = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, output_loading_info=True
    )
    problems = [f"{name} is missing" for name in info["missing_keys"]]
    problems += [f"{name} is not part of it" for name in info["unexpected_keys"]]
    if not problems:
        module.load_state_dict(loaded.state_dict())
    return sorted(problems)
