"""contested: what a fine-tune does to the examples people disagree on.

>>> import contested as ct
>>> data = ct.read_annotations("chaosNLI_snli.jsonl")  # doctest: +SKIP
>>> data.summary().categories  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from contested.errors import (
    ConfigError,
    ContestedError,
    DataError,
    ModelError,
    RunError,
    TrainingError,
    without_train_extra,
)

if TYPE_CHECKING:
    from contested.analysis import Analysis, Comparison, analyze, compare, statements
    from contested.analysis.items import ItemMap, map_items
    from contested.annotations import Annotations, Categories, Disagreement, read_annotations
    from contested.config import RunConfig, load_config
    from contested.integrations import Completions, Preferences, TrajectoryCallback
    from contested.options import IA3, PEFT, Full, LoRA
    from contested.report import write_comparison, write_map, write_report
    from contested.runs import train, train_config
    from contested.runs.probe import probe
    from contested.tasks import NLITask, TextClassificationTask, hub_bulk, read_bulk
    from contested.trajectories import Trajectory

__version__ = "0.1.0"

# Loaded when first used: a name costs what its module costs, and `import contested` costs nothing.
_MODULES = {
    "contested.analysis": ("Analysis", "Comparison", "analyze", "compare", "statements"),
    "contested.analysis.items": ("ItemMap", "map_items"),
    "contested.annotations": ("Annotations", "Categories", "Disagreement", "read_annotations"),
    "contested.config": ("RunConfig", "load_config"),
    "contested.integrations": ("Completions", "Preferences", "TrajectoryCallback"),
    "contested.options": ("IA3", "PEFT", "Full", "LoRA"),
    "contested.report": ("write_comparison", "write_map", "write_report"),
    "contested.runs": ("train", "train_config"),
    "contested.runs.probe": ("probe",),
    "contested.tasks": ("NLITask", "TextClassificationTask", "hub_bulk", "read_bulk"),
    "contested.trajectories": ("Trajectory",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "IA3",
    "PEFT",
    "Analysis",
    "Annotations",
    "Categories",
    "Comparison",
    "Completions",
    "ConfigError",
    "ContestedError",
    "DataError",
    "Disagreement",
    "Full",
    "ItemMap",
    "LoRA",
    "ModelError",
    "NLITask",
    "Preferences",
    "RunConfig",
    "RunError",
    "TextClassificationTask",
    "TrainingError",
    "Trajectory",
    "TrajectoryCallback",
    "analyze",
    "compare",
    "hub_bulk",
    "load_config",
    "map_items",
    "probe",
    "read_annotations",
    "read_bulk",
    "statements",
    "train",
    "train_config",
    "write_comparison",
    "write_map",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'contested' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        explained = without_train_extra(error)
        if explained is None:
            raise
        raise explained from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
