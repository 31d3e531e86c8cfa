"""Every option of a run with its default and its meaning: the one home of each.

The configuration, the task object and the recipe read them from here, and docs/configuration.md is made from here.
"""

from contested.options.methods import IA3, METHODS, PEFT, Full, LoRA, Method, method_content
from contested.options.run import (
    AlertSection,
    ExecutionSection,
    ModelSection,
    Precision,
    ProbeMode,
    ProbesSection,
    Schedule,
    TrackingSection,
    TrainingSection,
)
from contested.options.section import (
    MAX_SEED,
    Section,
    default,
    named_files,
    names_checkpoint,
    names_file,
    options_of,
    section_in,
)
from contested.options.task import (
    SEED,
    AnnotatedSection,
    BulkSample,
    BulkSection,
    CategoryScheme,
    Composition,
    NoiseRule,
    NoiseSection,
    OwnCategories,
    TaskOptions,
    TaskSection,
)

__all__ = [
    "IA3",
    "MAX_SEED",
    "METHODS",
    "PEFT",
    "SEED",
    "AlertSection",
    "AnnotatedSection",
    "BulkSample",
    "BulkSection",
    "CategoryScheme",
    "Composition",
    "ExecutionSection",
    "Full",
    "LoRA",
    "Method",
    "ModelSection",
    "NoiseRule",
    "NoiseSection",
    "OwnCategories",
    "Precision",
    "ProbeMode",
    "ProbesSection",
    "Schedule",
    "Section",
    "TaskOptions",
    "TaskSection",
    "TrackingSection",
    "TrainingSection",
    "default",
    "method_content",
    "named_files",
    "names_checkpoint",
    "names_file",
    "options_of",
    "section_in",
]
