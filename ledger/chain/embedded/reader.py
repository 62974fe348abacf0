"""Reading blocks, transactions, receipts and logs from the tries of the chain.

Logs are read from the receipts of each block in order, because EthereumTester's filters are quadratic in the number of
blocks. A transaction is found by the index that py-evm writes with its block.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import rlp
from eth.abc import BlockHeaderAPI, SignedTransactionAPI
from eth.db.chain import ChainDB
from eth.exceptions import CanonicalHeadNotFound, HeaderNotFound, TransactionNotFound
from eth_hash.auto import keccak
from eth_typing import BlockNumber
from eth_typing import Hash32 as HashBytes
from eth_utils.address import to_canonical_address, to_checksum_address
from trie.exceptions import MissingTrieNode
from trie.hexary import HexaryTrie

from ledger.chain.client import Address, BlockRef, Log, Receipt
from ledger.chain.embedded import rules, state
from ledger.chain.embedded.store import ChainStore
from ledger.chain.errors import ChainCorrupt, UnknownBlock
from ledger.chain.transactions import contract_address


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    """A receipt in the trie; ``cumulative_gas`` is counted from the start of the block."""

    kind: int
    status: int
    cumulative_gas: int
    bloom: bytes
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]


@dataclass(frozen=True, slots=True)
class Body:
    """A block's transactions (as sent) with their hashes, receipts, and the index of each one's first log."""

    transactions: tuple[bytes, ...]
    hashes: tuple[bytes, ...]
    receipts: tuple[ReceiptRecord, ...]
    first_logs: tuple[int, ...]

    def gas_used(self, index: int) -> int:
        """The gas used by one transaction."""
        before = self.receipts[index - 1].cumulative_gas if index else 0
        return self.receipts[index].cumulative_gas - before


_NO_BODY = Body((), (), (), ())

_BODIES = 16
"""The number of cached blocks: clients query all receipts of a block one after another."""


class ChainReader:
    """Reads the committed chain, whole blocks only. Thread-safe."""

    def __init__(self, store: ChainStore) -> None:
        self._store = store
        self.database = rules.database(rules.CommittedState(store))
        self.chaindb = ChainDB(self.database)
        self._bodies: OrderedDict[bytes, Body] = OrderedDict()
        self._bodies_lock = threading.Lock()

    def head(self) -> BlockHeaderAPI:
        """The newest header."""
        with self.sound():
            return self.chaindb.get_canonical_head()

    def header(self, number: int) -> BlockHeaderAPI:
        """The header of a block; ``UnknownBlock``."""
        if number < 0:
            raise UnknownBlock(f"there is no block {number}")
        try:
            with self.sound():
                return self.chaindb.get_canonical_block_header_by_number(BlockNumber(number))
        except HeaderNotFound as missing:
            if number <= self.head().block_number:
                raise self._corrupt(f"block {number} is missing") from missing
            raise UnknownBlock(f"there is no block {number} yet") from missing

    def header_by_hash(self, block_hash: bytes) -> BlockHeaderAPI:
        """The header under a hash; ``UnknownBlock``."""
        try:
            with self.sound():
                return self.chaindb.get_block_header_by_hash(HashBytes(block_hash))
        except (HeaderNotFound, rlp.DecodingError, ValueError) as missing:
            raise UnknownBlock(f"there is no block 0x{block_hash.hex()}") from missing

    def body(self, header: BlockHeaderAPI) -> Body:
        """The transactions and receipts of a block, in order."""
        if header.transaction_root == rules.EMPTY_TRIE_ROOT:
            return _NO_BODY
        key = bytes(header.transaction_root) + bytes(header.receipt_root)
        with self._bodies_lock:
            known = self._bodies.get(key)
            if known is not None:
                self._bodies.move_to_end(key)
                return known
        transactions = self._items(header.transaction_root)
        receipts = [_receipt_record(encoded) for encoded in self._items(header.receipt_root)]
        if len(receipts) != len(transactions):
            raise self._corrupt(f"block {header.block_number} has not a receipt for every transaction")
        body = Body(
            transactions=tuple(transactions),
            hashes=tuple(keccak(raw) for raw in transactions),
            receipts=tuple(receipts),
            first_logs=tuple(accumulate((len(receipt.logs) for receipt in receipts[:-1]), initial=0)),
        )
        with self._bodies_lock:
            self._bodies[key] = body
            while len(self._bodies) > _BODIES:
                self._bodies.popitem(last=False)
        return body

    def locate(self, tx_hash: bytes) -> tuple[int, int] | None:
        """Block number and index of a mined transaction; None if unknown."""
        try:
            with self.sound():
                number, index = self.chaindb.get_transaction_index(HashBytes(tx_hash))
        except TransactionNotFound:
            return None
        return number, index

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt of a mined transaction; None if unknown."""
        place = self.locate(tx_hash)
        if place is None:
            return None
        number, index = place
        header = self.header(number)
        body = self.body(header)
        record, transaction = body.receipts[index], rules.decode_transaction(body.transactions[index])
        return Receipt(
            tx_hash="0x" + tx_hash.hex(),
            status=record.status,
            block_number=number,
            block_hash="0x" + header.hash.hex(),
            gas_used=body.gas_used(index),
            logs=tuple(block_logs(header, body, index)),
            contract_address=created_contract(transaction) if record.status else None,
            revert_data=None if record.status else self._store.revert_data(tx_hash),
        )

    def logs(self, header: BlockHeaderAPI, addresses: Collection[bytes] | None = None) -> Iterator[Log]:
        """The events of a block, of these addresses or of all (None)."""
        if not header.bloom:
            return
        body = self.body(header)
        for index, record in enumerate(body.receipts):
            if record.logs and (addresses is None or any(log[0] in addresses for log in record.logs)):
                for log in block_logs(header, body, index):
                    if addresses is None or to_canonical_address(log.address) in addresses:
                        yield log

    def account(self, header: BlockHeaderAPI, address: bytes) -> state.Account:
        """An account after a block."""
        with self.sound():
            return state.account(self.database, header.state_root, address)

    def storage(self, header: BlockHeaderAPI, address: bytes, slot: int) -> bytes:
        """A storage slot after a block."""
        with self.sound():
            return state.storage(self.database, header.state_root, address, slot)

    def code(self, header: BlockHeaderAPI, address: bytes) -> bytes:
        """Bytecode after a block."""
        with self.sound():
            return state.code(self.database, header.state_root, address)

    def verify(self) -> None:
        """Check all pages, headers and their links, and the bodies of all blocks; raises ``ChainCorrupt``."""
        damage = self._store.pages_damaged()
        if damage:
            raise self._corrupt("; ".join(damage))
        previous = self.header(0)
        for number in range(1, self.head().block_number + 1):
            header = self.header(number)
            if header.block_number != number or header.parent_hash != previous.hash:
                raise self._corrupt(f"block {number} does not follow block {number - 1}")
            self.body(header)
            self.account(header, self._store.relayer)
            previous = header

    @contextmanager
    def sound(self) -> Iterator[None]:
        """A context for reads of state that must exist: a missing value raises ``ChainCorrupt``."""
        try:
            yield
        except (MissingTrieNode, CanonicalHeadNotFound) as missing:
            raise self._corrupt(str(missing)) from missing

    def _corrupt(self, what: str) -> ChainCorrupt:
        return ChainCorrupt(f"{self._store.path}: {what}", hint="restore the chain from a backup")

    def _items(self, root: bytes) -> list[bytes]:
        if root == rules.EMPTY_TRIE_ROOT:
            return []
        items: list[bytes] = []
        with self.sound():
            trie = HexaryTrie(self.database, HashBytes(root))
            while item := trie[rlp.encode(len(items))]:
                items.append(item)
        return items


