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
import pyarrow as pa
import pyarrow.parquet as pq

from access_policy.privacy.schema import AssetSchema
from access_policy.privacy.source import PartsDiffer, SourceFormat, SourceMismatch
from access_policy.privacy.sql import Statement

TRUSTS_THE_FILE = "statistics_propagation,filter_pushdown"
"""Optimisers that believe what a Parquet file says about itself (least and greatest values, numbers of nulls, Bloom
filters): a false statement would remove the steward's filter, a true one tell by time what hidden rows hold."""

AT_ONCE = 100
"""Columns that one statement looks at: the engine's time for one grows faster than its columns."""

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
        "disabled_optimizers": TRUSTS_THE_FILE,
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


def must_be_alike(types: Sequence[Mapping[str, str]], schema: AssetSchema) -> None:
    """The files of one table all have the declared columns, and each with one type: the engine would turn the cells of a
    file into the types of the first one. Raises PartsDiffer, SourceMismatch."""
    for one in types:
        require_columns(one, schema)
    if other_types(types, schema):
        raise PartsDiffer("the parts do not have the same types")


def other_types(types: Sequence[Mapping[str, str]], schema: AssetSchema) -> list[str]:
    """The declared columns that have another type in one file than in the first."""
    first = types[0]
    return [
        name
        for name in schema.names()
        if name in first and any(one.get(name, first[name]) != first[name] for one in types)
    ]


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
        types = {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
        with pq.ParquetFile(path) as file:
            wide = [one.name for one in file.schema_arrow if pa.types.is_decimal256(one.type)]
            lies = any(
                holds_values(file, group, file.schema.column(place).path)
                for group, place in declared_null(cursor, path)
            )
    except (duckdb.Error, pa.ArrowException, OSError, RuntimeError, ValueError):
        # RuntimeError: names that are not UTF-8.
        raise SourceMismatch("the file cannot be opened as Parquet") from None
    if wide:
        raise SourceMismatch("a column has decimals of more than 38 digits, which the engine would round")
    if lies:
        raise SourceMismatch("the file says of values that they are all null")
    return types


def declared_null(cursor: duckdb.DuckDBPyConnection, path: str) -> list[tuple[int, int]]:
    """Row groups, and columns by their place among all leaves, of which the file says that all is null. The engine believes this under every setting, and
    does not read them."""
    text = (
        "SELECT row_group_id, column_id FROM parquet_metadata($path)"
        " WHERE stats_null_count = num_values AND num_values > 0"
    )
    return cursor.execute(text, {"path": path}).fetchall()


def holds_values(file: pq.ParquetFile, group: int, column: str) -> bool:
    """Whether a column of a row group has any value, by a reader that looks for itself."""
    batches = file.iter_batches(columns=[column], row_groups=[group], use_threads=False)
    return any(_has_value(one) for batch in batches for one in batch.columns)


def _has_value(array: pa.Array) -> bool:
    if pa.types.is_nested(array.type):
        inner = array.flatten()
        return any(map(_has_value, inner if isinstance(inner, list) else [inner]))
    return bool(array.null_count < len(array))


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
