"""Published heads: checkpoints that are stored because of a cosignature, an anchor, a timestamp or a key rotation."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from ledger.audit.formats.checkpoint import SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import RollbackDetected
from ledger.audit.formats.note import Note
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import checkpoint_table


def publish(log: AuditLog, signed: SignedCheckpoint) -> SignedCheckpoint:
    """Store a checkpoint of this log. Signatures of a checkpoint already stored at the same size are kept as well.

    Returns the stored checkpoint. Raises `RollbackDetected` when the stored log does not contain its head.
    """
    log.require(signed.checkpoint.head, "checkpoint to publish")
    with log.engine.begin() as conn:
        return keep(conn, signed)


def keep(conn: Connection, signed: SignedCheckpoint) -> SignedCheckpoint:
    """`publish` in the caller's transaction, without the check against the stored log."""
    epoch = int(signed.checkpoint.origin.rpartition("/")[2])
    table = checkpoint_table
    at = (table.c.size == signed.size, table.c.epoch == epoch)
    known = conn.execute(select(table.c.note).where(*at)).scalar_one_or_none()
    if known is None:
        row = {"size": signed.size, "epoch": epoch, "root": signed.root, "note": str(signed.note)}
        conn.execute(insert(table), row)
        return signed
    before = read_checkpoint(known)
    if before.checkpoint != signed.checkpoint:
        raise RollbackDetected(f"two different heads of size {signed.size} were signed: a fork")
    note: Note = before.note
    for signature in signed.note.signatures:
        note = note.with_signature(signature.line)
    conn.execute(update(table).where(*at).values(note=str(note)))
    return SignedCheckpoint(signed.checkpoint, note)
