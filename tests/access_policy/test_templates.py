"""Templates: terms for common cases, each with its legal basis, none wider than its name."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta

import pytest

from access_policy.decision.answers import Deny, Permit
from access_policy.decision.engine import decide
from access_policy.errors import TermsError
from access_policy.terms import templates
from access_policy.terms.agreement import Agreement, canonical, parse_terms, render
from access_policy.terms.slots import slot_bounds

PINNED = "a4fe8c5e6402588ac5fae891054ce23962722e88b34638b973f94e434700455d"
PINNED_OF_0_1 = "2f66a895608af4548dd1435ad58c62a9644e8418caf8fec132220cd119641e2f"
FROM, TO, ASSET = "urn:civic:dept:3", "urn:civic:dept:9", "urn:civic:asset:3.12"


@pytest.fixture
def ready(noon):
    return {
        "unconditional": templates.unconditional(FROM, ASSET, columns=["id", "state"]),
        "statistics": templates.statistics_only(FROM, TO, ASSET, columns=["id", "state"]),
        "match": templates.match_only(FROM, TO, ASSET, columns=["id"]),
        "research": templates.research_extract(
            FROM, TO, ASSET, columns=["id", "state"], transforms={"id": {"type": "pseudonym"}}
        ),
        "emergency": templates.emergency(FROM, TO, ASSET, columns=["id", "state"], not_before=noon),
    }


def test_every_template_is_an_agreement_in_normal_form_that_cites_its_law(ready):
    for document in ready.values():
        terms = parse_terms(document)
        assert isinstance(terms, Agreement)
        assert terms.law
        assert render(terms) == document


def test_the_same_terms_have_the_same_name_and_others_another(ready):
    assert templates.match_only(FROM, TO, ASSET, columns=["id"]) == ready["match"]
    assert len({document["uid"] for document in ready.values()}) == len(ready)


def test_each_permits_what_its_name_says_and_nothing_else(ready, request_for, context):
    def outcome(name, **asked):
        usual = {"purpose": "dpv:PublicPolicyMaking", "columns": ("id",)}
        grants = {"g": parse_terms(ready[name])}
        return decide(request_for(**{**usual, **asked}), grants, context(duties={"g#assess": "fulfilled"}))

    assert isinstance(outcome("unconditional", assignee="urn:civic:dept:44"), Permit)
    assert outcome("statistics", action="aggregate").options == {"cohort": 10}
    assert isinstance(outcome("statistics"), Deny)
    assert isinstance(outcome("match", action="match", purpose="dpv:FraudPreventionAndDetection"), Permit)
    assert isinstance(outcome("match", purpose="dpv:FraudPreventionAndDetection"), Deny)
    research = outcome("research", purpose="dpv:ScientificResearch")
    assert [d.action for d in research.duties] == ["assess", "delete", "report"]
    assert isinstance(outcome("research"), Deny)
    assert isinstance(outcome("emergency", purpose="dpv:ProtectionOfPublicSecurity"), Permit)


def test_an_emergency_lasts_hours_not_days(ready, noon):
    bounds = slot_bounds(parse_terms(ready["emergency"]))
    assert bounds == (noon, noon + timedelta(hours=24), None)
    for hours in (0, 73):
        with pytest.raises(TermsError):
            templates.emergency(FROM, TO, ASSET, columns=["id"], not_before=noon, hours=hours)


def test_an_instant_without_a_zone_and_an_unknown_purpose_are_refused(noon):
    with pytest.raises(TermsError, match="zone"):
        templates.agreement(FROM, TO, ASSET, columns=["id"], purposes=(), expiry=noon.replace(tzinfo=None))
    with pytest.raises(TermsError) as caught:
        templates.agreement(FROM, TO, ASSET, columns=["id"], purposes=("dpv:Marketin",))
    assert "dpv:Marketing" in caught.value.matches


def test_the_normal_form_does_not_change_between_releases(ready):
    # Pinned values: if the first changes, the normal form changed, and with it every hash already signed. It is that of the
    # template as version 0.1 made it, which cited its law in English alone.
    english = json.loads(re.sub("《[^;]*; ", "", json.dumps(ready["match"], ensure_ascii=False)))
    english["uid"] = "urn:civic:terms:3a44d8938914e20d2ba44e1f84cb4a23"  # It follows from the text.
    assert hashlib.sha256(canonical(english)).hexdigest() == PINNED_OF_0_1
    assert hashlib.sha256(canonical(ready["match"])).hexdigest() == PINNED
