"""Converts a file to the one form of CSV that the service reads: UTF-8 without a byte order mark, commas, RFC 4180.

A file that has this form already (lines ending in LF, or all in CR LF), and Parquet, are handed in unchanged. For
another file a copy ``NAME.civic.csv`` with LF is written beside it, with every cell's text unchanged.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TextIO

from api.files import workbook
from api.files.bytes import Kind, encoding_of, kind_of
from api.files.errors import FileError
from api.files.header import check_header
from api.files.records import DELIMITERS, Dialect, dialect_of, records
from api.files.workbook import Sheet
from ledger.counts import counted

SUFFIX = ".civic.csv"
_QUOTED = re.compile('[,"\r\n]')
SAID = 5
"""The number of lines that a refusal names individually."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """How a file was read. ``dialect`` is for a text, ``sheet`` for a workbook; Parquet has neither.

    ``rows`` counts data rows; None for Parquet, which is not read here. ``canonical``: the service can read it
    unchanged.
    """

    kind: Kind
    canonical: bool
    dialect: Dialect | None = None
    sheet: Sheet | None = None
    header: tuple[str, ...] = ()
    rows: int | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON document without values of the file's rows."""
        document: dict[str, object] = {"kind": self.kind, "canonical": self.canonical}
        if self.rows is not None:
            document["rows"] = self.rows
        if self.dialect is not None:
            names = {mark: name for name, mark in DELIMITERS.items()}
            document["encoding"] = self.dialect.encoding
            document["delimiter"] = names.get(self.dialect.delimiter, self.dialect.delimiter)
        if self.sheet is not None:
            document["sheet"] = self.sheet.name
            document["other_sheets"] = list(self.sheet.others)
            document["numbers_beyond_15_digits"] = self.sheet.long_numbers
            document["blank_rows"] = self.sheet.blank_rows
        return document


@dataclass(frozen=True, slots=True)
class Prepared:
    """The file to hash and hand in: the steward's own, or the converted copy."""

    path: Path
    original: Path
    recognised: Recognised

    @property
    def written(self) -> bool:
        """Whether a converted copy is handed in."""
        return self.path != self.original

    @property
    def format(self) -> str:
        """The format's name in a catalogue entry."""
        return "parquet" if self.recognised.kind == "parquet" else "csv"


def recognise(path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = "") -> Recognised:
    """Recognise a file, which is read to its end; nothing is written. Raises FileError, and OSError if there is no
    file."""
    return _copied(path, None, encoding, delimiter, sheet)


def prepare(
    path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = "", folder: Path | None = None
) -> Prepared:
    """The file to hand in for ``path``: itself, or a converted copy (in ``folder``, else beside it) if the service
    cannot read it. An older copy is replaced only after success. Raises FileError and OSError; then no copy is
    left."""
    if kind_of(path) != "xlsx":
        found = _copied(path, None, encoding, delimiter, sheet)
        if found.canonical:
            return Prepared(path, path, found)
    target = (folder or path.parent) / (path.name + SUFFIX)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        found = _copied(path, draft, encoding, delimiter, sheet)
        os.replace(draft, target)
        return Prepared(target, path, found)
    finally:
        draft.unlink(missing_ok=True)


def numbered_rows(path: Path, found: Recognised) -> Iterator[tuple[int, list[str]]]:
    """The data rows of a recognised file, each with its line, or its row in the sheet; empty for Parquet."""
    if found.dialect is not None:
        for record in islice(records(path, found.dialect), 1, None):
            if record.cells:
                yield record.line, record.cells
    elif found.sheet is not None:
        with workbook.opened(path, found.sheet.name) as (_, rows):
            yield from islice(rows, 1, None)


def _copied(path: Path, target: Path | None, encoding: str, delimiter: str, sheet: str) -> Recognised:
    kind = kind_of(path)
    _must_apply(path, kind, encoding or delimiter, sheet)
    if kind == "parquet":
        return Recognised(kind, canonical=True)
    with _writer(path, target) as out:
        if kind == "xlsx":
            return _copy_sheet(path, sheet, out)
        return _copy_text(path, dialect_of(path, encoding_of(path, encoding), delimiter), out)


