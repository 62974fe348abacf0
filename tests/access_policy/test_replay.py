"""Re-deciding: recorded inputs give the recorded answer, and decisions that cannot be re-decided are
reported."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from access_policy.analysis.redecide import RecordedDecision, RecordError, recall, record, replay
from access_policy.decision.answers import Context, Permit, Request
from access_policy.decision.engine import ENGINE_VERSION, decide
from access_policy.terms.agreement import canonical
from access_policy.terms.templates import duty

G = "0x01"


def told(decision) -> RecordedDecision:
    if isinstance(decision, Permit):
        return RecordedDecision("permit", decision.grant)
    return RecordedDecision("deny", None, tuple(r.code for r in decision.reasons))


def through_json(recorded):
    return json.loads(json.dumps(recorded))


def test_record_is_restored_completely(noon):
    request = Request(
        "urn:civic:dept:9",
        "urn:civic:asset:3.12",
        "read",
        "dpv:Marketing",
        ("a", "b"),
        ("c",),
        {"legalBasis": ("dpv:Consent", "dpv:Contract"), "recipient": "urn:x:y", "n": 3},
    )
    context = Context(
        noon + timedelta(microseconds=7),
        {G: 3},
        {"0x01#d": "fulfilled"},
        {"urn:civic:dept:9": ("urn:x:group",)},
        {G: noon - timedelta(days=2)},
    )
    assert recall(through_json(record(request, context))) == (request, context)


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ({}, {}),
        ({"purpose": "dpv:Marketing"}, {}),
        ({"columns": ("salary",)}, {"used": {G: 9}}),
        ({"asset": "urn:civic:asset:3.99"}, {}),
        ({}, {"duties": {"0x01#accept": "fulfilled"}}),
    ],
)
def test_every_decision_is_replayed_with_the_same_result(granted, request_for, context, asked, known):
    terms = granted(max_uses=9, duties=[duty("accept")])
    request, at = request_for(**asked), context(**known)
    decision = decide(request, {G: terms}, at)
    again = replay(through_json(record(request, at)), {G: canonical(terms)}, told(decision))
    assert again.verdict == "same", again.why


def test_changed_entry_is_detected_by_replay(granted, request_for, context):
    recorded = through_json(record(request_for(), context()))
    terms = {G: canonical(granted())}
    assert (
        replay(recorded, terms, RecordedDecision("deny", None, ("purpose.mismatch",))).verdict == "different"
    )
    other = replay(recorded, terms, RecordedDecision("permit", "0x02"))
    assert (other.verdict, other.decision, other.grant) == ("different", "permit", G)
    narrower = {G: canonical(granted(columns=["id"]))}
    assert "column.not-granted" in replay(recorded, narrower, RecordedDecision("permit", G)).why


def test_after_an_erasure_or_without_terms_or_engine_it_is_not_replayable(granted, request_for, context):
    recorded, terms = through_json(record(request_for(), context())), {G: canonical(granted())}
    for verdict in (
        replay(None, terms, RecordedDecision("permit", G)),
        replay(recorded, None, RecordedDecision("permit", G)),
        replay(recorded, terms, RecordedDecision("permit", G, (), f"{ENGINE_VERSION}-older")),
        replay(recorded, terms, RecordedDecision("deny", None, ("grant.revoked",))),
    ):
        assert verdict.verdict == "not replayable"
        assert verdict.why


def test_gateway_facts_do_not_affect_replay(granted, request_for, context):
    request = request_for(purpose="dpv:Marketing")
    recorded = through_json(record(request, context()))
    said = RecordedDecision("deny", None, ("purpose.mismatch", "grant.revoked"))
    assert replay(recorded, {G: canonical(granted())}, said).verdict == "same"


@pytest.mark.parametrize(
    "broken", [{}, {"request": {}, "context": {}}, {"request": 1, "context": 2}, {"request": None}]
)
def test_malformed_record_is_refused(granted, broken):
    with pytest.raises(RecordError):
        replay(broken, {G: granted()}, RecordedDecision("permit", G))
