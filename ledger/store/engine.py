"""Opening the database: SQLite with the settings the log relies on, or PostgreSQL.

SQLite runs in WAL mode with ``synchronous=FULL``: a commit that returned is on disk. Deleted content is
overwritten (``secure_delete``). ``sqlite3`` opens no transaction by itself here: SQLAlchemy's begin does, and
takes the write lock at once (BEGIN IMMEDIATE), so no transaction fails half-way for having read first. Code
that only reads uses `reader`, whose transactions take no lock and see one snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Dialect, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ledger.errors import LedgerError

BUSY_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10
"""For a PostgreSQL whose URL says no ``connect_timeout``; the driver alone would wait for minutes."""

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",
    "cache_size=-16000",
)

# A generic plan made while a table was small scans it whole once it is large.
_SETTINGS = ("synchronous_commit=on", "timezone=UTC", "plan_cache_mode=force_custom_plan")

_READERS: WeakKeyDictionary[Dialect, Engine] = WeakKeyDictionary()
"""The reading twin of every SQLite engine that is open."""


_REFUSED = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that say nothing about the statement: connection, rollback, resources, locks, operator, system."""
_REFUSED_WHOLE = frozenset({"25006", "25P03", "25P04"})
"""A standby that takes no writes, and transactions that lasted too long."""
_SQLITE_REFUSED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
                             sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})  # fmt: skip


class StoreUnavailable(LedgerError):
    """The database is out of reach, too slow, of another kind, or no database at all. What was asked may be repeated."""

    code = "store.unavailable"


def unavailable(error: SQLAlchemyError) -> StoreUnavailable | None:
    """What an error of the database is to who asked, when it says nothing about the statement; None for a defect."""
    if not _says_nothing_of_the_statement(error):
        return None
    return StoreUnavailable("the database did not answer", hint="try again shortly")


def _says_nothing_of_the_statement(error: SQLAlchemyError) -> bool:
    if isinstance(error, PoolTimeout | PendingRollbackError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _SQLITE_REFUSED
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)
    return state[:2] in _REFUSED or state in _REFUSED_WHOLE


def open_engine(url: str, *, pool_size: int = 8) -> Engine:
    """An engine for ``sqlite:////path/to/file`` or ``postgresql+psycopg://...``, once a connection was made.

    Raises `StoreUnavailable`; its message has no password.
    """
    try:
        engine = _engine(make_url(url), pool_size)
    except (ArgumentError, ValueError) as malformed:
        raise StoreUnavailable(
            "the database URL is not sqlite:///... or postgresql://...", hint="check CIVIC_DATABASE_URL"
        ) from malformed
    try:
        engine.connect().close()
    except DBAPIError as refused:
        engine.dispose()
        said = str(refused.orig).strip().splitlines()
        raise StoreUnavailable(
            f"the database {engine.url.render_as_string(hide_password=True)} cannot be opened: {' '.join(said[:1])}",
            hint="check CIVIC_DATABASE_URL, and that the database runs",
        ) from refused
    return engine


def _engine(parsed: URL, pool_size: int) -> Engine:
    if parsed.get_backend_name() == "postgresql":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=8,
            pool_pre_ping=True,
            connect_args={"options": " ".join(f"-c {setting}" for setting in _SETTINGS)}
            | ({} if "connect_timeout" in parsed.query else {"connect_timeout": CONNECT_TIMEOUT_S}),
        )
    if parsed.get_backend_name() != "sqlite":
        raise ValueError(parsed.get_backend_name())
    writing = _sqlite(parsed, pool_size, (), "BEGIN IMMEDIATE")
    reading = _sqlite(parsed, pool_size, ("query_only=ON",), "BEGIN")
    event.listen(writing, "engine_disposed", lambda _: reading.dispose())
    _READERS[writing.dialect] = reading
    return writing


def reader(engine: Engine) -> Engine:
    """The same database for reading only: deferred transactions, one snapshot each, writes refused."""
    if engine.dialect.name == "sqlite":
        return _READERS.get(engine.dialect, engine)
    return engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")


def _sqlite(url: URL, pool_size: int, pragmas: Sequence[str], begin: str) -> Engine:
    """An engine with connections of its own, since a pragma set in passing makes SQLite parse every
    statement of the connection again."""
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=24,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "cached_statements": 512},
    )

    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (*_PRAGMAS, *pragmas):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine
