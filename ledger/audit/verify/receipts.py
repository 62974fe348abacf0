"""Receipts: one entry with the data needed to verify it, in one file (C2SP tlog-proof).

The ``extra`` line of the file holds the entry and, once the head is on chain, the anchor. Both are verified: the entry
must have the hash of the proven leaf, and the anchor must prove the checkpoint's size and root. Standard library plus
``cryptography``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from languages.choice import Language
from languages.texts import translated
from ledger.audit.formats.checkpoint import SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.merkle import HASH_SIZE, MAX_PROOF, ProofError, leaf_hash, verify_inclusion
from ledger.audit.formats.note import b64, unb64
from ledger.audit.verify.anchors import check_anchor_list
from ledger.audit.verify.keychain import KeyChain, read_chain
from ledger.audit.verify.trust import Trust
from ledger.audit.verify.verdict import (
    AnchorWord,
    Finding,
    Tampered,
    Word,
    pinned_head,
    tampered,
    verdict_lines,
)
from ledger.counts import counted

HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9]\d{0,18})", re.ASCII)


def is_receipt(path: Path) -> bool:
    """Whether this is a regular file that begins with the header of a receipt."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER.encode()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Entry ``index`` with its leaf bytes, inclusion proof and signed checkpoint.

    ``anchor`` has the form of an item of a bundle's anchors.json, for the checkpoint's size. ``keys`` is set when the
    log's key was rotated: every key with the handover by the key before it, as in a bundle's manifest.
    """

    index: int
    leaf: bytes
    proof: tuple[bytes, ...]
    checkpoint: str
    anchor: dict[str, Any] | None = None
    keys: tuple[dict[str, Any], ...] = ()

    @property
    def event(self) -> dict[str, Any]:
        """The event in the entry; raises `NoteInvalid` unless it is a JSON object in canonical form.

        Otherwise it could have two members of one name, and readers could take different ones.
        """
        try:
            value = json.loads(self.leaf)
            canonical = _canonical(value) == self.leaf
        except (ValueError, RecursionError) as error:
            raise NoteInvalid(f"the entry is not JSON: {error}") from error
        if not isinstance(value, dict) or not canonical:
            raise NoteInvalid("the entry is not a JSON object in canonical form (RFC 8785)")
        return value

    @property
    def signed(self) -> SignedCheckpoint:
        """The parsed checkpoint; its signatures are not checked."""
        return read_checkpoint(self.checkpoint)

    def chain(self) -> KeyChain | None:
        """The keys in the receipt, each with a handover by the key before it; None when it has none. Raises `NoteInvalid`."""
        signed = self.signed
        return read_chain(self.keys, signed.checkpoint.origin, signed.size) if self.keys else None

    def check_inclusion(self) -> SignedCheckpoint:
        """Check that the leaf is in the checkpoint's tree, and return the checkpoint; raises `ProofError`.

        Signatures are not checked.
        """
        signed = self.signed
        verify_inclusion(signed.root, signed.size, self.index, leaf_hash(self.leaf), self.proof)
        return signed

    def __str__(self) -> str:
        extra: dict[str, Any] = {"entry": self.leaf.decode()}
        if self.anchor is not None:
            extra["anchor"] = self.anchor
        if self.keys:
            extra["keys"] = list(self.keys)
        lines = [HEADER, f"extra {b64(_canonical(extra))}", f"index {self.index}", *map(b64, self.proof), ""]
        return "\n".join(lines) + "\n" + self.checkpoint

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Read a ``.tlog-proof``; raises `NoteInvalid` unless ``str`` of the result is the same text."""
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
            anchor, keys = extra.get("anchor"), extra.get("keys", [])
            if not isinstance(anchor, dict | None) or not isinstance(keys, list):
                raise NoteInvalid("the receipt's anchor or keys are malformed")
            receipt = cls(int(found[1]), leaf, proof, checkpoint, anchor, tuple(keys))
            same = str(receipt) == text
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise NoteInvalid("the receipt does not hold its entry") from error
        if not same:
            raise NoteInvalid("the receipt is not in canonical form")
        return receipt


@dataclass(frozen=True, slots=True)
class ReceiptVerdict:
    """The result of checking one receipt; the words are those of `ledger.audit.verify.Verdict`."""

    word: Word
    index: int
    event: dict[str, Any]
    origin: str
    size: int
    anchor: AnchorWord
    findings: tuple[Finding, ...] = ()
    held_elsewhere: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.word != "failed"

    def lines(self, language: Language = "en") -> list[str]:
        """The verdict as text, a line each."""
        about = translated(
            "  entry {index} of {origin}, under the head of size {size}",
            language,
            index=self.index,
            origin=self.origin,
            size=self.size,
        )
        return verdict_lines([self.word, self.anchor], about, self, language)


