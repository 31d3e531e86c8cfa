"""Wording shared by the error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN_NAMES = 12


def listed(names: Iterable[object]) -> str:
    """Join names with commas; a long list is cut and counted."""
    words = [str(name) for name in names]
    if len(words) <= _SHOWN_NAMES:
        return ", ".join(words)
    return ", ".join(words[:_SHOWN_NAMES]) + f", … ({len(words)} in all)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)``, or nothing where no known name is near."""
    by_lower = {word.lower(): word for word in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f" (did you mean '{by_lower[near[0]]}'?)" if near else ""
