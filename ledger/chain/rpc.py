"""A ``ChainClient`` for an EVM network: JSON-RPC to one node (Besu, geth, anvil, ``civic chain serve``).

Requests use `ledger.outgoing` and are limited in time and bytes. Results are not parsed by web3, because its formatters
refuse blocks of proof-of-authority networks, whose extraData is longer than 32 bytes.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from ledger.chain import answers, proven
from ledger.chain.client import NOBODY, Address, BlockEvidence, BlockRef, Fees, Log, Receipt, Segment, TxHash
from ledger.chain.errors import (
    ChainFault,
    ChainUnreachable,
    ContractReverted,
    FeeTooLow,
    InvalidTransaction,
    TransactionPending,
    TransactionRefused,
    UnknownBlock,
    WrongChain,
)
from ledger.chain.node_urls import place_of
from ledger.chain.recursion import bound_recursion
from ledger.chain.transactions import chain_of, transaction_hash
from ledger.outgoing import CallFailed, Disconnected, NotAsked, Outgoing, TooSlow

MOST_BYTES = 64 << 20
"""The most bytes of an answer. The receipts of a full block are much shorter."""

_AT_ONCE = 8
"""The most parallel requests of `RpcChain.ask_each`."""

_POLL_SECONDS = (0.05, 1.0)
_AGAIN_SECONDS = (0.0, 0.1, 0.2)
"""The pauses before a request is repeated after an unreadable answer or a broken connection."""

_QUICK = frozenset({"eth_chainId", "eth_getBlockByNumber", "eth_getStorageAt"})
"""Methods whose response time does not depend on the parameters."""
_PATIENCE_S = 0.25
_PATIENCE_FACTOR = 4
"""A request with a quick method is repeated when it takes longer than `_PATIENCE_S` and longer than `_PATIENCE_FACTOR` times
the usual time; the limit doubles with each repetition."""
_REMEMBERED = 9
"""The number of last response times whose median is the usual time."""
_INVALID_PARAMS = -32602
_KNOWN = ("already known", "already imported", "known transaction")

T = TypeVar("T")


class RpcChain:
    """One node. Thread-safe.

    ``chain_id`` is the configured one. Every new connection is first asked for its chain id, and ``WrongChain`` is raised
    when it differs. ``timeout`` is the limit of each request in seconds.
    """

    def __init__(self, url: str, chain_id: int, *, timeout: float = 10.0) -> None:
        bound_recursion()
        self.url = url
        self._place = place_of(url)
        self._chain_id = chain_id
        self._timeout = timeout
        self._line = Outgoing()
        self._numbers = itertools.count(1)
        self._breaks = itertools.count(1)
        self._broken, self._checked = (
            0,
            -1,
        )  # the number of the last broken connection, and that of the last check
        self._checking = threading.Lock()
        self._took: dict[str, tuple[float, ...]] = {}

    @classmethod
    def discover(cls, url: str, *, timeout: float = 10.0) -> RpcChain:
        """A client for the chain of the node, for the setup, when no chain id is configured yet."""
        found = cls(url, 0, timeout=timeout)._ask(
            "eth_chainId", (), answers.number, time.monotonic() + timeout
        )
        return cls(url, found, timeout=timeout)

    @property
    def chain_id(self) -> int:
        return self._chain_id

    @property
    def never_behind(self) -> bool:
        return False

    @property
    def agreement(self) -> None:
        return None

    # -- what every chain offers (documented in ChainClient) --

    def head(self) -> BlockRef:
        return self._block("latest")

    def block(self, number: int) -> BlockRef:
        return self._block(hex(number))

    def evidence(self, number: int) -> BlockEvidence:
        block = self.ask("eth_getBlockByNumber", [hex(number), False], answers.provable_block)
        if block is None:
            raise UnknownBlock(f"there is no block {number}")
        try:
            receipts = self.ask("eth_getBlockReceipts", [hex(number)], answers.provable_receipts)
        except ChainFault as fault:
            if fault.rpc_code != proven.NO_METHOD:
                raise
            asked = [(done,) for done in block["transactions"]]
            receipts = tuple(self.ask_each("eth_getTransactionReceipt", asked, answers.provable_receipt))
        return BlockEvidence(block, receipts)

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address = NOBODY) -> bytes:
        request = {"from": sender, "to": to, "input": "0x" + data.hex()}
        return self._on_state("eth_call", [request], block, answers.data)

    def send(self, raw_signed_tx: bytes) -> TxHash:
        signed_for = chain_of(raw_signed_tx)
        if signed_for != self._chain_id:
            raise WrongChain(
                f"signed for chain {signed_for}, the configured one is {self._chain_id}",
                hint="sign for this chain",
            )
        tx_hash = transaction_hash(raw_signed_tx)
        try:
            self.ask("eth_sendRawTransaction", ["0x" + raw_signed_tx.hex()], answers.anything)
        except ChainFault as fault:
            if any(word in fault.message.lower() for word in _KNOWN):
                return tx_hash
            if self.ask("eth_getTransactionByHash", [tx_hash], answers.known):
                return tx_hash
            if fault.rpc_code == _INVALID_PARAMS:
                raise InvalidTransaction(fault.message, hint="send the raw signed bytes") from fault
            if "underpriced" in fault.message.lower():
                raise FeeTooLow(
                    fault.message, hint="sign again with the same nonce and higher fees"
                ) from fault
            raise TransactionRefused(
                fault.message, hint="ask for the nonce and the fee again, and sign anew"
            ) from fault
        return tx_hash

    def receipt(self, tx_hash: TxHash) -> Receipt | None:
        found = self.ask("eth_getTransactionReceipt", [tx_hash], answers.receipt)
        if found is None or found.succeeded:
            return found
        return replace(found, revert_data=self._revert_data(tx_hash, found.block_number))

    def wait(self, tx_hash: TxHash, timeout: float = 30.0) -> Receipt:
        return wait_for(self.receipt, tx_hash, timeout)

    def segment(self, first: int, last: int, addresses: Collection[Address] | None = None) -> Segment:
        return proven.segment(self, first, last, addresses)

    def logs(self, from_block: int, to_block: int, addresses: Collection[Address] | None = None) -> list[Log]:
        if addresses is not None and not addresses:
            return []
        return list(self.segment(from_block, to_block, addresses).logs)

    def storage(self, address: Address, slot: int, block: int | None = None) -> bytes:
        return self._on_state("eth_getStorageAt", [address, hex(slot)], block, answers.word)

    def nonce(self, address: Address) -> int:
        return self.ask("eth_getTransactionCount", [address, "pending"], answers.number)

    def balance(self, address: Address, block: int | None = None) -> int:
        return self._on_state("eth_getBalance", [address], block, answers.quantity)

    def code(self, address: Address, block: int | None = None) -> bytes:
        return self._on_state("eth_getCode", [address], block, answers.data)

    def mined_nonce(self, address: Address) -> int:
        return self.ask("eth_getTransactionCount", [address, "latest"], answers.number)

    def fees(self) -> Fees:
        base = self.ask("eth_getBlockByNumber", ["latest", False], answers.base_fee)
        price = self.ask("eth_gasPrice", [], answers.quantity)
        if base is None:
            return Fees(price, legacy=True)
        if base == price == 0:
            return Fees(0)  # a consortium chain without fees, whose accounts may be empty
        try:
            tip = max(1, self.ask("eth_maxPriorityFeePerGas", [], answers.quantity))
        except ChainFault:  # not every node has this method
            tip = max(1, price - base)
        return Fees(max(price, 2 * base + tip), tip)

    def estimate_gas(
        self, to: Address | None, data: bytes, *, sender: Address = NOBODY, value: int = 0
    ) -> int:
        request = {"from": sender, "input": "0x" + data.hex(), "value": hex(value)}
        return self.ask("eth_estimateGas", [request | ({"to": to} if to else {})], answers.number)

    # -- inside --

    def _block(self, tag: str) -> BlockRef:
        found = self.ask("eth_getBlockByNumber", [tag, False], answers.block_ref)
        if found is None:
            raise UnknownBlock(f"there is no block {tag}")
        return found

    def _revert_data(self, tx_hash: TxHash, block: int) -> bytes | None:
        """The revert data when the transaction is run again on the parent block; None if it is not available."""
        sent = self.ask("eth_getTransactionByHash", [tx_hash], answers.transaction)
        try:
            self.ask("eth_call", [sent.request(), hex(block - 1)], answers.anything)
        except ContractReverted as reverted:
            return reverted.data
        except ChainFault:
            return None
        return None

    def _on_state(self, method: str, params: list[Any], block: int | None, read: Callable[[Any], T]) -> T:
        try:
            return self.ask(method, [*params, "latest" if block is None else hex(block)], read)
        except ChainFault:
            if block is not None:
                self.block(block)
            raise

    def ask_each(self, method: str, params: Sequence[Sequence[Any]], read: Callable[[Any], T]) -> list[T]:
        """The same method with several parameter lists, in parallel on separate connections; results in their order."""
        if len(params) < 2:
            return [self.ask(method, one, read) for one in params]
        with ThreadPoolExecutor(min(_AT_ONCE, len(params)), thread_name_prefix="node") as pool:
            return list(pool.map(lambda one: self.ask(method, one, read), params))

    def ask(self, method: str, params: Sequence[Any], read: Callable[[Any], T]) -> T:
        """Send a request and return its result, parsed by ``read``.

        It is repeated within the same deadline when there is no connection, or the answer is unreadable or late. The chain
        id is checked before a repetition, because another node may answer.
        """
        until, pauses, patience = time.monotonic() + self._timeout, list(_AGAIN_SECONDS), 1
        while True:
            try:
                self._check_chain(until, patience)
                return self._ask(method, params, read, until, patience)
            except ChainUnreachable as failed:
                self._broken = next(self._breaks)  # the next answer may come from another node
                if isinstance(failed, _Late):
                    patience *= 2
                    continue
                may_pass = isinstance(failed, _MayPass) and pauses
                if not may_pass or time.monotonic() + pauses[0] >= until:
                    raise
                time.sleep(pauses.pop(0))

    def _check_chain(self, until: float, patience: int) -> None:
        """Check the chain id unless it was checked since the last broken connection."""
        if self._checked == self._broken:
            return
        with self._checking:
            broken = self._broken
            if self._checked == broken:
                return
            found = self._ask("eth_chainId", (), answers.number, until, patience)
            if found != self._chain_id:
                raise WrongChain(
                    f"{self._place} is chain {found}, the configured one is {self._chain_id}",
                    hint="check CIVIC_RPC_URL",
                )
            self._checked = broken

    def _late_after(self, method: str) -> float:
        """The seconds after which a request with a quick method is late; infinite before the first response."""
        took = self._took.get(method)
        if not took:
            return math.inf
        return max(_PATIENCE_S, _PATIENCE_FACTOR * statistics.median(took))

    def _ask(
        self, method: str, params: Sequence[Any], read: Callable[[Any], T], until: float, patience: int = 1
    ) -> T:
        """Send one request. Raises `_Late` when it takes longer than ``patience`` times the limit of its method."""
        began = time.monotonic()
        late = began + patience * self._late_after(method)
        question = {"jsonrpc": "2.0", "method": method, "params": list(params), "id": next(self._numbers)}
        try:
            call = self._line.prepare(
                "POST",
                self.url,
                body=json.dumps(question).encode(),
                headers={"Content-Type": "application/json"},
            )
            answer = self._line.ask(call, within_s=min(late, until) - began, most=MOST_BYTES)
        except CallFailed as error:
            reason = "it is no http(s) URL" if isinstance(error, NotAsked) else error.message
            passing = _Late if isinstance(error, TooSlow) and late < until else ChainUnreachable
            raise (_MayPass if isinstance(error, Disconnected) else passing)(
                f"{self._place} does not answer {method}: {reason}",
                hint="is the node running, and CIVIC_RPC_URL right?",
            ) from error
        if method in _QUICK:
            took = self._took.get(method, ())[1 - _REMEMBERED :]
            self._took[method] = (*took, time.monotonic() - began)
        try:
            # Some nodes send errors with a status other than 200, so only the body is read.
            response = json.loads(answer.body)
            if not isinstance(response, dict) or not response.keys() & {"result", "error"}:
                raise ValueError("no JSON-RPC answer")
        except (ValueError, RecursionError) as error:
            moved = 300 <= answer.status < 400
            raise (ChainUnreachable if moved else _MayPass)(
                f"{self._place} does not speak JSON-RPC", hint="check CIVIC_RPC_URL"
            ) from error
        error_found = response.get("error")
        if error_found is not None:
            raise _fault(error_found)
        try:
            return read(response.get("result"))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise _MayPass(
                f"{self._place} answers {method} with what cannot be read",
                hint="is there a node at CIVIC_RPC_URL?",
            ) from error


def wait_for(ask: Callable[[TxHash], Receipt | None], tx_hash: TxHash, timeout: float) -> Receipt:
    """`ChainClient.wait` by polling the receipt."""
    deadline = time.monotonic() + timeout
    pause, longest = _POLL_SECONDS
    while True:
        receipt = ask(tx_hash)
        if receipt is not None:
            return receipt
        left = deadline - time.monotonic()
        if left <= 0:
            raise TransactionPending(
                f"{tx_hash} is not mined after {timeout:g} s",
                hint="wait longer, or send it again: it is mined once",
            )
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, longest)


class _Late(ChainUnreachable):
    """The answer takes longer than usual; a repetition may be faster."""


class _MayPass(ChainUnreachable):
    """There was no connection, or the answer was unreadable; a repetition may succeed."""


def _fault(error: Any) -> ChainFault | ContractReverted:
    """The error of an answer. Most nodes use code 3 with data for a revert; some wrap the data or use -32000."""
    if not isinstance(error, dict):
        return ChainFault(str(error))
    message, code, data = str(error.get("message", "")), error.get("code"), error.get("data")
    code = code if isinstance(code, int) else 0
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if code == 3 or "revert" in message.lower():
        try:
            return ContractReverted(answers.data(data))
        except (ValueError, TypeError):
            return ContractReverted(b"", message)
    return ChainFault(message or f"error {code}", rpc_code=code)
