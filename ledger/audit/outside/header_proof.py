"""Making the proof that a block recorded an anchor: from what a node answers to what an auditor checks.

Takes a block and its receipts as JSON-RPC gives them (hex texts, or ints and bytes), and cuts out the way from the block
hash to the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import rlp

from ledger.audit.formats.errors import AuditError
from ledger.audit.verify.anchors import MOST_PROOF
from ledger.chain.block_hashes import encode_header, encode_receipt, header_fits, receipts_trie


class HeaderProofUnavailable(AuditError):
    """The node's answers do not add up to the block hash it names, so no proof can be made of them."""

    code = "audit.header_proof"


def header_proof(
    block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]], transaction: int, log: int
) -> dict[str, Any]:
    """The proof ``{header, nodes, transaction, log}`` for the ``log``-th log of the ``transaction``-th receipt.

    ``receipts`` are all of the block's, in order. Raises `HeaderProofUnavailable` unless header and receipts
    hash to what the block says, or where the proof is longer than a verifier reads (`MOST_PROOF`).
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
    """(the nodes of the receipts trie from its root down to one receipt, the root)."""
    trie: Any = receipts_trie(receipts)
    key = rlp.encode(transaction)
    if key not in trie:
        raise HeaderProofUnavailable(f"the block has no transaction {transaction}")
    nodes = [rlp.encode(node) for node in trie.get_proof(key)]
    kept = [node for at, node in enumerate(nodes) if at == 0 or len(node) >= 32]
    return kept, trie.root_hash


def _hex(value: Any) -> str:
    return value.lower() if isinstance(value, str) else "0x" + bytes(value).hex()
