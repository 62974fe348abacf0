"""The relayer: it sends accepted acts to the chain in order, and makes no decisions.

Several acts can be in one block. `ledger.outbox.delivery` makes and sends transactions. This module updates the state of
acts in rounds: waiting, mined, refused or expired.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, select

from ledger.acts.act import AWAITING_FILE, FINAL, SignedAct, State
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import GroupCommit
from ledger.audit.verify.acts import call_hash
from ledger.chain.client import ChainClient, Receipt
from ledger.chain.contracts import decode_revert
from ledger.chain.deployment import Deployment
from ledger.chain.limits import MOST_FEE
from ledger.chain.reached import Reached
from ledger.chain.sending import sending
from ledger.chain.transactions import called
from ledger.clock import Clock, WallClock
from ledger.lost.taken_in_log import refused_entry
from ledger.outbox.admissions import step_of
from ledger.outbox.check import code_of, refusal_text
from ledger.outbox.delivery import LONGEST_PAUSE_S, Delivery
from ledger.outbox.denials import REVOCATIONS
from ledger.outbox.notifier import ActNotifier
from ledger.outbox.open_acts import OpenActs
from ledger.outbox.store import OPEN, ActRecord, activations, acts, move, on_its_way, waiting
from ledger.outbox.transactions import Sent, open_transactions, start_over
from ledger.outbox.transactions import close as close_transactions
from ledger.outbox.undecided import ActUndeliverable, sound_act, taken_act, undecided_acts
from ledger.outbox.void_versions import void_versions
from ledger.worker import STILL_AFTER_S, Worker

_log = logging.getLogger(__name__)

BATCH = 64
"""The most acts that are sent in one round."""

IDLE_S = 1.0
"""The seconds between two rounds while no act is pending."""


class Relayer:
    """Sends the acts of one outbox with one key. `step` runs one round; `start` runs rounds on a thread.

    A transaction that is unmined for ``stuck_after_s`` seconds is signed again with a higher fee, at most ``most_fee`` wei
    per gas. A refusal by the chain is final after ``confirmations`` further blocks. ``reached`` states up to which block
    the chain was read.
    """

    def __init__(
        self,
        writer: GroupCommit,
        engine: Engine,
        client: ChainClient,
        deployment: Deployment,
        secret: bytes,
        *,
        notifier: ActNotifier | None = None,
        stuck_after_s: float = 60.0,
        most_fee: int = MOST_FEE,
        confirmations: int = 0,
        poll_s: float = 0.05,
        clock: Clock | None = None,
        reached: Reached | None = None,
        still_after_s: float = STILL_AFTER_S,
    ) -> None:
        self._client = client
        self._deployment = deployment
        self._notifier = notifier or ActNotifier(engine)
        self._acts = OpenActs(writer, engine, deployment, self._notifier)
        self._reading = self._acts.reading
        self._confirmations = confirmations
        self._poll_s = poll_s
        self._clock = clock or WallClock()
        self._reached = reached or Reached()
        self._delivery = Delivery(
            self._acts,
            client,
            deployment,
            secret,
            self._clock,
            stuck_after_s=stuck_after_s,
            most_fee=most_fee,
        )
        self.address = self._delivery.address
        self._restored: dict[str, float] = {}
        self._undeliverable: Exception | None = None
        self.work = Worker("relayer", self._round, still_after_s=still_after_s, met=self._met)

    # -- the thread

    def start(self) -> None:
        """Run rounds on a thread until `close`."""
        self.work.start()

    def notify(self) -> None:
        """Start a round now, because the acceptance of an act was committed."""
        self.work.wake()

    def close(self, timeout: float = 30.0) -> None:
        """Stop after the current round; the next relayer sends the remaining acts."""
        self.work.close(timeout)

    def __enter__(self) -> Relayer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the last round, or that prevents an act from being sent; None without one."""
        return self.work.failure or self._met()

    def _met(self) -> Exception | None:
        return self._delivery.failure or self._undeliverable

    def _round(self) -> float:
        return self._poll_s if self.step() else IDLE_S

    # -- one round

    def step(self) -> bool:
        """Run one round: read the results of sent transactions, expire late acts, send waiting acts.

        Returns whether acts are pending. Raises `ChainError` when the chain is unreachable, or when its newest block is
        before the last block that was read, because its nonces are then already used. The next round continues.
        """
        now = self._reached.head_of(self._client).timestamp
        self._delivery.begin()
        self._settle()
        self._restore(now)
        self._expire(now)
        self._submit()
        with self._reading.connect() as connection:
            return on_its_way(connection)

    def _settle(self) -> None:
        """Read the receipts of open transactions, and send those again that the chain does not know."""
        by_act: dict[str, list[Sent]] = {}
        with self._reading.connect() as connection:
            found = open_transactions(connection, self._deployment)
        for sent in found:
            by_act.setdefault(sent.digest, []).append(sent)
        for digest, sent_ones in by_act.items():
            mined = next(((s, r) for s in sent_ones if (r := self._client.receipt(s.tx_hash))), None)
            if mined is None:
                self._delivery.hand_over(digest, sent_ones)
            elif mined[1].succeeded:
                self._mined(digest, mined[1])
            elif self._confirmed(mined[1]):
                self._failed(digest, *mined)

    def _confirmed(self, receipt: Receipt) -> bool:
        """Whether enough blocks (``confirmations``) follow the block of a receipt."""
        depth = self._confirmations
        return not depth or self._client.head().number - receipt.block_number >= depth

    def _mined(self, digest: str, receipt: Receipt) -> None:
        def job(connection: Connection) -> int:
            return move(
                connection,
                [digest],
                "mined",
                only_from=("submitted",),
                tx_hash=receipt.tx_hash,
                block_number=receipt.block_number,
            )

        self._acts.write(job)

    def _failed(self, digest: str, sent: Sent, receipt: Receipt) -> None:
        error = decode_revert(receipt.revert_data or b"")
        if error.name == "AdmissionNotReady":  # the time of the block was before this machine's time
            self._delivery.postpone(digest)
            self._acts.write(lambda connection: start_over(connection, digest))
            return
        expired = error.name == "DeadlinePassed"
        code = "act.expired" if expired else code_of(error)

        def job(connection: Connection) -> Sequence[NewEntry]:
            taken = taken_act(connection, digest)
            if taken is not None and taken.call != call_hash(called(sent.raw)[1]):
                start_over(connection, digest)  # the refused transaction is not that of the accepted act
                return ()
            close_transactions(connection, digest)
            move(
                connection,
                [digest],
                "expired" if expired else "failed",
                only_from=("received", "submitted", "mined"),
                code=code,
                detail=refusal_text(error),
                tx_hash=receipt.tx_hash,
                block_number=receipt.block_number,
            )
            if taken is None or (expired and taken.kind in REVOCATIONS):
                return ()
            return [refused_entry(digest, code, receipt.tx_hash, self._utc())]

        self._acts.write(job)
        self._notifier.announce()

    def _expire(self, now: int) -> None:
        """Expire acts whose deadline is before ``now``, the chain's time. Acts that await a file also expire when the
        deadline is before this machine's time, because no file is accepted for them any more."""
        self._expire_those("received", now)
        self._expire_those(AWAITING_FILE, max(now, int(self._clock.now())))
        self._end_versions()

    def _end_versions(self) -> None:
        """Fail new versions that await a file and can never be recorded. They would use their department's allowance."""
        with self._reading.connect() as connection:
            if not void_versions(connection):
                return

        def job(connection: Connection) -> int:
            return sum(
                move(connection, [one], "failed", only_from=(AWAITING_FILE,), code="act.refused", detail=why)
                for one, why in void_versions(connection).items()
            )

        self._acts.write(job)
        self._notifier.announce()

    def _expire_those(self, state: State, now: int) -> None:
        late = select(acts.c.digest).where(acts.c.state == state, acts.c.deadline < now)
        with self._reading.connect() as connection:
            found = [
                (identity, act)
                for identity in connection.execute(late).scalars().all()
                if isinstance(act := sound_act(connection, self._deployment, identity), SignedAct)
                and act.deadline is not None
                and act.deadline < now
            ]
        if not found:
            return

        def job(connection: Connection) -> Sequence[NewEntry]:
            move(
                connection,
                [identity for identity, _ in found],
                "expired",
                only_from=(state,),
                code="act.expired",
                detail=f"the deadline passed before the act was submitted (time {now})",
            )
            return [
                refused_entry(identity, "act.expired", None, self._utc())
                for identity, act in found
                if act.type not in REVOCATIONS and taken_act(connection, identity) is not None
            ]

        self._acts.write(job)
        self._notifier.announce()

    def _restore(self, now: int) -> None:
        """Repair the rows of denying acts that somebody changed.

        An act that denies by the log, but whose rows state a final state or lack its transaction, waits for a transaction
        again. An act whose rows are not those that were signed is reported as this relayer's failure.
        """
        with self._reading.connect() as connection:
            found = undecided_acts(connection, self._deployment, now)
        self._undeliverable = None
        for identity, why in found.lost.items():
            self._undeliverable = ActUndeliverable(f"the act {identity} was taken, and {why}")
        moment = self._clock.elapsed()
        due = [one for one in found.idle if self._restored.get(one, 0.0) <= moment]
        if not due:
            return
        self._restored |= dict.fromkeys(due, moment + LONGEST_PAUSE_S)
        _log.warning("acts that are not decided, and whose rows say so, are carried again: %s", due)
        cleared = dict.fromkeys(("code", "detail", "tx_hash", "block_number", "entry_id"))

        def job(connection: Connection) -> Sequence[NewEntry]:
            still = [one for one in due if taken_act(connection, one) is not None]
            move(connection, still, "received", only_from=(*OPEN, *FINAL), **cleared)
            return ()

        self._acts.write(job)

    def _submit(self) -> None:
        """Sign, store, then send the waiting acts, in the order of arrival."""
        with self._reading.connect() as connection:
            found = waiting(connection, BATCH + self._delivery.postponed)
        found += self._activations()
        due = [record for record in found if self._delivery.is_due(record.id)][:BATCH]
        ready = [(record.id, act) for record in due if (act := self._acts.load(record.id)) is not None]
        if not ready:
            return
        with sending(self._client.chain_id, self.address):
            self._delivery.send(ready)

    def _activations(self) -> list[ActRecord]:
        """The activations that can be sent now. Activations that can never be sent are marked as failed."""
        with self._reading.connect() as connection:
            found = activations(connection)
        if not found:
            return []
        now = max(self._client.head().timestamp, int(self._clock.now()))
        with self._reading.connect() as connection:
            steps = [(record, step_of(connection, record, now)) for record in found]
        void = [record.id for record, step in steps if step == "void"]
        if void:
            reason = "the proposal of this admission was not taken"
            self._acts.write(
                lambda connection: move(connection, void, "failed", code="act.refused", detail=reason)
            )
            self._notifier.announce()
        return [record for record, step in steps if step == "due"]

    def _utc(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)
