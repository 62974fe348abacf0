"""A repeated idempotency key returns the same bytes, each time with a separate entry, or a logged refusal."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import City
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import AUDIT, ELDER_CARE, PLANNING, PUBLIC_SECURITY
from api.sdk.client import Civic
from api.sdk.drafts import draft_version, source_of
from api.sdk.errors import ServiceProblem
from ledger.ids import parse_asset
from tests.simulators.city import open_city, reconnect, take_version

SMALL: dict[str, Any] = {"columns": ["pm25"], "limit": 3}


def charged(city: City) -> int:
    with sqlite3.connect(f"file:{city.home / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        return int(database.execute("SELECT coalesce(sum(used), 0) FROM grant_charge").fetchone()[0])


def size(city: City) -> int:
    return int(city.of(AUDIT).civic.status()["log"]["size"])


def refused(civic: Civic, key: str, query: dict[str, Any] | None = None, asset: str = "6.1") -> str:
    """The code of a refused repeat, which has an entry of its own."""
    with pytest.raises(ServiceProblem) as problem:
        civic.read(asset, AIR_POLICY, query or SMALL, idempotency_key=key)
    assert problem.value.receipt is not None, problem.value.code
    return problem.value.code


def renew(city: City, rows: bytes) -> None:
    """The environment department registers and uploads a new version of the air quality data."""
    owner = city.actors[6]
    metadata = dict(owner.civic.dataset("6.1")["metadata"])
    file = city.home / "new_air_quality.csv"
    file.write_bytes(rows)
    metadata["source"] = source_of(file)
    version = int(owner.civic.dataset("6.1")["version"]) + 1
    take_version(city, owner, draft_version("6.1", version, metadata), file)


def test_each_repeat_has_an_entry_about_itself_and_is_not_charged(shared_city: City) -> None:
    civic = shared_city.of(PLANNING).civic
    first = civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="five-times-over")
    before, entries = charged(shared_city), size(shared_city)
    seen = {first.receipt.index}
    for _ in range(4):
        again = civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="five-times-over")
        assert again.body == first.body
        assert again.release["id"] == first.release["id"]
        assert again.receipt.event["type"] == "gateway:read:repeated"
        assert again.receipt.event["facts"]["release"] == first.release["id"]
        seen.add(again.receipt.index)
    assert len(seen) == 5
    assert charged(shared_city) == before
    assert size(shared_city) == entries + 4


def test_a_key_used_for_another_request_is_a_logged_refusal(shared_city: City) -> None:
    civic = shared_city.of(PLANNING).civic
    civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="one-request-only")
    for other in ({"columns": ["pm25"], "limit": 4}, {"columns": ["no2"], "limit": 3}):
        assert refused(civic, "one-request-only", other) == "idempotency.conflict"
    other_format = {**SMALL}
    with pytest.raises(ServiceProblem) as problem:
        civic.read("6.1", AIR_POLICY, other_format, media_type="text/csv", idempotency_key="one-request-only")
    assert problem.value.code == "idempotency.conflict"


def test_the_id_of_a_release_is_no_idempotency_key(shared_city: City) -> None:
    civic = shared_city.of(PLANNING).civic
    released = civic.read("6.1", AIR_POLICY, SMALL)
    assert refused(civic, str(released.release["id"])) == "idempotency.expired"


def test_used_idempotency_key_gives_no_new_version(city: City) -> None:
    civic = city.of(PLANNING).civic
    old = dataset_path("air_quality").read_bytes()
    first = civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="before-the-version")
    lines = old.splitlines(keepends=True)
    renew(city, b"".join([lines[0], *reversed(lines[1:])]))
    assert refused(civic, "before-the-version") == "idempotency.changed"
    fresh = civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="after-the-version")
    assert fresh.body != first.body
    # Another version with the same answer is still another version.
    renew(city, old.replace(b"AQ02", b"AQ92"))
    assert refused(civic, "after-the-version") == "idempotency.changed"


def test_repeat_after_a_changed_file_gives_no_other_bytes(city: City) -> None:
    civic = city.of(PLANNING).civic
    civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="the-file-changes")
    [file] = (city.home / "data" / "6.1").iterdir()
    file.write_bytes(file.read_bytes().translate(bytes.maketrans(b"123456789", b"234567891")))
    with pytest.raises(ServiceProblem) as problem:
        civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="the-file-changes")
    assert problem.value.code == "source.changed"
    assert problem.value.receipt is not None


def test_expired_idempotency_key_stays_expired(home: Path) -> None:
    city = open_city(home)
    try:
        civic = city.of(PLANNING).civic
        civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="for-a-short-time")
        city.service.stop()
        city.service = open_city(home, CIVIC_IDEMPOTENCY_KEEP_S="1").service
        reconnect(city)
        civic, before = city.of(PLANNING).civic, charged(city)
        import time

        time.sleep(1.1)
        assert refused(civic, "for-a-short-time") == "idempotency.expired"
        assert charged(city) == before
        civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="for-a-short-time-2")
        assert charged(city) == before + 1
    finally:
        city.service.stop()


def test_streamed_answer_is_repeated_completely_or_refused(founded: Path, tmp_path: Path) -> None:
    city = open_city(Path(shutil.copytree(founded, tmp_path / "city")), CIVIC_BUFFER_BYTES="1024")
    everything: dict[str, Any] = {"columns": ["pm25", "district", "station_id"]}
    try:
        civic = city.of(PLANNING).civic
        first = civic.read("6.1", AIR_POLICY, everything, idempotency_key="a-large-one")
        before = charged(city)
        again = civic.read("6.1", AIR_POLICY, everything, idempotency_key="a-large-one")
        assert (again.body, again.receipt.event["type"]) == (first.body, "gateway:read:repeated")
        assert charged(city) == before
        # An aborted read is resumed without another charge, with an entry about the call that resumes it.
        with civic.read_stream("6.1", AIR_POLICY, everything, idempotency_key="broken-off") as reading:
            next(reading.stream.chunks())
            release = str(reading.stream.headers["civic-release"])
        once = charged(city)
        city.service.kill()
        city.service = open_city(city.home, CIVIC_BUFFER_BYTES="1024").service
        reconnect(city)
        civic = city.of(PLANNING).civic
        whole = civic.read("6.1", AIR_POLICY, everything, idempotency_key="broken-off")
        assert whole.release["id"] == release
        assert whole.body == first.body
        assert whole.receipt.event["type"] == "gateway:read:repeated"
        assert charged(city) == once
    finally:
        city.service.stop()


def test_erased_read_cannot_be_guessed_or_repeated(city: City) -> None:
    """Every digest of the person's data is deleted, so that the answer cannot be found by guessing."""
    import hashlib

    from tests.e2e.test_the_keepers_of_the_log import civic as command

    elder, asset = city.of(ELDER_CARE).civic, city.assets["population_register"]
    rows = elder.read(asset, PENSION_CHECK, {"limit": 2}).rows()
    person, other = (str(row["citizen_id"]) for row in rows)
    of_both = {"where": {"column": "citizen_id", "op": "in", "value": [person, other]}}
    both = elder.read(asset, PENSION_CHECK, of_both, idempotency_key="about-two-persons")
    query = {"where": {"column": "citizen_id", "op": "eq", "value": person}}
    read = elder.read(asset, PENSION_CHECK, query, idempotency_key="about-one-person")
    assert len(read.rows()) == 1
    digest = hashlib.sha256(read.body)
    city.service.stop()

    def files() -> bytes:
        return b"".join(path.read_bytes() for path in sorted(city.home.glob("ledger.sqlite*")))

    for spelling in (digest.hexdigest().encode(), digest.digest(), person.encode()):
        assert spelling not in files()
    officer = "0x" + "11" * 20
    command(
        "audit",
        "erase",
        "--home",
        city.home,
        "--asset",
        asset,
        "--subject",
        person,
        "--officer",
        officer,
    )
    city.service = open_city(city.home).service
    reconnect(city)
    elder, auditor = city.of(ELDER_CARE).civic, city.of(AUDIT).civic
    record = elder.release(str(read.release["id"]))
    assert record["outcome"]["disclosure"] is None
    assert elder.release(str(both.release["id"]))["outcome"]["disclosure"] is None
    assert digest.hexdigest() not in str(record) + str(auditor.release(str(read.release["id"])))
    for index in range(read.receipt.index, read.receipt.index + 2):
        assert not {"request", "response", "decision", "literals"} & set(auditor.openings(index))
    for asked, key in ((query, "about-one-person"), (of_both, "about-two-persons")):
        with pytest.raises(ServiceProblem) as refused_repeat:
            elder.read(asset, PENSION_CHECK, asked, idempotency_key=key)
        assert refused_repeat.value.code == "idempotency.expired"
    assert city.of(PUBLIC_SECURITY).part.number == parse_asset(asset) >> 40
