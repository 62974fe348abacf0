"""JSON-RPC 2.0 for the embedded chain: an allow-list of methods without administration methods.

Sources: ethereum/execution-apis (methods, tags), EIP-1474 (error codes), geth (3 for a revert, with its data).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from eth.abc import BlockHeaderAPI

from ledger.chain.embedded import rules, wire
from ledger.chain.embedded.chain import EmbeddedChain
from ledger.chain.embedded.execution import CallRequest
from ledger.chain.embedded.reader import block_logs
from ledger.chain.errors import (
    CallTooCostly,
    ChainError,
    ContractReverted,
    InvalidTransaction,
    TransactionRefused,
    UnknownBlock,
    WrongChain,
)

MAX_BATCH = 100
MAX_LOG_BLOCKS = 1000
MAX_LOGS = 10_000
MAX_FEE_HISTORY = 1024
MAX_CALL_GAS = 20_000_000
"""The gas limit of external callers: two or three of the largest deployments, and at most some seconds of py-evm."""

CALL_SECONDS = 2.0
"""The time limit of one external call or estimate in the EVM."""
MESSAGE_SECONDS = 4.0
"""The time after which no further request of a message (a request or a batch) is started."""

CLIENT_VERSION = "civicledger/py-evm"

PARSE, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
SERVER, REJECTED, LIMIT, REVERTED = -32000, -32003, -32005, 3

Json = Any

_LOG = logging.getLogger(__name__)
_NEWEST = ("latest", "safe", "finalized", "pending")


class RpcError(ChainError):
    """An error for the client: JSON-RPC number, message and data."""

    code = "chain.rpc"

    def __init__(self, number: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.number = number
        self.data = data


class JsonRpc:
    """Answers requests. Thread-safe. One EVM call runs at a time, so that mining and other requests are not delayed."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._chain = chain
        self._reader = chain.reader
        self._evm = threading.BoundedSemaphore(1)
        self._allowed = _Allowance()
        self._methods: dict[str, tuple[int, int, Callable[..., Json]]] = {
            "web3_clientVersion": (0, 0, lambda: CLIENT_VERSION),
            "net_version": (0, 0, lambda: str(chain.chain_id)),
            "eth_chainId": (0, 0, lambda: wire.quantity(chain.chain_id)),
            "eth_blockNumber": (0, 0, lambda: wire.quantity(chain.head().number)),
            "eth_getBlockByHash": (2, 2, self._block_by_hash),
            "eth_getBlockByNumber": (2, 2, self._block_by_number),
            "eth_getBlockReceipts": (1, 1, self._block_receipts),
            "eth_getTransactionByHash": (1, 1, self._transaction),
            "eth_getTransactionReceipt": (1, 1, self._receipt),
            "eth_getTransactionCount": (1, 2, self._nonce),
            "eth_getBalance": (1, 2, self._balance),
            "eth_getCode": (1, 2, self._code),
            "eth_getStorageAt": (2, 3, self._storage),
            "eth_call": (1, 2, self._call),
            "eth_estimateGas": (1, 2, self._estimate),
            "eth_gasPrice": (0, 0, lambda: wire.quantity(chain.gas_price())),
            "eth_maxPriorityFeePerGas": (0, 0, lambda: wire.quantity(0)),
            "eth_feeHistory": (2, 3, self._fee_history),
            "eth_getLogs": (1, 1, self._logs),
            "eth_sendRawTransaction": (1, 1, self._send),
        }

    @property
    def methods(self) -> frozenset[str]:
        """The names of the available methods."""
        return frozenset(self._methods)

    def answer(self, message: Json) -> Json | None:
        """The response to a request or a batch; None when there is none (notifications).

        The limits on time and number of logs apply to the message as a whole.
        """
        self._allowed.until, self._allowed.logs = time.monotonic() + MESSAGE_SECONDS, MAX_LOGS
        if not isinstance(message, list):
            return self._answer_one(message)
        if not message:
            return _error(None, RpcError(INVALID_REQUEST, "an empty batch"))
        if len(message) > MAX_BATCH:
            return _error(None, RpcError(LIMIT, f"a batch has at most {MAX_BATCH} requests"))
        answers = [answer for one in message if (answer := self._answer_one(one)) is not None]
        return answers or None

    def _answer_one(self, request: Json) -> Json | None:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, RpcError(INVALID_REQUEST, "not a JSON-RPC 2.0 request"))
        request_id = request.get("id")
        try:
            result = self._run(request["method"], request.get("params", []))
        except ContractReverted as reverted:
            if reverted.data or "no reason" in reverted.message:
                message = f"execution reverted: {reverted.message.partition(': ')[2]}"
            else:
                message = reverted.message
            answer = _error(request_id, RpcError(REVERTED, message, wire.data(reverted.data)))
        except RpcError as error:
            answer = _error(request_id, error)
        except CallTooCostly as error:
            answer = _error(request_id, RpcError(LIMIT, error.message))
        except (InvalidTransaction, WrongChain) as error:
            answer = _error(request_id, RpcError(INVALID_PARAMS, error.message))
        except TransactionRefused as error:
            answer = _error(request_id, RpcError(REJECTED, error.message))
        except ChainError as error:
            _LOG.warning("%s failed: %s", request["method"], error)
            answer = _error(request_id, RpcError(SERVER, f"{error.code}: {error.message}"))
        else:
            answer = {"jsonrpc": "2.0", "id": request_id, "result": result}
        return answer if "id" in request else None

    def _run(self, name: str, params: Json) -> Json:
        if name not in self._methods:
            raise RpcError(NO_METHOD, f"the method {name[:80]} does not exist or is not allowed")
        least, most, method = self._methods[name]
        if not isinstance(params, list) or not least <= len(params) <= most:
            raise RpcError(INVALID_PARAMS, f"{name} takes a list of {least} to {most} parameters")
        self._must_have_time()
        return method(*params)

    # -- blocks and transactions --

    def _block_by_hash(self, block_hash: Json, full: Json) -> Json:
        header = self._by_hash(_bytes(block_hash, 32))
        return None if header is None else wire.block(header, self._reader.body(header), full=bool(full))

    def _block_by_number(self, tag: Json, full: Json) -> Json:
        header = self._header_or_none(tag)
        return None if header is None else wire.block(header, self._reader.body(header), full=bool(full))

    def _block_receipts(self, tag: Json) -> Json:
        header = self._header_or_none(tag)
        if header is None:
            return None
        body = self._reader.body(header)
        return [wire.receipt(header, body, index) for index in range(len(body.hashes))]

    def _transaction(self, tx_hash: Json) -> Json:
        wanted = _bytes(tx_hash, 32)
        place = self._reader.locate(wanted)
        if place is None:
            waiting = self._chain.pending(wire.data(wanted))
            return None if waiting is None else wire.pending_transaction(waiting)
        header, index = self._reader.header(place[0]), place[1]
        raw = self._reader.body(header).transactions[index]
        return wire.mined_transaction(header, rules.decode_transaction(raw), index)

    def _receipt(self, tx_hash: Json) -> Json:
        place = self._reader.locate(_bytes(tx_hash, 32))
        if place is None:
            return None
        header = self._reader.header(place[0])
        return wire.receipt(header, self._reader.body(header), place[1])

    def _send(self, raw: Json) -> Json:
        return self._chain.send(_bytes(raw))

    # -- state --

    def _nonce(self, address: Json, tag: Json = "latest") -> Json:
        if tag == "pending":
            return wire.quantity(self._chain.nonce(wire.data(_bytes(address, 20))))
        return wire.quantity(self._reader.account(self._header(tag), _bytes(address, 20)).nonce)

    def _balance(self, address: Json, tag: Json = "latest") -> Json:
        return wire.quantity(self._reader.account(self._header(tag), _bytes(address, 20)).balance)

    def _code(self, address: Json, tag: Json = "latest") -> Json:
        return wire.data(self._reader.code(self._header(tag), _bytes(address, 20)))

    def _storage(self, address: Json, slot: Json, tag: Json = "latest") -> Json:
        return wire.data(self._reader.storage(self._header(tag), _bytes(address, 20), _integer(slot)))

    def _call(self, request: Json, tag: Json = "latest") -> Json:
        block = None if tag in _NEWEST else self._header(tag).block_number
        with self._turn() as deadline:
            return wire.data(self._chain.run(_call_request(request, deadline), block))

    def _estimate(self, request: Json, tag: Json = "latest") -> Json:
        if tag not in _NEWEST:
            raise RpcError(INVALID_PARAMS, "gas is estimated on the newest block only")
        with self._turn() as deadline:
            return wire.quantity(self._chain.estimate(_call_request(request, deadline)))

    @contextmanager
    def _turn(self) -> Iterator[float]:
        """Lock the EVM for one request; yields its deadline."""
        left = self._allowed.until - time.monotonic()
        if left <= 0 or not self._evm.acquire(timeout=left):
            raise RpcError(LIMIT, "too many calls: ask again later")
        try:
            yield min(self._allowed.until, time.monotonic() + CALL_SECONDS)
        finally:
            self._evm.release()

    def _must_have_time(self) -> None:
        if time.monotonic() > self._allowed.until:
            raise RpcError(LIMIT, "the message took too long: ask for less at once")

    def _fee_history(self, count: Json, newest: Json, percentiles: Json = None) -> Json:
        if not isinstance(percentiles, list | None) or len(percentiles or ()) > 100:
            raise RpcError(INVALID_PARAMS, "percentiles are a list of at most 100")
        last = self._header(newest)
        blocks = min(_integer(count), MAX_FEE_HISTORY, last.block_number + 1)
        first = last.block_number + 1 - blocks
        headers = [self._reader.header(number) for number in range(first, last.block_number + 1)]
        next_fee = self._chain.context_after(last).base_fee_per_gas or 0
        history = {
            "oldestBlock": wire.quantity(first),
            "baseFeePerGas": [wire.quantity(h.base_fee_per_gas or 0) for h in headers]
            + [wire.quantity(next_fee)],
            "gasUsedRatio": [h.gas_used / h.gas_limit for h in headers],
            "baseFeePerBlobGas": ["0x1"] * (blocks + 1),
            "blobGasUsedRatio": [0.0] * blocks,
        }
        if percentiles:
            history["reward"] = [["0x0"] * len(percentiles)] * blocks
        return history

    # -- logs --

    def _logs(self, query: Json) -> Json:
        if not isinstance(query, dict):
            raise RpcError(INVALID_PARAMS, "a filter is an object")
        addresses, topics = _addresses(query.get("address")), _topics(query.get("topics"))
        found: list[Json] = []
        for header in self._log_blocks(query):
            self._must_have_time()
            if not header.bloom:
                continue
            body = self._reader.body(header)
            for index in range(len(body.hashes)):
                for entry in block_logs(header, body, index):
                    if (addresses is None or entry.address.lower() in addresses) and _matches(
                        entry.topics, topics
                    ):
                        found.append(wire.log(entry, index))
            if len(found) > self._allowed.logs:
                raise RpcError(LIMIT, f"more than {MAX_LOGS} logs: ask for fewer blocks")
        self._allowed.logs -= len(found)
        return found

    def _log_blocks(self, query: dict[str, Json]) -> list[BlockHeaderAPI]:
        if query.get("blockHash") is not None:
            if query.get("fromBlock") is not None or query.get("toBlock") is not None:
                raise RpcError(INVALID_PARAMS, "either blockHash or fromBlock and toBlock")
            header = self._by_hash(_bytes(query["blockHash"], 32))
            if header is None:
                raise RpcError(SERVER, "unknown block")
            return [header]
        head = self._reader.head().block_number
        first = self._number(query.get("fromBlock"), head)
        last = self._number(query.get("toBlock"), head)
        if first > last:
            raise RpcError(INVALID_PARAMS, "fromBlock is after toBlock")
        if last - first >= MAX_LOG_BLOCKS:
            raise RpcError(LIMIT, f"at most {MAX_LOG_BLOCKS} blocks at once")
        return [self._reader.header(number) for number in range(first, min(last, head) + 1)]

    # -- which block --

    def _header(self, tag: Json) -> BlockHeaderAPI:
        header = self._header_or_none(tag)
        if header is None:
            raise RpcError(SERVER, "header not found")
        return header

    def _header_or_none(self, tag: Json) -> BlockHeaderAPI | None:
        """The header for a number, a tag, or an EIP-1898 object. The chain has no forks, so every mined block is safe and
        finalized."""
        if isinstance(tag, dict):
            if "blockHash" in tag:
                return self._by_hash(_bytes(tag["blockHash"], 32))
            tag = tag.get("blockNumber")
        if tag in _NEWEST:
            return self._reader.head()
        try:
            return self._reader.header(0 if tag == "earliest" else _integer(tag))
        except UnknownBlock:
            return None

    def _by_hash(self, block_hash: bytes) -> BlockHeaderAPI | None:
        try:
            return self._reader.header_by_hash(block_hash)
        except UnknownBlock:
            return None

    def _number(self, tag: Json, head: int) -> int:
        if tag is None or tag in _NEWEST:
            return head
        return 0 if tag == "earliest" else _integer(tag)


