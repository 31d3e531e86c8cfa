"""From nested keys to a checked section: every problem at once, under the key as it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from contested.errors import ConfigError
from contested.options import Section
from contested.options.problems import problems
from contested.wording import counted

S = TypeVar("S", bound=Section)


def check(section: type[S], content: Mapping[str, Any], what: str) -> S:
    """Validate nested keys and values.

    Args:
        section: What they should be.
        content: The keys and values.
        what: What they are, as the subject of the message.

    Returns:
        The checked section.

    Raises:
        ConfigError: With every problem at once; unknown keys name the nearest known one.
    """
    try:
        return section.model_validate(numbers(content))
    except ValidationError as error:
        found = list(problems(error, section))
        raise ConfigError(f"{what} has {counted(len(found), 'problem')}:", found) from None


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
