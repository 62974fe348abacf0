"""Analysis before signing: the engine confirms every positive answer, and no negative one is guessed."""

from __future__ import annotations

import copy
import time
from datetime import timedelta
from typing import Any

import pytest

from access_policy.analysis.questions import compiled, conflicts, diff, unreachable
from access_policy.analysis.reach import what_can, who_can
from access_policy.analysis.space import MAX_CHECKS, space_of
from access_policy.decision.answers import Context, Deny, Permit
from access_policy.decision.engine import decide
from access_policy.terms.agreement import parse_terms
from access_policy.terms.templates import duty

G = "0x01"


def purpose(operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": "purpose", "operator": operator, "rightOperand": right}


def ban(target: Any = "urn:civic:asset:3.12", **more: Any) -> dict[str, Any]:
    return {"target": target, "action": ["read"], **more}


def columns(*names: str) -> dict[str, Any]:
    right = list(names)
    refinement = [{"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": right}]
    return {"@type": "AssetCollection", "source": "urn:civic:asset:3.12", "refinement": refinement}


def test_terms_without_prohibitions_are_compatible(granted):
    assert conflicts({G: granted()}).verdict == "compatible"


def test_a_conflict_is_shown_on_a_call_to_which_both_rules_apply(document):
    terms = document(
        permission={"constraint": [purpose("isA", "dpv:ResearchAndDevelopment")]},
        prohibition=[ban(constraint=[purpose("isA", "dpv:CommercialPurpose")])],
    )
    found = conflicts({G: parse_terms(terms)})
    assert found.verdict == "conflict"
    (pair,) = found.found
    assert (pair.permission, pair.prohibition) == ((G, "/permission/0"), (G, "/prohibition/0"))
    # The only purpose below both.
    assert pair.witness.request.purpose == "dpv:CommercialResearch"
    denial = decide(pair.witness.request, {G: parse_terms(terms)}, pair.witness.context)
    assert [r.code for r in denial.reasons] == ["prohibition.matched"]


def test_disjoint_purposes_intervals_areas_and_columns_are_compatible(document, noon):
    def instant(operator: str, when: Any) -> dict[str, Any]:
        return {"leftOperand": "dateTime", "operator": operator, "rightOperand": when.isoformat()}

    def area(code: str) -> dict[str, Any]:
        return {"leftOperand": "spatial", "operator": "isPartOf", "rightOperand": code}

    disjoint = [
        (purpose("isA", "dpv:PublicBenefit"), purpose("isA", "dpv:Marketing")),
        (instant("lt", noon), instant("gteq", noon)),
        (area("310000"), area("320000")),
    ]
    for allowed, prohibited in disjoint:
        terms = document(permission={"constraint": [allowed]}, prohibition=[ban(constraint=[prohibited])])
        assert conflicts({G: parse_terms(terms)}).verdict == "compatible"
    overlapping = [(instant("lteq", noon), instant("gteq", noon)), (area("310000"), area("310115"))]
    for allowed, prohibited in overlapping:
        terms = document(permission={"constraint": [allowed]}, prohibition=[ban(constraint=[prohibited])])
        assert conflicts({G: parse_terms(terms)}).verdict == "conflict"
    assert conflicts({G: parse_terms(document(prohibition=[ban(columns("salary"))]))}).verdict == "compatible"
    assert conflicts({G: parse_terms(document(prohibition=[ban(columns("name"))]))}).verdict == "conflict"


def test_conflicts_reach_across_grants_and_through_declared_collections(document, granted):
    prohibiting = document(assignee="urn:civic:parties:trial", prohibition=[ban()])
    del prohibiting["permission"]
    grants = {"0x1": granted(), "0x2": parse_terms(prohibiting)}
    assert conflicts(grants).verdict == "unknown"
    found = conflicts(grants, collections={"urn:civic:dept:9": ("urn:civic:parties:trial",)})
    assert found.verdict == "conflict"
    assert found.found[0].prohibition == ("0x2", "/prohibition/0")


def test_a_rule_that_cannot_have_an_effect_is_named_with_its_cause(document, noon):
    never = {"leftOperand": "dateTime", "operator": "lt", "rightOperand": noon.isoformat()}
    later = {"leftOperand": "dateTime", "operator": "gt", "rightOperand": noon.isoformat()}
    terms = document()
    (first,) = terms["permission"]
    terms["permission"] = [
        {**first, "uid": "good"},
        {**first, "uid": "empty", "constraint": [never, later]},
        {**first, "uid": "same", "constraint": [purpose("isA", "dpv:Marketing")]},
        {**first, "uid": "banned", "action": ["aggregate"]},
    ]
    terms["prohibition"] = [
        {"target": "urn:civic:asset:3.12", "action": ["aggregate"], "uid": "ban"},
        {"target": "urn:civic:asset:3.12", "action": ["match"], "uid": "idle", "constraint": [never, later]},
    ]
    found = {u.rule: u.cause for u in unreachable({G: parse_terms(terms)})}
    # The narrower purpose wins if both hold, so "good" and "same" both have an effect.
    assert found == {"empty": "unsatisfiable", "banned": "prohibited", "idle": "unsatisfiable"}
    terms["permission"] = [{**first, "uid": "one"}, {**first, "uid": "two"}]
    terms["prohibition"] = []
    assert {u.rule: u.cause for u in unreachable({G: parse_terms(terms)})} == {"two": "shadowed"}


def test_a_difference_shows_what_is_newly_permitted_and_denied(granted):
    old = granted(purposes=("dpv:AcademicResearch",), columns=["id", "state", "born"])
    new = granted(purposes=("dpv:ResearchAndDevelopment",), columns=["id", "state", "name"])
    change = diff(old, new)
    assert change.exhaustive
    assert change.newly_permitted
    assert change.newly_denied
    for one in change.changes:
        assert decide(one.witness.request, {"grant": old}, one.witness.context) == one.before
        assert decide(one.witness.request, {"grant": new}, one.witness.context) == one.after
    names = {c.witness.request.columns for c in change.newly_permitted}
    assert ("name",) in names
    assert ("id",) in names  # For a purpose that was not permitted before.
    assert {c.witness.request.columns for c in change.newly_denied} >= {("born",)}


def test_the_same_terms_have_no_difference(granted):
    terms = granted(max_uses=5, rows={"column": "state", "op": "eq", "value": "nsw"})
    assert diff(terms, terms).changes == ()
    assert diff(None, None).changes == ()


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({"max_uses": 5}, {"max_uses": 6}, "newly permitted"),
        ({"max_uses": 5}, {"max_uses": 4}, "newly denied"),
        ({"transforms": {"id": {"type": "pseudonym"}}}, {}, "bounds changed"),
        ({"rows": {"column": "state", "op": "eq", "value": "nsw"}}, {}, "bounds changed"),
        ({"cohort": 10}, {"cohort": 5}, "bounds changed"),
        ({"legal_basis": "dpv:PublicInterest"}, {}, "newly permitted"),
        ({"actions": ("read",)}, {"actions": ("use",)}, "newly permitted"),
    ],
)
def test_every_kind_of_loosening_and_tightening_is_seen(granted, before, after, kind):
    change = diff(granted(**before), granted(**after))
    assert change.exhaustive
    assert kind in {c.kind for c in change.changes}
    opposite = {"newly permitted": "newly denied", "newly denied": "newly permitted"}.get(kind)
    assert opposite not in {c.kind for c in change.changes}


