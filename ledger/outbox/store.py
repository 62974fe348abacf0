"""The outbox's rows: accepting acts once, and moving them on.

awaiting-file -> received -> submitted -> mined -> recorded | failed | expired; a failed or expired act that is handed in again is
received once more. Every function takes a connection inside a
transaction of the one writer and does no commit of its own. An act is known by its EIP-712 digest: the same
message sent twice is one act, also when other signatures stand under it the second time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.acts.act import AWAITING_FILE, FINAL, SignedAct, State, sha256_hex
from ledger.audit.log.append import NewEntry
from ledger.chain.deployment import Deployment
from ledger.chain.signers import recover
from ledger.ids import ACTIVATION
from ledger.lost.holds import told_by
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
    """The answer to an act: its id, where it stands, whether it is new, and the entries that belong into the commit
    which takes it: those of what it denies."""

    id: str
    state: State
    created: bool
    entries: Sequence[NewEntry] = ()


@dataclass(frozen=True, slots=True)
class ActRecord:
    """An act and where it stands. ``code`` and ``detail`` say why it failed; ``entry_id`` is the audit entry of
    its first event, once recorded; ``signer`` is the address of the first signature."""

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
        """The block in which it was mined."""
        return self.block_number

    @property
    def reason(self) -> str | None:
        """Why it failed, in words."""
        return self.detail or self.code

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL


def size_of(act: SignedAct) -> int:
    """The bytes that an act takes in the database: what was signed, the signatures, and its documents."""
    return len(json.dumps(act.to_json()).encode()) + sum(map(len, act.documents))


def accept(
    connection: Connection,
    deployment: Deployment,
    act: SignedAct,
    now: datetime,
    *,
    awaits_file: bool = False,
) -> Accepted:
    """Take an act over, durably, once. The caller has let `check` and `simulate_act` speak first.

    ``awaits_file``: it is not sent before `file_came`.

    Its documents are kept under their SHA-256. A revocation or suspension denies reads from this transaction on: the
    caller commits its ``entries`` with it.
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
    # The returned row tells: PostgreSQL's driver counts no rows for an insert that generates a key.
    statement = _insert(connection, acts).values(**row).on_conflict_do_nothing().returning(acts.c.seq)
    if connection.execute(statement).first() is None:
        known = find(connection, identity)
        assert known is not None
        if known.state not in ("failed", "expired"):
            return Accepted(identity, known.state, created=False)
        # What has failed changed nothing: the same message may be tried again, with other signatures perhaps.
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
    told = told_by(connection)
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
    """Keep a document; its SHA-256 (64 hex digits). The same bytes twice are one document."""
    digest = sha256_hex(body)
    connection.execute(
        _insert(connection, documents).values(sha256=digest, body=body).on_conflict_do_nothing()
    )
    return digest


_BODY = Prepared(select(documents.c.body).where(documents.c.sha256 == bindparam("digest")))


def document(connection: Connection, sha256: str) -> bytes | None:
    """The bytes of a document by its SHA-256 (64 hex digits, with or without 0x); None when it is not here.

    The hash is checked again on the way out: bytes that were changed in the database are not found.
    """
    digest = sha256.removeprefix("0x").lower()
    row = _BODY.row(connection, digest=digest)
    return bytes(row[0]) if row is not None and sha256_hex(bytes(row[0])) == digest else None


def find(connection: Connection, identity: str) -> ActRecord | None:
    """An act by its id."""
    row = connection.execute(select(acts).where(acts.c.digest == identity)).mappings().one_or_none()
    return None if row is None else _record(row)


def waiting(connection: Connection, limit: int) -> list[ActRecord]:
    """Acts received and not yet submitted, in the order of their arrival; without activations, which may wait long."""
    return _received(connection, ~_ACTIVATIONS, limit)


def activations(connection: Connection) -> list[ActRecord]:
    """Activations of admissions that are received and not yet submitted."""
    return _received(connection, _ACTIVATIONS, None)


def _received(connection: Connection, which: ColumnElement[bool], limit: int | None) -> list[ActRecord]:
    query = select(acts).where(acts.c.state == "received", which).order_by(acts.c.seq).limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]


def load_act(connection: Connection, identity: str) -> SignedAct:
    """An accepted act as it was signed, without its documents. `ActError` or `MessageError` when the contracts
    of this version take no such act."""
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
    """Move acts on, where they stand in one of ``only_from``; how many moved. Final states stay."""
    done = connection.execute(
        update(acts)
        .where(acts.c.digest.in_(list(identities)), acts.c.state.in_(only_from))
        .values(state=state, **values)
    )
    return int(done.rowcount)


def on_its_way(connection: Connection) -> bool:
    """Whether any act is received or submitted and not yet recorded: the chain's state is about to change.

    An activation that waits for its time, and a version that waits for its file, change nothing yet.
    """
    moving = (
        acts.c.state.in_(OPEN)
        & (acts.c.state != AWAITING_FILE)
        & ~(_ACTIVATIONS & (acts.c.state == "received"))
    )
    return connection.execute(select(acts.c.seq).where(moving).limit(1)).first() is not None


def open_messages(connection: Connection, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """The messages of these types that are accepted and not final yet."""
    query = select(acts.c.message).where(acts.c.type.in_(kinds), acts.c.state.in_(OPEN)).order_by(acts.c.seq)
    return [json.loads(text) for text in connection.execute(query).scalars()]


def acts_of_type(
    connection: Connection, kind: str, states: Sequence[State], since: int | None = None
) -> list[ActRecord]:
    """The acts of a type that stand in one of these states, in the order of arrival; with ``since`` (unix seconds) none whose
    deadline was before it."""
    query = select(acts).where(acts.c.type == kind, acts.c.state.in_(states)).order_by(acts.c.seq)
    if since is not None:
        query = query.where(acts.c.deadline >= since)
    return [_record(row) for row in connection.execute(query).mappings()]


def file_came(connection: Connection, identity: str) -> bool:
    """The file of a version is here: its act is sent now. Whether it waited for it."""
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
