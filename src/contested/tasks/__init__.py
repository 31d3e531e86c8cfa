"""Which examples train, are tracked and validate; their labels, weights and tokens."""

from contested.tasks.bulk import hub_bulk, read_bulk
from contested.tasks.covariates import with_covariates
from contested.tasks.data import TaskData
from contested.tasks.encoding import EncodedTexts, cache_folder, encode
from contested.tasks.interventions import inject_label_noise, select_composition, soft_targets
from contested.tasks.task import NLI_LABELS, NLITask, TextClassificationTask, class_weights
from contested.tasks.words import TextPart, added_ids, beyond_embeddings, unknown_tokens

__all__ = [
    "NLI_LABELS",
    "EncodedTexts",
    "NLITask",
    "TaskData",
    "TextClassificationTask",
    "TextPart",
    "added_ids",
    "beyond_embeddings",
    "cache_folder",
    "class_weights",
    "encode",
    "hub_bulk",
    "inject_label_noise",
    "read_bulk",
    "select_composition",
    "soft_targets",
    "unknown_tokens",
    "with_covariates",
]
