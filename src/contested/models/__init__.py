"""A backbone by name or path + an adaptation method -> a trainable module."""

from contested.models.build import TextModel, build, preflight
from contested.models.checkpoints import pinned_revision, quiet
from contested.models.methods import FULL, base_model, peft_types, tuner_class
from contested.models.reloading import load_saved
from contested.models.saved_weights import SavedForm, holds_weights_of
from contested.models.sharding import shard_frozen
from contested.models.vocabulary import READS_LAST_END, embeddings_of, takes_token_types
from contested.models.weights import load_trained, save, system_errors

__all__ = [
    "FULL",
    "READS_LAST_END",
    "SavedForm",
    "TextModel",
    "base_model",
    "build",
    "embeddings_of",
    "holds_weights_of",
    "load_saved",
    "load_trained",
    "peft_types",
    "pinned_revision",
    "preflight",
    "quiet",
    "save",
    "shard_frozen",
    "system_errors",
    "takes_token_types",
    "tuner_class",
]
