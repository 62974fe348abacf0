"""After a kill or a restored old home, answered calls are in the log, and clients detect what is missing."""

from __future__ import annotations

import base64
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, ENVIRONMENT, PLANNING
from api.demo.process import ServiceProcess
from api.protocol.errors import ClientError
from api.runtime.settings import read_home
from api.sdk.acts import sign_act
from api.sdk.client import Civic
from api.sdk.drafts import draft_revocation, draft_suspension
from api.sdk.errors import RollbackDetected, ServiceProblem
from api.sdk.reading import Released
from ledger.audit.formats.checkpoint import sign_checkpoint
from ledger.audit.formats.note import Signer
from tests.simulators.city import reconnect


def read_until_dead(city: City, answered: list[Released], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            answered.append(
                city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 3})
            )
        except ClientError:
            time.sleep(0.02)


def test_every_answered_read_is_in_the_log_after_kill_9(city: City) -> None:
    answered: list[Released] = []
    for _ in range(3):
        stop = threading.Event()
        readers = [threading.Thread(target=read_until_dead, args=(city, answered, stop)) for _ in range(4)]
        for reader in readers:
            reader.start()
        time.sleep(1.5)
        city.service.kill()
        stop.set()
        for reader in readers:
            reader.join()
        city.service = ServiceProcess(city.home)
        reconnect(city)
    assert len(answered) > 20
    entries = {item["index"]: item["entry"] for item in city.of(AUDIT).civic.entries(decision="permit")}
    for released in answered:
        assert entries[released.receipt.index] == released.receipt.event
    releases = [entry["facts"]["release"] for entry in entries.values()]
    assert len(releases) == len(set(releases))
    states = {city.of(PLANNING).civic.release(release)["state"] for release in releases}
    assert states <= {"done", "aborted"}
    status = city.of(PLANNING).civic.status()
    assert status["log"]["size"] >= max(entries) + 1


def restored_from_yesterday(city: City, yesterday: Path) -> None:
    """Make three reads after a backup of the home, then restore the whole home; the departments' machines
    keep their state."""
    planning = city.of(PLANNING).civic
    planning.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    city.service.stop()
    shutil.copytree(city.home, yesterday, ignore=shutil.ignore_patterns("departments"))
    city.service = ServiceProcess(city.home)
    reconnect(city)
    for _ in range(3):
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    city.service.stop()
    for name in yesterday.iterdir():
        target = city.home / name.name
        if target.is_dir():
            shutil.rmtree(target)
        elif target.exists():
            target.unlink()
        shutil.move(str(name), target)


def test_service_does_not_start_on_a_restored_older_home(city: City, tmp_path: Path) -> None:
    """The high-water mark is outside the home; if it is lost too, a witness knows the newest head."""
    restored_from_yesterday(city, tmp_path / "yesterday")
    assert not list(city.home.glob("*high-water*"))
    with pytest.raises(ClientError) as refused:
        ServiceProcess(city.home)
    assert "audit.rollback" in refused.value.message
    with pytest.raises(ClientError) as refused:
        ServiceProcess(
            city.home, environment={"CIVIC_HIGH_WATER": str(read_home(city.home).high_water_folder)}
        )
    assert "audit.rollback" in refused.value.message


def test_newer_head_from_a_caller_stops_a_restored_service(city: City, tmp_path: Path) -> None:
    restored_from_yesterday(city, tmp_path / "yesterday")
    shutil.rmtree(read_home(city.home).high_water_folder)
    city.service = ServiceProcess(city.home)
    reconnect(city)
    newcomer = Civic(city.service.url, city.trust, tmp_path / "state", city.of(ENVIRONMENT).service)
    for invented in ("", "AAAA", "!", base64.b64encode(b"a\n9\nb\n\n").decode(), forged_head(city)):
        answer = httpx.get(f"{city.service.url}/v1/status", headers={"Civic-Seen": invented})
        assert answer.json()["log"]["newer_seen"] is None, "what the log did not sign stops nothing"
    with pytest.raises(RollbackDetected):
        city.of(PLANNING).civic.status()
    assert newcomer.status()["log"]["newer_seen"]
    with pytest.raises(ServiceProblem) as stopped:
        newcomer.read(city.assets["weather"], AIR_POLICY, {"limit": 1})
    assert stopped.value.code == "audit.rollback"
    nothing_is_taken(city, newcomer)
    city.service.stop()
    with pytest.raises(ClientError) as refused:
        ServiceProcess(city.home)
    assert "audit.rollback" in refused.value.message, "the head is remembered"


