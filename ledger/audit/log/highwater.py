"""The high-water mark: the last head the log signed, kept in a file outside the database.

A database restored from an older backup is behind the mark; the log then refuses to sign. The file has two slots,
each with a signed checkpoint and its length. They are written in turn, so an incomplete write leaves the other slot
intact. The file is synced at most once a second, and when it is closed. After a power cut the mark may therefore be
a little old. This is harmless, because the mark only refuses heads below it.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from ledger.audit.formats.checkpoint import SignedCheckpoint, open_checkpoint
from ledger.audit.formats.errors import NoteInvalid, RollbackDetected
from ledger.audit.formats.note import VerifierKey

_SLOT = 4096
_HEADER = struct.Struct(">QI")
_SYNC_EVERY_S = 1.0


class HighWaterMark:
    """The mark of one log, in one file. Several processes may call `read` and `raise_to`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._synced = time.monotonic()

    def read(self, keys: Sequence[VerifierKey]) -> SignedCheckpoint | None:
        """The larger of the two stored heads that one of the log's keys signed; None when the file is new.

        Raises `RollbackDetected` when no slot holds such a head, also for a mark of another origin: a new epoch must
        be given a new mark explicitly.
        """
        if not os.fstat(self._file).st_size:
            return None
        found = [slot for slot in (self._slot(0, keys), self._slot(1, keys)) if slot is not None]
        if not found:
            raise RollbackDetected(
                f"the high-water mark {self.path} is unreadable, or of another log",
                hint="compare with a witness or the chain, then start a new epoch",
            )
        return max(found, key=lambda signed: signed.size)

    def _slot(self, number: int, keys: Sequence[VerifierKey]) -> SignedCheckpoint | None:
        data = os.pread(self._file, _SLOT, number * _SLOT)
        if len(data) < _HEADER.size:
            return None
        _, length = _HEADER.unpack_from(data)
        for key in keys:
            try:
                return open_checkpoint(data[_HEADER.size : _HEADER.size + length], key)
            except NoteInvalid:
                continue
        return None

    def raise_to(self, signed: SignedCheckpoint) -> None:
        """Store a signed and committed head in the slot with the smaller head."""
        note = bytes(signed.note)
        heights = [self._height(0), self._height(1)]
        slot = heights.index(min(heights))
        os.pwrite(self._file, _HEADER.pack(signed.size, len(note)) + note, slot * _SLOT)
        now = time.monotonic()
        if now - self._synced > _SYNC_EVERY_S:
            self._synced = now
            os.fdatasync(self._file)

    def _height(self, number: int) -> int:
        data = os.pread(self._file, _HEADER.size, number * _SLOT)
        return int(_HEADER.unpack(data)[0]) if len(data) == _HEADER.size else -1

    def close(self) -> None:
        """Sync and close."""
        os.fdatasync(self._file)
        os.close(self._file)
