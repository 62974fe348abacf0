"""Rotation of the log's key: the old key names the new one in a signed note, and the new key signs from then on."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import insert, update

from ledger.audit.formats.checkpoint import sign_checkpoint
from ledger.audit.formats.errors import AuditError
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.formats.note import Note, Signer
from ledger.audit.log.append import NewEntry
from ledger.audit.log.heads import state_table
from ledger.audit.log.log import AuditLog
from ledger.audit.log.publish import keep
from ledger.audit.log.reading import key_table
from ledger.audit.verify.keychain import handover_text


def rotate_key(log: AuditLog, new: Signer, *, at: datetime | None = None) -> AuditLog:
    """Rotate to a new key; returns the log that signs with it. Stop the writer before the call.

    The last head under the old key is published with both signatures, so receipts under either key can be compared
    there. The first entry under the new key records the rotation. Raises `AuditError` when the name of the new key is
    not this log's origin.
    """
    if new.key.name != log.origin or new.key in log.verifier_keys():
        raise AuditError("the new key must be one never used, named after the same origin")
    old = log.signer
    event = Event(
        id=new_event_id(),
        type="log:key:rotated",
        time=at or datetime.now(UTC),
        facts={"old_key": str(old.key), "new_key": str(new.key)},
    )
    successor = AuditLog(log.engine, new, highwater=log.highwater, vault=log.vault)
    with log.engine.begin() as conn:
        state = log.lock(conn)
        last = sign_checkpoint(old, state.size, state.root)
        both = last.note.with_signature(new.sign(last.note.text))
        keep(conn, type(last)(last.checkpoint, both))
        text = handover_text(log.origin, state.size, new.key)
        handover = Note(text, ()).with_signature(old.sign(text))
        row = {"vkey": str(new.key), "epoch": log.epoch, "from_size": state.size, "handover": str(handover)}
        conn.execute(insert(key_table), row)
        conn.execute(update(state_table).where(state_table.c.id == 1).values(note=str(both)))
        appended = successor.append(conn, [NewEntry(event)])
    successor.committed(appended)
    successor.verify_head()
    return successor
