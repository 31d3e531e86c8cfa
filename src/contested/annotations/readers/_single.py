"""Cells for one annotator's answer: a label, a list of one, or a set of several."""

from __future__ import annotations

import re
from collections.abc import Collection

from contested.annotations.readers._cells import NOTHING, as_set, shown
from contested.annotations.readers._printed import as_structure

EXPECTED = (
    "expected one label per annotator; annotators who gave several labels each have no distribution over classes: say "
    "how their sets are read with multilabel=mentions, sets, each or a class"
)
"""What a cell with several labels of one annotator is told, where that is not read."""


def single(value: object, whole: Collection[str] | None = None, *, sets: bool = False) -> object:
    """Return what a cell for one annotator's label holds: of a list of one label, in JSON or as printed, that label.

    Args:
        value: A cell.
        whole: Names of classes, which are labels even where they look like lists; None where not given.
        sets: Whether a list may hold several labels, which are then one text.

    Returns:
        A single value; None of an empty list, unless it is a set.

    Raises:
        ValueError: If it is an object, or a list of several labels or of one that is cut off; the message completes
            "<name> is …".
    """
    found = _listed(value) if isinstance(value, str) and value.strip() not in (whole or ()) else value
    if not isinstance(found, list | dict):
        return found
    parts = [*found]
    if sets and isinstance(found, list) and not any(isinstance(part, list | dict) for part in parts):
        return as_set(parts)
    if len(parts) > 1 or (isinstance(found, dict) and parts) or any(isinstance(part, list | dict) for part in parts):
        raise ValueError(f"{shown(value)}; {EXPECTED}")
    return parts[0] if parts else None


def _listed(text: str) -> object:
    """The list or object that a text is; a label may begin with a bracket, too: ``[deleted]``, ``[0, 1)``."""
    if not _LISTED.match(text):
        return text
    try:
        found = as_structure(text)
    except ValueError:
        if _QUOTED.match(text):
            raise
        return text
    return found if not isinstance(found, list) or len(found) > 1 or not found or _is_printed(text, found[0]) else text


def _is_printed(text: str, part: object) -> bool:
    return not isinstance(part, str) or bool(_QUOTED.match(text)) or part in NOTHING


_LISTED = re.compile(r"\s*[\[{]")
_QUOTED = re.compile(r"""\s*[\[{]\s*['"]""")
