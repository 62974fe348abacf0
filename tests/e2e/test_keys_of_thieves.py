"""What a stolen key obtains from the running service, route by route and act by act: exactly what
`docs/threat-model.md` says."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, BUREAU, EDUCATION, ENVIRONMENT, HEALTH, PLANNING
from api.protocol.keystore import open_ed25519
from api.sdk.acts import ActDraft, sign_act
from api.sdk.conditions import draft_binding, draft_condition, draft_end, new_opening
from api.sdk.drafts import (
    draft_replacement,
    draft_retirement,
    draft_revocation,
    draft_suspension,
    submit,
)
from api.sdk.office_drafts import NewServiceKey, draft_service_key, draft_service_key_removal
from api.sdk.transport import ServiceKey
from tests.simulators.city import open_city
from tests.simulators.raw_http import Call

GENERAL, FOREVER = ("admin", "steward", "cdo"), 2**40 - 1
JSON = (("Content-Type", "application/json"),)


@dataclass
class CityWithStolenKeys:
    city: City
    keys: dict[str, ServiceKey]
    entry: int
    release: str
    request: str


def new_key(city: City, department: int, *roles: str, **term: int) -> ServiceKey:
    """A key that the council and, if permitted, the department's ADMIN registered."""
    key = ServiceKey(department, Ed25519PrivateKey.generate())
    draft = draft_service_key(department, NewServiceKey(key.public, roles, **term), epoch=1)
    signers = [
        *city.council[:2],
        next(a.secrets["admin"] for a in city.actors.values() if a.part.number == department),
    ]
    assert submit(city.of(PLANNING).civic, sign_act(draft, city.trust, signers))["state"] == "recorded"
    return key


@pytest.fixture(scope="module")
def city_with_keys(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityWithStolenKeys]:
    city = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("city_with_keys") / "city")))
    try:
        party, now = PLANNING.number, int(time.time())
        no_longer = new_key(city, party, "reader", not_after=now + 15)
        keys = {
            "party's reader": city.of(PLANNING).service,
            "holder's reader": city.of(ENVIRONMENT).service,
            "other's reader": city.of(BUREAU).service,
            "party's auditor": new_key(city, party, "auditor"),
            "other's auditor": new_key(city, HEALTH.number, "auditor"),
            "city's auditor": city.of(AUDIT).service,
            "suspended's reader": city.of(EDUCATION).service,
            "suspended's auditor": new_key(city, EDUCATION.number, "auditor"),
            "removed": new_key(city, party, "reader"),
            "not yet": new_key(city, party, "reader", not_before=now + 86_400),
            "no longer": no_longer,
            "stranger": ServiceKey(party, Ed25519PrivateKey.generate()),
            "another department's": ServiceKey(party, city.of(HEALTH).service.private),
            "service's own": ServiceKey(1, open_ed25519(city.home / "keys" / "gateway.json", "open-demo")),
        }
        removal = draft_service_key_removal(party, keys["removed"].public, epoch=1)
        submit(city.of(PLANNING).civic, sign_act(removal, city.trust, [city.of(PLANNING).secrets["admin"]]))
        stop = draft_suspension(EDUCATION.number, "x", epoch=1)
        submit(city.of(EDUCATION).civic, sign_act(stop, city.trust, [city.of(EDUCATION).secrets["admin"]]))
        read = city.of(PLANNING).civic.read("6.1", AIR_POLICY, {"limit": 1})
        asked = {"asset": "6.1", "purpose": AIR_POLICY, "legal_basis": "a law",
                 "starts": "2027-01-01T00:00:00Z", "ends": "2027-02-01T00:00:00Z"}  # fmt: skip
        answer = post(city, keys["party's reader"], "/v1/requests", asked)
        while time.time() < now + 16:
            time.sleep(0.1)
        yield CityWithStolenKeys(
            city, keys, read.receipt.index, str(read.release["id"]), json.loads(answer.body)["id"]
        )
    finally:
        city.service.stop()


def post(city: City, key: ServiceKey, target: str, body: Any) -> Any:
    return Call(key, city.service.url, target=target, body=json.dumps(body).encode(), headers=JSON).send(
        city.service.url
    )


OUT_OF_FORCE = {
    "suspended's reader",
    "suspended's auditor",
    "removed",
    "not yet",
    "no longer",
    "stranger",
    "another department's",
    "service's own",
}
READERS = {"party's reader", "holder's reader", "other's reader"}
AUDITORS = {"party's auditor", "other's auditor", "city's auditor"}
CITY = {"city's auditor"}

