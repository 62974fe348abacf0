"""Rules on overlapping collections: a member that no rule names can be in both, and a proof must consider
it."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access_policy.analysis.questions import conflicts, diff, unreachable
from access_policy.decision.answers import Context, Deny, Permit, Request
from access_policy.decision.engine import decide
from access_policy.terms.agreement import Agreement, parse_terms

from .cases import ASKED, NOON, ask, at, ban, duty, permission, terms


def on(asset: str, kind: str, assignee: str = "urn:civic:dept:9") -> Agreement:
    """Terms of one rule about an asset or a collection of assets."""
    rule: dict[str, Any] = permission("id", "name") if kind == "permission" else ban()
    rule["target"] = {**rule["target"], "source": asset} if kind == "permission" else asset
    parsed = parse_terms(terms(assignee=assignee, **{kind: [rule]}))
    assert isinstance(parsed, Agreement)
    return parsed


BOTH = {"urn:civic:asset:1.2": ("urn:civic:asset:1.100", "urn:civic:asset:1.101")}


@pytest.mark.parametrize(
    ("names", "collections"),
    [
        (("urn:civic:asset:1.100", "urn:civic:asset:1.101"), BOTH),
        (
            ("urn:civic:asset:1.100", "urn:civic:assets:all"),
            {"urn:civic:asset:1.2": ("urn:civic:asset:1.100", "urn:civic:assets:all")},
        ),
        (
            ("urn:civic:assets:a", "urn:civic:assets:b"),
            {"urn:civic:asset:1.2": ("urn:civic:assets:a", "urn:civic:assets:b")},
        ),
    ],
)
def test_collections_overlap_in_a_member_that_no_rule_names(names, collections):
    permitted, prohibited = names
    grants = {"0x1": on(permitted, "permission"), "0x2": on(prohibited, "prohibition")}
    found = conflicts(grants, collections=collections)
    assert found.verdict == "conflict"
    (pair,) = found.found
    assert pair.witness.request.asset == "urn:civic:asset:1.2"
    denial = decide(pair.witness.request, grants, pair.witness.context)
    assert [reason.code for reason in denial.reasons] == ["prohibition.matched"]
    changed = diff({"0x1": grants["0x1"]}, grants, collections=collections)
    assert [c.witness.request.asset for c in changed.newly_denied] != []
    assert {c.witness.request.asset for c in changed.newly_denied} == {"urn:civic:asset:1.2"}
    assert [(one.grant, one.cause) for one in unreachable(grants, collections=collections)] == []


def test_parties_overlap_in_a_member_that_no_rule_names():
    collections = {
        "urn:civic:dept:4": ("urn:civic:dept:100", "urn:civic:dept:101"),
        "urn:civic:dept:5": ("urn:civic:dept:100",),
    }
    asset = "urn:civic:asset:3.12"
    grants = {
        "0x1": on(asset, "permission", "urn:civic:dept:100"),
        "0x2": on(asset, "prohibition", "urn:civic:dept:101"),
    }
    found = conflicts(grants, collections=collections)
    assert [pair.witness.request.assignee for pair in found.found] == ["urn:civic:dept:4"]
    apart = {"urn:civic:dept:4": ("urn:civic:dept:100",), "urn:civic:dept:5": ("urn:civic:dept:101",)}
    assert conflicts(grants, collections=apart).verdict == "compatible"
    assert conflicts(grants).verdict == "compatible"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1).map(random.Random))
def test_no_call_contradicts_a_proof_over_declared_collections(rng):
    names = [f"urn:civic:asset:1.{n}" for n in (100, 101, 102)]
    members = [f"urn:civic:asset:1.{n}" for n in range(1, 4)]
    collections = {m: tuple(n for n in names if rng.random() < 0.5) for m in members}
    grants = {
        f"0x{n}": on(rng.choice(names + members), rng.choice(["permission", "prohibition"])) for n in range(3)
    }
    verdict = conflicts(grants, collections=collections).verdict
    seen = set()
    for asset in names + members:
        request = Request("urn:civic:dept:9", asset, "read", "dpv:PublicBenefit", ("id",))
        context = Context(NOON, collections=collections)
        answer = decide(request, grants, context)
        permitted = {k: g for k, g in grants.items() if not g.prohibitions}
        if isinstance(decide(request, permitted, context), Permit) and isinstance(answer, Deny):
            seen.add(asset)
    assert (verdict == "conflict") == bool(seen)


STATES = (None, "fulfilled", "unfulfilled")


@pytest.mark.parametrize(("first", "then"), [("lt", "lt"), ("lt", "gt"), ("gt", "lt"), ("gt", "gt")])
def test_no_state_of_a_duty_is_left_out_of_a_difference(first, then):
    followed = agreed(permission(duty=[duty("#d", first, consequence=[duty("#c", then)])]))
    alone = agreed(permission(duty=[duty("#d", first)]))
    limited = agreed(permission(duty=[duty("#d", first, consequence=[])]))
    remedied = agreed(permission(), prohibition=[ban("name", action="match", remedy=[duty("#d", first)])])
    warned = agreed(permission(), prohibition=[ban("name", action="match")])
    for old, new in ((followed, alone), (alone, followed), (remedied, warned), (remedied, limited)):
        told = diff(old, new)
        seen = set()
        for states in itertools.product(STATES, STATES):
            known = {key: s for key, s in zip(("g#d", "g#c"), states, strict=True) if s is not None}
            was, now = (decide(ASKED, {"g": one}, at(duties=known)) for one in (old, new))
            seen.add((isinstance(was, Permit), isinstance(now, Permit)))
        assert told.exhaustive
        assert bool(told.newly_permitted) >= ((False, True) in seen)
        assert bool(told.newly_denied) >= ((True, False) in seen)


def test_a_recipient_in_a_collection_does_not_represent_any_department():
    wish = {"leftOperand": "recipient", "operator": "isPartOf", "rightOperand": "urn:civic:parties:trial"}
    grants = {"g": agreed(permission(constraint=[wish]), assignee="urn:civic:dept:any")}
    collections = {"urn:civic:dept:4": ("urn:civic:parties:trial",)}
    request = ask(attributes={"recipient": "urn:civic:dept:4"})
    assert isinstance(decide(request, grants, at(collections=collections)), Permit)
    assert unreachable(grants, collections=collections) == ()
    assert unreachable(grants) == ()


def agreed(*permissions: dict[str, Any], **more: Any) -> Agreement:
    parsed = parse_terms(terms(*permissions, **more))
    assert isinstance(parsed, Agreement)
    return parsed
