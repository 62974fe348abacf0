"""Any purpose, expressed by the root of DPV: it permits every purpose, and no call may state it."""

from __future__ import annotations

import pytest

from access_policy.analysis.narrowing import wider
from access_policy.analysis.questions import diff
from access_policy.analysis.reach import what_can, who_can
from access_policy.decision.answers import Context, Deny, Permit
from access_policy.decision.engine import decide
from access_policy.explain.wording import explain
from access_policy.terms.agreement import Agreement, parse_terms, render
from access_policy.terms.vocabulary import ANY_PURPOSE, call_purposes

from .cases import NOON, ask, permission, terms, when


def granted(*constraints: dict[str, object]) -> Agreement:
    parsed = parse_terms(terms(permission(constraint=list(constraints))))
    assert isinstance(parsed, Agreement)
    return parsed


ANY = granted(when("purpose", "isA", ANY_PURPOSE))


def test_terms_of_any_purpose_permit_every_purpose() -> None:
    for purpose in call_purposes():
        assert isinstance(decide(ask(purpose=purpose), {"g": ANY}, Context(NOON)), Permit)
    assert render(parse_terms(render(ANY))) == render(ANY)
    assert granted(when("purpose", "isA", "https://w3id.org/dpv#Purpose")) == ANY
    assert diff(ANY, granted()).changes == ()
    assert wider(granted(), ANY) == wider(ANY, granted()) == ()


@pytest.mark.parametrize(
    "constraint",
    [
        when("purpose", "isA", ANY_PURPOSE),
        when("purpose", "eq", ANY_PURPOSE),
        when("purpose", "neq", "dpv:Marketing"),
        when("purpose", "hasPart", "dpv:Marketing"),
        when("purpose", "isNoneOf", ["dpv:Marketing"]),
    ],
)
def test_a_call_must_name_a_purpose_below_the_root(constraint: dict[str, object]) -> None:
    answer = decide(ask(purpose=ANY_PURPOSE), {"g": granted(constraint)}, Context(NOON))
    assert isinstance(answer, Deny)
    assert [reason.code for reason in answer.reasons] == ["purpose.unknown"]


def test_a_prohibition_of_any_purpose_bars_every_call() -> None:
    whole = terms(
        permission(), prohibition=[permission("id", constraint=[when("purpose", "isA", ANY_PURPOSE)])]
    )
    answer = decide(ask(), {"g": parse_terms(whole)}, Context(NOON))  # type: ignore[dict-item]
    assert isinstance(answer, Deny)
    assert [reason.code for reason in answer.reasons] == ["prohibition.matched"]


def test_analysis_lists_no_call_for_the_root_purpose() -> None:
    (way,) = what_can("urn:civic:dept:9", {"g": ANY}, NOON)
    assert ANY_PURPOSE not in way.purposes
    assert who_can(ask().asset, "read", "dpv:Marketing", NOON, {"g": ANY}) != ()
    assert who_can(ask().asset, "read", ANY_PURPOSE, NOON, {"g": ANY}) == ()


def test_the_root_as_a_purpose_is_refused_in_words_of_both_languages() -> None:
    none = decide(ask(purpose=ANY_PURPOSE), {"g": ANY}, Context(NOON))
    assert "Purpose is not a purpose of DPV 2.3 that a call can have" in explain(none, "en")
    assert "不是调用可使用的" in explain(none, "zh")
