"""Erasure: making the openings of one data subject unreadable for good, with an entry that says so.

The subject's key and openings are deleted and the act is logged in one transaction. Then freed pages are dealt
with: SQLite overwrites deleted content (``secure_delete``) and its write-ahead log is emptied; PostgreSQL vacuums
the tables. What an older backup still holds is ciphertext under a key that, in the backup, is wrapped by the
master key: after an erasure, rotate the master key (`OpeningVault.rewrap`) and destroy the old one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from ledger.audit.append import NewEntry
from ledger.audit.errors import AuditError
from ledger.audit.events import Event, new_event_id
from ledger.audit.openings import OpeningVault
from ledger.audit.writer import Committed, GroupCommit, JobResult

ERASED = "log:openings:erased"


class FreedPagesRemain(AuditError):
    """Deleted rows may still lie in the write-ahead log."""

    code = "audit.freed_pages"


def erase_subject(
    writer: GroupCommit,
    engine: Engine,
    vault: OpeningVault,
    *subjects: str,
    officer: str,
    department: int = 0,
    event_id: UUID | None = None,
    at: datetime | None = None,
) -> Committed[int]:
    """Erase the openings of one data subject, under all its names; the value is how many there were. The entry does
    not name the subject."""

    def job(conn: Connection) -> JobResult[int]:
        gone = sum(vault.erase(conn, subject) for subject in subjects)
        event = Event(
            id=event_id or new_event_id(),
            type=ERASED,
            time=at or datetime.now(UTC),
            department=department,
            officer=officer,
            counts={"openings": gone},
        )
        return JobResult(gone, [NewEntry(event)])

    done = writer.submit(job).result()
    clear_freed_pages(engine)
    return done


def clear_freed_pages(engine: Engine) -> None:
    """Leave nothing of deleted rows in the database's files; raises `FreedPagesRemain`."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("VACUUM audit_opening"))
            conn.execute(text("VACUUM audit_subject"))
            conn.execute(text("CHECKPOINT"))
            return
        raw = conn.connection.dbapi_connection
        assert raw is not None
        cursor = raw.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # waits for readers as long as the busy timeout
        outcome = cursor.fetchone()
        cursor.close()
    if outcome is None or outcome[0]:
        raise FreedPagesRemain(
            "the erasure is logged and done, but a long-running reader kept the write-ahead log from being emptied",
            hint="end long-running readers and erase again",
        )
