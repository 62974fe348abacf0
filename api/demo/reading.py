"""The permitted reads, and the calls that must be refused, each for its own reason."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from api.demo.city import City, hand_in
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY, OPEN, PENSION_CHECK, RESEARCH
from api.demo.narrator import Narrator
from api.demo.participants import (
    EDUCATION,
    ELDER_CARE,
    HEALTH,
    PLANNING,
    PUBLIC_SECURITY,
    Part,
)
from api.sdk.drafts import (
    draft_revocation,
)
from api.sdk.errors import ServiceProblem
from api.terminal.language import language
from languages.texts import in_language
from ledger.counts import counted


def read(narrator: Narrator, city: City) -> None:
    """Permitted reads: each returns exactly what was granted, with its receipt."""
    dead = _permitted(
        city, ELDER_CARE, "population_register", PENSION_CHECK, {"columns": ["citizen_id", "died_on"]}
    )
    roll = _own_roll()
    found = sorted({row["citizen_id"] for row in dead} & roll)
    narrator.permitted(
        "Social Security checks {roll} pensioners against {dead} deaths in the register: {found} pensions are paid to the dead.",
        roll=len(roll),
        dead=len(dead),
        found=len(found),
    )
    narrator.check(
        "pension-check-finds-the-dead",
        0 < len(found) < len(roll) and all(set(r) == {"citizen_id", "died_on"} for r in dead),
        "only the two granted columns, only rows of the dead",
    )
    for part, purpose in ((PLANNING, AIR_POLICY), (HEALTH, RESEARCH), (EDUCATION, AIR_POLICY)):
        rows = _permitted(
            city,
            part,
            "air_quality",
            purpose,
            {
                "columns": ["district", "measured_at", "pm25"],
                "where": {"column": "pm25", "op": "gteq", "value": 35.0},
            },
        )
        narrator.permitted(
            "{department} reads {readings} of 35 µg/m³ or more.",
            department=part.name,
            readings=counted(len(rows), "air reading"),
        )
    census = _permitted(city, HEALTH, "census_extract", RESEARCH, {"limit": 500})
    masked = _permitted(city, PLANNING, "population_register", AIR_POLICY, {"limit": 100})
    keys = [row["person_no"] for row in census]
    narrator.permitted(
        "Health reads {rows} of persons over 60, with pseudonyms such as {pseudonym}…",
        rows=counted(len(census), "survey row"),
        pseudonym=keys[0][:12],
    )
    narrator.permitted(
        "Planning reads masked numbers such as {citizen_id}.", citizen_id=masked[0]["citizen_id"]
    )
    plan = city.of(HEALTH).civic.dry_run(city.assets["census_extract"], RESEARCH, {"limit": 500})["plan"]
    narrator.check(
        "pseudonyms-and-masks",
        plan["shuffled"]
        and len(set(keys)) == len(keys)
        and min(r["age"] for r in census) >= 60
        and all(set(row["citizen_id"][:-3]) <= {"*"} for row in masked),
        "pseudonymised, in no order of the source, filtered and masked as the terms say",
    )
    weather = _permitted(city, PUBLIC_SECURITY, "weather", OPEN, {"limit": 5})
    narrator.permitted(
        "Public Security reads the open weather table ({rows}) under the standing offer.",
        rows=counted(len(weather), "row"),
    )
    before = city.of(PLANNING).civic.dry_run(city.assets["air_quality"], AIR_POLICY, {"columns": ["pm25"]})
    narrator.check(
        "dry-run-charges-nothing",
        before["decision"] == "permit",
        "a dry run decides and explains without charge",
    )


def _permitted(
    city: City, part: Part, key: str, purpose: str, query: Mapping[str, Any]
) -> list[dict[str, Any]]:
    released = city.of(part).civic.read(city.assets[key], purpose, query)
    city.permitted += 1
    return released.rows()


def _own_roll() -> set[str]:
    import csv

    with dataset_path("pension_roll").open(newline="") as file:
        return {row["citizen_id"] for row in csv.DictReader(file)}


def refuse(narrator: Narrator, city: City) -> None:
    """Calls that must be refused, each for its own reason; each refusal is logged with a receipt."""
    attempts: list[tuple[Part, str, str, Mapping[str, Any]]] = [
        (ELDER_CARE, "population_register", "dpv:Marketing", {"columns": ["citizen_id"]}),
        (ELDER_CARE, "population_register", PENSION_CHECK, {"columns": ["citizen_id", "surname"]}),
        (EDUCATION, "air_quality", AIR_POLICY, {"columns": ["pm25"]}),
        (EDUCATION, "census_extract", RESEARCH, {"limit": 1}),
    ]
    for part, key, purpose, query in attempts:
        _denied(
            narrator,
            city,
            part,
            partial(city.of(part).civic.read, city.assets[key], purpose, query),
        )
    _denied(narrator, city, HEALTH, lambda: _replay(city))
    _wait_until_expired(city)
    _denied(
        narrator,
        city,
        EDUCATION,
        lambda: city.of(EDUCATION).civic.read(city.assets["respiratory_visits"], AIR_POLICY, {"limit": 1}),
    )
    # This is last, because a head is anchored within a second of an act and covers the refusals before it.
    steward = city.of(PUBLIC_SECURITY)
    hand_in(
        city,
        steward,
        draft_revocation(city.grants["register-masked"], "purpose-ended"),
        [steward.secrets["steward"]],
    )
    _denied(
        narrator,
        city,
        PLANNING,
        lambda: city.of(PLANNING).civic.read(city.assets["population_register"], AIR_POLICY, {"limit": 1}),
    )
    wanted = {
        "purpose.mismatch",
        "column.not-granted",
        "grant.revoked",
        "uses.exhausted",
        "grant.none",
        "call.replayed",
        "grant.expired",
    }
    narrator.check(
        "denials-say-why",
        set(city.denials) == wanted,
        "{wanted} kinds of refusal, each with its reason and a receipt",
        wanted=len(wanted),
    )


def _denied(narrator: Narrator, city: City, part: Part, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except ServiceProblem as refused:
        code = refused.reasons[0]
        city.denials[code] += 1
        logged = refused.receipt is not None
        narrator.denied(in_language(part.name, language()), code, _why(refused))
        narrator.check(f"logged-{code}", logged, "the refusal is in the log; its receipt was verified")
        return
    narrator.check("denied", False, "a call that had to be refused was let through")


def _why(refused: ServiceProblem) -> str:
    explanation = refused.document.get("explanation", {}).get(language(), {})
    return " ".join(line["text"] for line in explanation.get("lines", [])[:1]) or refused.message


def _replay(city: City) -> None:
    """Send one signed call twice, byte for byte, as an attacker on the network could."""
    civic = city.of(HEALTH).civic
    body = json.dumps({"asset": city.assets["weather"], "purpose": OPEN, "query": {"limit": 1}}).encode()
    call = civic.transport.prepare(
        "POST", "/v1/read", body=body, headers={"Content-Type": "application/json"}
    )
    for _ in range(2):
        with civic.transport.exchange(call) as stream:
            civic.checked(stream.answer())
        city.permitted += 1


def _wait_until_expired(city: City) -> None:
    grant = city.of(EDUCATION).civic.grant(city.grants["visits-education"])
    time.sleep(max(0.0, int(grant["terms"]["expiry"]) - time.time() + 0.2))
