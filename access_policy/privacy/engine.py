"""A hardened DuckDB: what a scan may touch, fixed before the first query and locked.

The order matters: directories first, then no other file, network, extension or Python variable, then no
further setting. After ``lock_configuration`` not even the worker's own code can loosen it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from access_policy.privacy.schema import AssetSchema
from access_policy.privacy.source import SourceFormat, SourceMismatch
from access_policy.privacy.sql import Statement

HEADER_BYTES = 1 << 20
"""The longest header line of a CSV file that is read."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one engine may use. ``memory`` in bytes, for the engine's buffers."""

    memory: int = 384 << 20
    threads: int = 2


def open_hardened(
    directories: Sequence[str], temporary: str | None, limits: EngineLimits
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reads files under ``directories`` and nothing else.

    ``temporary`` is a private directory for sorts that outgrow the memory; without one such a sort fails.
    What is written there is enciphered under a key that lives in memory only, but DuckDB's built-in cipher
    takes its nonces from a source that DuckDB does not call secure (the secure one is an extension, which a
    hardened engine cannot load): put the directory on an encrypted disk all the same. Use one ``cursor()`` per request: sharing a connection between requests crashed.
    """
    connection = duckdb.connect(":memory:")
    for setting, value in {
        "allowed_directories": list(directories),
        "memory_limit": f"{limits.memory >> 10}KiB",
        "threads": limits.threads,
        "TimeZone": "UTC",
        "temp_directory": temporary or "",
        "force_mbedtls_unsafe": True,
        "temp_file_encryption": True,
        "parquet_metadata_cache": True,
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "enable_progress_bar": False,
        "enable_external_access": False,
        "lock_configuration": True,
    }.items():
        connection.execute(f"SET {setting} = {literal(value)}")
    return connection


def open_beside(path: str) -> duckdb.DuckDBPyConnection:
    """A hardened engine that reads only the directory of one file, for work at registration."""
    return open_hardened([os.path.dirname(path)], None, EngineLimits())


def physical_types(cursor: duckdb.DuckDBPyConnection, path: str, file_format: SourceFormat) -> dict[str, str]:
    """The file's own columns and their engine types, in file order. Raises SourceMismatch."""
    return csv_types(path) if file_format == "csv" else parquet_types(cursor, path)


def require_columns(types: Mapping[str, str], schema: AssetSchema) -> None:
    """Every declared column must be in the file; raise SourceMismatch, naming nothing of its content."""
    if not set(schema.names()) <= set(types):
        raise SourceMismatch("the file lacks columns that its schema declares")


def csv_types(path: str) -> dict[str, str]:
    """Every column of a CSV file is text; the names are those of its header line (UTF-8, RFC 4180)."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader([file.readline(HEADER_BYTES)], strict=True), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        raise SourceMismatch("the file has no readable header line") from None
    if not header or len({name.casefold() for name in header}) != len(header) or "" in header:
        raise SourceMismatch("the header line names every column once")
    return dict.fromkeys(header, "VARCHAR")


def parquet_types(cursor: duckdb.DuckDBPyConnection, path: str) -> dict[str, str]:
    """The columns and engine types of a Parquet file. Raises SourceMismatch when it is not one."""
    try:
        relation = cursor.sql(
            "SELECT * FROM read_parquet($path, hive_partitioning = false)", params={"path": path}
        )
        return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
    except duckdb.Error:
        raise SourceMismatch("the file cannot be opened as Parquet") from None


def fetch(connection: duckdb.DuckDBPyConnection, text: str, statement: Statement) -> list[tuple[int, ...]]:
    """Every row of a statement; raise SourceMismatch where the engine cannot read the file."""
    try:
        return connection.execute(text, statement.parameters).fetchall()
    except duckdb.Error:
        raise SourceMismatch("the file cannot be read as its format") from None


def literal(value: object) -> str:
    """A setting's value as SQL. Settings take no parameters; only the operator's own values come here."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str() | os.PathLike():
            return "'" + os.fspath(value).replace("'", "''") + "'"
        case list():
            return "[" + ", ".join(literal(item) for item in value) + "]"
    raise TypeError(f"no setting takes {type(value).__name__}")
