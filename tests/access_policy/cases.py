"""Decisions stated by hand: terms, a call, and the answer in a line. They are one of the judges of the
engine's mutants."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from access_policy.decision.answers import Context, Request
from access_policy.terms.agreement import CONTEXT, PROFILE

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ASSET = "urn:civic:asset:3.12"
ASKED = Request("urn:civic:dept:9", ASSET, "read", "dpv:ScientificResearch", ("id", "state"))
KNOWN = Context(NOON)


def target(*columns: str, **refinements: Any) -> Any:
    names = {"columns": "isAnyOf", "rows": "eq", "transforms": "eq", "cohort": "gteq", "epsilon": "lteq"}
    given = ({"columns": list(columns)} if columns else {}) | refinements
    refinement = [{"leftOperand": n, "operator": names[n], "rightOperand": v} for n, v in given.items()]
    return {"@type": "AssetCollection", "source": ASSET, "refinement": refinement} if refinement else ASSET


def when(operand: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": operand, "operator": operator, "rightOperand": right}


def permission(*columns: str, action: Any = "read", **more: Any) -> dict[str, Any]:
    refinements = {k: more.pop(k) for k in ("rows", "transforms", "cohort", "epsilon") if k in more}
    return {
        "target": target(*(columns or ("id", "name", "state", "born")), **refinements),
        "action": action,
        **more,
    }


def ban(*columns: str, action: Any = "read", **more: Any) -> dict[str, Any]:
    refinements = {k: more.pop(k) for k in ("rows",) if k in more}
    return {"target": target(*columns, **refinements), "action": action, **more}


def duty(uid: str, event: str, *limits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "action": "delete",
        "constraint": [when("event", event, "policyUsage"), *limits],
        **more,
    }


def terms(*permissions: dict[str, Any], assignee: Any = "urn:civic:dept:9", **more: Any) -> dict[str, Any]:
    shared = {
        "@context": list(CONTEXT),
        "@type": "Agreement",
        "uid": "urn:civic:terms:case",
        "profile": PROFILE,
    }
    rules = {"permission": list(permissions)} if permissions else {}
    return {**shared, "assigner": "urn:civic:dept:3", "assignee": assignee, **rules, **more}


@dataclass(frozen=True)
class Case:
    """``expected`` is the answer in the form of ``told``."""

    name: str
    grants: dict[str, dict[str, Any]]
    expected: str
    request: Request = ASKED
    context: Context = KNOWN
    states: dict[str, str] = field(default_factory=dict)
    above: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The ancestors of every grant of the case, the parent first."""


def told(decision: Any) -> str:
    """A decision in one line."""
    if hasattr(decision, "reasons"):
        return "deny " + " ".join(f"{r.code}@{r.grant or ''}" for r in decision.reasons)
    parts = [f"permit {decision.grant} {','.join(decision.columns)}"]
    if decision.version is not None:
        parts.append(f"version={decision.version}")
    if decision.row_filter is not None:
        parts.append(f"rows={type(decision.row_filter).__name__}")
    if decision.transforms:
        parts.append(f"transforms={','.join(decision.transforms)}")
    if decision.duties:
        parts.append("duties=" + ",".join(f"{d.id}:{d.state}" for d in decision.duties))
    if decision.options:
        parts.append("options=" + ",".join(f"{k}:{v}" for k, v in decision.options.items()))
    if decision.max_uses is not None:
        parts.append(f"uses={decision.max_uses}")
    if decision.until is not None:
        parts.append(f"until={decision.until:%H:%M}")
    return " ".join(parts)


def ask(**changes: Any) -> Request:
    return replace(ASKED, **changes)


def at(**changes: Any) -> Context:
    return replace(KNOWN, **changes)


