from __future__ import annotations

from pathlib import Path

import pytest

from contested.errors import ContestedError
from contested.files import atomic_path, write_json, write_text


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def failing() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    write_text(target, "new")
    assert target.read_text() == "new"


def test_files_have_ordinary_rights(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "theirs").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_an_error_shows_twenty_problems_and_counts_the_rest() -> None:
    text = str(ContestedError("Bad file:", [f"line {i}" for i in range(25)]))
    assert text.splitlines()[0] == "Bad file:"
    assert text.splitlines()[20:] == ["  - line 19", "  … and 5 more"]
