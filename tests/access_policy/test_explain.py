"""Explanations: every reason has words in both languages, values can be left out, a report shows each premise."""

from __future__ import annotations

import json

import pytest

from access_policy.analysis.report import compliance_report, report_to_json
from access_policy.decision.answers import Deny, Reason
from access_policy.decision.engine import decide
from access_policy.decision.reasons import CODES
from access_policy.explain.phrases import NEXT, OPERATOR_WORDS, PHRASES, TIME_WORDS
from access_policy.explain.wording import explain, explanation
from access_policy.terms.agreement import parse_terms
from access_policy.terms.templates import duty
from languages.texts import translated

G = "0x01"


def test_every_code_has_words_and_every_operator_too():
    assert set(PHRASES) >= set(CODES)
    assert set(OPERATOR_WORDS) >= set(TIME_WORDS)
    assert "" in NEXT


@pytest.mark.parametrize("code", sorted(CODES))
@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_without_values_show_none(code, language):
    secret = Reason(code, G, "/permission/0", "/permission/0/constraint/0", "SECRET-SEEN", "eq SECRET-WANTED")
    plain = explain(Deny((secret,)), language)
    hidden = explain(Deny((secret,)), language, redacted=True)
    assert "SECRET" not in hidden
    assert "{" not in plain + hidden
    assert ("SECRET" in plain) == ("{" in translated(PHRASES[code][0], language))


def test_refusal_is_explained_in_plain_words(granted, request_for, context, noon):
    denial = decide(request_for(purpose="dpv:Marketing"), {G: granted(expiry=noon)}, context())
    assert explain(denial).splitlines() == [
        "Refused.",
        "- The purpose Marketing is not allowed; the terms want Research and Development or something narrower. "
        "Call for a purpose that was granted, or request this one.",
        "- The grant has ended: the terms allow use before 2026-06-01T12:00:00Z; the call came at "
        "2026-06-01T12:00:00Z. Request a grant, or its renewal, from the provider.",
    ]
    chinese = explain(denial, "zh")
    assert "用途“营销”不在授权范围内；条款要求：研究与开发及其下位项。" in chinese
    assert "调用时间为 2026-06-01 20:00:00（北京时间）。" in chinese


def test_permit_explanation_names_its_bounds(granted, request_for, context, noon):
    terms = granted(
        rows={"column": "state", "op": "eq", "value": "nsw"},
        transforms={"id": {"type": "pseudonym"}},
        cohort=10,
        epsilon="0.5",
        max_uses=3,
        expiry=noon.replace(year=2027),
        duties=[duty("delete", before=False)],
    )
    told = explanation(decide(request_for(), {G: terms}, context()), "zh")
    assert told.outcome == "permit"
    assert [line.code for line in told.lines] == [
        "permit.columns",
        "permit.rows",
        "permit.transforms",
        "permit.cohort",
        "permit.epsilon",
        "permit.uses",
        "permit.until",
        "permit.duty",
    ]
    assert "可提供的数据项：id、state。" in str(told)
    assert "删除所得数据" in str(told)
    assert json.loads(json.dumps(told.to_json())) == told.to_json()


def test_a_value_that_looks_like_a_placeholder_stays_a_value(granted, request_for, context):
    denial = decide(request_for(columns=("{wanted}",)), {G: granted()}, context())
    assert "Not granted: {wanted}. Granted columns: id" in explain(denial)


def test_a_code_of_the_gateway_is_shown_as_it_is():
    assert "- budget.exhausted" in explain(Deny((Reason("budget.exhausted"),)))
    assert "The grant was revoked." in explain(Deny((Reason("grant.revoked", G),)))


def test_the_report_shows_activation_and_the_state_of_each_premise(document, request_for, context):
    purpose = {"leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}
    basis = {"leftOperand": "legalBasis", "operator": "isA", "rightOperand": "dpv:Consent"}
    target = "urn:civic:asset:3.12"
    terms = parse_terms(
        document(
            permission={
                "constraint": [{"or": [purpose, basis]}],
                "duty": [{"uid": "#a", "action": "accept"}],
            },
            prohibition=[
                {"target": target, "action": ["aggregate"], "remedy": [{"uid": "#r", "action": "inform"}]}
            ],
            obligation=[{"uid": "#o", "action": "report"}],
        )
    )
    state = context(duties={"0x01#a": "fulfilled", "0x01#o": "unfulfilled"})
    permission, prohibition, obligation = compliance_report(request_for(), {G: terms}, state)
    assert (permission.attempted, permission.active) == (True, False)
    states = {p.pointer: p.state for p in permission.premises}
    assert states["/permission/0/constraint/0"] == "Indeterminate"
    assert [p.state for p in permission.premises[3].parts] == ["Unsatisfied", "Indeterminate"]
    assert permission.duties[0].deontic == "Fulfilled"
    assert (prohibition.attempted, prohibition.active, prohibition.deontic) == (False, False, "NonSet")
    assert obligation.deontic == "Violated"
    stated = request_for(attributes={"legalBasis": "dpv:Consent"})
    assert compliance_report(stated, {G: terms}, state)[0].active
    written = report_to_json(compliance_report(stated, {G: terms}, state))
    assert written["ruleReport"][0]["activationState"] == "Active"
    assert json.loads(json.dumps(written)) == written


def test_the_report_calls_an_attempt_on_a_prohibited_asset_a_violation(document, request_for, context):
    ban = {"target": "urn:civic:asset:3.12", "action": ["read"]}
    report = compliance_report(request_for(), {G: parse_terms(document(prohibition=[ban]))}, context())
    assert (report[1].attempted, report[1].active, report[1].deontic) == (True, True, "Violated")
