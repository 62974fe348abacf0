"""Decisions: permits with their bounds, refusals with every reason, the least privileged grant first."""

from __future__ import annotations

import dataclasses
import threading
from datetime import datetime, timedelta, timezone

import pytest

from access_policy.decision.answers import Deny, Permit
from access_policy.decision.engine import Engine, decide
from access_policy.errors import PolicyError
from access_policy.terms.agreement import parse_terms
from access_policy.terms.rows import Compare
from access_policy.terms.transforms import Pseudonym

G = "0x01"


def codes(decision):
    assert isinstance(decision, Deny)
    return [r.code for r in decision.reasons]


def test_a_permit_says_what_may_be_released(granted, request_for, context, noon):
    end = noon + timedelta(days=30)
    rows = {"column": "state", "op": "eq", "value": "nsw"}
    hidden = {"id": {"type": "pseudonym"}}
    terms = granted(rows=rows, transforms=hidden, expiry=end, max_uses=5, cohort=10, epsilon="0.5")
    permit = decide(request_for(columns=("state", "id"), filter_columns=("born",)), {G: terms}, context())
    assert permit == Permit(
        grant=G,
        rule="/permission/0",
        columns=("id", "state"),
        row_filter=Compare("state", "eq", "nsw"),
        transforms={"id": Pseudonym()},
        max_uses=5,
        options={"cohort": 10, "epsilon": "0.5"},
        filter_columns=("born",),
        until=end,
        protected=True,
    )


def test_a_permit_says_that_its_rule_alters_a_column_even_when_it_is_not_asked_for(
    granted, request_for, context
):
    hidden = {"transforms": {"id": {"type": "pseudonym"}}}
    for asked in ((), ("id",), ("state",)):
        assert decide(request_for(columns=asked), {G: granted(**hidden)}, context()).protected
        assert not decide(request_for(columns=asked), {G: granted()}, context()).protected
    kept = granted(transforms={"id": {"type": "keep"}})
    assert not decide(request_for(columns=("id",)), {G: kept}, context()).protected


def test_without_columns_everything_granted_may_be_released(granted, request_for, context):
    permit = decide(request_for(columns=()), {G: granted()}, context())
    assert permit.columns == ("id", "name", "state", "born")


@pytest.mark.parametrize(
    ("terms", "asked", "known", "code"),
    [
        ({}, {"purpose": "dpv:Marketing"}, {}, "purpose.mismatch"),
        ({}, {"purpose": "dpv:Nonsense"}, {}, "purpose.unknown"),
        ({}, {"action": "aggregate"}, {}, "action.not-granted"),
        ({}, {"action": "steal"}, {}, "action.unknown"),
        ({}, {"columns": ("id", "salary")}, {}, "column.not-granted"),
        ({}, {"filter_columns": ("salary",)}, {}, "column.not-granted"),
        ({}, {"asset": "urn:civic:asset:3.13"}, {}, "grant.none"),
        ({}, {"assignee": "urn:civic:dept:1"}, {}, "grant.none"),
        ({}, {"assignee": "urn:civic:dept:any"}, {}, "assignee.invalid"),
        ({"max_uses": 5}, {}, {"used": {G: 5}}, "uses.exhausted"),
        ({"max_uses": 5}, {}, {"used": {G: -1}}, "context.incomplete"),
        ({"legal_basis": "dpv:PublicInterest"}, {}, {}, "attribute.missing"),
        ({"legal_basis": "dpv:PublicInterest"}, {"attributes": {"legalBasis": 7}}, {}, "attribute.invalid"),
        (
            {"legal_basis": "dpv:PublicInterest"},
            {"attributes": {"legalBasis": "dpv:Consent"}},
            {},
            "legal-basis.mismatch",
        ),
    ],
)
def test_a_refusal_names_its_reason(granted, request_for, context, terms, asked, known, code):
    assert codes(decide(request_for(**asked), {G: granted(**terms)}, context(**known))) == [code]


def test_validity_holds_from_the_start_to_before_the_end(granted, request_for, context, noon):
    terms = granted(not_before=noon, expiry=noon + timedelta(hours=1))
    moment = timedelta(microseconds=1)

    def at(now):
        return decide(request_for(), {G: terms}, context(now=now))

    assert codes(at(noon - moment)) == ["grant.not-yet-valid"]
    assert isinstance(at(noon), Permit)
    assert isinstance(at(noon + timedelta(hours=1) - moment), Permit)
    assert codes(at(noon + timedelta(hours=1))) == ["grant.expired"]
    assert isinstance(at(noon.astimezone(timezone(timedelta(hours=8)))), Permit)
    assert codes(at(noon.replace(tzinfo=None))) == ["context.invalid"]


