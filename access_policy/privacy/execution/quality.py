"""The check of a file against its declared schema, with a report by row and column.

A cell that is not of its declared type is released as null and counted by the scanner; this report gives its row and column.
Reports contain no data values, only positions and kinds of defects.
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
"""The most defects in the list of a report; further ones are only counted."""
MAX_SPELLED = 10_000
"""The most values of a column that are checked for other spellings."""
Together: TypeAlias = Literal["types", "spellings"]
"""The check of the parts of a table together: their types only, or also the spellings in all of them."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect. ``row`` is counted from 1 in data rows (``unreadable-line``: in lines of the file); None for a defect of the
    whole file."""

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
        """Whether there is no defect."""
        return self.readable and not self.counts

    @property
    def whole(self) -> bool:
        """Whether a scan accepts the file: its lines are well-formed, no declared column is missing, and all columns have the
        same type as in the other parts of the table."""
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
        """Read the form of `to_json`; raises KeyError, TypeError or ValueError."""
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
    """Compare every cell of a local file with its schema. Raises SourceError.

    Files from others must be read in a scanning process: `Scanner.check_quality`.
    """
    real = confine(source.path, (Path(source.path).resolve().parent,))
    with open_beside(str(real)) as connection:
        return quality_of(replace(source, path=str(real)), connection)


def quality_of(source: Source, connection: duckdb.DuckDBPyConnection) -> QualityReport:
    """`check_quality` with a connection that may read the file of the source at its real path."""
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
    """Check that files, each checked with `quality_of` before, form one table. Cells are not counted again.

    The report has no rows, only columns with different types in the files, and ``spellings`` over all files.
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
    """The columns with values that have several spellings, and the number of these values, among the first MAX_SPELLED
    different values, which limits the memory."""
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
    """Run the widest possible read up to its first row, so that a file on which every later read would fail is refused before
    it is registered and before uses are charged."""
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
    """Records with a wrong number of cells, by the line on which they end. Raises SourceMismatch for invalid UTF-8."""
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
    """A possible defect of a cell, and the SQL condition for it."""

    column: str
    kind: DefectKind
    text: str


def _cells(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    physical: dict[str, str],
    columns: tuple[Column, ...],
) -> tuple[int, list[tuple[str, DefectKind, int]], tuple[Defect, ...]]:
    """The number of rows, the defects by column and kind, and the first defects in row order. Columns are processed in groups,
    because the engine's time grows faster than the number of columns of a statement."""
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
