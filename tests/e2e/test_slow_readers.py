"""Callers who do not take their answers stop nobody else, spend nobody's uses, and end at their time."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.demo.cast import AUDIT, EDUCATION, HEALTH, PLANNING, Part
from api.demo.city import City, hand_in
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.sdk.drafts import draft_service_key_removal, draft_suspension, draft_version, source_of
from api.sdk.errors import ServiceProblem
from tests.simulators.city import open_city, reconnect
from tests.simulators.slow_reader import SlowReader

SMALL: dict[str, Any] = {"columns": ["pm25"], "limit": 3}
ALL: dict[str, Any] = {"columns": ["station_id", "district", "measured_at", "pm25"]}
TIMES = {"CIVIC_SEND_TIMEOUT_S": "4", "CIVIC_SCAN_WAIT_S": "2"}


@pytest.fixture(scope="module")
def large_home(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A city in which the air quality data are some megabytes."""
    city = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("large") / "city")))
    owner, file = city.actors[6], city.home / "large.csv"
    head, *rows = dataset_path("air_quality").read_bytes().splitlines(keepends=True)
    file.write_bytes(head + b"".join(rows) * 400)
    metadata = dict(owner.civic.dataset("6.1")["metadata"]) | {"source": source_of(file)}
    hand_in(city, owner, draft_version("6.1", 2, metadata), [owner.secrets["steward"]])
    owner.civic.upload("6.1", file)
    city.service.stop()
    return city.home


@pytest.fixture
def large(large_home: Path, tmp_path: Path) -> Iterator[City]:
    opened = open_city(Path(shutil.copytree(large_home, tmp_path / "city")), **TIMES)
    yield opened
    opened.service.stop()


def slow(city: City, part: Part) -> SlowReader:
    return SlowReader(city.service.url, city.of(part).service, "6.1", AIR_POLICY, ALL)


def charged(city: City, grant: str) -> int:
    with sqlite3.connect(f"file:{city.home / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        row = database.execute("SELECT used FROM grant_charge WHERE grant_id = ?", (city.grants[grant],))
        return sum(used for (used,) in row)


def outcome(city: City, release: str) -> dict[str, Any]:
    """The last entry of a release."""
    found = city.of(AUDIT).civic.entries(type="gateway:release:", limit=200)
    [*_, last] = [e["entry"] for e in found if e["entry"]["facts"]["release"] == release]
    return dict(last)


def ended(city: City, part: Part, release: str, seconds: float) -> dict[str, Any]:
    """The record of a release once it is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        record = city.of(part).civic.release(release)
        if record["state"] != "streaming":
            return record
        time.sleep(0.2)
    raise AssertionError("the release is still streaming")


def test_readers_that_take_nothing_stop_nobody_and_are_ended_at_their_time(large: City) -> None:
    readers = [slow(large, part) for part in (HEALTH, HEALTH, PLANNING)]
    assert [reader.status for reader in readers] == [200, 200, 200]
    began = time.monotonic()
    answer = large.of(EDUCATION).civic.read("6.1", AIR_POLICY, SMALL)
    assert answer.release["state"] == "done"
    for _ in range(5):
        large.of(PLANNING).civic.read("6.1", AIR_POLICY, SMALL)
    assert time.monotonic() - began < 4
    everything = sum(len(chunk) for chunk in large_answer(large))
    for reader, part in zip(readers, (HEALTH, HEALTH, PLANNING), strict=True):
        record = ended(large, part, reader.release, 15)
        assert record["state"] == "aborted"
        assert 0 < record["bytes"] < everything
        assert outcome(large, reader.release)["counts"] == {"rows": record["rows"], "bytes": record["bytes"]}
        reader.close()
    assert "Traceback" not in (large.home / "service.log").read_text()


def large_answer(city: City) -> Iterator[bytes]:
    with city.of(PLANNING).civic.read_stream("6.1", AIR_POLICY, ALL) as reading:
        yield from reading.stream.chunks()
        reading.finish()


def test_a_call_for_which_there_is_no_room_is_not_charged(large: City) -> None:
    readers = [slow(large, HEALTH) for _ in range(2)]
    before = charged(large, "air-health")
    with pytest.raises(ServiceProblem) as refused:
        large.of(HEALTH).civic.read("6.1", AIR_POLICY, ALL, idempotency_key="there-is-no-room")
    assert (refused.value.code, refused.value.document["status"]) == ("scan.busy", 503)
    raw = SlowReader(large.service.url, large.of(HEALTH).service, "6.1", AIR_POLICY, ALL)
    assert (raw.status, int(raw.headers["retry-after"]) > 0) == (503, True)
    assert charged(large, "air-health") == before
    for reader in (*readers, raw):
        reader.close()
    for reader in readers:
        ended(large, HEALTH, reader.release, 10)
    assert large.of(HEALTH).civic.read("6.1", AIR_POLICY, ALL, idempotency_key="there-is-no-room").body
    assert charged(large, "air-health") == before + 1


@pytest.mark.parametrize("kind", ["key", "dataset"])
def test_what_ends_the_right_to_call_ends_the_stream(large: City, kind: str) -> None:
    with large.of(HEALTH).civic.read_stream("6.1", AIR_POLICY, ALL) as reading:
        chunks, got = reading.stream.chunks(), 0
        got += len(next(chunks))
        if kind == "key":
            actor = large.of(HEALTH)
            draft = draft_service_key_removal(HEALTH.number, actor.keys["service"].public)
            hand_in(large, actor, draft, [actor.secrets["admin"]])
        else:
            owner = large.actors[6]
            hand_in(large, owner, draft_suspension("6.1", "a test"), [owner.secrets["steward"]])
        release = reading.stream.headers["civic-release"]
        with pytest.raises(Exception, match="broke off"):
            got += sum(len(chunk) for chunk in chunks)
    entry = outcome(large, release)
    assert entry["type"] == "gateway:release:aborted"
    # While the act waits for its block, the outbox says of the dataset's grants what it says of revoked ones.
    assert (
        entry["reasons"][0]
        in {"key": ["caller.key-ended"], "dataset": ["grant.revoked", "grant.asset-suspended"]}[kind]
    )
    assert entry["counts"]["bytes"] >= got
    assert "Traceback" not in (large.home / "service.log").read_text()


def test_a_stream_that_a_crash_broke_off_is_recorded_as_unknown(large: City) -> None:
    reader = slow(large, HEALTH)
    large.service.kill()
    reader.close()
    large.service = open_city(large.home, **TIMES).service
    reconnect(large)
    record = large.of(HEALTH).civic.release(reader.release)
    assert (record["state"], record["rows"], record["bytes"]) == ("aborted", None, None)
    assert "counts" not in outcome(large, reader.release)


def test_the_status_is_told_while_calls_for_data_wait(large: City) -> None:
    def read(_: int) -> str:
        call = large.of(HEALTH if _ % 2 else PLANNING).civic.read
        try:
            call("6.1", AIR_POLICY, {**ALL, "order": [{"column": "pm25"}], "limit": 5})
        except ServiceProblem as refused:
            return refused.code
        return ""

    with ThreadPoolExecutor(80) as pool:
        waiting = [pool.submit(read, number) for number in range(80)]
        time.sleep(0.2)
        took = max(
            timed(lambda: httpx.get(large.service.url + "/v1/status").raise_for_status()) for _ in range(3)
        )
        codes = {one.result() for one in waiting}
    assert took < 1.5
    assert codes <= {"", "scan.busy", "call.too-many"}


def timed(what: Callable[[], object]) -> float:
    began = time.monotonic()
    what()
    return time.monotonic() - began
