"""Opening the database: SQLite with the settings that the log needs, or PostgreSQL.

SQLite runs in WAL mode with ``synchronous=FULL``, so a completed commit is on disk. Deleted content is overwritten
(``secure_delete``). Transactions are begun by SQLAlchemy, not by ``sqlite3``, and take the write lock immediately (BEGIN
IMMEDIATE), so that no transaction fails when it writes after reading. Code that only reads uses `reader`, whose transactions
take no lock and see one snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Dialect, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext, make_url
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
from ledger.same_file import EXCHANGED, PUT_BACK, SameFile
from ledger.store.stored import KINDS, StoreDamaged, damaged, damaged_file

BUSY_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10
"""The default of ``connect_timeout`` for PostgreSQL; the driver's default would be minutes."""

LOCK_TIMEOUT_S = 10
"""The default of ``lock_timeout`` for PostgreSQL; without it, a statement would wait for a locked table without limit."""

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",
    "cache_size=-16000",
)

# plan_cache_mode: a generic plan made for a small table scans the whole table when it is large. The other settings may be
# set differently for a role or a database and would change the meaning of stored values or statements.
_SETTINGS = (
    "synchronous_commit=on",
    "timezone=UTC",
    "plan_cache_mode=force_custom_plan",
    "client_encoding=UTF8",
    "standard_conforming_strings=on",
    "transform_null_equals=off",
    "extra_float_digits=1",
    "datestyle=ISO",
    "intervalstyle=postgres",
    "bytea_output=hex",
    "default_transaction_isolation=read\\ committed",
)

_SCHEMA = """
SELECT COALESCE(
  (SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
   WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('audit_state')),
  pg_catalog.current_schema())
"""
_LOCKS = (
    f"SELECT pg_catalog.set_config('lock_timeout', '{LOCK_TIMEOUT_S}s', false)"
    " WHERE pg_catalog.current_setting('lock_timeout') OPERATOR(pg_catalog.=) '0'"
)
_PIN = "SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident(%s) OPERATOR(pg_catalog.||) ', pg_temp', false)"

_READERS: WeakKeyDictionary[Dialect, Engine] = WeakKeyDictionary()
"""The read-only engine of every open SQLite engine."""


_REFUSED = ("08", "28", "3D", "40", "53", "55", "57", "58")
"""The SQLSTATE classes that do not concern the statement: connection, login, database name, rollback, resources, locks,
operator, system."""
_REFUSED_WHOLE = frozenset({"25006", "25P03", "25P04", "3F000", "42501", "42P01"})
"""Further SQLSTATEs: a read-only standby, transactions that lasted too long, and a schema, privilege or table that was
removed."""
_SQLITE_REFUSED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
                             sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})  # fmt: skip


class StoreUnavailable(LedgerError):
    """The database is unreachable, too slow, or not a database of a supported kind. The request may be repeated."""

    code = "store.unavailable"


class StoreLinked(LedgerError):
    """The database's file has a second name (a hard link). SQLite stores new data in files beside the opened name, so using
    two names corrupts the database: https://www.sqlite.org/howtocorrupt.html, 2.5."""

    code = "store.linked"


class StoreExchanged(LedgerError):
    """The database's file was moved, removed or exchanged while it was open. Nothing is written (`ledger.same_file`)."""

    code = "store.exchanged"


