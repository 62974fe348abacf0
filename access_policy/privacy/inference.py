"""A first schema for a file nobody has described yet, for a steward to correct."""

from __future__ import annotations

from pathlib import Path

import duckdb

from access_policy.privacy.engine import fetch, open_beside, physical_types
from access_policy.privacy.schema import AssetSchema, FieldType, parse_schema
from access_policy.privacy.source import SourceFormat, confine
from access_policy.privacy.sql import Statement, quote, read_file, typed

_SAMPLE_TYPES: tuple[FieldType, ...] = ("boolean", "integer", "number", "date", "datetime", "time")
_WHOLE_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_PHYSICAL_FIELDS: dict[str, FieldType] = {
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "FLOAT": "number",
    "DOUBLE": "number",
}


def infer_schema(path: str | Path) -> AssetSchema:
    """A first schema for a CSV or Parquet file (told by its suffix): names and types, every class *plain*.

    A CSV column gets the narrowest type that all its cells have; codes with leading zeros stay strings. A
    steward corrects the result. Raises SourceError, and SchemaError for names no schema may have.
    """
    real, file_format = _located(path)
    with open_beside(str(real)) as connection:
        physical = physical_types(connection, str(real), file_format)
        kinds = (
            {name: _field_type(kind) for name, kind in physical.items()}
            if file_format == "parquet"
            else _narrowest(connection, str(real), physical)
        )
    return parse_schema({"fields": [{"name": name, "type": kind} for name, kind in kinds.items()]})


def _located(path: str | Path) -> tuple[Path, SourceFormat]:
    real = confine(str(path), (Path(path).resolve().parent,))
    return real, "parquet" if real.suffix.lower() in (".parquet", ".pq") else "csv"


def _field_type(physical: str) -> FieldType:
    if physical in _WHOLE_NUMBERS:
        return "integer"
    if physical.startswith("TIMESTAMP"):
        return "datetime"
    return "number" if physical.startswith("DECIMAL") else _PHYSICAL_FIELDS.get(physical, "string")


def _narrowest(
    connection: duckdb.DuckDBPyConnection, path: str, physical: dict[str, str]
) -> dict[str, FieldType]:
    """One pass: per column, whether it has values and whether all of them are of each candidate type."""
    statement = Statement()
    reader = read_file(statement, path, "csv", AssetSchema(()), tuple(physical))
    tests: list[str] = []
    for name in physical:
        column = quote(name)
        tests.append(
            f"count({column}) > 0 AND NOT coalesce(bool_or(regexp_full_match({column}, '0[0-9]+')), false)"
        )
        for kind in _SAMPLE_TYPES:
            test = (
                f"{column} IN ('true', 'false')"
                if kind == "boolean"
                else f"{typed(name, kind, 'VARCHAR')} IS NOT NULL"
            )
            tests.append(f"coalesce(bool_and(CASE WHEN {column} IS NOT NULL THEN {test} END), false)")
    answer = fetch(connection, f"SELECT {', '.join(tests)} FROM {reader}", statement)[0]  # noqa: S608
    width = 1 + len(_SAMPLE_TYPES)
    kinds: dict[str, FieldType] = {}
    for index, name in enumerate(physical):
        usable, *fits = answer[index * width : (index + 1) * width]
        fitting = [kind for kind, fit in zip(_SAMPLE_TYPES, fits, strict=True) if fit]
        kinds[name] = fitting[0] if usable and fitting else "string"
    return kinds
