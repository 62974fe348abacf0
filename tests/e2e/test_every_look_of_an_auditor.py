"""Every query with an auditor's key makes an entry: every route of the service is tested."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PLANNING
from api.sdk.conditions import draft_condition, new_opening
from api.sdk.drafts import NewServiceKey, draft_service_key, sign_act, submit
from api.sdk.errors import ServiceProblem
from api.sdk.transport import ServiceKey, Transport
from tests.simulators.city import open_city
from tests.simulators.raw_http import Call, read_body

LOOKS = {
    "GET /v1/audit/entries": "search",
    "GET /v1/audit/entries/{index}/receipt": "receipt",
    "GET /v1/audit/entries/{index}/openings": "openings",
    "GET /v1/audit/readers": "readers",
    "GET /v1/audit/bundle": "export",
    "GET /v1/releases/{release_id}": "release",
    "GET /v1/requests": "requests",
    "GET /v1/datasets/{dataset}/source": "source",
    "GET /tile/{path}": "tile",
}
"""Routes that show an auditor something that is not public, with the entry that each makes."""

PUBLIC = {
    "GET /healthz",
    "GET /readyz",
    "GET /v1/status",
    "GET /v1/trust",
    "GET /v1/log/consistency",
    "GET /v1/log/cosigned",
    "GET /v1/log/inclusion",
    "GET /checkpoint",
    "GET /v1/departments",
    "GET /v1/departments/{number}",
    "GET /v1/datasets",
    "GET /v1/datasets/{dataset}",
    "GET /v1/grants",
    "GET /v1/grants/{grant_id}",
    "GET /v1/conditions",
    "GET /v1/conditions/{number}",
    # The receipt of an act shows only the entry of an event that is public on the chain.
    "GET /v1/acts/{digest}",
    "GET /v1/policy/who-can",
    "GET /v1/policy/what-can",
    "POST /v1/policy/check",
    "POST /v1/policy/diff",
}
"""Public routes, without a key."""

OWN = {
    # Calls that change something or read data: each makes its own entry, for every caller.
    "POST /v1/acts",
    "POST /v1/grants/{grant}/acceptance",
    "POST /v1/requests",
    "POST /v1/requests/{request_id}/answer",
    "PUT /v1/datasets/{dataset}/source",
    "POST /v1/read",
}


CONDITION = f"{PLANNING.number}.1"


COUNTED = Path(__file__).parents[1] / "simulators" / "counted_connections"


@dataclass
class AuditedCity:
    city: City
    nested: Path
    release: str
    entry: int
    department_key: ServiceKey
    digest: str


@pytest.fixture(scope="module")
def audited(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedCity]:
    folder = tmp_path_factory.mktemp("audited")
    nested = folder / "nested"
    home = Path(shutil.copytree(founded, folder / "city"))
    city = open_city(home, PYTHONPATH=str(COUNTED), NESTED_CONNECTIONS=str(nested))
    try:
        assert nested.read_text() == "", "it is counted"
        read = city.of(PLANNING).civic.read("6.1", AIR_POLICY, {"limit": 1})
        for _ in range(260 - read.receipt.index):
            city.of(PLANNING).civic.transport.call(
                "POST",
                "/v1/read",
                body=json.dumps({"asset": "6.1", "purpose": AIR_POLICY, "query": {"limit": 1}}).encode(),
                headers={"Content-Type": "application/json"},
            )
        key = ServiceKey(PLANNING.number, Ed25519PrivateKey.generate())
        draft = draft_service_key(PLANNING.number, NewServiceKey(key.public, ("auditor",)), epoch=1)
        done = submit(city.of(PLANNING).civic, sign_act(draft, city.trust, city.council[:2]))
        assert done["state"] == "recorded"
        opened = draft_condition(CONDITION, "case", new_opening("case 17"))
        steward = city.of(PLANNING).secrets["steward"]
        assert submit(city.of(PLANNING).civic, sign_act(opened, city.trust, [steward]))["state"] == "recorded"
        yield AuditedCity(city, nested, str(read.release["id"]), read.receipt.index, key, str(done["digest"]))
    finally:
        city.service.stop()


def paths(audited: AuditedCity) -> dict[str, str]:
    """One valid target for every GET route."""
    grant = audited.city.grants["air-planning"]
    size = audited.city.of(AUDIT).civic.status()["log"]["size"]
    return {
        "GET /v1/conditions/{number}": f"/v1/conditions/{CONDITION}",
        "GET /v1/audit/entries/{index}/receipt": f"/v1/audit/entries/{audited.entry}/receipt",
        "GET /v1/audit/entries/{index}/openings": f"/v1/audit/entries/{audited.entry}/openings",
        "GET /v1/audit/readers": "/v1/audit/readers?asset=6.1&subject=nobody",
        "GET /v1/releases/{release_id}": f"/v1/releases/{audited.release}",
        "GET /tile/{path}": "/tile/entries/000",
        "GET /v1/log/consistency": f"/v1/log/consistency?old=1&new={size}",
        "GET /v1/log/cosigned": "/v1/log/cosigned",
        "GET /v1/log/inclusion": f"/v1/log/inclusion?index=1&size={size}",
        "GET /v1/departments/{number}": f"/v1/departments/{PLANNING.number}",
        "GET /v1/datasets/{dataset}": "/v1/datasets/6.1",
        "GET /v1/datasets/{dataset}/source": "/v1/datasets/6.1/source",
        "GET /v1/grants/{grant_id}": f"/v1/grants/{grant}",
        "GET /v1/acts/{digest}": f"/v1/acts/{audited.digest}",
        "GET /v1/policy/who-can": f"/v1/policy/who-can?asset=6.1&purpose={AIR_POLICY}",
        "GET /v1/policy/what-can": f"/v1/policy/what-can?department={PLANNING.number}",
    }


def size(audited: AuditedCity) -> int:
    return int(audited.city.of(AUDIT).civic.status()["log"]["size"])


def asked(audited: AuditedCity, key: ServiceKey | None, path: str) -> tuple[int, bytes]:
    transport = Transport(audited.city.service.url, audited.city.trust.gateway_key, key)
    try:
        with transport.open("GET", path) as stream:
            return stream.status, b"".join(stream.chunks())
    finally:
        transport.close()


def made(audited: AuditedCity, before: int) -> list[dict[str, Any]]:
    """The entries since then, from the bundle, requested by the auditor."""
    found = audited.city.of(AUDIT).civic.entries(type="auditor:log:", limit=200)
    return [one["entry"] for one in found if one["index"] >= before]


def test_every_route_is_classified(audited: AuditedCity) -> None:
    document = httpx.get(f"{audited.city.service.url}/openapi.json", trust_env=False).json()
    routes = {
        f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations
    }
    assert routes == set(LOOKS) | PUBLIC | OWN


def test_no_thread_waits_while_holding_a_database_connection(audited: AuditedCity) -> None:
    """A call that holds a connection must not wait for a second connection, the chain or another thread: if
    as many calls as there are connections did so, the whole service would wait."""
    civic = audited.city.of(PLANNING).civic
    for limit in (1, 1, 2):  # A call, its repeat, and one that is refused because of its key.
        with suppress(ServiceProblem):
            civic.read("6.1", AIR_POLICY, {"limit": limit}, idempotency_key="a key that comes again")
    civic.dry_run("6.1", AIR_POLICY, {"limit": 1}, grant=audited.city.grants["air-planning"])
    targets = paths(audited)
    for key in (audited.city.of(AUDIT).service, audited.city.of(PLANNING).service):
        for route in sorted(set(LOOKS) | PUBLIC):
            if route.startswith("GET "):
                asked(audited, key, targets.get(route, route.removeprefix("GET ")))
    assert audited.nested.read_text() == ""


@pytest.mark.parametrize("route", sorted(LOOKS))
def test_every_auditor_query_is_an_entry(audited: AuditedCity, route: str) -> None:
    path = paths(audited).get(route, route.partition(" ")[2])
    before, key = size(audited), audited.city.of(AUDIT).service
    status, body = asked(audited, key, path)
    assert (status, bool(body)) == (200, True), body[:200]
    assert size(audited) == before + 1
    [entry, *_] = made(audited, before)
    assert (entry["type"], entry["service"]) == (f"auditor:log:{LOOKS[route]}", key.key_id)
    again, _ = asked(audited, None, path)
    assert again == 401, "without a key there is nothing to see"


@pytest.mark.parametrize("route", sorted(PUBLIC))
def test_public_routes_show_only_chain_entries(audited: AuditedCity, route: str) -> None:
    method, _, path = route.partition(" ")
    if method != "GET":
        return
    target = paths(audited).get(route, path)
    status, body = asked(audited, None, target)
    assert status == 200, body[:200]
    for kind in (b"gateway:", b"auditor:", b"department:source", b"commitments"):
        assert kind not in body, kind


def test_cursor_is_bound_to_key_query_and_filters(audited: AuditedCity) -> None:
    """One narrow look does not give access to further entries."""
    key = audited.city.of(AUDIT).service
    before = size(audited)
    narrow = json.loads(asked(audited, key, "/v1/audit/entries?decision=permit&limit=1")[1])["next"]
    assert asked(audited, key, f"/v1/audit/entries?decision=permit&limit=9&cursor={narrow}")[0] == 200
    assert size(audited) == before + 1, "its pages belong to the look"
    after, look, bound = narrow.split("-")
    for path in (
        f"cursor={narrow}",
        f"decision=deny&cursor={narrow}",
        f"decision=permit&department=1&cursor={narrow}",
        f"decision=permit&cursor={after}-{int(look) - 1}-{bound}",
        f"decision=permit&cursor={after}-{look}-",
        f"decision=permit&cursor={after}-{look}",
        f"decision=permit&cursor={after}-{look}-%C3%A9",
        f"decision=permit&cursor={after}",
    ):
        status, body = asked(audited, key, f"/v1/audit/entries?{path}")
        assert (status, b'"items"' in body) == (400, False), (path, body[:200])
    assert (
        asked(audited, audited.department_key, f"/v1/audit/entries?decision=permit&cursor={narrow}")[0] == 400
    )
    assert size(audited) == before + 1


def test_queries_of_a_departments_own_auditor_are_entries(audited: AuditedCity) -> None:
    key = audited.department_key
    for path, what in (
        (f"/v1/releases/{audited.release}", "release"),
        ("/v1/requests", "requests"),
        (f"/v1/audit/entries/{audited.entry}/receipt", "receipt"),
        ("/v1/audit/entries", "search"),
    ):
        before = size(audited)
        status, body = asked(audited, key, path)
        assert status == 200, body[:200]
        assert size(audited) == before + 1, path
        assert made(audited, before)[0]["type"] == f"auditor:log:{what}"


def test_an_auditor_is_shown_no_digest_of_an_answer_but_the_salted_one(audited: AuditedCity) -> None:
    for key in (audited.city.of(AUDIT).service, audited.department_key):
        _, body = asked(audited, key, f"/v1/releases/{audited.release}")
        record = json.loads(body)
        assert "outcome" not in record
        assert len(record["response"]) == 43
    own = audited.city.of(PLANNING).civic.release(audited.release)
    assert own["outcome"]["disclosure"]


def test_refused_queries_show_nothing_and_own_queries_make_no_entry(
    audited: AuditedCity,
) -> None:
    before = size(audited)
    for path, status in (
        ("/v1/audit/entries/0/receipt", 403),
        (f"/v1/audit/entries/{audited.entry}/openings", 403),
        ("/v1/audit/bundle", 403),
        ("/tile/entries/000", 403),
    ):
        assert asked(audited, audited.department_key, path)[0] == status, path
    assert asked(audited, audited.city.of(PLANNING).service, f"/v1/releases/{audited.release}")[0] == 200
    assert size(audited) == before


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_auditors_key_reads_no_data_and_asks_for_none(audited: AuditedCity, dry_run: bool) -> None:
    """One OVERSIGHT officer can register such a key, and it read whatever its department was granted."""
    url, before = audited.city.service.url, size(audited)
    headers = (("Content-Type", "application/json"),)
    body = read_body(purpose=AIR_POLICY, dry_run=dry_run)
    answer = Call(audited.department_key, url, body=body, headers=headers).send(url)
    assert (answer.status, answer.code) == (403, "caller.not-reader")
    asked = {"asset": "6.1", "purpose": AIR_POLICY, "legal_basis": "a law",
             "starts": "2027-01-01T00:00:00Z", "ends": "2027-02-01T00:00:00Z"}  # fmt: skip
    answer = Call(
        audited.department_key, url, target="/v1/requests", body=json.dumps(asked).encode(), headers=headers
    ).send(url)
    assert (answer.status, answer.code) == (403, "caller.not-reader")
    assert size(audited) == before


def test_an_auditors_key_hands_in_no_file(audited: AuditedCity) -> None:
    url, before = audited.city.service.url, size(audited)
    asset = f"{audited.department_key.department}.1"
    answer = Call(
        audited.department_key, url, target=f"/v1/datasets/{asset}/source", method="PUT", body=b"x"
    ).send(url)
    assert (answer.status, answer.code) == (403, "caller.not-reader")
    assert size(audited) == before
