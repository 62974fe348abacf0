"""A periodic task meets an unexpected error: it is reported, retried, and works again."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.demo.participants import PASSPHRASE
from api.operator.gateway import Gateway
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings


@pytest.fixture
def running(founded: Path, tmp_path: Path) -> Iterator[Gateway]:
    home = Path(shutil.copytree(founded, tmp_path / "city"))
    settings = Settings(
        home=home, passphrase=PASSPHRASE, anchor_every_s=1, retention_every_s=1, record_use_every_s=1
    )
    with open_gateway(settings) as gateway:
        yield gateway


@pytest.fixture
def gateway_with_short_rounds(founded: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A round may take five seconds."""
    home = Path(shutil.copytree(founded, tmp_path / "city"))
    settings = Settings(home=home, passphrase=PASSPHRASE, chain_outage_s=5, record_use_every_s=1)
    with open_gateway(settings) as gateway:
        yield gateway


def defect(*_: object, **__: object) -> Any:
    raise KeyError("nobody expects this")


def until(what: Callable[[], object], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("part", "owner", "name"),
    [
        ("chain", "follower", "step"),
        ("acts", "relayer", "step"),
        ("anchors", "anchorer", "step"),
        ("uses", "recorder", "step"),
    ],
)
def test_defect_in_a_worker_is_reported_and_retried(
    running: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    part: str,
    owner: str,
    name: str,
) -> None:
    assert running.status()["work"][part] is None
    with monkeypatch.context() as broken:
        broken.setattr(getattr(running.workers, owner), name, defect)
        until(lambda: running.status()["work"][part] == "service.failed")
        told = [one for one in caplog.records if one.exc_info]
        assert len(told) == 1, "once, with its trace"
    until(lambda: running.status()["work"][part] is None)


def test_full_disk_does_not_end_an_upkeep_task(running: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    chore = running.workers.upkeep.status

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("api.runtime.upkeep.delete_past_files", full)
        until(lambda: chore()["retention"]["problem"] == "service.resources")
    until(lambda: chore()["retention"]["problem"] is None, 90)


def test_a_round_that_never_ends_is_in_the_status(
    gateway_with_short_rounds: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = threading.Event()

    def hangs(*_: object) -> None:
        ends.wait(60)

    parts = {
        "chain": gateway_with_short_rounds.workers.follower,
        "acts": gateway_with_short_rounds.workers.relayer,
        "anchors": gateway_with_short_rounds.workers.anchorer,
        "uses": gateway_with_short_rounds.workers.recorder,
    }
    try:
        with monkeypatch.context() as broken:
            for part in parts.values():
                broken.setattr(part, "step", hangs)
            until(
                lambda: set(gateway_with_short_rounds.status()["work"].values()) == {"service.stands-still"}
            )
        workers = gateway_with_short_rounds.status()["workers"]
        assert set(workers) == set(parts)
        assert {one["state"] for one in workers.values()} == {"stands-still"}
    finally:
        ends.set()
    until(lambda: set(gateway_with_short_rounds.status()["work"].values()) == {None})
    assert {one["state"] for one in gateway_with_short_rounds.status()["workers"].values()} == {"well"}


def test_upkeep_task_that_hangs_is_in_the_status(
    founded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = threading.Event()
    monkeypatch.setattr("api.runtime.upkeep.STILL_AFTER_S", 0.2)
    monkeypatch.setattr("api.runtime.upkeep.expire_openings", lambda *_, **__: ends.wait(60))
    home = Path(shutil.copytree(founded, tmp_path / "city"))
    with open_gateway(Settings(home=home, passphrase=PASSPHRASE)) as gateway:
        try:
            until(lambda: gateway.workers.upkeep.status()["retention"]["problem"] == "service.stands-still")
        finally:
            ends.set()
        until(lambda: gateway.workers.upkeep.status()["retention"]["problem"] is None)


def test_base_exception_does_not_end_a_worker(running: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libraries in other languages raise on a panic, and a request to exit the process on a thread."""

    def ends(*_: object) -> None:
        raise SystemExit(3)

    with monkeypatch.context() as broken:
        broken.setattr(running.workers.relayer, "step", ends)
        until(lambda: running.status()["work"]["acts"] == "service.failed")
    until(lambda: running.status()["work"]["acts"] is None)
    error = running.status()["workers"]["acts"]["last_error"]
    assert error["code"] == "service.failed", "it is known after it has passed"
