"""The same terms in Cedar: a second reading of the JSON-LD documents, made without the engine.

Cedar is two-valued and skips policies that err, so every condition is written twice: as what is surely true (for
permissions) and as what is possibly true (for prohibitions), with ``has`` guards in place of errors. Hierarchies of
purposes, legal bases, areas, parties, assets and actions become Cedar entities, so that their closures are Cedar's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import access_policy
from access_policy.decision.answers import Context, Request

from .generators import ANY, AREAS, ASSET_GROUPS, ASSETS, DEPARTMENTS, PARTY_GROUPS, City

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
DURATIONS = {"PT1H": timedelta(hours=1), "P1D": timedelta(days=1), "P30D": timedelta(days=30)}
PARENTS = {"read": "use", "aggregate": "use", "match": "use", "derive": "use"}
COMPARE = {"eq": "==", "neq": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
KEYS = {
    "legalBasis": ("basis", "Concept"),
    "spatial": ("area", "Area"),
    "recipient": ("recipient", "Party"),
    "fileFormat": ("format", None),
    "language": ("language", None),
    "partyKind": ("kind", None),
}


@dataclass(frozen=True)
class Both:
    """A condition as Cedar text: when it is surely true, and when it is possibly true."""

    sure: str
    maybe: str


TRUE = Both("true", "true")


def no(text: str) -> str:
    return f"!({text})"


def every(parts: list[Both]) -> Both:
    if not parts:
        return TRUE
    return Both(
        " && ".join(f"({p.sure})" for p in parts),
        " && ".join(f"({p.maybe})" for p in parts),
    )


def some(parts: list[Both]) -> Both:
    return Both(
        " || ".join(f"({p.sure})" for p in parts),
        " || ".join(f"({p.maybe})" for p in parts),
    )


def exactly_one(parts: list[Both]) -> Both:
    sure = [p.sure for p in parts]
    unknown = " || ".join(f"(({p.maybe}) && {no(p.sure)})" for p in parts)
    one = " || ".join(
        " && ".join(f"({s})" if i == j else no(s) for j, s in enumerate(sure)) for i in range(len(sure))
    )
    pairs = [f"(({a}) && ({b}))" for i, a in enumerate(sure) for b in sure[i + 1 :]]
    two = " || ".join(pairs) if pairs else "false"
    return Both(f"({one}) && {no(unknown)}", f"{no(two)} && (({unknown}) || ({one}))")


def in_order(parts: list[Both]) -> Both:
    first, rest = parts[0], parts[1:]
    unknown = f"(({first.maybe}) && {no(first.sure)})"
    if not rest:
        return Both(first.sure, f"({first.sure}) || {unknown}")
    later = in_order(rest)
    return Both(f"({first.sure}) && ({later.sure})", f"(({first.sure}) && ({later.maybe})) || {unknown}")


JOIN = {"and": every, "or": some, "xone": exactly_one, "andSequence": in_order}


def condition(document: dict[str, Any], grant: str, prefix: str = "") -> Both:
    """One constraint of a document."""
    for kind, join in JOIN.items():
        if kind in document:
            return join([condition(d, grant, prefix) for d in document[kind]])
    operand, operator, right = document["leftOperand"], document["operator"], document["rightOperand"]
    if operand == "purpose":
        text = related("context.purpose", operator, right, "Concept")
        return Both(text, text)
    if operand == "dateTime":
        text = f"context.now {COMPARE[operator]} {(datetime.fromisoformat(right) - EPOCH) // MICRO}"
        return Both(text, text)
    if operand == "count":
        text = f"context.used.{grant} + 1 {COMPARE[operator]} {right}"
        return Both(text, text)
    if operand == "version":
        text = f"!(context has asked) || context.asked == {right}"
        return Both(text, text)
    if operand == "elapsedTime":
        known = f"context.elapsed has {grant}"
        text = f"context.elapsed.{grant} {COMPARE[operator]} {DURATIONS[right] // MICRO}"
    else:
        name, kind = KEYS[operand]
        known, value = f"context has {prefix}{name}", f"context.{prefix}{name}"
        text = related(value, operator, right, kind) if kind else plain(value, operator, right)
    return Both(f"{known} && ({text})", f"!({known}) || ({text})")


def plain(value: str, operator: str, right: Any) -> str:
    values = json.dumps(right if isinstance(right, list) else [right])
    inside = f"{values}.contains({value})"
    return inside if operator in ("eq", "isAnyOf") else no(inside)


def related(value: str, operator: str, right: Any, kind: str) -> str:
    names = [f'{kind}::"{r}"' for r in (right if isinstance(right, list) else [right])]
    first = names[0]
    match operator:
        case "eq":
            return f"{value} == {first}"
        case "neq":
            return f"{value} != {first}"
        case "isA" | "isPartOf":
            return f"{value} in {first}"
        case "hasPart":
            return f"{first} in {value}"
        case "isAllOf":
            return " && ".join(f"{value} in {n}" for n in names)
        case "isAnyOf":
            return f"{value} in [{', '.join(names)}]"
        case _:
            return no(f"{value} in [{', '.join(names)}]")


# --- rules -----------------------------------------------------------------------------------------------------------


def _verbs(rule: dict[str, Any], grant: str, *, upwards: bool) -> Both:
    """The actions of a rule with their refinements."""
    alternatives = []
    for use in rule["action"]:
        name = use if isinstance(use, str) else use["rdf:value"]["@id"]
        scope = f'action in Action::"{name}"'
        if upwards and name in PARENTS:
            scope = f'({scope} || action == Action::"{PARENTS[name]}")'
        refined = TRUE if isinstance(use, str) else every([condition(c, grant) for c in use["refinement"]])
        alternatives.append(Both(f"{scope} && ({refined.sure})", f"{scope} && ({refined.maybe})"))
    return some(alternatives)


def _parts(rule: dict[str, Any], document: dict[str, Any], grant: str, *, upwards: bool) -> list[Both]:
    assignee = document["assignee"]
    party = assignee["source"] if isinstance(assignee, dict) else assignee
    target = rule["target"]
    asset = target["source"] if isinstance(target, dict) else target
    scope = f'principal in Party::"{party}" && resource in Asset::"{asset}"'
    found = [Both(scope, scope), _verbs(rule, grant, upwards=upwards)]
    if isinstance(assignee, dict):
        found += [condition(c, grant, "own_") for c in assignee["refinement"]]
    return found + [condition(c, grant) for c in rule.get("constraint", ())]


def _columns(rule: dict[str, Any]) -> list[str] | None:
    target = rule["target"]
    refinement = target.get("refinement", ()) if isinstance(target, dict) else ()
    return next((r["rightOperand"] for r in refinement if r["leftOperand"] == "columns"), None)


def _has_rows(rule: dict[str, Any]) -> bool:
    target = rule["target"]
    refinement = target.get("refinement", ()) if isinstance(target, dict) else ()
    return any(r["leftOperand"] == "rows" for r in refinement)


def _prohibition(rule: dict[str, Any], document: dict[str, Any], grant: str) -> str:
    """When a prohibition may apply to the columns asked for."""
    text = every(_parts(rule, document, grant, upwards=True)).maybe
    columns = _columns(rule)
    return text if columns is None else f"{text} && {json.dumps(columns)}.containsAny(context.columns)"


def _permission(rule: dict[str, Any], document: dict[str, Any], grant: str) -> str:
    parts = [every(_parts(rule, document, grant, upwards=False)).sure]
    parts.append(f"{json.dumps(_columns(rule))}.containsAll(context.columns)")
    parts.append('context.purpose in Concept::"every purpose"')
    if not any(c.get("leftOperand") == "version" for c in rule.get("constraint", ())):
        parts.append("!(context has asked) || (context has current && context.asked == context.current)")
    for duty in rule.get("duty", ()):
        key = f"{grant}{duty['uid']}"
        before = duty["constraint"][0]["operator"] == "lt"
        parts.append(f'context.done.contains("{key}")' if before else f'!context.undone.contains("{key}")')
    for ban in document.get("prohibition", ()):
        parts += [f'!context.undone.contains("{grant}{r["uid"]}")' for r in ban.get("remedy", ())]
    return " && ".join(f"({p})" for p in parts)


def policies(grants: dict[str, dict[str, Any]]) -> str:
    """The Cedar policies of these grants.

    A prohibition becomes a ``forbid``, except where ``perm`` lets its own agreement win: then it is written
    into the permissions of the other agreements. A prohibition that only filters rows refuses nothing, except
    within ``invalid`` terms.
    """
    texts = []
    yielding = {}
    for grant, document in grants.items():
        for i, ban in enumerate(document.get("prohibition", ())):
            text = _prohibition(ban, document, grant)
            if document["conflict"] == "perm":
                if not _has_rows(ban):
                    yielding[f"{grant}.{i}"] = (grant, text)
            elif not _has_rows(ban):
                texts.append(f"forbid(principal, action, resource) when {{ {text} }};")
    for grant, document in grants.items():
        for rule in document["permission"]:
            text = _permission(rule, document, grant)
            for owner, ban_text in yielding.values():
                if owner != grant:
                    text += f" && {no(ban_text)}"
            if document["conflict"] == "invalid":
                for ban in document.get("prohibition", ()):
                    text += f" && {no(_prohibition(ban, document, grant))}"
            texts.append(f"permit(principal, action, resource) when {{ {text} }};")
    return "\n".join(texts)


# --- entities and requests -------------------------------------------------------------------------------------------


def _entity(kind: str, name: str, parents: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "uid": {"type": kind, "id": name},
        "attrs": {},
        "parents": [{"type": k, "id": n} for k, n in parents],
    }


@cache
def _concepts() -> tuple[dict[str, Any], ...]:
    text = (Path(access_policy.__file__).parent / "data" / "dpv.json").read_text(encoding="utf-8")
    data = json.loads(text)
    found = [_entity("Concept", "every purpose", [])]
    for member, root in (("purposes", [("Concept", "every purpose")]), ("legal_bases", [])):
        for name, entry in data[member].items():
            found.append(
                _entity("Concept", name, [*root, *(("Concept", b) for b in entry.get("broader", ()))])
            )
    return tuple(found)


def _area_parents(code: str) -> list[tuple[str, str]]:
    chain = {
        "310100": "310000",
        "310115": "310100",
        "310115001": "310115",
        "320100": "320000",
        "DE2": "DE",
        "DE21": "DE2",
    }
    return [("Area", chain[code])] if code in chain else []


def entities(city: City) -> list[dict[str, Any]]:
    """All entities with their positions in the hierarchies."""
    found = list(_concepts())
    found += [_entity("Area", a, _area_parents(a)) for a in AREAS]
    found += [_entity("Party", g, []) for g in [*PARTY_GROUPS, ANY]]
    for d in DEPARTMENTS:
        found.append(_entity("Party", d, [("Party", ANY), *(("Party", g) for g in city.collections[d])]))
    found += [_entity("Asset", g, []) for g in ASSET_GROUPS]
    found += [_entity("Asset", a, [("Asset", g) for g in city.collections[a]]) for a in ASSETS]
    for verb in ("use", "read", "aggregate", "match", "derive", "redistribute"):
        parents = [("Action", PARENTS[verb])] if verb in PARENTS else []
        found.append(_entity("Action", verb, parents))
    return found


def _reference(kind: str, name: str) -> dict[str, Any]:
    return {"__entity": {"type": kind, "id": name}}


def request(asked: Request, known: Context, grants: list[str]) -> dict[str, Any]:
    """One call as a Cedar request."""
    elapsed = {}
    for grant in grants:
        if grant in known.first_used:
            elapsed[grant] = (known.now - known.first_used[grant]) // MICRO
        elif known.used.get(grant, 0) == 0:
            elapsed[grant] = 0
    context: dict[str, Any] = {
        "purpose": _reference("Concept", asked.purpose),
        "now": (known.now - EPOCH) // MICRO,
        "used": {g: known.used.get(g, 0) for g in grants},
        "elapsed": elapsed,
        "columns": list(asked.columns),
        "done": [k for k, s in known.duties.items() if s == "fulfilled"],
        "undone": [k for k, s in known.duties.items() if s != "fulfilled"],
    }
    for name, number in (("asked", asked.version), ("current", known.version)):
        if number is not None:
            context[name] = number
    for key, value in asked.attributes.items():
        if not isinstance(value, str):
            continue
        prefix, _, operand = key.rpartition("/")
        name, kind = KEYS[operand]
        context[("own_" if prefix else "") + name] = _reference(kind, value) if kind else value
    return {
        "principal": {"type": "Party", "id": asked.assignee},
        "action": {"type": "Action", "id": asked.action},
        "resource": {"type": "Asset", "id": asked.asset},
        "context": context,
    }
