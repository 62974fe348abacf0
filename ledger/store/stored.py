"""Type checks of stored values: a value of a wrong type was not written by the service and raises `StoreDamaged`.

SQLite stores values of any type, for example a text in a column of numbers; PostgreSQL does not. All values from SQLite are
therefore checked when they are read (`KINDS` for SQLAlchemy's statements, `must_fit` for prepared ones). A value of the right
type may still be invalid, such as an unknown status; functions that make objects from rows use `made_of`.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, Connection, Dialect, func, literal_column, select
from sqlalchemy.sql.sqltypes import Boolean, Integer, LargeBinary, String
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel

from ledger.counts import counted
from ledger.errors import LedgerError

P = ParamSpec("P")
T = TypeVar("T")

UNREADABLE = (LedgerError, ValueError, LookupError, TypeError, ArithmeticError, OSError, AttributeError)
"""The errors that an invalid row may raise."""
_NO_TEXT = "Could not decode to UTF-8"
_FILE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PAGES = frozenset({"XX001", "XX002"})
"""The SQLSTATEs of damaged pages and indexes in PostgreSQL."""


class StoreDamaged(LedgerError):
    """A row of the database is not one that the service writes."""

    code = "store.damaged"

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="civic audit fsck names it; nothing was released by it")


def made_of(table: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator for functions that make values from rows of a table: invalid rows raise `StoreDamaged`."""

    def decorate(make: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(make)
        def made(*args: P.args, **named: P.kwargs) -> T:
            try:
                return make(*args, **named)
            except StoreDamaged:
                raise
            except UNREADABLE as wrong:
                raise StoreDamaged(f"a row of {table} cannot be read: {type(wrong).__name__}") from wrong

        return made

    return decorate


def damaged(error: BaseException) -> StoreDamaged | None:
    """The `StoreDamaged` for SQLite's error about an undecodable text; None for other errors."""
    if isinstance(error, sqlite3.OperationalError) and _NO_TEXT in str(error):
        return StoreDamaged("the database holds bytes that are no text where a text is written")
    return None


def damaged_file(error: object) -> StoreDamaged | None:
    """The `StoreDamaged` for a driver's error about damaged database files; None for other errors."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _FILE or getattr(error, "sqlstate", None) in _PAGES:
        return StoreDamaged("the files of the database do not add up")
    return None


def _only(kind: type, words: str) -> Callable[[Any], Any]:
    def process(value: Any) -> Any:
        if value is None or type(value) is kind:
            return value
        raise StoreDamaged(f"the database holds a {type(value).__name__} where {words} stands")

    return process


_WHOLE, _TEXT, _BYTES = _only(int, "a whole number"), _only(str, "a text"), _only(bytes, "a string of bytes")


class _Whole(Integer):
    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _WHOLE


class _Text(String):
    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _TEXT


class _Bytes(LargeBinary):
    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _BYTES


KINDS: dict[type[TypeEngine[Any]], type[TypeEngine[Any]]] = {
    Integer: _Whole,
    String: _Text,
    LargeBinary: _Bytes,
}
"""For a dialect's ``colspecs``: column types that check the type of each value read."""


def kinds_of(types: Sequence[TypeEngine[Any]]) -> tuple[type | None, ...]:
    """For each column the Python type of its values in SQLite; None for an unchecked column."""
    return tuple(
        int if isinstance(one, Integer | Boolean) else str if isinstance(one, String) else bytes if isinstance(one, LargeBinary) else None
        for one in types
    )  # fmt: skip


def must_fit(row: Sequence[Any], kinds: Sequence[type | None]) -> None:
    """Raise `StoreDamaged` when a value of the row has another type. ``kinds`` are those of `kinds_of`."""
    for value, kind in zip(row, kinds, strict=True):
        if value is not None and kind is not None and type(value) is not kind:
            raise StoreDamaged(
                f"the database holds a {type(value).__name__} where {kind.__name__} is written"
            )


_STORED = {int: "integer", str: "text", bytes: "blob"}


def misfits(connection: Connection) -> Iterator[str]:
    """The columns with values of a wrong type, with their number; empty on PostgreSQL, which refuses such values."""
    if connection.dialect.name != "sqlite":
        return
    for table in SQLModel.metadata.sorted_tables:
        for column in table.columns:
            [kind] = kinds_of([getattr(column.type, "impl_instance", column.type)])
            if kind is None:
                continue
            name: ColumnElement[Any] = literal_column(f'"{column.name}"')
            wrong = func.typeof(name).not_in(("null", _STORED[kind]))
            found = connection.execute(select(func.count()).select_from(table).where(wrong)).scalar_one()
            if found:
                yield f"{counted(found, 'row')} of {table.name} with a {column.name} of another kind than the service writes"
