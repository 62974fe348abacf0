"""Signed notes and their keys (C2SP signed-note, tlog-cosignature), parsed strictly.

Strict means that a parsed text encodes to the same bytes again: base64 with stray bits or a trailing byte is refused.
Keys and signatures of unknown types are parsed and ignored, as signed-note requires; they are never counted as
signatures. Standard library plus ``cryptography``.
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

from ledger.audit.formats.errors import NoteInvalid

ED25519 = 0x01
"""Signature type of a log's own key (signed-note)."""

COSIGNATURE = 0x04
"""Signature type of a witness: Ed25519 over time and note (tlog-cosignature)."""

ML_DSA_44 = 0x06
"""Signature type of a witness: ML-DSA-44 over time and head (tlog-cosignature). It is parsed, not verified."""

_LENGTHS = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}

MAX_SIGNATURES = 64
MAX_NOTE_BYTES = 256 * 1024
"""The most bytes of a note. signed-note requires at least sixteen post-quantum signatures of 5 kB."""

MAX_TIME = (1 << 63) - 1

_KEY_NAME = re.compile(r"[^\s+\ud800-\udfff]{1,255}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")


def b64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str, what: str = "base64") -> bytes:
    """Decode standard base64; raises `NoteInvalid` unless ``b64`` of the result is the same text.

    ``what`` names the value in the message.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NoteInvalid(f"{what} is not base64") from error
    if b64(data) != text:
        raise NoteInvalid(f"{what} is not canonical base64")
    return data


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and signature type; its text form is the ``vkey`` of signed-note.

    ``stated_id`` is the key id in a vkey of an unknown type: each type may define its own computation of the key id.
    """

    name: str
    kind: int
    public: bytes
    stated_id: bytes = b""

    def __post_init__(self) -> None:
        if not _KEY_NAME.fullmatch(self.name):
            raise NoteInvalid("a key name has no spaces and no plus sign", hint=repr(self.name[:60]))
        if len(self.public) != _LENGTHS.get(self.kind, len(self.public)):
            raise NoteInvalid(f"a key of type {self.kind} has {_LENGTHS[self.kind]} bytes")

    @property
    def checkable(self) -> bool:
        """Whether `verify` can check signatures of this key; signatures of other keys are ignored."""
        return self.kind in (ED25519, COSIGNATURE)

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || LF || type || key); ``stated_id`` for a key of an unknown type."""
        if self.stated_id:
            return self.stated_id
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+key id+base64``; raises `NoteInvalid`. For a known type the key id must be the computed one."""
        name, _, rest = text.partition("+")
        key_id, _, material = rest.partition("+")
        data = unb64(material, "the key")
        if not data or not _KEY_ID.fullmatch(key_id):
            raise NoteInvalid("a verifier key is a name, a key id of 8 hex digits, a type byte and a key")
        stated = b"" if data[0] in _LENGTHS else bytes.fromhex(key_id)
        key = cls(name, data[0], data[1:], stated)
        if str(key) != text:
            raise NoteInvalid("the verifier key does not match its own hash")
        return key

    def verify(self, text: bytes, signature: bytes) -> int:
        """Check a signature over a note's text; raises `NoteInvalid`.

        Returns the time of a cosignature in POSIX seconds, and 0 for a signature of the log's own key.
        """
        if not self.checkable:
            raise NoteInvalid(f"signatures of type {self.kind} cannot be checked here")
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
        if moment > MAX_TIME:
            raise NoteInvalid(f"the cosignature of {self.name} states no time")
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
        """The same private key under another name (the name of a log's key is its origin)."""
        return Signer(name, self._private, self.key.kind)

    def sign(self, text: bytes, at: int | None = None) -> str:
        """The signature line for a note's text, with its line end.

        ``at`` is the time that a cosignature states, in POSIX seconds (default: now).
        """
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
        try:
            raw = data.encode() if isinstance(data, str) else data
            if len(raw) > MAX_NOTE_BYTES:
                raise NoteInvalid("the note is too large")
            raw.decode("utf-8")
        except UnicodeError as error:
            raise NoteInvalid("the note is not UTF-8") from error
        if any(byte < 0x20 and byte != 0x0A for byte in raw):
            raise NoteInvalid("the note contains control characters")
        head, separator, tail = raw.rpartition(b"\n\n")
        if not separator or not tail.endswith(b"\n"):
            raise NoteInvalid("the note has no signatures")
        note = cls(head + b"\n", signature_lines(tail.decode()))
        if bytes(note) != raw:
            raise NoteInvalid("the note is not in canonical form")
        return note

    def verified_by(self, keys: Iterable[VerifierKey]) -> dict[VerifierKey, int]:
        """Returns those of ``keys`` that signed, each with the time of its cosignature (0 for a log's own key).

        Signatures of other keys and keys that are not `checkable` are ignored. An invalid signature of one of ``keys``
        raises `NoteInvalid`. For a key that signed twice the later time is returned.
        """
        wanted = {(key.name, key.key_id): key for key in keys if key.checkable}
        found: dict[VerifierKey, int] = {}
        for signature in self.signatures:
            key = wanted.get((signature.name, signature.key_id))
            if key is not None:
                found[key] = max(found.get(key, 0), key.verify(self.text, signature.raw))
        return found

    def only(self, keys: Iterable[VerifierKey]) -> Note:
        """The note with the signature lines of these keys only, the first line of each key."""
        wanted = {(key.name, key.key_id) for key in keys if key.checkable}
        found: dict[tuple[str, bytes], Signature] = {}
        for signature in self.signatures:
            if (place := (signature.name, signature.key_id)) in wanted:
                found.setdefault(place, signature)
        return Note(self.text, tuple(found.values()))

    def with_signature(self, line: str) -> Note:
        """The note with one more signature line; a second line of the same key replaces the first."""
        (added,) = signature_lines(line)
        kept = [s for s in self.signatures if (s.name, s.key_id) != (added.name, added.key_id)]
        return Note(self.text, (*kept, added))


def signature_lines(text: str) -> tuple[Signature, ...]:
    """One or more signature lines, each with its line end; raises `NoteInvalid`."""
    *lines, rest = text.split("\n")
    if rest or not lines or len(lines) > MAX_SIGNATURES:
        raise NoteInvalid(f"not between one and {MAX_SIGNATURES} signature lines")
    return tuple(_signature(line) for line in lines)


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not _KEY_NAME.fullmatch(parts[1]):
        raise NoteInvalid("a line under the note is not a signature")
    data = unb64(parts[2], "the signature")
    if len(data) < 5:
        raise NoteInvalid("a signature is too short")
    return Signature(parts[1], data[:4], data[4:])
