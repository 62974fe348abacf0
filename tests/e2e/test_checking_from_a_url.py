"""``civic audit verify URL``: the whole log of a running city is checked with an auditor's key, over real HTTP."""

from __future__ import annotations

import http.client
import io
import json
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from api.cli.main import main
from api.demo.city import City
from api.demo.participants import AUDIT, PASSPHRASE, PLANNING
from api.operator.trust_document import origin_of
from api.protocol.keystore import open_ed25519
from api.runtime.marks import open_mark
from api.runtime.settings import Settings, read_home
from ledger.audit.formats.events import Event
from ledger.audit.formats.note import Signer
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.chain.deployment import Deployment
from ledger.store.engine import open_engine
from tests.simulators.city import open_city
from tests.simulators.local_server import LocalServer, QuietHandler

FULL = 3


class Line(LocalServer):
    """A proxy between an auditor and the city that can be cut off. ``asked`` are the requested paths."""

    def __init__(self) -> None:
        self.city = ""
        self.asked: list[str] = []
        self.dies_after: int | None = None
        line = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                if line.dies_after is not None and len(line.asked) >= line.dies_after:
                    self.close_connection = True
                    self.connection.close()
                    return
                line.asked.append(self.path)
                connection = http.client.HTTPConnection(urlsplit(line.city).netloc, timeout=30)
                connection.request("GET", self.path, headers=dict(self.headers))
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                connection.close()

        self.serve(Handler)


def civic(*arguments: object, code: int = 0, **environment: str) -> dict[str, Any]:
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    error: dict[str, Any] = document.get("error", document)
    return error


def grow(home: Path, entries: int) -> None:
    """Append entries to a stopped city's log with its own key."""
    found = read_home(home)
    engine = open_engine(found.database_url)
    origin = origin_of(Deployment.from_json(found.deployment), found.epoch)
    signer = Signer(str(origin), open_ed25519(found.keys / "log.json", PASSPHRASE))
    log = AuditLog.open(engine, signer, highwater=open_mark(found, Settings(home=home)))
    events = [
        Event(id=uuid4(), type="gateway:read:decided", time=datetime.now(UTC), department=3, decision="deny")
        for _ in range(entries)
    ]
    with engine.begin() as connection:
        appended = log.append(connection, [NewEntry(event) for event in events])
    log.committed(appended)
    engine.dispose()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


@pytest.fixture
def long_city(home: Path, line: Line) -> Iterator[City]:
    """A city behind the proxy, whose log fills three tiles and a part of a fourth."""
    grow(home, FULL * 256)
    city = open_city(home, CIVIC_PUBLIC_URL=line.url)
    line.city = city.service.url
    for actor in city.actors.values():
        actor.connect(line.url, city.trust)
    yield city
    city.service.stop()


def profile_of(city: City, part: Any, url: str) -> Path:
    """The profile of this department, for this address."""
    directory = city.of(part).directory
    document = json.loads((directory / "profile.json").read_text())
    (directory / "profile.json").write_text(json.dumps({**document, "url": url}))
    return directory


def test_interrupted_check_of_a_running_city_is_resumed(long_city: City, line: Line, tmp_path: Path) -> None:
    city, trust, kept = long_city, long_city.home / "trust.json", tmp_path / "kept"
    profile = profile_of(city, AUDIT, line.url)
    before = city.of(AUDIT).civic.status()["log"]["size"]
    line.asked.clear()
    line.dies_after = 5
    command = ("audit", "verify", line.url, "--trust", trust, "--profile", profile, "--resume", kept)
    broken = civic(*command, code=1)
    assert broken["code"] not in ("", "internal"), broken
    first = [path for path in line.asked if path != "/checkpoint"]
    assert len(first) == 4
    line.dies_after = None
    line.asked.clear()
    done = civic(*command)
    assert (done["verdict"], done["findings"]) == ("verified", [])
    assert done["leaves_hashed"] == done["size"] >= before
    assert not set(first) & set(line.asked), "what it has is not fetched again"

    full = next(path for path in first if ".p/" not in path)  # A partial tile is requested by its width.
    spoiled = kept / full.lstrip("/")
    spoiled.write_bytes(spoiled.read_bytes()[:-1] + b"?")
    line.asked.clear()
    assert civic(*command)["verdict"] == "verified"
    assert full in line.asked, "what it has is not believed either"

    looks = list(city.of(AUDIT).civic.entries(type="auditor:log:tile"))
    assert {look["entry"]["facts"]["tile"] for look in looks} == set(range(FULL + 1))
    assert all(look["entry"]["department"] == AUDIT.number for look in looks)


def test_entry_tiles_are_for_city_wide_auditors_alone(long_city: City, line: Line) -> None:
    city, trust = long_city, long_city.home / "trust.json"
    with_nothing = civic("audit", "verify", line.url, "--trust", trust, code=1)
    assert with_nothing["code"] == "audit.tile"
    planning = profile_of(city, PLANNING, line.url)
    refused = civic("audit", "verify", line.url, "--trust", trust, "--profile", planning, code=1)
    assert refused["code"] == "caller.not-auditor"
    city.service.stop()
    silent = civic("audit", "verify", city.service.url, "--trust", trust, code=1)
    assert silent["code"] == "audit.tile"
