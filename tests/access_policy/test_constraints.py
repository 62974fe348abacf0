"""Constraints: every operand x operator x type is decided, and the table in the docs is correct."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from access_policy.decision.answers import Context, Request
from access_policy.decision.evaluation import Call, compile_constraint
from access_policy.decision.reasons import CODES
from access_policy.errors import TermsError
from access_policy.terms.constraints import OPERANDS, OPERATORS, RULE_OPERANDS, read_constraint
from access_policy.terms.documents import Reader

DOCS = Path(__file__).resolve().parents[2] / "docs" / "policy.md"

SAMPLES: dict[str, Any] = {
    "purpose": "dpv:AcademicResearch",
    "legal basis": "dpv:Consent",
    "instant": "2026-06-01T12:00:00Z",
    "duration": "P30D",
    "integer": 5,
    "area code": "310115",
    "party": "urn:civic:dept:7",
    "language tag": "zh-CN",
    "media type": "text/csv",
    "kind of party": "department",
    "number": 0.5,
    "true": True,
    "null": None,
    "object": {"@set": []},
}
"""One right operand of every type; a list is tried for each of them as well."""


def outcome(operand: str, operator: str, right: Any) -> bool:
    """Whether the triple is in the profile; anything but a typed refusal is an error of the test."""
    document = {"leftOperand": operand, "operator": operator, "rightOperand": right}
    try:
        read_constraint(Reader(document), frozenset(OPERANDS))
    except TermsError as error:
        return refusal_is_placed(error)
    return True


def refusal_is_placed(error: TermsError) -> bool:
    """False, having checked that the refusal points at the operator or the right operand."""
    assert error.pointer in ("/operator", "/rightOperand", "/rightOperand/@value", "/rightOperand/0")
    return False


def table() -> str:
    """The table of the docs: per operand and operator the types of right operand that have a meaning."""
    lines = [
        "| left operand | operator | right operand | a list of them | every other type |",
        "|---|---|---|---|---|",
    ]
    for operand in OPERANDS:
        for operator in OPERATORS:
            single = [t for t, value in SAMPLES.items() if outcome(operand, operator, value)]
            several = [t for t, value in SAMPLES.items() if outcome(operand, operator, [value])]
            if single:
                taken, listed = ", ".join(single), ", ".join(several) or "`terms.invalid`"
                lines.append(f"| {operand} | {operator} | {taken} | {listed} | `terms.invalid` |")
            else:
                assert not several
                refused = " | ".join(["`terms.invalid`"] * 3)
                lines.append(f"| {operand} | {operator} | {refused} |")
    return "\n".join(lines)


def codes() -> str:
    """The table of reason codes of the docs."""
    rows = [f"| `{code}` | {meaning} |" for code, meaning in sorted(CODES.items())]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


@pytest.mark.parametrize(("name", "made"), [("operands", table), ("codes", codes)])
def test_documented_tables_match_the_code(name, made):
    """CIVIC_WRITE_DOCS=1 writes it again."""
    text = DOCS.read_text(encoding="utf-8")
    start, end = f"<!-- {name}: made by tests/access_policy/test_constraints.py -->\n", f"\n<!-- /{name} -->"
    head, _, rest = text.partition(start)
    old, _, tail = rest.partition(end)
    assert rest, f"the marker of {name} is missing"
    if os.environ.get("CIVIC_WRITE_DOCS"):
        DOCS.write_text(head + start + made() + end + tail, encoding="utf-8")
    else:
        assert old == made()


def test_every_operand_takes_its_own_type_and_no_other_than_the_like():
    for name, operand in OPERANDS.items():
        for operator in OPERATORS:
            taken = {t for t, value in SAMPLES.items() if outcome(name, operator, value)}
            assert taken == ({operand.type} if operator in operand.operators else set())


def test_party_kinds_are_asked_of_parties_only():
    with pytest.raises(TermsError) as caught:
        read_constraint(
            Reader({"leftOperand": "partyKind", "operator": "eq", "rightOperand": "department"}),
            RULE_OPERANDS,
        )
    assert caught.value.pointer == "/leftOperand"


def state(operand: str, operator: str, right: Any, **seen: Any) -> bool | None:
    constraint = read_constraint(
        Reader({"leftOperand": operand, "operator": operator, "rightOperand": right})
    )
    usual = {
        "now": seen.pop("now", None),
        "used": seen.pop("used", {}),
        "first_used": seen.pop("first_used", {}),
    }
    groups = {"urn:civic:dept:7": ("urn:civic:parties:health",)}
    request = Request("urn:x:a", "urn:x:b", "read", seen.pop("purpose", "dpv:Marketing"), (), (), seen)
    call = Call(request, Context(**usual, collections=groups))
    call.grant = "g"
    return compile_constraint(constraint, "").check(call)


@pytest.mark.parametrize(
    ("operator", "right", "purpose", "expected"),
    [
        ("eq", "dpv:Advertising", "dpv:Advertising", True),
        ("eq", "dpv:Advertising", "dpv:TargetedAdvertising", False),
        ("neq", "dpv:Advertising", "dpv:TargetedAdvertising", True),
        ("isA", "dpv:Advertising", "dpv:TargetedAdvertising", True),
        ("isA", "dpv:Personalisation", "dpv:TargetedAdvertising", True),  # Through its second parent.
        ("isA", "dpv:TargetedAdvertising", "dpv:Advertising", False),
        ("isPartOf", "dpv:Advertising", "dpv:Advertising", True),
        ("hasPart", "dpv:TargetedAdvertising", "dpv:Marketing", True),
        ("hasPart", "dpv:Marketing", "dpv:TargetedAdvertising", False),
        ("isAnyOf", ["dpv:Marketing", "dpv:PublicBenefit"], "dpv:Advertising", True),
        ("isAllOf", ["dpv:Advertising", "dpv:Personalisation"], "dpv:TargetedAdvertising", True),
        ("isAllOf", ["dpv:Advertising", "dpv:Personalisation"], "dpv:Advertising", False),
        ("isNoneOf", ["dpv:Marketing"], "dpv:Advertising", False),
        ("isNoneOf", ["dpv:Marketing"], "dpv:PublicBenefit", True),
        ("isNoneOf", ["dpv:Marketing"], "dpv:Nonsense", None),
    ],
)
def test_purposes_are_compared_along_the_hierarchy(operator, right, purpose, expected):
    assert state("purpose", operator, right, purpose=purpose) is expected


@pytest.mark.parametrize(
    ("operator", "right", "area", "expected"),
    [
        ("eq", "310115", "310115", True),
        ("isPartOf", "310000", "310115", True),
        ("isPartOf", "310000", "310115001", True),
        ("isPartOf", "310000", "320115", False),
        ("isPartOf", "310100", "310000", False),
        ("hasPart", "310115", "310000", True),
        ("hasPart", "310115", "310116", False),
        ("isAnyOf", ["320000", "310100"], "310115", True),
        ("isNoneOf", ["320000", "310100"], "310115", False),
        ("isPartOf", "DE", "DE21", True),
        ("isPartOf", "DE2", "DE1", False),
        ("isPartOf", "310000", "DE21", False),
        ("isPartOf", "310000", "31", None),
        ("isPartOf", "310000", "Shanghai", None),
    ],
)
def test_areas_are_nested_by_their_codes(operator, right, area, expected):
    assert state("spatial", operator, right, spatial=area) is expected


@pytest.mark.parametrize(
    ("operator", "right", "recipient", "expected"),
    [
        ("eq", "urn:civic:dept:7", "urn:civic:dept:7", True),
        ("eq", "urn:civic:parties:health", "urn:civic:dept:7", False),
        ("isPartOf", "urn:civic:parties:health", "urn:civic:dept:7", True),
        ("isAnyOf", ["urn:civic:parties:health"], "urn:civic:dept:8", False),
        ("isNoneOf", ["urn:civic:parties:health"], "urn:civic:dept:7", False),
        ("neq", "urn:civic:parties:health", "urn:civic:dept:7", True),
        ("isAnyOf", ["urn:civic:dept:7"], ("urn:civic:dept:7", "urn:civic:dept:7"), True),
        ("isAnyOf", ["urn:civic:dept:7"], ("urn:civic:dept:7", "urn:civic:dept:8"), None),
        ("isAnyOf", ["urn:civic:dept:7"], (), None),
        ("isAnyOf", ["urn:civic:dept:7"], ("urn:civic:dept:7", 7), None),
    ],
)
def test_recipients_are_parties_or_members_and_several_must_agree(operator, right, recipient, expected):
    assert state("recipient", operator, right, recipient=recipient) is expected


def test_languages_and_formats_are_compared_without_regard_to_case():
    assert state("language", "eq", "zh-CN", language="ZH-cn") is True
    assert state("fileFormat", "isNoneOf", ["text/csv"], fileFormat="TEXT/CSV") is False


def test_counts_include_this_use_and_periods_run_from_the_first(noon):
    assert state("count", "lteq", 5, used={"g": 4}) is True
    assert state("count", "lteq", 5, used={"g": 5}) is False
    assert state("count", "eq", 1) is True
    assert state("count", "lteq", 5, used={"g": True}) is None
    since = {"g": noon - timedelta(days=30)}
    assert state("elapsedTime", "lteq", "P30D", now=noon, used={"g": 1}, first_used=since) is True
    assert state("elapsedTime", "lt", "P30D", now=noon, used={"g": 1}, first_used=since) is False
    assert state("elapsedTime", "lt", "P30D", now=noon, used={"g": 1}) is None
    assert state("elapsedTime", "lt", "P30D", now=noon) is True


@pytest.mark.parametrize(
    ("kind", "parts", "expected"),
    [
        ("and", "TT", True),
        ("and", "UF", False),
        ("and", "UT", None),
        ("or", "UT", True),
        ("or", "UF", None),
        ("or", "FF", False),
        ("xone", "TF", True),
        ("xone", "TT", False),
        ("xone", "TTU", False),
        ("xone", "TU", None),
        ("xone", "FF", False),
        ("andSequence", "TT", True),
        ("andSequence", "UF", None),
        ("andSequence", "FU", False),
    ],
)
def test_joined_constraints_keep_what_is_not_known(kind, parts, expected):
    each = {
        "T": {"leftOperand": "purpose", "operator": "eq", "rightOperand": "dpv:Marketing"},
        "F": {"leftOperand": "purpose", "operator": "neq", "rightOperand": "dpv:Marketing"},
        "U": {"leftOperand": "language", "operator": "eq", "rightOperand": "zh"},
    }
    node = read_constraint(Reader({kind: [each[p] for p in parts]}))
    request = Request("urn:x:a", "urn:x:b", "read", "dpv:Marketing")
    assert compile_constraint(node, "").check(Call(request, Context(None))) is expected


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("PT36H", "P1DT12H"),
        ("P2W", "P14D"),
        ("P1DT0S", "P1D"),
        ("PT90S", "PT1M30S"),
        ("PT0S", "PT0S"),
    ],
)
def test_durations_have_one_normal_form(text, normal):
    read = OPERANDS["elapsedTime"].read(Reader(text))
    assert OPERANDS["elapsedTime"].write(read)["@value"] == normal


@pytest.mark.parametrize("text", ["P", "PT", "P1Y", "P1M", "-P1D", "P1.5D", "1D", "P1D ", "P99999W", ""])
def test_durations_that_depend_on_the_calendar_or_are_none_are_refused(text):
    with pytest.raises(TermsError):
        OPERANDS["elapsedTime"].read(Reader(text))


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01",
        "2026-06-01T12:00:00",
        "2026-06-01 12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-06-01T12:00:00+99:00",
        "0001-01-01T00:00:00+14:00",
        "20260601T120000Z",
        "2026-06-01T12:00:00.1234567Z",
    ],
)
def test_instants_without_a_zone_or_that_never_were_are_refused(text):
    with pytest.raises(TermsError):
        OPERANDS["dateTime"].read(Reader(text))