def _must_apply(path: Path, kind: Kind, text_options: str, sheet: str) -> None:
    if text_options and kind != "csv":
        raise FileError("file.option", path, "only a text has an encoding and a delimiter")
    if sheet and kind != "xlsx":
        raise FileError("file.option", path, "only a workbook has sheets")


class _Out:
    """Writes canonical records, or nothing. A cell that contains only a CR as line break is quoted too, which
    Python 3.11 does not do."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def write(self, cells: list[str]) -> None:
        if self._file is not None:
            line = ",".join(map(_written, cells))
            self._file.write((line or '""') + "\n")


def _written(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell


@contextmanager
def _writer(path: Path, target: Path | None) -> Iterator[_Out]:
    """A writer whose copy has the permissions of the original."""
    with ExitStack() as stack:
        if target is None:
            yield _Out(None)
            return
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        file = stack.enter_context(os.fdopen(handle, "w", encoding="utf-8", newline=""))
        yield _Out(file)
        file.flush()
        os.fsync(file.fileno())
        shutil.copymode(path, target)


def _copy_text(path: Path, dialect: Dialect, out: _Out) -> Recognised:
    header: tuple[str, ...] = ()
    ends: set[str] = set()
    plain = True
    rows = 0
    ragged = _Ragged(path)
    for record in records(path, dialect):
        ends.add(record.end)
        plain = plain and record.regular
        if not record.cells:
            continue
        if not header:
            header = tuple(record.cells)
            places = [f"column {number}" for number in range(1, len(header) + 1)]
            check_header(path, header, places, record.line)
        elif len(record.cells) != len(header):
            ragged.add(record.line, len(record.cells))
        else:
            rows += 1
        out.write(record.cells)
    ragged.must_be_none(len(header))
    _must_have_rows(path, rows)
    ends.discard("")
    canonical = (
        plain
        and (dialect.encoding, dialect.delimiter, dialect.skipped) == ("utf-8", ",", 0)
        and ends <= {"\n"} | ({"\r\n"} if len(ends) == 1 else set())
    )
    return Recognised("csv", canonical, dialect, None, header, rows)


def _copy_sheet(path: Path, named: str, out: _Out) -> Recognised:
    header: tuple[str, ...] = ()
    rows = 0
    with workbook.opened(path, named) as (sheet, found):
        for number, cells in found:
            if not header:
                header = tuple(cells)
                places = [f"column {letters(place)} of sheet {sheet.name}" for place in range(len(header))]
                check_header(path, header, places, number)
            elif len(cells) > len(header):
                raise FileError(
                    "file.header",
                    path,
                    "there is a value in a column that has no name",
                    cell=f"{sheet.name}!{letters(len(cells) - 1)}{number}",
                )
            else:
                rows += 1
            out.write(cells + [""] * (len(header) - len(cells)))
        _must_have_rows(path, rows)
        return Recognised("xlsx", False, None, replace(sheet), header, rows)


class _Ragged:
    """Lines with another number of cells than the header: the first ones, and how many."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: list[tuple[int, int]] = []
        self._count = 0

    def add(self, line: int, width: int) -> None:
        self._count += 1
        if len(self._first) < SAID:
            self._first.append((line, width))

    def must_be_none(self, width: int) -> None:
        if self._first:
            named = ", ".join(f"line {line}: {cells}" for line, cells in self._first)
            raise FileError(
                "file.ragged",
                self._path,
                f"the header has {counted(width, 'cell')}, but {counted(self._count, 'record has', 'records have')} another number of them ({named})",
                line=self._first[0][0],
            )


def _must_have_rows(path: Path, rows: int) -> None:
    if not rows:
        raise FileError("file.no-rows", path, "there is a header and no row")


def letters(place: int) -> str:
    """The letters of a sheet's column, counted from 0."""
    name = ""
    number = place + 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("A") + rest) + name
    return name
