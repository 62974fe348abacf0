"""go-ethereum, a node that is not ours, as a chain of one validator on a free port of this machine.

The binary is ``CIVIC_GETH``, or ``geth`` on the path, or is built once into ``.tools`` where there is a Go compiler. It is
version 1.13.15, the last that makes blocks by itself.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ledger.chain.errors import ChainUnreachable
from ledger.chain.rpc import RpcChain

TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "geth"
SOURCE = "github.com/ethereum/go-ethereum/cmd/geth@v1.13.15"


def can_be_had() -> bool:
    """Whether there is a binary, or a compiler to make it."""
    return bool(os.environ.get("CIVIC_GETH") or shutil.which("geth") or TOOLS.is_dir() or shutil.which("go"))


def binary() -> str:
    """The path of the binary; builds it (some minutes) if it is missing."""
    found = os.environ.get("CIVIC_GETH") or shutil.which("geth")
    if found:
        return found
    if not (TOOLS / "geth").is_file():
        # One of its libraries accesses Go's runtime, which newer compilers permit only with this flag.
        command = ["go", "install", "-ldflags=-checklinkname=0", SOURCE]
        subprocess.run(command, env=os.environ | {"GOBIN": str(TOOLS)}, check=True, capture_output=True)
    return str(TOOLS / "geth")


class Geth:
    """A running node; ``url`` is its JSON-RPC. ``period``: seconds between blocks."""

    def __init__(self, folder: Path, period: int, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "geth.log").open("wb")
        command = [
            binary(), "--dev", "--dev.period", str(period), "--datadir", str(folder / "geth"), "--nodiscover",
            "--ipcdisable", "--http", "--http.port", str(port), "--http.api", "eth,net,web3,debug,txpool,miner",
            "--verbosity", "2", *options,
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def ask(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            document = json.load(answer)
        if "indexing is in progress" in str(
            document.get("error")
        ):  # A node that has just started does not know the transaction yet.
            return None
        assert "error" not in document, document
        return document["result"]

    def fund(self, address: str, wei: int = 10**21) -> None:
        """Send from the account of the node's genesis."""
        [born] = self.ask("eth_accounts")
        sent = self.ask("eth_sendTransaction", {"from": born, "to": address, "value": hex(wei)})
        until = time.monotonic() + 120
        while self.ask("eth_getTransactionReceipt", sent) is None:
            assert time.monotonic() < until
            time.sleep(0.2)

    def __enter__(self) -> Self:
        until = time.monotonic() + 60
        while True:
            try:
                RpcChain.discover(self.url)
                return self
            except ChainUnreachable:
                assert time.monotonic() < until, "geth does not come up"
                time.sleep(0.1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()
