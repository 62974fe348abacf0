"""A file is shown before it is signed: types with reasons, first rows, defects, and open questions."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from api.cli.column_signs import _CHECK, _WEIGHTS, is_identity_number, signs_of
from api.cli.profile import Profile
from api.sdk.acts import read_act
from tests.api.cli.conftest import Run

SURNAMES = "王李张刘陈杨黄赵周吴徐孙"


def identity(number: int) -> str:
    """A number of 18 characters with its check character; the person does not exist."""
    digits = f"11010119900307{number:03d}"
    return digits + _CHECK[sum(int(d) * w for d, w in zip(digits, _WEIGHTS, strict=True)) % 11]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    lines = ["甲,证号,联络,出生,费用,区,时间,备注"]
    for n in range(12):
        born = "1990/3/7" if n == 5 else "1990-03-07"
        lines.append(
            f"{SURNAMES[n]}{'小明' if n % 2 else '伟'},{identity(n)},138001380{n:02d},{born},{n}.50,01{n % 3},"
            f"2024-01-0{n % 9 + 1} 10:00,{'NA' if n == 3 else ''}"
        )
    path = tmp_path / "people.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("gbk"))
    return path


def test_types_and_why(run: Run, people: Path) -> None:
    found = run("dataset", "inspect", people, "--json").document
    columns = {one["name"]: one for one in found["columns"]}
    assert {name: one["type"] for name, one in columns.items()} == {
        "甲": "string",
        "证号": "string",
        "联络": "integer",
        "出生": "string",
        "费用": "decimal(2)",
        "区": "string",
        "时间": "datetime",
        "备注": "string",
    }
    assert (
        columns["出生"]["why"] == "11 of 12 values fit date; row 6 is a date that is not written YYYY-MM-DD"
    )
    assert columns["区"]["why"] == "row 1 has leading zeros, which a number would lose"
    assert "digits" in columns["证号"]["why"]
    assert (found["zone"], found["schema"]["zone"]) == ("Asia/Shanghai", "Asia/Shanghai")
    assert found["read_as"]["encoding"] == "gb18030"
    assert found["rows"] == 12
    assert [one.name for one in people.parent.iterdir()] == ["people.csv"]


def test_identifying_values_are_hidden_and_questioned(run: Run, people: Path) -> None:
    done = run("dataset", "inspect", people, "--json")
    found = done.document
    asked = {one["name"]: one["questions"] for one in found["columns"] if one["questions"]}
    assert asked == {
        "甲": ["name", "all-different"],
        "证号": ["identity", "all-different"],
        "联络": ["mobile", "all-different"],
    }
    assert found["person_key_candidates"] == ["证号", "联络"]
    assert identity(0) not in done.out
    assert found["first_rows"][0]["甲"] == "***"
    assert found["first_rows"][0]["出生"] == "1990-03-07"
    for told in (run("dataset", "inspect", people), run("dataset", "inspect", people, "--show-values")):
        assert told.code == 0
        assert "looks like identity numbers and is plain" in told.out
        assert (identity(0) in told.out) == (told.out.count("***") == 0)
    classed = ["--class", "甲=identifier", "--class", "证号=identifier", "--class", "联络=sensitive"]
    settled = run("dataset", "inspect", people, *classed, "--person-key", "证号", "--json").document
    assert not any(one["questions"] for one in settled["columns"])
    assert settled["person_key_candidates"] == []
    assert settled["first_rows"][0]["甲"] == "***"


def test_defects_have_the_lines_of_the_stewards_file(run: Run, people: Path) -> None:
    found = run("dataset", "inspect", people, "--type", "出生=date", "--missing", "NA", "--json").document
    [born] = [one for one in found["columns"] if one["name"] == "出生"]
    assert born["defects"] == [{"kind": "type", "count": 1, "rows": [6], "lines": [7]}]
    assert found["schema"]["missingValues"] == ["", "NA"]
    said = run("dataset", "inspect", people, "--type", "出生=date")
    assert "defect in 出生: 1 cell is not of the type and is released as null (line 7)" in said.out


def test_several_spellings_are_reported(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("town\nRome\nrome\nParis\n")
    assert run("dataset", "inspect", path, "--json").document["spellings"] == [
        {"column": "town", "values": 1}
    ]
    assert "town: 1 value is written in several ways" in run("dataset", "inspect", path).out


def test_wide_table_is_inspected(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names, row = (",".join(f"{word}{n}" for n in range(300)) for word in ("c", "0."))
    path.write_text(f"{names}\n{row}\n{row}x\n")
    columns = run("dataset", "inspect", path, "--json").document["columns"]
    assert (len(columns), columns[299]["type"]) == (300, "string")
    assert columns[299]["why"] == "1 of 2 values fit number; row 2 is a text"


def test_sheet_rows_are_numbered(run: Run, tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["n"], [1], [None], ["x"]):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    found = run("dataset", "inspect", tmp_path / "a.xlsx", "--type", "n=integer", "--json").document
    assert found["columns"][0]["defects"] == [{"kind": "type", "count": 1, "rows": [2], "lines": [4]}]
    assert found["read_as"]["sheet"] == "Sheet"


def test_a_parquet_file_says_its_types(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "anything"
    pq.write_table(pa.table({"n": [1, 2], "t": ["a", None]}), path)
    found = run("dataset", "inspect", path, "--json").document
    assert [(one["type"], one["why"]) for one in found["columns"]] == [
        ("integer", "the file says BIGINT"),
        ("string", "the file says VARCHAR"),
    ]
    assert found["first_rows"] == [{"n": "1", "t": "a"}, {"n": "2", "t": None}]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--type", "nothing=date"], "schema.invalid"),
        (["--type", "费用=money"], "schema.invalid"),
        (["--zone", "Moon"], "usage"),
        (["--person-key", "nothing"], "schema.invalid"),
        (["--sheet", "x"], "file.option"),
        (["--profile", "/tmp"], "usage"),
    ],
)
def test_impossible_options_are_refused(run: Run, people: Path, options: list[str], code: str) -> None:
    assert run("dataset", "inspect", people, *options, "--json").error["code"] == code


def test_the_zone_is_the_installations(run: Run, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVIC_ZONE", "Europe/Berlin")
    assert run("dataset", "inspect", people, "--json").document["schema"]["zone"] == "Europe/Berlin"
    chosen = run("dataset", "inspect", people, "--zone", "UTC", "--json").document
    assert chosen["schema"]["zone"] == "UTC"


def test_written_schema_can_be_registered(run: Run, profile: Profile, people: Path, tmp_path: Path) -> None:
    schema, entry = tmp_path / "schema.json", tmp_path / "entry.json"
    options = ["--class", "证号=identifier", "--write", schema, "--write-entry", entry]
    assert run("dataset", "inspect", people, *options).code == 0
    again = run("dataset", "inspect", people, "--write", schema, "--json")
    assert again.error["code"] == "metadata.file"
    edited = json.loads(schema.read_text())
    edited["fields"][3]["type"] = "date"
    schema.write_text(json.dumps(edited))
    command = ["dataset", "register", "7.3", "--file", people, "--no-upload", "--json"]
    titled = ["--title-en", "People"]
    by_schema = run(*command, *titled, "--metadata", schema, "--save", tmp_path / "a.json")
    assert by_schema.code == 0, by_schema.out
    assert read_act(tmp_path / "a.json").documents[0]["schema"] == edited
    assert "defect in 出生" in by_schema.err
    assert by_schema.document["questioned"] == ["甲", "联络"]
    assert by_schema.document["signed_file"].endswith("people.csv.civic.csv")
    by_entry = run(*command, "--metadata", entry, "--save", tmp_path / "b.json")
    assert by_entry.code == 0, by_entry.out
    [one, other] = [read_act(tmp_path / name).documents[1]["sha256"] for name in ("a.json", "b.json")]
    assert one == other
    without = run(
        "dataset", "register", "7.3", "--metadata", schema, *titled, "--save", tmp_path / "c.json", "--json"
    )
    assert without.error["code"] == "usage"
    effectless = run(*command, "--metadata", entry, "--zone", "UTC", "--save", tmp_path / "c.json")
    assert effectless.error["code"] == "usage"


def test_a_file_without_a_declared_column_is_refused_before_it_is_signed(
    run: Run, profile: Profile, people: Path, tmp_path: Path
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"fields": [{"name": "gone", "type": "string", "class": "plain"}]}))
    options = [
        "--title-en",
        "x",
        "--metadata",
        schema,
        "--no-upload",
        "--save",
        tmp_path / "a.json",
        "--json",
    ]
    refused = run("dataset", "register", "7.3", "--file", people, *options)
    assert refused.error["code"] == "source.mismatch"
    assert not (tmp_path / "a.json").exists()


def test_identity_numbers_have_their_check_character() -> None:
    assert is_identity_number(identity(2))
    wrong = identity(2)[:-1] + ("0" if identity(2)[-1] != "0" else "1")
    assert not is_identity_number(wrong)
    assert not is_identity_number("110101199013071234")


@pytest.mark.parametrize(
    ("name", "values", "sign"),
    [
        ("citizen_id", ["1", "1"], "identifier"),
        ("customer name", ["a"], "name"),
        ("x", ["+86 138 0013 8000", "13800138001"], "mobile"),
        ("x", ["a@city.example"], "email"),
        ("x", [str(n) for n in range(10)], "all-different"),
        ("FirstName", ["a"], "name"),
    ],
)
def test_signs(name: str, values: list[str | None], sign: str) -> None:
    assert sign in signs_of(name, values, keyed=True)


@pytest.mark.parametrize(
    ("name", "values"), [("district", ["东城区", "西城区"] * 9), ("no2", ["1", "2", "2"])]
)
def test_no_sign(name: str, values: list[str | None]) -> None:
    assert signs_of(name, values, keyed=True) == ()