def test_out_of_range_instant_is_refused_without_overflow(granted, request_for, context):
    shanghai = timezone(timedelta(hours=8))
    for now in (datetime.min, datetime.max):
        denial = decide(request_for(), {G: granted()}, context(now=now.replace(tzinfo=shanghai)))
        assert codes(denial) == ["context.invalid"]


def test_every_failing_condition_is_reported_with_what_was_seen_and_wanted(
    granted, request_for, context, noon
):
    terms = granted(expiry=noon, max_uses=2)
    denial = decide(
        request_for(purpose="dpv:Marketing", columns=("salary",)), {G: terms}, context(used={G: 2})
    )
    assert codes(denial) == ["purpose.mismatch", "grant.expired", "uses.exhausted", "column.not-granted"]
    first = denial.reasons[0]
    assert (first.grant, first.rule, first.constraint) == (G, "/permission/0", "/permission/0/constraint/0")
    assert (first.seen, first.wanted) == ("dpv:Marketing", "isA dpv:ResearchAndDevelopment")
    assert first.redacted().seen is None


def test_the_grant_that_came_closest_is_explained_first(granted, request_for, context, noon):
    far = granted(purposes=("dpv:Marketing",), expiry=noon)
    near = granted(expiry=noon)
    denial = decide(request_for(), {"0x1": far, "0x2": near}, context())
    assert [(r.grant, r.code) for r in denial.reasons] == [
        ("0x2", "grant.expired"),
        ("0x1", "purpose.mismatch"),
        ("0x1", "grant.expired"),
    ]


def test_the_least_privileged_grant_that_satisfies_wins(granted, request_for, context):
    wide = granted()
    narrow = granted(columns=["id", "state"])
    masked = granted(columns=["id", "state"], transforms={"id": {"type": "pseudonym"}})
    assert decide(request_for(), {"0x1": wide, "0x2": narrow}, context()).grant == "0x2"
    assert decide(request_for(), {"0x1": wide, "0x2": narrow, "0x3": masked}, context()).grant == "0x3"
    assert decide(request_for(columns=("name",)), {"0x1": wide, "0x2": narrow}, context()).grant == "0x1"


def test_a_broader_action_covers_the_narrower_but_never_redistribution(granted, request_for, context):
    terms = granted(actions=["use"])
    for action in ("use", "read", "aggregate", "match", "derive"):
        assert isinstance(decide(request_for(action=action), {G: terms}, context()), Permit)
    assert codes(decide(request_for(action="redistribute"), {G: terms}, context())) == ["action.not-granted"]
    assert isinstance(
        decide(request_for(action="redistribute"), {G: granted(actions=["redistribute"])}, context()), Permit
    )


def test_a_standing_grant_is_for_every_department_and_nobody_else(document, request_for, context):
    standing = parse_terms(document(assignee="urn:civic:dept:any"))
    assert isinstance(decide(request_for(), {G: standing}, context()), Permit)
    assert isinstance(decide(request_for(assignee="urn:civic:dept:77"), {G: standing}, context()), Permit)
    assert codes(decide(request_for(assignee="urn:civic:company:1"), {G: standing}, context())) == [
        "grant.none"
    ]


def test_collections_of_parties_and_assets_reach_their_members(document, request_for, context):
    terms = document(assignee="urn:civic:parties:county-health")
    terms["permission"][0]["target"]["source"] = "urn:civic:assets:registers"
    grants = {G: parse_terms(terms)}
    members = {
        "urn:civic:dept:9": ("urn:civic:parties:county-health",),
        "urn:civic:asset:3.12": ("urn:civic:assets:registers",),
    }
    assert isinstance(decide(request_for(), grants, context(collections=members)), Permit)
    assert codes(decide(request_for(), grants, context())) == ["grant.none"]
    assert codes(decide(request_for(asset="urn:civic:asset:3.99"), grants, context(collections=members))) == [
        "grant.none"
    ]