def test_an_extension_by_a_microsecond_is_seen(granted, noon):
    change = diff(granted(expiry=noon), granted(expiry=noon + timedelta(microseconds=1)))
    assert [c.witness.context.now for c in change.newly_permitted][:1] == [noon]
    assert not change.newly_denied


def test_a_duty_that_is_added_denies_those_who_have_not_done_it(granted):
    change = diff(granted(), granted(duties=[duty("assess")]))
    assert change.newly_denied
    assert all("grant#assess" not in c.witness.context.duties for c in change.newly_denied)
    assert not change.newly_permitted


def test_too_large_analysis_is_unknown_and_answered_in_time(document):
    def choice(operand: str, values: list[str]) -> list[dict[str, Any]]:
        return [{"leftOperand": operand, "operator": "eq", "rightOperand": v} for v in values]

    huge = document(
        permission={
            "constraint": [
                {"or": choice("language", [f"zz-v{i:04}" for i in range(40)])},
                {"or": choice("fileFormat", [f"text/x{i}" for i in range(40)])},
                {"or": choice("spatial", [f"31{i:04}" for i in range(101, 140)])},
            ]
        },
        prohibition=[ban(constraint=[*choice("language", ["en"]), *choice("fileFormat", ["text/none"])])],
    )
    started = time.perf_counter()
    assert conflicts({G: parse_terms(huge)}).verdict == "unknown"
    assert time.perf_counter() - started < 10


