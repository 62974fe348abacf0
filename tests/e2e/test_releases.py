"""What is sent and what is recorded about it: small answers at once, large ones as a stream, failed ones not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, EDUCATION, PLANNING
from api.sdk.drafts import draft_revocation, sign_act, submit
from api.sdk.errors import ServiceProblem
from ledger.audit.formats.disclosures import read_disclosure
from tests.simulators.city import open_city

SMALL: dict[str, Any] = {"columns": ["pm25"], "limit": 3}
ALL: dict[str, Any] = {"columns": ["pm25", "district", "station_id"]}


def entries(city: City, release: str) -> list[tuple[int, str]]:
    """Index and type of the entries of one release."""
    found = city.of(AUDIT).civic.entries(type="gateway:", limit=200)
    return [
        (e["index"], e["entry"]["type"])
        for e in found
        if e["entry"].get("facts", {}).get("release") == release
    ]


def charged(city: City) -> int:
    """Uses charged so far, of all grants."""
    with sqlite3.connect(f"file:{city.home / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        return int(database.execute("SELECT coalesce(sum(used), 0) FROM grant_charge").fetchone()[0])


def scanning_processes(city: City) -> list[int]:
    """The children of the service."""
    tasks = Path(f"/proc/{city.service.pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_a_small_answer_is_decided_charged_and_logged_in_one_commit(city: City) -> None:
    answer = city.of(PLANNING).civic.read("6.1", AIR_POLICY, SMALL)
    assert answer.release["state"] == "done"
    (decided, first), (done, second) = entries(city, answer.release["id"])
    assert (first, second) == ("gateway:read:decided", "gateway:release:done")
    assert done == decided + 1
    # The receipt's head is that of the commit, so it covers the outcome as well.
    assert answer.receipt.signed.size > done


def test_a_large_answer_streams_under_a_record_that_is_finished_last(home: Path) -> None:
    city = open_city(home, CIVIC_BUFFER_BYTES="1024")
    try:
        civic = city.of(PLANNING).civic
        with civic.read_stream("6.1", AIR_POLICY, ALL) as reading:
            assert "civic-stream" in reading.stream.headers
            assert "content-digest" not in reading.stream.headers
            identity = reading.stream.headers["civic-release"]
            body = reading.stream.read()
            record, receipt = reading.finish(), reading.receipt
        assert (record["state"], record["bytes"]) == ("done", len(body))
        disclosed = read_disclosure(record["outcome"]["disclosure"])
        assert disclosed[1:] == ("response", hashlib.sha256(body).hexdigest())
        (decided, _), (done, _) = entries(city, identity)
        assert receipt.index == decided < receipt.signed.size <= done
        small = civic.read("6.1", AIR_POLICY, {**SMALL, "limit": 1})
        assert small.release["state"] == "done"
    finally:
        city.service.stop()


def test_unreadable_data_are_not_released_and_not_charged(city: City) -> None:
    civic = city.of(PLANNING).civic
    civic.read("6.1", AIR_POLICY, SMALL)
    before, processes = charged(city), scanning_processes(city)
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(civic.read, "6.1", AIR_POLICY, SMALL, idempotency_key="a-broken-read")
        time.sleep(1)  # The request has reached a process that will not answer it.
        for process in processes:
            os.kill(process, signal.SIGKILL)
        with pytest.raises(ServiceProblem) as refused:
            reading.result()
    assert refused.value.code == "scan.failed"
    assert refused.value.receipt is not None
    event = refused.value.receipt.event
    assert (event["type"], event["decision"], event["reasons"]) == (
        "gateway:read:decided",
        "deny",
        ["scan.failed"],
    )
    assert charged(city) == before

    answer = civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="a-broken-read")
    assert answer.release["state"] == "done"
    assert [kind for _, kind in entries(city, answer.release["id"])] == [
        "gateway:read:decided",
        "gateway:release:done",
    ]
    assert charged(city) == before + 1


def test_repeated_call_under_an_ended_grant_is_denied(city: City) -> None:
    civic, owner = city.of(PLANNING).civic, next(a for a in city.actors.values() if a.part.number == 6)
    civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="read-and-read-again")
    revocation = draft_revocation(city.grants["air-planning"])
    submit(owner.civic, sign_act(revocation, city.trust, [owner.secrets["steward"]]))
    with pytest.raises(ServiceProblem) as refused:
        civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="read-and-read-again")
    assert refused.value.code == "grant.revoked"
    assert refused.value.receipt is not None


def test_last_use_is_repeated_only_with_its_idempotency_key(city: City) -> None:
    civic = city.of(EDUCATION).civic
    first = civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="the-only-use-there-is")
    before = charged(city)
    again = civic.read("6.1", AIR_POLICY, SMALL, idempotency_key="the-only-use-there-is")
    assert (again.body, again.release["id"]) == (first.body, first.release["id"])
    with pytest.raises(ServiceProblem) as refused:
        civic.read("6.1", AIR_POLICY, SMALL)
    assert refused.value.code == "uses.exhausted"
    assert charged(city) == before
