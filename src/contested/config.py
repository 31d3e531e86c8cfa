"""The configuration of a run: pydantic models, read from YAML with ``key=value`` overrides."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contested.errors import ConfigError


class Section(BaseModel):
    """A part of the configuration: immutable, and without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())


class Full(Section):
    """Full fine-tuning: every weight trains."""

    name: Literal["full"] = "full"

    @property
    def options(self) -> dict[str, Any]:
        """Options for PEFT: none."""
        return {}

    @property
    def label(self) -> str:
        """Short name for run ids and figures."""
        return "full"


class LoRA(Section):
    """Low-rank adaptation (Hu et al. 2022) with the paper's settings."""

    name: Literal["lora"] = "lora"
    r: int = Field(4, ge=1)
    """Rank."""
    alpha: float | None = Field(None, gt=0)
    """Scaling numerator; 2r where not given."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout before the adapter."""
    target_modules: list[str] | None = None
    """Modules to adapt; the architecture's query and value (decoders: q, k, v, o) where not given."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of peft.LoraConfig, such as use_rslora or use_dora."""

    @property
    def options(self) -> dict[str, Any]:
        """Fields of ``peft.LoraConfig``."""
        alpha = 2 * self.r if self.alpha is None else self.alpha
        given = {} if self.target_modules is None else {"target_modules": self.target_modules}
        return {"r": self.r, "lora_alpha": alpha, "lora_dropout": self.dropout, "bias": "none", **given, **self.extra}

    @property
    def label(self) -> str:
        """Short name for run ids and figures."""
        return f"lora-r{self.r}"


class IA3(Section):
    """Learned rescaling of activations (Liu et al. 2022)."""

    name: Literal["ia3"] = "ia3"
    target_modules: list[str] | None = None
    """Modules to scale; the architecture's defaults where not given."""
    feedforward_modules: list[str] | None = None
    """Those of them that are scaled at their input."""

    @property
    def options(self) -> dict[str, Any]:
        """Fields of ``peft.IA3Config``."""
        return self.model_dump(exclude={"name"}, exclude_none=True)

    @property
    def label(self) -> str:
        """Short name for run ids and figures."""
        return "ia3"


class PEFT(Section):
    """Any other PEFT tuner, by the name of its type."""

    name: Literal["peft"] = "peft"
    type: str
    """The tuner as PEFT spells its type, in any case: vera, dora is LoRA with extra, oft, …"""
    options: dict[str, Any] = Field(default_factory=dict)
    """Fields of the tuner's configuration class."""

    @property
    def label(self) -> str:
        """Short name for run ids and figures."""
        return self.type.lower().replace("_", "-")


Method = Annotated[Full | LoRA | IA3 | PEFT, Field(discriminator="name")]


class ModelSection(Section):
    """The backbone."""

    name: str
    """A hub name such as roberta-base, or a local folder."""
    revision: str | None = None
    """A hub branch, tag or commit."""
    max_length: int = Field(128, ge=4)
    """Longest input in tokens."""


class AnnotatedSection(Section):
    """The annotated set."""

    path: str
    """A file that contested entropy reads."""
    format: str = "auto"
    """Its format; recognised from the content where not given."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of contested.read_annotations."""
    covariates: str | None = None
    """A JSONL, CSV, TSV or Parquet file with the example ids and further columns, such as genre."""


class BulkSection(Section):
    """The singly labelled bulk set: local files or the hub."""

    path: str | list[str] | None = None
    """JSONL, CSV, TSV or Parquet files."""
    hub: str | None = None
    """A hub data set, for example stanfordnlp/snli or nyu-mll/glue."""
    subset: str | None = None
    """The hub data set's configuration, for example mnli."""
    split: str = "train"
    """The hub data set's split."""
    size: int | None = Field(20_000, ge=1)
    """How many are sampled without replacement; null takes all."""
    seed: int = Field(42, ge=0)
    """Seed of that sample."""

    @model_validator(mode="after")
    def _one_source(self) -> BulkSection:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either path (local files) or hub (a hub data set)")
        return self


