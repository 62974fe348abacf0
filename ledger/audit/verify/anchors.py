"""The anchor: proving from a block's header that the AuditAnchor contract recorded a head.

A proof is the header (RLP), the receipt's position in the block, and the nodes of the receipts trie on the path to it.
The hash of the header is the block hash, so an auditor needs only the block hash, from any validator. This needs the
extra ``verify-chain`` (eth-hash, rlp); without it the verdict says *anchor not checked*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from languages.texts import in_both
from ledger.audit.formats.checkpoint import Origin
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.note import b64
from ledger.audit.verify.bundle import ANCHORS, Bundle
from ledger.audit.verify.strict import take
from ledger.audit.verify.trust import Trust
from ledger.audit.verify.verdict import Tampered, tampered
from ledger.counts import counted

EVENT = "Anchored(bytes32,uint64,bytes32,uint32,uint40,address,uint256)"
"""The event of AuditAnchor.sol. The first argument, SHA-256 of the origin line, is indexed."""

_BLOCK_HASH = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_MOST = 1 << 32
"""The upper limit of block, transaction and log numbers in a proof; they are checked against it before use."""

MOST_PROOF = 1 << 17
"""The most bytes of one proof. Decoding a megabyte of empty RLP lists takes 35 s and 600 MB."""

_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)
_ANCHOR: dict[str, type | tuple[type, ...]] = {
    "size": int, "root": str, "block_number": int, "block_hash": str,
    "proof": (dict, type(None)),
}  # fmt: skip
_PROOF: dict[str, type | tuple[type, ...]] = {"header": str, "nodes": list, "transaction": int, "log": int}


@dataclass(frozen=True, slots=True)
class AnchorOutcome:
    """The anchors that match pinned blocks, and remarks for the verdict."""

    matched: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProvenAnchor:
    """A head and the block that recorded it."""

    size: int
    root: bytes
    block_number: int
    block_hash: str


class VerifyChainMissing(Exception):
    """The extra ``verify-chain`` is not installed."""


@dataclass(slots=True)
class _Collected:
    matched: list[str] = field(default_factory=list)
    unpinned: list[ProvenAnchor] = field(default_factory=list)


def check_anchors(bundle: Bundle, roots: Mapping[int, bytes], trust: Trust | None) -> AnchorOutcome:
    """Check every anchor of a bundle against the tree, its own proof, and the blocks that the trust file pins.

    Raises `Tampered`. Without the extra a remark says that the proofs were not checked.
    """
    return check_anchor_list(bundle.anchors, bundle.origin, bundle.size, roots, trust)


def check_anchor_list(
    anchors: Sequence[dict[str, Any]],
    origin: str,
    log_size: int,
    roots: Mapping[int, bytes],
    trust: Trust | None,
) -> AnchorOutcome:
    """`check_anchors` for a list of anchors; ``roots`` maps sizes to the roots of the tree at these sizes."""
    collected = _Collected()
    missing = False
    unproven = 0
    before = -1
    for anchor in anchors:
        read_anchor(anchor)
        if anchor["size"] <= before:
            raise tampered("anchor.wrong", "the anchors are not in order, or one stands there twice", ANCHORS)
        before = anchor["size"]
        size = anchor["size"]
        if size > log_size or size not in roots or b64(roots[size]) != anchor["root"]:
            raise tampered("anchor.wrong", f"the anchored head of size {size} is not of this log", ANCHORS)
        if anchor["proof"] is None:
            unproven += 1
            continue
        try:
            proven = prove_anchor(anchor, origin)
        except VerifyChainMissing:
            missing = True
            if _pinned(anchor["block_number"], trust) not in (None, anchor["block_hash"]):
                raise _another_block(anchor["block_number"]) from None
            continue
        _match(proven, trust, collected)
    remarks: list[str] = []
    if missing:
        remarks.append(
            in_both(
                "the anchors' proofs were not checked: that needs the packages {decoding} and {hashing}",
                decoding="rlp",
                hashing="eth-hash[pycryptodome]",
            )
        )
    if unproven:
        remarks.append(f"{counted(unproven, 'anchor has', 'anchors have')} no proof yet")
    if collected.unpinned:
        last = collected.unpinned[-1]
        remarks.append(
            in_both(
                "the head of size {size} is proven by block {block} {hash}: compare this hash with a validator's",
                size=last.size,
                block=last.block_number,
                hash=last.block_hash,
            )
        )
    return AnchorOutcome(tuple(collected.matched), tuple(remarks))


def _match(proven: ProvenAnchor, trust: Trust | None, collected: _Collected) -> None:
    known = _pinned(proven.block_number, trust)
    if known is None:
        collected.unpinned.append(proven)
    elif known == proven.block_hash:
        collected.matched.append(
            f"block {proven.block_number}: the first {counted(proven.size, 'entry is', 'entries are')} on chain"
        )
    else:
        raise _another_block(proven.block_number)


def _pinned(number: int, trust: Trust | None) -> str | None:
    return trust.blocks.get(number) if trust else None


def _another_block(number: int) -> Tampered:
    return tampered("anchor.fork", f"block {number} is another than the pinned one: another chain", ANCHORS)


def read_anchor(anchor: dict[str, Any]) -> None:
    """Check the form of an anchor; raises `Tampered` when it is malformed."""
    take(anchor, _ANCHOR, ANCHORS, "an anchor")
    numbers, texts = [anchor["block_number"]], []
    if anchor["proof"] is not None:
        proof = take(anchor["proof"], _PROOF, ANCHORS, "an anchor's proof")
        texts += [proof["header"], *proof["nodes"]]
        numbers += [proof["transaction"], proof["log"]]
    if not all(0 <= number < _MOST for number in numbers) or anchor["size"] < 0:
        raise tampered("anchor.malformed", "an anchor holds a number that cannot be", ANCHORS)
    if not _BLOCK_HASH.fullmatch(anchor["block_hash"]):
        raise tampered(
            "anchor.malformed", "an anchor's block hash is not 32 bytes in lower-case hex", ANCHORS
        )
    if not all(isinstance(text, str) and _HEX.fullmatch(text) for text in texts):
        raise tampered("anchor.malformed", "an anchor holds something else than lower-case hex", ANCHORS)
    if sum(len(text) // 2 - 1 for text in texts) > MOST_PROOF:
        raise tampered("anchor.malformed", f"an anchor's proof is longer than {MOST_PROOF} bytes", ANCHORS)


def prove_anchor(anchor: dict[str, Any], origin: str) -> ProvenAnchor:
    """Verify the proof from the block hash to the event; raises `Tampered` when a step is wrong."""
    try:
        import rlp
        from eth_hash.auto import keccak
    except ImportError as error:
        raise VerifyChainMissing from error
    proof = anchor["proof"]
    header = _bytes(proof["header"])
    if "0x" + keccak(header).hex() != anchor["block_hash"]:
        raise tampered("anchor.proof", "the header is not of the named block", ANCHORS)
    try:
        fields = rlp.decode(header)
        if rlp.encode(fields) != header or int.from_bytes(fields[8], "big") != anchor["block_number"]:
            raise tampered("anchor.proof", "the header is of another block number", ANCHORS)
        key = rlp.encode(proof["transaction"])
        receipt = walk_trie(fields[5], key, [_bytes(node) for node in proof["nodes"]])
        body = rlp.decode(receipt[1:] if receipt[0] < 0x80 else receipt)
        address, topics, data = body[3][proof["log"]]
        succeeded = body[0] == b"\x01"
        if not (isinstance(address, bytes) and isinstance(topics, Sequence) and isinstance(data, bytes)):
            raise ValueError("the event is not an event")
    except (
        rlp.exceptions.RLPException,
        IndexError,
        ValueError,
        TypeError,
        RecursionError,  # nested lists: a forger can choose the depth
    ) as error:
        raise tampered("anchor.proof", f"the proof cannot be read: {error}", ANCHORS) from error
    try:
        contract = Origin.parse(origin).contract
    except NoteInvalid as error:
        raise tampered("anchor.proof", str(error), ANCHORS) from error
    as_stated = (
        succeeded
        and "0x" + address.hex() == contract
        and list(topics) == [keccak(EVENT.encode()), sha256(origin.encode()).digest()]
        and data[:32] == anchor["size"].to_bytes(32, "big")
        and b64(data[32:64]) == anchor["root"]
    )
    if not as_stated:
        raise tampered("anchor.proof", "the proven event did not record this head", ANCHORS)
    return ProvenAnchor(anchor["size"], data[32:64], anchor["block_number"], anchor["block_hash"])


def walk_trie(root: bytes, key: bytes, nodes: list[bytes]) -> bytes:
    """The value of ``key`` in the hexary trie with this root (Yellow Paper, appendix D).

    ``nodes`` are those on the path, in order. Raises `Tampered` when a node is wrong, missing or unused.
    """
    import rlp
    from eth_hash.auto import keccak

    nibbles = [nibble for byte in key for nibble in (byte >> 4, byte & 15)]
    wanted: Any = root
    remaining = list(nodes)
    while True:
        if isinstance(wanted, bytes) and len(wanted) == 32:
            if not remaining or keccak(remaining[0]) != wanted:
                raise tampered("anchor.proof", "a node of the receipts trie is wrong or missing", ANCHORS)
            raw = remaining.pop(0)
            node = rlp.decode(raw)
            if rlp.encode(node) != raw:
                raise tampered("anchor.proof", "a node of the receipts trie is not canonical", ANCHORS)
        else:
            node = wanted  # a node shorter than 32 bytes is embedded in its parent
        if len(node) == 17:
            if not nibbles:
                value = node[16]
                break
            wanted = node[nibbles.pop(0)]
            continue
        path = [nibble for byte in node[0] for nibble in (byte >> 4, byte & 15)]
        leaf, part = bool(path[0] & 2), path[1:] if path[0] & 1 else path[2:]
        if nibbles[: len(part)] != part:
            raise tampered("anchor.proof", "the receipts trie holds no such receipt", ANCHORS)
        nibbles = nibbles[len(part) :]
        wanted = node[1]
        if leaf:
            value = wanted if not nibbles else b""
            break
    if remaining or not isinstance(value, bytes) or not value:
        raise tampered("anchor.proof", "the proof does not end at one receipt", ANCHORS)
    return value


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
