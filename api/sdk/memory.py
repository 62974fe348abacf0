"""What a client remembers: the newest checkpoint it has verified, per log.

The operator of an embedded chain can roll back its own chain and database together; it cannot roll back this
file. A checkpoint that is not an extension of the remembered one is refused, for ever, until a person decides.
The file is replaced atomically, so that a crash leaves the old or the new checkpoint, never half of one.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from api.sdk.errors import AnswerRefused, RollbackDetected
from ledger.audit.checkpoint import SignedCheckpoint, open_checkpoint
from ledger.audit.errors import NoteInvalid
from ledger.audit.merkle import ProofError, verify_consistency
from ledger.audit.note import VerifierKey

FetchProof = Callable[[int, int], list[bytes]]
"""Gives the RFC 6962 consistency proof between two sizes."""


class CheckpointMemory:
    """The newest verified checkpoint of one log, in ``directory``. Thread-safe within a process."""

    def __init__(self, directory: Path, log_key: VerifierKey) -> None:
        self._log_key = log_key
        name = hashlib.sha256(log_key.name.encode()).hexdigest()[:16]
        self._file = directory / f"checkpoint-{name}.note"
        self._lock = threading.RLock()
        directory.mkdir(parents=True, exist_ok=True)
        self._seen = self._read()

    @property
    def seen(self) -> SignedCheckpoint | None:
        """The newest checkpoint verified so far."""
        return self._seen

    def accept(self, note: str, proof_between: FetchProof, *, at_least: int = 0) -> SignedCheckpoint:
        """Verify a checkpoint against the remembered one and remember the larger.

        ``proof_between`` is asked for a consistency proof when the sizes differ. ``at_least`` is the size this
        client had seen when it made the call: an honest log cannot answer with less. Raises RollbackDetected
        when the log shrank or forked, AnswerRefused when the note does not verify.
        """
        try:
            offered = open_checkpoint(note, self._log_key)
        except NoteInvalid as refused:
            raise AnswerRefused(f"the checkpoint does not hold: {refused.message}") from refused
        if offered.size < at_least:
            raise RollbackDetected(
                f"the log has {offered.size} entries now; this client has seen {at_least} of them signed"
            )
        with self._lock:
            seen = self._read() or self._seen
            if seen is None or seen.size == 0:
                self._write(offered)
                return offered
            old, new = sorted((seen, offered), key=lambda checkpoint: checkpoint.size)
            if old.size == new.size:
                if old.root != new.root:
                    raise RollbackDetected(f"two different logs of size {old.size} carry the log's signature")
                return offered
            self._check(old, new, proof_between)
            if offered is new:
                self._write(offered)
            return offered

    def _check(self, old: SignedCheckpoint, new: SignedCheckpoint, proof_between: FetchProof) -> None:
        if old.size == 0:
            return
        try:
            verify_consistency(old.size, new.size, old.root, new.root, proof_between(old.size, new.size))
        except ProofError as forked:
            raise RollbackDetected(
                f"the log of {new.size} entries is not an extension of the one of {old.size} entries"
            ) from forked

    def _read(self) -> SignedCheckpoint | None:
        try:
            return open_checkpoint(self._file.read_bytes(), self._log_key)
        except FileNotFoundError:
            return None
        except NoteInvalid as damaged:
            raise AnswerRefused(
                f"the remembered checkpoint {self._file} is damaged",
                hint="restore it from a backup; deleting it gives up the proof that nothing was rolled back",
            ) from damaged

    def _write(self, checkpoint: SignedCheckpoint) -> None:
        temporary = self._file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
        temporary.write_bytes(str(checkpoint).encode())
        temporary.replace(self._file)
        self._seen = checkpoint
