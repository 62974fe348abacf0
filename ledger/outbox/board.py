"""Waiting for an act: whoever moves acts on says so, whoever waits looks again."""

from __future__ import annotations

import threading
import time

from sqlalchemy import Engine

from ledger.acts.act import ActPending, ActUnknown
from ledger.outbox.store import ActRecord, find
from ledger.store.engine import reader

LOOK_AGAIN_S = 0.5
"""How long a waiter trusts that it is told: another process may have moved the act."""


class ActBoard:
    """Where the follower and the relayer announce that acts moved on; one per process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = reader(engine)
        self._changed = threading.Condition()
        self._count = 0

    def announce(self) -> None:
        """Acts have moved on, and it is committed."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def find(self, identity: str) -> ActRecord | None:
        """The act as it stands."""
        with self._engine.connect() as connection:
            return find(connection, identity)

    def wait(self, identity: str, timeout: float = 10.0) -> ActRecord:
        """The act once it is recorded, failed or expired.

        Raises `ActUnknown`, or `ActPending` after ``timeout`` seconds: it is accepted and will go on.
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
                    self._changed.wait(min(left, LOOK_AGAIN_S))
