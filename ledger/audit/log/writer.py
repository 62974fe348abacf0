"""The single writer of a process: adaptive group commit.

A batch holds the jobs that were queued while the previous batch was committed; there is no timer. Each job of a batch
runs in its own savepoint of one transaction. Then all entries are appended, the head is signed, and one COMMIT makes
the batch durable. The futures are resolved after the COMMIT, so data that is released after its future was resolved
has its entry in the log.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine

from ledger.audit.formats.errors import EventConflict, LogClosed, LogCorrupt, LogUnavailable
from ledger.audit.log.append import Appended, NewEntry, PreparedEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import known_entries
from ledger.audit.verify.receipts import Receipt
from ledger.store.foreign import ForeignObject
from ledger.store.prepared import execute

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobResult(Generic[T]):
    """The result of a job: a value for its caller and the entries to append."""

    value: T
    events: Sequence[NewEntry] = ()


Job = Callable[[Connection], JobResult[T]]
"""Runs on the writer's connection in a savepoint. It must have no effect other than through this connection."""


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """A durable result of a job.

    ``repeated`` means that the job's events were already in the log. Then the writes of this run were rolled back, and
    the receipts are those of the first run.
    """

    value: T
    _appended: Appended
    _first: int
    _count: int
    _log: AuditLog
    repeated: bool = False

    @property
    def indices(self) -> tuple[int, ...]:
        """The indexes of the entries in the log."""
        return self._appended.indices[self._first : self._first + self._count]

    @property
    def checkpoint(self) -> str:
        """The signed checkpoint that covers the entries."""
        return str(self._appended.signed)

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """One receipt for each entry, in order; built at the time of the call."""
        return tuple(self._receipt(i) for i in range(self._first, self._first + self._count))

    def _receipt(self, position: int) -> Receipt:
        if self._appended.indices[position] >= self._appended.growth.old_size:
            return self._appended.receipt(position)
        return self._log.receipt(self._appended.indices[position])


@dataclass(slots=True)
class _Item:
    """One submission: either a job or entries ready to append."""

    job: Job[Any] | None
    entries: Sequence[PreparedEntry]
    future: Future[Any] | None = None
    waiting: asyncio.Future[Any] | None = None
    value: Any = None
    first: int = 0
    repeated: bool = False
    settled: bool = False


