"""The readers of a person, whatever the form of the query; and nothing of the person is left after erasure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.demo.city import City
from api.demo.governing import AIR_POLICY, PENSION_CHECK, RESEARCH
from api.demo.participants import AUDIT, ELDER_CARE, HEALTH, PLANNING
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings
from api.sdk.errors import ServiceProblem
from ledger.audit.formats.events import read_event
from ledger.audit.log.openings import NotReplayable
from tests.e2e.test_the_keepers_of_the_log import civic
from tests.simulators.city import open_city

KEY = "citizen_id"
OTHERS = ("310101197001019999", "310101197002029999", "not a number")


class Reading:
    """A city in which one person is read in every way."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.asset = city.assets["population_register"]
        elder = city.of(ELDER_CARE).civic
        self.whole = elder.read(self.asset, PENSION_CHECK, {})
        self.beyond = elder.read(self.asset, PENSION_CHECK, {"where": compare("gt", "9")})
        self.persons = [str(row[KEY]) for row in self.whole.rows()[:2]]
        self.person = self.persons[0]

    def ask(self, where: object, asset: str | None = None, **more: Any) -> int:
        """The index of the entry of a read; most reads are refused because the grant's uses are spent."""
        elder = self.city.of(ELDER_CARE).civic
        try:
            return elder.read(asset or self.asset, PENSION_CHECK, {"where": where}, **more).receipt.index
        except ServiceProblem as refused:
            if refused.receipt is None:
                raise
            return refused.receipt.index

    def told(self, subject: str, asset: str | None = None) -> dict[str, Any]:
        return self.city.of(AUDIT).civic.readers(asset or self.asset, subject)

    def named(self, subject: str) -> set[int]:
        return {one["index"] for one in self.told(subject)["named"]}


@pytest.fixture(scope="module")
def reading(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    city = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("persons") / "city")))
    yield Reading(city)
    city.service.stop()


def compare(op: str, value: object) -> dict[str, object]:
    return {"column": KEY, "op": op, "value": value}


