"""The rows of the outbox: accepting acts once, and changing their state.

awaiting-file -> received -> submitted -> mined -> recorded | failed | expired. A failed or expired act that is submitted
again becomes received again. Every function takes a connection in a transaction of the single writer and does not commit.
An act is identified by its EIP-712 digest: the same message submitted twice is one act, even with other signatures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.acts.act import AWAITING_FILE, FINAL, SignedAct, State, sha256_hex
from ledger.audit.log.append import NewEntry
from ledger.chain.deployment import Deployment
from ledger.chain.signers import recover
from ledger.ids import ACTIVATION
from ledger.lost.holds import log_facts
from ledger.lost.taken_in_log import taken_entries
from ledger.outbox.denials import denials_of
from ledger.store.prepared import Prepared
from ledger.store.tables import table_of
from ledger.store.tables.outbox import DocumentRow, OutboxActRow, OutboxDenialRow

acts = table_of(OutboxActRow)
documents = table_of(DocumentRow)
denials = table_of(OutboxDenialRow)

OPEN: tuple[State, ...] = (AWAITING_FILE, "received", "submitted", "mined")

_ACTIVATIONS: ColumnElement[bool] = acts.c.digest.endswith(ACTIVATION)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The result of accepting an act: its id, its state, whether it is new, and the log entries of its denials.

    The caller must commit the entries in the same transaction.
    """

    id: str
    state: State
    created: bool
    entries: Sequence[NewEntry] = ()


@dataclass(frozen=True, slots=True)
class ActRecord:
    """An act with its state.

    ``code`` and ``detail`` state why it failed. ``entry_id`` is the audit entry of its first event, once recorded.
    ``signer`` is the address of the first signature. ``deadline`` is in unix seconds.
    """

    seq: int
    id: str
    type: str
    message: Mapping[str, Any]
    state: State
    signer: str
    deadline: int | None
    request: UUID | None
    code: str | None
    detail: str | None
    tx_hash: str | None
    block_number: int | None
    entry_id: UUID | None

    @property
    def block(self) -> int | None:
        """The number of the block in which it was mined; None before."""
        return self.block_number

    @property
    def reason(self) -> str | None:
        """Why it failed: the detail, or else the code; None when it has not failed."""
        return self.detail or self.code

    @property
    def final(self) -> bool:
        """Whether the state is final."""
        return self.state in FINAL


def size_of(act: SignedAct) -> int:
    """The bytes of an act in the database: message, signatures and documents."""
    return len(json.dumps(act.to_json()).encode()) + sum(map(len, act.documents))


def accept(
    connection: Connection,
    deployment: Deployment,
    act: SignedAct,
    now: datetime,
    *,
    awaits_file: bool = False,
) -> Accepted:
    """Store an act, once. The caller has called `check` and `simulate_act` before.

    With ``awaits_file`` the act is not sent before `file_came`. Documents are stored under their SHA-256. A revocation or
    suspension denies reads from this transaction on; the caller commits the returned ``entries`` with it.
    """
    identity = act.id(deployment)
    signer = recover(act.digest(deployment), act.all_signatures[0])
    state: State = AWAITING_FILE if awaits_file else "received"
    row = {
        "digest": identity,
        "type": act.type,
        "message": json.dumps(act.message),
        "signatures": json.dumps(act.to_json()["signatures"]),
        "arguments": json.dumps(act.arguments),
        "deadline": act.deadline,
        "signer": signer,
        "request_id": None if act.request is None else str(act.request),
        "state": state,
        "received_at": int(now.timestamp() * 1_000_000),
        "size": size_of(act),
    }
    # The returned row shows whether it was inserted: PostgreSQL's driver gives no row count with a generated key.
    statement = _insert(connection, acts).values(**row).on_conflict_do_nothing().returning(acts.c.seq)
    if connection.execute(statement).first() is None:
        known = find(connection, identity)
        assert known is not None
        if known.state not in ("failed", "expired"):
            return Accepted(identity, known.state, created=False)
        # A failed act changed nothing, so the same message may be submitted again, also with other signatures.
        cleared = dict.fromkeys(("code", "detail", "tx_hash", "block_number", "entry_id"))
        connection.execute(update(acts).where(acts.c.digest == identity).values(row | cleared))
        connection.execute(delete(denials).where(denials.c.digest == identity))
    for body in act.documents:
        store_document(connection, body)
    denied = list(dict.fromkeys(denials_of(connection, act, signer)))
    for kind, target in denied:
        connection.execute(insert(denials).values(digest=identity, kind=kind, target=target))
    if not denied:
        return Accepted(identity, state, created=True)
    told = log_facts(connection)
    entries = taken_entries(
        identity,
        act.type,
        act.call(deployment).data,
        act.deadline,
        denied,
        signer,
        (told.relations.seat(signer) if told is not None else None) or 0,
        now,
    )
    return Accepted(identity, state, created=True, entries=entries)


