"""Callers that do not read their answers block no other caller, spend no other caller's uses, and are ended
at their time limit."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.demo.city import City, hand_in
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, EDUCATION, HEALTH, PLANNING, PUBLIC_SECURITY, Part
from api.sdk.drafts import draft_service_key_removal, draft_suspension, draft_version, source_of
from api.sdk.errors import ServiceProblem
from tests.simulators.city import open_city, reconnect, take_version
from tests.simulators.set_clock import MachineClock
from tests.simulators.slow_reader import SlowReader

SMALL: dict[str, Any] = {"columns": ["pm25"], "limit": 3}
ALL: dict[str, Any] = {"columns": ["station_id", "district", "measured_at", "pm25"]}
TIMES = {"CIVIC_SEND_TIMEOUT_S": "4", "CIVIC_SCAN_WAIT_S": "2"}


@pytest.fixture(scope="module")
def large_home(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A city in which the air quality data are some megabytes."""
    city = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("large") / "city")))
    enlarge(city)
    city.service.stop()
    return city.home


def enlarge(city: City) -> None:
    """Upload a version of the air quality data that does not fit into a buffer."""
    owner, file = city.actors[6], city.home / "large.csv"
    head, *rows = dataset_path("air_quality").read_bytes().splitlines(keepends=True)
    file.write_bytes(head + b"".join(rows) * 400)
    metadata = dict(owner.civic.dataset("6.1")["metadata"]) | {"source": source_of(file)}
    take_version(city, owner, draft_version("6.1", 2, metadata), file)


@pytest.fixture
def large(large_home: Path, tmp_path: Path) -> Iterator[City]:
    opened = open_city(Path(shutil.copytree(large_home, tmp_path / "city")), **TIMES)
    yield opened
    opened.service.stop()


@pytest.fixture
def city_with_long_timeout(large_home: Path, tmp_path: Path) -> Iterator[City]:
    """The same city with the default send timeout."""
    opened = open_city(Path(shutil.copytree(large_home, tmp_path / "city")))
    yield opened
    opened.service.stop()


