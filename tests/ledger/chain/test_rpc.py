"""The JSON-RPC client against nodes that are wrong, gone, odd, or long."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ledger.chain.embedded import EmbeddedChain, SimulatedClock, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import ChainFault, ChainUnreachable, ContractReverted, WrongChain
from ledger.chain.rpc import LOG_PAGE, RpcChain
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
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Node)
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


def test_a_node_that_was_exchanged_is_noticed(tmp_path, relayer_key):
    """The node goes away and another chain answers at its address."""
    owner = address_of(relayer_key)
    with EmbeddedChain.create(tmp_path / "one", random_chain_id(), owner, clock=SimulatedClock()) as one:
        server = serve_chain(one, port=0)
        client = RpcChain(server.url, one.chain_id, timeout=2)
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


def test_nobody_there_is_unreachable():
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


def test_something_that_is_no_node_is_unreachable(node):
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
def test_a_block_that_cannot_be_read_is_as_good_as_none(block, node):
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
        ("eth_getLogs", {"a": 1}, lambda chain: chain.logs(0, 1)),
        ("eth_getLogs", [{"address": "0x12"}], lambda chain: chain.logs(0, 1)),
        ("eth_getBlockReceipts", 5, lambda chain: chain.evidence(1)),
    ],
)
def test_an_answer_that_cannot_be_read_is_as_good_as_none(method, result, use, node):
    answers = {"eth_chainId": {"result": "0x5"}, "eth_getBlockByNumber": {"result": BLOCK}}
    chain = RpcChain(node(answers | {method: {"result": result}}), 5)
    with pytest.raises(ChainUnreachable, match=method):
        use(chain)


@pytest.mark.parametrize("code", ["x", None, [], {}, "9" * 5_000])
def test_an_error_without_a_number_is_still_the_nodes(code, node):
    error = {"code": code, "message": "out of luck"}
    chain = RpcChain(node({"eth_chainId": {"result": "0x5"}, "eth_call": {"error": error}}), 5)
    with pytest.raises(ChainFault, match="out of luck"):
        chain.call("0x" + "12" * 20, b"")


def test_a_chain_id_that_is_no_number_is_as_good_as_none(node):
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


def _log_answer(number: int) -> dict:
    return {
        "address": "0x" + "12" * 20,
        "topics": [],
        "data": "0x",
        "blockNumber": hex(number),
        "blockHash": "0x" + "00" * 32,
        "transactionHash": "0x" + "00" * 32,
        "logIndex": "0x0",
    }


def _long_chain(pages: list[tuple[int, int]], most: int):
    """A node of 2,500 blocks with a log each, that answers at most ``most`` logs at once."""

    def logs(query: dict) -> dict:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if last - first + 1 > most:
            return {"error": {"code": -32005, "message": f"more than {most} results"}}
        pages.append((first, last))
        return {"result": [_log_answer(number) for number in range(first, last + 1)]}

    head = {"number": hex(2500), "hash": "0x" + "01" * 32, "parentHash": "0x" + "02" * 32, "timestamp": "0x1"}
    return {"eth_chainId": {"result": "0x5"}, "eth_getBlockByNumber": {"result": head}, "eth_getLogs": logs}


@pytest.mark.parametrize("most", [10_000, 300])
def test_logs_are_asked_in_pages_and_smaller_ones_when_the_node_wants(most, node):
    pages: list[tuple[int, int]] = []
    chain = RpcChain(node(_long_chain(pages, most)), 5)
    found = chain.logs(1, 9_999)
    assert [log.block_number for log in found] == list(range(1, 2501))
    assert all(last - first < min(LOG_PAGE, most) for first, last in pages)
    if most > LOG_PAGE:
        assert pages == [(1, 1000), (1001, 2000), (2001, 2500)]


def test_pages_of_a_real_chain_add_up(embedded, served, relayer, bytecode):
    address = relayer.deploy(bytecode.counter)
    for number in range(30):
        relayer.send(address, bytes([number]))
    last = embedded.head().number
    everything = embedded.logs(0, last, [address])
    assert [log.data[0] for log in everything] == list(range(30))
    for page in (1, 7, 31, 1000):
        assert RpcChain(served.url, served.chain_id, log_page=page).logs(0, last, [address]) == everything
