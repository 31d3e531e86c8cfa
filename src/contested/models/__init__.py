"""A backbone by name or path + an adaptation method -> a trainable module."""

from contested.models.build import TextModel, build, preflight
from contested.models.checkpoints import quiet
from contested.models.methods import FULL, peft_types, tuner_class
from contested.models.weights import load_trained, save

__all__ = [
    "FULL",
    "TextModel",
    "build",
    "load_trained",
    "peft_types",
    "preflight",
    "quiet",
    "save",
    "tuner_class",
]