NSW = {"@type": "@json", "@value": {"column": "state", "op": "eq", "value": "nsw"}}
HIDDEN = {"@type": "@json", "@value": {"id": {"type": "pseudonym"}, "name": {"type": "mask"}}}
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)
PLAIN = {"g": terms(permission())}
PINNED = {"g": terms(permission(constraint=[when("version", "eq", 3)]))}
BOTH = PINNED | {"h": terms(permission())}
TIMED = {
    "g": terms(
        permission(
            constraint=[
                when("dateTime", "gteq", NOON.isoformat()),
                when("dateTime", "lt", (NOON + HOUR).isoformat()),
            ]
        )
    )
}
THRICE = {"g": terms(permission(constraint=[when("count", "lteq", 3)]))}
TOLD_FIRST = {"g": terms(permission(duty=[duty("#a", "lt")]))}
DELETE = {
    "g": terms(
        permission(
            duty=[duty("#d", "gt", when("elapsedTime", "lteq", "P30D"), consequence=[duty("#c", "gt")])],
        )
    )
}
BANNED_NAME = {"g": terms(permission(), prohibition=[ban("name")])}
YIELDING = terms(permission(), conflict="perm", prohibition=[ban("state")])
VOID = {"g": terms(permission(), conflict="invalid", prohibition=[ban("state")])}
FOREIGN = {"g": terms(permission(), prohibition=[ban(constraint=[when("recipient", "neq", "urn:x:y")])])}
OWING = {"g": terms(permission(), prohibition=[ban("name", remedy=[duty("#r", "gt")])])}
SHANGHAI = {
    "@type": "PartyCollection",
    "source": "urn:civic:dept:any",
    "refinement": [when("spatial", "isPartOf", "310000")],
}
OFFICES = {"g": terms(permission(), assignee=SHANGHAI)}
CSV = {"rdf:value": {"@id": "read"}, "refinement": [when("fileFormat", "eq", "text/csv")]}
ENGLISH, CHINESE = when("language", "eq", "en"), when("language", "eq", "zh")
NOT_CHINESE, CSV_ONLY = when("language", "neq", "zh"), when("fileFormat", "eq", "text/csv")
BOTH_PURPOSES = {
    "g": terms(
        permission(
            constraint=[
                when("purpose", "isA", "dpv:ResearchAndDevelopment"),
                when("purpose", "isA", "dpv:CommercialPurpose"),
            ]
        )
    )
}
OTHERS = {"0x1": YIELDING, "0x2": terms(permission("id", "state"))}
LONG_AGO = {"g": NOON - timedelta(days=31)}

