"""Whether a file keeps to its declared schema: inference of a first schema, and a report row by row.

Nothing is lost silently: a cell that is not of its declared type is released as null and counted by the
scanner, and named here by row and column. Reports hold no data values, only where they are and what is
wrong with them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import duckdb

from access_policy.privacy.engine import EngineLimits, open_hardened, physical_types
from access_policy.privacy.schema import AssetSchema, Column, FieldType, parse_schema
from access_policy.privacy.source import Source, SourceFormat, SourceMismatch, confine
from access_policy.privacy.sql import Statement, can_break, quote, read_file, typed

DefectKind: TypeAlias = Literal["type", "required", "missing-column", "undeclared-column", "unreadable-line"]
MAX_DEFECTS = 10_000
"""Defects named one by one; beyond it they are only counted."""

_SAMPLE_TYPES: tuple[FieldType, ...] = ("boolean", "integer", "number", "date", "datetime", "time")
_PHYSICAL_FIELDS: dict[str, FieldType] = {
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "FLOAT": "number",
    "DOUBLE": "number",
} | dict.fromkeys(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"), "integer"
)


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing wrong. ``row`` counts data rows from 1 (``unreadable-line``: lines of the file); None when
    it concerns the whole file."""

    kind: DefectKind
    row: int | None
    column: str | None


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What a file is like against its schema. ``counts`` are complete; ``defects`` the first MAX_DEFECTS.

    ``readable`` is False when lines of the file have the wrong shape: then a scan would refuse the file.
    """

    rows: int
    readable: bool
    counts: tuple[tuple[str, DefectKind, int], ...]
    defects: tuple[Defect, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing at all is wrong."""
        return self.readable and not self.counts

    def to_json(self) -> dict[str, object]:
        """A JSON document without data values."""
        return {
            "rows": self.rows,
            "readable": self.readable,
            "counts": [{"column": c, "kind": kind, "count": n} for c, kind, n in self.counts],
            "defects": [{"kind": d.kind, "row": d.row, "column": d.column} for d in self.defects],
        }


def infer_schema(path: str | Path) -> AssetSchema:
    """A first schema for a CSV or Parquet file (told by its suffix): names and types, every class *plain*.

    A CSV column gets the narrowest type that all its cells have; codes with leading zeros stay strings. A
    steward corrects the result. Raises SourceError, and SchemaError for names no schema may have.
    """
    real, file_format = _located(str(path))
    with _engine(real) as connection:
        physical = physical_types(connection, str(real), file_format)
        kinds = (
            {name: _PHYSICAL_FIELDS.get(kind, _temporal(kind)) for name, kind in physical.items()}
            if file_format == "parquet"
            else _narrowest(connection, str(real), physical)
        )
    return parse_schema({"fields": [{"name": name, "type": kind} for name, kind in kinds.items()]})


def check_quality(source: Source) -> QualityReport:
    """Compare every cell of a source with its schema. Raises SourceError when there is no such file."""
    real, _ = _located(source.path)
    with _engine(real) as connection:
        physical = physical_types(connection, str(real), source.format)
        whole = tuple(_shape_defects(source.schema, physical))
        broken = tuple(_broken_lines(str(real), len(physical))) if source.format == "csv" else ()
        if broken:
            return QualityReport(0, False, _counted(whole + broken), (whole + broken)[:MAX_DEFECTS])
        present = tuple(c for c in source.schema.columns if c.name in physical)
        rows, counts, cells = _cells(connection, source, str(real), physical, present)
    kinds = _counted(whole) + tuple(counts)
    return QualityReport(rows, True, kinds, (whole + cells)[:MAX_DEFECTS])


def _located(path: str) -> tuple[Path, SourceFormat]:
    real = confine(path, (Path(path).resolve().parent,))
    return real, "parquet" if real.suffix.lower() in (".parquet", ".pq") else "csv"


def _engine(real: Path) -> duckdb.DuckDBPyConnection:
    return open_hardened([str(real.parent)], None, EngineLimits())


def _temporal(physical: str) -> FieldType:
    if physical.startswith("TIMESTAMP"):
        return "datetime"
    return "number" if physical.startswith("DECIMAL") else "string"


