"""The one way in for a user's text: bytes read whole, and decoded by what their beginning says."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from contested.errors import ContestedError, DataError

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
# What no text of a user needs, no path can have and a terminal may obey; halves of surrogate pairs cannot be written.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def bad_character(text: str) -> str | None:
    r"""The first character that cannot be written or shown: a control character, or half of a surrogate pair.

    Args:
        text: Any text.

    Returns:
        Its name, such as ``U+0000``; None where there is none.

    Examples:
        >>> bad_character("a\0b"), bad_character("a\tb\n")
        ('U+0000', None)
    """
    found = _UNFIT.search(text)
    return None if found is None else f"U+{ord(found.group()):04X}"


def read_bytes(
    file: Path, what: str, *, limit: int, advice: str = "", error: type[ContestedError] = DataError
) -> bytes:
    """Read a file whole.

    Args:
        file: The file.
        what: What it is, for messages.
        limit: The most bytes that are read.
        advice: What to do where it cannot be opened.
        error: The kind of error to raise.

    Returns:
        Its content.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as problem:
        raise error(f"Cannot read {what} {file}: {problem.strerror or problem}. {advice}".rstrip()) from problem
    if len(content) > limit:
        raise error(f"{file} is too large for {what}: more than {limit / 2**20:.0f} MiB. {advice}".rstrip())
    return content


def decode(content: bytes, source: str, *, error: type[ContestedError] = DataError) -> str:
    """Decode UTF-8, or what a byte order mark at the beginning names.

    Args:
        content: The bytes.
        source: Where they come from, for messages.
        error: The kind of error to raise.

    Returns:
        The text, without a byte order mark.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as problem:
        if encoding in {"utf-8", "utf-8-sig"}:
            line = content.count(b"\n", 0, problem.start) + 1
            byte = content[problem.start]
            raise error(
                f"{source} is not UTF-8: line {line} holds the byte 0x{byte:02x}. "
                "Save it as UTF-8, for example with iconv -f latin1 -t utf-8."
            ) from None
        raise error(
            f"{source} begins like {encoding.upper()}, but cannot be read as such: {problem.reason} at byte "
            f"{problem.start:,}. Save it as UTF-8."
        ) from None
