"""Recipe -> steps: data order, loop, tracking passes, snapshots and exact resume."""

from contested.schedule import steps_per_epoch
from contested.training.dropout import DropoutKey
from contested.training.engine import Engine, EngineName, PackedEngine, PaddedEngine, is_sharded, make_engine, packs
from contested.training.gradients import (
    Alignment,
    GradientNorms,
    gradient_norms,
    group_alignment,
    trained_parameters,
)
from contested.training.interruption import Interrupted
from contested.training.loop import Recorder, Step, TrainingLoop, TrainingSet
from contested.training.objective import Classification, Objective, cross_entropy
from contested.training.passes import PassEngine, tracking_pass
from contested.training.probes import GradientProbe, GradientRecorder, Probe, groups_of
from contested.training.processes import ALONE, Processes, launched
from contested.training.proof import Proven, engine_like, proven_engine, split_difference, stack_difference
from contested.training.recipe import Recipe, checkpoint_steps, learning_rate
from contested.training.reference import (
    TOLERANCE,
    Beginning,
    error_line,
    largest_difference,
    module_name,
    moved_adapters,
    own_engine,
    own_logits,
    unit,
)
from contested.training.samples import chosen_examples, chosen_rows, selected
from contested.training.snapshots import former_snapshot_step
from contested.training.stacked import StackedEngine, fit_stacked, stack_problem
from contested.training.steps import Capture, CudaGraphs
from contested.training.tracking import track

__all__ = [
    "ALONE",
    "TOLERANCE",
    "Alignment",
    "Beginning",
    "Capture",
    "Classification",
    "CudaGraphs",
    "DropoutKey",
    "Engine",
    "EngineName",
    "GradientNorms",
    "GradientProbe",
    "GradientRecorder",
    "Interrupted",
    "Objective",
    "PackedEngine",
    "PaddedEngine",
    "PassEngine",
    "Probe",
    "Processes",
    "Proven",
    "Recipe",
    "Recorder",
    "StackedEngine",
    "Step",
    "TrainingLoop",
    "TrainingSet",
    "checkpoint_steps",
    "chosen_examples",
    "chosen_rows",
    "cross_entropy",
    "engine_like",
    "error_line",
    "fit_stacked",
    "former_snapshot_step",
    "gradient_norms",
    "group_alignment",
    "groups_of",
    "is_sharded",
    "largest_difference",
    "launched",
    "learning_rate",
    "make_engine",
    "module_name",
    "moved_adapters",
    "own_engine",
    "own_logits",
    "packs",
    "proven_engine",
    "selected",
    "split_difference",
    "stack_difference",
    "stack_problem",
    "steps_per_epoch",
    "track",
    "tracking_pass",
    "trained_parameters",
    "unit",
]
