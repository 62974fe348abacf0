"""What a home keeps of a person whom a department named outside a predicate, also after erasure: all its
files are searched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import City
from api.demo.governing import PENSION_CHECK, RESEARCH
from api.demo.participants import AUDIT, ELDER_CARE, HEALTH
from api.protocol.errors import ClientError
from api.sdk.errors import ServiceProblem
from tests.e2e.test_the_keepers_of_the_log import civic
from tests.simulators.city import open_city

PERSON = "310101196912125432"
"""A person who is not in the data: a file that contains it was written by a call."""


@pytest.fixture(scope="module")
def searched_city(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city in which a department named a person in every free field of a call."""
    city = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("kept") / "city")))
    register, elder, health = (
        city.assets["population_register"],
        city.of(ELDER_CARE).civic,
        city.of(HEALTH).civic,
    )
    where = {"column": "citizen_id", "op": "eq", "value": PERSON}
    calls: list[dict[str, Any]] = [
        {"query": {"where": where}},
        {"query": {"where": where}, "idempotency_key": f"about {PERSON}"},
        {"query": {"where": where}, "attributes": {"recipient": PERSON}},
        {"query": {"where": {"column": PERSON, "op": "eq", "value": PERSON}}},
        {"query": {"columns": [PERSON]}},
        {"query": {"where": where}, "grant": PERSON},
        {"query": {"where": where, "order": [{"column": PERSON}]}},
        {"query": {"where": where, PERSON: 1}},
    ]
    for call in calls:
        for civic_ in (elder, health):
            purpose = PENSION_CHECK if civic_ is elder else RESEARCH
            with suppress(ServiceProblem):
                civic_.read(register, purpose, **call)
    for dry in ({"where": where}, {"columns": [PERSON]}):
        with suppress(ServiceProblem):
            elder.dry_run(register, PENSION_CHECK, dry)
    body = json.dumps({"asset": PERSON, "purpose": PERSON, "grant": PERSON, PERSON: PERSON}).encode()
    elder.transport.call("POST", "/v1/read", body=body, headers={"Content-Type": "application/json"})
    city.of(AUDIT).civic.readers(register, PERSON)
    with suppress(ClientError):
        list(city.of(AUDIT).civic.entries(asset=PERSON))
    with suppress(ClientError):
        list(city.of(AUDIT).civic.entries(type=PERSON))
    yield city
    city.service.stop()


def test_no_file_of_the_home_contains_an_erased_person(searched_city: City) -> None:
    city = searched_city
    city.service.stop()
    left = {
        path.name for path in city.home.rglob("*") if path.is_file() and PERSON.encode() in path.read_bytes()
    }
    assert left == set(), (
        "nothing that holds what a call searched_city is written in the clear, erased or not"
    )
    civic(
        *("audit", "erase", "--home", city.home, "--asset", city.assets["population_register"]),
        *("--subject", PERSON, "--officer", "0x" + "11" * 20),
    )
    holding = {
        str(path.relative_to(city.home))
        for path in city.home.rglob("*")
        if path.is_file() and PERSON.encode() in path.read_bytes()
    }
    assert holding == set()
