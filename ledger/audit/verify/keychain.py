"""The chain of a log's keys: which key may sign which head. All checks of heads use this module.

A log begins with one key. At a rotation the key in force signs a note that names the next key and the size from which
the next key signs. A key is valid for heads from its own size to the size of its handover, both included, so at that
size two keys are valid. A larger head signed by the old key is not valid.

An auditor who pins a key trusts it and the keys that follow it, and no other: anyone can generate a key and sign a
handover from it to the pinned key. The chain is therefore followed **forward from the pinned key only**
(`KeyChain.since`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledger.audit.formats.checkpoint import SignedCheckpoint, must_be_of, read_checkpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.note import ED25519, Note, VerifierKey

HANDOVER = "civic-key-handover/1"
MAX_KEYS = 1024
_FIELDS = {"vkey": str, "from_size": int, "handover": str}


def handover_text(origin: str, from_size: int, new_key: VerifierKey) -> bytes:
    """The text of a handover, which the old key signs: the new key, and the size from which it signs."""
    return f"{HANDOVER}\n{origin}\n{from_size}\n{new_key}\n".encode()


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key of the log and the size from which it signs."""

    key: VerifierKey
    from_size: int


@dataclass(frozen=True, slots=True)
class KeyChain:
    """The keys of a log in order, each with a handover by the key before it; never empty."""

    keys: tuple[LogKey, ...]

    @classmethod
    def of(cls, key: VerifierKey) -> KeyChain:
        """The chain of one pinned key, without any known handover."""
        return cls((LogKey(key, 0),))

    @property
    def last(self) -> VerifierKey:
        return self.keys[-1].key

    def since(self, pinned: VerifierKey) -> KeyChain | None:
        """The pinned key and the keys after it; None when the pinned key is not in this chain."""
        for place, item in enumerate(self.keys):
            if item.key == pinned:
                return KeyChain(self.keys[place:])
        return None

    def in_force(self, size: int) -> list[VerifierKey]:
        """The keys that may sign a head of this size: one, or two at the size of a handover."""
        ends = [item.from_size for item in self.keys[1:]]
        return [
            item.key
            for item, end in zip(self.keys, [*ends, None], strict=True)
            if item.from_size <= size and (end is None or size <= end)
        ]

    def signed(self, note: Note, size: int) -> bool:
        """Whether a key in force at this size signed the note. Raises `NoteInvalid` for an invalid signature of it."""
        return bool(note.verified_by(self.in_force(size)))

    def open(self, data: bytes | str) -> SignedCheckpoint:
        """Parse a checkpoint and check that a key in force signed it; raises `NoteInvalid`."""
        signed = read_checkpoint(data)
        must_be_of(signed, self.last.name)
        if not self.signed(signed.note, signed.size):
            raise NoteInvalid(
                "no key that was in force at its size signed this checkpoint",
                hint="after a rotation the log's keys come with every receipt and with /v1/status",
            )
        return signed

    def continues(self, earlier: KeyChain) -> bool:
        """Whether this chain begins with all keys of the earlier chain, with handovers at the same sizes.

        The size of the first key is not compared: it is unknown for a pinned key.
        """
        mine = self.keys[: len(earlier.keys)]
        first = replace(earlier.keys[0], from_size=self.keys[0].from_size)
        return mine == (first, *earlier.keys[1:])


def read_chain(items: Sequence[Any], origin: str, size: int) -> KeyChain:
    """Read the keys of a log up to ``size`` in the form of bundles and receipts: ``vkey``, ``from_size``, ``handover``.

    Raises `NoteInvalid` unless each key after the first has a handover signed by the key before it, at a larger size,
    under this origin, and no key appears twice. This does not authenticate the first key: see `KeyChain.since`.
    """
    if not isinstance(items, list | tuple) or not 0 < len(items) <= MAX_KEYS:
        raise NoteInvalid(f"a log has between 1 and {MAX_KEYS} keys")
    found: list[LogKey] = []
    for item in items:
        if not isinstance(item, dict) or {name: type(value) for name, value in item.items()} != _FIELDS:
            raise NoteInvalid("a log key has vkey, from_size and handover, and nothing else")
        key, from_size = VerifierKey.parse(item["vkey"]), item["from_size"]
        if key.kind != ED25519 or key.name != origin:
            raise NoteInvalid("a log key is not an Ed25519 key named after the origin")
        if not found:
            if from_size or item["handover"]:
                raise NoteInvalid("the first key signs from size 0 and has no handover")
        else:
            _check_order(found, from_size, size)
            _check_handover(item["handover"], found[-1].key, origin, from_size, key)
        found.append(LogKey(key, from_size))
    if len({item.key.key_id for item in found}) != len(found):
        raise NoteInvalid("a log key stands there twice: a key that handed over does not come back")
    return KeyChain(tuple(found))


def _check_order(found: Sequence[LogKey], from_size: int, size: int) -> None:
    # An empty log may change its key, so the first handover may be at size 0. Every rotation appends an entry, so later
    # sizes increase.
    least = 0 if len(found) == 1 else found[-1].from_size + 1
    if not least <= from_size <= size:
        raise NoteInvalid("the keys are not in the order in which they signed")


def _check_handover(text: str, old: VerifierKey, origin: str, from_size: int, new: VerifierKey) -> None:
    note = Note.parse(text)
    right_text = note.text == handover_text(origin, from_size, new) and len(note.signatures) == 1
    if not right_text or not note.verified_by([old]):
        raise NoteInvalid("a key was not handed over by the one before it")
