"""The studies that come with the package: files ``<part>/presets/<name>.yaml`` beside its modules, found as data."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType


def _presets(part: Traversable) -> list[Traversable]:
    folder = part / "presets"
    return [file for file in folder.iterdir() if file.name.endswith(".yaml")] if folder.is_dir() else []


def _found() -> dict[str, Traversable]:
    files = [file for part in resources.files("contested").iterdir() for file in _presets(part)]
    return {file.name.removesuffix(".yaml"): file for file in sorted(files, key=lambda file: file.name)}


_FILES: Mapping[str, Traversable] = MappingProxyType(_found())

REPORTS: tuple[str, ...] = tuple(sorted(part.name for part in resources.files("contested").iterdir() if _presets(part)))
"""Parts of the package that report on studies in their own way, beside what every study shows."""

PRESETS: tuple[str, ...] = tuple(_FILES)
"""Names of the studies that come with the package."""


def preset_text(name: str) -> str:
    """The file of a preset.

    Args:
        name: One of :data:`PRESETS`.

    Returns:
        Its content.
    """
    return _FILES[name].read_text(encoding="utf-8")
