"""What pyproject.toml says of dependencies holds: what is imported is declared, and lower bounds can be pinned."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", line)[0].lower().replace("_", "-") for line in requirements}


EXTRAS = PROJECT["optional-dependencies"]
BASE, TRAIN = names(PROJECT["dependencies"]), names(EXTRAS["train"])
DECLARED = BASE | TRAIN | names(EXTRAS["crowd"]) | names(EXTRAS["ray"])


def imported(file: Path) -> set[str]:
    """The top-level packages that a module imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
    return {name.split(".")[0] for name in found} - sys.stdlib_module_names - {"contested", "__future__"}


def test_what_is_imported_is_declared() -> None:
    distributions = packages_distributions()
    files = [*(ROOT / "src").rglob("*.py")]
    assert len(files) > 100
    undeclared = {
        (package, str(file.relative_to(ROOT)))
        for file in files
        for package in imported(file)
        if not {name.lower().replace("_", "-") for name in distributions.get(package, [package])} & DECLARED
    }
    assert not undeclared


def test_what_needs_no_torch_is_declared_without_an_extra() -> None:
    """The lock of a run folder, tables, figures and pages belong to what works without contested[train]."""
    assert {"filelock", "markupsafe", "jinja2", "pyarrow"} <= BASE
    assert not BASE & {"torch", "transformers", "peft", "datasets", "scikit-learn"}


def test_a_sentencepiece_tokenizer_has_what_reads_it() -> None:
    assert {"sentencepiece", "protobuf"} <= TRAIN


def test_what_is_no_longer_declared_comes_with_peft() -> None:
    """PEFT and transformers import accelerate where it is there; the package itself never does."""
    assert "accelerate" not in BASE | TRAIN
    assert "accelerate" in names(requires("peft") or [])


@pytest.fixture
def lowest() -> Any:
    spec = importlib.util.spec_from_file_location("lowest_constraints", ROOT / "scripts" / "lowest_constraints.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lowest_versions_are_those_of_the_bounds(lowest: Any) -> None:
    project = {
        "dependencies": ["numpy>=2.0", "rich>=13.9"],
        "optional-dependencies": {"train": ["torch>=2.8"], "dev": ["ruff>=0.12"]},
    }
    assert lowest.lowest(project, {"torch": "2.13.0"}) == ["numpy==2.0", "rich==13.9", "torch==2.13.0"]
    assert names(lowest.lowest(PROJECT, {})) == BASE | TRAIN
    with pytest.raises(SystemExit, match=r"'numpy' in pyproject\.toml is not of the form package>=version"):
        lowest.lowest({"dependencies": ["numpy"], "optional-dependencies": {"train": []}}, {})
