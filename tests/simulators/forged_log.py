"""Entries that a person who writes the database adds to the log: a consistent tree, under no head of the log's key."""

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
"""How the forger signs: the log's last note stays; his own key of the log's name; the same with a line that has the real
key's name and number; the same with his key in the table of keys."""


def forge(engine: Engine, events: Sequence[NewEntry], how: str = "own-and-listed") -> None:
    """Append these entries to the stored log, as a writer of rows can."""
    with engine.begin() as connection:
        before = read_state(connection)
        origin = before.note.partition("\n")[0]
        thief = AuditLog(engine, Signer(origin, Ed25519PrivateKey.generate()))
        thief.append_to(connection, before, events)
        after = read_state(connection)
        note = before.note if how == "kept" else after.note
        if how.startswith("own-and"):
            # The line of the real key as it stands, over another text: only who verifies it sees that.
            note += before.note.partition("\n\n")[2]
        if how == "own-and-listed":
            connection.execute(
                text("INSERT INTO audit_key (vkey, epoch, from_size, handover) VALUES (:key, 1, 0, '')"),
                {"key": str(thief.signer.key)},
            )
        connection.execute(text("UPDATE audit_state SET note = :note"), {"note": note})


@contextmanager
def restored(engine: Engine) -> Iterator[None]:
    """The log's rows are put back afterwards, by who changed them."""
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
