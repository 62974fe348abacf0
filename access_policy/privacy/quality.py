"""Whether a file keeps to its declared schema: a report row by row.

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

from access_policy.privacy.engine import fetch, open_beside, physical_types
from access_policy.privacy.schema import AssetSchema, Column
from access_policy.privacy.source import Source, SourceMismatch, confine
from access_policy.privacy.sql import Statement, can_break, quote, read_file, typed

DefectKind: TypeAlias = Literal["type", "required", "missing-column", "undeclared-column", "unreadable-line"]
MAX_DEFECTS = 10_000
"""Defects named one by one; beyond it they are only counted."""


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


def check_quality(source: Source) -> QualityReport:
    """Compare every cell of a source with its schema. Raises SourceError when there is no such file."""
    real = confine(source.path, (Path(source.path).resolve().parent,))
    with open_beside(str(real)) as connection:
        physical = physical_types(connection, str(real), source.format)
        whole = tuple(_shape_defects(source.schema, physical))
        broken = tuple(_broken_lines(str(real), len(physical))) if source.format == "csv" else ()
        if broken:
            return QualityReport(0, False, _counted(whole + broken), (whole + broken)[:MAX_DEFECTS])
        present = tuple(c for c in source.schema.columns if c.name in physical)
        rows, counts, cells = _cells(connection, source, str(real), physical, present)
    kinds = _counted(whole) + tuple(counts)
    return QualityReport(rows, True, kinds, (whole + cells)[:MAX_DEFECTS])


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
    rows, *totals = fetch(connection, f"SELECT count(*){sums} FROM {reader}", statement)[0]  # noqa: S608
    counts = [(name, kind, n) for (name, kind, _), n in zip(tests, totals, strict=True) if n]
    if not counts:
        return rows, counts, ()
    flags = ", ".join(f"{test} AS f{index}" for index, (_, _, test) in enumerate(tests))
    any_flag = " OR ".join(f"f{index}" for index in range(len(tests)))
    limit = statement.bind(MAX_DEFECTS)
    numbered = f"SELECT row_number() OVER () AS n, {flags} FROM {reader}"  # noqa: S608
    text = f"SELECT * FROM ({numbered}) WHERE {any_flag} ORDER BY n LIMIT {limit}"  # noqa: S608
    found = fetch(connection, text, statement)
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