ANSWERED: Mapping[str, set[str]] = {
    "GET /v1/audit/entries": AUDITORS,
    "GET /v1/audit/entries?department=2": CITY | {"party's auditor"},
    "GET /v1/audit/entries/{entry}/receipt": CITY | {"party's auditor"},
    "GET /v1/audit/entries/{entry}/receipt?anchored=true": CITY | {"party's auditor"},
    "GET /v1/audit/entries/{entry}/openings": CITY,
    "GET /v1/audit/readers?asset=6.1&subject=nobody": CITY,
    "GET /v1/audit/bundle": CITY,
    "GET /tile/entries/000.p/8": CITY,
    "GET /v1/releases/{release}": CITY | {"party's reader", "party's auditor"},
    "GET /v1/requests": READERS | AUDITORS,
    "GET /v1/requests?side=provider": READERS | AUDITORS,
    "GET /v1/datasets/6.1/source": CITY | {"holder's reader"},
    "POST /v1/read": {"party's reader"},
    "POST /v1/read dry": READERS,
    "POST /v1/requests": READERS,
    "POST /v1/requests/{request}/answer withdrawn": {"party's reader"},
    "POST /v1/requests/{request}/answer refused": {"holder's reader"},
    "PUT /v1/datasets/6.1/source": {"holder's reader"},
}
"""Callers that are answered, or refused because of the content only."""


def body_of(city_with_keys: CityWithStolenKeys, route: str) -> bytes:
    asked: dict[str, Any] = {"asset": "6.1", "purpose": AIR_POLICY}
    if route.startswith("POST /v1/read"):
        asked |= {"query": {"limit": 1}, "dry_run": route.endswith("dry")}
    elif route.endswith("/requests"):
        asked |= {"legal_basis": "a law", "starts": "2027-01-01T00:00:00Z", "ends": "2027-02-01T00:00:00Z"}
    elif "/answer" in route:
        asked = {"state": route.rpartition(" ")[2], "reason": "no such reason"}
    else:
        return b"not the file" if route.startswith("PUT") else b""
    return json.dumps(asked).encode()


def asked(city_with_keys: CityWithStolenKeys, key: ServiceKey, route: str) -> tuple[int, str, bytes]:
    method, target = route.split(" ")[:2]
    target = target.format(
        entry=city_with_keys.entry, release=city_with_keys.release, request=city_with_keys.request
    )
    body, url = body_of(city_with_keys, route), city_with_keys.city.service.url
    call = Call(key, url, target=target, method=method, body=body, headers=JSON if body else ())
    answer = call.send(url)
    return answer.status, answer.code, answer.body


WHO = ("caller.", "signature.", "grant.", "request.forbidden")


@pytest.mark.parametrize("route", [one for one in ANSWERED if "withdrawn" not in one])
def test_a_key_is_answered_what_its_role_may_ask_and_nothing_else(
    city_with_keys: CityWithStolenKeys, route: str
) -> None:
    answered = set()
    for name, key in city_with_keys.keys.items():
        status, code, body = asked(city_with_keys, key, route)
        assert status < 500, (name, status, body[:300])
        if status < 400 or not code.startswith(WHO):
            answered.add(name)
        if name in OUT_OF_FORCE:
            assert (status, code) == (401, "signature.unknown-key"), (name, body[:300])
    assert answered == ANSWERED[route]


def test_only_the_requester_withdraws_a_request(city_with_keys: CityWithStolenKeys) -> None:
    route = "POST /v1/requests/{request}/answer withdrawn"
    for name, key in city_with_keys.keys.items():
        if name not in ANSWERED[route]:
            assert asked(city_with_keys, key, route)[0] in (401, 403), name


