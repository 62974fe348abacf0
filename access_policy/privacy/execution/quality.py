"""Whether a file keeps to its declared schema: a report row by row.

Nothing is lost silently: a cell that is not of its declared type is released as null and counted by the
scanner, and named here by row and column. Reports hold no data values, only where they are and what is
wrong with them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import duckdb
import pyarrow as pa

from access_policy.decision.answers import Permit
from access_policy.privacy.cells import Zone, can_break, is_broken, is_rounded, is_there, quote, value_of
from access_policy.privacy.execution.engine import AT_ONCE, fetch, open_beside, other_types, physical_types
from access_policy.privacy.execution.second_reader import must_be_read_alike
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import Query
from access_policy.privacy.schema import AssetSchema, Column
from access_policy.privacy.source import LINE, Source, SourceMismatch, confine
from access_policy.privacy.spelling import NORMALISATIONS, normalised_sql
from access_policy.privacy.sql import Statement, read_file, render_plan

DefectKind: TypeAlias = Literal[
    "type", "required", "rounded", "missing-column", "undeclared-column", "unreadable-line", "other-type"
]
csv.field_size_limit(LINE)
MAX_DEFECTS = 10_000
"""Defects named one by one; beyond it they are only counted."""
MAX_SPELLED = 10_000
"""Values of a column that are looked at for other spellings."""
Together: TypeAlias = Literal["types", "spellings"]
"""What is asked of the parts of a table together: have they the same types; and over all of them, the spellings too."""


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
    ``spellings``: columns of texts, each with the number of its values that are written in several ways, apart only by
    width, composition (NFC), case or white space at the ends; no defects.
    """

    rows: int
    readable: bool
    counts: tuple[tuple[str, DefectKind, int], ...]
    defects: tuple[Defect, ...]
    spellings: tuple[tuple[str, int], ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing at all is wrong."""
        return self.readable and not self.counts

    @property
    def whole(self) -> bool:
        """Whether a scan takes the file: its lines have their shape, no declared column is missing, and none has another
        type than in the other parts of its table."""
        return self.readable and not any(
            kind in ("missing-column", "other-type") for _, kind, _ in self.counts
        )

    def to_json(self) -> dict[str, object]:
        """A JSON document without data values."""
        document: dict[str, object] = {
            "rows": self.rows,
            "readable": self.readable,
            "counts": [{"column": c, "kind": kind, "count": n} for c, kind, n in self.counts],
            "defects": [{"kind": d.kind, "row": d.row, "column": d.column} for d in self.defects],
        }
        if self.spellings:
            document["spellings"] = [{"column": c, "values": n} for c, n in self.spellings]
        return document

    @classmethod
    def from_json(cls, document: Any) -> QualityReport:
        """The report that this document is; KeyError, TypeError or ValueError when it is none."""
        report = cls(
            int(document["rows"]),
            bool(document["readable"]),
            tuple((str(c["column"]), c["kind"], int(c["count"])) for c in document["counts"]),
            tuple(Defect(d["kind"], d["row"], d["column"]) for d in document["defects"][:MAX_DEFECTS]),
            tuple((str(s["column"]), int(s["values"])) for s in document.get("spellings", ())),
        )
        if report.to_json() != document:
            raise ValueError("no report on a file's quality")
        return report


def check_quality(source: Source) -> QualityReport:
    """Compare every cell of one's own file with its schema. Raises SourceError when there is no such file.

    What others hand in is read by a scanning process only: `Scanner.check_quality`.
    """
    real = confine(source.path, (Path(source.path).resolve().parent,))
    with open_beside(str(real)) as connection:
        return quality_of(replace(source, path=str(real)), connection)


def quality_of(source: Source, connection: duckdb.DuckDBPyConnection) -> QualityReport:
    """The same by a connection that may read the one file of the source at its real path."""
    real = source.path
    physical = physical_types(connection, real, source.format)
    whole = tuple(_shape_defects(source.schema, physical))
    if source.format == "csv":
        broken = _broken_lines(real, len(physical))
        named = tuple(islice(broken, MAX_DEFECTS))
        if named:
            counts = (*_counted(whole), ("", "unreadable-line", len(named) + sum(1 for _ in broken)))
            return QualityReport(0, False, counts, (whole + named)[:MAX_DEFECTS])
    present = tuple(c for c in source.schema.columns if c.name in physical)
    rows, cell_counts, cells = _cells(connection, source, physical, present)
    if source.format == "parquet":
        must_be_read_alike(connection, real, [column.name for column in present])
    if len(present) == len(source.schema.columns):
        _must_be_answerable(connection, source, physical)
    kinds = _counted(whole) + tuple(cell_counts)
    spellings = tuple(_spellings(connection, source, physical, present))
    return QualityReport(rows, True, kinds, (whole + cells)[:MAX_DEFECTS], spellings)


def together_of(source: Source, connection: duckdb.DuckDBPyConnection, together: Together) -> QualityReport:
    """Whether files that were each looked at (`quality_of`) are one table: no cell is counted again.

    The report has no rows: only columns with another type in one of the files, and ``spellings`` over all of them.
    """
    types = [physical_types(connection, path, source.format) for path in source.paths]
    absent = [name for name in source.schema.names() if any(name not in one for one in types)]
    defects = tuple(Defect("missing-column", None, name) for name in absent)
    defects += tuple(Defect("other-type", None, name) for name in other_types(types, source.schema))
    if defects or together == "types":
        return QualityReport(0, True, _counted(defects), defects)
    _must_be_answerable(connection, source, types[0])
    return QualityReport(
        0, True, (), (), tuple(_spellings(connection, source, types[0], source.schema.columns))
    )


def _spellings(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    physical: dict[str, str],
    columns: tuple[Column, ...],
) -> Iterator[tuple[str, int]]:
    """Columns with values that are written in several ways, and how many. Among the first MAX_SPELLED different values: so
    much, and no more, is held in memory, and each is brought into its plainest form once."""
    for column in columns:
        if column.type != "string":
            continue
        statement = Statement()
        reader = read_file(statement, source.read_from, source.format, source.schema, tuple(physical))
        value = value_of(column.name, "string", physical[column.name], normalise=column.normalise)
        values = f"SELECT DISTINCT {value} AS v FROM {reader} WHERE v IS NOT NULL LIMIT {MAX_SPELLED}"  # noqa: S608
        groups = f"SELECT {normalised_sql('v', NORMALISATIONS)} AS plain FROM ({values}) GROUP BY plain HAVING count(*) > 1"  # noqa: S608
        found = fetch(connection, f"SELECT count(*) FROM ({groups})", statement)[0][0]  # noqa: S608
        if found:
            yield column.name, found


def _must_be_answerable(
    connection: duckdb.DuckDBPyConnection, source: Source, physical: dict[str, str]
) -> None:
    """Run the widest read there can be to its first row: a file that every later read would fail on is refused while
    nothing is registered and nothing is charged."""
    names = source.schema.names()
    plan = replace(compile_plan(Query(), Permit("", "", names, None, {}), source.schema), shuffled=False)
    statement = render_plan(plan, source.read_from, source.format, source.schema, physical, {})
    text = f"SELECT * FROM ({statement.text}) LIMIT 1"  # noqa: S608
    try:
        connection.sql(text, params=statement.parameters).to_arrow_reader(1).read_all()
    except (duckdb.Error, pa.ArrowException, OSError):
        raise SourceMismatch("no read could answer the whole of this file") from None


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
            reader = csv.reader(iter(lambda: file.readline(LINE), ""), strict=True)
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


@dataclass(frozen=True, slots=True)
class _Test:
    """What may be wrong with a cell, and the SQL that tells whether it is."""

    column: str
    kind: DefectKind
    text: str


def _cells(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    physical: dict[str, str],
    columns: tuple[Column, ...],
) -> tuple[int, list[tuple[str, DefectKind, int]], tuple[Defect, ...]]:
    """Rows, defects per column and kind, and the first of them in row order. Some columns at a time: the engine's time for
    one statement grows faster than its columns."""
    rows = 0
    counts: list[tuple[str, DefectKind, int]] = []
    found: list[Defect] = []
    for start in range(0, max(1, len(columns)), AT_ONCE):
        statement = Statement()
        reader = read_file(statement, source.path, source.format, source.schema, tuple(physical))
        zone = statement.zone(source.schema.zone)
        tests = [
            test for column in columns[start : start + AT_ONCE] for test in _tests(column, physical, zone)
        ]
        rows, bad = _count(connection, tests, reader, statement)
        counts += [(test.column, test.kind, n) for test, n in bad.items()]
        if bad:
            found += _first(connection, tests, reader, statement)
    found.sort(key=lambda defect: defect.row or 0)
    return rows, counts, tuple(found[:MAX_DEFECTS])


def _tests(column: Column, physical: dict[str, str], zone: Zone | None) -> Iterator[_Test]:
    name, kind = column.name, physical[column.name]
    if can_break(column.type, kind):
        yield _Test(name, "type", is_broken(value_of(name, column.type, kind, zone), is_there(name)))
    if column.type == "number" and kind == "VARCHAR":
        yield _Test(name, "rounded", is_rounded(name))
    if column.required:
        yield _Test(name, "required", f"({quote(name)} IS NULL)")


def _count(
    connection: duckdb.DuckDBPyConnection, tests: list[_Test], reader: str, statement: Statement
) -> tuple[int, dict[_Test, int]]:
    sums = "".join(f", coalesce(sum({test.text}::INTEGER), 0)::BIGINT" for test in tests)
    rows, *totals = fetch(connection, f"SELECT count(*){sums} FROM {reader}", statement)[0]  # noqa: S608
    return rows, {test: n for test, n in zip(tests, totals, strict=True) if n}


def _first(
    connection: duckdb.DuckDBPyConnection, tests: list[_Test], reader: str, statement: Statement
) -> Iterator[Defect]:
    """The first defects, in row order."""
    flags = ", ".join(f"{test.text} AS f{index}" for index, test in enumerate(tests))
    any_flag = " OR ".join(f"f{index}" for index in range(len(tests)))
    numbered = f"SELECT row_number() OVER () AS n, {flags} FROM {reader}"  # noqa: S608
    text = f"SELECT * FROM ({numbered}) WHERE {any_flag} ORDER BY n LIMIT {statement.bind(MAX_DEFECTS)}"  # noqa: S608
    for row, *flagged in fetch(connection, text, statement):
        for test, flag in zip(tests, flagged, strict=True):
            if flag:
                yield Defect(test.kind, row, test.column)


def _counted(defects: Iterable[Defect]) -> tuple[tuple[str, DefectKind, int], ...]:
    counts: dict[tuple[str, DefectKind], int] = {}
    for defect in defects:
        key = (defect.column or "", defect.kind)
        counts[key] = counts.get(key, 0) + 1
    return tuple((column, kind, n) for (column, kind), n in counts.items())
