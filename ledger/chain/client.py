"""The one interface through which the ledger sees a chain, whatever runs it.

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
"""The sender of a call that nobody signs."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: the most to pay, and the part of it that goes to the block's producer. ``legacy``: the chain has no base
    fee, and all of ``max_fee`` is paid."""

    max_fee: int
    max_priority: int = 0
    legacy: bool = False

    def raised(self, now: Fees) -> Fees:
        """Fees that replace these in a node's pool, at least those that the chain asks for ``now``. Both parts rise by an
        eighth: nodes ask for a tenth of both (geth, txpool.pricebump)."""
        priority = max(self.max_priority + self.max_priority // 8 + 1, now.max_priority)
        most = max(self.max_fee + self.max_fee // 8 + 1, now.max_fee, priority)
        return Fees(most, 0 if self.legacy else priority, self.legacy)

    def at_most(self, ceiling: int) -> Fees:
        """These fees, neither part above ``ceiling``."""
        return Fees(min(self.max_fee, ceiling), min(self.max_priority, ceiling), self.legacy)


@dataclass(frozen=True, slots=True)
class BlockRef:
    """What a follower needs to know of a block."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int


@dataclass(frozen=True, slots=True)
class Log:
    """One event as the chain recorded it; ``log_index`` counts within the block."""

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

    ``revert_data`` is the contract's error where it can be obtained: always from the embedded chain; from a
    node by asking again on the parent block, which is not exact when transactions of one block interact.
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
    """Blocks that follow one another, and all events in them, in chain order."""

    blocks: tuple[BlockRef, ...]
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class BlockEvidence:
    """A block's header and all its receipts as JSON-RPC writes them (0x-hex texts): enough to hash the header,
    rebuild the receipts trie and prove an event from the block's hash (``ledger.audit.outside.header_proof``)."""

    block: Mapping[str, Any]
    receipts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of so many ``configured`` nodes ``agree`` have the head; fewer than ``needed`` are no chain to go by."""

    configured: int
    needed: int
    agree: int

    def to_json(self) -> dict[str, int]:
        """For the service's status."""
        return {"configured": self.configured, "needed": self.needed, "agree": self.agree}


class ChainClient(Protocol):
    """A chain. Every method may raise ``ChainUnreachable``; none returns data of another chain."""

    @property
    def chain_id(self) -> int: ...

    @property
    def never_behind(self) -> bool:
        """Whether `head` is the chain's newest block, so that one which was read and is not there is gone. A node may lag:
        a block that it lacks says nothing."""

    @property
    def agreement(self) -> Agreement | None:
        """How many of several nodes agree; None where there is one, or none."""

    def head(self) -> BlockRef:
        """The newest mined block; of several nodes, the newest that more than half of them have."""

    def block(self, number: int) -> BlockRef:
        """The block of this number; ``UnknownBlock`` when there is none."""

    def evidence(self, number: int) -> BlockEvidence:
        """What proves a block's events to somebody who knows its hash; ``UnknownBlock``."""

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address = NOBODY) -> bytes:
        """Run a view after ``block`` (default: the newest); ``ContractReverted`` if it refuses."""

    def send(self, raw_signed_tx: bytes) -> TxHash:
        """Hand over a signed transaction.

        Returning acknowledges it: the embedded chain has made it durable and mines it within about a second.
        The same bytes sent twice are acknowledged twice and mined once. ``InvalidTransaction`` or
        ``TransactionRefused`` when it can never be mined; ``ClockDrift``.
        """

    def receipt(self, tx_hash: TxHash) -> Receipt | None:
        """The outcome, or None while it is not mined or not known."""

    def wait(self, tx_hash: TxHash, timeout: float = 30.0) -> Receipt:
        """The outcome, waiting up to ``timeout`` seconds: ``TransactionPending`` after that,
        ``TransactionRefused`` when the chain dropped it. A reverted transaction is returned, not raised."""

    def segment(self, first: int, last: int, addresses: Collection[Address] | None = None) -> Segment:
        """Both blocks and those between, and every event of these addresses in them, or of all (None).

        Whole or not at all: `UnknownBlock` when one of them is not there, `ChainUnproven` when what a node answers does
        not add up to the blocks' hashes.
        """

    def logs(self, from_block: int, to_block: int, addresses: Collection[Address] | None = None) -> list[Log]:
        """The events of `segment`; none where ``to_block`` is before ``from_block``."""

    def storage(self, address: Address, slot: int, block: int | None = None) -> bytes:
        """The 32 bytes of a storage slot after ``block``."""

    def nonce(self, address: Address) -> int:
        """The next nonce to sign with: transactions sent and not yet mined are counted."""

    def balance(self, address: Address, block: int | None = None) -> int:
        """In wei."""

    def code(self, address: Address, block: int | None = None) -> bytes:
        """Deployed bytecode, empty where there is no contract."""

    def mined_nonce(self, address: Address) -> int:
        """How many transactions of this account are mined: every nonce below is used for good."""

    def fees(self) -> Fees:
        """What the next blocks take surely, even at twice today's base fee."""

    def estimate_gas(
        self, to: Address | None, data: bytes, *, sender: Address = NOBODY, value: int = 0
    ) -> int:
        """Enough gas for this transaction (``to`` None deploys); ``ContractReverted`` if it would."""
