"""Where a run's numbers come from: code, packages and platform, for its manifest."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PACKAGES = ("contested", "torch", "transformers", "peft", "numpy", "scipy", "pyarrow")
"""Packages whose versions a manifest names, where they are installed."""


def run_provenance(packages: Sequence[str] = PACKAGES, **facts: Any) -> dict[str, Any]:
    """Say what recorded a run.

    Args:
        packages: Packages whose versions count; those that are not installed are left out.
        **facts: What only the recorder knows: device, threads, fingerprints, …

    Returns:
        code, packages, python and platform, then the facts, ready for JSON.
    """
    return {
        "code": dict(code_version()),
        "packages": {name: version for name in packages if (version := _version(name)) is not None},
        "python": platform.python_version(),
        "platform": platform.platform(),
        **facts,
    }


@functools.cache
def code_version() -> dict[str, Any]:
    """The commit of the source tree that runs, and whether it differs from it; None where it is no git checkout."""
    package = Path(__file__).resolve().parents[1]
    if not _git(package, "ls-files", "--error-unmatch", __file__):
        return {"commit": None, "dirty": None}
    return {
        "commit": _git(package, "rev-parse", "HEAD"),
        "dirty": bool(_git(package, "status", "--porcelain", "--", str(package))),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@functools.cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
