"""The configuration of a run: its sections together, read from YAML with ``key=value`` overrides, and its identity."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from contested import overrides as language
from contested.checking import check
from contested.errors import ConfigError
from contested.files import user_path
from contested.options import (
    MAX_SEED,
    SEED,
    AlertSection,
    ExecutionSection,
    LoRA,
    Method,
    ModelSection,
    ProbesSection,
    Section,
    TaskSection,
    TrackingSection,
    TrainingSection,
    default,
    method_content,
    names_file,
)
from contested.wording import shown
from contested.yaml_files import read_yaml


class RunConfig(Section):
    """One run, completely."""

    model: ModelSection
    method: Method = Field(default_factory=LoRA)
    task: TaskSection
    training: TrainingSection = Field(default_factory=TrainingSection)
    tracking: TrackingSection = Field(default_factory=TrackingSection)
    probes: ProbesSection = Field(default_factory=ProbesSection)
    alert: AlertSection = Field(default_factory=AlertSection)
    execution: ExecutionSection = Field(default_factory=ExecutionSection)
    seed: int = Field(SEED, ge=0, le=MAX_SEED)
    """Decides head, adapter, data order and dropout."""
    name: str | None = None
    """A readable run id; made from model, method and seed where not given."""

    @field_validator("method", mode="before")
    @classmethod
    def _method_by_name(cls, value: Any) -> Any:
        return value if isinstance(value, Section) else method_content(value)

    @model_validator(mode="after")
    def _validation_has_examples(self) -> RunConfig:
        if self.tracking.validation and self.task.validation_fraction == 0:
            raise ValueError("tracking.validation: true needs task.validation_fraction above 0, or there are none")
        return self


FORMER_DEFAULTS: Mapping[int, Mapping[str, Any]] = {}
"""Version of the identity rule -> dotted key -> its default up to that version, where it has another one now.

A default that changes is a new version: ``trajectories.identity.IDENTITY_VERSION`` rises by one, and the former default
is entered here under the version before, so that the runs of older folders are still known for what they are.
"""

_PLACE = {"execution", "name"}
"""What is not part of a run's identity: where it is executed, and its name."""


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
    file = user_path(path)
    content = read_yaml(file, "the configuration")
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds {shown(content)}"
        raise ConfigError(f"{file} must hold keys and values (model:, task:, …), but {found}.")
    resolve_paths(content, file.parent)
    for text in overrides:
        given = language.parse(text)
        value = path_of(given.keys, given.value, Path.cwd())
        language.assign(content, given._replace(value=value))
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
    return check(RunConfig, content, f"The configuration {source}")


class Configurations:
    """Many configurations that share sections: each different section is checked once, and identified once."""

    def __init__(self) -> None:
        self._checked: dict[str, Section] = {}
        # By the section's number, which is its own as long as the section is kept: with it.
        self._set: dict[int, tuple[Section, Any]] = {}

    def check(self, content: Mapping[str, Any], source: str) -> RunConfig:
        """As :func:`check_config`.

        Args:
            content: The keys and values.
            source: Where they come from, for messages.

        Returns:
            The checked configuration.

        Raises:
            ConfigError: With every problem at once.
        """
        # A dictionary's text tells 1, 1.0, "1" and true apart, which are one as its values.
        names = {
            key: f"{key} {content[key]!r}" if key in content else key for key in {**RunConfig.model_fields, **content}
        }
        known = {key: self._checked[name] for key, name in names.items() if name in self._checked}
        config = check_config({**content, **known}, source)
        found = ((name, getattr(config, key)) for key, name in names.items())
        self._checked.update((name, section) for name, section in found if isinstance(section, Section))
        return config

    def identifying(self, config: RunConfig) -> dict[str, Any]:
        """As the function :func:`identifying`.

        Args:
            config: A checked configuration.

        Returns:
            What differs from the defaults; sections are shared with other results and must not be changed.
        """
        found: dict[str, Any] = {}
        for name in RunConfig.model_fields:
            if name in _PLACE or name not in config.model_fields_set:  # what was not given has its default
                continue
            value = getattr(config, name)
            if not isinstance(value, Section):
                found |= {} if value == default(RunConfig, name) else {name: value}
                continue
            if id(value) not in self._set:
                self._set[id(value)] = value, identifying(config).get(name)
            if (set_there := self._set[id(value)][1]) is not None:
                found[name] = set_there
        return found


def resolve_paths(content: dict[str, Any], folder: Path) -> None:
    """Make the paths in a run's configuration absolute; change ``content`` in place.

    Args:
        content: The keys and values, as far as they are there.
        folder: Where relative paths begin.
    """
    language.resolve_paths(content, folder, RunConfig)


def path_of(keys: Sequence[str], value: Any, folder: Path) -> Any:
    """A value of a run's configuration, its paths absolute.

    Args:
        keys: The keys that lead to it.
        value: The value.
        folder: Where relative paths begin.

    Returns:
        The value; the same where its key holds no path.
    """
    return language.path_of(keys, value, folder, root=RunConfig)


def identifying(config: RunConfig) -> dict[str, Any]:
    """The options set that identify a run: not its name, nor where files are and where it is executed.

    Args:
        config: The checked configuration.

    Returns:
        What differs from the defaults, without ``name`` and ``execution``; paths shrunk to the names of files and
        folders, so that a study may move. A run's fingerprints say what those files hold.
    """
    found = {key: value for key, value in config.differing().items() if key not in _PLACE}
    return _without_folders(found)


def identified(config: RunConfig) -> dict[str, Any]:
    """As :func:`identifying`, with the options that have their defaults: for messages of how two runs differ.

    Args:
        config: The checked configuration.

    Returns:
        Every option that counts, with its value.
    """
    return _without_folders(config.model_dump(mode="json", exclude=_PLACE))


def recorded(identity: Mapping[str, Any]) -> RunConfig:
    """The configuration that an identity describes, whichever version of the rule wrote it.

    Args:
        identity: A manifest's identity: ``version`` (1 where it has none) and ``config``.

    Returns:
        The configuration; what the identity leaves out has the default that it had then.

    Raises:
        ValueError: If this version does not know its rule.
    """
    content = dict(identity.get("config") or {})
    for version in sorted(FORMER_DEFAULTS):
        if version >= identity.get("version", 1):
            for key, value in FORMER_DEFAULTS[version].items():
                content = language.merge(language.nested(key.split("."), value), content)
    return RunConfig.model_validate(content)


def _without_folders(content: dict[str, Any]) -> dict[str, Any]:
    for inner, key, field in language.named_values(content, RunConfig):
        value = inner[key]
        if isinstance(value, list):
            inner[key] = [Path(path).name for path in value]
        elif names_file(field) or Path(value).is_absolute():
            inner[key] = Path(value).name
    return content
