"""Adaptation methods and their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator

from contested.options.section import FreeOptions, Section, default

_OWN_KEYS = {"lora_alpha": "alpha", "lora_dropout": "dropout"}
"""Fields of PEFT's that a section has by another name."""


class MethodSection(Section):
    """An adaptation method; its name distinguishes it from the others."""

    def differing(self) -> dict[str, Any]:
        """What was set, the name always included."""
        return {"name": getattr(self, "name"), **super().differing()}  # noqa: B009 - each method declares its own

    @field_validator("extra", check_fields=False)
    @classmethod
    def _no_own_key(cls, extra: dict[str, Any]) -> dict[str, Any]:
        """Refuse a field that has a key of its own: the run would be named, and known, by a value that it has not."""
        for field in extra:
            key = _OWN_KEYS.get(field, field)
            if key in cls.model_fields:
                raise ValueError(f"{field} has a key of its own, method.{key}")
        return extra


class Full(MethodSection):
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


class Tuner(MethodSection):
    """A PEFT tuner with a section of its own: whatever field it does not declare goes into ``extra``."""

    target_modules: list[str] | str | None = None
    """Modules to adapt, a pattern, or all-linear; the architecture's defaults where not given."""
    extra: FreeOptions = Field(default_factory=dict)
    """Further fields of the tuner's configuration class."""

    @property
    def options(self) -> dict[str, Any]:
        """Fields of the tuner's configuration class: those declared here, and ``extra``."""
        return {**self.model_dump(exclude={"name", "extra"}, exclude_none=True), **self.extra}

    @property
    def label(self) -> str:
        """Short name for run ids and figures."""
        return str(getattr(self, "name"))  # noqa: B009 - each method declares its own


class LoRA(MethodSection):
    """Low-rank adaptation (Hu et al. 2022) with the paper's settings."""

    name: Literal["lora"] = "lora"
    r: int = Field(4, ge=1, le=65_536)
    """Rank."""
    alpha: float | None = Field(None, gt=0)
    """Scaling numerator; 2r where not given."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout before the adapter."""
    target_modules: list[str] | str | None = None
    """Modules to adapt, a pattern, or all-linear; the architecture's query and value (decoders: q, k, v, o) where not
    given."""
    extra: FreeOptions = Field(default_factory=dict)
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


class IA3(Tuner):
    """Learned rescaling of activations (Liu et al. 2022)."""

    name: Literal["ia3"] = "ia3"
    feedforward_modules: list[str] | None = None
    """Those of them that are scaled at their input."""


class PEFT(MethodSection):
    """Any other PEFT tuner, by the name of its type: ``{name: vera, r: 64}`` is short for it."""

    name: Literal["peft"] = "peft"
    type: str
    """The tuner as PEFT spells its type, in any case: vera, dora is LoRA with extra, oft, …"""
    options: FreeOptions = Field(default_factory=dict)
    """Fields of the tuner's configuration class."""

    @property
    def label(self) -> str:
        """Short name for run ids and figures."""
        return self.type.lower().replace("_", "-")


Method = Annotated[Full | LoRA | IA3 | PEFT, Field(discriminator="name")]
METHODS: Mapping[str, type[Section]] = {
    str(default(section, "name")): section for section in get_args(get_args(Method)[0])
}
"""Name of each method that has options of its own -> its section."""


def method_content(value: Any) -> Any:
    """Bring the ways to write a method into one: a mapping with a name that :data:`METHODS` has.

    Args:
        value: A name, or a mapping with or without one.

    Returns:
        The mapping; of a tuner that has no section of its own, its type and options for :class:`PEFT`.
    """
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        return value
    name = value.get("name", default(LoRA, "name"))
    if not isinstance(name, str) or name in METHODS:
        return {**value, "name": name}
    options = {key: part for key, part in value.items() if key not in {"name", "options"}}
    further = value.get("options", {})
    # What are no keys and values is refused by the check of the section.
    given = {**options, **further} if isinstance(further, Mapping) else further
    return {"name": default(PEFT, "name"), "type": name, "options": given}
