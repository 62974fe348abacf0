"""The protocol: what `civic chain serve` answers and what it refuses."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
import rlp
from eth_hash.auto import keccak

from ledger.chain.embedded.serve import MAX_BODY, serve_chain
from ledger.chain.errors import ChainFault
from ledger.chain.transactions import Fees, sign_transaction

ALLOWED = set(
    """
web3_clientVersion net_version eth_chainId eth_blockNumber eth_getBlockByHash eth_getBlockByNumber
eth_getBlockReceipts eth_getTransactionByHash eth_getTransactionReceipt eth_getTransactionCount eth_getBalance
eth_getCode eth_getStorageAt eth_call eth_estimateGas eth_gasPrice eth_maxPriorityFeePerGas eth_feeHistory
eth_getLogs eth_sendRawTransaction
""".split()  # noqa: SIM905
)


class Wire:
    """Plain HTTP to the server."""

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc

    def post(self, body: bytes, path: str = "/", method: str = "POST", **headers: str):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        sent = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, json.loads(content) if content[:1] in (b"{", b"[") else content

    def ask(self, method: str, *params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        status, answer = self.post(json.dumps(request).encode())
        assert (status, answer["jsonrpc"], answer["id"]) == (200, "2.0", 1)
        return answer

    def result(self, method: str, *params):
        answer = self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def error(self, method: str, *params) -> dict:
        return self.ask(method, *params)["error"]


@pytest.fixture
def server(embedded):
    running = serve_chain(embedded, port=0)
    yield running
    running.close()


@pytest.fixture
def wire(server) -> Wire:
    return Wire(server.url)


@pytest.fixture
def counter(relayer, bytecode) -> str:
    return relayer.deploy(bytecode.counter)


def test_only_the_allowed_methods_exist(server, wire):
    assert server.methods == ALLOWED
    forbidden = [
        "evm_revert",
        "evm_mine",
        "eth_sendTransaction",
        "eth_accounts",
        "eth_sign",
        "debug_traceCall",
    ]
    for method in [*forbidden, "personal_unlockAccount", "admin_peers", "__init__", "", "x" * 10_000]:
        assert wire.error(method)["code"] == -32601


def test_identity_and_fees(wire, embedded):
    assert int(wire.result("eth_chainId"), 16) == embedded.chain_id
    assert wire.result("net_version") == str(embedded.chain_id)
    assert wire.result("web3_clientVersion").startswith("civicledger/")
    assert int(wire.result("eth_gasPrice"), 16) == embedded.gas_price()
    assert wire.result("eth_maxPriorityFeePerGas") == "0x0"
    history = wire.result("eth_feeHistory", "0x4", "latest", [50])
    assert (history["oldestBlock"], history["baseFeePerGas"]) == ("0x0", ["0x7", "0x7"])
    assert (history["gasUsedRatio"], history["reward"]) == ([0.0], [["0x0"]])


def test_a_block_can_be_hashed_from_what_is_served(wire, relayer, counter):
    """A client that knows a block's hash can check every root in it."""
    relayer.send(counter, b"x")
    block = wire.result("eth_getBlockByNumber", "latest", False)
    order = """parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom *difficulty *number
        *gasLimit *gasUsed *timestamp extraData mixHash nonce *baseFeePerGas withdrawalsRoot *blobGasUsed
        *excessBlobGas parentBeaconBlockRoot requestsHash""".split()  # noqa: SIM905
    fields = [
        int(block[name[1:]], 16) if name[0] == "*" else bytes.fromhex(block[name][2:]) for name in order
    ]
    assert "0x" + keccak(rlp.encode(fields)).hex() == block["hash"]
    assert wire.result("eth_getBlockByHash", block["hash"], False) == block
    assert wire.result("eth_getBlockByHash", "0x" + "11" * 32, False) is None
    assert wire.result("eth_getBlockByNumber", "0xfffff", False) is None


def test_tags_name_blocks(wire, relayer, counter):
    head = wire.result("eth_blockNumber")
    for tag in ("latest", "safe", "finalized", "pending", head):
        assert wire.result("eth_getBlockByNumber", tag, False)["number"] == head
    assert wire.result("eth_getBlockByNumber", "earliest", False)["number"] == "0x0"
    latest = wire.result("eth_getBlockByNumber", "latest", False)["hash"]
    for block in (head, "latest", {"blockHash": latest}, {"blockNumber": head}):
        assert wire.result("eth_getCode", counter, block) != "0x"
    assert wire.result("eth_getCode", counter, "earliest") == "0x"
    assert wire.error("eth_getCode", counter, "0xfffff")["message"] == "header not found"


