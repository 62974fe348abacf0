"""Duties: duties before a use, duties after it, and the consequences of a breach."""

from __future__ import annotations

from datetime import timedelta

import pytest

from access_policy.decision.answers import Deny, DutyNotice, Permit
from access_policy.decision.engine import decide
from access_policy.errors import TermsError
from access_policy.terms.agreement import parse_terms, render
from access_policy.terms.duties import duty_key
from access_policy.terms.templates import duty

G = "0x01"


def codes(decision):
    assert isinstance(decision, Deny)
    return [r.code for r in decision.reasons]


def test_a_duty_before_use_that_nobody_reported_makes_the_permission_inactive(granted, request_for, context):
    grants = {G: granted(duties=[duty("assess")])}
    assert codes(decide(request_for(), grants, context())) == ["duty.unfulfilled"]
    assert codes(decide(request_for(), grants, context(duties={"0x01#assess": "unfulfilled"}))) == [
        "duty.unfulfilled"
    ]
    permit = decide(request_for(), grants, context(duties={"0x01#assess": "fulfilled"}))
    assert permit.duties == (DutyNotice("0x01#assess", "assess", None, "fulfilled"),)


def test_the_switch_turns_an_unfulfilled_duty_into_a_notice(granted, request_for, context):
    grants = {G: granted(duties=[duty("assess")])}
    permit = decide(request_for(), grants, context(), inactive_without_duties=False)
    assert permit.duties == (DutyNotice("0x01#assess", "assess", None, "unfulfilled"),)


def test_a_duty_after_use_comes_with_the_permit_until_its_limit_has_passed(
    granted, request_for, context, noon
):
    grants = {G: granted(duties=[duty("delete", within=timedelta(days=30))])}

    def after(days: int, **more):
        first = {G: noon - timedelta(days=days)}
        return decide(request_for(), grants, context(used={G: 1}, first_used=first, **more))

    pending = DutyNotice("0x01#delete", "delete", "P30D", "pending")
    assert decide(request_for(), grants, context()).duties == (pending,)
    assert after(30).duties == (pending,)
    assert codes(after(31)) == ["duty.overdue"]
    assert isinstance(after(31, duties={"0x01#delete": "fulfilled"}), Permit)
    assert codes(after(1, duties={"0x01#delete": "unfulfilled"})) == ["duty.unfulfilled"]


def test_a_limit_that_cannot_be_computed_refuses(granted, request_for, context, noon):
    grants = {G: granted(duties=[duty("delete", within=timedelta(days=30))])}
    assert codes(decide(request_for(), grants, context(used={G: 1}))) == ["context.incomplete"]
    future = {G: noon + timedelta(days=1)}
    assert codes(decide(request_for(), grants, context(used={G: 1}, first_used=future))) == [
        "context.incomplete"
    ]


def test_a_duty_with_an_instant_is_overdue_after_it(granted, request_for, context, noon):
    grants = {G: granted(duties=[duty("report", until=noon)])}
    assert decide(request_for(), grants, context()).duties[0].due == "2026-06-01T12:00:00Z"
    late = context(now=noon + timedelta(microseconds=1))
    assert codes(decide(request_for(), grants, late)) == ["duty.overdue"]


def test_after_a_breach_both_the_duty_and_what_follows_must_be_done(granted, request_for, context):
    deletion = duty("delete", within=timedelta(days=30), consequences=[duty("inform")])
    grants = {G: granted(duties=[deletion])}

    def when(**states):
        named = {f"0x01#{name}": state for name, state in states.items()}
        return decide(request_for(), grants, context(duties=named))

    assert isinstance(when(), Permit)
    assert codes(when(delete="unfulfilled")) == ["duty.unfulfilled", "consequence.unfulfilled"]
    assert codes(when(delete="unfulfilled", inform="fulfilled")) == ["duty.unfulfilled"]
    assert codes(when(delete="fulfilled", inform="unfulfilled")) == ["consequence.unfulfilled"]
    assert isinstance(when(delete="fulfilled", inform="fulfilled"), Permit)
    assert isinstance(when(delete="fulfilled"), Permit)


def test_obligations_are_reported_and_do_not_deny(document, request_for, context):
    terms = parse_terms(document(obligation=[{"uid": "#yearly", "action": "report"}]))
    permit = decide(request_for(), {G: terms}, context())
    assert permit.duties == (DutyNotice("0x01#yearly", "report", None, "unfulfilled"),)


def test_the_state_of_a_duty_belongs_to_its_grant(granted, request_for, context):
    grants = {"0x1": granted(duties=[duty("assess")]), "0x2": granted(duties=[duty("assess")])}
    assert decide(request_for(), grants, context(duties={"0x2#assess": "fulfilled"})).grant == "0x2"
    assert duty_key("0x1", "#assess") == "0x1#assess"
    assert duty_key("0x1", "urn:x:y") == "0x1#urn:x:y"


@pytest.mark.parametrize(
    "wrong",
    [
        {
            "uid": "#d",
            "action": "delete",
            "constraint": [{"leftOperand": "count", "operator": "lt", "rightOperand": 1}],
        },
        {
            "uid": "#d",
            "action": "delete",
            "constraint": [{"leftOperand": "elapsedTime", "operator": "lteq", "rightOperand": "P1D"}],
        },
        {"uid": "two words", "action": "delete"},
        {"uid": "#d", "action": "delete", "consequence": [{"uid": "#d", "action": "inform"}]},
    ],
)
def test_malformed_duty_is_refused(document, wrong):
    with pytest.raises(TermsError):
        parse_terms(document(permission={"duty": [wrong]}))


def test_duties_are_restored_from_json(granted):
    after = duty("delete", within=timedelta(hours=36, seconds=1), consequences=[duty("inform", uid="#late")])
    terms = granted(duties=[duty("accept"), after])
    assert parse_terms(render(terms)) == terms
