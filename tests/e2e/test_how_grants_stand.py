"""The status of a grant: the same in the register, its filters, and the command, in both languages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.slots import slot_bounds
from access_policy.terms.templates import agreement
from api.demo.city import City, hand_in
from api.demo.governing import AIR, AIR_POLICY, PENSION_CHECK
from api.demo.participants import EDUCATION, ELDER_CARE, PLANNING, Part
from api.sdk.acts import sign_act
from api.sdk.drafts import acceptance_of, draft_grant, draft_retirement, draft_revocation
from api.sdk.errors import ServiceProblem
from ledger.ids import asset_iri, department_iri, parse_asset
from tests.simulators.city import open_city

UNLIMITED = 2**32 - 1


@pytest.fixture(scope="module")
def status_city(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city with one grant in every status."""
    city = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("standing") / "city")))
    now = datetime.now(UTC).replace(microsecond=0)
    city.grants["pending"] = granted(city, now - timedelta(minutes=1))
    city.grants["later"] = granted(city, now + timedelta(days=1))
    accept(city, city.grants["later"])
    city.grants["gone"] = granted(city, now - timedelta(minutes=1))
    owner = owner_of(city)
    revoke = sign_act(
        draft_revocation(city.grants["gone"], "purpose-ended"), city.trust, [owner.secrets["steward"]]
    )
    owner.civic.act(revoke.type, revoke.message, revoke.signatures)
    city.of(EDUCATION).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    register = city.assets["population_register"]
    for _ in range(3):
        city.of(ELDER_CARE).civic.read(register, PENSION_CHECK, {"limit": 1})
    yield city
    city.service.stop()


def owner_of(city: City) -> Any:
    return city.actors[parse_asset(city.assets["air_quality"]) >> 40]


def granted(city: City, begin: datetime) -> str:
    """A grant of air readings to the planning department that begins at an instant and was not accepted
    yet."""
    asset, owner = city.assets["air_quality"], owner_of(city)
    document = agreement(
        department_iri(owner.part.number),
        department_iri(PLANNING.number),
        asset_iri(parse_asset(asset)),
        columns=AIR,
        purposes=(AIR_POLICY,),
        not_before=begin,
        expiry=begin + timedelta(days=30),
        law=("PIPL art. 6",),
    )
    parsed = parse_terms(document)
    assert isinstance(parsed, Agreement)
    bounds = slot_bounds(parsed)
    assert bounds.not_before is not None
    assert bounds.expiry is not None
    times = {"not_before": int(bounds.not_before.timestamp()), "expiry": int(bounds.expiry.timestamp())}
    draft = draft_grant(asset, PLANNING.number, document, max_uses=UNLIMITED, **times)
    hand_in(city, owner, draft, [owner.secrets["steward"]])
    return draft.id


def accept(city: City, grant: str) -> None:
    planning = city.of(PLANNING)
    terms = planning.civic.grant(grant)["terms"]
    signed = sign_act(acceptance_of(terms), city.trust, [planning.secrets["steward"]])
    planning.civic.accept(grant, signed.signatures[0])


STANDS = {
    "air-planning": ("active", None),
    "air-education": ("spent", 0),
    "pension-check": ("spent", 0),
    "visits-education": ("expired", 0),
    "pending": ("not-accepted", None),
    "later": ("not-yet-valid", None),
    "gone": ("revoked", 0),
}


@pytest.mark.parametrize("key", STANDS)
def test_the_register_has_the_status_of_a_grant(status_city: City, key: str) -> None:
    found = status_city.of(PLANNING).civic.grant(status_city.grants[key])
    assert (found["status"], found["left"]) == STANDS[key]
    listed = {one["id"]: one for one in status_city.of(PLANNING).civic.grants()}[status_city.grants[key]]
    assert (listed["status"], listed["left"], listed["used"]) == (
        found["status"],
        found["left"],
        found["used"],
    )


def test_uses_are_counted(status_city: City) -> None:
    civic = status_city.of(PLANNING).civic
    assert civic.grant(status_city.grants["pension-check"])["used"] == 3
    assert civic.grant(status_city.grants["air-education"])["used"] == 1
    assert civic.grant(status_city.grants["air-planning"])["used"] == 0


def test_the_filter_gives_exactly_the_grants_of_a_status(status_city: City) -> None:
    civic = status_city.of(PLANNING).civic
    every = list(civic.grants())
    words = {one["status"] for one in every}
    assert {"active", "spent", "expired", "not-accepted", "not-yet-valid", "revoked"} == words
    for word in words:
        for limit in (1, 50):
            found = [one["id"] for one in civic.grants(status=word, limit=limit)]
            assert found == [one["id"] for one in every if one["status"] == word]
    with pytest.raises(ServiceProblem) as refused:
        list(civic.grants(status="nearly"))
    assert refused.value.code == "request.status"


