"""One call of every operation: the source of the examples in the description."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from api.demo.city import City
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, HEALTH, PLANNING, PUBLIC_SECURITY
from api.sdk.acts import sign_act
from api.sdk.conditions import draft_binding, draft_condition, new_opening
from api.sdk.drafts import acceptance_of, draft_revocation, submit
from api.sdk.published import signatures_of
from api.sdk.transport import ServiceKey
from ledger.ids import parse_asset
from tests.simulators.described_service import DescribedService


@dataclass
class Example:
    """A call and its answer, in the form of the description. ``who`` is anybody, a department or an
    auditor."""

    label: str
    who: str
    path: dict[str, Any]
    query: dict[str, Any]
    body: Any
    status: int
    answer: Any


@dataclass
class ExampleCalls:
    """Makes the calls one after another; each takes its identifiers from earlier answers."""

    city: City
    service: DescribedService
    made: list[Example] = field(default_factory=list)

    def call(
        self, label: str, key: ServiceKey | None = None, *, path: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None, body: Any = None, data: bytes | None = None,
    ) -> Any:  # fmt: skip
        sent: dict[str, Any] = {"params": query or {}}
        sent |= {} if body is None else {"json": body}
        sent |= {} if data is None else {"data": data}
        answer = self.service.call(label, key, path=path, **sent)
        kind = answer.headers["Content-Type"].partition(";")[0]
        shown = answer.json() if "json" in kind else answer.text if kind == "text/plain" else None
        auditor = self.city.of(AUDIT).service
        who = "anybody" if key is None else "an auditor" if key == auditor else "a department"
        self.made.append(Example(label, who, path or {}, query or {}, body, answer.status_code, shown))
        return answer

    def all(self) -> list[Example]:
        """Every operation once, after the calls that it needs."""
        for part in (self._registers, self._data, self._requests, self._policy, self._audit, self._acts):
            part()
        return self.made

    def _registers(self) -> None:
        city, air = self.city, self.city.assets["air_quality"]
        holder = city.actors[parse_asset(air) >> 40]
        condition = f"{HEALTH.number}.1"
        keeper = city.of(HEALTH)
        for who, draft in (
            (keeper, draft_condition(condition, "consent", new_opening("form 17"))),
            (holder, draft_binding(city.grants["air-planning"], condition)),
        ):
            submit(who.civic, sign_act(draft, city.trust, [who.secrets["steward"]]))
        one = {"limit": 1}
        self.call("GET /healthz")
        self.call("GET /readyz")
        self.call("GET /v1/status")
        self.call("GET /v1/trust")
        self.call("GET /v1/log/consistency", query={"old": 3, "new": 7})
        self.call("GET /v1/log/cosigned")
        self.call("GET /v1/log/inclusion", query={"index": 3, "size": 7})
        self.call("GET /checkpoint")
        self.call("GET /tile/{path}", path={"path": "0/000.p/7"})
        self.call("GET /v1/departments", query=one)
        self.call("GET /v1/departments/{number}", path={"number": str(PLANNING.number)})
        self.call("GET /v1/datasets", query=one)
        self.call("GET /v1/datasets/{dataset}", path={"dataset": air})
        self.call("GET /v1/datasets/{dataset}/source", holder.service, path={"dataset": air})
        self.call(
            "PUT /v1/datasets/{dataset}/source", holder.service,
            path={"dataset": air}, data=dataset_path("air_quality").read_bytes(),
        )  # fmt: skip
        self.call("GET /v1/grants", query=one)
        self.call("GET /v1/grants/{grant_id}", path={"grant_id": "0x" + "5f" * 32})
        self.call("GET /v1/grants/{grant_id}", path={"grant_id": city.grants["air-planning"]})
        self.call("GET /v1/conditions", query=one)
        self.call("GET /v1/conditions/{number}", path={"number": condition})

    def _data(self) -> None:
        reader = self.city.of(PLANNING).service
        asked = {
            "asset": self.city.assets["air_quality"],
            "purpose": AIR_POLICY,
            "query": {
                "columns": ["district", "pm25"],
                "where": {"column": "pm25", "op": "gt", "value": 10},
                "limit": 2,
            },
        }
        self.call("POST /v1/read", body=asked)
        self.call("POST /v1/read", reader, body=asked | {"query": {"columns": ["pm2.5"]}})
        self.call("POST /v1/read", reader, body=asked | {"purpose": "dpv:Marketing"})
        read = self.call("POST /v1/read", reader, body=asked)
        self.call("GET /v1/releases/{release_id}", reader, path={"release_id": read.headers["Civic-Release"]})

    def _requests(self) -> None:
        reader = self.city.of(PLANNING).service
        body = {
            "asset": self.city.assets["population_register"],
            "purpose": AIR_POLICY,
            "legal_basis": "Statute 12",
            "starts": "2027-01-01T00:00:00Z",
            "ends": "2027-06-01T00:00:00+08:00",
        }
        made = self.call("POST /v1/requests", reader, body=body).json()
        self.call("GET /v1/requests", reader, query={"state": "submitted", "limit": 1})
        self.call(
            "POST /v1/requests/{request_id}/answer",
            reader,
            path={"request_id": made["id"]},
            body={"state": "withdrawn"},
        )

    def _policy(self) -> None:
        grants = [self.city.grants[name] for name in ("air-planning", "weather-open")]
        air, weather = (
            self.service.call("GET /v1/grants/{grant_id}", path={"grant_id": one}).json()["agreement"]
            for one in grants
        )
        self.call("POST /v1/policy/check", body={"agreements": {"air": air}})
        self.call("POST /v1/policy/diff", body={"old": air, "new": weather})
        who = {"asset": self.city.assets["air_quality"], "purpose": AIR_POLICY}
        self.call("GET /v1/policy/who-can", query=who)
        self.call("GET /v1/policy/what-can", query={"department": str(PLANNING.number)})

    def _audit(self) -> None:
        auditor = self.city.of(AUDIT).service
        reads = {"decision": "permit", "limit": 1}
        found = self.call("GET /v1/audit/entries", auditor, query=reads).json()
        place = {"index": found["items"][0]["index"]}
        self.call("GET /v1/audit/entries/{index}/receipt", auditor, path=place)
        self.call("GET /v1/audit/entries/{index}/openings", auditor, path=place)
        subject = {"asset": self.city.assets["population_register"], "subject": "1001"}
        self.call("GET /v1/audit/readers", auditor, query=subject)
        self.call("GET /v1/audit/bundle", auditor)

    def _acts(self) -> None:
        city, grantee, owner = self.city, self.city.of(PLANNING), self.city.of(PUBLIC_SECURITY)
        grant = city.grants["air-planning"]
        terms = self.service.call("GET /v1/grants/{grant_id}", path={"grant_id": grant}).json()["terms"]
        [signature] = sign_act(acceptance_of(terms), city.trust, [grantee.secrets["steward"]]).signatures
        self.call("POST /v1/grants/{grant}/acceptance", path={"grant": grant}, body={"signature": signature})
        revocation = draft_revocation(city.grants["register-masked"])
        draft = sign_act(revocation, city.trust, [owner.secrets["steward"]])
        act = {name: draft.to_json()[name] for name in ("type", "message", "documents")}
        act["signatures"] = signatures_of(owner.civic, draft)
        taken = self.call("POST /v1/acts", body=act, query={"wait": 0}).json()
        self.call("GET /v1/acts/{digest}", path={"digest": taken["digest"]}, query={"wait": 20})
        self.call("POST /v1/acts", body=act)


def by_label(made: list[Example]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The examples in the form of the file: an operation has all its answers, and the call of the last
    one."""
    answers: dict[str, dict[str, Any]] = {}
    for one in made:
        said = {} if one.answer is None else {str(one.status): one.answer}
        answers[one.label] = answers.get(one.label, {}) | said
    for one in {one.label: one for one in made}.values():
        call = {"path": one.path, "query": one.query, "body": one.body, "answers": answers[one.label]}
        yield one.label, {"who": one.who} | {name: value for name, value in call.items() if value}
