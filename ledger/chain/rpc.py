"""Any EVM network over JSON-RPC: a ``ChainClient`` that asks a node (Besu, geth, anvil, ``civic chain serve``).

Requests go through `ledger.outgoing`, bounded in time and bytes. Results are read as the node sends them: web3's
formatters refuse blocks of proof-of-authority networks, whose extraData is longer than 32 bytes.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any

from eth_utils.address import to_checksum_address

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
        found = _number(cls(url, 0, timeout=timeout)._ask("eth_chainId"))
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
        block = self._request("eth_getBlockByNumber", [hex(number), False])
        if block is None:
            raise UnknownBlock(f"there is no block {number}")
        try:
            receipts = self._request("eth_getBlockReceipts", [hex(number)])
        except ChainFault as fault:
            if fault.rpc_code != _NO_METHOD:
                raise
            receipts = [self._request("eth_getTransactionReceipt", [done]) for done in block["transactions"]]
        return BlockEvidence(block, tuple(receipts))

    def call(self, to: Address, data: bytes, block: int | None = None, *, sender: Address = NOBODY) -> bytes:
        request = {"from": sender, "to": to, "input": "0x" + data.hex()}
        return _data(self._on_state("eth_call", [request], block))

    def send(self, raw_signed_tx: bytes) -> TxHash:
        signed_for = chain_of(raw_signed_tx)
        if signed_for != self._chain_id:
            raise WrongChain(
                f"signed for chain {signed_for}, the configured one is {self._chain_id}",
                hint="sign for this chain",
            )
        tx_hash = transaction_hash(raw_signed_tx)
        try:
            self._request("eth_sendRawTransaction", ["0x" + raw_signed_tx.hex()])
        except ChainFault as fault:
            if any(word in fault.message.lower() for word in _KNOWN):
                return tx_hash
            if self._request("eth_getTransactionByHash", [tx_hash]) is not None:
                return tx_hash
            if fault.rpc_code == _INVALID_PARAMS:
                raise InvalidTransaction(fault.message, hint="send the raw signed bytes") from fault
            raise TransactionRefused(
                fault.message, hint="ask for the nonce and the fee again, and sign anew"
            ) from fault
        return tx_hash

    def receipt(self, tx_hash: TxHash) -> Receipt | None:
        found = self._request("eth_getTransactionReceipt", [tx_hash])
        if found is None or found.get("blockHash") is None:
            return None
        status = _number(found["status"])
        created = found.get("contractAddress")
        return Receipt(
            tx_hash=found["transactionHash"],
            status=status,
            block_number=_number(found["blockNumber"]),
            block_hash=found["blockHash"],
            gas_used=_number(found["gasUsed"]),
            logs=tuple(_log(log) for log in found["logs"]),
            contract_address=_address(created) if created and status else None,
            revert_data=None if status else self._revert_data(tx_hash, _number(found["blockNumber"])),
        )

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
        return _data(self._on_state("eth_getStorageAt", [address, hex(slot)], block)).rjust(32, b"\x00")

    def nonce(self, address: Address) -> int:
        return _number(self._request("eth_getTransactionCount", [address, "pending"]))

    def balance(self, address: Address, block: int | None = None) -> int:
        return _number(self._on_state("eth_getBalance", [address], block))

    def code(self, address: Address, block: int | None = None) -> bytes:
        return _data(self._on_state("eth_getCode", [address], block))

    def gas_price(self) -> int:
        newest = self._request("eth_getBlockByNumber", ["latest", False])
        suggested = _number(self._request("eth_gasPrice", []))
        return max(suggested, 2 * _number(newest.get("baseFeePerGas") or "0x0"))

    def estimate_gas(
        self, to: Address | None, data: bytes, *, sender: Address = NOBODY, value: int = 0
    ) -> int:
        request = {"from": sender, "input": "0x" + data.hex(), "value": hex(value)}
        return _number(self._request("eth_estimateGas", [request | ({"to": to} if to else {})]))

    # -- inside --

    def _block(self, tag: str) -> BlockRef:
        found = self._request("eth_getBlockByNumber", [tag, False])
        if found is None:
            raise UnknownBlock(f"there is no block {tag}")
        return BlockRef(
            number=_number(found["number"]),
            hash=found["hash"],
            parent_hash=found["parentHash"],
            timestamp=_number(found["timestamp"]),
        )

    def _page(self, first: int, last: int, addresses: Collection[Address] | None) -> list[Log]:
        """One page, halved for as long as the node finds it too much for one answer."""
        query: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last)}
        if addresses is not None:
            query["address"] = sorted(addresses)
        try:
            answer = self._request("eth_getLogs", [query])
        except ChainFault as fault:
            if fault.rpc_code != _LIMIT_EXCEEDED or first == last:
                raise
            middle = (first + last) // 2
            return self._page(first, middle, addresses) + self._page(middle + 1, last, addresses)
        return sorted((_log(log) for log in answer), key=lambda log: (log.block_number, log.log_index))

    def _revert_data(self, tx_hash: TxHash, block: int) -> bytes | None:
        """The contract's answer when the transaction is run again on its parent block."""
        sent = self._request("eth_getTransactionByHash", [tx_hash])
        request = {key: sent[key] for key in ("from", "to", "input", "value", "gas") if sent.get(key)}
        try:
            self._request("eth_call", [request, hex(block - 1)])
        except ContractReverted as reverted:
            return reverted.data
        except ChainFault:
            return None
        return None

    def _on_state(self, method: str, params: list[Any], block: int | None) -> Any:
        try:
            return self._request(method, [*params, "latest" if block is None else hex(block)])
        except ChainFault:
            if block is not None:
                self.block(block)
            raise

    def _request(self, method: str, params: Sequence[Any]) -> Any:
        if not self._checked:
            self._check_chain()
        try:
            return self._ask(method, params)
        except ChainUnreachable:
            self._checked = False
            raise

    def _check_chain(self) -> None:
        with self._checking:
            found = _number(self._ask("eth_chainId"))
            if found != self._chain_id:
                raise WrongChain(
                    f"{self.url} is chain {found}, the configured one is {self._chain_id}",
                    hint="check CIVIC_RPC_URL",
                )
            self._checked = True

    def _ask(self, method: str, params: Sequence[Any] = ()) -> Any:
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
        return response.get("result")

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
    message, code, data = str(error.get("message", "")), int(error.get("code", 0)), error.get("data")
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if code == 3 or "revert" in message.lower():
        has_data = isinstance(data, str) and data.startswith("0x")
        return ContractReverted(_data(str(data)) if has_data else b"", "" if has_data else message)
    return ChainFault(message or f"error {code}", rpc_code=code)


def _log(found: dict[str, Any]) -> Log:
    return Log(
        address=_address(found["address"]),
        topics=tuple(found["topics"]),
        data=_data(found["data"]),
        block_number=_number(found["blockNumber"]),
        block_hash=found["blockHash"],
        tx_hash=found["transactionHash"],
        log_index=_number(found["logIndex"]),
    )


def _number(quantity: str) -> int:
    return int(quantity, 16)


def _data(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _address(text: str) -> Address:
    return str(to_checksum_address(text))
