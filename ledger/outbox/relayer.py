"""The relayer: carries accepted acts to the chain, in order, and decides nothing.

A transaction is signed and stored before it is sent, so that a relayer that dies anywhere sends the very same bytes
again, and the chain mines them once. Several acts share a block. A transaction that stays unmined is signed again
with the same nonce and a higher fee: only one of the two can ever be mined.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from ledger.audit.errors import AuditError
from ledger.audit.writer import GroupCommit, JobResult
from ledger.chain.client import ChainClient, Receipt
from ledger.chain.contracts import Deployment, decode_revert
from ledger.chain.errors import ChainError, InvalidTransaction, TransactionRefused
from ledger.chain.messages import MessageError
from ledger.chain.sending import sending
from ledger.chain.transactions import Fees, address_of, sign_transaction, transaction_hash
from ledger.clock import Clock, WallClock
from ledger.outbox.acts import ActError, SignedAct
from ledger.outbox.admissions import step_of
from ledger.outbox.board import ActBoard
from ledger.outbox.store import ActRecord, activations, acts, load_act, move, on_its_way, waiting
from ledger.store.engine import reader
from ledger.store.tables.outbox import OutboxTransactionRow

_log = logging.getLogger(__name__)

transactions: Table = OutboxTransactionRow.__table__  # type: ignore[attr-defined]

BATCH = 64
"""Acts submitted before the chain is asked about them."""

LONGEST_PAUSE_S = 60.0
"""Before an act whose transaction the chain refused is tried again."""

GAS_BASE, GAS_PER_BYTE, GAS_PER_ITEM, GAS_MOST = 400_000, 40, 80_000, 28_000_000
"""A generous bound instead of an estimate: an act may depend on one that waits before it, and gas that is not used
is not paid."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A stored transaction."""

    tx_hash: str
    nonce: int
    digest: str
    raw: bytes
    fee: int
    signed_at: float


