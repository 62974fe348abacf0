"""Entries that a person who can write the database adds to the log: the tree is consistent, but no head of
the log's key covers it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text

from ledger.audit.formats.note import Signer
from ledger.audit.log.append import NewEntry
from ledger.audit.log.heads import read_state
from ledger.audit.log.log import AuditLog

NOTES = ("kept", "own", "own-and-named", "own-and-listed")
"""How the attacker signs: the log's last note is kept; his own key with the log's name; the same with a line
with the real key's name and id; the same with his key in the table of keys."""


def forge(engine: Engine, events: Sequence[NewEntry], how: str = "own-and-listed") -> None:
    """Append these entries to the stored log by writing rows."""
    with engine.begin() as connection:
        before = read_state(connection)
        origin = before.note.partition("\n")[0]
        thief = AuditLog(engine, Signer(origin, Ed25519PrivateKey.generate()))
        thief.append_to(connection, before, events)
        after = read_state(connection)
        note = before.note if how == "kept" else after.note
        if how.startswith("own-and"):
            # The unchanged line of the real key, over another text: only a verification detects it.
            note += before.note.partition("\n\n")[2]
        if how == "own-and-listed":
            connection.execute(
                text("INSERT INTO audit_key (vkey, epoch, from_size, handover) VALUES (:key, 1, 0, '')"),
                {"key": str(thief.signer.key)},
            )
        connection.execute(text("UPDATE audit_state SET note = :note"), {"note": note})


@contextmanager
def restored(engine: Engine) -> Iterator[None]:
    """Restore the log's rows after the block."""
    with engine.begin() as connection:
        state = connection.execute(text("SELECT * FROM audit_state")).mappings().one()
        keys = [row.vkey for row in connection.execute(text("SELECT vkey FROM audit_key"))]
    try:
        yield
    finally:
        with engine.begin() as connection:
            size = {"size": state["size"]}
            connection.execute(text("DELETE FROM audit_entry WHERE idx >= :size"), size)
            connection.execute(text("DELETE FROM audit_tile WHERE level = 0 AND n >= :size / 256"), size)
            for row in connection.execute(text("SELECT vkey FROM audit_key")).all():
                if row.vkey not in keys:
                    connection.execute(text("DELETE FROM audit_key WHERE vkey = :key"), {"key": row.vkey})
            connection.execute(
                text(
                    "UPDATE audit_state SET size = :size, root = :root, frontier = :frontier, note = :note,"
                    " pruned = :pruned"
                ),
                dict(state),
            )
