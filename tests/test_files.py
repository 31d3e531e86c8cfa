from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from contested.errors import ConfigError, ContestedError
from contested.files import atomic_path, user_path, write_json, write_text


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


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("~nosuchuserhere/a", "begins with a user's home folder, and there is no such user. Write the folder out"),
        ("a\0b", "holds a null character"),
        ("a/" + "b" * 300, "is too long: 302 characters"),
        ("é" * 128, "is too long: 256 characters"),
        ("a/" * 2100, "is too long: 4,200 characters"),
        ("a\ud800", "holds the character U+D800, which no name can have"),
    ],
)
def test_a_path_that_no_file_can_have(path, why):
    with pytest.raises(ConfigError, match=re.escape(why)):
        user_path(path)


def test_a_path_that_a_file_may_have(tmp_path):
    odd = os.fsdecode(b"not utf-8 \xff")  # a name on disk that is no text
    for path in (tmp_path / ("b" * 255), Path(odd), Path("~/a b"), tmp_path / "ü"):
        assert user_path(path) == Path(os.path.expanduser(path))
