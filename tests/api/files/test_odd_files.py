"""A corpus of files as other programs write them: each is read with every cell's text, or refused with its position."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access_policy.privacy.execution.engine import open_beside, physical_types
from access_policy.privacy.query import MAX_COLUMNS, MAX_NAME
from access_policy.privacy.schema import RESERVED_PREFIX, AssetSchema
from access_policy.privacy.source import LINE
from access_policy.privacy.sql import Statement, read_file
from api.advice.files import FILES
from api.files import FileError, prepare, recognise
from api.files.canonical import numbered_rows
from api.files.header import LONGEST_NAME, MOST_COLUMNS, RESERVED
from api.files.records import LONGEST
from api.http.problems import ADVICE
from languages.texts import translated

TEXT = '站点,说明,读数\n东门,"晴, 有""风""",0117\n西门,"两\n行",12.50\n'
ROWS = [["站点", "说明", "读数"], ["东门", '晴, 有"风"', "0117"], ["西门", "两\n行", "12.50"]]


def with_delimiter(mark: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=mark, lineterminator="\r\n").writerows(ROWS)
    return text.getvalue()


RECOGNISED = {
    "utf-8": (TEXT.encode(), "utf-8", "comma", True),
    "utf-8 in CR LF": (with_delimiter(",").encode(), "utf-8", "comma", True),
    "utf-8 without a last line end": (TEXT.rstrip().encode(), "utf-8", "comma", True),
    "a mark": (TEXT.encode("utf-8-sig"), "utf-8-sig", "comma", False),
    "GBK, as Excel writes it in China": (with_delimiter(",").encode("gbk"), "gb18030", "comma", False),
    "GB18030": (TEXT.replace("东门", "𠮷门").encode("gb18030"), "gb18030", "comma", False),
    "UTF-16 with tabs, Excel's Unicode text": (with_delimiter("\t").encode("utf-16"), "utf-16", "tab", False),
    "UTF-16 of the other order": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16", "comma", False),
    "semicolons": (with_delimiter(";").encode(), "utf-8", "semicolon", False),
    "pipes": (with_delimiter("|").encode(), "utf-8", "pipe", False),
    "Excel's own line": (b"sep=;\r\n" + with_delimiter(";").encode(), "utf-8", "semicolon", False),
    "CR alone": (with_delimiter(",").replace("\r\n", "\r").encode(), "utf-8", "comma", False),
    "LF and CR LF mixed": (TEXT.replace("读数\n", "读数\r\n").encode(), "utf-8", "comma", False),
    "a stray quotation mark": (b'a,b\n1,5" pipe\n', "utf-8", "comma", False),
    "one column": (b"a\n1\n\n2\n", "utf-8", "comma", True),
    "blank lines": (b"a,b\n1,2\n\n3,4\n\n", "utf-8", "comma", True),
    "decimal commas": (b"a;b\n1,5;2,5\n3,5;4\n", "utf-8", "semicolon", False),
    "a cell of 1 MB": (b"a,b\n" + b"x" * 1_000_000 + b",2\n", "utf-8", "comma", True),
}


@pytest.mark.parametrize("name", RECOGNISED)
def test_a_file_is_recognised_and_no_cell_is_changed(name: str, tmp_path: Path) -> None:
    content, encoding, delimiter, canonical = RECOGNISED[name]
    path = tmp_path / "anything.dat"
    path.write_bytes(content)
    prepared = prepare(path)
    found = prepared.recognised
    assert found.dialect is not None
    assert (found.kind, found.dialect.encoding, found.to_json()["delimiter"]) == ("csv", encoding, delimiter)
    assert (prepared.written, found.canonical) == (not canonical, canonical)
    assert path.read_bytes() == content
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted({path.name, prepared.path.name})
    with prepared.path.open(encoding="utf-8", newline="") as file:
        again = list(csv.reader(file, strict=True))
    mark = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}[delimiter]
    with path.open(encoding=encoding, newline="") as file:
        source = [row for row in csv.reader(file, delimiter=mark) if not row or not row[0].startswith("sep=")]
    if len(again[0]) > 1:
        source, again = ([row for row in rows if row] for rows in (source, again))
    assert again == source
    assert found.rows == len(again) - 1
    assert [cells for _, cells in numbered_rows(path, found)] == [row or [""] for row in again[1:]]
    assert recognise(prepared.path).canonical
    assert engine_reads(prepared.path) == [list(row or [""]) for row in again[1:]]
    if not canonical:
        assert not prepared.path.read_bytes().startswith(b"\xef\xbb\xbf")


def engine_reads(path: Path) -> list[list[str]]:
    """The rows as the service's engine reads them, which has no empty text beside null."""
    with open_beside(str(path)) as connection:
        physical = physical_types(connection, str(path), "csv")
        statement = Statement()
        reader = read_file(statement, str(path), "csv", AssetSchema(()), tuple(physical))
        found = connection.execute(f"SELECT * FROM {reader}", statement.parameters).fetchall()
    return [["" if cell is None else cell for cell in row] for row in found]


