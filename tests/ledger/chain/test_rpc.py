"""The JSON-RPC client against nodes that are wrong, gone, odd, or long."""

from __future__ import annotations

import itertools
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import pytest

from ledger.chain import proven
from ledger.chain.answers import receipts, transaction
from ledger.chain.embedded import EmbeddedChain, SimulatedClock, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import ChainError, ChainFault, ChainUnreachable, ContractReverted, WrongChain
from ledger.chain.rpc import RpcChain
from ledger.chain.transactions import address_of


@pytest.fixture
def node():
    """Start an HTTP server that gives fixed answers: method -> result, or an exception body."""
    running: list[HTTPServer] = []

    def start(answers: dict, raw: bytes | None = None, status: int = 200) -> str:
        class Node(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = answers.get(
                    request["method"], {"error": {"code": -32601, "message": "no such method"}}
                )
                if callable(answer):
                    answer = answer(*request["params"])
                body = raw if raw is not None else json.dumps({"jsonrpc": "2.0", "id": 1} | answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(ConnectionError):  # The caller did not wait.
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Node)
        running.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_another_chain_than_the_configured_one_is_refused_before_anything_is_asked(served):
    stranger = RpcChain(served.url, served.chain_id + 1)
    for use in (stranger.head, lambda: stranger.nonce("0x" + "12" * 20)):
        with pytest.raises(WrongChain):
            use()


def test_node_replaced_by_another_chain_is_detected(tmp_path, relayer_key):
    """The node is stopped and another chain answers at its address."""
    owner = address_of(relayer_key)
    with EmbeddedChain.create(tmp_path / "one", random_chain_id(), owner, clock=SimulatedClock()) as one:
        server = serve_chain(one, port=0)
        client = RpcChain(server.url, one.chain_id, timeout=10)
        assert client.head() == one.head()
        server.close()
    with pytest.raises(ChainUnreachable):
        client.head()
    port = int(server.url.rpartition(":")[2])
    with EmbeddedChain.create(tmp_path / "two", random_chain_id(), owner, clock=SimulatedClock()) as two:
        other = serve_chain(two, port=port)
        with pytest.raises(WrongChain):
            client.head()
        other.close()


def test_missing_node_is_unreachable():
    with pytest.raises(ChainUnreachable):
        RpcChain("http://127.0.0.1:1", 5, timeout=1).head()
    with pytest.raises(ChainUnreachable):
        RpcChain("http://no-such-host.invalid", 5, timeout=1).head()


def test_a_node_that_hangs_is_unreachable(node):
    pause = threading.Event()
    url = node({"eth_chainId": lambda: pause.wait(3) or {"result": "0x5"}})
    with pytest.raises(ChainUnreachable):
        RpcChain(url, 5, timeout=0.2).head()
    pause.set()


def test_server_that_is_not_a_node_is_unreachable(node):
    for raw, status in ((b"<html>hello</html>", 200), (b"{}", 503), (b"gone", 404)):
        with pytest.raises(ChainUnreachable):
            RpcChain(node({}, raw, status), 5, timeout=1).head()


BLOCK = {
    "number": "0x1",
    "hash": "0x" + "01" * 32,
    "parentHash": "0x" + "02" * 32,
    "timestamp": "0x6",
    "transactions": [],
}
RECEIPT = {
    "status": "0x1",
    "transactionHash": "0x" + "03" * 32,
    "blockNumber": "0x1",
    "blockHash": "0x" + "01" * 32,
    "gasUsed": "0x5208",
    "logs": [],
}


def timed(client: RpcChain) -> float:
    began = time.monotonic()
    assert client.head().number == 1
    return time.monotonic() - began


def test_unreadable_answer_is_requested_again_at_once(node):
    """The first retry comes without a pause, the second after 0.1 s, so a node that answers correctly every
    third time costs no more."""
    asked = itertools.count()
    answer = {"eth_getBlockByNumber": lambda *_: {"result": BLOCK if next(asked) % 3 == 2 else 7}}
    client = RpcChain(node({"eth_chainId": {"result": "0x5"}} | answer), 5)
    assert statistics.median(timed(client) for _ in range(9)) < 0.28


def test_late_answer_is_requested_again(node):
    """If answers usually come at once, a late one is requested again while the first request is still
    open."""
    asked, over = itertools.count(1), threading.Event()

    def block(*_: object) -> dict:
        if next(asked) % 4 == 0:
            over.wait(6)
        return {"result": BLOCK}

    client = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_getBlockByNumber": block}), 5)
    assert max(timed(client) for _ in range(9)) < 4
    over.set()


def test_concurrent_callers_share_one_chain_id_request(node):
    asked = itertools.count()

    def chain() -> dict:
        next(asked)
        time.sleep(0.5)
        return {"result": "0x5"}

    client = RpcChain(node({"eth_chainId": chain, "eth_getBlockByNumber": {"result": BLOCK}}), 5)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: client.head(), range(6)))
    assert next(asked) == 1


