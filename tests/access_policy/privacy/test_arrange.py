"""Arranged by person, an asset says the same and is found faster."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from access_policy.decision import Permit
from access_policy.privacy.arrange import NoPersonKey, arrange_by_person
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source, SourceMismatch
from access_policy.privacy.transforms import Pseudonym

from .conftest import ROWS, SECRET, Register


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_the_same_rows_ordered_by_person(register: Register, file_format: str) -> None:
    target = register.directory / f"arranged-{file_format}.parquet"
    arranged, report = arrange_by_person(register.source(file_format), target)
    assert report.clean
    with register.scanner.scan(register.plan(), arranged) as scan:
        rows = [row for batch in scan for row in batch.to_pylist()]
    keys = [row["citizen id"] for row in rows]
    assert keys == sorted(keys, key=lambda key: (key is None, key or ""))
    assert sorted(rows, key=repr) == sorted(ROWS, key=repr)


def test_a_pseudonymised_answer_is_the_same_bytes_from_either_layout(register: Register) -> None:
    arranged, _ = arrange_by_person(register.source("csv"), register.directory / "a.parquet")
    plan = register.plan({}, {"citizen id": Pseudonym()})
    with register.scanner.scan(plan, arranged, SECRET) as scan:
        rows = [row for batch in scan for row in batch.to_pylist()]
    with register.scanner.scan(plan, register.source("csv"), SECRET) as scan:
        assert rows == [row for batch in scan for row in batch.to_pylist()]


def test_cells_that_break_the_schema_are_kept_as_they_are(register: Register) -> None:
    schema = parse_schema(
        {"fields": [{"name": "id", "type": "string"}, {"name": "n", "type": "integer"}], "personKey": "id"}
    )
    path = register.directory / "broken.csv"
    path.write_text("id,n,undeclared\nb,2,x\na,one,y\n")
    arranged, report = arrange_by_person(Source(str(path), "csv", schema), register.directory / "b.parquet")
    assert report.counts == (("undeclared", "undeclared-column", 1), ("n", "type", 1))
    assert pq.read_table(arranged.path).to_pylist() == [
        {"id": "a", "n": "one", "undeclared": "y"},
        {"id": "b", "n": "2", "undeclared": "x"},
    ]
    plan = compile_plan(parse_query({}), Permit("0x01", "r", ("id", "n"), None, {}), schema)
    with register.scanner.scan(plan, arranged) as scan:
        assert [row["n"] for batch in scan for row in batch.to_pylist()] == [None, 2]
        assert scan.summary is not None
        assert scan.summary.invalid_cells == 1


def test_without_a_person_key_there_is_nothing_to_arrange_by(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    schema = parse_schema({"fields": [{"name": "a", "type": "string"}]})
    with pytest.raises(NoPersonKey):
        arrange_by_person(Source(str(tmp_path / "x.csv"), "csv", schema), tmp_path / "y.parquet")


def test_a_failed_arrangement_leaves_what_was_there(tmp_path: Path) -> None:
    schema = parse_schema({"fields": [{"name": "a", "type": "string"}], "personKey": "a"})
    (tmp_path / "x.csv").write_text("a\n1,2\n")
    (tmp_path / "y.parquet").write_bytes(b"before")
    with pytest.raises(SourceMismatch):
        arrange_by_person(Source(str(tmp_path / "x.csv"), "csv", schema), tmp_path / "y.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "y.parquet"]
    assert (tmp_path / "y.parquet").read_bytes() == b"before"
