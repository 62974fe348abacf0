"""Prohibitions win unless terms say otherwise, apply to all grants, and narrow what they cannot refuse."""

from __future__ import annotations

from typing import Any

import pytest

from access_policy.decision.answers import Deny, Permit
from access_policy.decision.engine import Engine, decide
from access_policy.errors import TermsError
from access_policy.terms.agreement import parse_terms
from access_policy.terms.rows import And, Compare, IsNull, Not

ASSET = "urn:civic:asset:3.12"
G = "0x01"


def ban(*columns: str, rows: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    refinement: list[dict[str, Any]] = []
    if columns:
        refinement.append({"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": list(columns)})
    if rows:
        right = {"@type": "@json", "@value": rows}
        refinement.append({"leftOperand": "rows", "operator": "eq", "rightOperand": right})
    target = {"@type": "AssetCollection", "source": ASSET, "refinement": refinement} if refinement else ASSET
    return {"target": target, "action": ["read"], **more}


def codes(decision):
    assert isinstance(decision, Deny)
    return [r.code for r in decision.reasons]


def test_a_prohibition_of_the_asset_refuses_and_is_named(document, request_for, context):
    terms = parse_terms(document(prohibition=[ban(uid="no-reading")]))
    denial = decide(request_for(), {G: terms}, context())
    assert codes(denial) == ["prohibition.matched"]
    assert (denial.reasons[0].rule, denial.reasons[0].constraint) == ("no-reading", "/prohibition/0")


def test_prohibited_columns_leave_an_open_request_and_refuse_one_that_names_them(
    document, request_for, context
):
    grants = {G: parse_terms(document(prohibition=[ban("name", "born")]))}
    assert decide(request_for(columns=()), grants, context()).columns == ("id", "state")
    assert isinstance(decide(request_for(columns=("id",)), grants, context()), Permit)
    assert codes(decide(request_for(columns=("id", "name")), grants, context())) == ["prohibition.matched"]
    assert codes(decide(request_for(columns=(), filter_columns=("born",)), grants, context())) == [
        "prohibition.matched"
    ]
    everything = {G: parse_terms(document(prohibition=[ban("id", "name"), ban("state", "born")]))}
    assert codes(decide(request_for(columns=()), everything, context())) == ["column.prohibited"]


def test_prohibited_rows_are_filtered_and_a_row_of_unknown_value_is_not_released(
    document, request_for, context
):
    rows = {"column": "state", "op": "eq", "value": "nsw"}
    permit = decide(request_for(), {G: parse_terms(document(prohibition=[ban(rows=rows)]))}, context())
    assert permit.row_filter == And((And((Not(Compare("state", "eq", "nsw")), Not(IsNull("state")))),))


def test_prohibited_rows_of_some_columns_matter_only_when_those_are_touched(document, request_for, context):
    rows = {"column": "state", "op": "eq", "value": "nsw"}
    grants = {G: parse_terms(document(prohibition=[ban("name", rows=rows)]))}
    assert decide(request_for(columns=("id",)), grants, context()).row_filter is None
    assert decide(request_for(columns=("name",)), grants, context()).row_filter is not None


@pytest.mark.parametrize("action", ["read", "use"])
def test_a_prohibited_action_also_bars_the_broader_action_that_contains_it(
    document, request_for, context, action
):
    grants = {G: parse_terms(document(permission={"action": ["use"]}, prohibition=[ban()]))}
    assert codes(decide(request_for(action=action), grants, context())) == ["prohibition.matched"]
    assert isinstance(decide(request_for(action="aggregate"), grants, context()), Permit)


def test_a_prohibition_that_cannot_be_ruled_out_refuses(document, request_for, context):
    foreign = {"leftOperand": "recipient", "operator": "neq", "rightOperand": "urn:civic:dept:9"}
    grants = {G: parse_terms(document(prohibition=[ban(constraint=[foreign])]))}
    assert codes(decide(request_for(), grants, context())) == ["prohibition.indeterminate"]
    stated = request_for(attributes={"recipient": "urn:civic:dept:9"})
    assert isinstance(decide(stated, grants, context()), Permit)
    both = request_for(attributes={"recipient": ("urn:civic:dept:9", "urn:civic:dept:8")})
    assert codes(decide(both, grants, context())) == ["prohibition.indeterminate"]


def test_a_prohibition_in_one_grant_reaches_a_permission_in_another(granted, document, request_for, context):
    prohibiting = document(prohibition=[ban("name")])
    del prohibiting["permission"]
    grants = {"0x1": granted(), "0x2": parse_terms(prohibiting)}
    assert decide(request_for(columns=()), grants, context()).columns == ("id", "state", "born")
    assert codes(decide(request_for(columns=("name",)), grants, context())) == ["prohibition.matched"]
    only = decide(request_for(), {"0x2": parse_terms(prohibiting)}, context())
    assert codes(only) == ["grant.none"]


def test_a_suspended_grant_still_prohibits(granted, document, request_for, context):
    prohibiting = document(prohibition=[ban()])
    del prohibiting["permission"]
    engine = Engine()
    engine.add("0x1", granted())
    engine.add("0x2", parse_terms(prohibiting), "suspended")
    assert codes(engine.decide(request_for(), context())) == ["prohibition.matched"]


def test_permission_wins_within_terms_that_say_so_and_only_there(document, request_for, context):
    yielding = parse_terms(document(conflict="perm", prohibition=[ban()]))
    plain = parse_terms(document())
    assert isinstance(decide(request_for(), {"0x1": yielding}, context()), Permit)
    assert codes(
        decide(request_for(), {"0x2": plain, "0x3": parse_terms(document(prohibition=[ban()]))}, context())
    )
    both = decide(request_for(), {"0x1": yielding, "0x2": plain}, context())
    assert both.grant == "0x1"


def test_terms_that_a_conflict_makes_void_permit_nothing(document, request_for, context):
    void = parse_terms(document(conflict="invalid", prohibition=[ban("name")]))
    assert codes(decide(request_for(columns=("id", "name")), {G: void}, context())) == ["policy.conflict"]
    assert codes(decide(request_for(columns=()), {G: void}, context())) == ["policy.conflict"]
    assert isinstance(decide(request_for(columns=("id",)), {G: void}, context()), Permit)


def test_when_one_grant_is_barred_the_next_one_answers(document, granted, request_for, context):
    void = parse_terms(document(conflict="invalid", prohibition=[ban("salary")]))
    wide = granted(columns=["id", "name", "state", "born", "salary"])
    permit = decide(request_for(), {"0x1": void, "0x2": wide}, context())
    assert permit.grant == "0x1"


def test_an_unremedied_infringement_stops_every_use_of_the_grant(document, request_for, context):
    remedy = {"uid": "#inform", "action": "inform"}
    grants = {G: parse_terms(document(prohibition=[ban("name", remedy=[remedy])]))}
    assert isinstance(decide(request_for(), grants, context()), Permit)
    owed = context(duties={"0x01#inform": "unfulfilled"})
    assert codes(decide(request_for(), grants, owed)) == ["remedy.unfulfilled"]
    done = context(duties={"0x01#inform": "fulfilled"})
    assert isinstance(decide(request_for(), grants, done), Permit)


def test_every_prohibition_that_applies_is_among_the_reasons(document, request_for, context):
    """The reasons include prohibitions of another grant and those of a call that also fails for another
    reason, but never one that does not apply."""
    prohibiting = document(prohibition=[ban(action=["aggregate"], uid="no-statistics")])
    del prohibiting["permission"]
    marketing = {"leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}
    other = document(prohibition=[ban("name", action=["use"], uid="no-names"), ban(constraint=[marketing])])
    grants = {"g0": parse_terms(prohibiting), "g1": parse_terms(other), "g2": parse_terms(document())}
    denial = decide(request_for(action="aggregate"), grants, context())
    assert codes(denial)[0] == "action.not-granted"
    assert {(r.code, r.grant, r.rule) for r in denial.reasons if r.code.startswith("prohibition")} == {
        ("prohibition.matched", "g0", "no-statistics")
    }
    named = decide(request_for(action="aggregate", columns=("name",)), grants, context())
    assert {r.rule for r in named.reasons if r.code == "prohibition.matched"} == {"no-statistics", "no-names"}
    limited = decide(request_for(purpose="dpv:Marketing", columns=("name",)), grants, context())
    assert {(r.code, r.rule) for r in limited.reasons} == {
        ("prohibition.matched", "no-names"),
        ("prohibition.matched", "/prohibition/1"),
    }
    alone = decide(request_for(action="aggregate"), {"g0": grants["g0"]}, context())
    assert codes(alone) == ["prohibition.matched", "grant.none"]


def test_overridden_prohibition_is_not_a_reason(document, request_for, context):
    terms = document(conflict="perm", prohibition=[ban()])
    terms["permission"][0]["constraint"] = [
        {"leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}
    ]
    assert codes(decide(request_for(), {G: parse_terms(terms)}, context())) == ["purpose.mismatch"]


def test_a_remedy_has_no_consequence(document):
    """ODRL 2.2, section 2.6.6: a remedy must not include a consequence."""
    remedy = {"uid": "#r", "action": "inform", "consequence": [{"uid": "#c", "action": "delete"}]}
    with pytest.raises(TermsError) as refused:
        parse_terms(document(prohibition=[ban("name", remedy=[remedy])]))
    assert refused.value.pointer == "/prohibition/0/remedy/0/consequence"
    empty = {"uid": "#r", "action": "inform", "consequence": []}
    with pytest.raises(TermsError):
        parse_terms(document(prohibition=[ban("name", remedy=[empty])]))