def test_refinements_of_the_party_are_asked_of_the_caller(document, request_for, context):
    area = {"leftOperand": "spatial", "operator": "isPartOf", "rightOperand": "310000"}
    kind = {"leftOperand": "partyKind", "operator": "eq", "rightOperand": "department"}
    party = {"@type": "PartyCollection", "source": "urn:civic:dept:any", "refinement": [area, kind]}
    grants = {G: parse_terms(document(assignee=party))}

    def caller(**attributes):
        named = {f"assignee/{name}": value for name, value in attributes.items()}
        return decide(request_for(attributes=named), grants, context())

    assert isinstance(caller(spatial="310115", partyKind="department"), Permit)
    assert codes(caller(spatial="320100", partyKind="department")) == ["area.mismatch"]
    assert codes(caller(spatial="310115", partyKind="enterprise")) == ["party.mismatch"]
    assert codes(caller(spatial="310115")) == ["attribute.missing"]


def test_refinements_of_the_action_are_asked_of_the_call(document, request_for, context):
    csv = {"leftOperand": "fileFormat", "operator": "eq", "rightOperand": "text/csv"}
    refined = {"rdf:value": {"@id": "odrl:read"}, "refinement": [csv]}
    grants = {G: parse_terms(document(permission={"action": [refined]}))}
    asked = request_for(attributes={"fileFormat": "Text/CSV"})
    assert isinstance(decide(asked, grants, context()), Permit)
    asked = request_for(attributes={"fileFormat": "application/json"})
    assert codes(decide(asked, grants, context())) == ["format.mismatch"]
    assert codes(decide(request_for(), grants, context())) == ["attribute.missing"]


def test_a_suspended_grant_refuses(granted, request_for, context):
    engine = Engine()
    engine.add(G, granted(), "suspended")
    assert codes(engine.decide(request_for(), context())) == ["grant.suspended"]
    engine.add(G, granted())
    assert isinstance(engine.decide(request_for(), context()), Permit)
    assert len(engine) == 1


def test_revocation_removes_exactly_one_grant_at_once(granted, request_for, context):
    engine = Engine()
    engine.add("0x1", granted())
    engine.add("0x2", granted(columns=["id", "state"]))
    assert engine.decide(request_for(), context()).grant == "0x2"
    assert engine.revoke("0x2")
    assert not engine.revoke("0x2")
    assert engine.decide(request_for(), context()).grant == "0x1"
    assert engine.revoke("0x1")
    assert codes(engine.decide(request_for(), context())) == ["grant.none"]
    assert "0x1" not in engine


def test_an_offer_or_a_request_is_never_a_grant(document, request_for, context):
    for kind in ("Offer", "Request"):
        terms = parse_terms(document(**{"@type": kind}))
        with pytest.raises(PolicyError, match="only an agreement"):
            Engine().add(G, terms)
        with pytest.raises(PolicyError, match="only an agreement"):
            decide(request_for(), {G: terms}, context())


def test_decisions_do_not_change_under_threads_that_add_and_revoke(granted, request_for, context):
    engine = Engine()
    engine.add("0x0", granted())
    stop = threading.Event()
    wrong = []

    def churn(name):
        while not stop.is_set():
            engine.add(name, granted_once)
            engine.revoke(name)

    def ask():
        while not stop.is_set():
            decision = engine.decide(request_for(), context())
            if not isinstance(decision, Permit):
                wrong.append(decision)

    granted_once = granted(columns=["id", "state"])
    threads = [threading.Thread(target=churn, args=(f"0x{i}",)) for i in (1, 2)]
    threads += [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    stop.wait(0.7)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert engine.grants() == {"0x0": granted()}


def test_while_a_grant_is_replaced_its_prohibitions_never_vanish(granted, document, request_for, context):
    ban = {"target": "urn:civic:asset:3.12", "action": ["read"]}
    prohibiting = parse_terms(document(prohibition=[ban]))
    engine = Engine()
    engine.add("0x1", granted())
    engine.add("0x2", prohibiting)
    stop = threading.Event()
    leaked = []

    def ask():
        while not stop.is_set():
            decision = engine.decide(request_for(), context())
            if isinstance(decision, Permit):
                leaked.append(decision)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3_000):
        engine.add("0x2", prohibiting)
    stop.set()
    for thread in threads:
        thread.join()
    assert not leaked


def test_permits_cannot_be_changed(granted, request_for, context):
    permit = decide(request_for(), {G: granted(transforms={"id": {"type": "pseudonym"}})}, context())
    with pytest.raises(dataclasses.FrozenInstanceError):
        permit.grant = "0x02"
    with pytest.raises(TypeError):
        permit.transforms["id"] = None
