"""Inserting many rows at once: SQLAlchemy's connection, without the per-value work of its compiler.

The hot path writes plain ints, texts and bytes, which both drivers take as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table


def insert_rows(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert tuples in the order of the table's columns."""
    if rows:
        conn.exec_driver_sql(_statement(table, conn.dialect.name), list(rows))


@cache
def _statement(table: Table, dialect: str) -> str:
    mark = "?" if dialect == "sqlite" else "%s"
    columns = ", ".join(column.name for column in table.columns)
    marks = ", ".join(mark for _ in table.columns)
    return f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608 - names from our own tables