class NoiseSection(Section):
    """Random labels for a share of the training examples of the lowest entropy category (paper §5)."""

    share: float = Field(gt=0, le=1)
    """Share of those examples whose label is drawn anew."""
    rule: Literal["uniform", "other"] = "uniform"
    """uniform: any class, also the same again (the paper's text); other: one of the other classes."""


class TaskSection(Section):
    """Which examples train, are tracked and validate."""

    annotated: AnnotatedSection
    bulk: BulkSection | None = None
    text_columns: list[str] = Field(default_factory=lambda: ["premise", "hypothesis"], min_length=1)
    """The input text's columns, in order."""
    validation_fraction: float = Field(0.2, ge=0, lt=1)
    """Share of the annotated set kept for validation."""
    split_seed: int = Field(42, ge=0)
    """Seed of the split, shared by every run of a study."""
    categories: Literal["fixed", "terciles", "quartiles"] | list[float] = "fixed"
    """Entropy categories: fixed at 0.4 and 0.7 nats, by quantiles, or own bounds in nats."""
    class_weights: bool = True
    """Weigh classes by inverse frequency."""
    composition: Literal["all", "low", "high", "balanced"] = "all"
    """Which tracked examples train: all, the lowest or highest entropy category alone, or as many of each."""
    noise: NoiseSection | None = None
    """Label noise; the tracked losses stay against the gold labels."""
    soft_labels: bool = False
    """Train annotated examples on the annotators' distribution instead of on its majority."""
    intervention_seed: int | None = Field(None, ge=0)
    """Seed of noise and of the balanced composition; the run's seed where not given."""

    @property
    def bulk_files(self) -> list[str]:
        """The local files of the bulk data; none where it comes from the hub."""
        path = None if self.bulk is None else self.bulk.path
        return [path] if isinstance(path, str) else list(path or ())

    @property
    def files(self) -> list[str]:
        """The local files that the data are read from."""
        annotated = (self.annotated.path, self.annotated.covariates)
        return [*(path for path in annotated if path is not None), *self.bulk_files]

    @property
    def missing_files(self) -> list[str]:
        """One sentence for each of :attr:`files` that is not there."""
        return [f"no such file: {path}" for path in self.files if not Path(path).is_file()]


class TrainingSection(Section):
    """The recipe (paper §3.3)."""

    learning_rate: float = Field(2e-5, gt=0)
    """Peak of the schedule."""
    epochs: int = Field(5, ge=1)
    """Passes over the training set."""
    batch_size: int = Field(32, ge=1)
    """Examples a step."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's, on every trained weight."""
    warmup_fraction: float = Field(0.06, ge=0, lt=1)
    """Share of all steps over which the rate rises linearly from 0."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """What the rate does after the warm-up."""
    min_lr_fraction: float = Field(0.1, ge=0, le=1)
    """The rate never falls below this share of its peak after the warm-up."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are clipped to this norm over all trained weights."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of forward and backward; weights and optimiser stay in float32."""


class TrackingSection(Section):
    """When the tracked examples are measured."""

    every: int = Field(100, ge=1)
    """Steps between checkpoints; step 0 is always one."""
    epoch_ends: bool = True
    """The end of each epoch is a checkpoint too."""


class ProbesSection(Section):
    """Gradient probes: gradients of the tracked examples' losses over the weights that train."""

    gradient_norms: Literal["never", "end", "every"] = "never"
    """Norm of each tracked example's gradient: never, after the last step, or at every probe (needs probes.every)."""
    every: int | None = Field(None, ge=1)
    """Steps between probes of how well the categories' mean gradients agree; step 0 and the last too. Null: none."""
    head: bool = True
    """The classification head's weights count."""
    mode: Literal["eval", "train"] = "eval"
    """eval: dropout off, as when tracking; train: dropout on."""

    @model_validator(mode="after")
    def _norms_have_steps(self) -> ProbesSection:
        if self.gradient_norms == "every" and self.every is None:
            raise ValueError("gradient_norms: every needs every, the steps between probes")
        return self


