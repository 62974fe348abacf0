"""The projected rows as a reader for the rules: loaded by key on first use, and cached together with changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from ledger.projection.rows import Key, Row, RowChange
from ledger.store.tables import projection as tables
from ledger.store.tables import table_of

_ROWS: tuple[type[SQLModel], ...] = (
    tables.DepartmentRow,
    tables.SeatRow,
    tables.ServiceKeyRow,
    tables.RecoveryRow,
    tables.AdmissionRow,
    tables.CouncilRow,
    tables.AssetRow,
    tables.AssetParentRow,
    tables.GrantRow,
    tables.LogHeadRow,
    tables.ConditionRow,
    tables.GrantConditionRow,
)
PROJECTED: Mapping[str, Table] = {table.name: table for table in map(table_of, _ROWS)}
"""The tables that the rules change, by name."""

EVENTS = table_of(tables.ChainEventRow)
_PAGE = 500


class Overlay:
    """A cache of rows: each is loaded once with ``load``, and changes are put over it."""

    def __init__(self, load: Callable[[str, Key], Row | None]) -> None:
        self._load = load
        self._rows: dict[tuple[str, Key], Row | None] = {}
        self._changed: dict[tuple[str, Key], None] = {}

    def get(self, table: str, key: Key) -> Row | None:
        """The row after all changes; None without one."""
        at = (table, key)
        if at not in self._rows:
            self._rows[at] = self._load(table, key)
        return self._rows[at]

    def put(self, changes: Iterable[RowChange]) -> None:
        """Store changed rows."""
        for change in changes:
            at = (
                change.table,
                tuple(change.row[column.name] for column in PROJECTED[change.table].primary_key),
            )
            self._rows[at] = change.row
            self._changed[at] = None

    def changed(self) -> dict[str, list[Row]]:
        """All changed rows by table, in the order of their first change."""
        found: dict[str, list[Row]] = {}
        for at in self._changed:
            row = self._rows[at]
            assert row is not None
            found.setdefault(at[0], []).append(row)
        return found


def over_database(connection: Connection) -> Overlay:
    """An overlay that loads rows from the database."""

    def load(table: str, key: Key) -> Row | None:
        at = PROJECTED[table]
        columns = list(at.primary_key)
        row = connection.execute(
            select(at).where(*(column == value for column, value in zip(columns, key, strict=True)))
        )
        found = row.mappings().one_or_none()
        return None if found is None else dict(found)

    return Overlay(load)


def over_nothing() -> Overlay:
    """An overlay without stored rows, for a rebuild."""
    return Overlay(lambda table, key: None)


def write(connection: Connection, changed: Mapping[str, list[Row]]) -> None:
    """Insert rows; a row with an existing key replaces it."""
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    for name, rows in changed.items():
        table = PROJECTED[name]
        statement = module.insert(table)
        keys = [column.name for column in table.primary_key]
        rest = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest), rows)


def replace_all(connection: Connection, changed: Mapping[str, list[Row]]) -> None:
    """Delete all rows of every projected table and insert these rows."""
    for name, table in PROJECTED.items():
        connection.execute(delete(table))
        rows = changed.get(name, [])
        for at in range(0, len(rows), _PAGE):
            connection.execute(insert(table), rows[at : at + _PAGE])


def fingerprints(connection: Connection) -> dict[str, str]:
    """The SHA-256 (hex) over the rows, in the order of their keys, of every projected table and the history."""
    found = {}
    for name, table in [*PROJECTED.items(), (EVENTS.name, EVENTS)]:
        digest = hashlib.sha256()
        for row in connection.execute(select(table).order_by(*table.primary_key)).mappings():
            digest.update(_line(row))
        found[name] = digest.hexdigest()
    return found


def different_rows(one: Connection, other: Connection, name: str) -> list[str]:
    """The keys, as text, of at most 20 rows of a table that differ between two databases."""
    table = EVENTS if name == EVENTS.name else PROJECTED[name]
    keys = [column.name for column in table.primary_key]

    def rows(connection: Connection) -> dict[tuple[Any, ...], bytes]:
        found = connection.execute(select(table)).mappings()
        return {tuple(row[key] for key in keys): _line(row) for row in found}

    left, right = rows(one), rows(other)
    apart = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    return [f"{name} {key}" for key in sorted(apart, key=str)[:20]]


def _line(row: Mapping[Any, Any]) -> bytes:
    return json.dumps({str(k): v for k, v in row.items()}, sort_keys=True).encode() + b"\n"
