"""Print pip constraints that pin every direct dependency to the lowest version that pyproject.toml allows.

    python scripts/lowest_constraints.py [package=version ...] > constraints.txt

A package given with a version is pinned to that one instead. Only what the package needs at run time is pinned (with
the extra ``train``); the tools of the extra ``dev`` are not.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lowest(project: Mapping[str, object], instead: Mapping[str, str]) -> list[str]:
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    pins = []
    for requirement in [*project["dependencies"], *extras["train"]]:  # type: ignore[misc]
        found = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", requirement)
        if found is None:
            raise SystemExit(f"{requirement!r} in pyproject.toml is not of the form package>=version")
        name, version = found.groups()
        pins.append(f"{name}=={instead.get(name, version)}")
    return pins


def main(arguments: list[str]) -> None:
    instead = dict(argument.split("=", 1) for argument in arguments)
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    pins = lowest(project, {name: version for name, version in instead.items() if version})
    sys.stdout.write("".join(f"{pin}\n" for pin in pins))


if __name__ == "__main__":
    main(sys.argv[1:])