SPELLINGS = {
    "in": lambda p: compare("in", [p]),
    "range": lambda p: {"and": [compare("gteq", p), compare("lteq", p)]},
    "not neq": lambda p: {"not": compare("neq", p)},
    "or": lambda p: {"or": [compare("eq", p)]},
    "among others": lambda p: compare("in", [*OTHERS, p]),
    "beside others": lambda p: {"or": [compare("eq", OTHERS[0]), {"not": {"not": compare("eq", p)}}]},
    "with another column": lambda p: {"and": [compare("eq", p), {"column": "died_on", "op": "isNull"}]},
    "everybody else": lambda p: compare("neq", p),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_query_naming_the_person_is_found_in_every_form(reading: Reading, spelling: str) -> None:
    index = reading.ask(SPELLINGS[spelling](reading.person))
    assert index in reading.named(reading.person)
    assert reading.person not in json.dumps(reading.told(reading.person))


def test_each_of_several_persons_is_found_and_no_other(reading: Reading) -> None:
    index = reading.ask(compare("in", [*reading.persons, OTHERS[0]]))
    for subject in (*reading.persons, OTHERS[0]):
        assert index in reading.named(subject)
    assert index not in reading.named(OTHERS[1])


def test_a_release_of_the_whole_table_could_contain_everybody(reading: Reading) -> None:
    masked = reading.city.of(PLANNING).civic.read(reading.asset, AIR_POLICY, {"limit": 1})
    for subject in (reading.person, "somebody who may be in it"):
        told = reading.told(subject)
        indexes = {one["index"]: one["filters"] for one in told["could_contain"]}
        assert {reading.whole.receipt.index, masked.receipt.index} <= indexes.keys()
        assert indexes[reading.whole.receipt.index]["rows"] == {"not": {"column": "died_on", "op": "isNull"}}
        assert indexes[masked.receipt.index]["limit"] == 1


def test_a_release_whose_filters_exclude_the_person_is_not_listed(reading: Reading) -> None:
    planning = reading.city.of(PLANNING).civic
    told = reading.told(reading.person)
    assert reading.beyond.receipt.index not in {one["index"] for one in told["could_contain"]}
    assert reading.beyond.receipt.index in {one["index"] for one in reading.told("99")["could_contain"]}
    # The predicate is on masked values here, so it excludes no person.
    masked = planning.read(reading.asset, AIR_POLICY, {"where": {"column": KEY, "op": "isNull"}})
    assert masked.receipt.index in {one["index"] for one in reading.told(reading.person)["could_contain"]}


def test_undecidable_releases_are_listed_as_unknown(reading: Reading) -> None:
    nowhere = reading.told(reading.person, "9.99")
    assert [one["why"] for one in nowhere["unknown"]] == ["dataset.not-registered"]
    air = reading.city.assets["air_quality"]
    release = reading.city.of(PLANNING).civic.read(air, AIR_POLICY, {"limit": 1})
    told = reading.told(reading.person, air)
    assert told["unknown"][0]["why"] == "dataset.no-person-key"
    assert release.receipt.index in {one.get("index") for one in told["unknown"]}
    assert (told["named"], told["could_contain"]) == ([], [])


def test_every_read_is_on_exactly_one_page(reading: Reading) -> None:
    auditor = reading.city.of(AUDIT).civic
    whole = reading.told(reading.person)
    for limit in (1, 3):
        found: dict[str, list[int]] = {"named": [], "could_contain": []}
        cursor: dict[str, str | int] = {}
        while True:
            page = auditor.readers_page(reading.asset, reading.person, limit=limit, **cursor)
            assert sum(len(page[kind]) for kind in found) <= limit
            for kind, indexes in found.items():
                indexes += [one["index"] for one in page[kind]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        for kind, indexes in found.items():
            assert indexes == [one["index"] for one in whole[kind]]


def test_a_query_with_more_values_than_can_be_kept_apart_is_refused(reading: Reading) -> None:
    many = {"or": [compare("in", [f"{n}-{i}" for i in range(1000)]) for n in range(3)]}
    with pytest.raises(ServiceProblem) as refused:
        reading.city.of(ELDER_CARE).civic.read(reading.asset, PENSION_CHECK, {"where": many})
    assert refused.value.code == "query.invalid"
    most = {"or": [compare("in", [f"{n}-{i}" for i in range(1000)]) for n in range(2)]}
    assert reading.ask(most) in reading.named("1-999")


@pytest.mark.parametrize("member", ["purpose", "action"])
def test_person_as_purpose_or_action_is_not_logged(reading: Reading, member: str) -> None:
    """An invalid purpose or action is in no entry, because entries are never deleted."""
    elder, size = reading.city.of(ELDER_CARE).civic, reading.city.of(AUDIT).civic.status()["log"]["size"]
    said: dict[str, Any] = {"purpose": PENSION_CHECK, "action": "read"} | {member: reading.person}
    with pytest.raises(ServiceProblem) as refused:
        elder.read(reading.asset, said["purpose"], {"limit": 1}, action=said["action"])
    assert refused.value.code == f"request.{member}"
    for one in reading.city.of(AUDIT).civic.entries():
        assert one["index"] < size or reading.person not in json.dumps(one["entry"])


@pytest.mark.parametrize(
    "member",
    [
        {"query": {"where": compare("eq", "\ud800")}},
        {"query": {"where": {"column": "died_on", "op": "in", "value": ["x\udfff"]}}},
        {"query": {"columns": ["\ud800"]}},
        {"attributes": {"recipient": "\ud800"}},
        {"attributes": {"\ud800": "x"}},
    ],
)
def test_lone_surrogate_is_refused_without_a_defect(reading: Reading, member: dict[str, Any]) -> None:
    transport = reading.city.of(ELDER_CARE).civic.transport
    body = json.dumps({"asset": reading.asset, "purpose": PENSION_CHECK} | member).encode()
    answer = transport.call("POST", "/v1/read", body=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json()["code"]) == (400, "request.text")


def leaves(person: str) -> st.SearchStrategy[dict[str, object]]:
    values = st.sampled_from([person, *OTHERS])
    return st.one_of(
        st.builds(compare, st.sampled_from(["eq", "neq", "lt", "lteq", "gt", "gteq"]), values),
        st.builds(compare, st.just("in"), st.lists(values, min_size=1, max_size=4)),
        st.just({"column": "died_on", "op": "isNull"}),
        st.just({"column": "name", "op": "eq", "value": "a name"}),
    )


def predicates(person: str) -> st.SearchStrategy[dict[str, object]]:
    return st.recursive(
        leaves(person),
        lambda inner: st.one_of(
            st.builds(lambda parts: {"and": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda parts: {"or": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=5,
    )


def test_reads_naming_a_person_are_found_and_erased_completely(
    reading: Reading,
) -> None:
    person, city = reading.person, reading.city
    asked: dict[int, bool] = {}

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(where=predicates(person), spread=st.booleans())
    def ask(where: dict[str, object], spread: bool) -> None:
        attributes = {"recipient": person} if spread and person in json.dumps(where) else {}
        asked[reading.ask(where, attributes=attributes)] = person in json.dumps(where)

    ask()
    naming = {index for index, names in asked.items() if names}
    found = reading.named(person)
    assert naming <= found
    assert not found & (asked.keys() - naming)
    others = reading.named(OTHERS[0])
    city.service.stop()
    home = ("--home", city.home, "--asset", reading.asset)
    civic("audit", "erase", *home, "--subject", person, "--officer", "0x" + "11" * 20)
    files = b"".join(path.read_bytes() for path in city.home.rglob("*") if _is_database(path))
    assert person.encode() not in files
    with (
        open_gateway(Settings(home=city.home), chores=False) as gateway,
        gateway.reading.connect() as connection,
    ):
        for entry in gateway.log.entries(0):
            kept = gateway.vault.openings(connection, entry.index)
            for name, opening in kept.items():
                assert person not in json.dumps(opening.value), (entry.index, name)
            if entry.index in found:
                with pytest.raises(NotReplayable):
                    gateway.vault.open(connection, entry.index, read_event(entry.leaf))
    assert civic("audit", "fsck", "--home", city.home)["ok"]
    reopened = open_city(city.home)
    city.service = reopened.service
    reading.city = reopened
    assert reading.named(person) == set()
    assert reading.named(OTHERS[0]) == others, "the others' own openings stay"
    erased = {one["index"] for one in reading.told(person)["unknown"] if one.get("why") == "opening.erased"}
    permitted = {
        index for index in found if reading.city.of(AUDIT).civic.receipt(index).event["decision"] == "permit"
    }
    assert permitted <= erased


def _is_database(path: Path) -> bool:
    return path.is_file() and ".sqlite" in path.name


def test_a_refused_reader_without_a_grant_is_found_too(reading: Reading) -> None:
    with pytest.raises(ServiceProblem) as refused:
        reading.city.of(HEALTH).civic.read(
            reading.asset, RESEARCH, {"where": compare("in", [reading.persons[1], OTHERS[1]])}
        )
    assert refused.value.receipt is not None
    assert refused.value.receipt.index in reading.named(reading.persons[1])
