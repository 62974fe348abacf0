"""Reading and changing the pending acts for the relayer. Every change runs in the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine

from ledger.acts.act import SignedAct
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import GroupCommit, JobResult
from ledger.chain.deployment import Deployment
from ledger.outbox.notifier import ActNotifier
from ledger.outbox.transactions import give_up
from ledger.outbox.undecided import sound_act
from ledger.store.engine import reader


class OpenActs:
    """The pending acts of one outbox. ``reading`` connects without a write lock; ``notifier`` is notified of changes."""

    def __init__(
        self, writer: GroupCommit, engine: Engine, deployment: Deployment, notifier: ActNotifier
    ) -> None:
        self.reading = reader(engine)
        self.notifier = notifier
        self._writer = writer
        self._deployment = deployment

    def write(self, job: Callable[[Connection], int | Sequence[NewEntry]]) -> None:
        """Run a job in the writer's transaction. It returns the entries for the log, or the number of changed rows."""

        def work(connection: Connection) -> JobResult[None]:
            done = job(connection)
            return JobResult(None, () if isinstance(done, int) else done)

        self._writer.submit(work).result()

    def load(self, identity: str) -> SignedAct | None:
        """The act as it was signed; None when this version of the contracts does not accept its type, or its row was
        changed. In these cases the act is given up."""
        with self.reading.connect() as connection:
            act = sound_act(connection, self._deployment, identity)
        if isinstance(act, str):
            self.give_up(identity, act)
            return None
        return act

    def give_up(self, identity: str, reason: str) -> None:
        """Mark the act as failed for this reason, because no transaction can contain it."""
        self.write(lambda connection: give_up(connection, identity, reason))
        self.notifier.announce()
