from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contested import files
from contested.errors import ConfigError, ContestedError
from contested.files import (
    atomic_folder,
    atomic_path,
    flushed_once,
    remove_temporaries,
    temporaries,
    try_writing,
    user_path,
    write_json,
    write_text,
)


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


@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_rights_follow_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "")
        with atomic_folder(tmp_path / "b") as made:
            (made / "c").mkdir()
            (made / "c" / "d").touch(0o600)  # as some libraries write their files
    finally:
        os.umask(before)
    rights = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("a", "b", "b/c", "b/c/d")}
    folder, file = 0o777 & ~umask, 0o666 & ~umask
    assert rights == {"a": file, "b": folder, "b/c": folder, "b/c/d": file}


DIES = """
import os, sys
from pathlib import Path
from contested.files import atomic_folder, atomic_path
with {what}(Path(sys.argv[1]) / "a") as made:
    (made / "half" if made.is_dir() else made).write_text("half")
    if sys.argv[2] == "die":
        os._exit(9)
    print("writing", flush=True)
    sys.stdin.read()
"""


def start(what: str, folder: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DIES.format(what=what), str(folder), how]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("what", ["atomic_path", "atomic_folder"])
def test_what_a_dead_process_was_writing_goes_with_the_next_write_and_nothing_else(tmp_path: Path, what: str) -> None:
    other = start(what, tmp_path, "live")
    assert other.stdout is not None
    assert other.stdout.readline() == "writing\n"
    (alive,) = tmp_path.iterdir()
    assert start(what, tmp_path, "die").wait() == 9
    (tmp_path / ".theirs.tmp").write_text("of another program")
    (dead,) = (path for path in tmp_path.iterdir() if path not in {alive, tmp_path / ".theirs.tmp"})
    assert temporaries(tmp_path) == [dead]
    write_text(tmp_path / "b", "")
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, "b", ".theirs.tmp"}
    other.communicate("")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", ".theirs.tmp"}


def test_a_temporary_file_that_is_taken_for_left_behind_at_once_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process looks between its making and its lock, the first two times."""
    made: list[Path] = []
    new_file = files._new_file

    def looked_at(path: Path) -> int:
        handle = new_file(path)
        made.append(path)
        if len(made) < 3:
            remove_temporaries(tmp_path)
        return handle

    monkeypatch.setattr(files, "_new_file", looked_at)
    write_text(tmp_path / "a", "whole")
    assert len(made) == 3
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize("what", ["file", "folder", "together"])
def test_a_name_is_given_after_its_content_is_on_the_disk_and_is_there_itself_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    done: list[tuple[str, str]] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append(("fsync", os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))))
        sync(handle)

    def replaced(source: Path, target: Path) -> None:
        done.append(("rename", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    if what == "file":
        write_text(tmp_path / "a", "x")
        (temporary,) = (name for _, name in done if name.endswith("tmp"))
        assert done == [("fsync", temporary), ("rename", "a"), ("fsync", tmp_path.name)]
    elif what == "folder":
        with atomic_folder(tmp_path / "a") as made:
            (made / "b").mkdir()
            (made / "b" / "c").write_text("x")
        assert done == [("fsync", "c"), ("fsync", "a"), ("fsync", "b"), ("rename", "a"), ("fsync", tmp_path.name)]
    else:
        # Of files that do not rely on each other all names are there in the end, before what comes next.
        with flushed_once():
            write_text(tmp_path / "a", "x")
            with atomic_folder(tmp_path / "b") as made:
                (made / "c").write_text("x")
        kinds = ["temporary" if name.endswith("tmp") else name for _, name in done]
        assert kinds == ["temporary", "a", "c", "b", "b", tmp_path.name]
        write_text(tmp_path / "d", "x")
        assert len(done) == 9


def test_a_folder_takes_the_place_of_another_only_where_that_is_wanted(tmp_path: Path) -> None:
    for replace, content in ((False, "first"), (True, "second")):
        with atomic_folder(tmp_path / "a", replace=replace) as made:
            (made / content).touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["second"]

    def refused() -> None:
        with atomic_folder(tmp_path / "a") as made:
            (made / "third").touch()

    with pytest.raises(OSError, match="not empty"):
        refused()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/second"]
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    with atomic_folder(tmp_path / "link") as made:
        (made / "c").touch()
    assert (tmp_path / "b" / "c").exists()


def test_the_longest_name_is_written(tmp_path: Path) -> None:
    name = "ü" * 127 + "x"  # 255 bytes
    write_text(tmp_path / name, "x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


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


def test_a_look_whether_a_folder_takes_files_that_is_killed_leaves_what_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(path: object) -> None:
        raise SystemExit

    try_writing(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("tempfile._O_TMPFILE_WORKS", False)  # as on network disks
    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", die)
        with pytest.raises(SystemExit):
            try_writing(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    remove_temporaries(tmp_path)
    assert not list(tmp_path.iterdir())
