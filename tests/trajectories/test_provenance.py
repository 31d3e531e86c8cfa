from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from contested.trajectories.provenance import _git, code_version, run_provenance


def test_it_names_installed_packages_and_takes_what_its_caller_knows() -> None:
    found = run_provenance(["numpy", "no-such-package"], device="cpu")
    assert found["packages"] == {"numpy": importlib.metadata.version("numpy")}
    assert found["device"] == "cpu"
    assert {"code", "python", "platform"} <= set(found)
    json.dumps(found, allow_nan=False)


def test_a_folder_outside_git_has_no_commit(tmp_path: Path) -> None:
    assert _git(tmp_path, "rev-parse", "HEAD") is None
    assert _git(tmp_path / "missing", "rev-parse", "HEAD") is None


def test_a_changed_file_anywhere_in_the_package_makes_it_dirty(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, tuple[str, ...]]] = []

    def git(folder: Path, *arguments: str) -> str:
        asked.append((folder, arguments))
        return {"ls-files": "here", "rev-parse": "abc", "status": " M x.py"}[arguments[0]]

    monkeypatch.setattr("contested.trajectories.provenance._git", git)
    code_version.cache_clear()
    try:
        assert code_version() == {"commit": "abc", "dirty": True}
    finally:
        code_version.cache_clear()
    package = Path(run_provenance.__code__.co_filename).parents[1]
    assert package.name == "contested"
    assert asked[-1] == (package, ("status", "--porcelain", "--", str(package)))
