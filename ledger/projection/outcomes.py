"""The effect of events on the acts in the outbox and on the access requests that they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, select, update

from ledger.audit.formats.events import Event as AuditEvent
from ledger.chain.deployment import Deployment
from ledger.chain.events import Event
from ledger.outbox.store import acts
from ledger.outbox.transactions import acts_of, transactions
from ledger.requests import RequestError, mark_granted
from ledger.requests.workflow import reopen


def record_acts(
    connection: Connection,
    events: Sequence[Event],
    carried: Mapping[str, str],
    standing: Mapping[tuple[str, int], UUID],
) -> list[AuditEvent]:
    """Mark the acts of these events' transactions as recorded; returns the entries of answered requests.

    ``carried`` maps a transaction to its act, ``standing`` maps transaction and log index of an event to its entry.
    """
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.tx_hash, event)
    entries: list[AuditEvent] = []
    for tx_hash, event in first.items():
        digest = carried.get(tx_hash)
        if digest is None:
            continue
        connection.execute(update(transactions).where(transactions.c.digest == digest).values(open=False))
        mine = [e for e in events if e.tx_hash == tx_hash]
        # An admission in one transaction also proposes itself; its result is the admission of the department.
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


def passed_over(connection: Connection, number: int) -> list[str]:
    """The transactions of acts that were mined up to block ``number``, which was read, and that are not recorded."""
    query = select(acts.c.tx_hash).where(
        acts.c.state == "mined", acts.c.block_number <= number, acts.c.tx_hash.is_not(None)
    )
    return [str(tx_hash) for tx_hash in connection.execute(query.order_by(acts.c.seq)).scalars()]


def reopen_acts(
    connection: Connection,
    deployment: Deployment,
    number: int,
    orphaned: Sequence[Event],
    now: datetime,
) -> list[AuditEvent]:
    """After a roll-back to block ``number``: reopen the acts that were mined later and the requests that they answered.

    Returns the entries of the reopened requests.
    """
    tx_hashes = {event.tx_hash for event in orphaned}
    digests = set(acts_of(connection, deployment, tx_hashes).values())
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
    """The entry that the request of an act was granted; empty without a request. The act's first grant answers it."""
    request = connection.execute(
        select(acts.c.request_id).where(acts.c.digest == digest)
    ).scalar_one_or_none()
    granted = next((e for e in events if e.name == "Granted"), None)
    if request is None or granted is None:
        return []
    moment = datetime.fromtimestamp(granted.block_time, UTC)
    try:
        step = mark_granted(
            connection, UUID(request), granted.args["grant"], actor=granted.args["officer"], now=moment
        )
    except (RequestError, ValueError):
        # The request was refused or withdrawn while the grant was pending: the grant is valid but answers no request.
        return []
    return [step.event] if step.new else []