class ExecutionSection(Section):
    """Where and how a run is executed; no part of its identity."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; all cores where not given."""
    tracking_batch_size: int = Field(64, ge=1)
    """Examples a forward in tracking and validation passes."""
    stack: int | None = Field(None, ge=1)
    """LoRA runs of a study that one backbone serves at once; 8 on CUDA and 1 elsewhere where not given."""
    graphs: bool = True
    """On CUDA whole steps of packed batches are captured as graphs and replayed."""


class RunConfig(Section):
    """One run, completely."""

    model: ModelSection
    method: Method = Field(default_factory=LoRA)
    task: TaskSection
    training: TrainingSection = Field(default_factory=TrainingSection)
    tracking: TrackingSection = Field(default_factory=TrackingSection)
    probes: ProbesSection = Field(default_factory=ProbesSection)
    execution: ExecutionSection = Field(default_factory=ExecutionSection)
    seed: int = Field(42, ge=0)
    """Decides head, adapter, data order and dropout."""
    name: str | None = None
    """A readable run id; made from model, method and seed where not given."""

    @field_validator("method", mode="before")
    @classmethod
    def _method_by_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        return {"name": "lora", **value} if isinstance(value, dict) else value


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run's configuration.

    Args:
        path: A YAML file. Relative paths in it are taken from its folder.
        overrides: ``key=value`` with dotted keys, values as YAML (``training.learning_rate=1e-3``).

    Returns:
        The checked configuration.

    Raises:
        ConfigError: With every problem at once; unknown keys name the nearest known one.
    """
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration {file}: {error.strerror}. Give a YAML file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid YAML: {yaml_problem(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} must hold keys and values (model:, task:, …), but holds {type(content).__name__}.")
    resolve_paths(content, file.parent)
    for override in overrides:
        _apply(content, override)
    return check_config(content, str(file))


def check_config(content: Mapping[str, Any], source: str) -> RunConfig:
    """Validate a configuration given as nested mappings.

    Args:
        content: The keys and values.
        source: Where they come from, for messages.

    Returns:
        The checked configuration.

    Raises:
        ConfigError: With every problem at once.
    """
    try:
        return RunConfig.model_validate(numbers(content))
    except ValidationError as error:
        problems = [_problem(dict(detail)) for detail in error.errors()]
        raise ConfigError(f"The configuration {source} has {len(problems)} problem(s):", problems) from None


def identifying(config: RunConfig) -> dict[str, Any]:
    """What of a configuration makes a run this run: not its name, nor where files lie and work is done.

    Args:
        config: The checked configuration.

    Returns:
        Its content without ``name`` and ``execution``; paths shrunk to the names of files and folders, so that a
        study may move. A run's fingerprints say what those files hold.
    """
    fixed = config.model_dump(mode="json", exclude={"execution", "name"})
    if Path(config.model.name).is_absolute():
        fixed["model"]["name"] = Path(config.model.name).name
    for section in (fixed["task"]["annotated"], fixed["task"]["bulk"] or {}):
        for key in ("path", "covariates"):
            value = section.get(key)
            if isinstance(value, str):
                section[key] = Path(value).name
            elif isinstance(value, list):
                section[key] = [Path(path).name for path in value]
    return fixed


def resolve_paths(content: dict[str, Any], folder: Path) -> None:
    """Make the file paths in a configuration absolute, taken from ``folder``; change ``content`` in place.

    A model's name counts as a path only where it begins with ``.`` or ``~`` or such a folder exists. What begins with
    ``{`` is a study's variable and is left as it is.
    """
    task = content.get("task")
    for name in ("annotated", "bulk"):
        section = task.get(name) if isinstance(task, dict) else None
        if not isinstance(section, dict):
            continue
        for key in ("path", "covariates"):
            value = section.get(key)
            if isinstance(value, str):
                section[key] = _absolute(value, folder)
            elif isinstance(value, list):
                section[key] = [_absolute(str(path), folder) for path in value]
    model = content.get("model")
    if isinstance(model, dict) and isinstance(model.get("name"), str):
        name = model["name"]
        if name.startswith((".", "~")) or (folder / name).is_dir():
            model["name"] = _absolute(name, folder)


def _absolute(path: str, folder: Path) -> str:
    if path.startswith("{"):
        return path
    return str((folder / Path(path).expanduser()).resolve())


def _apply(content: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise ConfigError(f"Cannot read the override {override!r}; expected key=value, such as training.epochs=3.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"Cannot read the value of the override {override!r}: {yaml_problem(error)}") from None
    if (key.endswith(("path", "covariates")) and isinstance(value, str)) or (
        key == "model.name" and Path(str(value)).is_dir()
    ):
        value = _absolute(str(value), Path.cwd())
    *parents, last = key.split(".")
    place: Any = content
    for parent in parents:
        if isinstance(place.get(parent), str):
            place[parent] = {"name": place[parent]}
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ConfigError(f"The override {override!r} does not fit: {parent} is {place!r}, not a section.")
    if last == "name" and isinstance(place.get("name"), str) and parents == ["method"] and place["name"] != value:
        # Another method: the former one's options do not belong to it.
        place.clear()
    place[last] = value


def numbers(value: Any) -> Any:
    """Read ``1e-3`` as a number: YAML 1.1 takes it for text unless written ``1.0e-3``."""
    if isinstance(value, Mapping):
        return {key: numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [numbers(part) for part in value]
    if isinstance(value, str) and value[:1] in "0123456789-+.":
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def yaml_problem(error: Exception) -> str:
    """What is wrong with a YAML text: line, column, and the two lines that point at it.

    Args:
        error: What reading it raised.

    Returns:
        The text, without the reader's name for its input.
    """
    return str(error).replace(' in "<unicode string>",', " at")


def _problem(detail: dict[str, Any]) -> str:
    # The method's name is part of pydantic's location (method.lora.r); a reader wrote method.r.
    location = list(detail["loc"])
    if len(location) > 1 and location[0] == "method":
        del location[1]
    key = key_at(location) or "(top level)"
    if detail["type"] == "extra_forbidden":
        name, known = str(location[-1]), _known_keys(location[:-1], detail["loc"])
        elsewhere = [f"{section}.{name}" for section, keys in _sections().items() if name in keys]
        close = elsewhere or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else f"; known here: {', '.join(known)}"
        return f"{key}: unknown key{hint}"
    if detail["type"] == "missing":
        return f"{key}: is required and missing"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"].startswith("union_tag"):
        message = "expected one of full, lora, ia3, peft (with type: any PEFT tuner)"
    return f"{key}: {message[:1].lower()}{message[1:]}, got {detail['input']!r}"


def key_at(location: Sequence[str | int]) -> str:
    """A place in nested keys and lists as one writes it.

    >>> key_at(["task", "bulk", "path", 0])
    'task.bulk.path[0]'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def _sections() -> dict[str, list[str]]:
    """Names of the sections and the keys of each; methods have their own."""
    found = {name: field.annotation for name, field in RunConfig.model_fields.items()}
    return {
        name: list(section.model_fields)
        for name, section in found.items()
        if isinstance(section, type) and issubclass(section, Section)
    }


def _known_keys(location: Sequence[str | int], raw: Sequence[Any]) -> list[str]:
    section: Any = RunConfig
    for part in location:
        if part == "method":
            chosen = raw[1] if len(raw) > 1 else "lora"
            section = {"full": Full, "lora": LoRA, "ia3": IA3, "peft": PEFT}[chosen]
            continue
        annotation = section.model_fields[str(part)].annotation
        candidates: list[Any] = [annotation, *get_args(annotation)]
        section = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(section.model_fields)
