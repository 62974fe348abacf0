"""Every outgoing call ends in time, holds a limited answer in memory and fails with a stable code."""

from __future__ import annotations

import ast
import resource
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from api.cli import tiles
from api.cli.long_checks import Bound
from api.protocol.errors import ClientError
from api.runtime import timestamping
from api.runtime.cosigners import Cosigners
from api.runtime.settings import Settings
from api.runtime.timestamping import service_of
from api.sdk.errors import ServiceUnreachable
from api.sdk.transport import Transport
from ledger.audit.formats.note import COSIGNATURE, Signer, VerifierKey
from ledger.audit.log.log import AuditLog
from ledger.chain.rpc import RpcChain
from ledger.errors import LedgerError
from ledger.store.engine import open_engine
from tests.simulators.bad_server import MOODS, BadServer
from tests.simulators.timestamp_authority import TimestampAuthority

WITHIN_S = 0.4
SLACK_S = 1.5
KEPT_BYTES = 128 << 20
"""What an answer may cost in memory, with everything around it: the largest cap is 64 MiB."""

Ask = Callable[[str], str]
"""Asks the server at a URL; the code of what came of it."""


def code_of(ask: Callable[[], object]) -> str:
    try:
        ask()
    except (ClientError, LedgerError) as refused:
        return refused.code
    return ""


def rpc(url: str) -> str:
    return code_of(lambda: RpcChain(url, 77, timeout=WITHIN_S).head())


def sdk(url: str) -> str:
    transport = Transport(url, None, timeout_s=WITHIN_S)
    try:
        return code_of(lambda: transport.call("GET", "/v1/status").json())
    finally:
        transport.close()


def tile(url: str) -> str:
    def fetch() -> None:
        with tiles.tiles_at(url, None, Bound(lambda done, total: None, None, None)) as get:
            get("checkpoint")

    return code_of(fetch)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority(tmp_path_factory.mktemp("tsa") / "authority")


@pytest.fixture
def asks(tmp_path: Path, authority: TimestampAuthority, monkeypatch: pytest.MonkeyPatch) -> dict[str, Ask]:
    monkeypatch.setattr(tiles, "WITHIN_S", WITHIN_S)
    monkeypatch.setattr(timestamping, "ASK_TIMEOUT_S", WITHIN_S)
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    SQLModel.metadata.create_all(engine)
    signer = Signer.generate("civicledger.example/log/77/0x" + "ab" * 20 + "/1")
    log = AuditLog.open(engine, signer)

    def witness(url: str) -> str:
        key: VerifierKey = Signer.generate("w.example", COSIGNATURE).key
        cosigners = Cosigners(log, {url: key}, wait_s=WITHIN_S)
        cosigners(log.checkpoint())
        [state] = cosigners.status()
        return str(state["problem"] or "")

    def timestamp(url: str) -> str:
        service = service_of(Settings(timestamp_url=url, timestamp_roots=authority.root_file))
        assert service is not None
        post, _ = service
        return code_of(lambda: post(b"a question"))

    return {"rpc": rpc, "sdk": sdk, "tile": tile, "witness": witness, "timestamp": timestamp}


CODES = {
    "rpc": {"chain.unreachable"},
    "sdk": {"client.unreachable", "answer.invalid"},
    "tile": {"audit.tile"},
    "witness": {"audit.witness_unreachable", "audit.witness_malformed", "audit.witness_refused"},
    "timestamp": {"audit.timestamp_unavailable"},
}


@pytest.mark.parametrize("caller", CODES)
@pytest.mark.parametrize("mood", MOODS)
def test_bad_answer_ends_in_time_with_a_code(caller: str, mood: str, asks: dict[str, Ask]) -> None:
    with BadServer(mood) as server:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.monotonic()
        code = asks[caller](server.url)
        took = time.monotonic() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        assert code in CODES[caller]
        assert took < WITHIN_S + SLACK_S
        assert server.sent < KEPT_BYTES
        assert grown < KEPT_BYTES
        if mood.startswith("redirects"):
            assert server.asked == 1, "a redirect is not followed"


