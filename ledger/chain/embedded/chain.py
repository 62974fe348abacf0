"""The embedded chain: durable, with true block times, and at most one block a second."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType

from eth.abc import BlockHeaderAPI, SignedTransactionAPI
from eth_utils.address import to_canonical_address, to_checksum_address

from ledger.chain.client import NOBODY, Address, BlockEvidence, BlockRef, Fees, Log, Receipt, Segment, TxHash
from ledger.chain.embedded import pool, rules, wire
from ledger.chain.embedded.execution import CallRequest, Execution
from ledger.chain.embedded.producer import BlockProducer
from ledger.chain.embedded.reader import ChainReader, block_ref
from ledger.chain.embedded.store import ChainStore
from ledger.chain.errors import (
    ChainError,
    ChainFault,
    ChainStorageFailed,
    ChainUnreachable,
    ClockDrift,
    TransactionPending,
    TransactionRefused,
)
from ledger.clock import Clock, WallClock

MAX_DRIFT = 5
"""The most seconds by which a block's time may be ahead of the clock; otherwise no block is mined."""

BLOCK_SECONDS = 1.0
"""The shortest time between two blocks in seconds."""

FILL_SECONDS = 0.75
"""How many seconds transactions are added to a block, so that no block takes much longer than a second."""

_LOG = logging.getLogger(__name__)


def random_chain_id() -> int:
    """A random chain id for a new installation, so that signatures are valid in one installation only. It is larger than the
    ids of public networks."""
    return (1 << 32) + secrets.randbelow((1 << rules.CHAIN_ID_BITS) - (1 << 32))


