"""Files are described, and the cells that break the description are reported by row; nothing is lost
silently."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.quality import MAX_DEFECTS, Defect, check_quality
from access_policy.privacy.execution.scan_errors import ScanError
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import AssetSchema, SchemaError, parse_schema
from access_policy.privacy.source import Source, SourceMismatch, SourceMissing

from .conftest import SCHEMA, Register, inferred_schema

FIELDS = [
    {"name": "id", "type": "string", "constraints": {"required": True}},
    {"name": "n", "type": "integer"},
    {"name": "x", "type": "number"},
    {"name": "d", "type": "date"},
    {"name": "t", "type": "datetime"},
    {"name": "b", "type": "boolean"},
    {"name": "ym", "type": "yearmonth"},
]
DECLARED = parse_schema({"fields": FIELDS, "missingValues": ["", "NA"]})
GOOD = "a,1,1.5,2020-02-29,2020-01-01T00:00:00Z,true,2020-12"


def csv_source(directory: Path, *lines: str, schema: AssetSchema = DECLARED) -> Source:
    path = directory / "q.csv"
    path.write_text("\n".join([",".join(schema.names()), *lines]) + "\n", encoding="utf-8")
    return Source(str(path), "csv", schema)


def test_a_good_file_is_clean(tmp_path: Path) -> None:
    report = check_quality(csv_source(tmp_path, GOOD, "b,NA,,,,,"))
    assert report.clean
    assert (report.rows, report.counts, report.defects) == (2, (), ())


def test_every_broken_cell_is_named_by_row_and_column(tmp_path: Path) -> None:
    report = check_quality(
        csv_source(
            tmp_path,
            GOOD,
            "b,1.7,1e400x,2021-02-29,yesterday,perhaps,2020-13",
            "NA,+5,-1e3,20200101,2020-01-01 10:00:00+08:00,FALSE,2020-1",
        )
    )
    assert not report.clean
    assert report.readable
    assert [(d.row, d.column, d.kind) for d in report.defects] == [
        (2, "n", "type"),
        (2, "x", "type"),
        (2, "d", "type"),
        (2, "t", "type"),
        (2, "b", "type"),
        (2, "ym", "type"),
        (3, "id", "required"),
        (3, "d", "type"),
        (3, "ym", "type"),
    ]
    assert ("d", "type", 2) in report.counts


def test_a_report_holds_no_value(tmp_path: Path) -> None:
    report = check_quality(csv_source(tmp_path, "secret-id,secret-n,secret-x,s,s,s,s"))
    assert "secret" not in json.dumps(report.to_json())
    assert report.to_json()["rows"] == 1


def test_lines_of_the_wrong_shape_are_named_and_a_scan_refuses_the_file(register: Register) -> None:
    schema = parse_schema({"fields": [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]})
    source = csv_source(register.directory, "1,x", "2", "3,y,z", '4,"two\nlines"', "5,w", schema=schema)
    report = check_quality(source)
    assert not report.readable
    assert report.defects == (Defect("unreadable-line", 3, None), Defect("unreadable-line", 4, None))
    plan = compile_plan(parse_query({}), Permit("0x01", "r", ("a", "b"), None, {}), schema)
    with pytest.raises(ScanError), register.scanner.scan(plan, source) as scan:
        list(scan)


def test_missing_and_undeclared_columns_are_reported(tmp_path: Path) -> None:
    source = csv_source(
        tmp_path, "1,2", schema=parse_schema({"fields": [{"name": n, "type": "string"} for n in "ab"]})
    )
    declared = parse_schema({"fields": [{"name": n, "type": "string"} for n in "bc"]})
    report = check_quality(Source(source.path, "csv", declared))
    assert report.defects == (Defect("missing-column", None, "c"), Defect("undeclared-column", None, "a"))


def test_parquet_is_checked_too(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", None, "c"], "n": [1.0, 2.5, None], "d": ["2020-01-01", "x", None]})
    pq.write_table(table, tmp_path / "q.parquet")
    declared = parse_schema({"fields": [FIELDS[0], FIELDS[1], FIELDS[3]]})
    report = check_quality(Source(str(tmp_path / "q.parquet"), "parquet", declared))
    assert report.defects == (
        Defect("required", 2, "id"),
        Defect("type", 2, "n"),
        Defect("type", 2, "d"),
    )


def test_beyond_the_limit_defects_are_still_counted(tmp_path: Path) -> None:
    schema = parse_schema({"fields": [{"name": "n", "type": "integer"}, {"name": "m", "type": "string"}]})
    report = check_quality(csv_source(tmp_path, *["x,y"] * (MAX_DEFECTS + 5), schema=schema))
    assert len(report.defects) == MAX_DEFECTS
    assert report.counts == (("n", "type", MAX_DEFECTS + 5),)


def test_broken_cells_are_released_as_null_and_counted(register: Register) -> None:
    source = csv_source(register.directory, GOOD, "b,1.7,2,2021-02-29,,,", "c,3,,,,,")
    plan = compile_plan(parse_query({}), Permit("0x01", "r", DECLARED.names(), None, {}), DECLARED)
    with register.scanner.scan(plan, source) as scan:
        rows = [row for batch in scan for row in batch.to_pylist()]
        assert scan.summary is not None
        assert scan.summary.invalid_cells == 2
    assert [(row["id"], row["n"], row["d"]) for row in rows[1:]] == [("b", None, None), ("c", 3, None)]


@pytest.mark.parametrize("content", [b"", b"\xff\xfea,b\n", b"a,\xe9\n", b"a,b\n1,\xe9\n"])
def test_non_utf8_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    schema = parse_schema({"fields": [{"name": "a", "type": "string"}]})
    with pytest.raises(SourceMismatch):
        check_quality(Source(str(tmp_path / "x.csv"), "csv", schema))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        check_quality(Source(str(tmp_path / "gone.csv"), "csv", DECLARED))
    with pytest.raises(SourceMissing):
        inferred_schema(tmp_path / "gone.csv")


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_inference_finds_the_declared_types(register: Register, file_format: str) -> None:
    found = inferred_schema(register.source(file_format).path)
    assert [(c.name, c.type) for c in found.columns] == [(c.name, c.type) for c in SCHEMA.columns]
    assert {column.classification for column in found.columns} == {"plain"}


def test_inference_keeps_codes_as_text_and_empty_columns_open(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(
        "postcode,number,mixed,empty,flag,at\n0822,10,1,,true,10:00:00\n3000,-7,x,,false,23:59:59\n"
    )
    kinds = {column.name: column.type for column in inferred_schema(path).columns}
    assert kinds == {
        "postcode": "string",
        "number": "integer",
        "mixed": "string",
        "empty": "string",
        "flag": "boolean",
        "at": "time",
    }


def test_header_with_spaces_is_reported_with_its_position(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a, b\n1, 2\n")
    with pytest.raises(SchemaError) as stray:
        inferred_schema(tmp_path / "x.csv")
    assert stray.value.pointer == "/fields/1/name"
