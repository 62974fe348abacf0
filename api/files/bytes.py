"""Recognises a file by its bytes: its kind, and the encoding of a text."""

from __future__ import annotations

import codecs
import zipfile
from pathlib import Path
from typing import Literal, TypeAlias

from api.files.errors import FileError

Kind: TypeAlias = Literal["csv", "parquet", "xlsx"]
ENCODINGS = (
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "gbk", "big5", "big5hkscs", "shift_jis", "euc-kr",
    "windows-1252", "iso-8859-1",
)  # fmt: skip
"""Encodings that a steward may name. The first three and GB18030 are recognised."""

_PARQUET = b"PAR1"
_ZIP = b"PK\x03\x04"
_OLD_XLS = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OTHER = {
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "compressed with gzip",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_SIGNS_OF_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CHUNK = 1 << 20


def kind_of(path: Path) -> Kind:
    """The kind of a file, by its first bytes. Raises FileError if it is no table, OSError if there is no file."""
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise FileError("file.empty", path, "the file is empty")
    if start.startswith(_PARQUET):
        return "parquet"
    if start.startswith(_OLD_XLS):
        raise FileError("file.old-xls", path, "this is a workbook of the old form (.xls) or an encrypted one")
    if start.startswith(_ZIP):
        if _is_workbook(path):
            return "xlsx"
        raise FileError("file.not-a-table", path, "this is a ZIP archive and no workbook")
    for sign, what in _OTHER.items():
        if start.startswith(sign):
            raise FileError("file.not-a-table", path, f"this is {what}")
    return "csv"


def encoding_of(path: Path, named: str = "") -> str:
    """The encoding of a text as Python's name: the named one, or by its byte order mark, UTF-8, else GB18030.

    Every byte is checked. ``utf-8-sig`` is UTF-8 with a byte order mark. Raises FileError with byte and line of the
    first fault.
    """
    if named:
        chosen = _known(path, named)
        if fault := _first_fault(path, chosen):
            raise FileError("file.encoding", path, f"this is no {named}", byte=fault[0], line=fault[1])
        return chosen
    with path.open("rb") as file:
        start = file.read(3)
    marked = "utf-8-sig" if start == codecs.BOM_UTF8 else _SIGNS_OF_UTF_16.get(start[:2], "")
    first = marked or "utf-8"
    fault = _first_fault(path, first)
    if fault is None:
        return first
    if not marked and _first_fault(path, "gb18030") is None:
        return "gb18030"
    what = (
        "UTF-16" if marked == "utf-16" else "UTF-8" if marked else "UTF-8, and the file is no GB18030 either"
    )
    raise FileError("file.encoding", path, f"this is no {what}", byte=fault[0], line=fault[1])


def _known(path: Path, named: str) -> str:
    try:
        plain = codecs.lookup(named).name
    except (LookupError, ValueError):
        plain = ""
    if plain not in {codecs.lookup(one).name for one in ENCODINGS} | {"utf-8-sig"}:
        raise FileError(
            "file.encoding-name", path, "the encoding that was named is not known", hint=", ".join(ENCODINGS)
        )
    if plain == "utf-8":
        with path.open("rb") as file:
            return "utf-8-sig" if file.read(3) == codecs.BOM_UTF8 else plain
    return plain


def _first_fault(path: Path, encoding: str) -> tuple[int, int | None] | None:
    """Byte (from 0) and line (from 1) of the first byte that is invalid in the encoding; the line only if lines can
    be counted by bytes."""
    decode = codecs.getincrementaldecoder(encoding)()
    wide = encoding.startswith("utf-16")
    done, lines = 0, 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            held = len(decode.getstate()[0])
            try:
                decode.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                at = max(0, done - held + error.start)
                lines += chunk[: max(0, error.start - held)].count(b"\n")
                return at, None if wide else lines
            if not chunk:
                return None
            done += len(chunk)
            lines += chunk.count(b"\n")


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
