"""Checkpoints: the signed heads of the log (C2SP tlog-checkpoint), and the origin that names a log.

The origin is ``civicledger.example/log/{chain id}/{anchor contract}/{epoch}``. It binds chain and contract, so a
checkpoint of one installation is not valid in another. The name of the log's key is the origin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.merkle import HASH_SIZE
from ledger.audit.formats.note import Note, Signer, VerifierKey, b64, unb64

_ORIGIN = re.compile(r"civicledger\.example/log/(0|[1-9]\d{0,18})/(0x[0-9a-f]{40})/([1-9]\d{0,8})", re.ASCII)
MAX_SIZE = 10**19 - 1
"""The largest size that a checkpoint can state: 19 digits."""

_SIZE = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Identifies a log: chain id, AuditAnchor contract (0x and 40 lower-case hex digits), epoch (from 1).

    Raises `NoteInvalid` for values outside these forms.
    """

    chain_id: int
    contract: str
    epoch: int = 1

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(str(self)):
            raise NoteInvalid(
                f"not an origin: {self}",
                hint="the contract is 0x and 40 lower-case hex digits, the epoch counts from 1",
            )

    def __str__(self) -> str:
        return f"civicledger.example/log/{self.chain_id}/{self.contract}/{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Read the origin line of a checkpoint; raises `NoteInvalid`."""
        found = _ORIGIN.fullmatch(text)
        if not found:
            raise NoteInvalid(f"not the origin of a civic log: {text[:120]!r}")
        return cls(int(found[1]), found[2], int(found[3]))

    def next(self) -> Origin:
        """The origin after a new epoch."""
        return Origin(self.chain_id, self.contract, self.epoch + 1)


@dataclass(frozen=True, slots=True)
class Head:
    """A tree's size and root, unsigned."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a checkpoint: origin line, size (number of leaves), root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def head(self) -> Head:
        return Head(self.size, self.root)

    def __bytes__(self) -> bytes:
        return f"{self.origin}\n{self.size}\n{b64(self.root)}\n".encode()

    @classmethod
    def parse(cls, text: bytes) -> Checkpoint:
        """Read a note's text; raises `NoteInvalid`.

        Extension lines are refused: this log writes none, and no auditor checks them.
        """
        lines = text.decode().split("\n")
        if len(lines) != 4 or lines[3] or not lines[0] or not _SIZE.fullmatch(lines[1]):
            raise NoteInvalid("a checkpoint is three lines: origin, size, root")
        root = unb64(lines[2], "the root")
        if len(root) != HASH_SIZE:
            raise NoteInvalid("a root has 32 bytes")
        return cls(lines[0], int(lines[1]), root)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the note it was read from."""

    checkpoint: Checkpoint
    note: Note

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.checkpoint.root

    def __str__(self) -> str:
        return str(self.note)

    def cosigned_by(self, witnesses: list[VerifierKey]) -> dict[VerifierKey, int]:
        """Returns the witnesses that cosigned, each with the time it states (POSIX seconds).

        A cosignature with time 0 does not state that the head is the largest one its witness saw
        (tlog-cosignature). A quorum relies on that statement, so such a cosignature is not counted.
        """
        return {key: moment for key, moment in self.note.verified_by(witnesses).items() if moment}


def sign_checkpoint(signer: Signer, size: int, root: bytes) -> SignedCheckpoint:
    """Sign a head; the signer's name is the origin."""
    checkpoint = Checkpoint(signer.key.name, size, root)
    text = bytes(checkpoint)
    return SignedCheckpoint(checkpoint, Note(text, ()).with_signature(signer.sign(text)))


def read_checkpoint(data: bytes | str) -> SignedCheckpoint:
    """Parse without checking any signature."""
    note = Note.parse(data)
    return SignedCheckpoint(Checkpoint.parse(note.text), note)


def open_checkpoint(data: bytes | str, log_key: VerifierKey) -> SignedCheckpoint:
    """Parse and verify the log's own signature; raises `NoteInvalid`."""
    signed = read_checkpoint(data)
    must_be_of(signed, log_key.name)
    if log_key not in signed.note.verified_by([log_key]):
        raise NoteInvalid("the log did not sign this checkpoint")
    return signed


def opened_by(data: bytes | str, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    """Parse, and verify with the first of these keys that signed; raises `NoteInvalid` when none did."""
    for key in keys:
        with suppress(NoteInvalid):
            return open_checkpoint(data, key)
    raise NoteInvalid("no key of the log signed this checkpoint")


def must_be_of(signed: SignedCheckpoint, origin: str) -> None:
    """Raise `NoteInvalid` for a checkpoint of another log."""
    if signed.checkpoint.origin != origin:
        raise NoteInvalid(
            f"the checkpoint is of {signed.checkpoint.origin}, the key is of {origin}",
            hint="another installation, or a new epoch: ask the council for the new trust file",
        )
