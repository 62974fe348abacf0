"""A database that one service has to itself.

On PostgreSQL a session holds an advisory lock for the service's life; on SQLite a file beside the database is locked,
since two homes may name one file. A session can be lost without anybody's will. So every service also has a term, a
number in `StoreInstance`: who takes the lock anew raises it, and the writer of a service whose term is over commits
nothing. The session is watched; when it is lost the lock is taken again, unless another service has it by then.
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
"""The first number is ours (``civc``); the second tells schemas of one database apart."""
WATCH_S = 1.0
TAKE_S = 3.0
"""How long a service that starts waits for a session that its predecessor's end has not closed yet."""
_KEEPALIVE = ("tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3")
"""So that the server lets the lock go of a machine that vanished."""

_log = logging.getLogger(__name__)


class StoreHeld(LedgerError):
    """Another service has this database, or has taken it over."""

    code = "store.held"


def owner_of(engine: Engine) -> tuple[str, int, str] | None:
    """The home, chain id and ledger contract that a database names; None for one that names nobody yet."""
    if not inspect(engine).has_table(_instance.name):
        return None
    with engine.connect() as connection:
        row = connection.execute(select(_instance.c.home, _instance.c.chain_id, _instance.c.ledger)).first()
    return None if row is None else (str(row[0]), int(row[1]), str(row[2]))


@contextmanager
def sole(engine: Engine) -> Iterator[Sole]:
    """While this process has the database to itself; StoreHeld when another has it."""
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
    """A database that this process has to itself. `claim` begins its term; `must_hold` ends a job of one that is over."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._term: int | None = None
        self._lost = False
        self._session: Connection | None = None
        self._watch: threading.Thread | None = None
        self._closing = threading.Event()
        self._when_lost: Callable[[], None] = lambda: None

    def take(self) -> None:
        """Lock a PostgreSQL database and watch the session that does; StoreHeld when another holds it."""
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
        """Let the database go."""
        self._closing.set()
        if self._watch is not None:
            self._watch.join(10)
        self._end_session()

    def claim(self, home: str, chain_id: int, ledger: str) -> None:
        """Write whose database this is, where nothing says so, and begin a new term."""
        with self._engine.begin() as connection:
            found = connection.execute(select(_instance.c.term)).first()
            self._term = 1 + (0 if found is None else int(found[0]))
            if found is None:
                row = {"id": 1, "home": home, "chain_id": chain_id, "ledger": ledger, "term": self._term}
                connection.execute(insert(_instance), row)
            else:
                connection.execute(update(_instance).values(term=self._term))

    def must_hold(self, connection: Connection) -> None:
        """Raise `StoreHeld` in the writer's transaction when another service began a term since."""
        if self._session is None and self._watch is None:
            return  # a lock on a file is not lost while the process lives
        if self._term is not None and _TERM.row(connection) != (self._term,):
            self._give_up()
            raise self._taken_over()

    def must_have_held(self) -> None:
        """Raise `StoreHeld` when the database was taken over by another service."""
        if self._lost:
            raise self._taken_over()

    def when_lost(self, end: Callable[[], None]) -> None:
        """What to do when another service has taken the database over; called at once where it has."""
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
        """Take the lock again; False when another service began a term. An old session of ours may linger meanwhile."""
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
