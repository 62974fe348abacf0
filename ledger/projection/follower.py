"""The follower: reads the chain block by block and keeps the projection, the log and the outbox in step.

Rows, audit entries, the outcome of acts and the cursor are committed in one transaction of the log's writer: after
a crash between any two steps the cursor still says what has been done, and the same blocks give the same rows and
the same entries. A block that is no longer in the chain is undone by compensating entries.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ledger.audit.errors import AuditError
from ledger.audit.writer import GroupCommit, JobResult
from ledger.chain.client import BlockRef, ChainClient
from ledger.chain.contracts import Deployment
from ledger.chain.errors import ChainError, UnknownBlock
from ledger.chain.events import Event, UnknownEvent
from ledger.clock import Clock, WallClock
from ledger.outbox.board import ActBoard
from ledger.outbox.store import ActRecord
from ledger.projection.commit import Cursor, commit_blocks, read_cursor, roll_back, stored_hashes
from ledger.projection.rows import ProjectionError
from ledger.store.engine import reader

_log = logging.getLogger(__name__)

MAX_BLOCKS = 500
"""Blocks of one transaction."""

_TEMPORARY = (ChainError, AuditError, SQLAlchemyError)
"""What may pass, but for `UnknownEvent`: the same step is tried again."""


class CursorMoved(ProjectionError):
    """Another follower moved the cursor; this one starts again from where it stands."""

    code = "projection.cursor"


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did: blocks ``first`` to ``last`` with ``events`` events, or a roll-back to ``last``."""

    first: int
    last: int
    events: int
    rolled_back: bool = False


class Follower:
    """Follows one deployment. `step` does one bounded piece of work; `start` does them on a thread.

    ``confirmations`` blocks stay unread at the head (0 for the embedded chain, which has no forks).
    """

    def __init__(
        self,
        writer: GroupCommit,
        engine: Engine,
        client: ChainClient,
        deployment: Deployment,
        *,
        confirmations: int = 0,
        poll_s: float = 0.05,
        board: ActBoard | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.board = board or ActBoard(engine)
        self.failure: Exception | None = None
        """Why the thread last paused, or stopped for good (`ProjectionError`); None while all is well."""
        self._writer = writer
        self._reading = reader(engine)
        self._client = client
        self._deployment = deployment
        self._decoder = deployment.decoder()
        self._confirmations = confirmations
        self._poll_s = poll_s
        self._clock = clock or WallClock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- the thread

    def start(self) -> None:
        """Follow on a thread until `close`."""
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def catch_up(self, within_s: float) -> bool:
        """Before `start`: follow up to the head, for so long at most; whether it is reached. What the thread knows
        how to meet is left to it: it tries again, or stops and says why. A defect is raised."""
        until = self._clock.elapsed() + within_s
        try:
            while self.step():
                if self._clock.elapsed() >= until:
                    return False
        except (ProjectionError, *_TEMPORARY) as error:
            self.failure = error
            _log.warning("the follower is not at the head yet: %s", error)
            return False
        return True

    def close(self, timeout: float = 30.0) -> None:
        """Stop after the step at hand."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def wait(self, identity: str, timeout: float = 10.0) -> ActRecord:
        """The act once it is recorded, failed or expired; `ActPending` after ``timeout`` seconds."""
        return self.board.wait(identity, timeout)

    def __enter__(self) -> Follower:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        pause = self._poll_s
        while not self._stop.wait(pause):
            try:
                pause = 0.0 if self.step() else self._poll_s
                self.failure = None
            except (UnknownEvent, ProjectionError) as error:
                self.failure = error
                if isinstance(error, CursorMoved):
                    continue
                _log.error("the follower stops: %s", error)
                return
            except _TEMPORARY as error:
                self.failure = error
                pause = min(5.0, max(0.2, 2 * pause))
                _log.warning("the follower waits %.1f s: %s", pause, error)
            except Exception as error:
                self.failure = error
                _log.error("the follower stops: %s", error)
                raise

    # -- one step

    def step(self) -> Progress | None:
        """Do the next piece of work; None when the projection is up with the chain."""
        with self._reading.connect() as connection:
            cursor = read_cursor(connection)
        head = self._client.head()
        if cursor is not None and not self._stands(cursor, head):
            return self._roll_back(cursor)
        first = cursor.block_number + 1 if cursor else self._deployment.block
        last = min(head.number - self._confirmations, first + MAX_BLOCKS - 1)
        if last < first:
            return None
        events, end = self._read(first, last, cursor)
        if end is None:
            return None

        def job(connection: Connection) -> JobResult[int]:
            self._check_cursor(connection, cursor)
            entries = commit_blocks(connection, self._deployment.chain_id, events, end)
            return JobResult(len(events), entries)

        self._writer.submit(job).result()
        if events:
            self.board.announce()
        return Progress(first, last, len(events))

    def _read(self, first: int, last: int, cursor: Cursor | None) -> tuple[Sequence[Event], BlockRef | None]:
        """The events of these blocks and the last block; (.., None) when the chain changed while we read."""
        end = self._client.block(last)
        logs = self._client.logs(first, last, self._decoder.addresses)
        blocks: dict[int, BlockRef] = {last: end}
        for log in logs:
            block = blocks.get(log.block_number)
            if block is None:
                block = blocks[log.block_number] = self._client.block(log.block_number)
            if block.hash != log.block_hash:
                return (), None
        if cursor is not None and self._client.block(first).parent_hash != cursor.block_hash:
            return (), None
        if self._client.block(last).hash != end.hash:
            return (), None
        return [self._decoder.decode(log, blocks[log.block_number].timestamp) for log in logs], end

    # -- reorganisations

    def _stands(self, cursor: Cursor, head: BlockRef) -> bool:
        """Whether the block of the cursor is still in the chain."""
        if cursor.block_number > head.number:
            return False
        return self._hash_at(cursor.block_number) == cursor.block_hash

    def _hash_at(self, number: int) -> str | None:
        try:
            return self._client.block(number).hash
        except UnknownBlock:
            return None

    def _roll_back(self, cursor: Cursor) -> Progress:
        with self._reading.connect() as connection:
            known = stored_hashes(connection)
        before = BlockRef(self._deployment.block - 1, "", "", 0)
        fork = next(
            (
                BlockRef(number, block_hash, "", 0)
                for number, block_hash in known
                if number < cursor.block_number and self._hash_at(number) == block_hash
            ),
            before,
        )
        _log.warning("reorganisation: from block %d back to %d", cursor.block_number, fork.number)

        def job(connection: Connection) -> JobResult[int]:
            self._check_cursor(connection, cursor)
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            entries = roll_back(connection, self._deployment.chain_id, fork.number, fork.hash, now)
            return JobResult(len(entries), entries)

        undone: Any = self._writer.submit(job).result()
        self.board.announce()
        return Progress(fork.number + 1, fork.number, int(undone.value), rolled_back=True)

    @staticmethod
    def _check_cursor(connection: Connection, cursor: Cursor | None) -> None:
        now = read_cursor(connection)
        if (now and (now.block_number, now.block_hash)) != (
            cursor and (cursor.block_number, cursor.block_hash)
        ):
            raise CursorMoved("another follower is at work on this database")
