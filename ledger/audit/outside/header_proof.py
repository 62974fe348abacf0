"""The proof that a block recorded an anchor, made from a node's answers for an auditor to check.

The input is a block and its receipts as JSON-RPC returns them (hex texts, or ints and bytes). The proof is the path from
the block hash to the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import rlp

from ledger.audit.formats.errors import AuditError
from ledger.audit.verify.anchors import MOST_PROOF
from ledger.chain.block_hashes import encode_header, encode_receipt, header_fits, receipts_trie


class HeaderProofUnavailable(AuditError):
    """The node's header or receipts do not have the hashes that the block states, so no proof can be made."""

    code = "audit.header_proof"


def header_proof(
    block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]], transaction: int, log: int
) -> dict[str, Any]:
    """The proof ``{header, nodes, transaction, log}`` for the ``log``-th log of the ``transaction``-th receipt.

    ``receipts`` are all receipts of the block, in order. Raises `HeaderProofUnavailable` when header or receipts do not
    have the hashes that the block states, or when the proof is longer than a verifier reads (`MOST_PROOF` bytes).
    """
    header = encode_header(block)
    nodes, root = prove_receipt([encode_receipt(receipt) for receipt in receipts], transaction)
    if "0x" + root.hex() != _hex(block["receiptsRoot"]):
        raise HeaderProofUnavailable("the receipts do not add up to the header's receipts root")
    if not header_fits(block):
        raise HeaderProofUnavailable("the header does not hash to the block hash")
    if len(header) + sum(map(len, nodes)) > MOST_PROOF:
        raise HeaderProofUnavailable(f"the proof is longer than {MOST_PROOF} bytes")
    return {
        "header": "0x" + header.hex(),
        "nodes": ["0x" + node.hex() for node in nodes],
        "transaction": transaction,
        "log": log,
    }


def prove_receipt(receipts: Iterable[bytes], transaction: int) -> tuple[list[bytes], bytes]:
    """Returns the nodes of the receipts trie from the root to one receipt (RLP), and the root (32 bytes)."""
    trie: Any = receipts_trie(receipts)
    key = rlp.encode(transaction)
    if key not in trie:
        raise HeaderProofUnavailable(f"the block has no transaction {transaction}")
    nodes = [rlp.encode(node) for node in trie.get_proof(key)]
    kept = [node for at, node in enumerate(nodes) if at == 0 or len(node) >= 32]
    return kept, trie.root_hash


def _hex(value: Any) -> str:
    return value.lower() if isinstance(value, str) else "0x" + bytes(value).hex()