class _Allowance(threading.local):
    """The remaining limits of the message that this thread answers: deadline and number of logs."""

    until = 0.0
    logs = 0


def _error(request_id: Json, error: RpcError) -> Json:
    body: dict[str, Json] = {"code": error.number, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": request_id, "error": body}


def _bytes(text: Json, length: int | None = None) -> bytes:
    try:
        if not isinstance(text, str) or not text.startswith("0x"):
            raise ValueError
        value = bytes.fromhex(text[2:])
    except ValueError:
        raise RpcError(INVALID_PARAMS, "bytes are written 0x and two hex digits each") from None
    if length is not None and len(value) != length:
        raise RpcError(INVALID_PARAMS, f"{length} bytes expected, not {len(value)}")
    return value


def _integer(text: Json) -> int:
    try:
        if not isinstance(text, str) or not text.startswith("0x") or len(text) > 66:
            raise ValueError
        return int(text[2:], 16)
    except ValueError:
        raise RpcError(INVALID_PARAMS, "a number is written 0x and at most 64 hex digits") from None


def _call_request(request: Json, deadline: float) -> CallRequest:
    if not isinstance(request, dict):
        raise RpcError(INVALID_PARAMS, "a call is an object")
    given = request.get("input") if request.get("input") is not None else request.get("data")
    return CallRequest(
        sender=_bytes(request["from"], 20) if request.get("from") is not None else bytes(20),
        to=_bytes(request["to"], 20) if request.get("to") is not None else None,
        data=_bytes(given) if given is not None else b"",
        value=_integer(request["value"]) if request.get("value") is not None else 0,
        gas=min(MAX_CALL_GAS, _integer(request["gas"]) if request.get("gas") is not None else MAX_CALL_GAS),
        deadline=deadline,
    )


def _addresses(given: Json) -> frozenset[str] | None:
    if given is None:
        return None
    return frozenset(wire.data(_bytes(one, 20)) for one in (given if isinstance(given, list) else [given]))


def _topics(given: Json) -> list[frozenset[str] | None]:
    """The topic filter by position: None matches any topic, a set matches each of its members."""
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > 4:
        raise RpcError(INVALID_PARAMS, "topics are a list of at most four")
    return [
        None
        if wanted is None
        else frozenset(
            wire.data(_bytes(one, 32)) for one in (wanted if isinstance(wanted, list) else [wanted])
        )
        for wanted in given
    ]


def _matches(topics: tuple[str, ...], wanted: list[frozenset[str] | None]) -> bool:
    return len(topics) >= len(wanted) and all(
        choice is None or topic in choice for topic, choice in zip(topics, wanted, strict=False)
    )
