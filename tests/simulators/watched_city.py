"""A city with many revocations, and the invariants that hold whatever is written into its database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo.city import City, hand_in
from api.demo.governing import AIR_POLICY, OPEN, PENSION_CHECK, RESEARCH
from api.demo.participants import AUDIT, EDUCATION, ELDER_CARE, HEALTH, PLANNING, PUBLIC_SECURITY, Actor
from api.sdk.acts import sign_act
from api.sdk.conditions import draft_binding, draft_condition, draft_end, new_opening
from api.sdk.drafts import (
    NewServiceKey,
    draft_revocation,
    draft_service_key,
    draft_service_key_removal,
    draft_suspension,
    submit,
)
from api.sdk.transport import ServiceKey
from ledger.ids import parse_asset
from tests.simulators.raw_http import Call, Reply, read_body, send

CRASH = re.compile(r"Traceback|unexpected error at .*")
AIR: dict[str, Any] = {
    "columns": ["pm25"],
    "where": {"column": "pm25", "op": "gteq", "value": 35.0},
    "limit": 3,
}
BODY = (("Content-Type", "application/json"),)
REPEATED = (*BODY, ("Idempotency-Key", "the-first-key-of-all"))


@dataclass(frozen=True)
class Probe:
    """One call: its caller, its content, and whether it may return data."""

    name: str
    key: ServiceKey | None
    target: str
    asked: Mapping[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = BODY
    forbidden: bool = False


@dataclass
class WatchedCity:
    city: City
    probes: list[Probe]
    right: dict[str, bytes] = field(default_factory=dict)
    """The answers of the permitted reads before any change."""
    log_read: int = 0

    @classmethod
    def open(cls, city: City) -> WatchedCity:
        """Use and then revoke or spend: a grant, a key, a dataset, a condition, a department, and all
        uses."""
        removed = _take_away(city)
        found = cls(city, _probes(city, removed))
        found.right = {name: reply.body for name, reply in found.ask().items() if reply.status == 200}
        wrong = {p.name for p in found.probes if p.forbidden} & found.right.keys()
        assert not wrong, wrong
        answers = found.ask()
        missing = {
            (p.name, answers[p.name].body[:300])
            for p in found.probes
            if not p.forbidden and p.name not in found.right
        }
        assert not missing, missing
        found.crashes()
        return found

    def ask(self, names: set[str] | None = None) -> dict[str, Reply]:
        """Make all calls, some concurrently; each is answered within 30 seconds."""
        chosen = [probe for probe in self.probes if names is None or probe.name in names]
        with ThreadPoolExecutor(4) as pool:
            return dict(zip([p.name for p in chosen], pool.map(self._answer, chosen), strict=True))

    def _answer(self, probe: Probe) -> Reply:
        url = self.city.service.url
        body = b"" if probe.asked is None else read_body(**probe.asked)
        if probe.key is None:
            host = url.partition("//")[2]
            return send(
                url, f"GET {probe.target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
        method = "GET" if probe.asked is None else "POST"
        headers = () if probe.asked is None else probe.headers
        covers = ('"@method"', '"@target-uri"', '"content-digest"')
        covers += tuple(f'"{name.lower()}"' for name, _ in headers if name not in dict(BODY))
        return Call(probe.key, url, probe.target, method, body, headers, covers=covers).send(url)

    def broken(self, answers: Mapping[str, Reply]) -> list[str]:
        """The faults in the answers: what must not happen, whatever is in the database."""
        found = []
        for probe in self.probes:
            reply = answers.get(probe.name)
            if reply is None:
                continue
            if reply.status == 200 and probe.forbidden:
                found.append(f"{probe.name}: data left")
            if reply.code == "service.failed":
                found.append(f"{probe.name}: {reply.code}")
            if (
                reply.status == 200
                and probe.target == "/v1/read"
                and probe.asked
                and not probe.asked["dry_run"]
            ) and reply.body != self.right.get(probe.name, reply.body):
                found.append(f"{probe.name}: other data left: {reply.body[:120]!r}")
        return found

    def crashes(self) -> list[str]:
        """The lines of the service's log that report a defect, since the last call."""
        with (self.city.home / "service.log").open("rb") as log:
            log.seek(self.log_read)
            text = log.read()
        self.log_read += len(text)
        return [line for line in text.decode(errors="replace").splitlines() if CRASH.search(line)]


def codes(answers: Mapping[str, Reply], right: Mapping[str, bytes]) -> set[str]:
    """The codes with which calls are refused that were answered before."""
    return {reply.code for name, reply in answers.items() if name in right and reply.status >= 400}


