"""A person who can write the database deletes a row: what it denied stays denied, while running and after a start."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import ELDER_CARE, PLANNING
from api.demo.process import ServiceProcess
from api.sdk.errors import ServiceProblem
from ledger.store.foreign import EVERY_S
from tests.e2e.test_who_writes_the_database import database
from tests.simulators.city import founded_home, open_city
from tests.simulators.raw_http import Call, Reply, read_body, send

AIR: dict[str, Any] = {"columns": ["pm25"], "limit": 1}


def test_a_captured_call_is_not_answered_again_when_its_nonce_is_deleted(city: City) -> None:
    def captured() -> bytes:
        asked = {"asset": city.assets["air_quality"], "purpose": AIR_POLICY, "query": AIR, "dry_run": False}
        headers = (("Content-Type", "application/json"),)
        caller = city.of(PLANNING).service
        return Call(caller, city.service.url, body=read_body(**asked), headers=headers).bytes()

    def forgotten() -> None:
        with database(city) as connection:
            connection.execute("DELETE FROM call_nonce")

    first, second = captured(), captured()
    for call in (first, second):
        assert send(city.service.url, call).status == 200
        forgotten()
        assert send(city.service.url, call).code == "call.replayed"
    port = urlsplit(city.service.url).port
    assert port is not None
    city.service.kill()
    forgotten()
    city.service = ServiceProcess(city.home, port=port)
    for call in (first, second):
        assert send(city.service.url, call).code == "call.replayed"
    assert send(city.service.url, captured()).status == 200


def test_trigger_that_undoes_charges_gives_no_additional_use(city: City) -> None:
    with database(city) as connection:
        for event in ("INSERT", "UPDATE"):
            connection.execute(
                f"CREATE TRIGGER planted_{event} AFTER {event} ON grant_charge BEGIN DELETE FROM grant_charge; END"
            )
    assert {answer.code for answer in together(city)} - {"call.too-many"} == {"store.foreign-object"}
    with database(city) as connection:
        for event in ("INSERT", "UPDATE"):
            connection.execute(f"DROP TRIGGER planted_{event}")
    assert permitted(together(city)) == 3, "and none was charged for nothing"


@pytest.mark.needs("postgresql")
@pytest.mark.drill
def test_trigger_between_two_schema_checks_gives_no_additional_use(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls of one commit are charged before any of them is in the log; here the table loses each charge
    at once."""
    monkeypatch.setenv("CIVIC_DATABASE_URL", postgres_url)
    city = open_city(founded_home(tmp_path / "city"))
    try:
        forget = "AS 'BEGIN DELETE FROM grant_charge; RETURN NULL; END'"
        with psycopg.connect(postgres_url, autocommit=True) as intruder:
            intruder.execute(f"CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql {forget}")
            answers = []
            for _ in range(4):
                look_at_the_schema(city)
                intruder.execute(
                    "CREATE TRIGGER planted AFTER INSERT OR UPDATE ON grant_charge FOR EACH ROW EXECUTE FUNCTION forget()"
                )
                answers += together(city)
                intruder.execute("DROP TRIGGER planted ON grant_charge")
                time.sleep(EVERY_S)
        assert permitted(answers) <= 3, [answer.code for answer in answers]
        look_at_the_schema(city)
        assert permitted(answers + together(city)) == 3
    finally:
        city.service.stop()


def look_at_the_schema(city: City) -> None:
    """Wait for a permitted read: a schema check that still saw the trigger refuses calls until the next
    check."""
    deadline = time.monotonic() + 30
    while True:
        try:
            city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, AIR)
            return
        except ServiceProblem as refused:
            if refused.status < 500 or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def together(city: City) -> list[Reply]:
    """The answers to 24 calls at once, under a grant of three uses."""
    asked = {
        "asset": city.assets["population_register"],
        "purpose": PENSION_CHECK,
        "query": {"columns": ["citizen_id"], "limit": 1},
        "dry_run": False,
    }
    headers = (("Content-Type", "application/json"),)
    caller = city.of(ELDER_CARE).service
    calls = [
        Call(caller, city.service.url, body=read_body(**asked), headers=headers).bytes() for _ in range(24)
    ]
    with ThreadPoolExecutor(24) as pool:
        return list(pool.map(lambda call: send(city.service.url, call), calls))


def permitted(answers: list[Reply]) -> int:
    return sum(answer.status == 200 for answer in answers)