def test_register_status_matches_the_result_of_a_call(status_city: City) -> None:
    planning, asset = status_city.of(PLANNING).civic, status_city.assets["air_quality"]
    with pytest.raises(ServiceProblem) as refused:
        planning.read(asset, AIR_POLICY, {"limit": 1}, grant=status_city.grants["pending"])
    assert refused.value.reasons == ["grant.not-accepted"]
    with pytest.raises(ServiceProblem) as refused:
        status_city.of(ELDER_CARE).civic.read(
            status_city.assets["population_register"], PENSION_CHECK, {"limit": 1}
        )
    assert refused.value.reasons == ["uses.exhausted"]
    for key, decision in (("air-planning", "permit"), ("pending", "deny")):
        told = planning.dry_run(asset, AIR_POLICY, {"limit": 1}, grant=status_city.grants[key])
        assert told["decision"] == decision


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(("key", "reason"), [("gone", "grant.revoked"), ("later", "grant.not-yet-valid")])
def test_call_naming_a_grant_gets_the_reason_of_this_grant(
    status_city: City, key: str, reason: str, dry: bool
) -> None:
    asset, grant = status_city.assets["air_quality"], status_city.grants[key]
    told = reasons_of(status_city, PLANNING, asset, grant, dry=dry)
    assert told == [reason]
    assert reasons_of(status_city, EDUCATION, asset, grant, dry=dry) == ["grant.none"], (
        "it is another department's"
    )
    assert reasons_of(status_city, PLANNING, status_city.assets["weather"], grant, dry=dry) == ["grant.none"]


def reasons_of(status_city: City, part: Part, asset: str, grant: str, *, dry: bool) -> list[str]:
    civic = status_city.of(part).civic
    if dry:
        return [one["code"] for one in civic.dry_run(asset, AIR_POLICY, {"limit": 1}, grant=grant)["reasons"]]
    with pytest.raises(ServiceProblem) as refused:
        civic.read(asset, AIR_POLICY, {"limit": 1}, grant=grant)
    return list(refused.value.reasons)


def lets_in(status_city: City, question: str, **asked: str) -> set[str]:
    answer = status_city.of(PLANNING).civic.transport.call("GET", f"/v1/policy/{question}", params=asked)
    [members] = [value for value in answer.json().values() if isinstance(value, list)]
    return {one["terms"] for one in members}


def test_who_can_and_what_can_list_only_usable_grants(status_city: City) -> None:
    air = status_city.assets["air_quality"]
    usable = {key: status_city.grants[key] for key in ("air-planning", "air-health")}
    assert lets_in(status_city, "who-can", asset=air, purpose=AIR_POLICY) == set(usable.values())
    found = lets_in(status_city, "what-can", department=str(PLANNING.number))
    assert usable["air-planning"] in found
    for key in ("pending", "later", "gone"):
        assert status_city.grants[key] not in found, key
    for one in found:
        assert status_city.of(PLANNING).civic.grant(one)["status"] == "active"


def test_retired_dataset_is_not_accessible(status_city: City) -> None:
    weather = status_city.assets["weather"]
    owner = owner_of(status_city)
    both = [owner.secrets[name] for name in ("steward", "cdo")]
    hand_in(status_city, owner, draft_retirement(weather), both)
    assert lets_in(status_city, "who-can", asset=weather, purpose=AIR_POLICY) == set()
    assert status_city.grants["weather-open"] not in lets_in(
        status_city, "what-can", department=str(PLANNING.number)
    )
    assert (
        status_city.of(PLANNING).civic.grant(status_city.grants["weather-open"])["status"] == "asset-retired"
    )
    with pytest.raises(ServiceProblem) as refused:
        status_city.of(PLANNING).civic.request_access(
            {
                "asset": weather,
                "columns": [],
                "purpose": AIR_POLICY,
                "legal_basis": "PIPL art. 6",
                "starts": "2026-01-31T08:00:00Z",
                "ends": "2036-01-31T08:00:00Z",
            }
        )
    assert refused.value.code == "asset.retired"


def shown(city: City, *arguments: str) -> str:
    environment = {
        "CIVIC_PROFILE": str(city.of(PLANNING).directory),
        "CIVIC_URL": city.service.url,
        "COLUMNS": "400",
    }
    command = [sys.executable, "-m", "api.cli.main", *arguments]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_says_the_same_in_both_languages(status_city: City) -> None:
    english, chinese = (
        shown(status_city, "grants", "list"),
        shown(status_city, "--lang", "zh", "grants", "list"),
    )
    for words, text in (
        (("active", "spent", "expired", "not accepted", "not yet valid", "revoked", "unlimited"), english),
        (("有效", "次数已用完", "已到期", "需求部门尚未接受", "尚未生效", "已撤销", "不限"), chinese),
    ):
        assert [word for word in words if word not in text] == []
    lines = dict(
        line.split(maxsplit=1)
        for line in shown(status_city, "grants", "show", status_city.grants["pension-check"]).splitlines()
        if line.startswith(("left", "used", "status"))
    )
    assert {name: value.strip() for name, value in lines.items()} == {
        "status": "spent",
        "left": "0",
        "used": "3",
    }
    document = json.loads(shown(status_city, "grants", "show", status_city.grants["air-planning"], "--json"))
    assert (document["status"], document["left"], document["used"]) == ("active", None, 0)
    assert "unlimited" in shown(status_city, "grants", "show", status_city.grants["air-planning"])
