"""The follower: reads the chain block by block and keeps the projection, the log and the outbox in step.

Rows, audit entries, the outcome of acts and the cursor are committed in one transaction of the log's writer: after
a crash between any two steps the cursor still says what has been done, and the same blocks give the same rows and
the same entries. A block that is no longer in the chain is undone by compensating entries.
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
from ledger.outbox.board import ActBoard
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
"""Blocks of one transaction."""

LOOK_AGAIN_S = 5.0
"""Between two looks at the blocks of acts that stay mined."""

_KNOWN = (ProjectionError, ChainError, AuditError, SQLAlchemyError)
"""What a start goes on without: the thread tries again."""


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

    ``confirmations`` blocks stay unread at the head (0 for the embedded chain, which has no forks). ``reached`` is told how
    far it has come.
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
        reached: Reached | None = None,
        still_after_s: float = STILL_AFTER_S,
    ) -> None:
        self.board = board or ActBoard(engine)
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
        self._look_again_at = 0.0
        self._level_at = -math.inf

    # -- the thread

    def start(self) -> None:
        """Follow on a thread until `close`."""
        self.work.start()

    @property
    def failure(self) -> BaseException | None:
        """Why the last step failed; None while all is well."""
        return self.work.failure

    def catch_up(self, within_s: float) -> bool:
        """Before `start`: follow up to the head, for so long at most; whether it is reached. What may pass, or
        needs an open installation to be put right, is left to the thread. A defect is raised."""
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
        """Stop after the step at hand."""
        self.work.close(timeout)

    @property
    def behind_s(self) -> float:
        """Seconds since the projection last was level with the chain: the newest block was asked for, and all that counts had
        been read. Infinite before the first time. A quiet chain without new blocks is level as long as it answers so."""
        return self._clock.elapsed() - self._level_at

    def wait(self, identity: str, timeout: float = 10.0) -> ActRecord:
        """The act once it is recorded, failed or expired; `ActPending` after ``timeout`` seconds."""
        return self.board.wait(identity, timeout)

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
        """Do the next piece of work; None when the projection is up with the chain, or the chain behind it."""
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
            if (taken := self._look_again(cursor)) is None and head.number >= first - 1:
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
            self.board.announce()
        if last >= head.number - self.confirmations:
            self._level_at = asked_at
        return Progress(first, last, len(events))

    def _events(self, segment: Segment) -> list[Event]:
        times = {block.number: block.timestamp for block in segment.blocks}
        return [self._decoder.decode(log, times[log.block_number]) for log in segment.logs]

    # -- blocks that were passed over

    def _look_again(self, cursor: Cursor | None) -> Progress | None:
        """Read the block of an act that stays mined once more: what was not understood of it is taken now."""
        moment = self._clock.elapsed()
        if cursor is None or moment < self._look_again_at:
            return None
        self._look_again_at = moment + LOOK_AGAIN_S
        with self._reading.connect() as connection:
            asked = passed_over(connection, cursor.block_number)
        for tx_hash in asked:
            receipt = self._client.receipt(tx_hash)
            if receipt is None or not receipt.succeeded or receipt.block_number > cursor.block_number:
                continue  # it is read when its block is
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
            self.board.announce()
        return bool(taken.value)

    # -- reorganisations

    def _stands(self, cursor: Cursor, head: BlockRef) -> bool:
        """Whether the block of the cursor is still in the chain. A shorter chain of a node whose head is known says nothing
        against it, and of one whose head is another it is not known yet: `ChainWentBack`."""
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
        """May raise `UnknownBlock`: that a node has not a block says nothing about the block."""
        return self._client.block(number).hash

    def _roll_back(self, cursor: Cursor, head: BlockRef) -> Progress:
        fork = self._fork(cursor, head)
        if head.number >= cursor.block_number:
            # Headers that hash and follow one another from there: more than one node's word for a hash.
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
        self.board.announce()
        return Progress(fork.number + 1, fork.number, int(undone.value), rolled_back=True)

    def went_back(self) -> WentBack | None:
        """How far the chain ends below the blocks that were read; None where it does not. Raises `ChainReplaced` where it has
        none of them, and the chain's other errors."""
        with self._reading.connect() as connection:
            cursor = read_cursor(connection)
        head = self._client.head()
        if cursor is None or head.number >= cursor.block_number:
            return None
        return WentBack(head, cursor, self._fork(cursor, head))

    def go_back(self, found: WentBack) -> int:
        """Take back what was recorded of blocks after ``found.kept``: whoever runs the service states that the chain was restored.
        How many events were taken back. `CursorMoved` where the follower has moved since."""

        def job(connection: Connection) -> JobResult[int]:
            self._check_cursor(connection, found.read)
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            undone = roll_back(connection, self._deployment, found.kept.number, found.kept.hash, now)
            reverted = sum(one.event.type == REVERTED for one in undone)
            return JobResult(reverted, [restored_entry(found, now), *undone])

        done: Any = self._writer.submit(job).result()
        self._reached.went_back(found.kept.number)
        self.board.announce()
        return int(done.value)

    def _fork(self, cursor: Cursor, head: BlockRef) -> BlockRef:
        """The newest block that was read and is still in the chain: all those before it are too."""
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