def stream(url: str, within_s: float, whole_s: float, pause_s: float = 0.0) -> int:
    """Read a stream to its end, taking so long for every piece; its length."""
    transport = Transport(url, None, timeout_s=within_s, stream_s=whole_s)
    try:
        with transport.open("GET", "/") as arriving:
            for _ in arriving.chunks():
                time.sleep(pause_s)
            return arriving.size
    finally:
        transport.close()


def test_a_stream_that_drips_ends_in_time() -> None:
    with BadServer("drips its body") as server:
        began = time.monotonic()
        with pytest.raises(ServiceUnreachable):
            stream(server.url, within_s=WITHIN_S, whole_s=60)
        assert time.monotonic() - began < WITHIN_S + SLACK_S


def test_a_stream_without_end_ends_in_time() -> None:
    with BadServer("answers endlessly") as server:
        began = time.monotonic()
        with pytest.raises(ServiceUnreachable):
            stream(server.url, within_s=30, whole_s=WITHIN_S)
        assert time.monotonic() - began < WITHIN_S + SLACK_S


def test_a_slow_reader_is_not_a_slow_service() -> None:
    with BadServer("sends a megabyte") as server:
        assert stream(server.url, within_s=WITHIN_S, whole_s=60, pause_s=0.05) == 1 << 20


def test_an_upload_that_is_not_received_ends_in_time() -> None:
    with BadServer("never answers") as server:
        transport = Transport(server.url, None, timeout_s=WITHIN_S)
        began = time.monotonic()
        body = (b"0" * (1 << 20) for _ in range(64))
        with pytest.raises(ServiceUnreachable), transport.open("PUT", "/", body=body):
            pass
        assert time.monotonic() - began < WITHIN_S + SLACK_S
        transport.close()


@pytest.mark.parametrize("caller", CODES)
def test_slow_name_lookup_ends_in_time(
    caller: str, asks: dict[str, Ask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that does not answer keeps the system's look-up for half a minute."""
    over, real, asked = threading.Event(), socket.getaddrinfo, []

    def slow(host: str, port: int, *given: Any, flags: int = 0, **more: Any) -> Any:
        if flags & socket.AI_NUMERICHOST:
            return real(host, port, *given, flags=flags, **more)
        asked.append(host)
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answers")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        for _ in range(3):
            began = time.monotonic()
            assert asks[caller]("http://slow.example:8000") in CODES[caller]
            assert time.monotonic() - began < WITHIN_S + SLACK_S
        assert asked == ["slow.example"], "once, however many wait for it"
    finally:
        over.set()


@pytest.mark.parametrize("url", ["ftp://city.example", "http://", "nonsense", "http://[::1"])
def test_invalid_address_is_refused(url: str) -> None:
    transport = Transport(url, None, timeout_s=WITHIN_S)
    assert code_of(lambda: transport.call("GET", "/")) == "client.call"
    assert code_of(lambda: RpcChain(url, 77, timeout=WITHIN_S).head()) == "chain.unreachable"


ROOT = Path(__file__).resolve().parents[2]
NETWORK = {
    "httpx",
    "httpcore",
    "requests",
    "urllib3",
    "aiohttp",
    "urllib.request",
    "http.client",
    "websockets",
}


def test_only_outgoing_module_makes_http_calls() -> None:
    """One module speaks HTTP to others; web3 and its providers are not used to ask a node."""
    found = {}
    for package in ("api", "ledger", "access_policy", "contracts", "languages"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                for name in names:
                    if any(name == one or name.startswith(one + ".") for one in (*NETWORK, "web3.providers")):
                        found.setdefault(str(path.relative_to(ROOT)), name)
    assert set(found) == {"ledger/outgoing.py"}, found
