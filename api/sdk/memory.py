"""The newest checkpoint that a client has verified, per log.

The operator of an embedded chain can roll back its own chain and database together; it cannot roll back this file.
A checkpoint that does not extend the remembered one is always refused, until a person decides. The file is replaced
atomically, so a crash leaves either the old or the new checkpoint.

Two heads that one log cannot have are kept as evidence (``fork-*.json``). From then on nothing is accepted, until a
person has examined the file and removed it.

The file also has the log's keys, from the pinned one on: a key that is known to have handed over cannot sign later
heads, and a second handover by the same key is a fork.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from api.sdk.errors import AnswerRefused, ForkFound, RollbackDetected
from ledger.audit.formats.checkpoint import MAX_SIZE, SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.merkle import ProofError, verify_consistency
from ledger.audit.formats.note import VerifierKey
from ledger.audit.verify.keychain import KeyChain, read_chain
from ledger.counts import counted

FetchProof = Callable[[int, int], list[bytes]]
"""A function that returns the RFC 6962 consistency proof between two sizes."""


class CheckpointMemory:
    """The newest verified checkpoint of one log, in ``directory``. Thread-safe within a process."""

    def __init__(self, directory: Path, log_key: VerifierKey) -> None:
        self._log_key = log_key
        name = hashlib.sha256(log_key.name.encode()).hexdigest()[:16]
        self._file = directory / f"checkpoint-{name}.note"
        self._keys_file = keys_beside(self._file)
        self._fork_file = directory / f"fork-{name}.json"
        self._lock = threading.RLock()
        directory.mkdir(parents=True, exist_ok=True)
        self._seen = self._read()

    @property
    def seen(self) -> SignedCheckpoint | None:
        """The newest checkpoint verified so far."""
        return self._seen

    def accept(
        self, note: str, proof_between: FetchProof, *, at_least: int = 0, keys: Sequence[Any] = ()
    ) -> SignedCheckpoint:
        """Verify a checkpoint against the remembered one and remember the larger.

        ``proof_between`` is called for a consistency proof if the sizes differ. ``at_least`` is the size this
        client had seen when it made the call: an honest log cannot answer with less. ``keys`` are the log's keys
        with their handovers, if there was one, as in receipts and ``/v1/status``. Raises RollbackDetected if the
        log shrank or forked, AnswerRefused if the note does not verify.
        """
        with self._lock:
            self.must_not_be_forked()
            known = self._chain()
            try:
                offered = read_checkpoint(note)
                chain = self._following(known, keys, offered)
                chain.open(note)
            except NoteInvalid as refused:
                raise AnswerRefused(f"the checkpoint does not hold: {refused.message}") from refused
            self._compare(offered, proof_between, at_least)
            if len(chain.keys) > len(known.keys):
                self._replace(self._keys_file, json.dumps(list(keys)))
            self._remember(offered)
            return offered

    def must_not_be_forked(self) -> None:
        """Raise ForkFound if two logs were seen under the one key."""
        if self._fork_file.exists():
            raise ForkFound(f"a fork of this log was found; the two heads are in {self._fork_file}")

    def heads(self) -> dict[str, Any]:
        """The newest head seen (after a fork those of both logs), and the log's keys if there are several, for
        comparison with other clients."""
        seen = self._read()
        document: dict[str, Any] = {"version": 1, "origin": self._log_key.name, "heads": []}
        if seen is not None:
            document["heads"] = [str(seen)]
        if self._fork_file.exists():
            document["heads"] += json.loads(self._fork_file.read_bytes())["heads"]
        if self._keys_file.exists():
            document["keys"] = json.loads(self._keys_file.read_bytes())
        return document

    def _chain(self) -> KeyChain:
        """The pinned key, and the keys that it is known to have handed over to."""
        return remembered_keys(self._keys_file, self._log_key)

    def _following(self, known: KeyChain, keys: Sequence[Any], offered: SignedCheckpoint) -> KeyChain:
        """The longer of the known keys and the offered ones; one must be a prefix of the other."""
        if not keys:
            return known
        chain = read_chain(keys, self._log_key.name, offered.size).since(self._log_key)
        if chain is None:
            raise NoteInvalid("the pinned key is not among the log's keys")
        longer, shorter = (chain, known) if len(chain.keys) >= len(known.keys) else (known, chain)
        if not longer.continues(shorter):
            raise RollbackDetected("a key of the log handed over to two different keys: a fork")
        return longer

    def _compare(self, offered: SignedCheckpoint, proof_between: FetchProof, at_least: int) -> None:
        if offered.size < at_least:
            raise RollbackDetected(
                f"the log has {counted(offered.size, 'entry', 'entries')} now; this client has seen {at_least} of them signed"
            )
        seen = self._read() or self._seen
        if seen is None or seen.size == 0:
            return
        old, new = sorted((seen, offered), key=lambda checkpoint: checkpoint.size)
        if old.size == new.size:
            if old.root != new.root:
                self._forked(old, new, f"two different logs of size {old.size} carry the log's signature")
            return
        self._check(old, new, proof_between)

    def _remember(self, offered: SignedCheckpoint) -> None:
        seen = self._read() or self._seen
        if seen is None or offered.size > seen.size or seen.size == 0:
            self._replace(self._file, str(offered))
            self._seen = offered

    def _check(self, old: SignedCheckpoint, new: SignedCheckpoint, proof_between: FetchProof) -> None:
        if old.size == 0:
            return
        try:
            verify_consistency(old.size, new.size, old.root, new.root, proof_between(old.size, new.size))
        except ProofError:
            why = f"the log of {counted(new.size, 'entry', 'entries')} is not an extension of the one of {counted(old.size, 'entry', 'entries')}"
            self._forked(old, new, why)
        except RollbackDetected as unproven:
            self._forked(old, new, unproven.message)

    def _forked(self, old: SignedCheckpoint, new: SignedCheckpoint, why: str) -> NoReturn:
        """Keep both heads and refuse; the first evidence is not overwritten."""
        if not self._fork_file.exists():
            document = {
                "version": 1,
                "origin": self._log_key.name,
                "found": datetime.now(UTC).isoformat(),
                "why": why,
                "heads": [str(old), str(new)],
            }
            self._replace(self._fork_file, json.dumps(document, indent=1))
        raise ForkFound(f"{why}; the two signed heads are kept in {self._fork_file}")

    def _read(self) -> SignedCheckpoint | None:
        try:
            return self._chain().open(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except NoteInvalid as damaged:
            raise AnswerRefused(
                f"the remembered checkpoint {self._file} is damaged",
                hint="restore it from a backup; deleting it gives up the proof that nothing was rolled back",
            ) from damaged

    def _replace(self, file: Path, text: str) -> None:
        temporary = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
        temporary.write_bytes(text.encode())
        temporary.replace(file)


def keys_beside(checkpoint: Path) -> Path:
    """The path of the remembered keys of the log whose checkpoint is remembered at this path."""
    return checkpoint.with_suffix(".keys.json")


def remembered_keys(file: Path, pinned: VerifierKey) -> KeyChain:
    """The remembered keys from the pinned one on; the pinned one alone if no other is known.

    Raises `AnswerRefused` for a damaged file.
    """
    try:
        items = json.loads(file.read_bytes())
        chain = read_chain(items, pinned.name, MAX_SIZE).since(pinned)
    except FileNotFoundError:
        return KeyChain.of(pinned)
    except (ValueError, TypeError, RecursionError, NoteInvalid) as damaged:
        raise AnswerRefused(
            f"the remembered keys {file} are damaged", hint="restore them from a backup of this directory"
        ) from damaged
    # A trust file that pins a key of another branch, or a later key than the remembered ones, is used alone.
    return chain or KeyChain.of(pinned)
