"""Trained weights loaded as their user will: by the libraries' own functions, from what was saved."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from contested.models.checkpoints import quiet, with_named_outputs


def load_saved(
    folder: Path, *, backbone: str | None, n_classes: int, pad_id: int, revision: str | None = None
) -> nn.Module:
    """Load what :func:`contested.models.save` wrote without anything that this project knows of the module.

    Args:
        folder: The folder of an adapter or of a whole model.
        backbone: What an adapter was trained on; None: the folder is of a whole model.
        n_classes: Number of classes K.
        pad_id: The pad token of the tokenizer, which some backbones do not name.
        revision: The backbone's hub branch, tag or commit.

    Returns:
        The classifier in eval mode, in float32, on the CPU. Errors are those of the libraries.
    """
    options = {"dtype": torch.float32, "trust_remote_code": False}
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if backbone is None:
            whole: nn.Module = AutoModelForSequenceClassification.from_pretrained(folder, **options)
            return whole.eval()
        config = with_named_outputs(
            AutoConfig.from_pretrained(backbone, revision=revision, num_labels=n_classes, trust_remote_code=False)
        )
        # Not as an option of the model's: configurations that hold a text model's own do not take it.
        for part in (config, config.get_text_config()):
            part.pad_token_id = pad_id
        base = AutoModelForSequenceClassification.from_pretrained(
            backbone, config=config, revision=revision, ignore_mismatched_sizes=True, **options
        )
        adapted: nn.Module = PeftModel.from_pretrained(base, folder)
        return adapted.eval()
