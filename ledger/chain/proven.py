"""Blocks and their events from a node, checked against the blocks' hashes.

A node may be behind its own head, have an incomplete index, or lie. Therefore events are not queried with a filter, because
an empty list would prove nothing. Each header is hashed and must link to the header before it. When its Bloom filter
(``logsBloom``) does not exclude an event, the block's receipts are queried by the block's hash, and must have the header's
receipts root. The hash of a transaction is not part of that root and is not proven.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from ledger.chain import answers
from ledger.chain.answers import Header, MinedReceipt
from ledger.chain.block_hashes import header_fits, may_have_logs, receipts_fit
from ledger.chain.client import Address, BlockRef, Log, Segment
from ledger.chain.errors import ChainFault, ChainUnproven, UnknownBlock

T = TypeVar("T")

AT_ONCE = 50
"""The number of headers in one request."""

NO_METHOD = -32601


class Node(Protocol):
    """Sends JSON-RPC requests to a node; ``read`` parses the result."""

    def ask(self, method: str, params: Sequence[Any], read: Callable[[Any], T]) -> T: ...

    def ask_each(self, method: str, params: Sequence[Sequence[Any]], read: Callable[[Any], T]) -> list[T]:
        """The same method with several parameter lists; the results are in their order."""


def segment(node: Node, first: int, last: int, addresses: Collection[Address] | None) -> Segment:
    """`ChainClient.segment` over JSON-RPC."""
    wanted = None if addresses is None else frozenset(addresses)
    raw = None if wanted is None else [bytes.fromhex(address[2:]) for address in wanted]
    blocks: list[BlockRef] = []
    logs: list[Log] = []
    for header in _headers(node, first, last):
        if blocks and header.parent_hash != blocks[-1].hash:
            raise ChainUnproven(f"block {header.number} does not follow the one before", hint="ask again")
        blocks.append(header.ref)
        if may_have_logs(header.logs_bloom, raw):
            logs += (log for log in block_logs(node, header) if wanted is None or log.address in wanted)
    return Segment(tuple(blocks), tuple(logs))


def block_logs(node: Node, header: Header) -> Iterator[Log]:
    """All events of a block, from its receipts. Raises `ChainUnproven` when these do not have the receipts root."""
    found = _receipts(node, header)
    if not receipts_fit(header.fields(), [receipt.fields() for receipt in found]):
        raise ChainUnproven(
            f"the receipts of block {header.number} are not those of its header",
            hint="the node has not all of the block yet, or not the block; it is asked again",
        )
    if tuple(receipt.transaction_hash for receipt in found) != header.transactions:
        raise ChainUnproven(f"the receipts of block {header.number} are of other transactions")
    position = 0
    for receipt in found:
        for entry in receipt.logs:
            yield Log(
                address=entry.address,
                topics=entry.topics,
                data=entry.data,
                block_number=header.number,
                block_hash=header.hash,
                tx_hash=receipt.transaction_hash,
                log_index=position,
            )
            position += 1


def _headers(node: Node, first: int, last: int) -> Iterator[Header]:
    for start in range(first, last + 1, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, last + 1))
        asked = [(hex(number), False) for number in numbers]
        found = node.ask_each("eth_getBlockByNumber", asked, answers.header)
        for number, header in zip(numbers, found, strict=True):
            if header is None:
                raise UnknownBlock(f"there is no block {number}")
            if header.number != number or not header_fits(header.fields()):
                raise ChainUnproven(
                    f"what the node says of block {number} does not hash to the block's hash",
                    hint="is it a chain whose blocks are hashed in another way?",
                )
            yield header


def _receipts(node: Node, header: Header) -> tuple[MinedReceipt, ...]:
    try:
        return node.ask("eth_getBlockReceipts", [{"blockHash": header.hash}], answers.receipts)
    except ChainFault as fault:
        if fault.rpc_code != NO_METHOD:
            raise
    asked = [(done,) for done in header.transactions]
    return tuple(node.ask_each("eth_getTransactionReceipt", asked, answers.a_receipt))
