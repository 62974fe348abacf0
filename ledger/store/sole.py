"""Exclusive use of a database by one service.

On PostgreSQL a session holds an advisory lock while the service runs. On SQLite a file beside the database is locked, because
two homes may use one database file. A session can be lost unexpectedly, so every service also has a term, a number in
`StoreInstance`. A service that takes the lock increments it, and the writer of a service with an older term commits nothing.
The session is checked periodically; after a loss the lock is taken again, unless another service has it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from ledger.errors import LedgerError
from ledger.store.prepared import Prepared
from ledger.store.tables import table_of
from ledger.store.tables.instance import StoreInstance

_instance = table_of(StoreInstance)
_TERM = Prepared(select(_instance.c.term))
_LOCK = text("SELECT pg_try_advisory_lock(1667856995, hashtext(current_schema()))")
"""The first number identifies this program (``civc``), the second the schema of the database."""
WATCH_S = 1.0
TAKE_S = 3.0
"""How many seconds a starting service waits for the session of the previous one to be closed."""
_KEEPALIVE = ("tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3")
"""With keepalives the server releases the lock of a machine that is gone."""

_log = logging.getLogger(__name__)


class StoreHeld(LedgerError):
    """Another service uses this database, or has taken it over."""

    code = "store.held"


def owner_of(engine: Engine) -> tuple[str, int, str] | None:
    """The home, chain id and ledger contract in a database; None if it has none yet."""
    if not inspect(engine).has_table(_instance.name):
        return None
    with engine.connect() as connection:
        row = connection.execute(select(_instance.c.home, _instance.c.chain_id, _instance.c.ledger)).first()
    return None if row is None else (str(row[0]), int(row[1]), str(row[2]))


@contextmanager
def sole(engine: Engine) -> Iterator[Sole]:
    """A context with exclusive use of the database; raises `StoreHeld` when another service uses it."""
    if engine.dialect.name == "sqlite":
        with _locked_beside(Path(engine.url.database or "").resolve()):
            yield Sole(engine)
        return
    held = Sole(engine)
    held.take()
    try:
        yield held
    finally:
        held.close()


class Sole:
    """Exclusive use of a database by this process. `claim` begins a term; `must_hold` fails a job after the term has ended."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._term: int | None = None
        self._lost = False
        self._session: Connection | None = None
        self._watch: threading.Thread | None = None
        self._closing = threading.Event()
        self._when_lost: Callable[[], None] = lambda: None

    def take(self) -> None:
        """Lock a PostgreSQL database and check the session periodically; raises `StoreHeld` when it is locked."""
        until = time.monotonic() + TAKE_S
        while not self._lock():
            if time.monotonic() < until:
                time.sleep(0.2)
                continue
            raise StoreHeld(
                f"another service runs on the database {self._engine.url.render_as_string(hide_password=True)}",
                hint="stop it first; a database belongs to one home and one service",
            )
        self._watch = threading.Thread(target=self._run, name="store-lock", daemon=True)
        self._watch.start()

    def close(self) -> None:
        """Release the database."""
        self._closing.set()
        if self._watch is not None:
            self._watch.join(10)
        self._end_session()

    def claim(self, home: str, chain_id: int, ledger: str) -> None:
        """Write the owner of the database if it has none, and begin a new term."""
        with self._engine.begin() as connection:
            found = connection.execute(select(_instance.c.term)).first()
            self._term = 1 + (0 if found is None else int(found[0]))
            if found is None:
                row = {"id": 1, "home": home, "chain_id": chain_id, "ledger": ledger, "term": self._term}
                connection.execute(insert(_instance), row)
            else:
                connection.execute(update(_instance).values(term=self._term))

    def must_hold(self, connection: Connection) -> None:
        """Raise `StoreHeld`, in the writer's transaction, when another service has begun a later term."""
        if self._session is None and self._watch is None:
            return  # a file lock is kept until the process ends
        if self._term is not None and _TERM.row(connection) != (self._term,):
            self._give_up()
            raise self._taken_over()

    def must_have_held(self) -> None:
        """Raise `StoreHeld` when the database was taken over by another service."""
        if self._lost:
            raise self._taken_over()

    def when_lost(self, end: Callable[[], None]) -> None:
        """Register a function to call when another service takes the database over; it is called at once if that has
        happened."""
        self._when_lost = end
        if self._lost:
            end()

    @staticmethod
    def _taken_over() -> StoreHeld:
        return StoreHeld(
            "another service has taken this database over; this one writes nothing more and ends",
            hint="a database belongs to one home and one service",
        )

    def _lock(self) -> bool:
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        session.detach()
        for setting in _KEEPALIVE:
            session.execute(text(f"SET {setting}"))
        if bool(session.execute(_LOCK).scalar_one()):
            self._session = session
            return True
        session.close()
        return False

    def _run(self) -> None:
        while not self._closing.wait(WATCH_S):
            try:
                if self._session is None and not self._regained():
                    return
                if self._session is not None:
                    self._session.execute(text("SELECT 1"))
            except SQLAlchemyError as lost:
                if self._session is not None:
                    _log.warning("the session that holds the database was lost: %s", type(lost).__name__)
                self._end_session()

    def _regained(self) -> bool:
        """Take the lock again; False when another service has begun a term. Our old session may still exist for a while."""
        with self._engine.connect() as connection:
            over = self._term is not None and _TERM.row(connection) != (self._term,)
        if over:
            self._give_up()
            return False
        if self._lock():
            _log.info("the database is held again")
        return True

    def _give_up(self) -> None:
        if not self._lost:
            self._lost = True
            _log.error("another service has taken this database over")
            self._when_lost()

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(SQLAlchemyError):
                session.close()


@contextmanager
def _locked_beside(database: Path) -> Iterator[None]:
    beside = database.with_name(database.name + ".lock")
    handle = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise StoreHeld(
                f"another service runs on the database {database}",
                hint="stop it first; a database belongs to one home and one service",
            ) from held
        yield
    finally:
        os.close(handle)