def _narrowest(
    connection: duckdb.DuckDBPyConnection, path: str, physical: dict[str, str]
) -> dict[str, FieldType]:
    """One pass: per column, whether it has values and whether all of them are of each candidate type."""
    statement = Statement()
    reader = read_file(statement, path, "csv", AssetSchema(()), tuple(physical))
    tests: list[str] = []
    for name in physical:
        column = quote(name)
        tests.append(f"count({column}) > 0 AND NOT coalesce(bool_or({column} ~ '0[0-9]+'), false)")
        for kind in _SAMPLE_TYPES:
            test = (
                f"{column} IN ('true', 'false')"
                if kind == "boolean"
                else f"{typed(name, kind, 'VARCHAR')} IS NOT NULL"
            )
            tests.append(f"coalesce(bool_and(CASE WHEN {column} IS NOT NULL THEN {test} END), false)")
    answer = _fetch(connection, f"SELECT {', '.join(tests)} FROM {reader}", statement)[0]  # noqa: S608
    width = 1 + len(_SAMPLE_TYPES)
    kinds: dict[str, FieldType] = {}
    for index, name in enumerate(physical):
        usable, *fits = answer[index * width : (index + 1) * width]
        fitting = [kind for kind, fit in zip(_SAMPLE_TYPES, fits, strict=True) if fit]
        kinds[name] = fitting[0] if usable and fitting else "string"
    return kinds


def _shape_defects(schema: AssetSchema, physical: dict[str, str]) -> Iterator[Defect]:
    for name in schema.names():
        if name not in physical:
            yield Defect("missing-column", None, name)
    for name in physical:
        if schema.column(name) is None:
            yield Defect("undeclared-column", None, name)


def _broken_lines(path: str, width: int) -> Iterator[Defect]:
    """Records of the wrong number of cells, by the line they end on. Raises SourceMismatch off UTF-8."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            while True:
                try:
                    record = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    yield Defect("unreadable-line", reader.line_num, None)
                    continue
                if len(record) != width and record:
                    yield Defect("unreadable-line", reader.line_num, None)
    except UnicodeDecodeError:
        raise SourceMismatch("the file is not UTF-8 text") from None


def _cells(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    path: str,
    physical: dict[str, str],
    columns: tuple[Column, ...],
) -> tuple[int, list[tuple[str, DefectKind, int]], tuple[Defect, ...]]:
    """Rows, defects per column and kind, and the first of them in row order."""
    statement = Statement()
    reader = read_file(statement, path, source.format, source.schema, tuple(physical))
    tests: list[tuple[str, DefectKind, str]] = []
    for column in columns:
        cell = quote(column.name)
        if can_break(column.type, physical[column.name]):
            value = typed(column.name, column.type, physical[column.name])
            tests.append((column.name, "type", f"({cell} IS NOT NULL AND {value} IS NULL)"))
        if column.required:
            tests.append((column.name, "required", f"({cell} IS NULL)"))
    sums = "".join(f", coalesce(sum({test}::INTEGER), 0)::BIGINT" for _, _, test in tests)
    rows, *totals = _fetch(connection, f"SELECT count(*){sums} FROM {reader}", statement)[0]
    counts = [(name, kind, n) for (name, kind, _), n in zip(tests, totals, strict=True) if n]
    if not counts:
        return rows, counts, ()
    flags = ", ".join(f"{test} AS f{index}" for index, (_, _, test) in enumerate(tests))
    any_flag = " OR ".join(f"f{index}" for index in range(len(tests)))
    limit = statement.bind(MAX_DEFECTS)
    found = _fetch(
        connection,
        f"SELECT * FROM (SELECT row_number() OVER () AS n, {flags} FROM {reader})"
        f" WHERE {any_flag} ORDER BY n LIMIT {limit}",
        statement,
    )
    return (
        rows,
        counts,
        tuple(
            Defect(kind, row, name)
            for row, *flagged in found
            for (name, kind, _), flag in zip(tests, flagged, strict=True)
            if flag
        ),
    )


def _counted(defects: tuple[Defect, ...]) -> tuple[tuple[str, DefectKind, int], ...]:
    counts: dict[tuple[str, DefectKind], int] = {}
    for defect in defects:
        key = (defect.column or "", defect.kind)
        counts[key] = counts.get(key, 0) + 1
    return tuple((column, kind, n) for (column, kind), n in counts.items())


def _fetch(connection: duckdb.DuckDBPyConnection, text: str, statement: Statement) -> list[tuple[int, ...]]:
    try:
        return connection.execute(text, statement.parameters).fetchall()
    except duckdb.Error:
        raise SourceMismatch("the file cannot be read as its format") from None
