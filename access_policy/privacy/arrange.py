"""An asset laid out for reads of one person: the commonest call between departments.

A file in no particular order makes the engine look at every value of the person key. Ordered by it, in small
row groups, the file's own statistics leave one group to read.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import duckdb

from access_policy.privacy.engine import EngineLimits, literal, open_hardened, physical_types
from access_policy.privacy.quality import QualityReport, check_quality
from access_policy.privacy.source import Source, SourceError, SourceMismatch
from access_policy.privacy.sql import Statement, quote, read_file, typed

ROW_GROUP = 16_384
"""Rows of a group: one is read for one person."""


class NoPersonKey(SourceError):
    """The schema declares no person key to arrange by."""

    code = "source.no-person-key"


def arrange_by_person(source: Source, target: str | Path) -> tuple[Source, QualityReport]:
    """Write ``source`` as Parquet at ``target``, ordered by its person key, and say what its cells are like.

    Nothing is lost: a column whose every cell keeps to its declared type is stored as that type, any other
    as the file has it, columns the schema does not declare included. ``target`` appears whole or not at all.
    Raises NoPersonKey, or SourceError when the source cannot be read (see the report's ``readable``).
    """
    key = source.schema.person_key
    if key is None:
        raise NoPersonKey("the schema declares no personKey, so there is nothing to arrange by")
    report = check_quality(source)
    real, place = Path(source.path).resolve(), Path(target).resolve()
    if not report.readable:
        raise SourceMismatch("lines of the file have the wrong number of cells: see its quality report")
    broken = {column for column, kind, _ in report.counts if kind == "type"}
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".arrange-") as temporary:
        directories = [str(real.parent), temporary]
        with open_hardened(directories, temporary, EngineLimits()) as connection:
            physical = physical_types(connection, str(real), source.format)
            columns = [_stored(name, kind, source, broken) for name, kind in physical.items()]
            statement = Statement()
            reader = read_file(statement, str(real), source.format, source.schema, tuple(physical))
            unfinished = os.path.join(temporary, "arranged.parquet")
            text = (
                f"COPY (SELECT * FROM (SELECT {', '.join(columns)} FROM {reader}) ORDER BY {quote(key)})"  # noqa: S608
                f" TO {literal(unfinished)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
            )
            try:
                connection.execute(text, statement.parameters)
            except duckdb.Error:
                raise SourceMismatch("the file cannot be arranged") from None
        os.replace(unfinished, place)
    return Source(str(place), "parquet", source.schema), report


def _stored(name: str, physical: str, source: Source, broken: set[str]) -> str:
    column = source.schema.column(name)
    if column is None or name in broken:
        return quote(name)
    return f"{typed(name, column.type, physical)} AS {quote(name)}"
