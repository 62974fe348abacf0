"""The shipped vocabulary: DPV's purposes and legal bases with their hierarchy, and memberships without loops."""

from __future__ import annotations

import re

import pytest

from access_policy.decision.membership import MAX_STEPS, MembershipError, closure, recipients_to_know
from access_policy.errors import PolicyError
from access_policy.terms.agreement import parse_terms
from access_policy.terms.vocabulary import (
    ANY_PURPOSE,
    Concept,
    Scheme,
    actions,
    call_purposes,
    close_matches,
    duty_actions,
    legal_bases,
    purposes,
)
from languages.choice import holds_chinese

from .cases import ban, permission, terms, when


def test_there_are_121_purposes_below_one_root_eleven_of_them_with_two_parents():
    concepts = purposes().concepts.values()
    assert len(concepts) == 122
    assert sum(len(c.broader) > 1 for c in concepts) == 11
    assert [c.id for c in concepts if not c.broader] == [ANY_PURPOSE]
    assert call_purposes() == purposes().descendants[ANY_PURPOSE] - {ANY_PURPOSE}
    assert len(call_purposes()) == 121


def test_ancestors_and_descendants_mirror_one_another():
    for scheme in (purposes(), legal_bases(), actions()):
        for name, above in scheme.ancestors.items():
            assert name in above
            assert all(name in scheme.descendants[a] for a in above)
        assert sum(map(len, scheme.ancestors.values())) == sum(map(len, scheme.descendants.values()))


def test_a_purpose_is_below_both_its_parents():
    assert purposes().is_a("dpv:TargetedAdvertising", "dpv:Marketing")
    assert purposes().is_a("dpv:TargetedAdvertising", "dpv:Personalisation")
    assert not purposes().is_a("dpv:Marketing", "dpv:TargetedAdvertising")
    assert not purposes().is_a("dpv:Nonsense", "dpv:Marketing")


def test_every_concept_has_a_label_in_both_languages():
    assert purposes().label("dpv:PublicBenefit", "zh") == "公共利益"
    assert legal_bases().label("dpv:ExplicitlyExpressedConsent", "zh") == "单独同意"
    assert purposes().label("dpv:Nonsense", "en") == "dpv:Nonsense"
    assert Concept("x", (), (("en", "English alone"),)).label("zh") == "English alone"
    for scheme in (purposes(), legal_bases(), actions(), duty_actions()):
        assert not [c.id for c in scheme.concepts.values() if not holds_chinese(c.label("zh"))]
        assert not [c.id for c in scheme.concepts.values() if re.search("[A-Za-z]", c.label("zh"))]


def test_close_matches_ignore_case_and_prefix():
    assert close_matches("academicresearch", purposes().concepts)[0] == "dpv:AcademicResearch"
    assert close_matches("zzzz", purposes().concepts) == ()


def test_cyclic_hierarchy_is_refused():
    with pytest.raises(PolicyError, match="turns back"):
        Scheme([Concept("a", ("b",), ()), Concept("b", ("a",), ())], namespaces={})


def test_memberships_are_closed_over_every_step():
    part_of = {"pudong": ["shanghai"], "shanghai": ["east"], "east": [], "street": ["pudong", "trial"]}
    assert closure(part_of)["street"] == ("east", "pudong", "shanghai", "trial")
    assert closure({}) == {}


@pytest.mark.parametrize(
    "part_of",
    [
        {"a": ["a"]},
        {"a": ["b"], "b": ["c"], "c": ["a"]},
        {f"g{i}": [f"g{i + 1}"] for i in range(MAX_STEPS + 3)},
        {f"g{i}": [f"g{i + 1}"] for i in range(5_000)},
    ],
)
def test_collections_that_contain_one_another_or_lie_too_deep_are_refused(part_of):
    with pytest.raises(MembershipError):
        closure(part_of)


def test_recipients_whose_members_decide_are_found_everywhere_in_the_terms():
    def recipient(operator: str, right: object) -> dict[str, object]:
        return when("recipient", operator, right)

    one, all_of_them, group = "urn:civic:dept:3", "urn:civic:dept:any", "urn:civic:parties:trial"
    plain = [recipient("isAnyOf", [one]), recipient("neq", one), recipient("eq", "urn:civic:company:1")]
    refined = {"rdf:value": {"@id": "read"}, "refinement": [recipient("isNoneOf", [one, group])]}
    nested = {"or": [recipient("eq", one), {"and": [recipient("isPartOf", group)]}]}
    document = terms(
        permission(constraint=[*plain, nested]),
        permission(action=[refined]),
        prohibition=[
            ban(constraint=[recipient("neq", all_of_them), recipient("isAnyOf", ["urn:civic:company:1"])])
        ],
    )
    assert list(dict.fromkeys(recipients_to_know(parse_terms(document)))) == [
        ("/permission/0/constraint/3/or/1/and/0", group),
        ("/permission/1/action/0/refinement/and/0", group),
        ("/prohibition/0/constraint/0", all_of_them),
        ("/prohibition/0/constraint/1", "urn:civic:company:1"),
    ]
    assert list(recipients_to_know(parse_terms(terms(permission(constraint=plain))))) == []
