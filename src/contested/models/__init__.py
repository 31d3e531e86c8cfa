"""A backbone by name or path + an adaptation method -> a trainable module."""

from contested.models.build import TextModel, build, load_trained, preflight, quiet, save
from contested.models.methods import FULL, peft_types

__all__ = [
    "FULL",
    "TextModel",
    "build",
    "load_trained",
    "peft_types",
    "preflight",
    "quiet",
    "save",
]