def test_every_authenticated_route_is_tried(city_with_keys: CityWithStolenKeys) -> None:
    document = httpx.get(f"{city_with_keys.city.service.url}/openapi.json", trust_env=False).json()
    unasked = set()
    for path, operations in document["paths"].items():
        for method in operations:
            target = path.replace("{index}", str(city_with_keys.entry)).replace(
                "{release_id}", city_with_keys.release
            )
            target = target.replace("{request_id}", city_with_keys.request).replace("{dataset}", "6.1")
            target = target.replace("{path}", "entries/000.p/8")
            headers = {"Content-Type": "application/json"} if method == "post" else {}
            if "readers" in target:
                target += "?asset=6.1&subject=nobody"
            body = body_of(
                city_with_keys,
                f"{method.upper()} {path.replace('{request_id}', 'x')}"
                + (" refused" if "answer" in path else ""),
            )
            answer = httpx.request(
                method,
                city_with_keys.city.service.url + target,
                content=body,
                headers=headers,
                trust_env=False,
            )
            if answer.status_code == 401:
                unasked.add(f"{method.upper()} {path}")
    tried = {route.split(" ")[0] + " " + route.split(" ")[1].partition("?")[0] for route in ANSWERED}
    same = {
        "{index}": "{entry}",
        "{release_id}": "{release}",
        "{request_id}": "{request}",
        "{dataset}": "6.1",
    }
    named = set()
    for route in unasked:
        for said, ours in same.items():
            route = route.replace(said, ours)
        named.add(route.replace("{path}", "entries/000.p/8"))
    assert named == tried


# -- acts that deny on arrival


def denying(city: City) -> dict[str, ActDraft]:
    """Acts that stop the planning department's grant, its dataset, its key or its holder, as everyone can
    write them."""
    grant, soon = city.grants["air-planning"], int(time.time()) + 3_600
    own = {
        "asset": HEALTH.number << 40 | 1, "grantee": 2, "right": 2, "notBefore": 0, "expiry": soon, "maxUses": 5,
        "depth": 0, "deadline": soon, "termsHash": "0x" + "77" * 32, "parent": "0x" + "00" * 32, "salt": 7,
    }  # fmt: skip
    terms = httpx.get(f"{city.service.url}/v1/grants/{grant}", trust_env=False).json()["terms"]
    key = city.of(PLANNING).service.public
    return {
        "Revoke": draft_revocation(grant),
        "Revoke with terms of one's own": ActDraft("Revoke", draft_revocation(grant).message, (), {"t": own}),
        "RevokeBatch": ActDraft("RevokeBatch", {"grants": [grant], "reason": 1, "deadline": soon}),
        "Cancel with terms of one's own": ActDraft(
            "Cancel", {"grant": grant, "deadline": soon}, (), {"t": own}
        ),
        "Cancel": ActDraft("Cancel", {"grant": grant, "deadline": soon}, (), {"t": terms}),
        "ReplaceGrant": draft_replacement(grant, city.grants["air-planning"]),
        "SuspendAsset": draft_suspension("6.1", "x"),
        "SuspendAsset by the bureau": draft_suspension("6.1", "x", by="bureau"),
        "RetireAsset": draft_retirement("6.1"),
        "SuspendDepartment": draft_suspension(PLANNING.number, "x", epoch=1),
        "RemoveServiceKey": draft_service_key_removal(PLANNING.number, key, epoch=1),
        "CloseCondition": draft_end(f"{ENVIRONMENT.number}.1", "withdrawn"),
    }


def test_department_cannot_stop_others_grants_while_acts_are_pending(city: City) -> None:
    """The contract is not asked then, and a received act denies at once."""
    holder, thief = city.of(ENVIRONMENT), city.of(HEALTH)
    for draft in (
        draft_condition(f"{ENVIRONMENT.number}.1", "case", new_opening("case 1")),
        draft_binding(city.grants["air-planning"], f"{ENVIRONMENT.number}.1"),
    ):
        assert (
            submit(holder.civic, sign_act(draft, city.trust, [holder.secrets["steward"]]))["state"]
            == "recorded"
        )
    taken = []
    for number, (name, draft) in enumerate(denying(city).items(), 1):
        decoy = draft_condition(f"{HEALTH.number}.{number}", "case", new_opening(f"case {number}"))
        answer = post(
            city,
            thief.service,
            "/v1/acts?wait=0",
            sign_act(decoy, city.trust, [thief.secrets["steward"]]).to_json(),
        )
        assert answer.status in (200, 202), answer.body
        signers = {role: thief.secrets[role] for role in (*GENERAL, "recovery")}
        signers |= {"oversight": city.of(AUDIT).secrets["oversight"], "council": city.council[0]}
        for role, secret in signers.items():
            signatures = [secret, secret] if name == "RetireAsset" else [secret]
            sent = sign_act(draft, city.trust, signatures).to_json()
            answer = post(city, thief.service, "/v1/acts?wait=0", sent)
            if answer.status < 400:
                taken.append((name, role))
    assert not taken
    assert city.of(PLANNING).civic.read("6.1", AIR_POLICY, {"limit": 1}, grant=city.grants["air-planning"])
