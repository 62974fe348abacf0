"""Timestamps and retention in a running city, and the commands with which its operator runs them at once."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest

from api.cli.main import main
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PASSPHRASE, PLANNING
from api.demo.process import ServiceProcess
from api.operator.installation import initialise
from api.operator.trust_document import origin_of
from api.operator.vault import read_vault
from api.protocol.errors import ClientError
from api.protocol.keystore import open_ed25519
from api.runtime.marks import open_mark
from api.runtime.settings import Home, Settings, read_home
from ledger.audit.formats.events import Event
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.export import export_bundle
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import commit
from ledger.chain.deployment import Deployment
from ledger.store.engine import open_engine
from ledger.store.revisions import prepare
from tests.simulators.city import open_city
from tests.simulators.timestamp_authority import TimestampAuthority, TimestampServer


def civic(*arguments: object, code: int = 0, **environment: str) -> dict[str, Any]:
    """Run the command like ``main``; return the error of a failed one."""
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    error: dict[str, Any] = document.get("error", document)
    return error


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority(tmp_path_factory.mktemp("clock") / "tsa")


@pytest.fixture
def clock(authority: TimestampAuthority) -> Iterator[TimestampServer]:
    server = TimestampServer(authority)
    yield server
    server.stop()


def stamping(server: TimestampServer, root: Path) -> dict[str, str]:
    return {
        "CIVIC_TIMESTAMP_URL": server.url,
        "CIVIC_TIMESTAMP_ROOTS": str(root),
        "CIVIC_TIMESTAMP_EVERY_S": "1",
    }


def until(city: City, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The timestamps in the status, after the condition holds."""
    deadline = time.monotonic() + 20
    while True:
        told: dict[str, Any] = city.of(AUDIT).civic.status()["log"]["upkeep"]["timestamps"]
        if what(told):
            return told
        assert time.monotonic() < deadline, told
        time.sleep(0.1)


def read(city: City) -> None:
    city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})


def test_heads_are_timestamped_despite_failures(
    home: Path, tmp_path: Path, authority: TimestampAuthority, clock: TimestampServer
) -> None:
    city = open_city(home, **stamping(clock, authority.root_file))
    try:
        read(city)
        size = city.of(AUDIT).civic.status()["log"]["size"]
        told = until(city, lambda told: bool(told["newest"]) and told["newest"]["size"] >= size)
        assert told["problem"] is None
        overheard = clock.last

        clock.replay = overheard
        read(city)
        until(city, lambda told: told["problem"] == "audit.timestamp")
        clock.replay, clock.authority = None, TimestampAuthority(tmp_path / "stranger")
        size = city.of(AUDIT).civic.status()["log"]["size"]
        asked = clock.asked
        while clock.asked < asked + 2:
            time.sleep(0.05)
        told = until(city, lambda told: told["problem"] == "audit.timestamp")
        assert told["newest"]["size"] < size, "neither an old answer nor a stranger's was kept"

        clock.stop()
        until(city, lambda told: told["problem"] == "audit.timestamp_unavailable")
        began = time.monotonic()
        read(city)
        assert time.monotonic() - began < 5, "a read waits for no timestamp"
        size = city.of(AUDIT).civic.status()["log"]["size"]
        again = TimestampServer(authority, clock.port)
        try:
            told = until(city, lambda told: bool(told["newest"]) and told["newest"]["size"] >= size)
            assert told["problem"] is None
            bundle = tmp_path / "bundle.tar"
            city.of(AUDIT).civic.export(bundle)
        finally:
            again.stop()
    finally:
        city.service.stop()
    trust = tmp_path / "trust.json"
    document = city.trust.document
    trust.write_text(json.dumps({**document, "timestamp_roots": [authority.root_file.read_text()]}))
    verdict = civic("audit", "verify", bundle, "--trust", trust)
    assert (verdict["verdict"], verdict["timestamp"]) == ("verified", "timestamp checked")
    assert any(said.startswith("a timestamp of 20") for said in verdict["held_elsewhere"])
    other = (tmp_path / "stranger" / "root.pem").read_text()
    trust.write_text(json.dumps({**document, "timestamp_roots": [other]}))
    refused = civic("audit", "verify", bundle, "--trust", trust, code=1)
    assert [finding["code"] for finding in refused["findings"]] == ["trust.timestamp"]
    assert (home / "service.log").read_text().count("[audit.timestamp_unavailable]") == 1, "said once"


