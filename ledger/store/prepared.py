"""Statements of the call path: written with SQLAlchemy, compiled once for each database, and executed on the driver.

Execution by SQLAlchemy takes five to ten times as long as SQLite needs for a point query, and a call runs a dozen of them.
Values and columns must be ints, texts and bytes, because types are not converted (SQLite returns a boolean as 0 or 1).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Select,
    String,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError

from ledger.store.stored import damaged, kinds_of, must_fit


def among(dialect: str, column: Column[Any], name: str) -> ColumnElement[bool]:
    """The condition that a text column is one of the values in the parameter ``name``, which `values_of` makes."""
    if dialect == "sqlite":
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))
    return column == any_(bindparam(name, type_=ARRAY(String)))


def values_of(connection: Connection, values: Iterable[str]) -> str | list[str]:
    """Texts as a single parameter for `among`."""
    return json.dumps(list(values)) if connection.dialect.name == "sqlite" else list(values)


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    order: tuple[str, ...] | None
    constants: dict[str, Any]
    kinds: tuple[type | None, ...] = ()
    """The expected Python types of the columns, for a database that accepts other types too."""
    fitting: set[tuple[type, ...]] = field(default_factory=set)
    """A cache of type tuples of rows that were checked, so that the check of a row is one lookup."""


def execute(connection: Connection, text: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
    """Run an SQL text on the driver, in the connection's transaction; returns the driver's cursor.

    Raises `DBAPIError` as SQLAlchemy does, but without the values.
    """
    raw = driver(connection)
    try:
        return raw.execute(text, values)
    except connection.dialect.loaded_dbapi.Error as error:
        raise translated(connection, error) from error


def fetched(
    connection: Connection, text: str, values: Sequence[Any], kinds: Sequence[type | None]
) -> list[tuple[Any, ...]]:
    """All rows of an SQL text. Raises `StoreDamaged` when a value is not of the type given for its column."""
    rows = _all(connection, execute(connection, text, values).fetchall)
    for row in rows:
        must_fit(row, kinds)
    return rows


def _all(connection: Connection, fetch: Callable[[], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    try:
        return fetch()
    except connection.dialect.loaded_dbapi.Error as error:  # SQLite decodes a text when it is fetched
        if (refused := damaged(error)) is not None:
            raise refused from error
        raise translated(connection, error) from error


def driver(connection: Connection) -> Any:
    """The driver's connection, in the same transaction. The caller must pass its errors to `translated`."""
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.dbapi_connection


def translated(connection: Connection, error: Exception) -> DBAPIError:
    """SQLAlchemy's error for a driver's error. A lost connection is removed from the pool."""
    lost = connection.dialect.is_disconnect(error, connection.connection, None)  # type: ignore[arg-type]
    if lost:
        connection.invalidate(error)
    found = DBAPIError.instance(
        None,
        None,
        error,
        connection.dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=connection.dialect,
    )
    assert isinstance(found, DBAPIError)
    return found


class Prepared:
    """One statement. When it differs between databases, ``build`` is a function from the dialect's name to the statement."""

    __slots__ = ("_build", "_compiled")

    def __init__(self, build: Executable | Callable[[str], Executable]) -> None:
        self._build = build
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """Run the statement and return all rows."""
        cursor = self._run(connection, values)
        return self._fetched(connection, cursor.fetchall)

    def row(self, connection: Connection, **values: Any) -> tuple[Any, ...] | None:
        """Run the statement and return the first row; None without one."""
        cursor = self._run(connection, values)
        return next(
            iter(self._fetched(connection, lambda: [] if (row := cursor.fetchone()) is None else [row])), None
        )

    def mappings(self, connection: Connection, **values: Any) -> list[dict[str, Any]]:
        """Run the statement and return all rows as dictionaries by column name."""
        cursor = self._run(connection, values)
        names = [column[0] for column in cursor.description]
        rows = self._fetched(connection, cursor.fetchall)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def run(self, connection: Connection, **values: Any) -> int:
        """Run a statement without result rows; returns the number of affected rows."""
        return int(self._run(connection, values).rowcount)

    def _fetched(
        self, connection: Connection, fetch: Callable[[], list[tuple[Any, ...]]]
    ) -> list[tuple[Any, ...]]:
        """The rows; raises `StoreDamaged` for a value of a wrong type."""
        found = _all(connection, fetch)
        known = self._compiled[connection.dialect.name]
        if known.kinds:
            for row in found:
                types = tuple(map(type, row))
                if types not in known.fitting:
                    must_fit(row, known.kinds)
                    known.fitting.add(types)
        return found

    def _run(self, connection: Connection, values: dict[str, Any]) -> Any:
        known = self._compiled.get(connection.dialect.name)
        if known is None:
            known = self._compiled[connection.dialect.name] = self._compile(connection.dialect)
        given = known.constants | values if known.constants else values
        if known.order is None:
            return execute(connection, known.text, given)
        return execute(connection, known.text, [given[name] for name in known.order])

    def _compile(self, dialect: Dialect) -> _Compiled:
        statement: Any = self._build(dialect.name) if callable(self._build) else self._build
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        order: Sequence[str] | None = compiled.positiontup
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        columns = (
            statement.selected_columns if isinstance(statement, Select) and dialect.name == "sqlite" else ()
        )
        kinds = kinds_of([getattr(column.type, "impl_instance", column.type) for column in columns])
        return _Compiled(str(compiled), None if order is None else tuple(order), constants, kinds)
