"""Inference of a first schema for a file without one; a steward corrects it.

A cell of a CSV file is text. A column gets another type only if no information is lost: for every cell, writing the value gives
the same text. Codes with leading zeros, numbers with a sign, a blank or an exponent, amounts such as ``12.50`` beside ``3``, and
integers from 2^53 on (identity numbers) therefore remain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from access_policy.privacy.cells import Zone, quote, value_of
from access_policy.privacy.execution.engine import AT_ONCE, fetch, open_beside, physical_types
from access_policy.privacy.schema import DECIMAL_DIGITS, FIELD_TYPES, AssetSchema, FieldType, parse_schema
from access_policy.privacy.source import SourceFormat, confine
from access_policy.privacy.sql import Statement, read_file

PARQUET = b"PAR1"
"""The first bytes of every Parquet file."""
_WHOLE_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_PHYSICAL_FIELDS: dict[str, FieldType] = {
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "FLOAT": "number",
    "DOUBLE": "number",
    "UBIGINT": "decimal(0)",
}
_DECIMAL = re.compile(r"DECIMAL\(\d+,(\d+)\)", re.ASCII)
_WHOLE = "0|-?[1-9][0-9]{0,15}"
_PLACES = r"-?(0|[1-9][0-9]*)\.[0-9]{1,18}"
_ANY_DECIMAL: FieldType = "decimal(18)"
ROW = '"civic:row"'
"""The name of the additional column with the row number; no schema may use it."""


@dataclass(frozen=True, slots=True)
class InferredColumn:
    """A column of a file with its inferred type and the evidence for it.

    ``declared`` is the type that a Parquet file declares, None in CSV. Of a CSV column: ``values`` counts the cells that are not
    missing; for one that stays text, ``nearest`` is the type that most of them fit, ``fitting`` how many, and
    ``first_other`` the first data row (from 1) with a value that does not fit it.
    """

    name: str
    type: FieldType
    declared: str | None = None
    values: int = 0
    nearest: FieldType | None = None
    fitting: int = 0
    first_other: int | None = None


@dataclass(frozen=True, slots=True)
class _File:
    """A CSV file during the inference."""

    connection: duckdb.DuckDBPyConnection
    path: str
    header: tuple[str, ...]
    zone: str | None
    missing: tuple[str, ...]

    def read(self, statement: Statement) -> str:
        return read_file(
            statement, self.path, "csv", AssetSchema((), missing_values=self.missing), self.header
        )


def schema_of_columns(columns: Sequence[InferredColumn], zone: str | None = None) -> AssetSchema:
    """The inferred schema with class *plain* for all columns, and with a zone if it has instants.

    Raises SchemaError for names that a schema cannot have.
    """
    document: dict[str, object] = {"fields": [{"name": one.name, "type": one.type} for one in columns]}
    if zone is not None and any(one.type == "datetime" for one in columns):
        document["zone"] = zone
    return parse_schema(document)


def infer_columns(
    path: str | Path, zone: str | None = None, missing: tuple[str, ...] = ("",)
) -> tuple[InferredColumn, ...]:
    """The inferred columns of a CSV or Parquet file; the format is detected by the content.

    Instants without a zone are local to ``zone``; without ``zone`` their column is text. ``missing`` are the texts that mean
    null in a CSV file. Raises SourceError.
    """
    real, file_format = located(path)
    with open_beside(str(real)) as connection:
        physical = physical_types(connection, str(real), file_format)
        if file_format == "parquet":
            return tuple(InferredColumn(name, _field_type(kind), kind) for name, kind in physical.items())
        file = _File(connection, str(real), tuple(physical), zone, missing)
        columns: list[InferredColumn] = []
        for start in range(0, len(physical), AT_ONCE):
            some = tuple(_narrowest(file, file.header[start : start + AT_ONCE]))
            rows = _first_others(file, some)
            columns += [replace(one, first_other=rows.get(one.name)) for one in some]
        return tuple(columns)


def located(path: str | Path) -> tuple[Path, SourceFormat]:
    """The real path of a local file and its format, detected by the content. Raises SourceError."""
    real = confine(str(path), (Path(path).resolve().parent,))
    with real.open("rb") as file:
        return real, "parquet" if file.read(len(PARQUET)) == PARQUET else "csv"


def _field_type(physical: str) -> FieldType:
    if physical in _WHOLE_NUMBERS:
        return "integer"
    if physical.startswith("TIMESTAMP"):
        return "datetime"
    places = _DECIMAL.fullmatch(physical)
    if places is not None:
        return _decimal(int(places[1]))
    return _PHYSICAL_FIELDS.get(physical, "string")


def _decimal(places: int) -> FieldType:
    """The exact decimal type with this number of places; text if there is none."""
    name = f"decimal({places})"
    return next((kind for kind in FIELD_TYPES if kind == name), "string")


def _narrowest(file: _File, names: tuple[str, ...]) -> Iterator[InferredColumn]:
    """One pass over the file: for each column the numbers of values and of values that fit each candidate type, and the
    decimal places."""
    statement = Statement()
    reader = file.read(statement)
    marker = statement.zone(file.zone)
    tests: list[str] = []
    for name in names:
        column = quote(name)
        places = f"length({column}) - strpos({column}, '.')"
        tests += [f"count({column})", f"min({places})", f"max({places})"]
        tests += [
            f"count(CASE WHEN {column} IS NOT NULL AND {test} THEN 1 END)"
            for test in _candidates(name, marker).values()
        ]
    text = f"SELECT {', '.join(tests)} FROM {reader}"  # noqa: S608
    answer = iter(fetch(file.connection, text, statement)[0])
    for name in names:
        values, fewest, most = next(answer), next(answer), next(answer)
        fits = {kind: next(answer) for kind in _candidates(name, marker)}
        kind = next((one for one, fitting in fits.items() if values and fitting == values), None)
        if kind == _ANY_DECIMAL:
            kind = _decimal(most) if fewest == most else None
        if kind is not None or not values:
            yield InferredColumn(name, kind or "string", None, values)
        else:
            nearest, fitting = max(fits.items(), key=lambda one: one[1])
            yield InferredColumn(name, "string", None, values, nearest if fitting else None, fitting)


def _first_others(file: _File, columns: Sequence[InferredColumn]) -> dict[str, int]:
    """Another pass over the file: for each text column the first row that does not fit the most frequent type."""
    asked = [one for one in columns if one.type == "string" and one.values]
    if not asked:
        return {}
    statement = Statement()
    reader = file.read(statement)
    marker = statement.zone(file.zone)
    found = []
    for one in asked:
        local = marker if one.nearest == "datetime" else None
        fits = _candidates(one.name, local)[one.nearest] if one.nearest else "false"
        found.append(f"min({ROW}) FILTER ({quote(one.name)} IS NOT NULL AND NOT coalesce({fits}, false))")
    text = f"SELECT {', '.join(found)} FROM (SELECT row_number() OVER () AS {ROW}, * FROM {reader})"  # noqa: S608
    answer = fetch(file.connection, text, statement)[0]
    return dict(zip((one.name for one in asked), answer, strict=True))


def _candidates(name: str, zone: Zone | None) -> dict[FieldType, str]:
    """The SQL conditions on cells by candidate type, in the order of preference. ``decimal(18)`` represents all exact
    decimals."""
    column = quote(name)
    whole = f"(regexp_full_match({column}, '{_WHOLE}') AND abs(TRY_CAST({column} AS BIGINT)) < {2**53})"
    negative_zero = f"regexp_full_match({column}, '-0[.]0*')"
    return {
        "boolean": f"{column} IN ('true', 'false')",
        "integer": whole,
        "number": f"({whole} OR CAST({value_of(name, 'number', 'VARCHAR')} AS VARCHAR) = {column})",
        _ANY_DECIMAL: f"(regexp_full_match({column}, '{_PLACES}') AND NOT {negative_zero}"
        f" AND length({column}) <= {DECIMAL_DIGITS})",
        **{
            kind: f"{value_of(name, kind, 'VARCHAR', zone)} IS NOT NULL"
            for kind in ("date", "datetime", "time")
        },
    }