def slow(city: City, part: Part, **headers: str) -> SlowReader:
    return SlowReader(city.service.url, city.of(part).service, "6.1", AIR_POLICY, ALL, **headers)


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
    """The record of a release after it has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        record = city.of(part).civic.release(release)
        if record["state"] != "streaming":
            return record
        time.sleep(0.2)
    raise AssertionError("the release is still streaming")


def test_idle_readers_block_no_call_and_are_ended_in_time(large: City) -> None:
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


def test_call_refused_for_capacity_is_not_charged(large: City) -> None:
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
def test_stream_ends_when_the_right_to_call_ends(large: City, kind: str) -> None:
    with large.of(HEALTH).civic.read_stream("6.1", AIR_POLICY, ALL) as reading:
        chunks, got = reading.stream.chunks(), 0
        got += len(next(chunks))
        if kind == "key":
            actor = large.of(HEALTH)
            draft = draft_service_key_removal(HEALTH.number, actor.keys["service"].public, epoch=1)
            hand_in(large, actor, draft, [actor.secrets["admin"]])
        else:
            owner = large.actors[6]
            hand_in(large, owner, draft_suspension("6.1", "a test"), [owner.secrets["steward"]])
        release = reading.stream.headers["civic-release"]
        with pytest.raises(Exception, match="broke off"):
            got += sum(len(chunk) for chunk in chunks)
    entry = outcome(large, release)
    assert entry["type"] == "gateway:release:aborted"
    # While the act waits for its block, the outbox denies the dataset's grants like revoked ones.
    assert (
        entry["reasons"][0]
        in {"key": ["caller.key-ended"], "dataset": ["grant.revoked", "grant.asset-suspended"]}[kind]
    )
    assert entry["counts"]["bytes"] >= got
    assert "Traceback" not in (large.home / "service.log").read_text()


@pytest.mark.needs("cc")
@pytest.mark.parametrize(("moved", "code"), [(-600, "clock.behind"), (7_200, "clock.ahead")])
def test_a_stream_ends_when_the_clock_comes_into_doubt(
    large_home: Path, tmp_path: Path, moved: int, code: str
) -> None:
    clock = MachineClock.made(tmp_path / "clock")
    city = open_city(Path(shutil.copytree(large_home, tmp_path / "city")), **clock.environment)
    try:
        with city.of(HEALTH).civic.read_stream("6.1", AIR_POLICY, ALL) as reading:
            chunks = reading.stream.chunks()
            next(chunks)
            clock.set(moved)
            release = reading.stream.headers["civic-release"]
            with pytest.raises(Exception, match="broke off"):
                for _ in chunks:
                    pass
        clock.set(0)
        entry = outcome(city, release)
        assert (entry["type"], entry["reasons"]) == ("gateway:release:aborted", [code])
        assert city.of(HEALTH).civic.read("6.1", AIR_POLICY, SMALL).release["state"] == "done"
        assert "Traceback" not in (city.home / "service.log").read_text()
    finally:
        city.service.stop()


@pytest.mark.parametrize("kind", ["drip", "take nothing yet"])
def test_two_departments_do_not_block_a_third(city_with_long_timeout: City, kind: str) -> None:
    """Each of these readers reads just enough for the send timeout; together they occupy every stream."""
    readers = [slow(city_with_long_timeout, part) for part in (HEALTH, HEALTH, PLANNING, PLANNING)]
    assert [reader.status for reader in readers] == [200] * 4
    used = charged(city_with_long_timeout, "air-health") + charged(city_with_long_timeout, "air-planning")
    over = threading.Event()
    if kind == "drip":
        dripping = [threading.Thread(target=reader.drip, args=(8192, 0.5, over)) for reader in readers]
        for thread in dripping:
            thread.start()
        time.sleep(12)
    began = time.monotonic()
    with city_with_long_timeout.of(EDUCATION).civic.read_stream(
        "6.1", AIR_POLICY, {"columns": ["pm25", "district"]}
    ) as reading:
        got = sum(len(chunk) for chunk in reading.stream.chunks())
        reading.finish()
    assert time.monotonic() - began < 5
    assert got > 1 << 20
    records = [
        city_with_long_timeout.of(part).civic.release(reader.release)
        for reader, part in zip(readers, (HEALTH, HEALTH, PLANNING, PLANNING), strict=True)
    ]
    assert sorted(record["state"] for record in records) == ["aborted", *["streaming"] * 3]
    [gone] = [record for record in records if record["state"] == "aborted"]
    entry = outcome(city_with_long_timeout, gone["id"])
    assert entry["reasons"] == ["reader.too-slow" if kind == "drip" else "reader.gave-way"]
    assert entry["counts"] == {"rows": gone["rows"], "bytes": gone["bytes"]}
    assert gone["bytes"] > 0
    assert (
        charged(city_with_long_timeout, "air-health") + charged(city_with_long_timeout, "air-planning")
        == used
    )
    over.set()
    for reader in readers:
        reader.close()
    assert "Traceback" not in (city_with_long_timeout.home / "service.log").read_text()


def test_interrupted_reader_continues_without_another_use(city_with_long_timeout: City) -> None:
    key = "the-same-read-again"
    reader = slow(city_with_long_timeout, HEALTH, **{"Idempotency-Key": key})
    others = [slow(city_with_long_timeout, part) for part in (HEALTH, PLANNING, PLANNING)]
    before = charged(city_with_long_timeout, "air-health")
    time.sleep(2)  # So that the first one is the slowest.
    with city_with_long_timeout.of(EDUCATION).civic.read_stream("6.1", AIR_POLICY, {"columns": ["pm25"]}):
        assert ended(city_with_long_timeout, HEALTH, reader.release, 5)["state"] == "aborted"
    for one in (reader, *others):
        one.close()
    for one, part in zip(others, (HEALTH, PLANNING, PLANNING), strict=True):
        ended(city_with_long_timeout, part, one.release, 20)
    assert city_with_long_timeout.of(HEALTH).civic.read("6.1", AIR_POLICY, ALL, idempotency_key=key).body
    assert charged(city_with_long_timeout, "air-health") == before


def test_stream_ended_by_a_crash_is_recorded_as_unknown(large: City) -> None:
    reader = slow(large, HEALTH)
    large.service.kill()
    reader.close()
    large.service = open_city(large.home, **TIMES).service
    reconnect(large)
    record = large.of(HEALTH).civic.release(reader.release)
    assert (record["state"], record["rows"], record["bytes"]) == ("aborted", None, None)
    assert "counts" not in outcome(large, reader.release)


def test_status_is_answered_while_data_calls_wait(large: City) -> None:
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


def test_repeated_upload_does_not_disturb_running_reads(city_with_long_timeout: City) -> None:
    """The holder uploads the same bytes again, once and several times concurrently, while others read
    them."""
    owner, file = city_with_long_timeout.actors[6], city_with_long_timeout.home / "large.csv"
    stored = next((city_with_long_timeout.home / "data" / "6.1").glob(f"*{source_of(file)['sha256']}*"))
    before = stored.stat()
    with city_with_long_timeout.of(HEALTH).civic.read_stream("6.1", AIR_POLICY, ALL) as answer:
        with ThreadPoolExecutor(2) as pool:
            for one in [pool.submit(owner.civic.upload, "6.1", file) for _ in range(4)]:
                one.result()
        assert len(answer.stream.read(1 << 28)) > 1 << 20
    after = stored.stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    assert not list((city_with_long_timeout.home / "data").glob(".incoming-*"))


def test_changed_file_is_replaced_by_a_new_upload(city_with_long_timeout: City) -> None:
    owner, file = city_with_long_timeout.actors[6], city_with_long_timeout.home / "large.csv"
    stored = next((city_with_long_timeout.home / "data" / "6.1").glob(f"*{source_of(file)['sha256']}*"))
    stored.write_bytes(b"something else")
    owner.civic.upload("6.1", file)
    assert stored.read_bytes() == file.read_bytes()
    assert city_with_long_timeout.of(HEALTH).civic.read("6.1", AIR_POLICY, SMALL).body


def timed(what: Callable[[], object]) -> float:
    began = time.monotonic()
    what()
    return time.monotonic() - began


@pytest.mark.alone
def test_uploads_do_not_block_status_reads_or_acts(large: City) -> None:
    """More concurrent uploads than the threads for other calls, each with a file to be checked."""
    owner, file = large.actors[6], large.home / "large.csv"

    def upload(_: int) -> str:
        try:
            owner.civic.upload("6.1", file)
        except ServiceProblem as refused:
            return refused.code
        return ""

    def act() -> None:
        draft = draft_suspension(large.assets["population_register"], "a test")
        hand_in(large, large.of(PUBLIC_SECURITY), draft, [large.of(PUBLIC_SECURITY).secrets["steward"]])

    with ThreadPoolExecutor(60) as pool:
        uploads = [pool.submit(upload, number) for number in range(60)]
        time.sleep(0.5)
        took, until = [], time.monotonic() + 3
        while time.monotonic() < until:
            took.append(timed(lambda: httpx.get(large.service.url + "/v1/status", timeout=60)))
            took.append(timed(lambda: large.of(PLANNING).civic.read("6.1", AIR_POLICY, SMALL)))
        took.append(timed(act))
        codes = [one.result() for one in uploads]
    assert max(took) < 3, (max(took), codes)
    # Two concurrent uploads are checked one after the other; one that waits longer than CIVIC_SCAN_WAIT_S (2
    # s here) is told to retry.
    assert {"", "call.too-many"} <= set(codes) <= {"", "call.too-many", "scan.busy"}
