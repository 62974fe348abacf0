"""Changes of rows by a person who can write the database, SQLite or PostgreSQL; they are undone
afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import psycopg
from sqlalchemy import BigInteger, Column, Table
from sqlalchemy.sql.sqltypes import Boolean, Integer, LargeBinary

import ledger.store.tables.audit
import ledger.store.tables.calls
import ledger.store.tables.instance
import ledger.store.tables.outbox
import ledger.store.tables.projection
import ledger.store.tables.requests  # noqa: F401 - all tables
from api.demo.participants import AUDIT

Row = dict[str, Any]
MEGABYTES = 10
BELONGS = frozenset(
    {"department", "holder", "grantee", "grantor", "requester", "provider", "keeper", "operator"}
)
"""Columns in which a number is a department."""


class Refused(Exception):
    """The database refuses such a row."""


class NoSuch(Exception):
    """The table has nothing that can be changed in this way."""


class Database:
    """Reads and writes all rows of a table in one transaction, on either database."""

    def __init__(self, place: Path | str) -> None:
        self.place = place
        self.sqlite = isinstance(place, Path)

    @contextmanager
    def _connected(self) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
        if isinstance(self.place, Path):
            with closing(sqlite3.connect(self.place, timeout=60, isolation_level=None)) as file:
                file.text_factory = _text
                file.execute("BEGIN IMMEDIATE")
                try:
                    yield lambda sql, values=(): file.execute(sql, values).fetchall()
                    file.execute("COMMIT")
                except (sqlite3.IntegrityError, sqlite3.DataError) as refused:
                    raise Refused(str(refused)) from refused
            return
        try:
            with psycopg.connect(self.place) as session:

                def run(sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
                    made = session.execute(sql.replace("?", "%s").encode(), values)
                    return made.fetchall() if made.description else []

                yield run
        except (
            psycopg.errors.IntegrityError,
            psycopg.errors.DataError,
            psycopg.errors.DatatypeMismatch,
        ) as refused:
            raise Refused(str(refused)) from refused

    def rows(self, table: Table) -> list[Row]:
        with self._connected() as run:
            return _rows(run, table)

    def replace(self, table: Table, change: Callable[[list[Row]], tuple[list[Row], list[Row]]]) -> None:
        """Delete and insert the rows that ``change`` returns for the current rows, in one transaction."""
        with self._connected() as run:
            out, put = change(_rows(run, table))
            same = "IS" if self.sqlite else "IS NOT DISTINCT FROM"
            keys = [column.name for column in table.primary_key]
            where = " AND ".join(f'"{name}" {same} ?' for name in keys)
            for row in out:
                given = where
                for name in keys:
                    given = given.replace(f'"{name}" {same} ?', f'"{name}" {same} {_mark(row[name])}')
                run(f'DELETE FROM "{table.name}" WHERE {given}', [row[name] for name in keys])
            for row in put:
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join(_mark(value) for value in row.values())
                run(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', list(row.values()))


class NotUtf8(bytes):
    """Invalid text, which SQLite stores all the same."""


def _mark(value: Any) -> str:
    return "CAST(? AS TEXT)" if isinstance(value, NotUtf8) else "?"


def _text(stored: bytes) -> str | NotUtf8:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return NotUtf8(stored)


def _rows(run: Callable[..., list[tuple[Any, ...]]], table: Table) -> list[Row]:
    names = [column.name for column in table.columns]
    order = ", ".join(f'"{key.name}"' for key in table.primary_key)
    text = ", ".join(f'"{name}"' for name in names)
    return [
        dict(zip(names, row, strict=True))
        for row in run(f'SELECT {text} FROM "{table.name}" ORDER BY {order}')
    ]


# -- values of a changed column


def is_number(column: Column[Any]) -> bool:
    return isinstance(column.type, Integer)


def is_text(column: Column[Any]) -> bool:
    return not isinstance(column.type, Integer | Boolean | LargeBinary)


def another(value: Any, column: Column[Any]) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, bytes):
        return bytes([value[0] ^ 0x80]) + value[1:] if value else b"x"
    if isinstance(value, int):
        if column.primary_key:
            return value + 1_000_003  # The value of no other row.
        return 1 - value if value in (0, 1) else value + (10**9 if value > 10**12 else 1)
    if isinstance(value, str) and value:
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    if isinstance(column.type, Boolean):
        return True
    return 1 if is_number(column) else b"x" * 32 if isinstance(column.type, LargeBinary) else "x"


def _giant(column: Column[Any]) -> int:
    return (
        2**63 - 1
        if isinstance(column.type, BigInteger) or column.type.__class__ is not Integer
        else 2**31 - 1
    )


def _huge(column: Column[Any]) -> Any:
    return b"x" * (MEGABYTES << 20) if isinstance(column.type, LargeBinary) else "x" * (MEGABYTES << 20)


OF_ANY: Mapping[str, Callable[[Any, Column[Any]], Any]] = {
    "other": another,
    "null": lambda value, column: None,
    "huge": lambda value, column: _huge(column),
    "blob": lambda value, column: b"\xff\x00" * 8,
}
OF_NUMBERS: Mapping[str, Callable[[Any, Column[Any]], Any]] = {
    "zero": lambda value, column: 0,
    "negative": lambda value, column: -1,
    "giant": lambda value, column: _giant(column),
    "lowest": lambda value, column: -_giant(column),
    "text": lambda value, column: "many",
    "fraction": lambda value, column: 1.5,
    "infinite": lambda value, column: float("inf"),
}
OF_TEXT: Mapping[str, Callable[[Any, Column[Any]], Any]] = {
    "empty": lambda value, column: "",
    "broken": lambda value, column: '{"a": [',
    "list": lambda value, column: "[[7]]",
    "odd": lambda value, column: "\u202e'\n\"%s\x7f",
    "not-utf8": lambda value, column: NotUtf8(b"\xff\xfe"),
}
OF_BYTES: Mapping[str, Callable[[Any, Column[Any]], Any]] = {
    "empty": lambda value, column: b"",
    "text": lambda value, column: "text",
}
SIBLING = "sibling"
"""The value of another row in this column."""
EVERY = "every column"
"""Change each column that is not a key, in one of the ways."""
OF_ROWS = ("deleted", "copied", "of-another-department")


def kinds_of(column: Column[Any], sqlite: bool) -> list[str]:
    """Every way to change a column that this database permits."""
    found = ["other", SIBLING, "huge"] if not is_number(column) else ["other", SIBLING]
    if isinstance(column.type, Boolean):
        found = ["other", SIBLING]
    found += ["null"] if column.nullable else []
    if is_number(column):
        found += ["zero", "negative", "giant", "lowest"] + (
            ["text", "blob", "fraction", "infinite"] if sqlite else []
        )
    elif is_text(column):
        found += ["empty", "broken", "list", "odd"] + (["blob", "not-utf8"] if sqlite else [])
    elif isinstance(column.type, LargeBinary):
        found += ["empty"] + (["text"] if sqlite else [])
    return found


def edits_of(table: Table, sqlite: bool) -> list[Edit]:
    """Every change of a table."""
    found = [Edit(table.name, "", kind) for kind in OF_ROWS]
    for column in table.columns:
        found += [Edit(table.name, column.name, kind) for kind in kinds_of(column, sqlite)]
    return found


@dataclass(frozen=True)
class Edit:
    """One change of the rows of a table. ``column`` is empty if rows are added or deleted."""

    table: str
    column: str
    kind: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column or '*'} {self.kind}"


@dataclass
class Change:
    """``mended``: nothing of the change was left when it was undone, because the service had written the rows
    again."""

    mended: bool = False


@contextmanager
def edited(database: Database, edit: Edit, table: Table) -> Iterator[Change]:
    """Change the rows while the block runs. Rows that the service wrote meanwhile are kept."""
    before: list[Row] = []
    after: list[Row] = []
    change = Change()

    def make(rows: list[Row]) -> tuple[list[Row], list[Row]]:
        out, put = _change(rows, edit, table)
        before[:], after[:] = out, put
        return out, put

    def undo(rows: list[Row]) -> tuple[list[Row], list[Row]]:
        keys = [column.name for column in table.primary_key]

        def key_of(row: Row) -> tuple[Any, ...]:
            return tuple(row[name] for name in keys)

        there = {key_of(row): row for row in rows}
        change.mended = all(key_of(row) in there for row in before) and not any(
            _says_still(there.get(key_of(ours)), ours, before[place] if before else None)
            for place, ours in enumerate(after)
        )
        out = [there[key_of(row)] for row in after if key_of(row) in there]
        taken = there.keys() - {key_of(row) for row in out}
        put = []
        for place, row in enumerate(before):
            now = row
            if after and (found := there.get(key_of(after[place]))):
                ours = after[place]
                now = {name: row[name] if found[name] == ours[name] else found[name] for name in row}
                now |= {name: row[name] for name in keys}
            if key_of(now) not in taken:
                put.append(now)
        return out, put

    database.replace(table, make)
    try:
        yield change
    finally:
        database.replace(table, undo)


def _says_still(now: Row | None, ours: Row, before: Row | None) -> bool:
    """Whether the row ``now`` still has a value that the change ``ours`` inserted."""
    return now is not None and any(
        now[name] == value for name, value in ours.items() if before is None or before[name] != value
    )


def _change(rows: list[Row], edit: Edit, table: Table) -> tuple[list[Row], list[Row]]:
    keys = [column.name for column in table.primary_key]
    if edit.kind == "deleted":
        if not rows:
            raise NoSuch
        return rows, []
    if edit.kind == "copied":
        return [], [_with_new_key(row, table) for row in rows] or [_made_up(table)]
    if edit.kind == "of-another-department":
        numbers = [c.name for c in table.columns if c.name in BELONGS and is_number(c)]
        if not numbers or not rows:
            raise NoSuch
        taken = {tuple(row[name] for name in keys) for row in rows}
        put = []
        for row in rows:
            new = row | dict.fromkeys(numbers, AUDIT.number)
            if tuple(new[name] for name in keys) in taken:
                new = _with_new_key(new, table, numbers)
            new |= {c.name: another(new[c.name], c) for c in table.columns if c.unique}
            if tuple(new[name] for name in keys) not in taken:
                taken.add(tuple(new[name] for name in keys))
                put.append(new)
        return [], put
    if edit.kind == EVERY:
        if not rows:
            return [], [_made_up(table)]
        chosen = {column.name: _odd_kind(column) for column in table.columns if not column.primary_key}
        return rows, [
            row | {n: _value(k, row[n], table.columns[n]) for n, k in chosen.items()} for row in rows
        ]
    column = table.columns[edit.column]
    if not rows and edit.kind != SIBLING:
        made = _made_up(table)
        return [], [made | {column.name: _value(edit.kind, made[column.name], column)}]
    if edit.kind == SIBLING:
        values = [row[column.name] for row in rows]
        if len(set(map(repr, values))) < 2 or (len(keys) == 1 and column.primary_key):
            raise NoSuch  # All values are equal, or the rows would only change their order.
        shifted = values[1:] + values[:1]
        new = [row | {column.name: value} for row, value in zip(rows, shifted, strict=True)]
        if len({tuple(row[name] for name in keys) for row in new}) < len(new):
            raise NoSuch
        return rows, new
    alone = edit.kind == "huge" or column.unique or (column.primary_key and edit.kind != "other")
    chosen = [rows[-1]] if alone else rows
    return chosen, [row | {column.name: _value(edit.kind, row[column.name], column)} for row in chosen]


def _value(kind: str, value: Any, column: Column[Any]) -> Any:
    for kinds in (OF_ANY, OF_NUMBERS if is_number(column) else OF_TEXT if is_text(column) else OF_BYTES):
        if kind in kinds:
            return kinds[kind](value, column)
    raise LookupError(kind)


def _odd_kind(column: Column[Any]) -> str:
    """One way to change a column that the database permits for this column."""
    if column.unique:
        return "other"
    kinds = [kind for kind in kinds_of(column, False) if kind not in (SIBLING, "huge")]
    return kinds[crc32(f"{column.table.name}.{column.name}".encode()) % len(kinds)]


def _made_up(table: Table) -> Row:
    return {column.name: another(None, column) for column in table.columns}


def _with_new_key(row: Row, table: Table, but: Sequence[str] = ()) -> Row:
    """A copy of the row under another key; unique columns are changed too."""
    fresh = [c for c in table.columns if (c.primary_key and c.name not in but) or c.unique]
    return row | {c.name: another(row[c.name], c) for c in fresh}
