"""Every documented operation answers in the documented form."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from api.demo.city import City
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PLANNING, PUBLIC_SECURITY
from api.sdk.acts import sign_act
from api.sdk.drafts import acceptance_of, draft_revocation
from api.sdk.published import signatures_of
from ledger.ids import parse_asset
from tests.simulators.described_service import DescribedService

FORMATS = ("application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream")


@pytest.fixture(scope="module")
def service(shared_city: City) -> DescribedService:
    return DescribedService(shared_city.service.url)


def asked(city: City, **more: Any) -> dict[str, Any]:
    query = {"columns": ["pm25"], "limit": 2}
    return {"asset": city.assets["air_quality"], "purpose": AIR_POLICY, "query": query} | more


def test_reads_and_their_releases(service: DescribedService, shared_city: City) -> None:
    city, reader, auditor = shared_city, shared_city.of(PLANNING).service, shared_city.of(AUDIT).service
    for kind in FORMATS:
        rows = service.call("POST /v1/read", reader, json=asked(city), headers={"Accept": kind})
        assert rows.status_code == 200
        assert {"civic-receipt", "civic-call", "civic-release"} <= {name.lower() for name in rows.headers}
    named = {"path": {"release_id": rows.headers["Civic-Release"]}}
    assert service.call("GET /v1/releases/{release_id}", reader, **named).json()["outcome"]
    assert "outcome" not in service.call("GET /v1/releases/{release_id}", auditor, **named).json()
    permitted = service.call("POST /v1/read", reader, json=asked(city, dry_run=True)).json()
    refused = service.call(
        "POST /v1/read", reader, json=asked(city, dry_run=True, purpose="dpv:Marketing")
    ).json()
    assert (permitted["decision"], refused["decision"]) == ("permit", "deny")
    denied = service.call("POST /v1/read", reader, json=asked(city, purpose="dpv:Marketing"))
    assert (denied.status_code, denied.json()["decision"]) == (403, "deny")


def test_requests(service: DescribedService, shared_city: City) -> None:
    reader = shared_city.of(PLANNING).service
    body = {
        "asset": shared_city.assets["population_register"],
        "purpose": AIR_POLICY,
        "legal_basis": "Statute 12",
        "starts": "2027-01-01T00:00:00Z",
        "ends": "2027-06-01T00:00:00+08:00",
    }
    made = service.call("POST /v1/requests", reader, json=body)
    assert made.status_code == 200, made.text
    answer = {"path": {"request_id": made.json()["id"]}, "json": {"state": "withdrawn"}}
    assert (
        service.call("POST /v1/requests/{request_id}/answer", reader, **answer).json()["state"] == "withdrawn"
    )
    assert service.call("POST /v1/requests/{request_id}/answer", reader, **answer).status_code in (200, 409)
    assert service.call("GET /v1/requests", reader).json()["items"]


def test_registers(service: DescribedService, shared_city: City) -> None:
    city = shared_city
    air, holder = city.assets["air_quality"], city.actors[parse_asset(city.assets["air_quality"]) >> 40]
    paths = {
        "GET /v1/departments": {},
        "GET /v1/departments/{number}": {"number": PLANNING.number},
        "GET /v1/datasets": {},
        "GET /v1/datasets/{dataset}": {"dataset": air},
        "GET /v1/grants": {},
        "GET /v1/grants/{grant_id}": {"grant_id": city.grants["air-planning"]},
        "GET /v1/conditions": {},
        "GET /healthz": {},
        "GET /readyz": {},
        "GET /v1/status": {},
        "GET /v1/trust": {},
        "GET /v1/log/cosigned": {},
        "GET /checkpoint": {},
        "GET /tile/{path}": {"path": "0/000.p/7"},
    }
    for label, path in paths.items():
        assert service.call(label, path=path).status_code == 200, label
    for label in ("GET /v1/log/consistency", "GET /v1/log/inclusion"):
        assert service.call(label, params={"old": 3, "new": 7, "index": 3, "size": 7}).json()["proof"], label
    for key in (holder.service, city.of(AUDIT).service):
        source = service.call("GET /v1/datasets/{dataset}/source", key, path={"dataset": air})
        assert source.json()["rows"], source.text
    again = service.call(
        "PUT /v1/datasets/{dataset}/source",
        holder.service,
        path={"dataset": air},
        data=dataset_path("air_quality").read_bytes(),
    )
    assert again.json()["quality"]["readable"], again.text


def test_analyses(service: DescribedService, shared_city: City) -> None:
    agreements = [
        service.call("GET /v1/grants/{grant_id}", path={"grant_id": one}).json()["agreement"]
        for one in shared_city.grants.values()
    ]
    checked = service.call(
        "POST /v1/policy/check", json={"agreements": {f"a{n}": one for n, one in enumerate(agreements)}}
    )
    assert checked.json()["terms"]
    changed = service.call("POST /v1/policy/diff", json={"old": agreements[0], "new": agreements[1]})
    assert changed.json()["changes"]
    who = {"asset": shared_city.assets["air_quality"], "purpose": AIR_POLICY}
    assert service.call("GET /v1/policy/who-can", params=who).json()["who"]
    assert service.call("GET /v1/policy/what-can", params={"department": PLANNING.number}).json()["what"]


def test_auditor_queries(service: DescribedService, shared_city: City) -> None:
    auditor = shared_city.of(AUDIT).service
    for _ in range(2):
        found = service.call("GET /v1/audit/entries", auditor, params={"limit": 3}).json()
    more = {"limit": 3, "cursor": found["next"]}
    assert service.call("GET /v1/audit/entries", auditor, params=more).json()["items"]
    for label in ("receipt", "openings"):
        shown = service.call(f"GET /v1/audit/entries/{{index}}/{label}", auditor, path={"index": 3})
        assert shown.json()["index"] == 3
    subject = {"asset": shared_city.assets["population_register"], "subject": "1001"}
    assert service.call("GET /v1/audit/readers", auditor, params=subject).status_code == 200
    bundle = service.call("GET /v1/audit/bundle", auditor)
    assert bundle.headers["Content-Type"] == "application/octet-stream"
    with tarfile.open(fileobj=io.BytesIO(bundle.content)) as files:
        assert files.getnames()
    assert service.call("GET /tile/{path}", auditor, path={"path": "entries/000.p/7"}).status_code == 200


def test_acts(service: DescribedService, shared_city: City) -> None:
    city, grantee, owner = shared_city, shared_city.of(PLANNING), shared_city.of(PUBLIC_SECURITY)
    grant = city.grants["air-planning"]
    terms = service.call("GET /v1/grants/{grant_id}", path={"grant_id": grant}).json()["terms"]
    [signature] = sign_act(acceptance_of(terms), city.trust, [grantee.secrets["steward"]]).signatures
    accepted = service.call(
        "POST /v1/grants/{grant}/acceptance", path={"grant": grant}, json={"signature": signature}
    )
    assert accepted.json()["grant"] == grant
    draft = sign_act(draft_revocation(city.grants["register-masked"]), city.trust, [owner.secrets["steward"]])
    act = {name: draft.to_json()[name] for name in ("type", "message", "documents")}
    act["signatures"] = signatures_of(owner.civic, draft)
    taken = service.call("POST /v1/acts", json=act, params={"wait": 0})
    assert taken.status_code == 202
    state = service.call(
        "GET /v1/acts/{digest}", path={"digest": taken.json()["digest"]}, params={"wait": 20}
    )
    assert state.json()["state"] == "recorded"
    again = service.call("POST /v1/acts", json=act)
    assert (again.status_code, again.json()["state"]) == (200, "recorded")
