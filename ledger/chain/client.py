"""The interface of a chain for the ledger.

``EmbeddedChain`` (``ledger.chain.embedded``) and ``RpcChain`` (``ledger.chain.rpc``) implement it. Hashes are
0x-hex text in lower case, addresses 0x-hex text with the EIP-55 checksum, call data and log data are bytes,
times are whole seconds since 1970 UTC, amounts are wei.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Address: TypeAlias = str
"""20 bytes, 0x-hex with the EIP-55 checksum."""

Hash32: TypeAlias = str
"""32 bytes, 0x-hex in lower case."""

TxHash: TypeAlias = Hash32

NOBODY: Address = "0x" + "00" * 20
"""The zero address, used as the sender of unsigned calls."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Fees in wei per gas: the maximum, and the part of it for the block's producer (EIP-1559).

    With ``legacy``, the chain has no base fee and the whole ``max_fee`` is paid.
    """

    max_fee: int
    max_priority: int = 0
    legacy: bool = False

    def raised(self, now: Fees) -> Fees:
        """Fees for a replacement transaction, at least ``now``, the present fees of the chain. Both parts are increased by
        an eighth: nodes require a tenth (geth, txpool.pricebump)."""
        priority = max(self.max_priority + self.max_priority // 8 + 1, now.max_priority)
        most = max(self.max_fee + self.max_fee // 8 + 1, now.max_fee, priority)
        return Fees(most, 0 if self.legacy else priority, self.legacy)

    def at_most(self, ceiling: int) -> Fees:
        """These fees, with both parts limited to ``ceiling`` (wei per gas)."""
        return Fees(min(self.max_fee, ceiling), min(self.max_priority, ceiling), self.legacy)


@dataclass(frozen=True, slots=True)
class BlockRef:
    """Number, hashes and time (unix seconds) of a block."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int


@dataclass(frozen=True, slots=True)
class Log:
    """One event on chain, not decoded. ``log_index`` is its index in the block."""

    address: Address
    topics: tuple[Hash32, ...]
    data: bytes
    block_number: int
    block_hash: Hash32
    tx_hash: TxHash
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of a mined transaction.

    ``revert_data`` is the contract's error if it is available: always from the embedded chain. For a node, the transaction
    is run again on the parent block, which may differ when transactions of one block interact.
    """

    tx_hash: TxHash
    status: int
    block_number: int
    block_hash: Hash32
    gas_used: int
    logs: tuple[Log, ...]
    contract_address: Address | None
    revert_data: bytes | None

    @property
    def succeeded(self) -> bool:
        return self.status == 1

    @property
    def reverted(self) -> bool:
        return self.status != 1


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive blocks and all events in them, in chain order."""

    blocks: tuple[BlockRef, ...]
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class BlockEvidence:
    """A block's header and all its receipts in the form of JSON-RPC (0x-hex texts). With them an event can be proven from
    the block's hash (``ledger.audit.outside.header_proof``)."""

    block: Mapping[str, Any]
    receipts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many of the ``configured`` nodes have the head. Below ``needed``, the chain is not usable."""

    configured: int
    needed: int
    agree: int

    def to_json(self) -> dict[str, int]:
        """For the service's status."""
        return {"configured": self.configured, "needed": self.needed, "agree": self.agree}


class ChainClient(Protocol):
    """A chain. Every method may raise ``ChainUnreachable``, and no method returns data of another chain."""

    @property
    def chain_id(self) -> int: ...

    @property
    def never_behind(self) -> bool:
        """Whether `head` is always the newest block of the chain. Then a block that was read before and is missing now was
        removed. A node may be late, so a missing block proves nothing."""

    @property
    def agreement(self) -> Agreement | None:
        """How many of several nodes agree; None for a single node and for the embedded chain."""

    def head(self) -> BlockRef:
        """The newest mined block; with several nodes, the newest block that more than half of them have."""

    def block(self, number: int) -> BlockRef:
        """The block with this number; raises ``UnknownBlock``."""

    def evidence(self, number: int) -> BlockEvidence:
        """The data that proves a block's events, given its hash; raises ``UnknownBlock``."""

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address = NOBODY) -> bytes:
        """Run a view on the state after ``block`` (default: the newest); raises ``ContractReverted``."""

    def send(self, raw_signed_tx: bytes) -> TxHash:
        """Send a signed transaction.

        When this returns, the transaction is acknowledged: the embedded chain has stored it durably and mines it within
        about a second. The same bytes can be sent again and are mined once. Raises ``InvalidTransaction`` or
        ``TransactionRefused`` when it can never be mined, and ``ClockDrift``.
        """

    def receipt(self, tx_hash: TxHash) -> Receipt | None:
        """The receipt; None while the transaction is not mined or not known."""

    def wait(self, tx_hash: TxHash, timeout: float = 30.0) -> Receipt:
        """Wait for the receipt for up to ``timeout`` seconds, then raise ``TransactionPending``. Raises
        ``TransactionRefused`` when the chain dropped the transaction. The receipt of a reverted one is returned."""

    def segment(self, first: int, last: int, addresses: Collection[Address] | None = None) -> Segment:
        """The blocks from ``first`` to ``last``, both included, and all their events of these addresses (None: all).

        The result is complete. Raises `UnknownBlock` when a block is missing, and `ChainUnproven` when the answers of a node
        do not have the blocks' hashes.
        """

    def logs(self, from_block: int, to_block: int, addresses: Collection[Address] | None = None) -> list[Log]:
        """The events of `segment`; empty when ``to_block`` is before ``from_block``."""

    def storage(self, address: Address, slot: int, block: int | None = None) -> bytes:
        """The 32 bytes of a storage slot after ``block``."""

    def nonce(self, address: Address) -> int:
        """The nonce for the next transaction; sent transactions that are not mined yet are counted."""

    def balance(self, address: Address, block: int | None = None) -> int:
        """The balance in wei."""

    def code(self, address: Address, block: int | None = None) -> bytes:
        """The deployed bytecode; empty for an address without a contract."""

    def mined_nonce(self, address: Address) -> int:
        """The number of mined transactions of this account: all smaller nonces are used."""

    def fees(self) -> Fees:
        """Fees that the next blocks accept even if the base fee doubles."""

    def estimate_gas(
        self, to: Address | None, data: bytes, *, sender: Address = NOBODY, value: int = 0
    ) -> int:
        """A sufficient gas limit for this transaction (``to`` None deploys); raises ``ContractReverted`` if it reverts."""
