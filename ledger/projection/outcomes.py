"""What followed events mean for the acts in the outbox and for the requests they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, Table, select, update

from ledger.audit.events import Event as AuditEvent
from ledger.chain.events import Event
from ledger.outbox.store import acts
from ledger.requests import RequestError, mark_granted
from ledger.requests.workflow import reopen
from ledger.store.tables.outbox import OutboxTransactionRow

transactions: Table = OutboxTransactionRow.__table__  # type: ignore[attr-defined]


def acts_of(connection: Connection, events: Sequence[Event]) -> dict[str, str]:
    """The digest of the act that each transaction carried, for those that this installation sent."""
    sent = list({event.tx_hash for event in events})
    found: dict[str, str] = {}
    for at in range(0, len(sent), 500):
        page = sent[at : at + 500]
        rows = connection.execute(
            select(transactions.c.tx_hash, transactions.c.digest).where(transactions.c.tx_hash.in_(page))
        )
        found |= {str(tx_hash): str(digest) for tx_hash, digest in rows}
    return found


def record_acts(
    connection: Connection, events: Sequence[Event], standing: Mapping[tuple[str, int], UUID]
) -> list[AuditEvent]:
    """Mark the acts whose transactions these events come from as recorded; the entries of answered requests.

    ``standing`` gives the entry of an event by its transaction and log index.
    """
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.tx_hash, event)
    entries: list[AuditEvent] = []
    for tx_hash, event in first.items():
        digest = connection.execute(
            select(transactions.c.digest).where(transactions.c.tx_hash == tx_hash)
        ).scalar_one_or_none()
        if digest is None:
            continue
        connection.execute(update(transactions).where(transactions.c.digest == digest).values(open=False))
        mine = [e for e in events if e.tx_hash == tx_hash]
        # An admission in one transaction is proposed on the way: what it was for is that the department came in.
        telling = [e for e in mine if e.name != "AdmissionProposed"] or mine
        entry = next(
            (standing[tx_hash, e.log_index] for e in telling if (tx_hash, e.log_index) in standing), None
        )
        connection.execute(
            update(acts)
            .where(acts.c.digest == digest)
            .values(
                state="recorded",
                code=None,
                detail=None,
                tx_hash=tx_hash,
                block_number=event.block_number,
                entry_id=None if entry is None else str(entry),
            )
        )
        entries += _answered(connection, digest, mine)
    return entries


def reopen_acts(
    connection: Connection, number: int, orphaned: Sequence[Event], now: datetime
) -> list[AuditEvent]:
    """After a roll-back to block ``number``: acts that were mined later wait for their transactions again, and so
    do the requests they had answered; the entries of the latter."""
    tx_hashes = list({event.tx_hash for event in orphaned})
    digests: set[str] = set()
    for at in range(0, len(tx_hashes), 500):
        page = list(tx_hashes[at : at + 500])
        digests |= set(
            connection.execute(
                select(transactions.c.digest).where(transactions.c.tx_hash.in_(page))
            ).scalars()
        )
    for digest in sorted(digests):
        connection.execute(
            update(acts)
            .where(acts.c.digest == digest, acts.c.block_number > number)
            .values(state="submitted", block_number=None, entry_id=None)
        )
        connection.execute(
            update(transactions)
            .where(transactions.c.digest == digest, transactions.c.tx_hash.in_(list(tx_hashes)))
            .values(open=True)
        )
    steps = [reopen(connection, e.args["grant"], now=now) for e in orphaned if e.name == "Granted"]
    return [step.event for step in steps if step is not None]


def _answered(connection: Connection, digest: str, events: Sequence[Event]) -> list[AuditEvent]:
    """The entry that a request was granted, when the act named one; the first grant of the act answers it."""
    row = connection.execute(select(acts.c.request_id, acts.c.signer).where(acts.c.digest == digest)).one()
    granted = next((e for e in events if e.name == "Granted"), None)
    if row.request_id is None or granted is None:
        return []
    moment = datetime.fromtimestamp(granted.block_time, UTC)
    try:
        step = mark_granted(
            connection, UUID(row.request_id), granted.args["grant"], actor=row.signer, now=moment
        )
    except RequestError:
        # Refused or withdrawn while the grant was on its way: the grant stands, it answers nothing.
        return []
    return [step.event] if step.new else []