REFUSED = {
    "nothing": (b"", "file.empty", {}),
    "only a mark": (b"\xef\xbb\xbf", "file.empty", {}),
    "blank lines only": (b"\n\n \n", "file.empty", {}),
    "header only": (b"a,b\n", "file.no-rows", {}),
    "no encoding": (b"a,b\n1,2\n\xff\xff,3\n", "file.encoding", {"byte": 8, "line": 3}),
    "half a UTF-16": (b"\xff\xfea\x00,\x00b\x00\n", "file.encoding", {"byte": 8}),
    "UTF-16 without a mark": ("a,b\n1,2\n".encode("utf-16-le"), "file.nul", {"line": 1}),
    "NUL in a cell": (b"a,b\n1,2\n3,\x004\n", "file.nul", {"line": 3}),
    "the same name twice": (b"id,ID\n1,2\n", "file.header", {"line": 1}),
    "no name": (b"a,,c\n1,2,3\n", "file.header", {"line": 1}),
    "a blank name": (b"a, ,c\n1,2,3\n", "file.header", {"line": 1}),
    "a long name": (b"a," + b"x" * 129 + b"\n1,2\n", "file.header", {"line": 1}),
    "a blank before a name": (b"a, b\n1,2\n", "file.header", {"line": 1}),
    "a line break in a name": (b'a,"b\nc"\n1,2\n', "file.header", {"line": 1}),
    "1,001 columns": (b",".join(b"c%d" % n for n in range(1001)) + b"\n" + b"," * 1000 + b"\n", "file.header", {"line": 1}),
    "ragged": (b"a,b\n1,2\n3\n4,5,6\n", "file.ragged", {"line": 3}),
    "an open quotation mark": (b'a,b\n1,2\n3,"4\n5,6\n', "file.quote", {"line": 3}),
    "text after a quotation mark": (b'a,b\n1,"2" x\n', "file.quote", {"line": 2}),
    "CR in a line": (b"a,b\n1,2\r3,4\n", "file.line-ends", {"line": 2}),
    "two delimiters fit": (b"a;b,c;d\n1;2,3;4\n", "file.delimiter", {}),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "file.old-xls", {}),
    "a PDF": (b"%PDF-1.7\n1,2\n", "file.not-a-table", {}),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(9), "file.not-a-table", {}),
    "a broken archive": (b"PK\x03\x04" + bytes(99), "file.not-a-table", {}),
    "an endless record": (b'a,b\n1,"' + b"x\n" * (1 << 20), "file.long-record", {"line": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_file_names_its_position_and_leaves_no_copy(name: str, tmp_path: Path) -> None:
    content, code, place = REFUSED[name]
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(FileError) as refused:
        prepare(path)
    error = refused.value
    assert error.code == code
    assert error.file == "odd.csv"
    known = {name: getattr(error, name) for name in ("line", "byte") if getattr(error, name) is not None}
    assert known == place
    assert code in ADVICE
    assert [one.name for one in tmp_path.iterdir()] == ["odd.csv"]


def test_named_encoding_and_delimiter_are_used_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a;b,c;d\n1;2,3;é\n".encode("windows-1252"))
    found = recognise(path, encoding="windows-1252", delimiter="semicolon")
    assert found.header == ("a", "b,c", "d")
    for options, code in {
        ("utf-8", "comma"): "file.encoding",
        ("klingon", ""): "file.encoding-name",
        ("rot13", ""): "file.encoding-name",
        ("windows-1252", "xx"): "file.delimiter-name",
    }.items():
        with pytest.raises(FileError) as refused:
            recognise(path, encoding=options[0], delimiter=options[1])
        assert refused.value.code == code
    with pytest.raises(FileError) as refused:
        recognise(path, encoding="windows-1252", delimiter=";", sheet="x")
    assert refused.value.code == "file.option"


def test_bounds_are_those_of_a_schema() -> None:
    assert (LONGEST_NAME, MOST_COLUMNS, RESERVED) == (MAX_NAME, MAX_COLUMNS, RESERVED_PREFIX)
    assert LONGEST == LINE
    assert f"{LINE:,}" in FILES["file.long-record"].next
    assert str(LINE) in translated(FILES["file.long-record"].next, "zh")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=3, max_size=3), min_size=1),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)  # fmt: skip
def test_every_text_survives(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], encoding: str, mark: str, end: str
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    path = folder / "a.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
            [["a", "b", "c"], *rows]
        )
    prepared = prepare(path, encoding="" if encoding != "gb18030" else "gb18030", delimiter=mark)
    with prepared.path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file, strict=True)) == [["a", "b", "c"], *rows]
    assert engine_reads(prepared.path) == rows
