"""Real chains for the tests: the embedded one, the embedded one over HTTP, and anvil."""

from __future__ import annotations

import platform
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.chain.client import ChainClient, Receipt
from ledger.chain.embedded import EmbeddedChain, SimulatedClock, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import ChainUnreachable
from ledger.chain.rpc import RpcChain
from ledger.chain.several import open_nodes
from ledger.chain.transactions import address_of, deploy_transaction, sign_transaction

ROOT = Path(__file__).resolve().parents[3]

ANVIL_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
"""The first account of Foundry's public test mnemonic."""


def _deployable(runtime: str) -> bytes:
    """Init code that returns ``runtime`` (hex, under 256 bytes)."""
    code = bytes.fromhex(runtime)
    return bytes([0x60, len(code), 0x60, 12, 0x60, 0, 0x39, 0x60, len(code), 0x60, 0, 0xF3]) + code


@dataclass(frozen=True)
class Bytecode:
    """Contracts small enough to read."""

    counter: bytes = _deployable("6000546001018060005536600060003780366000a160005260206000f3")
    """slot 0 += 1; LOG1(topic: the new count, data: the call data); returns the count."""

    refuser: bytes = _deployable("366000600037366000fd")
    """Reverts with its call data."""

    clock: bytes = _deployable("426000524360205260406000f3")
    """Returns block.timestamp and block.number."""

    recursive: bytes = _deployable("5f5f5f5f5f305af1")
    """Calls itself until the gas is used up."""


@dataclass
class Sender:
    """A funded account that signs and waits."""

    chain: ChainClient
    key: bytes
    address: str = field(init=False)

    def __post_init__(self) -> None:
        self.address = address_of(self.key)

    def sign(
        self, to: str | None, data: bytes = b"", *, nonce: int | None = None, gas: int = 300_000
    ) -> bytes:
        chosen = self.chain.nonce(self.address) if nonce is None else nonce
        fees = self.chain.fees()
        return sign_transaction(self.key, self.chain.chain_id, chosen, to, data, gas, fees)

    def send(self, to: str | None, data: bytes = b"", **options: int) -> Receipt:
        return self.chain.wait(self.chain.send(self.sign(to, data, **options)), timeout=15)

    def deploy(self, bytecode: bytes) -> str:
        fees = self.chain.fees()
        nonce = self.chain.nonce(self.address)
        raw, address = deploy_transaction(self.key, self.chain.chain_id, nonce, bytecode, 1_000_000, fees)
        receipt = self.chain.wait(self.chain.send(raw), timeout=15)
        assert receipt.succeeded
        assert receipt.contract_address == address
        return address


RELAYER_KEY = bytes.fromhex("11" * 32)


@pytest.fixture
def bytecode() -> Bytecode:
    return Bytecode()


@pytest.fixture
def relayer_key() -> bytes:
    return RELAYER_KEY


@pytest.fixture
def anvil_key() -> bytes:
    return ANVIL_KEY


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def embedded(tmp_path: Path, clock: SimulatedClock) -> Iterator[EmbeddedChain]:
    """A fresh embedded chain whose blocks need no waiting."""
    path = tmp_path / "chain.sqlite"
    with EmbeddedChain.create(path, random_chain_id(), address_of(RELAYER_KEY), clock=clock) as chain:
        yield chain


@pytest.fixture
def relayer(embedded: EmbeddedChain) -> Sender:
    return Sender(embedded, RELAYER_KEY)


@pytest.fixture
def sender_on() -> Callable[[ChainClient, bytes], Sender]:
    return Sender


@pytest.fixture
def served(embedded: EmbeddedChain) -> Iterator[RpcChain]:
    """The embedded chain over HTTP."""
    server = serve_chain(embedded, port=0)
    yield RpcChain(server.url, embedded.chain_id)
    server.close()


@pytest.fixture
def several(embedded: EmbeddedChain) -> Iterator[ChainClient]:
    """The same through three nodes, two of which must agree."""
    servers = [serve_chain(embedded, port=0) for _ in range(3)]
    yield open_nodes(" ".join(server.url for server in servers), embedded.chain_id)
    for server in servers:
        server.close()


def anvil_binary() -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    (binary,) = (ROOT / "contracts/node_modules/@foundry-rs").glob(
        f"anvil-{platform.system().lower()}-{machine}/bin/anvil"
    )
    return binary


@pytest.fixture
def anvil() -> Iterator[RpcChain]:
    """An independent node."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([str(anvil_binary()), "--port", str(port), "--silent"])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                chain = RpcChain.discover(url)
                break
            except ChainUnreachable:
                assert time.monotonic() < deadline, "anvil does not come up"
                time.sleep(0.05)
        yield chain
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def several_anvil(anvil: RpcChain) -> ChainClient:
    """Anvil as two of three nodes; the third is missing."""
    elsewhere = anvil.url.replace("127.0.0.1", "localhost")
    return open_nodes(f"http://127.0.0.1:1 {anvil.url} {elsewhere}", anvil.chain_id)


FOREIGN = [pytest.param(name, marks=pytest.mark.needs("anvil")) for name in ("anvil", "several_anvil")]


@pytest.fixture(params=["embedded", "served", "several", *FOREIGN])
def funded(request: pytest.FixtureRequest) -> Sender:
    """A funded account on each kind of chain; ``funded.chain`` is the client."""
    key = ANVIL_KEY if "anvil" in request.param else RELAYER_KEY
    return Sender(request.getfixturevalue(request.param), key)
