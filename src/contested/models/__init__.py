"""A backbone by name or path + an adaptation method -> a trainable module."""

from contested.models.build import TextModel, build, preflight
from contested.models.checkpoints import quiet
from contested.models.methods import FULL, base_model, peft_types, tuner_class
from contested.models.reloading import load_saved
from contested.models.sharding import shard_frozen
from contested.models.vocabulary import READS_LAST_END, embeddings_of, takes_token_types
from contested.models.weights import load_trained, save, system_errors

__all__ = [
    "FULL",
    "READS_LAST_END",
    "TextModel",
    "base_model",
    "build",
    "embeddings_of",
    "load_saved",
    "load_trained",
    "peft_types",
    "preflight",
    "quiet",
    "save",
    "shard_frozen",
    "system_errors",
    "takes_token_types",
    "tuner_class",
]