def test_a_transaction_is_served_before_and_after_it_is_mined(wire, relayer, counter, embedded):
    with embedded._mining:
        tx_hash = wire.result("eth_sendRawTransaction", "0x" + relayer.sign(counter, b"abc").hex())
        waiting = wire.result("eth_getTransactionByHash", tx_hash)
        assert wire.result("eth_getTransactionReceipt", tx_hash) is None
        assert int(wire.result("eth_getTransactionCount", relayer.address, "pending"), 16) == 2
        assert int(wire.result("eth_getTransactionCount", relayer.address, "latest"), 16) == 1
    embedded.wait(tx_hash)
    mined = wire.result("eth_getTransactionByHash", tx_hash)
    receipt = wire.result("eth_getTransactionReceipt", tx_hash)
    assert waiting["blockHash"] is None
    assert (mined["from"], mined["to"], mined["input"]) == (relayer.address, counter, "0x616263")
    assert mined["gasPrice"] == receipt["effectiveGasPrice"] == "0x7"
    assert (receipt["status"], receipt["type"], receipt["logs"][0]["data"]) == ("0x1", "0x2", "0x616263")
    assert wire.result("eth_getBlockReceipts", receipt["blockNumber"]) == [receipt]
    block = wire.result("eth_getBlockByHash", receipt["blockHash"], True)
    assert block["transactions"] == [mined]
    assert wire.result("eth_getTransactionByHash", "0x" + "11" * 32) is None


