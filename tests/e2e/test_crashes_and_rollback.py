"""Kill the service, restore an old home: what was answered is in the log, and clients notice what was taken away."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from api.demo.cast import AUDIT, PLANNING
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.process import ServiceProcess
from api.sdk.errors import ClientError, RollbackDetected, ServiceProblem
from api.sdk.reading import Released
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


def test_a_client_refuses_a_service_that_was_restored_from_yesterday(city: City, tmp_path: Path) -> None:
    planning = city.of(PLANNING).civic
    planning.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    city.service.stop()
    yesterday = Path(
        shutil.copytree(city.home, tmp_path / "yesterday", ignore=shutil.ignore_patterns("departments"))
    )
    city.service = ServiceProcess(city.home)
    reconnect(city)
    for _ in range(3):
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    seen = city.of(PLANNING).civic.memory.seen
    assert seen is not None
    city.service.stop()
    for name in yesterday.iterdir():
        target = city.home / name.name
        if target.is_dir():
            shutil.rmtree(target)
        elif target.exists():
            target.unlink()
        shutil.move(str(name), target)
    city.service = ServiceProcess(city.home)
    reconnect(city)
    with pytest.raises(RollbackDetected):
        city.of(PLANNING).civic.status()
    with pytest.raises((RollbackDetected, ServiceProblem)):
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})


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
