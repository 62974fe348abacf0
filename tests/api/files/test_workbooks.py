"""A sheet of a workbook becomes CSV by a stated rule; what has no text is refused with its cell."""

from __future__ import annotations

import csv
import datetime as dt
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from api.files import FileError, Prepared, prepare
from api.sdk.drafts import source_of


def saved(path: Path, rows: list[list[Any]], formats: dict[str, str] | None = None) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "数据"
    for row in rows:
        sheet.append(row)
    for place, pattern in (formats or {}).items():
        sheet[place].number_format = pattern
    other = book.create_sheet("other")
    other.append(["x"])
    other.append([1])
    book.save(path)
    return path


def read(prepared: Prepared) -> list[list[str]]:
    with prepared.path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


def edited(path: Path, pattern: str, by: str) -> Path:
    """The workbook with its first sheet's XML changed, as another program might have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = re.sub(pattern, by, parts[name].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    return path


def test_each_kind_of_cell_becomes_its_text(tmp_path: Path) -> None:
    cells: dict[str, tuple[Any, str, str]] = {
        "text": ("0117", "General", "0117"),
        "blanks": (" a ", "General", " a "),
        "lines": ('two\n"lines", x', "General", 'two\n"lines", x'),
        "whole": (12.0, "General", "12"),
        "fraction": (0.1, "General", "0.1"),
        "small": (1e-7, "General", "0.0000001"),
        "large": (1e20, "General", "100000000000000000000"),
        "zeros": (117, "000000", "000117"),
        "shown": (12.5, "0.00", "12.5"),
        "negative": (-3, "000", "-3"),
        "yes": (True, "General", "true"),
        "date": (dt.date(2024, 1, 3), "yyyy/m/d", "2024-01-03"),
        "day": (dt.datetime(2024, 1, 3), 'yyyy"年"m"月"d"日"', "2024-01-03"),
        "midnight": (dt.datetime(2024, 1, 3), "yyyy-mm-dd hh:mm", "2024-01-03T00:00:00"),
        "moment": (dt.datetime(2024, 1, 3, 8, 30), "yyyy-mm-dd", "2024-01-03T08:30:00"),
        "clock": (dt.time(8, 30), "hh:mm", "08:30:00"),
        "hours": (dt.timedelta(hours=26, minutes=5), "[hh]:mm", "26:05:00"),
        "missing": (None, "General", ""),
        "last": ("x", "General", "x"),
    }
    path = tmp_path / "odd.csv"
    names = list(cells)
    formats = {f"{chr(65 + n)}2": cells[name][1] for n, name in enumerate(names)}
    saved(tmp_path / "odd.xlsx", [names, [cells[name][0] for name in names]], formats).rename(path)
    prepared = prepare(path)
    header, row = read(prepared)
    assert dict(zip(header, row, strict=True)) == {name: cells[name][2] for name in names}
    assert (prepared.path.name, prepared.format) == ("odd.csv.civic.csv", "csv")
    sheet = prepared.recognised.sheet
    assert sheet is not None
    assert (sheet.name, sheet.others) == ("数据", ("other",))
    assert (sheet.long_numbers, sheet.first_long) == (1, "数据!G2")


def test_a_sheet_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", [["a"], [1]])
    assert read(prepare(path, sheet="other")) == [["x"], ["1"]]
    with pytest.raises(FileError) as refused:
        prepare(path, sheet="third")
    assert refused.value.code == "file.no-sheet"
    assert "数据" in refused.value.hint


def test_numbers_that_excel_rounded_are_counted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", [["id"], [110101199003071200], [123456789012345]])
    prepared = prepare(path)
    assert read(prepared)[1:] == [["110101199003071200"], ["123456789012345"]]
    assert prepared.recognised.to_json()["numbers_beyond_15_digits"] == 1


def test_short_and_blank_rows(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", [["a", "b"], [1, None], [None, None], [None, 2], [None, None]])
    edited(path, r'<dimension ref="[^"]*"\s*/>', '<dimension ref="A1"/>')
    prepared = prepare(path)
    assert read(prepared) == [["a", "b"], ["1", ""], ["", "2"]]
    assert prepared.recognised.to_json()["blank_rows"] == 1


@pytest.mark.parametrize(
    ("rows", "code", "cell"),
    [
        ([["a", "b"], [1, "=A2*2"]], "file.formula", "数据!B2"),
        ([["a", "b"], [1, "#DIV/0!"]], "file.cell-error", "数据!B2"),
        ([["a", "b"], [1, 2], [1, 2, 3]], "file.header", "数据!C3"),
        ([["a", "A"], [1, 2]], "file.header", None),
        ([["a", None, "b"], [1, 2, 3]], "file.header", None),
        ([["Statistics of 2024"], ["a", "b"], [1, 2]], "file.header", "数据!B2"),
        ([["a", "b"]], "file.no-rows", None),
    ],
)
def test_cell_without_text_is_refused(
    rows: list[list[Any]], code: str, cell: str | None, tmp_path: Path
) -> None:
    path = saved(tmp_path / "a.xlsx", rows)
    with pytest.raises(FileError) as refused:
        prepare(path)
    assert (refused.value.code, refused.value.cell) == (code, cell)
    assert [one.name for one in tmp_path.iterdir()] == ["a.xlsx"]


def test_a_formula_is_the_value_that_it_gave(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", [["a", "b"], [1, "=A2*2"]])
    edited(path, r"<f>A2\*2</f>\s*<v\s*/>|<f>A2\*2</f>\s*<v></v>", "<f>A2*2</f><v>2</v>")
    assert read(prepare(path)) == [["a", "b"], ["1", "2"]]


def test_a_damaged_workbook_is_refused(tmp_path: Path) -> None:
    path = edited(saved(tmp_path / "a.xlsx", [["a"], [1]]), "</row>", "")
    with pytest.raises(FileError) as refused:
        prepare(path)
    assert refused.value.code == "file.not-a-table"


def test_workbook_is_always_converted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", [["a"], [1]]).rename(tmp_path / "a.csv")
    with pytest.raises(FileError) as refused:
        source_of(path)
    assert refused.value.code == "file.not-csv"
    assert source_of(prepare(path).path)["format"] == "csv"
