"""The content of a file: unpacked where it is compressed, decoded by its byte-order mark."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from contested.errors import ConfigError, DataError
from contested.wording import counted, did_you_mean, listed

_PICKLED = "a pickle of Python: load it where it was made and write it as JSONL, CSV or Parquet"
_OF_R = "data of R: write the table in it with write.csv"
_ZIP = b"PK\x03\x04"
_PACKED: dict[bytes, tuple[str, Callable[[IO[bytes]], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
}
_PACKED_SUFFIXES = frozenset({".gz", ".bz2", ".xz", ".zip"})
_ARCHIVES = {
    _ZIP: "a ZIP archive or an Excel workbook that something else packs: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard: unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV UTF-8",
}
_BINARY = {
    b"\x80\x04": _PICKLED,
    b"\x80\x05": _PICKLED,
    b"\x89HDF": "an HDF5 file: write the table in it as CSV or Parquet first",
    b"ARROW1": "an Arrow (Feather) file: write it as Parquet first, such as with pyarrow or pandas",
    b"$FL2": "an SPSS file: save it as CSV UTF-8 first",
    b"$FL3": "an SPSS file: save it as CSV UTF-8 first",
    b"<stata_dta>": "a Stata file: export it as CSV UTF-8 first",
    b"SQLite format 3": "an SQLite database: export the table in it as CSV first",
    b"RDX": _OF_R,
    b"RDA": _OF_R,
    b"X\n\0\0\0": _OF_R,
    b"%PDF": "a PDF document: the table itself is needed, as CSV or another kind of rows",
}
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html[\s>])", re.IGNORECASE)
_ENCODINGS = {
    # UTF-32 first: its mark begins with that of UTF-16.
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_USUAL = ("latin1", "cp1252", "utf-16-le", "shift_jis", "gb18030", "koi8-r")
_NO_LETTERS = frozenset({"Cc", "Cn", "Co", "Cs"})
_CONTROLS = re.compile("[\x80-\x84\x86-\x9f]")
# Text shrinks to a tenth; what grows more than a hundredfold into many megabytes is made to fill memory.
_LARGEST_GROWTH = 100
_SMALL = 64 * 2**20


class NotUtf8Error(DataError):
    """Text in another encoding, which nothing at its beginning names.

    Args:
        message: What was found, and how to convert it.
        likely: The encodings that it looks like, for a sentence; empty where it looks like no text.
    """

    def __init__(self, message: str, likely: str) -> None:
        super().__init__(message)
        self.likely = likely


class Text(NamedTuple):
    """Decoded text.

    Attributes:
        text: The text, without its byte-order mark.
        notes: A sentence where the encoding is another than UTF-8.
    """

    text: str
    notes: list[str]


def read_content(path: Path) -> tuple[bytes, list[str]]:
    """Read a file, unpacked where it is compressed, or an archive of one file.

    Args:
        path: The file.

    Returns:
        Its content, and a sentence where it was unpacked.

    Raises:
        DataError: If it is missing, a folder, cannot be opened or unpacked, or is another archive or a web page.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected one file of rows. Name a file in it.")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist{_near_file(path)}. Check the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}.") from error
    content, notes = _without_archive(path, content)
    for mark, what in (_ARCHIVES | _BINARY).items():
        if content.startswith(mark) and not _is_archive_of_rows(path, content):
            raise DataError(f"{path} is {what}.")
    if _PAGE.match(content):
        raise DataError(f"{path} is a web page (HTML), as a download that failed leaves. Download the file itself.")
    return content, notes