def test_terms_made_to_exhaust_the_analysis_are_answered_in_time(document):
    areas = [f"{n:06}" for n in range(110100, 112400)]
    wide = document(
        permission={
            "constraint": [{"or": [{"leftOperand": "spatial", "operator": "isAnyOf", "rightOperand": areas}]}]
        },
        prohibition=[
            ban(constraint=[{"leftOperand": "spatial", "operator": "isNoneOf", "rightOperand": areas}])
        ],
    )
    (rule,) = wide["permission"]
    many = document(prohibition=[ban(columns("name"), action=["match"]) for _ in range(100)])
    many["permission"] = [{**rule, "constraint": [purpose("isA", "dpv:Marketing")]} for _ in range(150)]
    for terms in (wide, many):
        parsed = parse_terms(terms)
        started = time.perf_counter()
        conflicts({G: parsed})
        unreachable({G: parsed})
        diff(parsed, parsed)
        assert time.perf_counter() - started < 20


def test_who_can_lists_permitted_parties_and_missing_conditions(document, granted, noon):
    other = parse_terms({**document(), "assignee": "urn:civic:dept:1"})
    lacking = parse_terms(
        {
            **document(
                permission={
                    "constraint": [
                        {"leftOperand": "legalBasis", "operator": "isA", "rightOperand": "dpv:Consent"}
                    ]
                }
            ),
            "assignee": "urn:civic:dept:2",
        }
    )
    grants = {"0x1": granted(), "0x2": other, "0x3": lacking, "0x4": granted(expiry=noon)}
    found = who_can("urn:civic:asset:3.12", "read", "dpv:AcademicResearch", noon, grants)
    assert [(a.assignee, a.grant, a.certain) for a in found] == [
        ("urn:civic:dept:1", "0x2", True),
        ("urn:civic:dept:2", "0x3", False),
        ("urn:civic:dept:9", "0x1", True),
    ]
    assert [r.code for r in found[1].conditions] == ["attribute.missing"]
    assert not who_can("urn:civic:asset:3.12", "aggregate", "dpv:AcademicResearch", noon, grants)
    assert [a.grant for a in who_can("urn:civic:asset:3.12", "read", "dpv:Marketing", noon, grants)] == [
        "0x2",
        "0x3",
    ]


def test_who_can_omits_prohibited_parties(document, noon):
    shut = parse_terms(document(prohibition=[ban()]))
    assert not who_can("urn:civic:asset:3.12", "read", "dpv:Marketing", noon, {G: shut})
    narrowed = parse_terms(document(prohibition=[ban(columns("name"))]))
    (access,) = who_can("urn:civic:asset:3.12", "read", "dpv:Marketing", noon, {G: narrowed})
    assert access.limits == ("0x01 /prohibition/0",)


def test_what_can_lists_every_asset_and_action_with_its_broadest_purposes(granted, noon):
    grants = {"0x1": granted(actions=("read", "aggregate")), "0x2": granted(purposes=("dpv:Marketing",))}
    found = what_can("urn:civic:dept:9", grants, noon)
    assert sorted((a.action, a.grant, a.purposes) for a in found) == [
        ("aggregate", "0x1", ("dpv:ResearchAndDevelopment",)),
        ("read", "0x1", ("dpv:ResearchAndDevelopment",)),
        ("read", "0x2", ("dpv:Marketing",)),
    ]
    assert what_can("urn:civic:dept:8", grants, noon) == ()


def test_engine_permits_what_who_can_lists(granted, document, noon, request_for):
    grants = {"0x1": granted(), "0x2": parse_terms(document(prohibition=[ban(columns("name"))]))}
    for way in what_can("urn:civic:dept:9", grants, noon):
        for name in way.purposes:
            asked = request_for(purpose=name, action=way.action, columns=())
            assert isinstance(decide(asked, grants, Context(noon)), Permit)
    asked = request_for(purpose="dpv:Marketing", columns=("name",))
    assert isinstance(decide(asked, {"0x2": copy.copy(grants["0x2"])}, Context(noon)), Deny)


def test_agreements_with_many_rules_are_compared_within_bounds(document):
    """Each permission minus each prohibition: these are too many sets of columns to enumerate."""
    (rule,) = document()["permission"]

    def crowded(number: int) -> Any:
        shared = [f"s{n}" for n in range(120)]
        made = document(prohibition=[ban(columns(name)) for name in shared])
        made["permission"] = [{**rule, "target": columns(f"c{number}_{n}", *shared)} for n in range(120)]
        return parse_terms(made)

    grants = {f"g{n}": crowded(n) for n in range(4)}
    space = space_of(compiled(grants), with_duties=False)
    assert sum(map(len, space.columns)) < 4 * MAX_CHECKS
    assert not space.exhaustive
    assert conflicts(grants).verdict == "conflict"
