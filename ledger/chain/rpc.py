"""Any EVM network over JSON-RPC: a ``ChainClient`` that asks a node (Besu, geth, anvil, ``civic chain serve``).

Requests go through `ledger.outgoing`, bounded in time and bytes. Results are read as the node sends them: web3's
formatters refuse blocks of proof-of-authority networks, whose extraData is longer than 32 bytes.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ledger.chain import answers
from ledger.chain.client import NOBODY, Address, BlockEvidence, BlockRef, Log, Receipt, TxHash
from ledger.chain.errors import (
    ChainFault,
    ChainUnreachable,
    ContractReverted,
    InvalidTransaction,
    TransactionPending,
    TransactionRefused,
    UnknownBlock,
    WrongChain,
)
from ledger.chain.recursion import bound_recursion
from ledger.chain.transactions import chain_of, transaction_hash
from ledger.outgoing import CallFailed, Disconnected, Outgoing

LOG_PAGE = 1000
"""Blocks per ``eth_getLogs``: what nodes commonly allow, and the embedded chain."""

MOST_BYTES = 64 << 20
"""The longest answer that is read: the events of `LOG_PAGE` full blocks stay far below it."""

_POLL_SECONDS = (0.05, 1.0)
_AGAIN_SECONDS = (0.1, 0.2)
_LIMIT_EXCEEDED = -32005
_NO_METHOD = -32601
_INVALID_PARAMS = -32602
_KNOWN = ("already known", "already imported", "known transaction")

T = TypeVar("T")


class RpcChain:
    """One node. Thread-safe.

    ``chain_id`` is the configured one: every new connection is asked for its own before anything else, and
    ``WrongChain`` raised when they differ. ``timeout`` in seconds bounds each request; ``log_page`` is the most
    blocks that logs are asked for at once.
    """

    def __init__(self, url: str, chain_id: int, *, timeout: float = 10.0, log_page: int = LOG_PAGE) -> None:
        bound_recursion()
        self.url = url
        self._chain_id = chain_id
        self._log_page = log_page
        self._timeout = timeout
        self._line = Outgoing()
        self._numbers = itertools.count(1)
        self._checked = False
        self._checking = threading.Lock()

    @classmethod
    def discover(cls, url: str, *, timeout: float = 10.0) -> RpcChain:
        """A client for whatever chain the node is on: for setting up, when none is configured yet."""
        found = cls(url, 0, timeout=timeout)._ask("eth_chainId", (), answers.number)
        return cls(url, found, timeout=timeout)

    @property
    def chain_id(self) -> int:
        return self._chain_id

    # -- what every chain offers (documented in ChainClient) --

    def head(self) -> BlockRef:
        return self._block("latest")

    def block(self, number: int) -> BlockRef:
        return self._block(hex(number))

    def evidence(self, number: int) -> BlockEvidence:
        block = self._request("eth_getBlockByNumber", [hex(number), False], answers.with_transactions)
        if block is None:
            raise UnknownBlock(f"there is no block {number}")
        try:
            receipts = self._request("eth_getBlockReceipts", [hex(number)], answers.objects)
        except ChainFault as fault:
            if fault.rpc_code != _NO_METHOD:
                raise
            receipts = tuple(
                self._request("eth_getTransactionReceipt", [done], answers.an_object)
                for done in block["transactions"]
            )
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
            self._request("eth_sendRawTransaction", ["0x" + raw_signed_tx.hex()], answers.anything)
        except ChainFault as fault:
            if any(word in fault.message.lower() for word in _KNOWN):
                return tx_hash
            if self._request("eth_getTransactionByHash", [tx_hash], answers.anything) is not None:
                return tx_hash
            if fault.rpc_code == _INVALID_PARAMS:
                raise InvalidTransaction(fault.message, hint="send the raw signed bytes") from fault
            raise TransactionRefused(
                fault.message, hint="ask for the nonce and the fee again, and sign anew"
            ) from fault
        return tx_hash

    def receipt(self, tx_hash: TxHash) -> Receipt | None:
        found = self._request("eth_getTransactionReceipt", [tx_hash], answers.receipt)
        if found is None or found.succeeded:
            return found
        return replace(found, revert_data=self._revert_data(tx_hash, found.block_number))

    def wait(self, tx_hash: TxHash, timeout: float = 30.0) -> Receipt:
        deadline = time.monotonic() + timeout
        pause, longest = _POLL_SECONDS
        while True:
            receipt = self.receipt(tx_hash)
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

    def logs(self, from_block: int, to_block: int, addresses: Collection[Address] | None = None) -> list[Log]:
        if addresses is not None and not addresses:
            return []
        found: list[Log] = []
        last = min(to_block, self.head().number)
        for start in range(from_block, last + 1, self._log_page):
            found += self._page(start, min(start + self._log_page - 1, last), addresses)
        return found

    def storage(self, address: Address, slot: int, block: int | None = None) -> bytes:
        return self._on_state("eth_getStorageAt", [address, hex(slot)], block, answers.word)

    def nonce(self, address: Address) -> int:
        return self._request("eth_getTransactionCount", [address, "pending"], answers.number)

    def balance(self, address: Address, block: int | None = None) -> int:
        return self._on_state("eth_getBalance", [address], block, answers.quantity)

    def code(self, address: Address, block: int | None = None) -> bytes:
        return self._on_state("eth_getCode", [address], block, answers.data)

    def gas_price(self) -> int:
        base = self._request("eth_getBlockByNumber", ["latest", False], answers.base_fee)
        return max(self._request("eth_gasPrice", [], answers.quantity), 2 * base)

    def estimate_gas(
        self, to: Address | None, data: bytes, *, sender: Address = NOBODY, value: int = 0
    ) -> int:
        request = {"from": sender, "input": "0x" + data.hex(), "value": hex(value)}
        return self._request("eth_estimateGas", [request | ({"to": to} if to else {})], answers.number)

    # -- inside --

    def _block(self, tag: str) -> BlockRef:
        found = self._request("eth_getBlockByNumber", [tag, False], answers.block_ref)
        if found is None:
            raise UnknownBlock(f"there is no block {tag}")
        return found

    def _page(self, first: int, last: int, addresses: Collection[Address] | None) -> list[Log]:
        """One page, halved for as long as the node finds it too much for one answer."""
        query: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last)}
        if addresses is not None:
            query["address"] = sorted(addresses)
        try:
            found = self._request("eth_getLogs", [query], answers.logs)
        except ChainFault as fault:
            if fault.rpc_code != _LIMIT_EXCEEDED or first == last:
                raise
            middle = (first + last) // 2
            return self._page(first, middle, addresses) + self._page(middle + 1, last, addresses)
        return sorted(found, key=lambda log: (log.block_number, log.log_index))

    def _revert_data(self, tx_hash: TxHash, block: int) -> bytes | None:
        """The contract's answer when the transaction is run again on its parent block."""
        sent = self._request("eth_getTransactionByHash", [tx_hash], answers.an_object)
        request = {key: sent[key] for key in ("from", "to", "input", "value", "gas") if sent.get(key)}
        try:
            self._request("eth_call", [request, hex(block - 1)], answers.anything)
        except ContractReverted as reverted:
            return reverted.data
        except ChainFault:
            return None
        return None

    def _on_state(self, method: str, params: list[Any], block: int | None, read: Callable[[Any], T]) -> T:
        try:
            return self._request(method, [*params, "latest" if block is None else hex(block)], read)
        except ChainFault:
            if block is not None:
                self.block(block)
            raise

    def _request(self, method: str, params: Sequence[Any], read: Callable[[Any], T]) -> T:
        """The result as ``read`` understands it. A node whose result cannot be read is as good as none: it may pass."""
        if not self._checked:
            self._check_chain()
        try:
            return self._ask(method, params, read)
        except ChainUnreachable:
            self._checked = False
            raise

    def _check_chain(self) -> None:
        with self._checking:
            found = self._ask("eth_chainId", (), answers.number)
            if found != self._chain_id:
                raise WrongChain(
                    f"{self.url} is chain {found}, the configured one is {self._chain_id}",
                    hint="check CIVIC_RPC_URL",
                )
            self._checked = True

    def _ask(self, method: str, params: Sequence[Any], read: Callable[[Any], T]) -> T:
        question = {"jsonrpc": "2.0", "method": method, "params": list(params), "id": next(self._numbers)}
        try:
            response = json.loads(self._post(json.dumps(question).encode()))
            if not isinstance(response, dict) or not response.keys() & {"result", "error"}:
                raise ValueError("no JSON-RPC answer")
        except CallFailed as error:
            raise ChainUnreachable(
                f"{self.url} does not answer {method}: {error.message}",
                hint="is the node running, and CIVIC_RPC_URL right?",
            ) from error
        except (ValueError, RecursionError) as error:
            raise ChainUnreachable(
                f"{self.url} does not speak JSON-RPC", hint="check CIVIC_RPC_URL"
            ) from error
        error_found = response.get("error")
        if error_found is not None:
            raise _fault(error_found)
        try:
            return read(response.get("result"))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ChainUnreachable(
                f"{self.url} answers {method} with what cannot be read",
                hint="is there a node at CIVIC_RPC_URL?",
            ) from error

    def _post(self, question: bytes) -> bytes:
        """One question, asked again where there was no connection; all within the one deadline. Nodes answer errors
        with other statuses than 200 too, so only the body counts."""
        until = time.monotonic() + self._timeout
        pauses = list(_AGAIN_SECONDS)
        while True:
            call = self._line.prepare(
                "POST", self.url, body=question, headers={"Content-Type": "application/json"}
            )
            try:
                left = until - time.monotonic()
                return self._line.ask(call, within_s=left, most=MOST_BYTES).body
            except Disconnected:
                if not pauses or time.monotonic() + pauses[0] >= until:
                    raise
                time.sleep(pauses.pop(0))


def _fault(error: Any) -> ChainFault | ContractReverted:
    """Nodes agree on code 3 with data for a revert, more or less; some wrap the data or use -32000."""
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