def plain_suffix(path: Path) -> str:
    """The suffix of a file in lower case, without that of its compression: ``.csv`` of ``a.CSV.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in _PACKED_SUFFIXES else suffix


def is_workbook(content: bytes) -> bool:
    """Whether content is an Excel workbook, which is an archive of many files."""
    return content.startswith(_ZIP) and b"xl/" in content and b"[Content_Types].xml" in content


def _without_archive(path: Path, content: bytes) -> tuple[bytes, list[str]]:
    for mark, (name, opened) in _PACKED.items():
        if content.startswith(mark):
            return _unpacked(path, content, name, opened), [f"The file was unpacked with {name}."]
    if not content.startswith(_ZIP) or _is_archive_of_rows(path, content):
        return content, []
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is a ZIP archive or an Excel workbook, and damaged: {error}. Download or copy it again."
        ) from error
    files = [entry.filename for entry in archive.infolist() if not entry.is_dir() and not _is_of_system(entry.filename)]
    if len(files) != 1:
        raise DataError(
            f"{path} is an archive of {counted(len(files), 'file')}: {listed(files)}. Unpack the one to read."
        )
    return _unpacked(path, content, "zip", lambda _: archive.open(files[0])), [
        f"The file is {files[0]} of the archive."
    ]


def _is_archive_of_rows(path: Path, content: bytes) -> bool:
    return is_workbook(content) or (content.startswith(_ZIP) and plain_suffix(path) == ".npz")


def _is_of_system(name: str) -> bool:
    return name.startswith("__MACOSX/") or Path(name).name.startswith(".")


def _unpacked(path: Path, content: bytes, name: str, opened: Callable[[IO[bytes]], Any]) -> bytes:
    limit = max(_SMALL, _LARGEST_GROWTH * len(content))
    try:
        with opened(io.BytesIO(content)) as packed:
            unpacked: bytes = packed.read(limit + 1)
    except EOFError as error:
        raise DataError(f"{path} is cut off: its {name} data have no end. Download or copy it again.") from error
    except RuntimeError as error:
        raise DataError(f"{path} cannot be unpacked: {error}. Unpack it yourself.") from error
    except (OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}. Download or copy it again.") from error
    if len(unpacked) > limit:
        raise DataError(f"{path} unpacks to more than {_LARGEST_GROWTH} times its size; unpack it yourself.")
    return unpacked


def _near_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor does the folder {path.parent})"
    return did_you_mean(path.name, (entry.name for entry in path.parent.iterdir()))


def decode(path: Path, content: bytes) -> Text:
    """Decode text: UTF-8, or UTF-16 and UTF-32 by their byte-order mark.

    Args:
        path: The file, for messages.
        content: Its content.

    Returns:
        The text.

    Raises:
        DataError: If it is in another encoding, or no text.
    """
    name = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), None)
    if name is not None:
        try:
            return Text(content.decode(name), [f"The file was decoded as {name}, by its byte-order mark."])
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} begins as {name} does and is damaged: {error.reason}. Save it as UTF-8."
            ) from error
    try:
        # Tools that add a mark to what has one leave two.
        text = content.decode("utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        told, likely = _advice(content)
        raise NotUtf8Error(
            f"{path} is not UTF-8: line {line} holds the byte 0x{content[error.start]:02x}. {told}", likely
        ) from error
    if "\0" in text:
        told, likely = _advice(content)
        raise NotUtf8Error(f"{path} holds NUL bytes, as no text in UTF-8 does. {told}", likely)
    return Text(text, [])


def as_utf8(path: Path, content: bytes, encoding: str) -> bytes:
    """Decode text whose encoding its reader knows, and encode it as UTF-8.

    Args:
        path: The file, for messages.
        content: Its content.
        encoding: Any encoding that Python knows, such as ``latin1``.

    Returns:
        The same text as UTF-8.

    Raises:
        ConfigError: If there is no such encoding of text.
        DataError: If the content contradicts it.
    """
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        raise DataError(f"{path} is not {encoding}: {error}. Name another encoding.") from error
    except (LookupError, TypeError, ValueError) as error:
        near = did_you_mean(str(encoding), _USUAL)
        raise ConfigError(f"Unknown encoding '{encoding}'{near}: expected one such as {listed(_USUAL)}.") from error
    found = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), "") or _utf8(content)
    if found and codecs.lookup(found) != codecs.lookup(encoding):
        raise DataError(f"{path} is {found}, and read as {encoding} it would be other text. Leave encoding out.")
    controls = _CONTROLS.search(text)
    if controls is not None:
        line = text.count("\n", 0, controls.start()) + 1
        raise DataError(
            f"{path} is hardly {encoding}: line {line} would hold the control character U+{ord(controls[0]):04X}, "
            "which no text has. Where latin1 gives these, cp1252 is mostly right."
        )
    return text.encode("utf-8", "surrogatepass")


def _utf8(content: bytes) -> str:
    """UTF-8, where text with other letters than those of ASCII is that; text in another encoding hardly ever is."""
    try:
        return "" if content.isascii() or not content.decode("utf-8") else "UTF-8"
    except UnicodeDecodeError:
        return ""


def _is_text(content: bytes, encoding: str) -> bool:
    """Whether content is text in an encoding; numbers in a binary file are mostly unassigned or control characters."""
    text = content.decode(encoding, "replace")
    odd = sum(unicodedata.category(letter) in _NO_LETTERS and letter not in "\t\r\n" for letter in text)
    return 20 * odd <= len(text)


def _advice(content: bytes) -> tuple[str, str]:
    """How to convert, and the likely encodings: UTF-16 without its mark has zeros in every other byte, Latin-1 none."""
    zeros = [content[start:4096:2].count(0) for start in (0, 1)]
    half = len(content[:4096]) // 2
    order = "le" if zeros[1] > zeros[0] else "be"
    if max(zeros) > 0.3 * half and _is_text(content[: 2 * half], f"utf-16-{order}"):
        told = f"It looks like UTF-16 without a byte-order mark: convert it with iconv -f utf-16{order} -t utf-8."
        return told, f"encoding=utf-16-{order}"
    if max(zeros):
        return "It looks like a binary file; expected text or Parquet.", ""
    return "Save it as UTF-8, for example with iconv -f latin1 -t utf-8.", "encoding=latin1 or encoding=cp1252"
