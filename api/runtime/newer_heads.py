"""Heads of the log that callers have seen. A head newer than the log shows that an older home was restored.

A caller may state the last head it saw (`SEEN`). Only a head that the log's own key signed counts, so an invented
head cannot stop the service. After that nothing is written to this log: no act, no call, no periodic task. The
high-water mark keeps the head, so the service does not start again on the older home.
"""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from collections.abc import Callable

from api.protocol.names import SEEN_HEADER
from ledger.audit.formats.checkpoint import Origin, SignedCheckpoint, opened_by, read_checkpoint
from ledger.audit.formats.errors import NoteInvalid, RollbackDetected
from ledger.audit.formats.note import VerifierKey
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.counts import counted

SEEN = SEEN_HEADER.lower()
"""The header with the last head that a caller has seen, a signed note in base64."""

MOST = 8192
"""The limit of characters of the header."""

_log = logging.getLogger(__name__)


class NewerHeads:
    """The heads that callers have shown. ``mark_of`` opens the high-water mark of an epoch. Thread-safe."""

    def __init__(self, log: AuditLog, mark_of: Callable[[int], HighWaterMark]) -> None:
        self._log = log
        self._mark_of = mark_of
        self._origin = Origin.parse(log.origin)
        self._size = 0
        self._lock = threading.Lock()
        self.found: SignedCheckpoint | None = None
        """The newest head that this log does not reach; None if there is none."""

    def note_head(self, header: str | None) -> None:
        """Check the head of a call. A malformed head, one of another log and one not signed by this log are ignored."""
        if header is None or len(header) > MOST:
            return
        try:
            note = base64.b64decode(header, validate=True)
            shown = read_checkpoint(note)
            origin = Origin.parse(shown.checkpoint.origin)
            if not self._is_newer(origin, shown.size):
                return
            signed = opened_by(note, self._keys(str(origin)))
        except (binascii.Error, ValueError, NoteInvalid):
            return
        with self._lock:
            if self.found is not None and self._rank(self.found) >= self._rank(signed):
                return
            self.found = signed
            self._mark_of(origin.epoch).raise_to(signed)
        _log.error(
            "a caller has seen %d entries of %s, this log has %d: an older home was restored; nothing is released or taken",
            signed.size,
            origin,
            self._size,
        )

    def must_be_none(self) -> None:
        """Raise `RollbackDetected` once a newer head is known: nothing is written to an older log."""
        if self.found is not None:
            raise RollbackDetected(
                f"a caller has seen {counted(self.found.size, 'entry', 'entries')} signed by this log, which has {self._size}: an older state"
                " was restored; nothing is released or taken"
            )

    def _is_newer(self, origin: Origin, size: int) -> bool:
        if (origin.chain_id, origin.contract) != (self._origin.chain_id, self._origin.contract):
            return False
        if origin.epoch != self._origin.epoch:
            return origin.epoch > self._origin.epoch
        if size > self._size:
            self._size = self._log.size
        return size > self._size

    def _keys(self, origin: str) -> list[VerifierKey]:
        """The keys with which this log signs under an origin; a later epoch begins with the present key."""
        present = self._log.signer.key
        keys = [VerifierKey(origin, present.kind, present.public)]
        return keys + [key for key in self._log.verifier_keys() if key.name == origin and key not in keys]

    @staticmethod
    def _rank(signed: SignedCheckpoint) -> tuple[int, int]:
        return Origin.parse(signed.checkpoint.origin).epoch, signed.size