def test_a_node_that_is_always_slow_is_asked_once(node):
    asked = itertools.count()

    def block(*_: object) -> dict:
        next(asked)
        time.sleep(0.4)
        return {"result": BLOCK}

    client = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_getBlockByNumber": block}), 5)
    for _ in range(4):
        timed(client)
    assert next(asked) == 4


def test_a_node_that_became_slow_is_asked_once_again_after_a_while(node):
    asked, pause = itertools.count(), [0.0]

    def block(*_: object) -> dict:
        next(asked)
        time.sleep(pause[0])
        return {"result": BLOCK}

    client = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_getBlockByNumber": block}), 5)
    for pause[0] in (0.0, 0.4):
        for _ in range(8):
            timed(client)
    before = next(asked)
    for _ in range(3):
        timed(client)
    assert next(asked) - before - 1 == 3


@pytest.mark.parametrize(
    "block",
    [
        "0x1",
        7,
        [],
        {},
        BLOCK | {"number": 1},
        BLOCK | {"number": None},
        BLOCK | {"number": "one"},
        BLOCK | {"number": "-0x1"},
        BLOCK | {"number": "0x" + "f" * 17},
        BLOCK | {"timestamp": "0x" + "f" * 10},
        BLOCK | {"timestamp": []},
        BLOCK | {"hash": None},
        BLOCK | {"hash": 5},
        BLOCK | {"hash": "0x12"},
        BLOCK | {"parentHash": "\ud800"},
    ],
)
def test_unreadable_block_counts_as_no_answer(block, node):
    chain = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_getBlockByNumber": {"result": block}}), 5)
    for use in (chain.head, lambda: chain.block(1)):
        with pytest.raises(ChainUnreachable, match="eth_getBlockByNumber"):
            use()


@pytest.mark.parametrize(
    ("method", "result", "use"),
    [
        ("eth_call", 7, lambda chain: chain.call("0x" + "12" * 20, b"")),
        ("eth_call", None, lambda chain: chain.call("0x" + "12" * 20, b"")),
        ("eth_call", "0xzz", lambda chain: chain.call("0x" + "12" * 20, b"")),
        ("eth_getStorageAt", {}, lambda chain: chain.storage("0x" + "12" * 20, 0)),
        ("eth_getTransactionCount", "many", lambda chain: chain.nonce("0x" + "12" * 20)),
        ("eth_getTransactionReceipt", "0x", lambda chain: chain.receipt("0x" + "03" * 32)),
        (
            "eth_getTransactionReceipt",
            RECEIPT | {"logs": [None]},
            lambda chain: chain.receipt("0x" + "03" * 32),
        ),
        ("eth_getBlockByNumber", {"number": "0x1"}, lambda chain: chain.logs(0, 1)),
        (
            "eth_getTransactionByHash",
            [],
            lambda chain: chain.ask("eth_getTransactionByHash", [], transaction),
        ),
        ("eth_getBlockReceipts", 5, lambda chain: chain.ask("eth_getBlockReceipts", ["0x1"], receipts)),
        ("eth_getBlockByNumber", BLOCK, lambda chain: chain.evidence(1)),
    ],
)
def test_unreadable_answer_counts_as_no_answer(method, result, use, node):
    answers = {"eth_chainId": {"result": "0x5"}, "eth_getBlockByNumber": {"result": BLOCK}}
    chain = RpcChain(node(answers | {method: {"result": result}}), 5)
    with pytest.raises(ChainUnreachable, match=method):
        use(chain)