CASES: tuple[Case, ...] = (
    Case("plain", PLAIN, "permit g id,state"),
    Case("open request", PLAIN, "permit g id,name,state,born", ask(columns=())),
    Case("order of the terms", PLAIN, "permit g id,state,born", ask(columns=("born", "id", "state"))),
    Case("filtered on", PLAIN, "deny column.not-granted@g", ask(filter_columns=("salary",))),
    Case("pinned", PINNED, "permit g id,state version=3", context=at(version=4)),
    Case("another than the pinned", PINNED, "deny version.mismatch@g", ask(version=4), at(version=4)),
    Case("another than the current", PLAIN, "deny version.mismatch@g", ask(version=3), at(version=4)),
    Case("the current one named", PLAIN, "permit g id,state", ask(version=4), at(version=4)),
    Case("which is current is not known", PLAIN, "deny context.incomplete@g", ask(version=4)),
    Case("the current one first", BOTH, "permit h id,state", context=at(version=4)),
    Case("the pinned one named", BOTH, "permit g id,state version=3", ask(version=3), at(version=4)),
    Case(
        "the newest pin first",
        {"g": terms(permission(constraint=[when("version", "eq", 2)])), "h": PINNED["g"]},
        "permit h id,state version=3",
        context=at(version=4),
    ),
    Case("pinned above", PLAIN, "deny version.mismatch@g", context=at(version=4), above={"p": PINNED["g"]}),
    Case("pinned above, of an unknown age", PLAIN, "deny context.incomplete@g", above={"p": PINNED["g"]}),
    Case("pinned below", PINNED, "deny version.mismatch@g", context=at(version=4), above={"p": PLAIN["g"]}),
    Case(
        "pinned above, still current",
        PLAIN,
        "permit g id,state version=3",
        context=at(version=3),
        above={"p": PINNED["g"]},
    ),
    Case("suspended", PLAIN, "deny grant.suspended@g", states={"g": "suspended"}),
    Case("start", TIMED, "permit g id,state until=13:00"),
    Case("before the start", TIMED, "deny grant.not-yet-valid@g", context=at(now=NOON - TICK)),
    Case("last instant", TIMED, "permit g id,state until=13:00", context=at(now=NOON + HOUR - TICK)),
    Case("end", TIMED, "deny grant.expired@g", context=at(now=NOON + HOUR)),
    Case("no zone", PLAIN, "deny context.invalid@", context=at(now=NOON.replace(tzinfo=None))),
    Case("last use", THRICE, "permit g id,state uses=3", context=at(used={"g": 2})),
    Case("no use left", THRICE, "deny uses.exhausted@g", context=at(used={"g": 3})),
    Case("uses of another grant", THRICE, "permit g id,state uses=3", context=at(used={"h": 3})),
    Case("uses unknown", THRICE, "deny context.incomplete@g", context=at(used={"g": -1})),
    Case(
        "bounds",
        {"g": terms(permission(rows=NSW, transforms=HIDDEN, cohort=10, epsilon=0.5))},
        "permit g id,state rows=Compare transforms=id options=cohort:10,epsilon:0.5",
    ),
    Case(
        "transform of a filtered column",
        {"g": terms(permission(transforms=HIDDEN))},
        "permit g id,state transforms=id,name",
        ask(filter_columns=("name",)),
    ),
    Case("broader action", {"g": terms(permission(action="use"))}, "permit g id,state"),
    Case(
        "narrower action",
        {"g": terms(permission(action="read"))},
        "deny action.not-granted@g",
        ask(action="use"),
    ),
    Case(
        "redistribution",
        {"g": terms(permission(action="use"))},
        "deny action.not-granted@g",
        ask(action="redistribute"),
    ),
    Case("refined action", {"g": terms(permission(action=CSV))}, "deny attribute.missing@g"),
    Case("refined action or plain", {"g": terms(permission(action=[CSV, "use"]))}, "permit g id,state"),
    Case("party refined", OFFICES, "deny attribute.missing@g"),
    Case("party within", OFFICES, "permit g id,state", ask(attributes={"assignee/spatial": "310115"})),
    Case("party outside", OFFICES, "deny area.mismatch@g", ask(attributes={"assignee/spatial": "320115"})),
    Case("no department", OFFICES, "deny grant.none@", ask(assignee="urn:civic:company:1")),
    Case("nobody in particular", OFFICES, "deny assignee.invalid@", ask(assignee="urn:civic:dept:any")),
    Case(
        "one of two",
        {"g": terms(permission(constraint=[{"or": [ENGLISH, CHINESE]}]))},
        "deny attribute.missing@g",
    ),
    Case(
        "either",
        {"g": terms(permission(constraint=[{"or": [ENGLISH, CHINESE]}]))},
        "permit g id,state",
        ask(attributes={"language": "zh"}),
    ),
    Case(
        "exactly one",
        {"g": terms(permission(constraint=[{"xone": [ENGLISH, when("language", "neq", "zh")]}]))},
        "deny constraint.not-exactly-one@g",
        ask(attributes={"language": "en"}),
    ),
    Case("duty first", TOLD_FIRST, "deny duty.unfulfilled@g"),
    Case(
        "duty of another grant",
        TOLD_FIRST,
        "deny duty.unfulfilled@g",
        context=at(duties={"h#a": "fulfilled"}),
    ),
    Case(
        "duty done",
        TOLD_FIRST,
        "permit g id,state duties=g#a:fulfilled",
        context=at(duties={"g#a": "fulfilled"}),
    ),
    Case("duty after", DELETE, "permit g id,state duties=g#d:pending"),
    Case(
        "duty in time",
        DELETE,
        "permit g id,state duties=g#d:pending",
        context=at(used={"g": 1}, first_used={"g": NOON - timedelta(days=30)}),
    ),
    Case(
        "duty late",
        DELETE,
        "deny duty.overdue@g consequence.unfulfilled@g",
        context=at(used={"g": 1}, first_used=LONG_AGO),
    ),
    Case(
        "duty late but done",
        DELETE,
        "permit g id,state duties=g#d:fulfilled",
        context=at(used={"g": 1}, first_used=LONG_AGO, duties={"g#d": "fulfilled"}),
    ),
    Case(
        "breach without its consequence",
        DELETE,
        "deny consequence.unfulfilled@g",
        context=at(duties={"g#d": "fulfilled", "g#c": "unfulfilled"}),
    ),
    Case("first use unknown", DELETE, "deny context.incomplete@g", context=at(used={"g": 1})),
    Case("remedy owed", OWING, "deny remedy.unfulfilled@g", context=at(duties={"g#r": "unfulfilled"})),
    Case("remedy done", OWING, "permit g id,state", context=at(duties={"g#r": "fulfilled"})),
    Case("prohibited", {"g": terms(permission(), prohibition=[ban()])}, "deny prohibition.matched@g"),
    Case("prohibited column", BANNED_NAME, "permit g id,state"),
    Case("prohibited column left out", BANNED_NAME, "permit g id,state,born", ask(columns=())),
    Case("prohibited column named", BANNED_NAME, "deny prohibition.matched@g", ask(columns=("id", "name"))),
    Case(
        "prohibited column looked at",
        BANNED_NAME,
        "deny prohibition.matched@g",
        ask(columns=(), filter_columns=("name",)),
    ),
    Case(
        "everything prohibited",
        {"g": terms(permission("name"), prohibition=[ban("name")])},
        "deny column.prohibited@g",
        ask(columns=()),
    ),
    Case(
        "prohibited rows",
        {"g": terms(permission(), prohibition=[ban(rows=NSW)])},
        "permit g id,state rows=And",
    ),
    Case(
        "prohibited rows of another column",
        {"g": terms(permission(), prohibition=[ban("name", rows=NSW)])},
        "permit g id,state",
    ),
    Case("prohibition unknown", FOREIGN, "deny prohibition.indeterminate@g"),
    Case("prohibition away", FOREIGN, "permit g id,state", ask(attributes={"recipient": "urn:x:y"})),
    Case(
        "prohibition of the broader action",
        {"g": terms(permission(action="use"), prohibition=[ban()])},
        "deny prohibition.matched@g",
        ask(action="use"),
    ),
    Case("permission wins", {"g": YIELDING}, "permit g id,state"),
    Case("permission wins at home only", OTHERS, "permit 0x1 id,state"),
    Case("void", VOID, "deny policy.conflict@g"),
    Case("void elsewhere", VOID, "permit g id", ask(columns=("id",))),
    Case(
        "prohibition of another grant",
        {"0x1": terms(permission()), "0x2": terms(prohibition=[ban()])},
        "deny prohibition.matched@0x2",
    ),
    Case("only a prohibition", {"g": terms(prohibition=[ban()])}, "deny prohibition.matched@g grant.none@"),
    Case(
        "least privileged",
        {"0x1": terms(permission()), "0x2": terms(permission("id", "state"))},
        "permit 0x2 id,state",
    ),
    Case(
        "least privileged by transform",
        {"0x1": terms(permission()), "0x2": terms(permission(transforms=HIDDEN))},
        "permit 0x2 id,state transforms=id",
    ),
    Case(
        "least privileged by rows",
        {"0x1": terms(permission()), "0x2": terms(permission(rows=NSW))},
        "permit 0x2 id,state rows=Compare",
    ),
    Case(
        "least privileged by id",
        {"0x2": terms(permission()), "0x1": terms(permission())},
        "permit 0x1 id,state",
    ),
    Case(
        "prohibition of somebody else",
        {"0x1": terms(permission()), "0x2": terms(prohibition=[ban()], assignee=SHANGHAI)},
        "permit 0x1 id,state",
        ask(attributes={"assignee/spatial": "320115"}),
    ),
    Case(
        "exactly one, another unknown",
        {"g": terms(permission(constraint=[{"xone": [ENGLISH, CSV_ONLY]}]))},
        "deny attribute.missing@g",
        ask(attributes={"language": "en"}),
    ),
    Case("unknown purpose", PLAIN, "deny purpose.unknown@", ask(purpose="dpv:Nonsense")),
    Case("unknown action", PLAIN, "deny action.unknown@", ask(action="sell")),
    Case("two purposes", BOTH_PURPOSES, "deny purpose.mismatch@g"),
    Case("two purposes met", BOTH_PURPOSES, "permit g id,state", ask(purpose="dpv:CommercialResearch")),
    Case(
        "two counts",
        {"g": terms(permission(constraint=[when("count", "lteq", 5), when("count", "lteq", 3)]))},
        "deny uses.exhausted@g",
        context=at(used={"g": 3}),
    ),
    Case(
        "until and with the end",
        {"g": terms(permission(constraint=[when("dateTime", "lteq", NOON.isoformat())]))},
        "permit g id,state until=12:00",
        context=at(now=NOON - TICK),
    ),
    Case(
        "remedy owed for another action",
        {"g": terms(permission(), prohibition=[ban(action="match", remedy=[duty("#r", "gt")])])},
        "deny remedy.unfulfilled@g",
        context=at(duties={"g#r": "unfulfilled"}),
    ),
    Case(
        "prohibition of neither",
        {"g": terms(permission(), prohibition=[ban(constraint=[{"or": [ENGLISH, CHINESE]}])])},
        "permit g id,state",
        ask(attributes={"language": "fr"}),
    ),
    Case(
        "prohibition of exactly one, of which two hold and one is unknown",
        {
            "g": terms(
                permission(), prohibition=[ban(constraint=[{"xone": [ENGLISH, NOT_CHINESE, CSV_ONLY]}])]
            )
        },
        "permit g id,state",
        ask(attributes={"language": "en"}),
    ),
    Case(
        "closest first",
        {
            "0x1": terms(permission(constraint=[ENGLISH, when("count", "lteq", 0)])),
            "0x2": terms(permission(constraint=[ENGLISH])),
        },
        "deny attribute.missing@0x2 uses.exhausted@0x1 attribute.missing@0x1",
    ),
    Case(
        "every bound of a chain",
        {
            "g": terms(
                permission(
                    "id", "name", "born", cohort=5, epsilon="0.5", constraint=[when("count", "lteq", 9)]
                )
            )
        },
        "permit g id,name rows=Compare transforms=id,name duties=p#d:pending"
        " options=cohort:20,epsilon:0.25 uses=3 until=13:00",
        ask(columns=()),
        above={
            "p": terms(
                permission(
                    "id",
                    "name",
                    "state",
                    rows=NSW,
                    transforms=HIDDEN,
                    cohort=20,
                    epsilon="0.25",
                    duty=[duty("#d", "gt")],
                )
            ),
            "r": terms(
                permission(
                    constraint=[
                        when("dateTime", "lt", (NOON + HOUR).isoformat()),
                        when("count", "lteq", 3),
                    ]
                )
            ),
        },
    ),
    Case(
        "the root refuses",
        PLAIN,
        "deny attribute.missing@g",
        above={"p": PLAIN["g"], "r": terms(permission(constraint=[ENGLISH]))},
    ),
    Case(
        "nothing common",
        PLAIN,
        "deny column.not-granted@g",
        ask(columns=()),
        above={"p": terms(permission("salary"))},
    ),
)