def unavailable(error: SQLAlchemyError) -> StoreUnavailable | StoreDamaged | None:
    """The error to report for a database error that does not concern the statement; None for a defect."""
    if not _says_nothing_of_the_statement(error):
        return damaged_file(getattr(error, "orig", None))
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
    """An engine for ``sqlite:////path/to/file`` or ``postgresql+psycopg://...``, after a successful connection.

    Raises `StoreUnavailable` (its message does not contain the password), and `StoreLinked` for a file with two names.
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
        reason = str(refused.orig).strip().splitlines()
        raise StoreUnavailable(
            f"the database {engine.url.render_as_string(hide_password=True)} cannot be opened: {' '.join(reason[:1])}",
            hint="check CIVIC_DATABASE_URL, and that the database runs",
        ) from refused
    return engine


def _engine(parsed: URL, pool_size: int) -> Engine:
    if parsed.get_backend_name() == "postgresql":
        from ledger.store.answering import SOCKET

        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(
            parsed,
            hide_parameters=True,  # They are values of persons, and an error's text is logged.
            pool_size=pool_size,
            max_overflow=8,
            pool_pre_ping=True,
            connect_args={"options": " ".join(f"-c {setting}" for setting in _SETTINGS)}
            | {
                name: value
                for name, value in {"connect_timeout": CONNECT_TIMEOUT_S, **SOCKET}.items()
                if name not in parsed.query
            },
        )
        event.listen(engine, "do_connect", _answering)
        _keep_to_one_schema(engine)
        return engine
    if parsed.get_backend_name() != "sqlite":
        raise ValueError(parsed.get_backend_name())
    _must_have_one_name(Path(parsed.database or ""))
    writing = _sqlite(parsed, pool_size, (), "BEGIN IMMEDIATE")
    reading = _sqlite(parsed, pool_size, ("query_only=ON",), "BEGIN")
    event.listen(writing, "engine_disposed", lambda _: reading.dispose())
    _READERS[writing.dialect] = reading
    return writing


def _answering(_dialect: Dialect, _record: Any, arguments: Any, options: Any) -> Any:
    from ledger.store.answering import AnsweringConnection

    return AnsweringConnection.connect(*arguments, **options)


def _must_have_one_name(file: Path) -> None:
    if file.is_file() and file.stat().st_nlink > 1:
        raise StoreLinked(
            f"the database {file} has a second name, a hard link",
            hint="remove the other name, or make a copy of the file (cp --reflink=never) while no service runs",
        )


def _keep_to_one_schema(engine: Engine) -> None:
    """Resolve names only in ``pg_catalog`` and in the schema of the first connection, independent of later settings of the
    role or database and of objects in other schemas."""
    schema: list[str] = []

    def pin(connection: Any, _record: Any) -> None:
        if not schema:
            found = connection.execute(_SCHEMA).fetchone()
            if found is None or found[0] is None:
                connection.rollback()
                return  # there is no schema: the next statement reports it
            schema.append(found[0])
        connection.execute(_PIN, (schema[0],))
        connection.execute(_LOCKS)
        connection.commit()

    event.listen(engine, "connect", pin)


def reader(engine: Engine) -> Engine:
    """A read-only engine for the same database: deferred transactions with one snapshot each; writes are refused."""
    if engine.dialect.name == "sqlite":
        return _READERS.get(engine.dialect, engine)
    return engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")


def _sqlite(url: URL, pool_size: int, pragmas: Sequence[str], begin: str) -> Engine:
    """An engine with its own connections, because changing a pragma makes SQLite parse all statements of a connection
    again."""
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=24,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "cached_statements": 512},
    )

    engine.dialect.colspecs = {**engine.dialect.colspecs, **KINDS}

    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (*_PRAGMAS, *pragmas):
            connection.execute(f"PRAGMA {pragma}").close()

    def refuse(failed: ExceptionContext) -> None:
        if (refused := damaged(failed.original_exception)) is not None:
            raise refused

    same = SameFile(Path(url.database or ""))

    def must_be_the_same(*_: object) -> None:
        if same.exchanged():
            raise StoreExchanged(f"the database {same.path} {EXCHANGED}", hint=PUT_BACK)

    event.listen(engine, "do_connect", must_be_the_same)
    event.listen(engine, "connect", same.remember)
    event.listen(engine, "begin", must_be_the_same)
    event.listen(engine, "connect", configure)
    event.listen(engine, "handle_error", refuse)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine
