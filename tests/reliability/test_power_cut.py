"""The model of a power cut, on operations whose outcome is known."""

from __future__ import annotations

from pathlib import Path

from faulty import Done, Kind
from power_cut import Disk

ROOT = Path("/root-of-all")


def did(kind: Kind, path: str, *, target: str = "", inode: int = 0, offset: int = 0, data: bytes = b"") -> Done:
    return Done(kind, f"{ROOT}/{path}".rstrip("/"), f"{ROOT}/{target}" if target else "", inode, offset, data)


def states(*operations: Done) -> dict[str, dict[str, bytes]]:
    disk = Disk(ROOT)
    for done in operations:
        disk.do(done)
    return {cut.how: cut.files for cut in disk.cuts(0)}


MADE = [did(Kind.CREATE, ".a", inode=1), did(Kind.WRITE, ".a", inode=1, data=b"new")]
RENAMED = did(Kind.RENAME, ".a", target="a")


def test_what_was_never_flushed_may_be_gone_or_empty() -> None:
    found = states(*MADE, RENAMED)
    assert found["nothing unflushed"] == {}
    assert found["names without content"] == {"a": b""}
    assert found["content without names"] == {}
    assert found["nothing unflushed but the name a"] == {"a": b""}


def test_a_flushed_file_whose_folder_was_not_flushed_may_lack_its_name() -> None:
    found = states(*MADE, did(Kind.SYNC, ".a", inode=1), RENAMED)
    assert found["nothing unflushed"] == {}
    assert found["names without content"] == {"a": b"new"}


def test_what_file_and_folder_flushed_is_sure() -> None:
    found = states(*MADE, did(Kind.SYNC, ".a", inode=1), RENAMED, did(Kind.SYNC, "", inode=9))
    assert set(map(str, found.values())) == {str({"a": b"new"})}


def test_a_file_that_replaces_another_leaves_that_one_until_the_folder_is_flushed() -> None:
    old = [did(Kind.CREATE, "a", inode=5), did(Kind.WRITE, "a", inode=5, data=b"old")]
    old += [did(Kind.SYNC, "a", inode=5), did(Kind.SYNC, "", inode=9)]
    found = states(*old, *MADE, did(Kind.SYNC, ".a", inode=1), RENAMED)
    assert found["nothing unflushed"] == {"a": b"old"}
    assert found["names without content"] == {"a": b"new"}


def test_a_rename_that_nobody_saw_is_known_by_the_inode() -> None:
    found = states(*MADE, did(Kind.SYNC, "b", inode=1), did(Kind.SYNC, "", inode=9))
    assert found["nothing unflushed"] == {"b": b"new"}


def test_appending_within_a_folder_that_is_renamed() -> None:
    found = states(
        did(Kind.FOLDER, "x"),
        did(Kind.CREATE, "x/a", inode=1),
        did(Kind.WRITE, "x/a", inode=1, data=b"one"),
        did(Kind.SYNC, "x/a", inode=1),
        did(Kind.SYNC, "x", inode=2),
        did(Kind.RENAME, "x", target="y"),
        did(Kind.SYNC, "", inode=9),
        did(Kind.WRITE, "y/a", inode=1, offset=3, data=b"two"),
    )
    assert found["nothing unflushed"] == {"y/a": b"one"}
    assert found["content without names"] == {"y/a": b"onetwo"}


def test_the_inode_of_what_is_gone_is_taken_again() -> None:
    found = states(
        *MADE,
        did(Kind.UNLINK, ".a"),
        did(Kind.FOLDER, "x"),
        did(Kind.CREATE, "x/a", inode=2),
        did(Kind.SYNC, "x/a", inode=2),
        did(Kind.SYNC, "x", inode=1),
        did(Kind.SYNC, "", inode=9),
    )
    assert found["nothing unflushed"] == {"x/a": b""}


def test_a_name_may_reach_the_disk_before_another_one_that_was_given_earlier() -> None:
    other = [did(Kind.CREATE, "b", inode=2), did(Kind.WRITE, "b", inode=2, data=b"it"), did(Kind.SYNC, "b", inode=2)]
    found = states(*MADE, did(Kind.SYNC, ".a", inode=1), RENAMED, *other)
    assert found["nothing unflushed but the name b"] == {"b": b"it"}
    assert found["nothing unflushed but the name a"] == {"a": b"new"}
    gone = states(*other, did(Kind.SYNC, "", inode=9), did(Kind.UNLINK, "b"))
    assert gone["nothing unflushed"] == {"b": b"it"}
    assert gone["nothing unflushed but the name b"] == {}
