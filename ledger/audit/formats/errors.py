"""The errors of the log, each with its stable code."""

from __future__ import annotations

from ledger.errors import LedgerError


class AuditError(LedgerError):
    """Root of the log's own errors."""

    code = "audit.error"


class EventInvalid(AuditError):
    """An event is outside the limits within which its canonical bytes are RFC 8785."""

    code = "audit.event_invalid"


class EventConflict(AuditError):
    """Some, but not all, of a job's event ids are in the log already."""

    code = "audit.event_conflict"


class LogUnavailable(AuditError):
    """The batch was not committed. No data that depends on its entries may be released."""

    code = "audit.log_unavailable"


class LogClosed(AuditError):
    """The writer has been closed."""

    code = "audit.log_closed"


class LogCorrupt(AuditError):
    """The stored entries or hashes do not give the root of the stored head."""

    code = "audit.log_corrupt"


class RollbackDetected(AuditError):
    """The database does not contain a head that was already signed or anchored: it is older, or a fork."""

    code = "audit.rollback"


class NoSuchEntry(AuditError):
    """No entry has this index or id, or its leaf is archived."""

    code = "audit.no_entry"


class NoteInvalid(AuditError):
    """A signed note, key or checkpoint is malformed, or its signature is not valid."""

    code = "audit.note_invalid"


class KeyNotCurrent(AuditError):
    """This key is not the one that signs the log now: it was rotated out, or it is a key of another log."""

    code = "audit.key_not_current"


class WitnessProblem(AuditError):
    """A witness gave no cosignature."""

    code = "audit.witness_refused"


class WitnessUnreachable(WitnessProblem):
    """The witness did not answer before the timeout."""

    code = "audit.witness_unreachable"


class WitnessMalformed(WitnessProblem):
    """The witness's answer does not have the form of C2SP tlog-witness."""

    code = "audit.witness_malformed"


class WitnessKeyAbsent(WitnessProblem):
    """The witness's answer has no signature of its configured key."""

    code = "audit.witness_key"


class WitnessConflict(WitnessProblem):
    """The witness has cosigned a larger head of this log, or a head of another history."""

    code = "audit.witness_conflict"
