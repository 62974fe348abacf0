"""Opening the database: SQLite with the settings the log relies on, or PostgreSQL.

SQLite runs in WAL mode with ``synchronous=FULL``: a commit that returned is on disk. Deleted content is
overwritten (``secure_delete``). ``sqlite3`` opens no transaction by itself here: SQLAlchemy's begin does, and
takes the write lock at once (BEGIN IMMEDIATE), so no transaction fails half-way for having read first. Code
that only reads uses `reader`, whose transactions take no lock and see one snapshot.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url

BUSY_TIMEOUT_S = 30.0

_READ = "civic_read"


def open_engine(url: str, *, pool_size: int = 8) -> Engine:
    """An engine for ``sqlite:////path/to/file`` or ``postgresql+psycopg://...``."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=8,
            pool_pre_ping=True,
            connect_args={"options": "-c synchronous_commit=on -c timezone=UTC"},
        )
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=24,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "cached_statements": 512},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def reader(engine: Engine) -> Engine:
    """The same database for reading only: deferred transactions, one snapshot each, writes refused."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_READ: True})
    return engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    reading = bool(connection.get_execution_options().get(_READ))
    raw.execute(f"PRAGMA query_only={'ON' if reading else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