class EmbeddedChain:
    """A ``ChainClient`` without a network.

    A transaction is acknowledged (``send`` returns) when it is durable in the chain's file. A background thread mines
    acknowledged transactions when the newest block is at least a second old; transactions of one second are in the same
    block. After a crash at any point and ``open``, every acknowledged transaction is in a block or is mined next.
    Thread-safe.
    """

    def __init__(self, store: ChainStore, clock: Clock, *, background: bool) -> None:
        self._store = store
        self._clock = clock
        self._reader = ChainReader(store)
        self._execution = Execution(self._reader, store.chain_id)
        self._changed = threading.Condition()
        self._mining = threading.Lock()
        self._closing = threading.Event()
        self._failure = ""
        self._stopped = False
        self._reader.header(0)
        self._newest = self._reader.head()
        self._rounds = 0
        """The number of rounds that had a result: a block, or refusals only."""
        self._producer = BlockProducer(store)
        self._mined_at = clock.elapsed() if self._newest.timestamp > clock.now() else float("-inf")
        self._pool = pool.Pool(store.queue())
        self._miner: threading.Thread | None = None
        if background:
            self._miner = threading.Thread(target=self._mine_forever, name="civic-chain-miner", daemon=True)
            self._miner.start()

    @classmethod
    def create(
        cls,
        path: Path | str,
        chain_id: int,
        relayer_address: Address,
        *,
        clock: Clock | None = None,
        background: bool = True,
    ) -> EmbeddedChain:
        """Create a chain in a new file; raises ``ChainExists``. ``chain_id`` is from ``random_chain_id()``. Only the relayer
        has funds."""
        if not 0 < chain_id < 1 << rules.CHAIN_ID_BITS:
            raise ChainFault(
                f"a chain id has at most {rules.CHAIN_ID_BITS} bits", hint="use random_chain_id()"
            )
        ticking = clock or WallClock()
        relayer = bytes(to_canonical_address(relayer_address))
        genesis = rules.genesis(chain_id, relayer, int(ticking.now()) - 1)
        return cls(ChainStore.create(Path(path), chain_id, relayer, genesis), ticking, background=background)

    @classmethod
    def open(
        cls, path: Path | str, *, clock: Clock | None = None, background: bool = True, reading: bool = False
    ) -> EmbeddedChain:
        """Open the chain at ``path``; raises ``ChainMissing``, ``ChainLocked`` or ``ChainCorrupt``.

        With ``background`` False, blocks are mined only by ``mine()``. With ``reading``, the chain is opened for queries
        only, also while another process has it open.
        """
        store = ChainStore.open(Path(path), reading=reading)
        try:
            return cls(store, clock or WallClock(), background=background and not reading)
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Finish the current block, if there is one, and release the file."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self._miner is not None and self._miner is not threading.current_thread():
            self._miner.join()
        with self._mining:
            self._store.close()

    def __enter__(self) -> EmbeddedChain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def chain_id(self) -> int:
        return self._store.chain_id

    @property
    def never_behind(self) -> bool:
        return True  # the file is the chain

    @property
    def agreement(self) -> None:
        return None

    @property
    def relayer(self) -> Address:
        """The one account with funds in the genesis."""
        return str(to_checksum_address(self._store.relayer))

    @property
    def path(self) -> Path:
        """The chain's file."""
        return self._store.path

    @property
    def reader(self) -> ChainReader:
        """Blocks, transactions and receipts in full, for ``serve``."""
        return self._reader

    # -- what every chain offers (documented in ChainClient) --

    def head(self) -> BlockRef:
        return block_ref(self._reader.head())

    def block(self, number: int) -> BlockRef:
        return block_ref(self._reader.header(number))

    def evidence(self, number: int) -> BlockEvidence:
        header = self._reader.header(number)
        body = self._reader.body(header)
        receipts = tuple(wire.receipt(header, body, index) for index in range(len(body.hashes)))
        return BlockEvidence(wire.block(header, body, full=False), receipts)

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address = NOBODY) -> bytes:
        request = CallRequest(_bytes(sender), _bytes(to), data)
        return self.run(request, block)

    def send(self, raw_signed_tx: bytes) -> TxHash:
        transaction = pool.decode(bytes(raw_signed_tx), self.chain_id)
        tx_hash: bytes = transaction.hash
        with self._changed:
            self._must_run()
            if tx_hash not in self._pool and self._reader.locate(tx_hash) is None:
                head = self._reader.head()
                account = self._reader.account(head, transaction.sender)
                self._pool.check(transaction, account, head.base_fee_per_gas or 0)
                self._timestamp(head)
                self._store.enqueue(tx_hash, bytes(raw_signed_tx))
                self._pool.add(transaction)
                self._changed.notify_all()
        return "0x" + tx_hash.hex()

    def receipt(self, tx_hash: TxHash) -> Receipt | None:
        return self._reader.receipt(_bytes(tx_hash))

    def wait(self, tx_hash: TxHash, timeout: float = 30.0) -> Receipt:
        wanted = _bytes(tx_hash)
        deadline = time.monotonic() + timeout
        while True:
            seen = self._rounds
            if (receipt := self._reader.receipt(wanted)) is not None:
                return receipt
            if (reason := self._store.refusal(wanted)) is not None:
                raise TransactionRefused(f"{tx_hash} was dropped: {reason}", hint="sign it anew")
            moved = self._await_round_after(seen, deadline - time.monotonic())
            self._must_run()
            if not moved:
                raise TransactionPending(
                    f"{tx_hash} is not mined after {timeout:g} s{self._failure and ': ' + self._failure}",
                    hint="wait longer, or send it again: it is mined once",
                )

    def logs(self, from_block: int, to_block: int, addresses: Collection[Address] | None = None) -> list[Log]:
        return list(self.iterate_logs(from_block, to_block, addresses))

    def segment(self, first: int, last: int, addresses: Collection[Address] | None = None) -> Segment:
        headers = [self._reader.header(number) for number in range(first, last + 1)]
        wanted = None if addresses is None else frozenset(_bytes(address) for address in addresses)
        logs = (log for header in headers for log in self._reader.logs(header, wanted))
        return Segment(tuple(block_ref(header) for header in headers), tuple(logs))

    def storage(self, address: Address, slot: int, block: int | None = None) -> bytes:
        return self._reader.storage(self._header(block), _bytes(address), slot)

    def nonce(self, address: Address) -> int:
        account = _bytes(address)
        with self._changed:
            return self._pool.next_nonce(account, self._reader.account(self._reader.head(), account))

    def mined_nonce(self, address: Address) -> int:
        return int(self._reader.account(self._reader.head(), _bytes(address)).nonce)

    def fees(self) -> Fees:
        return Fees(self.gas_price())

    def balance(self, address: Address, block: int | None = None) -> int:
        return self._reader.account(self._header(block), _bytes(address)).balance

    def code(self, address: Address, block: int | None = None) -> bytes:
        return self._reader.code(self._header(block), _bytes(address))

    def gas_price(self) -> int:
        return 2 * (self._reader.head().base_fee_per_gas or 0)

    def estimate_gas(
        self, to: Address | None, data: bytes, *, sender: Address = NOBODY, value: int = 0
    ) -> int:
        return self.estimate(CallRequest(_bytes(sender), None if to is None else _bytes(to), data, value))

    # -- what only this chain offers --

    def iterate_logs(
        self, from_block: int, to_block: int, addresses: Collection[Address] | None = None
    ) -> Iterator[Log]:
        """`logs` as an iterator, for ranges whose events do not fit into memory."""
        wanted = None if addresses is None else frozenset(_bytes(address) for address in addresses)
        for number in range(from_block, to_block + 1):
            yield from self._reader.logs(self._reader.header(number), wanted)

    def run(self, request: CallRequest, block: int | None = None) -> bytes:
        """`call` with value and gas. Without ``block`` the code runs in the context of a block mined now."""
        state_after = self._header(block)
        context = self.context_after(state_after) if block is None else state_after
        return self._execution.call(state_after, context, request)

    def estimate(self, request: CallRequest) -> int:
        """``estimate_gas`` for a request."""
        head = self._reader.head()
        return self._execution.estimate(head, self.context_after(head), request)

    def context_after(self, parent: BlockHeaderAPI) -> BlockHeaderAPI:
        """The header of a block mined now on ``parent``."""
        stamp = max(int(parent.timestamp) + 1, int(self._clock.now()))
        return self._producer.header_after(parent, stamp)

    def pending(self, tx_hash: TxHash) -> SignedTransactionAPI | None:
        """An acknowledged transaction that is not mined yet."""
        with self._changed:
            return self._pool.get(_bytes(tx_hash))

    def mine(self) -> BlockRef | None:
        """Mine the acknowledged transactions, in the next second if necessary; None when there was nothing to mine.

        Raises ``ClockDrift`` and ``ChainStorageFailed``; the transactions then remain acknowledged.
        """
        with self._mining:
            if not len(self._pool) or not self._wait_until_due():
                return None
            with self._changed:
                waiting = self._pool.transactions()
            started = self._clock.elapsed()
            stamp = self._timestamp(self._newest)
            with self._reader.sound():
                commit = self._producer.produce(waiting, stamp, enough=self._enough(started))
            self._store.commit(commit)
            with self._changed:
                for done in (*commit.mined, *(commit.refusals or ())):
                    self._pool.remove(done)
                self._newest = self._reader.head()
                self._rounds += 1
                self._mined_at = started
                self._failure = ""
                self._changed.notify_all()
            return block_ref(self._newest) if commit.mined else None

    def snapshot(self, target: Path | str) -> None:
        """Write a consistent copy of the chain's file for a backup; the chain may be running."""
        self._store.snapshot(Path(target))

    def verify(self) -> BlockRef:
        """Check the whole file: pages, headers and their links, transactions and receipts. Returns the head.

        Raises ``ChainCorrupt`` for the first damage. Used by ``civic doctor``; it is slow.
        """
        self._reader.verify()
        return self.head()

    # -- inside --

    def _enough(self, started: float) -> Callable[[], bool]:
        return lambda: self._clock.elapsed() - started > FILL_SECONDS

    def _mine_forever(self) -> None:
        try:
            while not self._closing.is_set():
                with self._changed:
                    self._changed.wait_for(lambda: len(self._pool) or self._closing.is_set())
                self._mine_or_pause()
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()

    def _mine_or_pause(self) -> None:
        """Mine, and after a temporary error (full disk, clock set back) wait and try again; nothing of the block was stored."""
        try:
            self.mine()
        except (ChainStorageFailed, ClockDrift) as error:
            self._failure = f"{error.code}: {error.message}"
            _LOG.warning("no block: %s", self._failure)
            self._closing.wait(BLOCK_SECONDS)
        except ChainError as error:
            self._failure = f"{error.code}: {error.message}"
            raise

    def _await_round_after(self, seen: int, seconds: float) -> bool:
        """Wait for a round after number ``seen``. False when there was none in that time and the chain still runs."""

        def moved() -> bool:
            return self._rounds != seen or self._closing.is_set() or self._stopped

        with self._changed:
            return self._changed.wait_for(moved, seconds)

    def _must_run(self) -> None:
        if self._closing.is_set():
            raise ChainUnreachable("the chain is closed", hint="open it again")
        if self._stopped:
            raise ChainFault(
                f"the miner has stopped: {self._failure or 'see the log'}", hint="run civic doctor"
            )

    def _wait_until_due(self) -> bool:
        """Wait until the clock is past the second of the newest block, but at most a second after it was mined, because the
        clock may have been set back."""
        while not self._closing.is_set():
            left = min(
                self._newest.timestamp + 1 - self._clock.now(),
                self._mined_at + BLOCK_SECONDS - self._clock.elapsed(),
            )
            if left <= 0:
                return True
            self._clock.pause(left, self._closing)
        return False

    def _timestamp(self, parent: BlockHeaderAPI) -> int:
        """The time of the next block: max(parent + 1, now). Raises ``ClockDrift`` when it is more than ``MAX_DRIFT`` seconds
        ahead of the clock, or the clock is in doubt."""
        if (doubt := self._clock.doubt()) is not None:
            raise ClockDrift(
                f"no block is mined: {doubt}",
                hint="set the clock; if it is right, see docs/clocks.md",
            )
        now = self._clock.now()
        stamp = max(int(parent.timestamp) + 1, int(now))
        if stamp - now > MAX_DRIFT:
            raise ClockDrift(
                f"the next block would be {stamp - now:.0f} s ahead of this machine's clock",
                hint="set the clock; if it was wrong before, wait until it has caught up",
            )
        return stamp

    def _header(self, block: int | None) -> BlockHeaderAPI:
        return self._reader.head() if block is None else self._reader.header(block)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