def block_ref(header: BlockHeaderAPI) -> BlockRef:
    """A header in the ledger's terms."""
    return BlockRef(
        number=header.block_number,
        hash="0x" + header.hash.hex(),
        parent_hash="0x" + header.parent_hash.hex(),
        timestamp=header.timestamp,
    )


def block_logs(header: BlockHeaderAPI, body: Body, index: int) -> Iterator[Log]:
    """The events of one transaction."""
    block_hash, tx_hash = "0x" + header.hash.hex(), "0x" + body.hashes[index].hex()
    for log_index, (address, topics, data) in enumerate(body.receipts[index].logs, body.first_logs[index]):
        yield Log(
            address=_checksummed(address),
            topics=tuple("0x" + topic.hex() for topic in topics),
            data=data,
            block_number=header.block_number,
            block_hash=block_hash,
            tx_hash=tx_hash,
            log_index=log_index,
        )


def created_contract(transaction: SignedTransactionAPI) -> Address | None:
    """The address of the contract that a transaction deploys, if it does."""
    if transaction.to:
        return None
    return contract_address(_checksummed(transaction.sender), transaction.nonce)


@lru_cache(256)
def _checksummed(address: bytes) -> str:
    return str(to_checksum_address(address))


def _receipt_record(encoded: bytes) -> ReceiptRecord:
    """Decode a receipt (EIP-2718: all but legacy receipts have a type byte below 0x80 as a prefix)."""
    kind = encoded[0] if encoded[0] < 0x80 else 0
    status, gas, bloom, logs = rlp.decode(encoded[1:] if kind else encoded)
    return ReceiptRecord(
        kind=kind,
        status=int.from_bytes(status),
        cumulative_gas=int.from_bytes(gas),
        bloom=bloom,
        logs=tuple((address, tuple(topics), data) for address, topics, data in logs),
    )