def store_document(connection: Connection, body: bytes) -> str:
    """Store a document under its SHA-256; returns it (64 hex digits). The same bytes are stored once."""
    digest = sha256_hex(body)
    connection.execute(
        _insert(connection, documents).values(sha256=digest, body=body).on_conflict_do_nothing()
    )
    return digest


_BODY = Prepared(select(documents.c.body).where(documents.c.sha256 == bindparam("digest")))


def document(connection: Connection, sha256: str) -> bytes | None:
    """The bytes of a document by its SHA-256 (64 hex digits, with or without 0x); None when it is not stored.

    The hash is computed again: a document that was changed in the database is treated as missing.
    """
    digest = sha256.removeprefix("0x").lower()
    row = _BODY.row(connection, digest=digest)
    return bytes(row[0]) if row is not None and sha256_hex(bytes(row[0])) == digest else None


def find(connection: Connection, identity: str) -> ActRecord | None:
    """The act with this id; None without one."""
    row = connection.execute(select(acts).where(acts.c.digest == identity)).mappings().one_or_none()
    return None if row is None else _record(row)


def open_acts(connection: Connection) -> dict[str, int]:
    """How many acts are in each state of `OPEN`; a state without acts is missing."""
    query = select(acts.c.state, func.count()).where(acts.c.state.in_(OPEN)).group_by(acts.c.state)
    return {str(state): int(count) for state, count in connection.execute(query)}


def waiting(connection: Connection, limit: int) -> list[ActRecord]:
    """At most ``limit`` acts in the state received, in the order of arrival; without activations, which may wait long."""
    return _received(connection, ~_ACTIVATIONS, limit)


def activations(connection: Connection) -> list[ActRecord]:
    """The activations of admissions in the state received."""
    return _received(connection, _ACTIVATIONS, None)


def _received(connection: Connection, which: ColumnElement[bool], limit: int | None) -> list[ActRecord]:
    query = select(acts).where(acts.c.state == "received", which).order_by(acts.c.seq).limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]


def load_act(connection: Connection, identity: str) -> SignedAct:
    """An accepted act as it was signed, without its documents. Raises `ActError` or `MessageError` when the contracts of
    this version do not accept such an act."""
    row = connection.execute(select(acts).where(acts.c.digest == identity)).mappings().one()
    document = {
        "type": row["type"],
        "message": json.loads(row["message"]),
        "signatures": json.loads(row["signatures"]),
        "arguments": json.loads(row["arguments"]),
    }
    return SignedAct.from_json(document)


def move(
    connection: Connection,
    identities: Iterable[str],
    state: State,
    *,
    only_from: tuple[State, ...] = OPEN,
    **values: Any,
) -> int:
    """Set the state of those acts that are in one of ``only_from``, and further columns; returns how many changed."""
    done = connection.execute(
        update(acts)
        .where(acts.c.digest.in_(list(identities)), acts.c.state.in_(only_from))
        .values(state=state, **values)
    )
    return int(done.rowcount)


def on_its_way(connection: Connection) -> bool:
    """Whether any act is pending (received or submitted, not recorded), so that the chain's state is about to change.

    Activations that wait for their time and versions that wait for a file are not counted.
    """
    moving = (
        acts.c.state.in_(OPEN)
        & (acts.c.state != AWAITING_FILE)
        & ~(_ACTIVATIONS & (acts.c.state == "received"))
    )
    return connection.execute(select(acts.c.seq).where(moving).limit(1)).first() is not None


def open_messages(connection: Connection, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """The messages of the accepted acts of these types whose state is not final."""
    query = select(acts.c.message).where(acts.c.type.in_(kinds), acts.c.state.in_(OPEN)).order_by(acts.c.seq)
    return [json.loads(text) for text in connection.execute(query).scalars()]


def acts_of_type(
    connection: Connection, kind: str, states: Sequence[State], since: int | None = None
) -> list[ActRecord]:
    """The acts of a type in one of these states, in the order of arrival. With ``since`` (unix seconds), acts with an
    earlier deadline are left out."""
    query = select(acts).where(acts.c.type == kind, acts.c.state.in_(states)).order_by(acts.c.seq)
    if since is not None:
        query = query.where(acts.c.deadline >= since)
    return [_record(row) for row in connection.execute(query).mappings()]


def file_came(connection: Connection, identity: str) -> bool:
    """The file of a version was uploaded, so its act may be sent. Returns whether the act was waiting for it."""
    return move(connection, [identity], "received", only_from=(AWAITING_FILE,)) > 0


def _insert(connection: Connection, table: Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _record(row: Mapping[Any, Any]) -> ActRecord:
    return ActRecord(
        seq=row["seq"],
        id=row["digest"],
        type=row["type"],
        message=json.loads(row["message"]),
        state=row["state"],
        signer=row["signer"],
        deadline=row["deadline"],
        request=None if row["request_id"] is None else UUID(row["request_id"]),
        code=row["code"],
        detail=row["detail"],
        tx_hash=row["tx_hash"],
        block_number=row["block_number"],
        entry_id=None if row["entry_id"] is None else UUID(row["entry_id"]),
    )
