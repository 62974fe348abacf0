"""A hardened DuckDB: the access of a scan is restricted and locked before the first query.

The order matters: first the allowed directories, then the prohibition of other files, network, extensions and Python variables,
then the lock of all settings. After ``lock_configuration`` the worker's own code cannot change them either.
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
"""Disabled optimisers, which use the statistics in a Parquet file (least and greatest values, numbers of nulls, Bloom
filters). False statistics would remove the steward's filter; true ones would reveal hidden rows by the running time."""

AT_ONCE = 100
"""The most columns of one statement, because the engine's time grows faster than the number of columns."""

HEADER_BYTES = 1 << 20
"""The most bytes of the header line of a CSV file."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """The resources of one engine. ``memory`` is the size of the engine's buffers in bytes."""

    memory: int = 384 << 20
    threads: int = 2


def open_hardened(
    directories: Sequence[str], temporary: str | None, limits: EngineLimits
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reads files under ``directories`` and nothing else.

    ``temporary`` is a private directory for sorts that outgrow the memory; without one such a sort fails.
    Data in it are encrypted with a key that exists in memory only. However, DuckDB's built-in cipher takes its nonces from a
    source that DuckDB does not call secure (the secure one is an extension, which a hardened engine cannot load), so the
    directory should be on an encrypted disk. Use one ``cursor()`` per request: sharing a connection between requests crashed.
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
    """A hardened engine that can read only the directory of one file, for the registration of a dataset."""
    return open_hardened([os.path.dirname(path)], None, EngineLimits())


def physical_types(cursor: duckdb.DuckDBPyConnection, path: str, file_format: SourceFormat) -> dict[str, str]:
    """The columns of a file and their engine types, in file order. Raises SourceMismatch."""
    return csv_types(path) if file_format == "csv" else parquet_types(cursor, path)


def require_columns(types: Mapping[str, str], schema: AssetSchema) -> None:
    """Raise SourceMismatch unless every declared column is in the file. The message has nothing of the file's content."""
    if not set(schema.names()) <= set(types):
        raise SourceMismatch("the file lacks columns that its schema declares")


def must_be_alike(types: Sequence[Mapping[str, str]], schema: AssetSchema) -> None:
    """Check that all files of a table have the declared columns with the same types; otherwise the engine would convert cells
    to the types of the first file. Raises PartsDiffer or SourceMismatch."""
    for one in types:
        require_columns(one, schema)
    if other_types(types, schema):
        raise PartsDiffer("the parts do not have the same types")


def other_types(types: Sequence[Mapping[str, str]], schema: AssetSchema) -> list[str]:
    """The declared columns with different types in these files."""
    first = types[0]
    return [
        name
        for name in schema.names()
        if name in first and any(one.get(name, first[name]) != first[name] for one in types)
    ]


def csv_types(path: str) -> dict[str, str]:
    """The columns of a CSV file, from its header line (UTF-8, RFC 4180); all types are text. Raises SourceMismatch."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader([file.readline(HEADER_BYTES)], strict=True), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        raise SourceMismatch("the file has no readable header line") from None
    if not header or len({name.casefold() for name in header}) != len(header) or "" in header:
        raise SourceMismatch("the header line names every column once")
    return dict.fromkeys(header, "VARCHAR")


def parquet_types(cursor: duckdb.DuckDBPyConnection, path: str) -> dict[str, str]:
    """The columns and engine types of a Parquet file. Raises SourceMismatch."""
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
        # RuntimeError is raised for names that are not UTF-8.
        raise SourceMismatch("the file cannot be opened as Parquet") from None
    if wide:
        raise SourceMismatch("a column has decimals of more than 38 digits, which the engine would round")
    if lies:
        raise SourceMismatch("the file says of values that they are all null")
    return types


def declared_null(cursor: duckdb.DuckDBPyConnection, path: str) -> list[tuple[int, int]]:
    """The pairs of row group and column (index among all leaves) that contain only nulls according to the file's metadata. The
    engine trusts this with every setting and does not read them."""
    text = (
        "SELECT row_group_id, column_id FROM parquet_metadata($path)"
        " WHERE stats_null_count = num_values AND num_values > 0"
    )
    return cursor.execute(text, {"path": path}).fetchall()


def holds_values(file: pq.ParquetFile, group: int, column: str) -> bool:
    """Whether a column of a row group has any value, checked by reading it with Arrow."""
    batches = file.iter_batches(columns=[column], row_groups=[group], use_threads=False)
    return any(_has_value(one) for batch in batches for one in batch.columns)


def _has_value(array: pa.Array) -> bool:
    if pa.types.is_nested(array.type):
        inner = array.flatten()
        return any(map(_has_value, inner if isinstance(inner, list) else [inner]))
    return bool(array.null_count < len(array))


def fetch(connection: duckdb.DuckDBPyConnection, text: str, statement: Statement) -> list[tuple[int, ...]]:
    """Run a statement and return all rows. Raises SourceMismatch when the engine cannot read the file."""
    try:
        return connection.execute(text, statement.parameters).fetchall()
    except duckdb.Error:
        raise SourceMismatch("the file cannot be read as its format") from None


def literal(value: object) -> str:
    """A setting's value as SQL, because settings take no parameters. Only the operator's values are passed."""
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