class Relayer:
    """Carries the acts of one outbox with one key. `step` does one round; `start` does them on a thread.

    ``stuck_after_s``: how long a transaction may stay unmined before it is signed again with a higher fee.
    """

    def __init__(
        self,
        writer: GroupCommit,
        engine: Engine,
        client: ChainClient,
        deployment: Deployment,
        secret: bytes,
        *,
        board: ActBoard | None = None,
        stuck_after_s: float = 60.0,
        poll_s: float = 0.05,
        clock: Clock | None = None,
    ) -> None:
        self.address = address_of(secret)
        self.failure: Exception | None = None
        """Why the last round stopped short; None while all is well."""
        self._writer = writer
        self._reading = reader(engine)
        self._client = client
        self._deployment = deployment
        self._secret = secret
        self._board = board or ActBoard(engine)
        self._stuck_after_s = stuck_after_s
        self._poll_s = poll_s
        self._clock = clock or WallClock()
        self._handed_over: set[str] = set()
        self._postponed: dict[str, tuple[int, float]] = {}
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- the thread

    def start(self) -> None:
        """Relay on a thread until `close`."""
        self._thread = threading.Thread(target=self._run, name="relayer", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """An act has been accepted, and it is committed."""
        self._woken.set()

    def close(self, timeout: float = 30.0) -> None:
        """Stop after the round at hand; what is not sent is sent by the next relayer."""
        self._stop.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def __enter__(self) -> Relayer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.is_set():
            if pause:
                self._woken.wait(pause)
            self._woken.clear()
            try:
                self.failure = None
                busy = self.step()
                pause = self._poll_s if busy else 1.0
            except (ChainError, AuditError, SQLAlchemyError) as error:
                self.failure = error
                pause = min(5.0, max(0.2, 2 * pause))
                _log.warning("the relayer waits %.1f s: %s", pause, error)
            except Exception as error:
                self.failure = error
                _log.error("the relayer stops: %s", error)
                raise

    # -- one round

    def step(self) -> bool:
        """One round: ask about what was sent, expire what is too late, send what waits. Whether acts are on
        their way. Raises `ChainError` when the chain cannot be reached; the next round takes up where it was."""
        self._settle()
        self._expire()
        self._submit()
        with self._reading.connect() as connection:
            return on_its_way(connection)

    def _settle(self) -> None:
        """Learn what became of open transactions; hand over again what the chain does not know."""
        by_act: dict[str, list[Sent]] = {}
        for sent in self._open():
            by_act.setdefault(sent.digest, []).append(sent)
        for digest, sent_ones in by_act.items():
            receipt = next((r for s in sent_ones if (r := self._client.receipt(s.tx_hash))), None)
            if receipt is None:
                self._hand_over(digest, sent_ones)
            elif receipt.succeeded:
                self._mined(digest, receipt)
            else:
                self._failed(digest, receipt)

    def _hand_over(self, digest: str, sent_ones: Sequence[Sent]) -> bool:
        """Send what this process has not sent yet; sign again what stays unmined; give up what cannot be mined.
        Whether the act is on its way."""
        newest = max(sent_ones, key=lambda s: s.fee)
        try:
            if newest.tx_hash not in self._handed_over:
                self._client.send(newest.raw)
                self._handed_over.add(newest.tx_hash)
            elif self._clock.now() - newest.signed_at > self._stuck_after_s:
                self._sign_again(newest)
        except TransactionRefused as refusal:
            # The nonce went to another transaction, the account is empty, or the node wants something else. If one
            # of ours was mined, its receipt says so; otherwise none of them ever will be, and the act waits for a
            # new one: until its deadline, for a revocation must not lapse because the relayer has no money.
            if not any(self._client.receipt(s.tx_hash) for s in sent_ones):
                self.failure = refusal
                self._handed_over -= {s.tx_hash for s in sent_ones}
                self._postpone(digest)
                _log.warning("transaction %s was refused: %s", newest.tx_hash, refusal)
                self._write(lambda connection: _start_over(connection, digest))
                return False
        except InvalidTransaction as refusal:
            reason = str(refusal)
            self._write(lambda connection: _give_up(connection, digest, reason))
            self._board.announce()
            return False
        return True

    def _postpone(self, digest: str) -> None:
        tries, _ = self._postponed.get(digest, (0, 0.0))
        pause = min(LONGEST_PAUSE_S, 0.2 * 2**tries)
        self._postponed[digest] = (tries + 1, self._clock.elapsed() + pause)

    def _sign_again(self, stuck: Sent) -> None:
        with self._reading.connect() as connection:
            act = load_act(connection, stuck.digest)
        fee = max(self._client.gas_price(), stuck.fee * 5 // 4 + 1)
        again = self._signed(act, stuck.digest, stuck.nonce, fee)
        self._write(lambda connection: _store(connection, [again]))
        self._client.send(again.raw)
        self._handed_over.add(again.tx_hash)

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

        self._write(job)

    def _failed(self, digest: str, receipt: Receipt) -> None:
        error = decode_revert(receipt.revert_data or b"")
        if error.name == "AdmissionNotReady":  # the block's time was behind this machine's
            self._postpone(digest)
            self._write(lambda connection: _start_over(connection, digest))
            return
        expired = error.name == "DeadlinePassed"

        def job(connection: Connection) -> int:
            _close(connection, digest)
            return move(
                connection,
                [digest],
                "expired" if expired else "failed",
                only_from=("received", "submitted", "mined"),
                code="act.expired" if expired else "act.refused",
                detail=str(error),
                tx_hash=receipt.tx_hash,
                block_number=receipt.block_number,
            )

        self._write(job)
        self._board.announce()

    def _expire(self) -> None:
        """Acts whose deadline the chain has passed die here, without a transaction."""
        now = self._client.head().timestamp
        late = select(acts.c.digest).where(acts.c.state == "received", acts.c.deadline < now)
        with self._reading.connect() as connection:
            found = list(connection.execute(late).scalars())
        if found:
            self._write(
                lambda connection: move(
                    connection,
                    found,
                    "expired",
                    only_from=("received",),
                    code="act.expired",
                    detail=f"the deadline passed before the act was submitted (block time {now})",
                )
            )
            self._board.announce()

    def _submit(self) -> None:
        """Sign, store, then send what waits, in the order of arrival."""
        with self._reading.connect() as connection:
            found = waiting(connection, BATCH + len(self._postponed))
        found += self._activations()
        now = self._clock.elapsed()
        due = [record for record in found if self._postponed.get(record.id, (0, 0.0))[1] <= now][:BATCH]
        ready = [(record.id, act) for record in due if (act := self._load(record.id)) is not None]
        if not ready:
            return
        with sending(self._client.chain_id, self.address):
            self._sign_and_send(ready)

    def _activations(self) -> list[ActRecord]:
        """The activations whose time has come; those that nothing can make ready any more fail."""
        with self._reading.connect() as connection:
            found = activations(connection)
            if not found:
                return []
            now = max(self._client.head().timestamp, int(self._clock.now()))
            steps = [(record, step_of(connection, record, now)) for record in found]
        void = [record.id for record, step in steps if step == "void"]
        if void:
            reason = "the proposal of this admission was not taken"
            self._write(
                lambda connection: move(connection, void, "failed", code="act.refused", detail=reason)
            )
            self._board.announce()
        return [record for record, step in steps if step == "due"]

    def _load(self, identity: str) -> SignedAct | None:
        """An act as it was signed; None when this version of the contracts takes no such act any more."""
        try:
            with self._reading.connect() as connection:
                return load_act(connection, identity)
        except (ActError, MessageError) as error:
            reason = str(error)
            self._write(lambda connection: _give_up(connection, identity, reason))
            self._board.announce()
            return None

    def _sign_and_send(self, found: Sequence[tuple[str, SignedAct]]) -> None:
        nonce = self._client.nonce(self.address)
        fee = self._client.gas_price()
        signed = [self._signed(act, identity, nonce + n, fee) for n, (identity, act) in enumerate(found)]

        def job(connection: Connection) -> int:
            _store(connection, signed)
            return move(connection, [s.digest for s in signed], "submitted", only_from=("received",))

        self._write(job)
        for at, sent in enumerate(signed):
            if not self._hand_over(sent.digest, [sent]):
                # Those behind it would leave a gap of nonces; they have not been sent, so they can be forgotten.
                self._write(lambda connection, rest=signed[at + 1 :]: _forget(connection, rest))  # type: ignore[misc]
                return

    # -- inside

    def _signed(self, act: SignedAct, digest: str, nonce: int, fee: int) -> Sent:
        call = act.call(self._deployment)
        raw = sign_transaction(
            self._secret,
            self._client.chain_id,
            nonce,
            call.to,
            call.data,
            gas_bound(act.message, act.arguments, len(call.data)),
            Fees(fee),
        )
        return Sent(transaction_hash(raw), nonce, digest, raw, fee, self._clock.now())

    def _open(self) -> list[Sent]:
        with self._reading.connect() as connection:
            rows = connection.execute(
                select(transactions).where(transactions.c.open).order_by(transactions.c.nonce)
            ).mappings()
            return [
                Sent(
                    row["tx_hash"],
                    row["nonce"],
                    row["digest"],
                    bytes(row["raw"]),
                    row["fee"],
                    row["signed_at"] / 1_000_000,
                )
                for row in rows
            ]

    def _write(self, job: Callable[[Connection], object]) -> None:
        self._writer.submit(lambda connection: JobResult(job(connection))).result()


def gas_bound(message: Mapping[str, Any], arguments: Mapping[str, Any], size: int) -> int:
    """Gas that an act surely does not exceed: by the size of the call and the number of its list items."""
    values = [*message.values(), *arguments.values()]
    items = sum(len(value) for value in values if isinstance(value, list))
    return min(GAS_MOST, GAS_BASE + GAS_PER_BYTE * size + GAS_PER_ITEM * items)


def _store(connection: Connection, signed: Sequence[Sent]) -> None:
    """Keep transactions before they are sent. The same act at the same nonce and fee is the same transaction: one
    that was refused is then opened again."""
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = module.insert(transactions)
    again = {name: statement.excluded[name] for name in ("digest", "signed_at", "open")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tx_hash"], set_=again),
        [
            {
                "tx_hash": s.tx_hash,
                "nonce": s.nonce,
                "digest": s.digest,
                "raw": s.raw,
                "fee": s.fee,
                "signed_at": int(s.signed_at * 1_000_000),
                "open": True,
            }
            for s in signed
        ],
    )


def _close(connection: Connection, digest: str) -> None:
    connection.execute(update(transactions).where(transactions.c.digest == digest).values(open=False))


def _start_over(connection: Connection, digest: str) -> int:
    """None of the act's transactions can be mined: it waits for a new one."""
    _close(connection, digest)
    return move(connection, [digest], "received", only_from=("submitted", "mined"), tx_hash=None)


def _give_up(connection: Connection, digest: str, reason: str) -> int:
    """No transaction can carry the act."""
    _close(connection, digest)
    return move(connection, [digest], "failed", code="act.undeliverable", detail=reason)


def _forget(connection: Connection, unsent: Sequence[Sent]) -> int:
    """Transactions that never left this process."""
    connection.execute(delete(transactions).where(transactions.c.tx_hash.in_([s.tx_hash for s in unsent])))
    return move(connection, [s.digest for s in unsent], "received", only_from=("submitted",))
