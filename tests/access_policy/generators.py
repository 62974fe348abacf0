"""Random terms and calls over a small city, from one seeded source: as JSON-LD documents, not as values of
the product.

There are few values, so that rules overlap; the calls are biased towards the grants, so that many are
permitted.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from access_policy.decision.answers import Context, Request
from access_policy.terms.agreement import CONTEXT, PROFILE

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DEPARTMENTS = [f"urn:civic:dept:{i}" for i in range(1, 6)]
ANY = "urn:civic:dept:any"
PARTY_GROUPS = ["urn:civic:parties:health", "urn:civic:parties:trial"]
ASSETS = [f"urn:civic:asset:1.{i}" for i in range(1, 4)]
ASSET_GROUPS = ["urn:civic:assets:registers"]
COLUMNS = ["id", "name", "state", "born", "salary"]
ACTIONS = ["use", "read", "aggregate", "match", "derive", "redistribute"]
PURPOSES = [
    "dpv:ResearchAndDevelopment",
    "dpv:AcademicResearch",
    "dpv:CommercialResearch",
    "dpv:NonCommercialResearch",
    "dpv:CommercialPurpose",
    "dpv:PublicBenefit",
    "dpv:ProvideOfficialStatistics",
    "dpv:Marketing",
    "dpv:Advertising",
    "dpv:PersonalisedAdvertising",
    "dpv:TargetedAdvertising",
    "dpv:Personalisation",
    "dpv:ServicePersonalisation",
    "dpv:PersonnelManagement",
    "dpv:PersonnelMonitoring",
    "dpv:PersonnelPerformanceMonitoring",
]
BASES = [
    "dpv:Consent",
    "dpv:InformedConsent",
    "dpv:ExpressedConsent",
    "dpv:PublicInterest",
    "dpv:VitalInterest",
]
AREAS = ["310000", "310100", "310115", "310115001", "320000", "320100", "DE", "DE2", "DE21"]
FORMATS = ["text/csv", "application/json"]
LANGUAGES = ["zh", "en"]
VERSIONS = [2, 3]
KINDS = ["department", "enterprise"]
ORDER = ["eq", "neq", "lt", "lteq", "gt", "gteq"]
CONCEPTS = ["eq", "neq", "isA", "isPartOf", "hasPart", "isAnyOf", "isAllOf", "isNoneOf"]
MEMBERS = ["eq", "neq", "isPartOf", "isAnyOf", "isNoneOf"]
VALUES = ["eq", "neq", "isAnyOf", "isNoneOf"]
AREA_OPERATORS = ["eq", "neq", "isPartOf", "hasPart", "isAnyOf", "isNoneOf"]


def instant(rng: random.Random) -> datetime:
    """An instant near noon: rules and calls share few of them, so that calls hit limits exactly."""
    return NOON + timedelta(hours=rng.randint(-4, 4))


def leaf(rng: random.Random, operands: list[str]) -> dict[str, Any]:
    """One constraint over one of the operands."""
    operand = rng.choice(operands)
    pool: list[Any]
    operators: list[str]
    if operand == "purpose":
        pool, operators = PURPOSES, CONCEPTS
    elif operand == "legalBasis":
        pool, operators = BASES, CONCEPTS
    elif operand == "dateTime":
        pool, operators = [instant(rng).isoformat()], ORDER
    elif operand == "elapsedTime":
        pool, operators = ["PT1H", "P1D", "P30D"], ORDER
    elif operand == "count":
        pool, operators = [1, 2, 3, 5], ORDER
    elif operand == "spatial":
        pool, operators = AREAS, AREA_OPERATORS
    elif operand == "recipient":
        pool, operators = [*DEPARTMENTS, *PARTY_GROUPS], MEMBERS
    elif operand == "fileFormat":
        pool, operators = FORMATS, VALUES
    elif operand == "language":
        pool, operators = LANGUAGES, VALUES
    else:
        pool, operators = KINDS, VALUES
    operator = rng.choice(operators)
    right: Any = rng.choice(pool)
    if operator in ("isAnyOf", "isAllOf", "isNoneOf"):
        right = rng.sample(pool, rng.randint(1, min(3, len(pool))))
    return {"leftOperand": operand, "operator": operator, "rightOperand": right}


RULE = [
    "purpose",
    "purpose",
    "dateTime",
    "count",
    "legalBasis",
    "spatial",
    "recipient",
    "elapsedTime",
    "fileFormat",
]


def constraint(rng: random.Random, depth: int = 2, operands: list[str] | None = None) -> dict[str, Any]:
    """A constraint, with a chance of being a logical one."""
    operands = operands or [*RULE, "language"]
    if depth and rng.random() < 0.3:
        kind = rng.choice(["and", "or", "xone", "andSequence"])
        return {kind: [constraint(rng, depth - 1, operands) for _ in range(rng.randint(1, 3))]}
    return leaf(rng, operands)


def rows(rng: random.Random) -> dict[str, Any]:
    """A row filter."""
    return {"column": rng.choice(COLUMNS), "op": "eq", "value": rng.choice(["nsw", "vic"])}


def target(rng: random.Random, *, prohibition: bool) -> Any:
    """A target with columns, sometimes rows and transforms."""
    asset = rng.choice([*ASSETS, *ASSETS, *ASSET_GROUPS])
    names = rng.sample(COLUMNS, rng.randint(1, 2) if prohibition else rng.randint(2, 5))
    refinement: list[dict[str, Any]] = [
        {"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": names}
    ]
    if prohibition and rng.random() < 0.4:
        refinement = []
    if rng.random() < 0.2:
        right = {"@type": "@json", "@value": rows(rng)}
        refinement.append({"leftOperand": "rows", "operator": "eq", "rightOperand": right})
    if not prohibition and rng.random() < 0.3:
        right = {"@type": "@json", "@value": {names[0]: {"type": "pseudonym"}}}
        refinement.append({"leftOperand": "transforms", "operator": "eq", "rightOperand": right})
    if not refinement:
        return asset
    return {"@type": "AssetCollection", "source": asset, "refinement": refinement}


def action(rng: random.Random) -> Any:
    """An action, sometimes refined by format."""
    name = rng.choice(["use", "read", "read", "aggregate", "match", "redistribute"])
    if rng.random() < 0.15:
        return {"rdf:value": {"@id": name}, "refinement": [leaf(rng, ["fileFormat"])]}
    return name


def agreement(rng: random.Random, *, prohibitions: bool = True) -> dict[str, Any]:
    """A whole agreement."""
    duties = iter(f"#d{i}" for i in range(100))

    def duty() -> dict[str, Any]:
        event = {
            "leftOperand": "event",
            "operator": rng.choice(["lt", "gt"]),
            "rightOperand": {"@id": "odrl:policyUsage"},
        }
        return {"uid": next(duties), "action": rng.choice(["accept", "delete"]), "constraint": [event]}

    def rule(prohibition: bool) -> dict[str, Any]:
        uses = [action(rng)]
        if not prohibition and rng.random() < 0.3:
            uses += [u for u in [action(rng)] if u not in uses]
        made: dict[str, Any] = {"target": target(rng, prohibition=prohibition), "action": uses}
        chosen = [constraint(rng) for _ in range(rng.choice([0, 1, 1, 2]))]
        apart = random.Random(repr((made, chosen)))  # All else stays the same.
        if not prohibition and apart.random() < 0.2:
            pin = {"leftOperand": "version", "operator": "eq", "rightOperand": apart.choice(VERSIONS)}
            chosen.insert(apart.randint(0, len(chosen)), pin)
        if chosen:
            made["constraint"] = chosen
        if rng.random() < (0.2 if prohibition else 0.15):
            made["remedy" if prohibition else "duty"] = [duty()]
        return made

    assignee: Any = rng.choice([*DEPARTMENTS, *DEPARTMENTS, ANY, *PARTY_GROUPS])
    if rng.random() < 0.15:
        refinement = [constraint(rng, 1, ["spatial", "partyKind"])]
        assignee = {"@type": "PartyCollection", "source": assignee, "refinement": refinement}
    document: dict[str, Any] = {
        "@context": list(CONTEXT),
        "@type": "Agreement",
        "uid": "urn:civic:terms:random",
        "profile": PROFILE,
        "conflict": rng.choice(["prohibit", "prohibit", "perm", "invalid"]),
        "assigner": "urn:civic:dept:7",
        "assignee": assignee,
        "permission": [rule(False) for _ in range(rng.choice([1, 1, 2]))],
    }
    if prohibitions and rng.random() < 0.25:
        document["prohibition"] = [rule(True) for _ in range(rng.choice([1, 1, 2]))]
    return document


@dataclass(frozen=True)
class City:
    """Grants by id, and the members of the collections."""

    grants: dict[str, dict[str, Any]]
    collections: dict[str, tuple[str, ...]]


def city(rng: random.Random, size: int = 10) -> City:
    """A city with ``size`` grants."""
    grants = {f"g{i}": agreement(rng) for i in range(size)}
    collections = {d: tuple(g for g in PARTY_GROUPS if rng.random() < 0.3) for d in DEPARTMENTS}
    collections |= {a: tuple(g for g in ASSET_GROUPS if rng.random() < 0.5) for a in ASSETS}
    return City(grants, collections)


def _base(value: Any) -> str:
    return value["source"] if isinstance(value, dict) else value


def call(rng: random.Random, where: City) -> tuple[Request, Context]:
    """A call that is biased towards one of the grants."""
    wish = rng.choice(list(where.grants.values()))
    rule = rng.choice(wish["permission"])
    assignee, asset = _base(wish["assignee"]), _base(rule["target"])
    if assignee not in DEPARTMENTS or rng.random() < 0.1:
        inside = [d for d in DEPARTMENTS if assignee in where.collections[d]]
        assignee = rng.choice(inside or DEPARTMENTS)
    if asset not in ASSETS or rng.random() < 0.1:
        asset = rng.choice([a for a in ASSETS if asset in where.collections[a]] or ASSETS)
    granted = rule["target"]["refinement"][0]["rightOperand"]
    columns = tuple(rng.sample(granted, rng.randint(1, len(granted))))
    if rng.random() < 0.1:
        columns = (*columns, rng.choice(COLUMNS))
    named = rule["action"][0]
    verb = named if isinstance(named, str) else named["rdf:value"]["@id"]
    if verb == "use" or rng.random() < 0.1:
        verb = rng.choice(ACTIONS)
    mentioned = [
        c["rightOperand"]
        for c in rule.get("constraint", [])
        if c.get("leftOperand") == "purpose" and isinstance(c["rightOperand"], str)
    ]
    purpose = rng.choice(mentioned) if mentioned and rng.random() < 0.6 else rng.choice(PURPOSES)
    if rng.random() < 0.01:
        purpose = "dpv:Nonsense"
    attributes: dict[str, Any] = {}
    for name, pool in (
        ("legalBasis", BASES),
        ("spatial", AREAS),
        ("recipient", [*DEPARTMENTS, "urn:civic:company:1"]),
        ("fileFormat", FORMATS),
        ("language", LANGUAGES),
        ("assignee/spatial", AREAS),
        ("assignee/partyKind", KINDS),
    ):
        chance = rng.random()
        if chance < 0.88:
            attributes[name] = rng.choice(pool)
        elif chance < 0.9:
            attributes[name] = 7
    now = instant(rng)
    used = {g: rng.choice([0, 0, 0, 1, 2, 4, 5]) for g in where.grants if rng.random() < 0.7}
    first = {
        g: now - rng.choice([timedelta(0), timedelta(hours=1), timedelta(days=2)]) for g in used if used[g]
    }
    first = {g: since for g, since in first.items() if rng.random() < 0.9}
    duties = {}
    for grant_id, document in where.grants.items():
        for made in (*document["permission"], *document.get("prohibition", ())):
            for one in (*made.get("duty", ()), *made.get("remedy", ())):
                chance = rng.random()
                if chance < 0.8:
                    duties[f"{grant_id}{one['uid']}"] = "fulfilled"
                elif chance < 0.85:
                    duties[f"{grant_id}{one['uid']}"] = "unfulfilled"
    apart = random.Random(repr((assignee, asset, verb, purpose, columns, attributes, now)))
    version = apart.choice([None] * 36 + [1, *VERSIONS, 4])
    current = apart.choice([None, 3, 4, 4, 4])
    request = Request(assignee, asset, verb, purpose, columns, (), attributes, version)
    return request, Context(now, used, duties, where.collections, first, current)
