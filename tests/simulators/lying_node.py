"""A JSON-RPC node that lies as configured: a proxy in front of a good node that chooses the answers."""

from __future__ import annotations

import http.client
import itertools
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from eth_hash.auto import keccak

from tests.simulators.local_server import LocalServer, QuietHandler

Ask = Callable[..., Any]
"""Asks the good node: ``ask(method, *params)`` is its result; None if it answers with an error."""

Lie = Callable[[str, list[Any], Ask], Any]
"""The result for a request; bytes mean a whole body, `Fault` an error."""


class Fault:
    """An error of JSON-RPC."""

    def __init__(self, code: int, message: str) -> None:
        self.error = {"code": code, "message": message}


def honest(method: str, params: list[Any], ask: Ask) -> Any:
    """The answer of the good node."""
    return ask(method, *params)


class LyingNode(LocalServer):
    """A proxy in front of the node at ``node``. ``lie`` may be replaced at any time; ``asked`` counts the
    requests by method."""

    def __init__(self, node: str, lie: Lie = honest) -> None:
        self.lie = lie
        self.asked: Counter[str] = Counter()
        outer = self

        class Handler(QuietHandler):
            wbufsize = -1
            line: http.client.HTTPConnection | None = None

            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if isinstance(question, list):
                    body = b"[" + b",".join(outer._answer(one, self._ask) for one in question) + b"]"
                else:
                    body = outer._answer(question, self._ask)
                with suppress(ConnectionError):  # The caller did not wait.
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def _ask(self, method: str, *params: Any) -> Any:
                if self.line is None:
                    self.line = http.client.HTTPConnection(urlsplit(node).netloc, timeout=20)
                question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                self.line.request("POST", "/", json.dumps(question), {"Content-Type": "application/json"})
                return json.loads(self.line.getresponse().read())

        self.serve(Handler)

    def _answer(self, question: dict[str, Any], ask: Ask) -> bytes:
        self.asked[question["method"]] += 1
        refused: dict[str, Any] = {}

        def good(method: str, *params: Any) -> Any:
            found = ask(method, *params)
            if "error" in found:
                refused[method] = found["error"]
            return found.get("result")

        said = self.lie(question["method"], question["params"], good)
        if isinstance(said, bytes):
            return said
        outcome = {"error": said.error} if isinstance(said, Fault) else {"result": said}
        if said is None and question["method"] in refused:  # For example a revert of a contract.
            outcome = {"error": refused[question["method"]]}
        return json.dumps({"jsonrpc": "2.0", "id": question["id"], **outcome}).encode()


def behind(blocks: int) -> Lie:
    """A node that has not seen the newest blocks yet."""

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        last = int(ask("eth_blockNumber"), 16) - blocks
        if method == "eth_blockNumber":
            return hex(last)
        params = [hex(last) if one in ("latest", "safe", "finalized") else one for one in params]
        if method == "eth_getLogs" and "toBlock" in params[0]:
            params[0] = params[0] | {"toBlock": hex(min(last, int(params[0]["toBlock"], 16)))}
        if any(_after(one, last, ask) for one in params):
            return None if method.startswith("eth_getBlock") else Fault(-32000, "header not found")
        found = ask(method, *params)
        if method in ("eth_getTransactionReceipt", "eth_getTransactionByHash") and found:
            return found if found["blockNumber"] and int(found["blockNumber"], 16) <= last else None
        return found

    return lie


def from_yesterday(block: int, newest: int) -> Lie:
    """A node that was killed and restarted at this block. Its pool accepts what its old state permits; it is
    never mined."""
    old = behind(newest - block)

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        if method == "eth_sendRawTransaction":
            return "0x" + keccak(bytes.fromhex(params[0][2:])).hex()
        return old(method, ["latest" if one == "pending" else one for one in params], ask)

    return lie


def _after(tag: Any, last: int, ask: Ask) -> bool:
    """Whether a parameter names a block after the last one."""
    if isinstance(tag, dict) and "blockHash" in tag:
        block = ask("eth_getBlockByHash", tag["blockHash"], False)
        return block is None or int(block["number"], 16) > last
    return isinstance(tag, str) and tag.startswith("0x") and len(tag) < 18 and int(tag, 16) > last


def by_turns(*lies: Lie) -> Lie:
    """A load balancer: each request goes to the next node."""
    turns = itertools.cycle(lies)
    return lambda method, params, ask: next(turns)(method, params, ask)
