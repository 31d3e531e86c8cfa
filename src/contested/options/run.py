"""Options of the backbone, the recipe, tracking, probes and execution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from contested.options.section import CHECKPOINT, Section

ProbeMode = Literal["eval", "train"]
Precision = Literal["float32", "bfloat16"]
Schedule = Literal["cosine", "linear", "constant"]


class ModelSection(Section):
    """The backbone."""

    name: str = Field(json_schema_extra=CHECKPOINT)
    """A hub name such as roberta-base, or a local folder."""
    revision: str | None = None
    """A hub branch, tag or commit."""
    max_length: int = Field(128, ge=4)
    """Longest input in tokens."""


class TrainingSection(Section):
    """The recipe (paper §3.3)."""

    learning_rate: float = Field(2e-5, gt=0)
    """Peak of the schedule."""
    epochs: int = Field(5, ge=1, le=100_000)
    """Passes over the training set."""
    batch_size: int = Field(32, ge=1)
    """Examples per step; the last batch of an epoch may be smaller."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's, on every trained weight."""
    warmup_fraction: float = Field(0.06, ge=0, lt=1)
    """Share of all steps over which the rate rises linearly from 0."""
    schedule: Schedule = "cosine"
    """What the rate does after the warm-up."""
    min_lr_fraction: float = Field(0.1, ge=0, le=1)
    """The rate never falls below this share of its peak after the warm-up."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are clipped to this norm over all trained weights."""
    precision: Precision = "float32"
    """Of forward and backward; weights and optimiser stay in float32."""


class TrackingSection(Section):
    """When the tracked examples are measured."""

    every: int = Field(100, ge=1)
    """Steps between checkpoints; step 0 is always one."""
    epoch_ends: bool = True
    """The end of each epoch is a checkpoint too."""
    validation: bool = False
    """The validation examples are tracked too; every statistic is then given of them apart."""


class ProbesSection(Section):
    """Gradient probes: gradients of the tracked examples' losses over the weights that train."""

    gradient_norms: Literal["never", "end", "every"] = "never"
    """Norm of each tracked example's gradient: never, after the last step, or at every probe (needs probes.every)."""
    every: int | None = Field(None, ge=1)
    """Steps between probes of how well the categories' mean gradients agree; step 0 and the last too. Null: none."""
    head: bool = True
    """The classification head's weights count."""
    mode: ProbeMode = "eval"
    """eval: dropout off, as when tracking; train: dropout on."""

    @model_validator(mode="after")
    def _norms_have_steps(self) -> ProbesSection:
        if self.gradient_norms == "every" and self.every is None:
            raise ValueError("gradient_norms: every needs every, the steps between probes")
        return self


class AlertSection(Section):
    """Whether the expected loss of a category rises above its start, asked at every checkpoint while training runs."""

    level: float | None = Field(0.05, gt=0, lt=0.5)
    """Chance of a false alarm over the whole run, all categories together. Null: nothing is asked."""
    margin: float = Field(0.02, ge=0)
    """A rise of the mean loss up to this is none (nats)."""
    stop: bool = False
    """An alarm ends training; the run is then complete."""
    clusters: str | None = None
    """Column of which equal values mark examples that are not independent; shared texts mark them where not given."""


class ExecutionSection(Section):
    """Where and how a run is executed; not part of its identity."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    fsdp: bool = False
    """Several processes keep a share of the frozen weights each, for a model larger than a device."""
    threads: int | None = Field(None, ge=1, le=1_024)
    """CPU threads; all cores where not given."""
    tracking_batch_size: int = Field(64, ge=1)
    """Examples per forward pass in tracking and validation."""
    stack: int | None = Field(None, ge=1)
    """LoRA runs of a study that one backbone serves at once; 8 on CUDA and 1 elsewhere where not given."""
    graphs: bool = True
    """On CUDA whole steps of packed batches are captured as graphs and replayed."""
