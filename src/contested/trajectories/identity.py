"""What identifies a run: the rule by which its content becomes an id, and how two runs differ.

Version 2 of the rule hashes what was *set*, that is what differs from the defaults, under the rule's number. A new
option with a default is in no content that lacks it and so renames nothing; a default that changes is a new version.
Version 1 hashed every option with its value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

IDENTITY_VERSION = 2

_DIGITS = 8


def digest(content: Mapping[str, Any]) -> str:
    """Hash what identifies a run.

    Args:
        content: What was set, ready for JSON; the order of keys does not count.

    Returns:
        Eight hexadecimal digits, the same on every machine.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps({"version": IDENTITY_VERSION, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Find where two identities differ.

    Args:
        old: One identity, or a part of it.
        new: The other one.
        key: Where the parts stand, with dots.

    Yields:
        Key, old and new value of each difference; None for a value that is not there. Two methods of different
        names differ in the name alone.
    """
    if isinstance(old, dict) and isinstance(new, dict) and key == "method" and old.get("name") != new.get("name"):
        yield key, old.get("name"), new.get("name")
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            path = name if key in {"", "config"} else f"{key}.{name}"
            yield from differences(old.get(name), new.get(name), path)
    elif old != new:
        yield key, old, new
