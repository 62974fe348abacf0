"""A small register, the same rows as CSV and as Parquet, and a real scanner over it."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.inference import infer_columns, schema_of_columns
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import Plan, compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import AssetSchema, parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.rows import RowPredicate
from access_policy.terms.transforms import Transform

SECRET = b"a gateway's secret, only of tests"

SCHEMA: AssetSchema = parse_schema(
    {
        "fields": [
            {"name": "citizen id", "type": "string", "class": "identifier"},
            {"name": "name", "type": "string", "class": "identifier"},
            {"name": "born", "type": "date", "class": "quasi-identifier"},
            {"name": "age", "type": "integer", "class": "quasi-identifier", "unit": "a"},
            {"name": "income", "type": "number", "class": "sensitive", "unit": "CNY/mo"},
            {"name": "district", "type": "string"},
            {"name": "insured", "type": "boolean"},
            {"name": "seen", "type": "datetime"},
        ],
        "personKey": "citizen id",
    }
)

ROWS: list[dict[str, Any]] = [
    {
        "citizen id": None if i % 17 == 0 else f"C{i % 40:03d}",
        "name": None if i % 11 == 0 else ["王芳", 'Ana "Q" O\'Neil', "Li, Wei", "Zoë", "x"][i % 5],
        "born": None if i % 13 == 0 else dt.date(1930, 1, 31) + dt.timedelta(days=97 * i),
        "age": None if i % 7 == 0 else (i * 37) % 97 - 3,
        "income": None if i % 5 == 0 else round(((i * 7919) % 10007) / 7, 3),
        "district": None if i % 19 == 0 else ["north", "south", "old town", "'; DROP"][i % 4],
        "insured": None if i % 6 == 0 else i % 2 == 0,
        "seen": None
        if i % 9 == 0
        else dt.datetime(2026, 1, 31, 20, 0, tzinfo=dt.UTC) + dt.timedelta(hours=11 * i),
    }
    for i in range(120)
]


@dataclass(frozen=True)
class Register:
    """The register on disk, and the function with which tests read it."""

    directory: Path
    scanner: Scanner
    schema: AssetSchema = SCHEMA

    def source(self, file_format: str = "parquet") -> Source:
        return Source(str(self.directory / f"register.{file_format}"), file_format, self.schema)  # type: ignore[arg-type]

    def plan(
        self,
        query: object = None,
        transforms: Mapping[str, Transform] | None = None,
        *,
        columns: tuple[str, ...] | None = None,
        rows: RowPredicate | None = None,
        grant: str = "0x01",
    ) -> Plan:
        permit = Permit(
            grant, "r1", self.schema.names() if columns is None else columns, rows, transforms or {}
        )
        return compile_plan(parse_query(query or {}), permit, self.schema)

    def read(
        self, plan: Plan, file_format: str = "parquet", *, secret: bytes = SECRET
    ) -> list[dict[str, Any]]:
        with self.scanner.scan(plan, self.source(file_format), derive_grant_key(secret, plan.grant)) as scan:
            return [row for batch in scan for row in batch.to_pylist()]


@pytest.fixture(scope="session")
def register(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Register]:
    directory = tmp_path_factory.mktemp("register")
    write_register(directory)
    with Scanner([directory], size=2, timeout=30) as scanner:
        yield Register(directory, scanner)


def write_register(directory: Path) -> None:
    """The same rows in two formats: an RFC 4180 CSV with LF, and Parquet."""
    with (directory / "register.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SCHEMA.names())
        for row in ROWS:
            writer.writerow(["" if row[name] is None else _text(row[name]) for name in SCHEMA.names()])
    pq.write_table(pa.Table.from_pylist(ROWS), directory / "register.parquet")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else str(value)


def inferred_schema(path: str | Path, zone: str | None = None) -> AssetSchema:
    """The schema of a file without a description."""
    return schema_of_columns(infer_columns(path, zone), zone)
