"""Anvil, an independent development node, on a free port of this machine."""

from __future__ import annotations

import platform
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from ledger.chain.errors import ChainUnreachable
from ledger.chain.rpc import RpcChain

MODULES = Path(__file__).resolve().parents[2] / "contracts" / "node_modules" / "@foundry-rs"


class Anvil:
    """A running node; ``url`` is its JSON-RPC."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        [binary] = MODULES.glob(f"anvil-{platform.system().lower()}-{machine}/bin/anvil")
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen([str(binary), "--port", str(port), "--silent", *options])

    def __enter__(self) -> Anvil:
        deadline = time.monotonic() + 20
        while True:
            try:
                RpcChain.discover(self.url)
                return self
            except ChainUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