def nothing_is_taken(city: City, newcomer: Civic) -> None:
    """A service that knows that its log is old refuses every call that writes, and the log is unchanged."""
    size = newcomer.status()["log"]["size"]
    environment = city.of(ENVIRONMENT)
    auditor = Civic(city.service.url, city.trust, city.home / "auditor-state", city.of(AUDIT).service)
    revoke = sign_act(
        draft_revocation(city.grants["air-health"]), city.trust, [environment.secrets["steward"]]
    )
    suspend = sign_act(
        draft_suspension(city.assets["weather"], "a leak"), city.trust, [environment.secrets["steward"]]
    )
    asked: list[Callable[[], object]] = [
        lambda: newcomer.act(revoke.type, revoke.message, revoke.signatures),
        lambda: newcomer.act(suspend.type, suspend.message, suspend.signatures, documents=suspend.documents),
        lambda: newcomer.read(city.assets["weather"], "dpv:Marketing", {"limit": 1}),
        lambda: newcomer.read(city.assets["weather"], AIR_POLICY, {"limit": 1}, idempotency_key="k" * 12),
        lambda: list(auditor.entries(decision="permit")),
        lambda: auditor.export(city.home / "old.tar"),
    ]
    for ask in asked:
        with pytest.raises(ServiceProblem) as refused:
            ask()
        assert refused.value.code == "audit.rollback"
    assert newcomer.status()["log"]["size"] == size
    assert newcomer.grant(city.grants["air-health"])["status"] == "active"


def forged_head(city: City) -> str:
    """A larger head under the log's own name, signed by another key."""
    signer = Signer.generate(str(city.trust.document["origin"]))
    return base64.b64encode(bytes(sign_checkpoint(signer, 10**6, bytes(32)).note)).decode()


def test_the_mark_of_an_earlier_version_is_moved_out_of_the_home(city: City) -> None:
    city.service.stop()
    home = read_home(city.home)
    home.high_water_file.rename(home.old_high_water_file)
    city.service = ServiceProcess(city.home)
    reconnect(city)
    assert city.of(PLANNING).civic.status()["log"]["size"]
    assert home.high_water_file.stat().st_size
    assert not home.old_high_water_file.exists()


def test_a_restored_database_alone_does_not_start(city: City, tmp_path: Path) -> None:
    city.service.stop()
    saved = tmp_path / "ledger.sqlite"
    with sqlite3.connect(city.home / "ledger.sqlite") as database, sqlite3.connect(saved) as backup:
        database.backup(backup)
    city.service = ServiceProcess(city.home)
    reconnect(city)
    city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    city.service.stop()
    for stale in city.home.glob("ledger.sqlite*"):
        stale.unlink()
    shutil.copy(saved, city.home / "ledger.sqlite")
    with pytest.raises(ClientError) as refused:
        ServiceProcess(city.home)
    assert "audit.rollback" in refused.value.message
    for stale in city.home.glob("ledger.sqlite*"):
        stale.unlink()
    sqlite3.connect(city.home / "ledger.sqlite").close()
    with pytest.raises(ClientError) as refused:
        ServiceProcess(city.home)
    assert "home.database-missing" in refused.value.message, "no log is begun in an empty database"


def test_a_second_service_on_one_home_is_refused(city: City) -> None:
    with pytest.raises(ClientError) as refused:
        ServiceProcess(city.home)
    assert "home.locked" in refused.value.message
    assert city.of(PLANNING).civic.status()["log"]["size"] > 0
