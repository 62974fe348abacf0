"""What one caller of the chain's JSON-RPC may cost: seconds of the EVM, answers, connections."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from ledger.chain.embedded import serve
from ledger.chain.embedded.chain import EmbeddedChain
from ledger.chain.embedded.jsonrpc import LIMIT, MESSAGE_SECONDS, REJECTED
from ledger.chain.embedded.serve import Server, serve_chain
from ledger.chain.errors import TransactionRefused

from .conftest import Bytecode, Sender
from .test_serve import Wire

LOOP = "0x5b600056"
"""Endless, as code that deploys."""
COPYING = "0x5b6201000060006000396000556000600056"
PAIRING = "0x60006000600060006000600862989680f1005b"
"""Calls the precompile at 8 with ten million gas."""
BLAKE = "0x6000600060d560006000600962989680f1"


@pytest.fixture
def server(embedded: EmbeddedChain) -> Iterator[Server]:
    running = serve_chain(embedded, port=0)
    yield running
    running.close()


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server.url)


def line_to(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def timed(wire: Wire, message: object) -> tuple[float, object]:
    began = time.monotonic()
    status, answer = wire.post(json.dumps(message).encode())
    assert status == 200
    return time.monotonic() - began, answer


def request(method: str, *params: object, number: int = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


@pytest.mark.parametrize("code", [LOOP, COPYING, PAIRING], ids=["loop", "copying", "pairing"])
@pytest.mark.parametrize("method", ["eth_estimateGas", "eth_call"])
def test_evm_time_of_a_request_is_limited(wire: Wire, method: str, code: str) -> None:
    taken, answer = timed(wire, request(method, {"data": code, "gas": "0xffffffff"}))
    assert isinstance(answer, dict)
    assert "error" in answer
    assert taken < 4


def test_a_batch_has_no_more_time_than_one_message(wire: Wire) -> None:
    costly = [request("eth_estimateGas", {"data": LOOP}, number=n) for n in range(100)]
    taken, answers = timed(wire, costly)
    assert isinstance(answers, list)
    assert len(answers) == 100
    assert answers[-1]["error"]["code"] == LIMIT
    assert taken < MESSAGE_SECONDS + 4


def test_blocks_are_mined_and_heads_told_while_the_evm_is_asked_for_everything(relayer, server, bytecode):
    wire = Wire(server.url)
    over = threading.Event()

    def attack() -> None:
        while not over.is_set():
            wire.post(json.dumps([request("eth_estimateGas", {"data": LOOP})] * 20).encode())

    attackers = [threading.Thread(target=attack) for _ in range(4)]
    for one in attackers:
        one.start()
    try:
        time.sleep(0.5)
        relayer.deploy(bytecode.counter)
        began = time.monotonic()
        for _ in range(5):
            wire.result("eth_blockNumber")
        assert time.monotonic() - began < 3
    finally:
        over.set()
        for one in attackers:
            one.join()


@pytest.mark.parametrize("code", [LOOP, PAIRING, BLAKE], ids=["loop", "pairing", "blake"])
def test_costly_transaction_does_not_block_the_chain(
    relayer: Sender, server: Server, bytecode: Bytecode, code: str
) -> None:
    """An attacker with the relayer's key, or its funds, sends transactions that keep the chain busy for
    minutes."""
    wire = Wire(server.url)
    counter = relayer.deploy(bytecode.counter)
    too_much = relayer.sign(counter, gas=100_000_000)
    assert wire.error("eth_sendRawTransaction", "0x" + too_much.hex())["code"] == REJECTED
    before = relayer.sign(counter, gas=100_000)
    costly = relayer.sign(None, bytes.fromhex(code[2:]), gas=30_000_000, nonce=relayer_nonce(relayer) + 1)
    earlier = wire.result("eth_sendRawTransaction", "0x" + before.hex())
    refused = wire.result("eth_sendRawTransaction", "0x" + costly.hex())
    assert relayer.chain.wait(earlier, timeout=60).succeeded
    with pytest.raises(TransactionRefused):
        relayer.chain.wait(refused, timeout=60)
    assert relayer.send(counter).succeeded, "with the nonce that was not used"


def relayer_nonce(relayer: Sender) -> int:
    return relayer.chain.nonce(relayer.address)


def test_incomplete_requests_time_out_and_block_nobody(
    server: Server, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "READING_SECONDS", 2.0)
    lines = [line_to(server) for _ in range(serve.MAX_CONNECTIONS + 20)]
    try:
        for line in lines:
            try:
                line.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-")
            except OSError:
                continue  # It was closed for a newer one.
        assert wire.result("eth_chainId")
        dripping = line_to(server)
        began = time.monotonic()
        drip(dripping, began)
        assert time.monotonic() - began < 8
    finally:
        for line in lines:
            line.close()


def drip(line: socket.socket, began: float) -> None:
    line.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nX: ")
    with suppress(OSError):
        while time.monotonic() - began < 20:
            line.sendall(b"x")
            time.sleep(0.1)
