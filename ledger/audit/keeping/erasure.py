"""Erasure: the openings of one data subject are made unreadable permanently, and an entry records it.

The subject's key and openings are deleted and the erasure is logged in one transaction. The files of the database may
still hold the deleted rows. SQLite overwrites deleted content (``secure_delete``) and its write-ahead log is emptied,
but PostgreSQL keeps old rows in freed pages and in its write-ahead log, and so do older backups. These rows are
ciphertext under a key that is encrypted with the vault's secret. An erasure is therefore complete once that secret was
replaced and the old one destroyed (`OpeningVault.rewrap`; `api.operator.vault` does both).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.audit.formats.errors import AuditError
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.append import NewEntry
from ledger.audit.log.openings import OpeningVault
from ledger.audit.log.writer import Committed, GroupCommit, JobResult

_log = logging.getLogger(__name__)

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
    """Erase the openings of one data subject, which may have several names.

    The value of the result is the number of openings erased. The entry does not name the subject.
    """

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
    """Remove deleted rows from SQLite's files; raises `FreedPagesRemain` when readers prevent it.

    On PostgreSQL a VACUUM frees the space of deleted rows for reuse. An ordinary role may run it, and autovacuum does
    the same later.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        if conn.dialect.name == "postgresql":
            try:
                conn.execute(text("VACUUM audit_opening, audit_subject"))
            except DBAPIError as refused:  # the erasure does not depend on it
                _log.warning("freed pages were left to autovacuum: %s", type(refused.orig).__name__)
            return
        raw = conn.connection.dbapi_connection
        assert raw is not None
        cursor = raw.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # waits for readers, at most the busy timeout
        outcome = cursor.fetchone()
        cursor.close()
    if outcome is None or outcome[0]:
        raise FreedPagesRemain(
            "the erasure is logged and done, but a long-running reader kept the write-ahead log from being emptied",
            hint="end long-running readers and erase again",
        )
