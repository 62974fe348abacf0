"""Inserting many rows at once: SQLAlchemy's connection, without the per-value work of its compiler.

The hot path writes plain ints, texts and bytes, which both drivers take as they are. On SQLite several rows go
into one statement: the driver lets go of the interpreter's lock at every step, and with busy callers in the
process it may wait 5 ms to get it back, so a step for each row would starve the writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

_RUNS = (256, 64, 16, 4, 1)


def insert_rows(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert tuples in the order of the table's columns."""
    if conn.dialect.name != "sqlite":
        if rows:
            conn.exec_driver_sql(_statement(table, "%s", 1), list(rows))
        return
    at = 0
    for run in _RUNS:
        while len(rows) - at >= run:
            values = tuple(chain.from_iterable(rows[at : at + run]))
            conn.exec_driver_sql(_statement(table, "?", run), values)
            at += run


@cache
def _statement(table: Table, mark: str, rows: int) -> str:
    columns = ", ".join(column.name for column in table.columns)
    row = "(" + ", ".join(mark for _ in table.columns) + ")"
    values = ", ".join(row for _ in range(rows))
    return f"INSERT INTO {table.name} ({columns}) VALUES {values}"  # noqa: S608 - names of our own tables
