"""A part of the configuration: what it declares, what was set in it, and which files it names."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo

from contested.errors import ConfigError
from contested.wording import counted

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

# What the text of an option names on the disk: data, or a checkpoint where it is no name of the hub.
FILE: dict[str, Any] = {"names": "file"}
CHECKPOINT: dict[str, Any] = {"names": "checkpoint"}


_REQUIRED = object()


def _finite(value: Any) -> Any:
    """Refuse what no record of a run can hold: NaN and infinity, wherever they lie in free options."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _finite(part)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected finite numbers, got {value}")
    return value


FreeOptions = Annotated[dict[str, Any], AfterValidator(_finite)]
"""Further options that are passed on as they are."""

MAX_SEED = 2**63 - 1
"""What every generator of random numbers takes."""


class _Told(ModelMetaclass):
    """Sections that are made in Python say what is wrong as those of a file do."""

    def __call__(self, *args: Any, **content: Any) -> Any:
        try:
            return super().__call__(*args, **content)
        except ValidationError as error:
            from contested.options.problems import problems  # It knows the sections, these among them.

            found = list(problems(error, cast("type[Section]", self)))
            raise ConfigError(f"{self.__name__}(…) has {counted(len(found), 'problem')}:", found) from None


class Section(BaseModel, metaclass=_Told):
    """A part of the configuration: immutable, and without room for unknown keys.

    Attributes:
        alternatives: Groups of keys of which one configuration has one: to set a key of one takes the others away.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )
    alternatives: ClassVar[tuple[frozenset[str], ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _no_truth_as_number(cls, content: Any) -> Any:
        """Python counts with true and false: where numbers are meant they are given on as text, which is refused."""
        if not isinstance(content, dict):
            return content
        return {name: _truth_as_text(value) if name in _numbers_in(cls) else value for name, value in content.items()}

    def differing(self) -> dict[str, Any]:
        """What was set: every option that differs from its default, ready for JSON.

        Returns:
            Keys and values; sections within as mappings of theirs.
        """
        values = self.model_dump(mode="json")
        found: dict[str, Any] = {}
        for name, standard in _defaults(type(self)).items():
            value = getattr(self, name)
            if standard is _REQUIRED or value != standard:
                found[name] = value.differing() if isinstance(value, Section) else values[name]
        return found


def _leaves(annotation: Any) -> frozenset[Any]:
    """The plain types that a declaration is made of."""
    parts = get_args(annotation)
    if not parts or get_origin(annotation) is Literal:
        return frozenset([Literal if parts else annotation])
    return frozenset().union(*map(_leaves, parts))


@functools.cache
def _numbers_in(section: type[Section]) -> frozenset[str]:
    """The options that take numbers and nothing for which true or false could be meant."""
    leaves = {name: _leaves(field.annotation) for name, field in section.model_fields.items()}
    return frozenset(name for name, kinds in leaves.items() if kinds & {int, float} and not kinds & {bool, str, Any})


def _truth_as_text(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_truth_as_text(part) for part in value]
    return str(value).lower() if isinstance(value, bool) else value


@functools.cache
def _defaults(section: type[Section]) -> dict[str, Any]:
    """The default of every option, to compare with; :data:`_REQUIRED` where there is none."""
    return {
        name: _REQUIRED if field.is_required() else default(section, name)
        for name, field in section.model_fields.items()
    }


def default(section: type[Section], name: str) -> Any:
    """The default of an option.

    Args:
        section: Where the option lives.
        name: Its key.

    Returns:
        The value that holds where nothing is given.
    """
    return section.model_fields[name].get_default(call_default_factory=True)


def section_in(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds; None where it holds a value, or one of several sections."""
    parts = [part for part in get_args(field.annotation) or (field.annotation,) if part is not NoneType]
    first = parts[0]
    return first if len(parts) == 1 and isinstance(first, type) and issubclass(first, Section) else None


def options_of(section: type[Section], *above: str) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every option below a section, sections within unfolded.

    Args:
        section: The section.
        *above: The keys above it.

    Yields:
        The keys that lead to an option, and its declaration. The options of a method are not among them.
    """
    for name, field in section.model_fields.items():
        inner = section_in(field)
        if inner is None:
            yield (*above, name), field
        else:
            yield from options_of(inner, *above, name)


def names_file(field: FieldInfo) -> bool:
    """Whether an option's text is the path of a file, or of several."""
    return field.json_schema_extra == FILE


def names_checkpoint(field: FieldInfo) -> bool:
    """Whether an option's text is a hub name or the path of a checkpoint."""
    return field.json_schema_extra == CHECKPOINT


def named_files(section: Section) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every file that a section's options name, with the keys that lead to it."""
    for keys, field in options_of(type(section)):
        if not names_file(field):
            continue
        value: Any = section
        for key in keys:
            value = getattr(value, key, None)
        for path in value if isinstance(value, list) else [value]:
            if path is not None:
                yield keys, path
