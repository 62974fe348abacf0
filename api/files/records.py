"""The records of a delimited text, each with its first line. Text that is not RFC 4180 is refused with its line.

Delimiters other than the comma, and line ends of CR alone, are accepted. The text of a cell is not changed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from api.files.errors import FileError

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
LONGEST = 2 << 20
"""The longest record in characters, as in the engine."""
_SAMPLE = 1 << 18
_RECORDS = 50
_SAID_BY_EXCEL = re.compile(r'"?sep=(.)"?(?:\r\n|\n|\r)')

csv.field_size_limit(LONGEST)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text is written. ``line_end`` divides the lines: ``\\n`` (also for CR LF) or ``\\r``; ``skipped`` are
    lines before the header (Excel's ``sep=;``)."""

    encoding: str
    delimiter: str
    line_end: str
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its first line, its cells, and whether it is written as in RFC 4180, with the line end ``end``."""

    line: int
    cells: list[str]
    end: str
    regular: bool


def dialect_of(path: Path, encoding: str, delimiter: str = "") -> Dialect:
    """The dialect of a text; a named delimiter is used without a check. Raises FileError if several delimiters fit."""
    with open(path, encoding=encoding, newline="") as file:
        sample = file.read(_SAMPLE)
    if not sample.strip():
        raise FileError("file.empty", path, "the file holds nothing")
    line_end = _line_end(sample)
    said = _SAID_BY_EXCEL.match(sample)
    if delimiter:
        mark = DELIMITERS.get(delimiter, delimiter)
        if len(mark) != 1 or mark in '"\r\n\x00' or mark.isalnum():
            raise FileError(
                "file.delimiter-name", path, "a delimiter is one character, or comma, semicolon, tab, pipe"
            )
    elif said and said[1] in DELIMITERS.values():
        mark = said[1]
    else:
        whole = len(sample) < _SAMPLE
        mark = _guess(path, sample[said.end() :] if said else sample, line_end, whole)
    return Dialect(encoding, mark, line_end, 1 if said else 0)


def records(path: Path, dialect: Dialect) -> Iterator[Record]:
    """Every record, the header first. Blank lines of a table with several columns are skipped. Raises FileError."""
    with open(path, encoding=dialect.encoding, newline=dialect.line_end) as file:
        for _ in range(dialect.skipped):
            file.readline(LONGEST)
        lines = _Lines(path, iter(lambda: file.readline(LONGEST + 1), ""), dialect)
        yield from _parsed(path, lines, dialect)


class _Lines:
    """Lines for the csv module; keeps the lines of the present record."""

    def __init__(self, path: Path, source: Iterator[str], dialect: Dialect) -> None:
        self._path, self._source = path, source
        self._cr = dialect.line_end == "\r"
        self.number = dialect.skipped
        self.first = self.number + 1
        self.kept: list[str] = []
        self._held = 0

    def begin(self) -> None:
        self.kept, self._held, self.first = [], 0, self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._source)
        self.number += 1
        self._held += len(line)
        if self._held > LONGEST:
            raise FileError(
                "file.long-record",
                self._path,
                f"a record has more than {LONGEST} characters; a quotation mark may be missing",
                line=self.first,
            )
        if "\x00" in line:
            raise FileError("file.nul", self._path, "there is a NUL character", line=self.number)
        self.kept.append(line)
        return line


def _parsed(path: Path, lines: _Lines, dialect: Dialect) -> Iterator[Record]:
    reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
    regular = _regular(dialect.delimiter)
    width = 0
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _fault(path, lines, str(error)) from None
        text = "".join(lines.kept)
        body = text.rstrip("\r\n")
        end = text[len(body) :]
        width = width or len(cells)
        if not cells:
            if width > 1:
                yield Record(lines.first, [], end, True)
                continue
            cells = [""]
        yield Record(lines.first, cells, end, '"' not in text or regular.fullmatch(body) is not None)


def _fault(path: Path, lines: _Lines, said: str) -> FileError:
    if "unexpected end" in said:
        return FileError(
            "file.quote", path, "a quotation mark that opens in this record is never closed", line=lines.first
        )
    if "new-line character" in said:
        return FileError(
            "file.line-ends",
            path,
            "lines end in two ways, or a cell with a line break is not quoted",
            line=lines.number,
        )
    return FileError(
        "file.quote",
        path,
        "something stands between a closing quotation mark and the delimiter",
        line=lines.number,
    )


def _regular(delimiter: str) -> re.Pattern[str]:
    mark = re.escape(delimiter)
    cell = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{mark}\r\n]*+)'
    return re.compile(rf"{cell}(?:{mark}{cell})*+")


def _line_end(sample: str) -> str:
    """The line end of the first record, outside quotation marks."""
    quoted = False
    for place, character in enumerate(sample):
        if character == '"':
            quoted = not quoted
        elif not quoted and character == "\n":
            return "\n"
        elif not quoted and character == "\r":
            return "\n" if sample[place + 1 : place + 2] in ("\n", "") else "\r"
    return "\n"


def _guess(path: Path, sample: str, line_end: str, whole: bool) -> str:
    """The delimiter with which the first records have the same number of cells, more than one; a comma if none has.

    If the comma and another one fit, the comma is taken if it gives as many cells; otherwise the delimiter is
    ambiguous.
    """
    widths = {mark: _widths(sample, mark, line_end, whole) for mark in DELIMITERS.values()}
    fitting = {mark: found[0] for mark, found in widths.items() if len(set(found)) == 1 and found[0] > 1}
    if not fitting:
        headers = {mark: found[0] for mark, found in widths.items() if found and found[0] > 1}
        return "," if "," in headers or not headers else max(headers, key=lambda mark: headers[mark])
    best = max(fitting.values())
    if len(fitting) == 1 or fitting.get(",") == best:
        return "," if fitting.get(",") == best else next(iter(fitting))
    names = [name for name, mark in DELIMITERS.items() if mark in fitting]
    raise FileError("file.delimiter", path, f"several delimiters fit: {', '.join(names)}")


def _widths(sample: str, mark: str, line_end: str, whole: bool) -> list[int]:
    """The widths of the first records; empty if they cannot be read with this delimiter."""
    lines = [piece + line_end for piece in sample.split(line_end)]
    if lines and not whole:
        lines.pop()
    found: list[int] = []
    reader = csv.reader(iter(lines), delimiter=mark, strict=True)
    try:
        for cells in islice(reader, _RECORDS):
            if cells:
                found.append(len(cells))
    except csv.Error as error:
        if "unexpected end" not in str(error) or whole:
            return []
    return found
