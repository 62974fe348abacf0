"""The follower: it reads the chain in blocks and updates the projection, the log and the outbox.

Rows, audit entries, the outcome of acts and the cursor are committed in one transaction of the log's writer. After a crash
at any point the cursor states which blocks were processed, and the same blocks give the same rows and entries. A block
that is no longer in the chain is undone, with compensating entries.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ledger.audit.formats.errors import AuditError
from ledger.audit.log.writer import GroupCommit, JobResult
from ledger.chain.client import BlockRef, ChainClient, Segment
from ledger.chain.deployment import Deployment
from ledger.chain.errors import ChainError, ChainReplaced, ChainUnproven, ChainWentBack
from ledger.chain.events import Event, EventDecoder
from ledger.chain.reached import RESTORED_HINT, Reached
from ledger.clock import Clock, WallClock
from ledger.lost.held_in_log import REVERTED
from ledger.outbox.notifier import ActNotifier
from ledger.outbox.store import ActRecord
from ledger.projection.commit import (
    Cursor,
    commit_blocks,
    commit_missed,
    read_cursor,
    roll_back,
    stored_hashes,
)
from ledger.projection.outcomes import passed_over
from ledger.projection.rows import ProjectionError
from ledger.projection.went_back import WentBack, restored_entry
from ledger.store.engine import reader
from ledger.worker import STILL_AFTER_S, Worker

_log = logging.getLogger(__name__)

MAX_BLOCKS = 500
"""The most blocks of one transaction."""

REREAD_S = 5.0
"""The seconds between two reads of the blocks of acts that stay in the state mined."""

_KNOWN = (ProjectionError, ChainError, AuditError, SQLAlchemyError)
"""Errors that do not prevent a start: the thread tries again."""


class CursorMoved(ProjectionError):
    """Another follower moved the cursor; this one continues from the new cursor."""

    code = "projection.cursor"


@dataclass(frozen=True, slots=True)
class Progress:
    """The result of one step: blocks ``first`` to ``last`` with ``events`` events, or a roll-back to block ``last``."""

    first: int
    last: int
    events: int
    rolled_back: bool = False


class Follower:
    """Follows one deployment. `step` processes at most `MAX_BLOCKS` blocks; `start` runs steps on a thread.

    The newest ``confirmations`` blocks are not read yet (0 for the embedded chain, which has no forks). ``reached`` is
    updated with the last block that was read.
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
        notifier: ActNotifier | None = None,
        clock: Clock | None = None,
        reached: Reached | None = None,
        still_after_s: float = STILL_AFTER_S,
    ) -> None:
        self.notifier = notifier or ActNotifier(engine)
        self.work = Worker("follower", self._round, still_after_s=still_after_s)
        self._writer = writer
        self._reading = reader(engine)
        self._client = client
        self._deployment = deployment
        self._decoder = EventDecoder(deployment.addresses)
        self.confirmations = confirmations
        self._poll_s = poll_s
        self._clock = clock or WallClock()
        self._reached = reached or Reached()
        self._reread_mined_at = 0.0
        self._level_at = -math.inf

    # -- the thread

    def start(self) -> None:
        """Run steps on a thread until `close`."""
        self.work.start()

    @property
    def failure(self) -> BaseException | None:
        """The error of the last step; None if it succeeded."""
        return self.work.failure

    def catch_up(self, within_s: float) -> bool:
        """Run steps up to the head for at most ``within_s`` seconds, before `start`. Returns whether the head was reached.

        Errors of the chain, the log or the database are left to the thread, because they may be temporary or need a
        running installation for their repair. Other errors are raised.
        """
        until = self._clock.elapsed() + within_s
        try:
            while self.step():
                if self._clock.elapsed() >= until:
                    return False
        except _KNOWN as error:
            self.work.failed(error)
            return False
        return True

    def close(self, timeout: float = 30.0) -> None:
        """Stop after the current step."""
        self.work.close(timeout)

    @property
    def behind_s(self) -> float:
        """The seconds since the projection was last up to date: the newest block was queried, and all confirmed blocks had
        been read. Infinite before the first time. On a chain without new blocks the projection stays up to date as long as
        the node answers."""
        return self._clock.elapsed() - self._level_at

    def wait(self, identity: str, timeout: float = 10.0) -> ActRecord:
        """Wait until the act is recorded, failed or expired. Raises `ActUnknown`, or `ActPending` after ``timeout``
        seconds."""
        return self.notifier.wait(identity, timeout)

    def __enter__(self) -> Follower:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _round(self) -> float:
        try:
            return 0.0 if self.step() else self._poll_s
        except CursorMoved:
            return self._poll_s

    # -- one step

    def step(self) -> Progress | None:
        """Process the next blocks, or roll back. None when there is nothing to read, or the chain ends below the cursor."""
        with self._reading.connect() as connection:
            cursor = read_cursor(connection)
        if cursor is not None:
            self._reached.note(cursor.block_number)
        asked_at = self._clock.elapsed()
        head = self._client.head()
        if cursor is not None and not self._stands(cursor, head):
            return self._roll_back(cursor, head)
        first = cursor.block_number + 1 if cursor else self._deployment.block
        last = min(head.number - self.confirmations, first + MAX_BLOCKS - 1)
        if last < first:
            if (taken := self._reread_mined(cursor)) is None and head.number >= first - 1:
                self._level_at = asked_at
            return taken
        segment = self._client.segment(first, last, self._decoder.addresses)
        if cursor is not None and segment.blocks[0].parent_hash != cursor.block_hash:
            raise ChainUnproven(f"block {first} does not follow the one that was read last", hint="ask again")
        events = self._events(segment)

        def job(connection: Connection) -> JobResult[int]:
            self._check_cursor(connection, cursor)
            entries = commit_blocks(connection, self._deployment, events, segment.blocks)
            return JobResult(len(events), entries)

        self._writer.submit(job).result()
        self._reached.note(last)
        if events:
            self.notifier.announce()
        if last >= head.number - self.confirmations:
            self._level_at = asked_at
        return Progress(first, last, len(events))

    def _events(self, segment: Segment) -> list[Event]:
        times = {block.number: block.timestamp for block in segment.blocks}
        return [self._decoder.decode(log, times[log.block_number]) for log in segment.logs]

    # -- blocks that were skipped

    def _reread_mined(self, cursor: Cursor | None) -> Progress | None:
        """Read the blocks of acts that stay in the state mined again, and take the events that were missed before."""
        moment = self._clock.elapsed()
        if cursor is None or moment < self._reread_mined_at:
            return None
        self._reread_mined_at = moment + REREAD_S
        with self._reading.connect() as connection:
            asked = passed_over(connection, cursor.block_number)
        for tx_hash in asked:
            receipt = self._client.receipt(tx_hash)
            if receipt is None or not receipt.succeeded or receipt.block_number > cursor.block_number:
                continue  # its events are read with its block
            number = receipt.block_number
            events = self._events(self._client.segment(number, number, self._decoder.addresses))
            if events and self._take_missed(cursor, events):
                return Progress(number, number, len(events))
        return None

    def _take_missed(self, cursor: Cursor, events: Sequence[Event]) -> bool:
        def job(connection: Connection) -> JobResult[bool]:
            self._check_cursor(connection, cursor)
            taken, entries = commit_missed(connection, self._deployment, events)
            return JobResult(taken, entries)

        taken: Any = self._writer.submit(job).result()
        if taken.value:
            _log.warning("block %d had been passed over: it is taken now", events[0].block_number)
            self.notifier.announce()
        return bool(taken.value)

    # -- reorganisations

    def _stands(self, cursor: Cursor, head: BlockRef) -> bool:
        """Whether the block of the cursor is still in the chain.

        When the node's head is below the cursor: true if this head was read before, because the node may only be late.
        Otherwise it is unknown, and `ChainWentBack` is raised.
        """
        if cursor.block_number <= head.number:
            return self._hash_at(cursor.block_number) == cursor.block_hash
        if self._client.never_behind:
            return False
        with self._reading.connect() as connection:
            known = dict(stored_hashes(connection))
        if known.get(head.number, head.hash) != head.hash:
            raise ChainWentBack(
                f"the chain ends at block {head.number}, and not at the one that was read; {cursor.block_number} was read",
                hint=RESTORED_HINT,
            )
        return True

    def _hash_at(self, number: int) -> str:
        """The hash of the block. Raises `UnknownBlock` when the node does not have it; the block may still exist."""
        return self._client.block(number).hash

    def _roll_back(self, cursor: Cursor, head: BlockRef) -> Progress:
        fork = self._fork(cursor, head)
        if head.number >= cursor.block_number:
            # A chain of headers with valid hashes from the fork on is stronger evidence than a hash stated by one node.
            replaced = self._client.segment(fork.number + 1, cursor.block_number, [])
            if replaced.blocks[0].parent_hash != fork.hash or replaced.blocks[-1].hash == cursor.block_hash:
                raise ChainUnproven(
                    f"block {cursor.block_number} is not replaced by others", hint="ask again"
                )
        _log.warning("reorganisation: from block %d back to %d", cursor.block_number, fork.number)

        def job(connection: Connection) -> JobResult[int]:
            self._check_cursor(connection, cursor)
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            entries = roll_back(connection, self._deployment, fork.number, fork.hash, now)
            return JobResult(len(entries), entries)

        undone: Any = self._writer.submit(job).result()
        self.notifier.announce()
        return Progress(fork.number + 1, fork.number, int(undone.value), rolled_back=True)

    def went_back(self) -> WentBack | None:
        """How far the chain ends below the blocks that were read; None when it does not. Raises `ChainReplaced` when it has
        none of these blocks, and other errors of the chain."""
        with self._reading.connect() as connection:
            cursor = read_cursor(connection)
        head = self._client.head()
        if cursor is None or head.number >= cursor.block_number:
            return None
        return WentBack(head, cursor, self._fork(cursor, head))

    def go_back(self, found: WentBack) -> int:
        """Undo everything recorded of blocks after ``found.kept``, because the operator states that the chain was restored.

        Returns the number of events undone. Raises `CursorMoved` when the follower has moved since ``found``.
        """

        def job(connection: Connection) -> JobResult[int]:
            self._check_cursor(connection, found.read)
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            undone = roll_back(connection, self._deployment, found.kept.number, found.kept.hash, now)
            reverted = sum(one.event.type == REVERTED for one in undone)
            return JobResult(reverted, [restored_entry(found, now), *undone])

        done: Any = self._writer.submit(job).result()
        self._reached.went_back(found.kept.number)
        self.notifier.announce()
        return int(done.value)

    def _fork(self, cursor: Cursor, head: BlockRef) -> BlockRef:
        """The newest block that was read and is still in the chain. Raises `ChainReplaced` when there is none."""
        newest = min(cursor.block_number - 1, head.number)
        with self._reading.connect() as connection:
            known = [one for one in reversed(stored_hashes(connection)) if one[0] <= newest]
        low, high = 0, len(known)
        while low < high:
            middle = (low + high) // 2
            number, block_hash = known[middle]
            if self._hash_at(number) == block_hash:
                low = middle + 1
            else:
                high = middle
        if not low:
            raise ChainReplaced(
                f"none of the blocks that were read up to {cursor.block_number} is in the chain",
                hint="is the node on the chain of this installation? Nothing was taken back",
            )
        number, block_hash = known[low - 1]
        return BlockRef(number, block_hash, "", 0)

    @staticmethod
    def _check_cursor(connection: Connection, cursor: Cursor | None) -> None:
        now = read_cursor(connection)
        if (now and (now.block_number, now.block_hash)) != (
            cursor and (cursor.block_number, cursor.block_hash)
        ):
            raise CursorMoved("another follower is at work on this database")