def test_an_operator_timestamps_at_once_beside_the_running_service(
    city: City, authority: TimestampAuthority, clock: TimestampServer
) -> None:
    assert city.of(AUDIT).civic.status()["log"]["upkeep"]["timestamps"] is None
    environment = stamping(clock, authority.root_file)
    done = civic("audit", "timestamp", "--home", city.home, **environment)
    assert done["stamped"]
    assert done["size"] == city.of(AUDIT).civic.status()["log"]["size"]
    again = civic("audit", "timestamp", "--home", city.home, **environment)
    assert again == {**done, "stamped": False}
    read(city)
    refused = civic("audit", "timestamp", "--home", city.home, code=1)
    assert refused["code"] == "settings.timestamps"
    clock.stop()
    refused = civic("audit", "timestamp", "--home", city.home, code=1, **environment)
    assert refused["code"] == "audit.timestamp_unavailable"


# -- retention


TWO_YEARS = timedelta(days=730)
PROFILE = {
    "version": 1,
    "rules": [
        {"types": "chain:", "openings_days": None, "leaves_days": 400},
        {"types": "", "openings_days": 200, "leaves_days": 400},
    ],
}


@pytest.fixture
def old_home(tmp_path: Path) -> Home:
    """An installation whose log begins with 600 reads from two years ago, every tenth with an opening."""
    made = initialise(
        Settings(home=tmp_path / "old"), PASSPHRASE, council=["0x" + "11" * 20], threshold=1, mode="demo"
    )
    home = read_home(made.home.path)
    (home.keys / "demo-passphrase").write_text(PASSPHRASE + "\n")
    engine = open_engine(home.database_url)
    prepare(engine)
    origin = origin_of(Deployment.from_json(home.deployment), home.epoch)
    log = AuditLog.open(
        engine,
        Signer(str(origin), open_ed25519(home.keys / "log.json", PASSPHRASE)),
        highwater=open_mark(home, Settings(home=home.path)),
        vault=read_vault(home.keys / "vault.json", PASSPHRASE).openings(),
    )
    begin = datetime.now(UTC) - TWO_YEARS
    entries = []
    for number in range(600):
        opening = commit("literals", f"citizen {number}", f"7.1:{number}")
        event = Event(
            id=uuid4(),
            type="gateway:read:decided",
            time=begin + timedelta(seconds=number),
            department=3,
            decision="permit",
            commitments={opening.name: opening.digest} if number % 10 == 0 else {},
        )
        entries.append(NewEntry(event, (opening,) if number % 10 == 0 else ()))
    with engine.begin() as connection:
        appended = log.append(connection, entries)
    log.committed(appended)
    export_bundle(log, tmp_path / "archive.tar")
    engine.dispose()
    return home


def test_expire_command_applies_the_retention_profile(old_home: Home, tmp_path: Path) -> None:
    home, bundle = old_home.path, tmp_path / "archive.tar"
    looked = civic("audit", "expire", "--home", home, "--dry-run")
    assert (looked["openings"], looked["dry_run"]) == (0, True), "the standard profile keeps three years"
    refused = civic("audit", "archive", bundle, "--home", home, "--before", 256, code=1)
    assert refused["code"] == "audit.retention"
    (home / "retention.json").write_text(json.dumps(PROFILE))
    looked = civic("audit", "expire", "--home", home, "--dry-run")
    assert looked == {
        "dry_run": True,
        "openings": 60,
        "files": [],
        "rules": [{"types": "", "openings_days": 200, "over": 60}],
    }
    assert civic("audit", "expire", "--home", home)["openings"] == 60
    assert civic("audit", "expire", "--home", home)["openings"] == 0
    for before in (100, 1024):
        refused = civic("audit", "archive", bundle, "--home", home, "--before", before, code=1)
        assert refused["code"] == "audit.retention", before
    spoiled = tmp_path / "spoiled.tar"
    spoiled.write_bytes(bundle.read_bytes().replace(b'"permit"', b'"denied"', 1))
    assert civic("audit", "archive", spoiled, "--home", home, code=1)["code"] == "audit.retention"
    done = civic("audit", "archive", bundle, "--home", home)
    assert (done["archived"], done["before"]) == (512, 512)
    assert civic("audit", "fsck", "--home", home)["ok"]


def test_running_service_deletes_expired_openings(old_home: Home) -> None:
    (old_home.path / "retention.json").write_text(json.dumps(PROFILE))
    service = ServiceProcess(old_home.path)
    try:
        deadline = time.monotonic() + 20
        while civic("audit", "expire", "--home", old_home.path, "--dry-run")["openings"]:
            assert time.monotonic() < deadline
        held = civic("audit", "expire", "--home", old_home.path, code=1)
        assert held["code"] == "home.locked"
    finally:
        service.stop()
    (old_home.path / "retention.json").write_text("{}")
    with pytest.raises(ClientError) as refused:
        ServiceProcess(old_home.path)
    assert "audit.retention" in refused.value.message
