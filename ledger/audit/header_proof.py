"""Making the proof that a block recorded an anchor: from what a node answers to what an auditor checks.

Takes a block and its receipts as JSON-RPC gives them (hex texts, or web3's ints and bytes), rebuilds header and
receipts trie, and cuts out the way from the block hash to the event. Needs the extra ``verify-chain``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger.audit.errors import AuditError

_FIELDS = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom",
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce",
    "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip
_NUMBERS = {
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas",
}  # fmt: skip


class HeaderProofUnavailable(AuditError):
    """The node's answers do not add up to the block hash it names, so no proof can be made of them."""

    code = "audit.header_proof"


def header_proof(
    block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]], transaction: int, log: int
) -> dict[str, Any]:
    """The proof ``{header, nodes, transaction, log}`` for the ``log``-th log of the ``transaction``-th receipt.

    ``receipts`` are all of the block's, in order. Raises `HeaderProofUnavailable` unless header and receipts
    hash to what the block says.
    """
    from eth_hash.auto import keccak

    header = encode_header(block)
    nodes, root = prove_receipt([encode_receipt(receipt) for receipt in receipts], transaction)
    if root != _bytes(block["receiptsRoot"]):
        raise HeaderProofUnavailable("the receipts do not add up to the header's receipts root")
    if keccak(header) != _bytes(block["hash"]):
        raise HeaderProofUnavailable("the header does not hash to the block hash")
    return {
        "header": "0x" + header.hex(),
        "nodes": ["0x" + node.hex() for node in nodes],
        "transaction": transaction,
        "log": log,
    }


def encode_header(block: Mapping[str, Any]) -> bytes:
    """The RLP that hashes to the block hash.

    A QBFT or IBFT block hashes without its commit seals (they sign that very hash) and with round 0; that
    spelling is chosen when the plain one does not fit.
    """
    import rlp
    from eth_hash.auto import keccak

    values = [_field(name, block[name]) for name in _FIELDS if block.get(name) is not None]
    plain: bytes = rlp.encode(values)
    if keccak(plain) == _bytes(block["hash"]):
        return plain
    try:
        extra = rlp.decode(values[12])
        bare: bytes = rlp.encode([*values[:12], rlp.encode([*extra[:3], b"", []]), *values[13:]])
    except (rlp.exceptions.RLPException, IndexError, TypeError):
        return plain
    return bare if keccak(bare) == _bytes(block["hash"]) else plain


def encode_receipt(receipt: Mapping[str, Any]) -> bytes:
    """The consensus bytes of a receipt (EIP-2718: its type in front unless it is 0)."""
    import rlp

    kind = _int(receipt.get("type", 0))
    logs = [
        [_bytes(entry["address"]), [_bytes(topic) for topic in entry["topics"]], _bytes(entry["data"])]
        for entry in receipt["logs"]
    ]
    outcome: Any = (
        _minimal(_int(receipt["status"])) if receipt.get("status") is not None else _bytes(receipt["root"])
    )
    body: bytes = rlp.encode([outcome, _minimal(_int(receipt["cumulativeGasUsed"])), _bloom(logs), logs])
    return bytes([kind]) + body if kind else body


def prove_receipt(receipts: Iterable[bytes], transaction: int) -> tuple[list[bytes], bytes]:
    """(the nodes of the receipts trie from its root down to one receipt, the root)."""
    import rlp
    from trie.hexary import HexaryTrie

    trie: Any = HexaryTrie({})
    for position, receipt in enumerate(receipts):
        trie[rlp.encode(position)] = receipt
    key = rlp.encode(transaction)
    if key not in trie:
        raise HeaderProofUnavailable(f"the block has no transaction {transaction}")
    nodes = [rlp.encode(node) for node in trie.get_proof(key)]
    kept = [node for at, node in enumerate(nodes) if at == 0 or len(node) >= 32]
    return kept, trie.root_hash


def _bloom(logs: list[Any]) -> bytes:
    """The 2,048-bit filter over addresses and topics (Yellow Paper, 4.3.1); some nodes leave it out."""
    from eth_hash.auto import keccak

    bits = 0
    for address, topics, _ in logs:
        for item in (address, *topics):
            digest = keccak(item)
            for at in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits.to_bytes(256, "big")


def _field(name: str, value: Any) -> bytes:
    return _minimal(_int(value)) if name in _NUMBERS else _bytes(value)


def _minimal(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _int(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)
