"""Receipts: one entry with everything needed to check it, in a file of its own (C2SP tlog-proof).

The ``extra`` line of the file holds the entry itself and, once the head is on chain, the anchor. Nothing in it
is taken on trust: the entry must hash to the proven leaf, the anchor must prove the checkpoint's size and root.
Standard library plus ``cryptography``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ledger.audit.checkpoint import SignedCheckpoint, read_checkpoint
from ledger.audit.errors import NoteInvalid
from ledger.audit.merkle import HASH_SIZE, MAX_PROOF, leaf_hash, verify_inclusion
from ledger.audit.note import b64, unb64

HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9]\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Entry ``index`` with its leaf bytes, inclusion proof and signed checkpoint; ``anchor`` as JSON values."""

    index: int
    leaf: bytes
    proof: tuple[bytes, ...]
    checkpoint: str
    anchor: dict[str, Any] | None = None

    @property
    def event(self) -> dict[str, Any]:
        """What the entry says."""
        value: dict[str, Any] = json.loads(self.leaf)
        return value

    @property
    def signed(self) -> SignedCheckpoint:
        """The checkpoint, parsed; its signatures are not checked here."""
        return read_checkpoint(self.checkpoint)

    def check_inclusion(self) -> SignedCheckpoint:
        """Check that the leaf is in the checkpoint's tree; raises `ProofError`. Signatures are not checked."""
        signed = self.signed
        verify_inclusion(signed.root, signed.size, self.index, leaf_hash(self.leaf), self.proof)
        return signed

    def __str__(self) -> str:
        extra: dict[str, Any] = {"entry": self.leaf.decode()}
        if self.anchor is not None:
            extra["anchor"] = self.anchor
        lines = [HEADER, f"extra {b64(_canonical(extra))}", f"index {self.index}", *map(b64, self.proof), ""]
        return "\n".join(lines) + "\n" + self.checkpoint

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Read a ``.tlog-proof``; raises `NoteInvalid` unless it re-encodes to exactly the same text."""
        head, separator, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if not separator or len(lines) < 3 or lines[0] != HEADER or not lines[1].startswith("extra "):
            raise NoteInvalid(f"not a receipt: it should start with {HEADER!r}, an extra and an index line")
        found = _INDEX.fullmatch(lines[2])
        if not found or len(lines) - 3 > MAX_PROOF:
            raise NoteInvalid("the receipt has no index, or too long a proof")
        proof = tuple(unb64(line, "a proof hash") for line in lines[3:])
        if any(len(value) != HASH_SIZE for value in proof):
            raise NoteInvalid("a proof hash has 32 bytes")
        try:
            extra = json.loads(unb64(lines[1].removeprefix("extra "), "the extra line"))
            leaf = extra["entry"].encode()
            anchor = extra.get("anchor")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoteInvalid("the receipt does not hold its entry") from error
        if anchor is not None and not isinstance(anchor, dict):
            raise NoteInvalid("the receipt's anchor is not an object")
        receipt = cls(int(found[1]), leaf, proof, checkpoint, anchor)
        if str(receipt) != text:
            raise NoteInvalid("the receipt is not in canonical form")
        return receipt


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