def verify_receipt(receipt: Receipt | str, trust: Trust | None = None) -> ReceiptVerdict:
    """Check a receipt for consistency and, with a trust file, against the keys, heads and blocks that it pins.

    An invalid receipt gives a verdict with findings, not an exception.
    """
    index, event, origin, size = -1, {}, "", 0
    elsewhere: list[str] = []
    remarks: list[str] = []
    anchor: AnchorWord = "anchor not checked"
    try:
        given = Receipt.parse(receipt) if isinstance(receipt, str) else receipt
        index = given.index
        signed = given.check_inclusion()
        event, origin, size = given.event, signed.checkpoint.origin, signed.size
        _check_keys(given, signed, trust)
        if trust is not None:
            _check_trust(signed, trust, elsewhere, remarks)
        if given.anchor is not None:
            anchor = _check_anchor(given, signed, trust, elsewhere, remarks)
    except (NoteInvalid, ProofError) as error:
        finding = Finding(
            "receipt." + ("proof" if isinstance(error, ProofError) else "malformed"), error.message
        )
        return ReceiptVerdict("failed", index, event, origin, size, anchor, (finding,))
    except Tampered as stop:
        return ReceiptVerdict("failed", index, event, origin, size, anchor, (stop.finding,))
    word: Word = "verified" if trust else "self-consistent only"
    return ReceiptVerdict(word, index, event, origin, size, anchor, (), tuple(elsewhere), tuple(remarks))


def _check_keys(given: Receipt, signed: SignedCheckpoint, trust: Trust | None) -> None:
    """Check that a key in force at the head's size signed the head. With a trust file, only the pinned key and those
    after it are accepted."""
    origin = signed.checkpoint.origin
    if trust is not None and origin != trust.origin:
        raise tampered("trust.origin", f"the receipt is of {origin}, the trust file of {trust.origin}")
    try:
        chain = given.chain()
    except NoteInvalid as error:
        raise tampered("key.changed", f"the log's keys do not hold: {error}") from error
    if trust is None:
        if chain is not None and not chain.signed(signed.note, signed.size):
            raise tampered("checkpoint.signature", "the log did not sign the checkpoint")
        return
    keys = KeyChain.of(trust.log_key) if chain is None else chain.since(trust.log_key)
    if keys is None:
        raise tampered("trust.key", "the pinned key is not among the log's keys: re-forged")
    if not keys.signed(signed.note, signed.size):
        raise tampered(
            "trust.key",
            "the checkpoint is not signed with the pinned log key or one that it handed over to: re-forged, or signed"
            " before the pinned key was in force, or after it was rotated",
        )


def _check_trust(signed: SignedCheckpoint, trust: Trust, elsewhere: list[str], remarks: list[str]) -> None:
    cosigned = signed.cosigned_by(list(trust.witnesses))
    if len(cosigned) < trust.quorum:
        raise tampered(
            "trust.quorum",
            f"{len(cosigned)} of {counted(trust.quorum, 'required witness', 'required witnesses')} cosigned the checkpoint",
        )
    if cosigned:
        elsewhere.append("witnesses " + ", ".join(sorted(key.name for key in cosigned)))
    for pin in trust.pins:
        if pin.size == signed.size and pin.root != signed.root:
            raise tampered("trust.pin", f"the head of size {pin.size} is not the pinned one: a fork")
        if pin.size == signed.size:
            elsewhere.append(pinned_head(pin.size))
    if other := sum(pin.size != signed.size for pin in trust.pins):
        remarks.append(
            f"{counted(other, 'pinned head of another size was', 'pinned heads of other sizes were')} not compared: a bundle is"
        )
    if trust.timestamp_roots:
        remarks.append("no timestamp was checked: a receipt carries none, a bundle does")


def _check_anchor(
    given: Receipt, signed: SignedCheckpoint, trust: Trust | None, elsewhere: list[str], remarks: list[str]
) -> AnchorWord:
    anchor = given.anchor
    assert anchor is not None
    outcome = check_anchor_list(
        [anchor], signed.checkpoint.origin, signed.size, {signed.size: signed.root}, trust
    )
    elsewhere.extend(outcome.matched)
    remarks.extend(outcome.remarks)
    return "anchor checked" if outcome.matched else "anchor not checked"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