class GroupCommit:
    """Runs jobs and appends their entries in batches, on its own thread.

    ``max_batch`` is the most jobs of one transaction. `submit` refuses jobs while ``max_queued`` are waiting. ``guard``
    runs in every transaction and raises when this process may no longer write.
    """

    def __init__(
        self,
        engine: Engine,
        log: AuditLog,
        *,
        max_batch: int = 1024,
        max_queued: int = 65_536,
        guard: Callable[[Connection], None] | None = None,
    ) -> None:
        self._guard = guard
        self._engine = engine
        self._log = log
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._queue: list[_Item] = []
        self._arrived = threading.Condition()
        self._closing = False
        self._sound = True
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[T]) -> Future[Committed[T]]:
        """Queue a job. The future fails with the job's own exception, or with `LogUnavailable` when its batch was not
        committed."""
        future: Future[Committed[T]] = Future()
        self._enqueue(_Item(job, (), future))
        return future

    def append(self, *entries: NewEntry) -> Future[Committed[None]]:
        """Queue entries without a job. Raises `EventInvalid` in the call, not through the future."""
        future: Future[Committed[None]] = Future()
        self._enqueue(_Item(None, [PreparedEntry.of(entry) for entry in entries], future))
        return future

    async def run(self, job: Job[T]) -> Committed[T]:
        """`submit` for callers on an event loop. The loop is woken once for all results of a batch."""
        waiting: asyncio.Future[Committed[T]] = asyncio.get_running_loop().create_future()
        self._enqueue(_Item(job, (), None, waiting))
        return await waiting

    async def record(self, *entries: NewEntry) -> Committed[None]:
        """`append` for callers on an event loop."""
        waiting: asyncio.Future[Committed[None]] = asyncio.get_running_loop().create_future()
        self._enqueue(_Item(None, [PreparedEntry.of(entry) for entry in entries], None, waiting))
        return await waiting

    def close(self, timeout: float = 30.0) -> None:
        """Commit the queued jobs and stop the thread; waits at most ``timeout`` seconds."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        self._thread.join(timeout)

    def __enter__(self) -> GroupCommit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enqueue(self, item: _Item) -> None:
        with self._arrived:
            if self._closing:
                raise LogClosed("the audit writer is closed")
            if len(self._queue) >= self._max_queued:
                raise LogUnavailable("the audit writer is overloaded", hint="try again shortly")
            self._queue.append(item)
            if len(self._queue) == 1:
                self._arrived.notify()

    def _run(self) -> None:
        while True:
            with self._arrived:
                while not self._queue and not self._closing:
                    self._arrived.wait()
                batch, self._queue = self._queue[: self._max_batch], self._queue[self._max_batch :]
            if not batch:
                return
            self._process([item for item in batch if _begin(item)])

    def _process(self, batch: list[_Item]) -> None:
        try:
            if not self._sound:
                self._log.verify_head()
                self._sound = True
            done, appended = self._commit(batch)
            self._log.committed(appended)
        except BaseException as error:  # noqa: BLE001 - after any error no data of the batch may be released
            self._sound = False
            self._engine.dispose()
            _log.error("audit batch of %d failed: %s", len(batch), error)
            failure: BaseException = error
            if not isinstance(error, ForeignObject):
                failure = LogUnavailable("the audit log could not be written", hint="try again shortly")
                failure.__cause__ = error
            _settle([(item, None, failure) for item in batch if not item.settled])
            return
        log = self._log
        _settle(
            [
                (
                    item,
                    Committed(item.value, appended, item.first, len(item.entries), log, item.repeated),
                    None,
                )
                for item in done
            ]
        )

    def _commit(self, batch: list[_Item]) -> tuple[list[_Item], Appended]:
        done: list[_Item] = []
        with self._engine.connect() as conn:
            conn.begin()
            state = self._log.lock(conn)
            if self._guard is not None:
                self._guard(conn)
            pending: set[bytes] = set()
            for item in batch:
                if item.job is None or self._run_job(conn, item, pending):
                    done.append(item)
                    pending.update(entry.event_id for entry in item.entries)
            entries: list[PreparedEntry] = []
            for item in done:
                item.first = len(entries)
                entries.extend(item.entries)
            appended = self._log.append_to(conn, state, entries)
            if appended.growth.size - state.size < len(entries):
                for item in done:
                    if item.job is None and item.entries:
                        found = appended.indices[item.first : item.first + len(item.entries)]
                        item.repeated = all(index < state.size for index in found)
            _must_be_open(conn)
            conn.commit()
        return done, appended

    def _run_job(self, conn: Connection, item: _Item, pending: set[bytes]) -> bool:
        """Run one job. Returns False when it failed; its future then has the job's exception.

        ``pending`` holds the event ids of earlier items of the same batch, which are in no table yet.
        """
        assert item.job is not None
        execute(conn, "SAVEPOINT job")
        try:
            result = item.job(conn)
            item.value = result.value
            item.entries = [PreparedEntry.of(entry) for entry in result.events]
            item.repeated = self._seen_before(conn, item.entries, pending)
        except BaseException as error:  # noqa: BLE001 - the caller gets it from the future
            _must_be_open(conn)
            execute(conn, "ROLLBACK TO SAVEPOINT job")
            execute(conn, "RELEASE SAVEPOINT job")
            _settle([(item, None, error)])
            return False
        if item.repeated:
            execute(conn, "ROLLBACK TO SAVEPOINT job")
        _must_be_open(conn)
        execute(conn, "RELEASE SAVEPOINT job")
        return True

    def _seen_before(self, conn: Connection, entries: Sequence[PreparedEntry], pending: set[bytes]) -> bool:
        if all(entry.fresh for entry in entries):
            return False
        ids = {entry.event_id for entry in entries}
        known = len(ids & pending) + len(known_entries(conn, list(ids - pending)))
        if 0 < known < len(ids):
            raise EventConflict("some, but not all, of the job's events are in the log already")
        for entry in entries:
            entry.fresh = known == 0
        return known > 0


_Outcome = tuple[_Item, Committed[Any] | None, BaseException | None]


def _begin(item: _Item) -> bool:
    """Mark the item as running, so that it cannot be cancelled. Returns False when it was cancelled before."""
    if item.future is not None:
        return item.future.set_running_or_notify_cancel()
    return item.waiting is not None and not item.waiting.cancelled()


def _settle(outcomes: Sequence[_Outcome]) -> None:
    """Resolve the futures: those of threads one by one, those of an event loop with one call to the loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        item, result, error = outcome
        item.settled = True
        if item.waiting is not None:
            by_loop.setdefault(item.waiting.get_loop(), []).append(outcome)
        elif item.future is not None:
            if error is None:
                item.future.set_result(result)
            else:
                item.future.set_exception(error)
    for loop, some in by_loop.items():
        try:
            loop.call_soon_threadsafe(_wake, some)
        except RuntimeError:
            _log.warning("%d callers left before their answer: their event loop is closed", len(some))


def _wake(outcomes: Sequence[_Outcome]) -> None:
    for item, result, error in outcomes:
        waiting = item.waiting
        if waiting is None or waiting.done():
            continue
        if error is None:
            waiting.set_result(result)
        else:
            waiting.set_exception(error)


def _must_be_open(conn: Connection) -> None:
    """Raise when the transaction has ended: SQLite ends it on some errors, and later statements would commit one by one."""
    raw = conn.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection) and not raw.in_transaction:
        raise LogCorrupt("the database ended the transaction of the batch by itself")
