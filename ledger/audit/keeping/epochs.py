"""A new epoch: the log continues after a loss that cannot be undone.

The chain refuses every further head after a backup older than the last anchor was restored, or after a stolen log key
anchored a false extension. The council then signs a NewEpoch on chain. This module records it as an entry, which
states the head from which the log continues and what was lost, and opens the log under the next origin with a new
high-water mark. The tree is continued: remaining entries have the same index and hash as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from sqlalchemy import Connection, insert, select, update

from ledger.audit.formats.checkpoint import Head, Origin, sign_checkpoint
from ledger.audit.formats.errors import AuditError
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.formats.merkle import root_at
from ledger.audit.formats.note import Signer, b64
from ledger.audit.log.append import Appended, NewEntry
from ledger.audit.log.heads import State, state_table
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import OpeningVault
from ledger.audit.log.reading import LogReader, key_table
from ledger.audit.log.tiles import TileReader
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditEpoch

epoch_table = table_of(AuditEpoch)


@dataclass(frozen=True, slots=True)
class CouncilDecision:
    """The NewEpoch that the council signed.

    ``kept`` is the head from which the new origin continues (`lastSize`, `lastRoot`), ``lost`` the head that was lost.
    ``evidence`` is the transaction, or the signatures as text.
    """

    kept: Head
    lost: Head
    reason: str
    evidence: str


def open_epoch(
    log: LogReader,
    old: Origin,
    signer: Signer,
    decision: CouncilDecision,
    *,
    highwater: HighWaterMark,
    vault: OpeningVault | None = None,
    at: datetime | None = None,
) -> AuditLog:
    """Continue the stored log under ``old.next()``; returns the log, ready to append.

    The name of ``signer`` is the new origin, and ``highwater`` is a new file. Raises `AuditError` unless the stored log
    contains ``decision.kept``. The call can be repeated with the same decision after an interrupted run.
    """
    if signer.key.name != str(old.next()):
        raise AuditError(f"the log's key must be named after the new origin {old.next()}")
    engine = log.engine
    event = Event(
        id=new_event_id(),
        type="log:epoch:opened",
        time=at or datetime.now(UTC),
        facts={
            "old_origin": str(old),
            "new_origin": signer.key.name,
            "kept_size": decision.kept.size,
            "kept_root": b64(decision.kept.root),
            "lost_size": decision.lost.size,
            "lost_root": b64(decision.lost.root),
            "reason": decision.reason,
            "evidence_sha256": sha256(decision.evidence.encode()).hexdigest(),
        },
    )
    successor = AuditLog(engine, signer, highwater=highwater, vault=vault)
    with engine.begin() as conn:
        state = log.state_in(conn, lock=conn.dialect.name != "sqlite")
        kept = decision.kept
        if kept.size > state.size or root_at(kept.size, TileReader().nodes(conn, state.size)) != kept.root:
            raise AuditError(
                "the stored log does not contain the head the council vouches for",
                hint="restore the newest backup there is, and let the council decide on its head",
            )
        number = old.epoch + 1
        before = conn.execute(
            select(epoch_table.c.evidence).where(epoch_table.c.epoch == number)
        ).scalar_one_or_none()
        if before is not None and before != decision.evidence:
            raise AuditError(f"epoch {number} was opened by another decision of the council")
        appended = None if before is not None else _open(conn, successor, number, decision, state, event)
    if appended is not None:
        successor.committed(appended)
    successor.verify_head()
    highwater.raise_to(successor.checkpoint())
    return successor


def _open(
    conn: Connection, log: AuditLog, number: int, decision: CouncilDecision, state: State, event: Event
) -> Appended:
    signer = log.signer
    conn.execute(
        insert(epoch_table),
        {
            "epoch": number,
            "origin": signer.key.name,
            "kept_size": decision.kept.size,
            "kept_root": decision.kept.root,
            "lost_size": decision.lost.size,
            "lost_root": decision.lost.root,
            "reason": decision.reason,
            "evidence": decision.evidence,
        },
    )
    conn.execute(
        insert(key_table), {"vkey": str(signer.key), "epoch": number, "from_size": 0, "handover": ""}
    )
    note = str(sign_checkpoint(signer, state.size, state.root))
    conn.execute(update(state_table).where(state_table.c.id == 1).values(note=note))
    return log.append(conn, [NewEntry(event)])
