"""Checks of a block by its hash: the header has this hash, the header contains the receipts root, and its Bloom filter
contains every address with an event.

Blocks and receipts are in the form of JSON-RPC: hex texts, or ints and bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import rlp
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

FIELDS = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom",
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce",
    "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip
"""The members of a header in order (Yellow Paper 4.3; EIP-1559, 4895, 4844, 4788, 7685); those after ``nonce`` may be
missing."""

NUMBERS = frozenset({
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas",
})  # fmt: skip


def encode_header(block: Mapping[str, Any]) -> bytes:
    """The RLP of the header, whose Keccak-256 is the block hash.

    The hash of a QBFT or IBFT block is computed without commit seals (which sign this hash) and with round 0. That form is
    returned when the plain form does not have the stated hash.
    """
    values = [_field(name, block[name]) for name in FIELDS if block.get(name) is not None]
    plain: bytes = rlp.encode(values)
    if keccak(plain) == _bytes(block["hash"]):
        return plain
    try:
        extra = rlp.decode(values[12])
        bare: bytes = rlp.encode([*values[:12], rlp.encode([*extra[:3], b"", []]), *values[13:]])
    except (rlp.exceptions.RLPException, IndexError, TypeError):
        return plain
    return bare if keccak(bare) == _bytes(block["hash"]) else plain


def header_fits(block: Mapping[str, Any]) -> bool:
    """Whether the hash of the header is the one that the block states."""
    return keccak(encode_header(block)) == _bytes(block["hash"])


def encode_receipt(receipt: Mapping[str, Any]) -> bytes:
    """The consensus bytes of a receipt (EIP-2718: with its type as a prefix unless it is 0)."""
    kind = _int(receipt.get("type") or 0)
    logs = [
        [_bytes(entry["address"]), [_bytes(topic) for topic in entry["topics"]], _bytes(entry["data"])]
        for entry in receipt["logs"]
    ]
    outcome: Any = (
        _minimal(_int(receipt["status"])) if receipt.get("status") is not None else _bytes(receipt["root"])
    )
    body: bytes = rlp.encode([outcome, _minimal(_int(receipt["cumulativeGasUsed"])), _bloom(logs), logs])
    return bytes([kind]) + body if kind else body


def receipts_trie(receipts: Iterable[bytes]) -> Any:
    """The trie of a block's encoded receipts, in their order; its ``root_hash`` is the header's ``receiptsRoot``."""
    trie: Any = HexaryTrie({})
    for position, receipt in enumerate(receipts):
        trie[rlp.encode(position)] = receipt
    return trie


def receipts_fit(block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these are all receipts of a block, unchanged."""
    root: bytes = receipts_trie(encode_receipt(receipt) for receipt in receipts).root_hash
    return root == _bytes(block["receiptsRoot"])


def may_have_logs(bloom: bytes, addresses: Collection[bytes] | None) -> bool:
    """Whether a block with this Bloom filter (256 bytes) may have an event of one of these addresses, or any event (None).

    False is certain; True may be wrong.
    """
    bits = int.from_bytes(bloom)
    if addresses is None:
        return bool(bits)
    return any(bits & mask == mask for mask in map(_mask, addresses))


def _bloom(logs: list[Any]) -> bytes:
    """The 2,048-bit Bloom filter over addresses and topics (Yellow Paper, 4.3.1); some nodes omit it in receipts."""
    bits = 0
    for address, topics, _ in logs:
        for item in (address, *topics):
            bits |= _mask(item)
    return bits.to_bytes(256)


def _mask(item: bytes) -> int:
    digest, bits = keccak(item), 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2]) & 2047)
    return bits


def _field(name: str, value: Any) -> bytes:
    return _minimal(_int(value)) if name in NUMBERS else _bytes(value)


def _minimal(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _int(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)