def _take_away(city: City) -> ServiceKey:
    holder: Actor = city.actors[parse_asset(city.assets["air_quality"]) >> 40]
    security, planning, keeper = city.of(PUBLIC_SECURITY), city.of(PLANNING), city.of(ELDER_CARE)
    read = planning.civic.read
    read(city.assets["air_quality"], AIR_POLICY, AIR, idempotency_key="the-first-key-of-all")
    for _ in range(3):
        keeper.civic.read(city.assets["population_register"], PENSION_CHECK, {"columns": ["citizen_id"]})
    city.of(EDUCATION).civic.read(city.assets["air_quality"], AIR_POLICY, AIR)
    private = Ed25519PrivateKey.generate()
    key = NewServiceKey(private.public_key().public_bytes_raw().hex(), ("reader",))
    hand_in(city, planning, draft_service_key(PLANNING.number, key, epoch=1), [planning.secrets["admin"]])
    removed = ServiceKey(PLANNING.number, private)
    hand_in(
        city,
        planning,
        draft_service_key_removal(PLANNING.number, key.public, epoch=1),
        [planning.secrets["admin"]],
    )
    hand_in(city, security, draft_revocation(city.grants["register-masked"]), [security.secrets["steward"]])
    for number, bound, ended in ((1, "air-health", True), (2, "air-planning", False)):
        condition, steward = f"{ELDER_CARE.number}.{number}", keeper.secrets["steward"]
        acts = [
            (keeper, draft_condition(condition, "consent", new_opening("form 17")), steward),
            (holder, draft_binding(city.grants[bound], condition), holder.secrets["steward"]),
        ]
        acts += [(keeper, draft_end(condition, "withdrawn"), steward)] if ended else []
        for who, draft, secret in acts:
            assert submit(who.civic, sign_act(draft, city.trust, [secret]))["state"] == "recorded"
    census = city.assets["census_extract"]
    owner = city.actors[parse_asset(census) >> 40]
    hand_in(city, owner, draft_suspension(census, "under review"), [owner.secrets["steward"]])
    schools = city.of(EDUCATION)
    hand_in(
        city,
        schools,
        draft_suspension(EDUCATION.number, "machines stolen", epoch=1),
        [schools.secrets["admin"]],
    )
    return removed


def _probes(city: City, removed: ServiceKey) -> list[Probe]:
    planning, education, elder = (city.of(p).service for p in (PLANNING, EDUCATION, ELDER_CARE))
    health, auditor = city.of(HEALTH).service, city.of(AUDIT).service
    stranger = ServiceKey(AUDIT.number, Ed25519PrivateKey.generate())
    air, register = city.assets["air_quality"], city.assets["population_register"]

    def read(
        name: str, key: ServiceKey, asset: str, purpose: str, query: dict[str, Any], **more: Any
    ) -> Probe:
        asked = {"asset": asset, "purpose": purpose, "query": query, "dry_run": more.pop("dry_run", False)}
        return Probe(name, key, "/v1/read", asked, **more)

    def denied(name: str, key: ServiceKey, asset: str, purpose: str, *columns: str) -> Probe:
        return read(name, key, asset, purpose, {"columns": list(columns)} if columns else {}, forbidden=True)

    found = [
        read("air", planning, air, AIR_POLICY, AIR),
        read("air again", planning, air, AIR_POLICY, AIR, headers=REPEATED),
        read("air dry", planning, air, AIR_POLICY, AIR, dry_run=True),
        read("weather", planning, city.assets["weather"], OPEN, {"columns": ["temperature"], "limit": 1}),
        denied("a key that was removed", removed, air, AIR_POLICY, "pm25"),
        denied("a key that was never added", stranger, air, AIR_POLICY, "pm25"),
        denied("a grant that was revoked", planning, register, AIR_POLICY, "suburb"),
        denied("a grant that is spent", elder, register, PENSION_CHECK, "citizen_id"),
        denied("a department that was stopped", education, air, AIR_POLICY, "pm25"),
        denied("a dataset that was stopped", health, city.assets["census_extract"], RESEARCH),
        denied("a condition that ended", health, air, RESEARCH, "pm25"),
        denied("a column that was not granted", planning, air, AIR_POLICY, "pm25", "pm10"),
        denied("another purpose", planning, air, "dpv:Marketing", "pm25"),
        denied("no grant", health, register, AIR_POLICY, "citizen_id"),
    ]
    grants = [city.grants[name] for name in ("air-planning", "register-masked", "pension-check")]
    everybody = [
        "/v1/status", "/v1/log/cosigned", "/checkpoint", "/v1/departments", f"/v1/departments/{PLANNING.number}",
        "/v1/datasets", f"/v1/datasets/{air}", "/v1/grants", "/v1/conditions", f"/v1/conditions/{ELDER_CARE.number}.1",
        f"/v1/policy/who-can?asset={air}&purpose={AIR_POLICY}", f"/v1/policy/what-can?department={PLANNING.number}",
        *(f"/v1/grants/{grant}" for grant in grants),
    ]  # fmt: skip
    found += [Probe(f"GET {target}", None, target) for target in everybody]
    size = city.of(AUDIT).civic.status()["log"]["size"]
    looks = [
        "/v1/audit/entries?limit=200", f"/v1/audit/entries/{size - 1}/receipt",
        f"/v1/audit/entries/{size - 1}/openings", f"/v1/audit/readers?asset={register}&subject=1001",
        f"/v1/datasets/{air}/source", "/v1/requests", "/tile/entries/000.p/7",
    ]  # fmt: skip
    found += [Probe(f"look {target}", auditor, target) for target in looks]
    found += [Probe(f"no auditor: {target}", planning, target, forbidden=True) for target in looks[:5]]
    found.append(Probe("GET /v1/requests", planning, "/v1/requests"))
    return found
