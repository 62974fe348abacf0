"""Waiting for an act: code that changes the state of acts notifies, and waiting threads read the state again."""

from __future__ import annotations

import threading
import time

from sqlalchemy import Engine

from ledger.acts.act import ActPending, ActUnknown
from ledger.outbox.store import ActRecord, find
from ledger.store.engine import reader

POLL_S = 0.5
"""The longest wait for a notification in seconds: another process, which does not notify, may have changed the act."""


class ActNotifier:
    """Notifies waiting threads that the follower or the relayer changed the state of acts. One per process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = reader(engine)
        self._changed = threading.Condition()
        self._count = 0

    def announce(self) -> None:
        """Notify all waiting threads. Call this after the change of state was committed."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def find(self, identity: str) -> ActRecord | None:
        """The act with its present state; None when it is unknown."""
        with self._engine.connect() as connection:
            return find(connection, identity)

    def wait(self, identity: str, timeout: float = 10.0) -> ActRecord:
        """Wait until the act is recorded, failed or expired, and return it.

        Raises `ActUnknown`, or `ActPending` after ``timeout`` seconds; the act is then still processed.
        """
        until = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = self._count
            record = self.find(identity)
            if record is None:
                raise ActUnknown(f"no act {identity}")
            if record.final:
                return record
            left = until - time.monotonic()
            if left <= 0:
                raise ActPending(
                    f"the act is {record.state}", hint="it is accepted and goes on; ask again by its id"
                )
            with self._changed:
                if self._count == seen:
                    self._changed.wait(min(left, POLL_S))
