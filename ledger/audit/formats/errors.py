"""What can go wrong with the log, each with its stable code."""

from __future__ import annotations

from ledger.errors import LedgerError


class AuditError(LedgerError):
    """Root of the log's own errors."""

    code = "audit.error"


class EventInvalid(AuditError):
    """An event breaks the limits under which its canonical bytes are RFC 8785."""

    code = "audit.event_invalid"


class EventConflict(AuditError):
    """Some, but not all, of a job's event ids are in the log already."""

    code = "audit.event_conflict"


class LogUnavailable(AuditError):
    """The batch could not be committed; nothing of it may be released."""

    code = "audit.log_unavailable"


class LogClosed(AuditError):
    """The writer has been closed."""

    code = "audit.log_closed"


class LogCorrupt(AuditError):
    """The stored log does not add up to the head it claims."""

    code = "audit.log_corrupt"


class RollbackDetected(AuditError):
    """The database is behind, or beside, a head that was already signed or anchored."""

    code = "audit.rollback"


class NoSuchEntry(AuditError):
    """No entry has this index or id, or its leaf is no longer kept."""

    code = "audit.no_entry"


class NoteInvalid(AuditError):
    """A signed note, key or checkpoint is malformed or its signature does not hold."""

    code = "audit.note_invalid"


class KeyNotCurrent(AuditError):
    """The log is signed with another key now: this one was retired, or never belonged to it."""

    code = "audit.key_not_current"


class WitnessProblem(AuditError):
    """A witness gave no cosignature."""

    code = "audit.witness_refused"


class WitnessUnreachable(WitnessProblem):
    """The witness did not answer, or not in time."""

    code = "audit.witness_unreachable"


class WitnessMalformed(WitnessProblem):
    """The witness's answer is not what tlog-witness has it be."""

    code = "audit.witness_malformed"


class WitnessKeyAbsent(WitnessProblem):
    """The witness answered, but not with a signature of the key that is expected of it."""

    code = "audit.witness_key"


class WitnessConflict(WitnessProblem):
    """The witness saw another history of this log, or a longer one."""

    code = "audit.witness_conflict"
