"""`GET /healthz` and `GET /readyz` of a real service: each fault is named by its code, within a second, whatever hangs."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.demo.city import City, found_city
from api.demo.governing import AIR_POLICY
from api.demo.participants import PASSPHRASE, PLANNING
from api.demo.process import ServiceProcess
from api.operator.wiring import open_gateway
from api.protocol.keystore import import_secp256k1
from api.runtime.settings import Settings, read_home
from api.sdk.errors import RollbackDetected
from ledger.chain.embedded import EmbeddedChain, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.transactions import address_of
from tests.simulators.bad_node import GOOD, STALLED, BadNode
from tests.simulators.city import founded_home, open_city
from tests.simulators.postgres import cluster, ordinary_database
from tests.simulators.set_clock import MachineClock

RELAYER_KEY = bytes.fromhex("13" * 32)
WITHIN_S = 1.5
"""A probe of Kubernetes waits for one second; the machine of the tests is busy."""
OUTAGE_S = 5


def probe(url: str, path: str = "/readyz") -> tuple[int, Any]:
    """Status and document of an answer, which was given in time."""
    began = time.monotonic()
    answer = httpx.get(url + path, timeout=30, trust_env=False)
    assert time.monotonic() - began < WITHIN_S, path
    return answer.status_code, answer.json()


def named(url: str, kind: str = "reasons") -> set[tuple[str, str]]:
    """Parts and codes of the present report. A process that is not ready is alive."""
    assert probe(url, "/healthz") == (200, {"alive": True})
    status, document = probe(url)
    if status == 503:
        assert document["code"] == "service.not-ready"
        assert document["reasons"]
        assert document["zh"]["title"]
    else:
        assert (status, document["ready"]) == (200, True)
    return {(one["part"], one["code"]) for one in document.get(kind, ())}


def until(what: Callable[[], object], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.2)


def test_well_service_is_alive_and_ready(city: City) -> None:
    assert probe(city.service.url, "/healthz") == (200, {"alive": True})
    until(lambda: named(city.service.url) == set())
    assert probe(city.service.url) == (200, {"ready": True, "warnings": []})


def test_full_disk_is_named(city: City) -> None:
    before = resource.prlimit(city.service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(city.service.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    until(lambda: ("disk", "service.resources") in named(city.service.url))
    resource.prlimit(city.service.pid, resource.RLIMIT_FSIZE, before)
    until(lambda: named(city.service.url) == set())


def test_exchanged_file_of_the_database_is_named(city: City) -> None:
    database = city.home / "ledger.sqlite"
    assert database.is_file()
    aside = database.rename(city.home / "aside.sqlite")
    until(lambda: ("database", "store.exchanged") in named(city.service.url))
    aside.rename(database)
    until(lambda: named(city.service.url) == set())


@pytest.mark.needs("postgresql")
def test_stopped_postgresql_is_named_and_the_status_has_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster() as server, ordinary_database(server.url) as url:
        monkeypatch.setenv("CIVIC_DATABASE_URL", url)
        city = open_city(founded_home(tmp_path / "city"))
        try:
            until(lambda: named(city.service.url) == set())
            server.stop("fast")
            try:
                until(lambda: ("database", "store.unavailable") in named(city.service.url))
                answer = httpx.get(city.service.url + "/v1/status", timeout=20)
                assert (answer.status_code, answer.json()["code"]) == (503, "store.unavailable")
                assert int(answer.headers["Retry-After"]) >= 1
            finally:
                server.start()
            until(lambda: named(city.service.url) == set(), 60)
        finally:
            city.service.stop()


@pytest.fixture(scope="module")
def distant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, BadNode]]:
    """A city behind a node that can hang, whose service is patient for five seconds only."""
    folder: Path = tmp_path_factory.mktemp("distant")
    key = import_secp256k1(folder / "relayer.json", "relayer", RELAYER_KEY, PASSPHRASE, demo=True).path
    with EmbeddedChain.create(folder / "chain.sqlite", random_chain_id(), address_of(RELAYER_KEY)) as chain:
        server = serve_chain(chain, port=0)
        with BadNode(server.url) as node:
            city = found_city(folder / "city", node.url, key)
            city.service.stop()
            city.service = ServiceProcess(city.home, environment={"CIVIC_CHAIN_OUTAGE_S": str(OUTAGE_S)})
            try:
                yield city, node
            finally:
                node.be(GOOD)
                city.service.stop()
                server.close()


def test_hanging_node_is_named_with_what_follows_from_it(distant: tuple[City, BadNode]) -> None:
    city, node = distant
    until(lambda: named(city.service.url) == set())
    node.be(STALLED)
    until(lambda: ("chain", "chain.unreachable") in named(city.service.url), 3)  # Calls ask the chain.
    found: set[tuple[str, str]] = set()

    def all_named() -> bool:
        found.update(named(city.service.url))
        return {("projection", "projection.behind"), ("chain", "service.stands-still")} <= found

    until(all_named)
    node.be(GOOD)
    until(lambda: named(city.service.url) == set())


def test_missing_witness_is_a_warning(home: Path) -> None:
    """Calls are decided and logged without it."""
    from ledger.audit.formats.note import COSIGNATURE, VerifierKey

    key = VerifierKey("witness.example/absent", COSIGNATURE, bytes(range(32)))
    city = open_city(home, CIVIC_WITNESSES=f'{{"http://127.0.0.1:9": "{key}"}}', CIVIC_COSIGN_EVERY_S="1")
    try:
        until(lambda: any(part == "witnesses" for part, _ in named(city.service.url, "warnings")))
        assert probe(city.service.url)[0] == 200
    finally:
        city.service.stop()


@pytest.mark.needs("cc")
def test_clock_in_doubt_is_named(home: Path, tmp_path: Path) -> None:
    clock = MachineClock.made(tmp_path / "clock")
    city = open_city(home, **clock.environment)
    try:
        until(lambda: named(city.service.url) == set())
        clock.set(-3_600)
        until(lambda: ("clock", "clock.behind") in named(city.service.url))
        clock.set(0)
        until(lambda: named(city.service.url) == set())
    finally:
        city.service.stop()


def test_newer_head_that_a_caller_has_seen_is_named(city: City, tmp_path: Path) -> None:
    city.service.stop()
    shutil.copytree(city.home, tmp_path / "yesterday", ignore=shutil.ignore_patterns("departments"))
    city.service = ServiceProcess(city.home)
    city.of(PLANNING).connect(city.service.url, city.trust)
    city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    city.of(PLANNING).civic.status()
    city.service.stop()
    shutil.rmtree(read_home(city.home).high_water_folder)
    old = tmp_path / "yesterday"
    service = ServiceProcess(old)
    try:
        city.of(PLANNING).connect(service.url, city.trust)
        with pytest.raises(RollbackDetected):
            city.of(PLANNING).civic.status()
        until(lambda: ("log", "audit.rollback") in named(service.url))
    finally:
        service.stop()


def test_late_anchor_is_named(home: Path) -> None:
    """A gateway whose anchors are due and are not recorded for longer than the outage limit."""
    settings = Settings(home=home, passphrase=PASSPHRASE, chain_outage_s=OUTAGE_S)
    with open_gateway(settings, anchoring=False) as gateway:
        gateway.workers.anchorer._due_since = gateway.clock.elapsed() - 60
        reasons = {(one.part, one.code) for one in gateway.ready.report().reasons}
        assert ("anchors", "anchor.failing") in reasons