@pytest.mark.parametrize("kind", [0, 1])
def test_older_transaction_types_are_accepted(kind, wire, relayer, embedded):
    from eth_account import Account

    fields = {
        "chainId": embedded.chain_id,
        "nonce": 0,
        "to": relayer.address,
        "gas": 30_000,
        "gasPrice": 20,
        "value": 5,
        "data": b"",
    }
    if kind == 1:
        fields |= {
            "type": 1,
            "accessList": [{"address": "0x" + "33" * 20, "storageKeys": ["0x" + "44" * 32]}],
        }
    signed = Account.sign_transaction(fields, relayer.key)
    tx_hash = wire.result("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())
    assert embedded.wait(tx_hash).succeeded
    served = wire.result("eth_getTransactionByHash", tx_hash)
    assert (int(served["type"], 16), int(served["v"], 16), int(served["r"], 16)) == (kind, signed.v, signed.r)
    assert served["gasPrice"] == "0x14"
    if kind == 1:
        assert served["accessList"][0]["storageKeys"] == ["0x" + "44" * 32]


def test_a_revert_is_error_3_with_its_data(wire, relayer, bytecode):
    refuser = relayer.deploy(bytecode.refuser)
    for method in ("eth_call", "eth_estimateGas"):
        error = wire.error(method, {"to": refuser, "data": "0xdeadbeef", "from": relayer.address})
        assert error == {
            "code": 3,
            "message": "execution reverted: custom error 0xdeadbeef",
            "data": "0xdeadbeef",
        }


def test_refused_transaction_has_a_reason(wire, relayer, counter, embedded):
    fees = embedded.fees()
    refused = {
        "nonce too low": sign_transaction(relayer.key, embedded.chain_id, 0, counter, b"", 50_000, fees),
        "nonce too high": sign_transaction(relayer.key, embedded.chain_id, 9, counter, b"", 50_000, fees),
        "max fee": sign_transaction(relayer.key, embedded.chain_id, 1, counter, b"", 50_000, Fees(1)),
        "priority": sign_transaction(relayer.key, embedded.chain_id, 1, counter, b"", 50_000, Fees(99, 100)),
        "above a transaction's limit": sign_transaction(
            relayer.key, embedded.chain_id, 1, counter, b"", 10**9, fees
        ),
        "insufficient funds": sign_transaction(
            b"\x09" * 32, embedded.chain_id, 0, counter, b"", 50_000, fees
        ),
    }
    for reason, raw in refused.items():
        error = wire.error("eth_sendRawTransaction", "0x" + raw.hex())
        assert error["code"] == -32003
        assert reason in error["message"]
    for raw in ("0x", "0x00", "0x02c0", "zz", 5, None, ["0x"]):
        assert wire.error("eth_sendRawTransaction", raw)["code"] == -32602


def test_logs_by_range_by_hash_and_by_topic(wire, relayer, bytecode, counter):
    other = relayer.deploy(bytecode.counter)
    receipts = [relayer.send(to, bytes([n])) for n, to in enumerate([counter, other, counter])]

    def found(**query) -> list[str]:
        return [log["data"] for log in wire.result("eth_getLogs", query)]

    everything = {"fromBlock": "earliest", "toBlock": "latest"}
    first = "0x" + (1).to_bytes(32).hex()
    second = "0x" + (2).to_bytes(32).hex()
    assert found(**everything) == ["0x00", "0x01", "0x02"]
    assert found(**everything, address=counter) == ["0x00", "0x02"]
    assert found(**everything, address=[counter.lower(), other]) == ["0x00", "0x01", "0x02"]
    assert found(**everything, topics=[second]) == ["0x02"]
    assert found(**everything, topics=[[first, second]], address=counter) == ["0x00", "0x02"]
    assert found(**everything, topics=[None]) == ["0x00", "0x01", "0x02"]
    assert found(**everything, topics=[None, None]) == []
    assert found(blockHash=receipts[1].block_hash) == ["0x01"]
    assert found() == ["0x02"], "the newest block when no range is given"
    assert found(fromBlock=hex(receipts[1].block_number), toBlock="latest") == ["0x01", "0x02"]
    assert wire.error("eth_getLogs", {"blockHash": "0x" + "11" * 32})["code"] == -32000
    assert wire.error("eth_getLogs", {"fromBlock": "0x5", "toBlock": "0x1"})["code"] == -32602
    assert wire.error("eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(1000)})["code"] == -32005


def test_batches_are_answered_together(wire):
    requests = [{"jsonrpc": "2.0", "id": n, "method": "eth_chainId"} for n in range(3)]
    requests += [{"jsonrpc": "2.0", "method": "eth_chainId"}, 7, {"id": 9, "method": "nope", "params": []}]
    status, answers = wire.post(json.dumps(requests).encode())
    assert status == 200
    assert [answer["id"] for answer in answers] == [0, 1, 2, None, 9]
    assert answers[3]["error"]["code"] == -32600
    assert answers[4]["error"]["code"] == -32601
    assert wire.post(json.dumps(requests[:1] * 101).encode())[1]["error"]["code"] == -32005
    assert wire.post(b"[]")[1]["error"]["code"] == -32600
    assert wire.post(json.dumps(requests[3]).encode())[0] == 204


@pytest.mark.parametrize(
    "params",
    [
        ("eth_getBalance",),
        ("eth_getBalance", "0x12"),
        ("eth_getBalance", "0x" + "zz" * 20),
        ("eth_getBalance", None),
        ("eth_getBalance", {}),
        ("eth_getBalance", "0x" + "12" * 20, "soon"),
        ("eth_getBalance", "0x" + "12" * 20, []),
        ("eth_getBalance", "0x" + "12" * 20, {"blockHash": 5}),
        ("eth_getBalance", "0x" + "12" * 20, "latest", "more"),
        ("eth_getStorageAt", "0x" + "12" * 20, "0x" + "1" * 65),
        ("eth_getStorageAt", "0x" + "12" * 20, 5),
        ("eth_getBlockByNumber", "latest"),
        ("eth_getBlockByHash", "0x12", False),
        ("eth_getBlockByNumber", -1, False),
        ("eth_getBlockByNumber", True, False),
        ("eth_call", "0x"),
        ("eth_call", {"to": "0x12"}),
        ("eth_call", {"to": "0x" + "12" * 20, "data": "0x1"}),
        ("eth_call", {"to": "0x" + "12" * 20, "value": "five"}),
        ("eth_call", {"to": "0x" + "12" * 20}, "latest", {"0x" + "12" * 20: {"code": "0x00"}}),
        ("eth_estimateGas", {"to": "0x" + "12" * 20}, "earliest"),
        ("eth_getLogs", []),
        ("eth_getLogs", {"address": "everyone"}),
        ("eth_getLogs", {"topics": "all"}),
        ("eth_getLogs", {"topics": [["0x12"]]}),
        ("eth_getLogs", {"topics": [None] * 5}),
        ("eth_getLogs", {"blockHash": "0x" + "11" * 32, "fromBlock": "0x0"}),
        ("eth_feeHistory", "many", "latest"),
        ("eth_feeHistory", "0x1", "latest", 5),
    ],
)
def test_wrong_parameters_are_refused_as_such(params, wire):
    method, *given = params
    assert wire.error(method, *given)["code"] == -32602


def test_malformed_request_is_refused(wire):
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        status, answer = wire.post(body)
        assert (status, answer["error"]["code"]) == (200, -32700)
    for body in (b"5", b'"eth_chainId"', b"{}", b'{"id":1,"method":5}', b"null"):
        assert wire.post(body)[1]["error"]["code"] == -32600
    assert wire.post(b'{"id":1,"method":"eth_chainId","params":{"a":1}}')[1]["error"]["code"] == -32602


def test_http_accepts_only_post_of_json(wire):
    request = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
    assert wire.post(request, Content_Type="application/json; charset=utf-8")[0] == 200
    assert wire.post(request, Host="localhost:8545")[0] == 200
    assert wire.post(request, Host="evil.example")[0] == 403
    assert wire.post(request, Content_Type="text/plain")[0] == 415
    assert wire.post(request, path="/elsewhere")[0] == 404
    assert wire.post(request, Content_Length=str(MAX_BODY + 1))[0] == 413
    assert wire.post(request, Content_Length="-1")[0] == 411
    for method in ("GET", "OPTIONS", "PUT", "DELETE"):
        assert wire.post(request, method=method)[0] == 501


def test_endless_call_is_stopped(wire, relayer):
    """An endless loop as a deployment, which every caller may request an estimate for."""
    error = wire.error(
        "eth_estimateGas", {"data": "0x5b600056", "from": relayer.address, "gas": hex(200_000)}
    )
    assert error == {"code": 3, "message": "the EVM stopped: OutOfGas", "data": "0x"}


@pytest.mark.alone
def test_deep_recursion_is_answered(wire, relayer, embedded, bytecode):
    """The deepest calls that a block's gas allows, in a call, an estimate and a transaction."""
    address = relayer.deploy(bytecode.recursive)
    assert wire.result("eth_call", {"to": address, "gas": "0xffffffff"}) == "0x"
    assert wire.result("eth_estimateGas", {"to": address, "from": relayer.address, "gas": hex(3_000_000)})
    assert relayer.send(address, gas=30_000_000).succeeded
    assert relayer.send(address).succeeded, "the chain goes on"


def test_many_connections_do_not_stop_the_server(wire):
    host, port = wire.address.split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(60)]
    assert wire.result("net_version")
    for connection in idle:
        connection.close()


def test_used_port_is_reported(server, embedded):
    port = urlsplit(server.url).port
    with pytest.raises(ChainFault, match="cannot listen"):
        serve_chain(embedded, port=port)


def test_web3_client_works(server, relayer, bytecode, counter):
    """web3.py, another common client, with all its formatters."""
    from web3 import Web3
    from web3.exceptions import ContractCustomError, ContractLogicError

    w3 = Web3(Web3.HTTPProvider(server.url))
    receipt = relayer.send(counter, b"abc")
    refuser = relayer.deploy(bytecode.refuser)
    block = w3.eth.get_block("latest", full_transactions=True)
    assert block["transactions"][0]["from"] == relayer.address
    assert w3.eth.get_transaction_receipt(receipt.tx_hash)["logs"][0]["data"] == b"abc"
    assert [log["data"] for log in w3.eth.get_logs({"fromBlock": 0, "address": counter})] == [b"abc"]
    assert w3.eth.fee_history(2, "latest", [10.0])["baseFeePerGas"] == [7, 7, 7]
    assert w3.eth.estimate_gas({"to": counter, "from": relayer.address}) > 21_000
    with pytest.raises(ContractCustomError):
        w3.eth.call({"to": refuser, "data": "0xdeadbeef"})
    reason = "08c379a0" + (32).to_bytes(32).hex() + (2).to_bytes(32).hex() + b"no".ljust(32, b"\0").hex()
    with pytest.raises(ContractLogicError, match="no"):
        w3.eth.call({"to": refuser, "data": "0x" + reason})