@pytest.mark.parametrize("wrong", [7, {}, BLOCK | {"number": []}, "0x1"])
def test_unreadable_answer_is_requested_again(wrong, node):
    """One in three answers is wrong, like those of a restarting node behind a load balancer."""
    asked = []

    def block(*_: object) -> dict[str, object]:
        asked.append(1)
        return {"result": wrong if len(asked) % 3 == 1 else BLOCK}

    chain = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_getBlockByNumber": block}), 5)
    assert [chain.head().number for _ in range(6)] == [1] * 6
    assert len(asked) == 9


@pytest.mark.parametrize("code", ["x", None, [], {}, "9" * 5_000])
def test_an_error_without_a_number_is_still_the_nodes(code, node):
    error = {"code": code, "message": "out of luck"}
    chain = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_call": {"error": error}}), 5)
    with pytest.raises(ChainFault, match="out of luck"):
        chain.call("0x" + "12" * 20, b"")


def test_non_numeric_chain_id_counts_as_no_answer(node):
    for answer in ("five", 5, None, {}):
        with pytest.raises(ChainUnreachable, match="eth_chainId"):
            RpcChain(node({"eth_chainId": {"result": answer}}), 5).head()


@pytest.mark.parametrize(
    "error",
    [
        {"code": 3, "message": "execution reverted", "data": "0xdeadbeef"},
        {"code": -32000, "message": "Execution reverted", "data": "0xdeadbeef"},
        {"code": -32603, "message": "Internal error: revert", "data": {"data": "0xdeadbeef", "message": "x"}},
    ],
    ids=["geth", "besu", "hardhat"],
)
def test_every_way_of_saying_reverted_is_understood(error, node):
    chain = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_call": {"error": error}}), 5)
    with pytest.raises(ContractReverted) as refused:
        chain.call("0x" + "12" * 20, b"")
    assert refused.value.data == bytes.fromhex("deadbeef")


def test_other_errors_keep_the_nodes_words(node):
    error = {"code": -32000, "message": "out of luck"}
    chain = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_call": {"error": error}}), 5)
    with pytest.raises(ChainFault, match="out of luck"):
        chain.call("0x" + "12" * 20, b"")


def test_headers_and_receipts_of_many_blocks_verify(embedded, served, relayer, bytecode, monkeypatch):
    address = relayer.deploy(bytecode.counter)
    for number in range(12):
        relayer.send(address, bytes([number]))
    last = embedded.head().number
    whole = embedded.segment(0, last, [address])
    assert [log.data[0] for log in whole.logs] == list(range(12))
    for at_once in (1, 7, 50):
        monkeypatch.setattr(proven, "AT_ONCE", at_once)
        assert served.segment(0, last, [address]) == whole


def test_a_server_that_was_closed_answers_nothing_more(tmp_path, relayer_key):
    """Also on open connections, because data that arrive after ``SHUT_RD`` can still be read."""
    owner = address_of(relayer_key)
    with EmbeddedChain.create(tmp_path / "one", random_chain_id(), owner, clock=SimulatedClock()) as one:
        for _ in range(8):
            server = serve_chain(one, port=0)
            client = RpcChain(server.url, one.chain_id, timeout=10)
            assert client.head() == one.head()
            server.close()
            with pytest.raises(ChainUnreachable):
                client.head()


@pytest.mark.parametrize("fault", ["gone", "no node", "another chain", "no URL"])
def test_messages_about_a_node_contain_no_secret_of_its_url(fault: str, node) -> None:
    """The message reaches every caller of the service, and providers put keys into paths and queries."""
    hosts = {
        "gone": "http://127.0.0.1:1",
        "no node": node({}, raw=b"hello"),
        "another chain": node({"eth_chainId": {"result": "0x5"}}),
    }
    host = hosts.get(fault, "").removeprefix("http://")
    url = f"http://clerk:5ecret@{host}/v3/5ecret?key=5ecret" if host else "clerk:5ecret@host/5ecret"
    with pytest.raises(ChainError) as refused:
        RpcChain(url, 4, timeout=3).head()
    assert "5ecret" not in str(refused.value) + refused.value.hint
    assert host in refused.value.message
