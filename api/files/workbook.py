"""Reads a sheet of an .xlsx workbook as records. `docs/files.md` says how a cell becomes text."""

from __future__ import annotations

import datetime as dt
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.files.errors import FileError

DIGITS = 15
"""The digits that Excel keeps of a number; further digits were replaced by zeros when the number was typed."""
MOST_BYTES = 2 << 30
"""The limit of bytes of an unpacked workbook."""
_ZEROS = re.compile(r"0{2,}")
_WORDS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
_CLOCK = re.compile(r"[hs]", re.IGNORECASE)


@dataclass(slots=True)
class Sheet:
    """A sheet: its name, the names of the other sheets, and the cells with numbers of more than 15 digits (the
    first, how many)."""

    name: str
    others: tuple[str, ...]
    long_numbers: int = 0
    first_long: str = ""
    blank_rows: int = 0


@contextmanager
def opened(path: Path, named: str = "") -> Iterator[tuple[Sheet, Iterator[tuple[int, list[str]]]]]:
    """The first sheet, or the named one, and its rows (number, texts), the header first.

    Rows without any value are skipped and counted. Raises FileError.
    """
    with _books(path) as (values, formulas):
        names = tuple(sheet.title for sheet in values.worksheets)
        if not names:
            raise FileError("file.no-sheet", path, "the workbook has no sheet with cells")
        if named and named not in names:
            raise FileError(
                "file.no-sheet",
                path,
                "the workbook has no sheet of this name",
                hint="--sheet " + ", ".join(names),
            )
        name = named or names[0]
        sheet = Sheet(name, tuple(one for one in names if one != name))
        yield sheet, _rows(path, sheet, values[name], formulas[name])


@contextmanager
def _books(path: Path) -> Iterator[tuple[Any, Any]]:
    """The workbook twice: with the saved values of formulas, and with the formulas."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    with ExitStack() as stack:
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(one.file_size for one in archive.infolist()) > MOST_BYTES:
                    raise FileError(
                        "file.too-large", path, "the workbook is larger than 2 GiB when it is unpacked"
                    )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                books = [
                    load_workbook(stack.enter_context(path.open("rb")), read_only=True, data_only=only)
                    for only in (True, False)
                ]
        except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError, EOFError):
            raise FileError("file.not-a-table", path, "the workbook is damaged") from None
        yield books[0], books[1]


def _rows(path: Path, sheet: Sheet, values: Any, formulas: Any) -> Iterator[tuple[int, list[str]]]:
    values.reset_dimensions()
    formulas.reset_dimensions()
    blank = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row, written in zip(values.iter_rows(), formulas.iter_rows(), strict=True):
                texts = [
                    _text(path, sheet, cell, formula) for cell, formula in zip(row, written, strict=True)
                ]
                while texts and not texts[-1]:
                    texts.pop()
                if not texts:
                    blank += 1
                    continue
                sheet.blank_rows += blank
                blank = 0
                yield int(next(cell.row for cell in row if cell.value is not None)), texts
    except (SyntaxError, KeyError, zipfile.BadZipFile, EOFError):
        raise FileError("file.not-a-table", path, "the sheet is damaged") from None


def _text(path: Path, sheet: Sheet, cell: Any, written: Any) -> str:
    """A cell as text. Raises FileError for an error value, and for a formula without a saved value."""
    value = cell.value
    if value is None:
        if written.data_type == "f":
            raise FileError(
                "file.formula", path, "the formula was saved without its value", cell=_place(sheet, written)
            )
        return ""
    if cell.data_type == "e":
        raise FileError("file.cell-error", path, "the cell holds an error value", cell=_place(sheet, cell))
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(sheet, cell, value)
        case dt.datetime():
            return _moment(value, str(cell.number_format))
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return _duration(value)
    raise FileError(
        "file.cell-error", path, "the cell holds nothing that is a text", cell=_place(sheet, cell)
    )


def _number(sheet: Sheet, cell: Any, value: int | float) -> str:
    exact = Decimal(repr(value))
    if exact != exact.to_integral_value():
        return format(exact, "f")
    digits = format(exact.quantize(Decimal(1)) if exact.adjusted() < 27 else exact, "f").split(".")[0]
    if len(digits.lstrip("-")) > DIGITS:
        sheet.long_numbers += 1
        sheet.first_long = sheet.first_long or _place(sheet, cell)
    pattern = str(cell.number_format)
    if _ZEROS.fullmatch(pattern) and not digits.startswith("-"):
        return digits.zfill(len(pattern))
    return "0" if digits == "-0" else digits


def _moment(value: dt.datetime, pattern: str) -> str:
    """A date if the cell shows no time and has none; otherwise date and time, without a zone."""
    shows_time = _CLOCK.search(_WORDS.sub("", pattern)) is not None
    if not shows_time and value.time() == dt.time(0):
        return value.date().isoformat()
    return value.isoformat()


def _duration(value: dt.timedelta) -> str:
    seconds = round(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _place(sheet: Sheet, cell: Any) -> str:
    return f"{sheet.name}!{cell.coordinate}"
