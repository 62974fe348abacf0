"""The acts on their way, as who carries them reads and changes them: every change in the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine

from ledger.acts.act import SignedAct
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import GroupCommit, JobResult
from ledger.chain.deployment import Deployment
from ledger.outbox.board import ActBoard
from ledger.outbox.transactions import give_up
from ledger.outbox.undecided import sound_act
from ledger.store.engine import reader


class OpenActs:
    """Those of one outbox. ``reading`` is the database without a write lock; ``board`` is told of every outcome."""

    def __init__(self, writer: GroupCommit, engine: Engine, deployment: Deployment, board: ActBoard) -> None:
        self.reading = reader(engine)
        self.board = board
        self._writer = writer
        self._deployment = deployment

    def write(self, job: Callable[[Connection], int | Sequence[NewEntry]]) -> None:
        """Run a job in the writer's transaction; it answers the entries for the log, or how many rows it changed."""

        def work(connection: Connection) -> JobResult[None]:
            done = job(connection)
            return JobResult(None, () if isinstance(done, int) else done)

        self._writer.submit(work).result()

    def load(self, identity: str) -> SignedAct | None:
        """An act as it was signed; None when this version of the contracts takes no such act any more, or the row is not
        the act's: then it is given up."""
        with self.reading.connect() as connection:
            act = sound_act(connection, self._deployment, identity)
        if isinstance(act, str):
            self.give_up(identity, act)
            return None
        return act

    def give_up(self, identity: str, reason: str) -> None:
        """No transaction can carry the act."""
        self.write(lambda connection: give_up(connection, identity, reason))
        self.board.announce()
