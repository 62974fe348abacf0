"""The whole log as a bundle: few at once, within a time limit, and only while the caller has the right to it."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo.city import City, hand_in
from api.demo.participants import AUDIT, PASSPHRASE, PLANNING
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings
from api.sdk.drafts import NewServiceKey, draft_service_key, draft_suspension
from api.sdk.transport import ServiceKey
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import JobResult
from tests.e2e.test_temporary_files import kept
from tests.simulators.city import open_city
from tests.simulators.raw_http import Call, Reply, send
from tests.simulators.slow_reader import connect, head_of

SECOND = Ed25519PrivateKey.generate()
"""The key of a second city-wide auditor."""


@pytest.fixture(scope="module")
def long_home(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A city with a log of some megabytes, and with a second department that audits the whole city."""
    home = Path(shutil.copytree(founded, tmp_path_factory.mktemp("long") / "city"))
    facts = {f"fact_{number}": "a long fact " * 8 for number in range(16)}
    with open_gateway(Settings(home=home, passphrase=PASSPHRASE), chores=False) as gateway:
        for _ in range(8):
            events = [
                Event(id=new_event_id(), type="gateway:test:made", time=datetime.now(UTC), facts=facts)
                for _ in range(500)
            ]
            made = JobResult(None, [NewEntry(event) for event in events])
            gateway.commits.commit(lambda _, made=made: made)
    city = open_city(home)
    public = SECOND.public_key().public_bytes_raw().hex()
    draft = draft_service_key(PLANNING.number, NewServiceKey(public, ("city-auditor",)), epoch=1)
    planning = city.of(PLANNING)
    hand_in(city, planning, draft, [*city.council[:2], planning.secrets["admin"]])
    city.service.stop()
    return home


@contextmanager
def opened(long_home: Path, tmp_path: Path, **environment: str) -> Iterator[City]:
    city = open_city(Path(shutil.copytree(long_home, tmp_path / "city")), **environment)
    try:
        yield city
        assert "Traceback" not in (city.home / "service.log").read_text()
    finally:
        city.service.stop()


def call(city: City, key: ServiceKey | None = None) -> bytes:
    """A signed call for the bundle, by default by the audit office."""
    signer = key or city.of(AUDIT).service
    return Call(signer, city.service.url, target="/v1/audit/bundle", method="GET").bytes()


def begun(city: City) -> socket.socket:
    """A bundle that is being sent, of which the reader reads only the head."""
    line = connect(city.service.url, window=4096)
    line.sendall(call(city))
    status, _ = head_of(line)
    assert status == 200
    return line


def rest(line: socket.socket) -> bytes:
    """All remaining bytes."""
    arrived = bytearray()
    try:
        while part := line.recv(1 << 16):
            arrived += part
            if arrived.endswith(b"\r\n0\r\n\r\n"):
                break
    except OSError:
        pass
    return bytes(arrived)


def refused(city: City, key: ServiceKey | None = None) -> Reply:
    reply = send(city.service.url, call(city, key))
    assert int(reply.headers["retry-after"]) > 0
    return reply


def until_cleared(city: City, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while kept(city.home, "civic-bundle-*"):
        assert time.monotonic() < deadline, "the bundle is still there"
        time.sleep(0.1)


def test_bundle_that_is_not_read_blocks_its_place_without_further_cost(
    long_home: Path, tmp_path: Path
) -> None:
    with opened(long_home, tmp_path, CIVIC_EXPORTS="1") as city:
        planning = ServiceKey(PLANNING.number, SECOND)
        line = begun(city)
        for _ in range(20):
            assert (refused(city).status, refused(city).code) == (429, "call.too-many")
            other = refused(city, planning)
            assert (other.status, other.code) == (503, "service.busy")
        assert len(kept(city.home, "civic-bundle-*")) == 1
        assert httpx.get(city.service.url + "/v1/status", timeout=5).status_code == 200
        looks = list(city.of(AUDIT).civic.entries(type="auditor:log:export"))
        assert len(looks) == 1, "who is refused has seen nothing"
        line.close()
        until_cleared(city)
        with connect(city.service.url) as next_one:
            next_one.sendall(call(city, planning))
            assert head_of(next_one)[0] == 200
            assert rest(next_one).endswith(b"\r\n0\r\n\r\n")


def test_a_bundle_that_takes_too_long_to_make_ends(long_home: Path, tmp_path: Path) -> None:
    with opened(long_home, tmp_path, CIVIC_EXPORT_TIMEOUT_S="0.001") as city:
        for _ in range(3):
            reply = refused(city)
            assert (reply.status, reply.code) == (503, "export.too-long")
            assert json.loads(reply.body)["zh"]["next"]
        assert not kept(city.home, "civic-bundle-*")


def test_bundle_being_sent_ends_when_the_callers_right_ends(long_home: Path, tmp_path: Path) -> None:
    with opened(long_home, tmp_path) as city:
        line = begun(city)
        audit = city.of(AUDIT)
        draft = draft_suspension(AUDIT.number, "a key was stolen", epoch=1)
        hand_in(city, audit, draft, [audit.secrets["oversight"]])
        got = rest(line)
        assert not got.endswith(b"\r\n0\r\n\r\n"), "it was sent to its end"
        until_cleared(city)
