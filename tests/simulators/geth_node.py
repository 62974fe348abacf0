"""A go-ethereum node that produces no blocks by itself: its JSON-RPC, and the engine API that sets its chain.

https://github.com/ethereum/execution-apis/tree/main/src/engine (Cancun), with the token of its authentication.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coincurve

from tests.simulators.geth import binary

ZERO = "0x" + "00" * 32
UP_S = 60.0
BUILD_S = 0.15
"""The time that a node gets to fill a block."""

Payload = dict[str, Any]
"""A block as the engine API carries it (ExecutionPayloadV3)."""


class NodeError(Exception):
    """An error that a node answers instead of a result."""


class Node:
    """One geth; ``url`` is its JSON-RPC, the same after every start."""

    def __init__(self, folder: Path, genesis: Path) -> None:
        self.folder = folder
        self.log = folder / "geth.log"
        folder.mkdir(parents=True)
        ports = _free_ports(3)
        self.url, self._engine_url = (f"http://127.0.0.1:{port}" for port in ports[:2])
        self._ports = ports
        self._secret = secrets.token_bytes(32)
        (folder / "jwt").write_text(self._secret.hex())
        key = secrets.token_bytes(32)
        (folder / "key").write_text(key.hex())
        public = coincurve.PrivateKey(key).public_key.format(compressed=False)[1:]
        self.enode = f"enode://{public.hex()}@127.0.0.1:{ports[2]}?discport=0"
        self._process: subprocess.Popen[bytes] | None = None
        self._run("--datadir", str(folder / "data"), "--verbosity", "2", "init", str(genesis)).wait(60)

    @property
    def runs(self) -> bool:
        return self._process is not None

    def start(self, peers: Sequence[str]) -> None:
        """Start it, and wait until both of its servers answer."""
        listen, static = f"127.0.0.1:{self._ports[2]}", json.dumps(list(peers))
        config = self.folder / "geth.toml"
        config.write_text(
            f'[Node.P2P]\nListenAddr = "{listen}"\nNoDiscovery = true\nStaticNodes = {static}\n'
        )
        http, engine = (str(port) for port in self._ports[:2])
        self._process = self._run(
            "--config", str(config), "--datadir", str(self.folder / "data"), "--nodekey", str(self.folder / "key"),
            "--nodiscover", "--nat", "none", "--netrestrict", "127.0.0.0/8", "--ipcdisable", "--syncmode", "full",
            "--http", "--http.port", http, "--http.api", "eth,net,web3,txpool,miner,debug", "--authrpc.port", engine,
            "--authrpc.jwtsecret", str(self.folder / "jwt"), "--txpool.nolocals", "--txpool.journal", "",
            "--cache", "64", "--rpc.txfeecap", "0", "--verbosity", "3",
        )  # fmt: skip
        until = time.monotonic() + UP_S
        while True:
            try:
                self.ask("eth_chainId")
                self.engine("engine_exchangeCapabilities", [])
                return
            except OSError:
                assert self._process.poll() is None, self.log.read_text()[-2000:]
                assert time.monotonic() < until, "geth does not come up"
                time.sleep(0.05)

    def kill(self) -> None:
        """Kill it with SIGKILL: unwritten data are lost, including the state of its newest blocks and its
        pool."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, method: str, *params: Any) -> Any:
        """The result of JSON-RPC; `NodeError` if it answers with an error, OSError if it does not answer."""
        return _ask(self.url, method, params, {})

    def engine(self, method: str, *params: Any) -> Any:
        """The result of the engine API, with a token by its specification: HS256 over the time of issue."""
        claims = {"iat": int(time.time())}
        signed = b".".join(
            _base64(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, claims)
        )
        token = signed + b"." + _base64(hmac.digest(self._secret, signed, hashlib.sha256))
        return _ask(self._engine_url, method, params, {"authorization": f"Bearer {token.decode()}"})

    def head(self) -> tuple[int, str]:
        """Number and hash of its newest block."""
        block = self.ask("eth_getBlockByNumber", "latest", False)
        return int(block["number"], 16), str(block["hash"])

    # -- the engine API

    def build(self, parent: str, timestamp: int, within_s: float = BUILD_S) -> Payload:
        """A block on its head ``parent``, with the transactions of its pool."""
        attributes = {
            "timestamp": hex(timestamp), "prevRandao": "0x" + secrets.token_hex(32), "withdrawals": [],
            "suggestedFeeRecipient": "0x" + "fe" * 20, "parentBeaconBlockRoot": ZERO,
        }  # fmt: skip
        started = self.engine("engine_forkchoiceUpdatedV3", _fork_choice(parent), attributes)
        assert started["payloadId"], started
        time.sleep(within_s)
        return dict(self.engine("engine_getPayloadV3", started["payloadId"])["executionPayload"])

    def execute(self, payload: Payload) -> str:
        """Send it a block; return the status (``VALID``, ``SYNCING``, ``ACCEPTED``)."""
        status = self.engine("engine_newPayloadV3", payload, [], ZERO)
        assert status["status"] != "INVALID", status
        return str(status["status"])

    def follow(self, head: str) -> str:
        """Make a block its head."""
        status = self.engine("engine_forkchoiceUpdatedV3", _fork_choice(head), None)["payloadStatus"]
        assert status["status"] != "INVALID", status
        return str(status["status"])

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen([binary(), *arguments], stdout=log, stderr=log)


def _fork_choice(head: str) -> dict[str, str]:
    return {"headBlockHash": head, "safeBlockHash": ZERO, "finalizedBlockHash": ZERO}


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _ask(url: str, method: str, params: Sequence[Any], headers: dict[str, str]) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"} | headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        document = json.load(answer)
    if "error" in document:
        raise NodeError(f"{method}: {document['error']}")
    return document["result"]
