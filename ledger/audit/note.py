"""Signed notes and their keys (C2SP signed-note, tlog-cosignature), parsed strictly.

Strictly means: what parses re-encodes to the same bytes. A base64 text with stray bits, a doubled signature or a
trailing byte is refused, so no byte of a note is without meaning. Standard library plus ``cryptography``.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.audit.errors import NoteInvalid

ED25519 = 0x01
"""Signature type of a log's own key (signed-note)."""

COSIGNATURE = 0x04
"""Signature type of a witness: Ed25519 over time and note (tlog-cosignature)."""

MAX_SIGNATURES = 64
MAX_NOTE_BYTES = 64 * 1024

_KEY_NAME = re.compile(r"[^\s+]{1,255}")


def b64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str, what: str = "base64") -> bytes:
    """Decode standard base64; refuses every text that ``b64`` would not have written."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NoteInvalid(f"{what} is not base64") from error
    if b64(data) != text:
        raise NoteInvalid(f"{what} is not canonical base64")
    return data


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and signature type; its text form is the ``vkey`` of signed-note."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not _KEY_NAME.fullmatch(self.name):
            raise NoteInvalid("a key name has no spaces and no plus sign", hint=repr(self.name[:60]))
        if self.kind not in (ED25519, COSIGNATURE) or len(self.public) != 32:
            raise NoteInvalid("only Ed25519 keys (types 1 and 4) are supported")

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || LF || type || key)."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """From ``name+hash+base64``; the hash must be the key's own."""
        name, _, rest = text.partition("+")
        key_id, _, material = rest.partition("+")
        data = unb64(material, "the key")
        if len(data) != 33:
            raise NoteInvalid("a verifier key is one type byte and 32 bytes")
        key = cls(name, data[0], data[1:])
        if str(key) != text or key_id != key.key_id.hex():
            raise NoteInvalid("the verifier key does not match its own hash")
        return key

    def verify(self, text: bytes, signature: bytes) -> int:
        """Check a signature over a note's text; the time of a cosignature (0 for the log's own)."""
        if self.kind == ED25519:
            moment, raw, message = 0, signature, text
        else:
            if len(signature) != 72:
                raise NoteInvalid(f"the cosignature of {self.name} has the wrong length")
            (moment,), raw = struct.unpack(">Q", signature[:8]), signature[8:]
            message = b"cosignature/v1\ntime %d\n" % moment + text
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(raw, message)
        except (InvalidSignature, ValueError) as error:
            raise NoteInvalid(f"the signature of {self.name} does not hold") from error
        return moment


class Signer:
    """An Ed25519 private key that signs notes under a name, as a log (type 1) or as a witness (type 4)."""

    def __init__(self, name: str, private: Ed25519PrivateKey, kind: int = ED25519) -> None:
        self._private = private
        self.key = VerifierKey(name, kind, private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str, kind: int = ED25519) -> Signer:
        """A new random key."""
        return cls(name, Ed25519PrivateKey.generate(), kind)

    def renamed(self, name: str) -> Signer:
        """The same private key under another name (a log's key carries its origin)."""
        return Signer(name, self._private, self.key.kind)

    def sign(self, text: bytes, at: int | None = None) -> str:
        """The signature line for a note's text, with its line end. ``at`` is a witness's POSIX time."""
        if self.key.kind == ED25519:
            payload = self._private.sign(text)
        else:
            moment = int(time.time()) if at is None else at
            payload = struct.pack(">Q", moment) + self._private.sign(
                b"cosignature/v1\ntime %d\n" % moment + text
            )
        return f"— {self.key.name} {b64(self.key.key_id + payload)}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: key name, four-byte key id, raw signature."""

    name: str
    key_id: bytes
    raw: bytes

    @property
    def line(self) -> str:
        return f"— {self.name} {b64(self.key_id + self.raw)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the signatures under it."""

    text: bytes
    signatures: tuple[Signature, ...]

    def __bytes__(self) -> bytes:
        return self.text + b"\n" + "".join(s.line for s in self.signatures).encode()

    def __str__(self) -> str:
        return bytes(self).decode()

    @classmethod
    def parse(cls, data: bytes | str) -> Note:
        """Read a note; raises `NoteInvalid` unless it re-encodes to exactly the same bytes."""
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > MAX_NOTE_BYTES:
            raise NoteInvalid("the note is larger than 64 KiB")
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NoteInvalid("the note is not UTF-8") from error
        if any(byte < 0x20 and byte != 0x0A for byte in raw):
            raise NoteInvalid("the note contains control characters")
        head, separator, tail = raw.rpartition(b"\n\n")
        if not separator or not tail.endswith(b"\n"):
            raise NoteInvalid("the note has no signatures")
        lines = tail.decode().split("\n")[:-1]
        if len(lines) > MAX_SIGNATURES:
            raise NoteInvalid("the note has too many signatures")
        note = cls(head + b"\n", tuple(_signature(line) for line in lines))
        if len({(s.name, s.key_id) for s in note.signatures}) != len(note.signatures):
            raise NoteInvalid("one key signed the note twice")
        if bytes(note) != raw:
            raise NoteInvalid("the note is not in canonical form")
        return note

    def verified_by(self, keys: Iterable[VerifierKey]) -> dict[VerifierKey, int]:
        """Which of ``keys`` signed, with the time each cosignature states.

        Signatures of keys not asked for are ignored, a failing signature of one asked for raises.
        """
        wanted = {(key.name, key.key_id): key for key in keys}
        found = {}
        for signature in self.signatures:
            key = wanted.get((signature.name, signature.key_id))
            if key is not None:
                found[key] = key.verify(self.text, signature.raw)
        return found

    def with_signature(self, line: str) -> Note:
        """The note with one more signature line; a second line of the same key replaces the first."""
        added = _signature(line.rstrip("\n"))
        kept = [s for s in self.signatures if (s.name, s.key_id) != (added.name, added.key_id)]
        return Note(self.text, (*kept, added))


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not _KEY_NAME.fullmatch(parts[1]):
        raise NoteInvalid("a line under the note is not a signature")
    data = unb64(parts[2], "the signature")
    if len(data) < 5:
        raise NoteInvalid("a signature is too short")
    return Signature(parts[1], data[:4], data[4:])
