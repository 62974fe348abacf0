"""Terms: one meaning, one normal form, one hash; anything outside the profile is refused with a pointer."""

from __future__ import annotations

import copy
import hashlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from access_policy.errors import TermsError
from access_policy.terms.agreement import (
    Agreement,
    Offer,
    RequestTerms,
    canonical,
    parse_terms,
    render,
    terms_hash,
)
from access_policy.terms.documents import MAX_BYTES
from access_policy.terms.slots import slot_bounds, slot_parties


def refused(document: Any) -> TermsError:
    with pytest.raises(TermsError) as caught:
        parse_terms(document)
    return caught.value


def test_normal_form_is_restored_unchanged(document):
    terms = parse_terms(document())
    assert isinstance(terms, Agreement)
    assert render(terms) == document()
    assert parse_terms(canonical(terms)) == terms


def test_the_hash_needs_nothing_but_the_standard_library(document):
    stored = canonical(document())
    assert terms_hash(document()) == hashlib.sha256(stored).digest()
    assert json.loads(stored) == document()


@pytest.mark.parametrize(
    ("path", "spelling"),
    [
        (("permission", 0, "action"), "read"),
        (("permission", 0, "action"), "odrl:read"),
        (("permission", 0, "action"), [{"@id": "http://www.w3.org/ns/odrl/2/read"}]),
        (("profile",), ["urn:civic:profile:1"]),
        (("@context",), ["urn:civic:context:1", "http://www.w3.org/ns/odrl.jsonld"]),
        (("assigner",), {"@id": "urn:civic:dept:3"}),
        (("@type",), "odrl:Agreement"),
    ],
)
def test_two_spellings_of_the_same_terms_have_one_hash(document, path, spelling):
    other = document()
    at: Any = other
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = spelling
    assert terms_hash(other) == terms_hash(document())


def test_the_order_of_members_and_the_zone_of_an_instant_do_not_change_the_hash(document):
    def with_end(text: Any) -> dict[str, Any]:
        end = {"leftOperand": "dateTime", "operator": "lt", "rightOperand": text}
        return document(permission={"constraint": [end]})

    turned = dict(reversed(with_end("2027-01-01T08:00:00+08:00").items()))
    assert terms_hash(turned) == terms_hash(
        with_end({"@type": "xsd:dateTime", "@value": "2027-01-01T00:00:00Z"})
    )


def test_offers_requests_and_agreements_are_told_apart(document):
    offer, request = document(), document()
    offer["@type"] = "Offer"
    del offer["assignee"]
    request["@type"] = "Request"
    del request["assigner"]
    assert type(parse_terms(offer)) is Offer
    assert type(parse_terms(request)) is RequestTerms
    offer["@type"] = "Agreement"
    assert "assignee" in refused(offer).message
    request["@type"] = "Set"
    assert refused(request).pointer == "/@type"


@pytest.mark.parametrize(
    ("change", "pointer", "match"),
    [
        ({"permision": []}, "/permision", "permission"),
        ({"conflict": "prohibits"}, "/conflict", "prohibit"),
        ({"profile": "urn:civic:profile:2"}, "/profile", None),
        ({"inheritFrom": "urn:x:y"}, "/inheritFrom", None),
        ({"assigner": "dept 7"}, "/assigner", None),
        ({"assessment": "sha256:12"}, "/assessment", None),
    ],
)
def test_unknown_member_or_value_is_refused_with_its_pointer(document, change, pointer, match):
    error = refused(document(**change))
    assert error.pointer == pointer
    assert match is None or match in error.matches


@pytest.mark.parametrize(
    ("rule", "pointer", "match"),
    [
        ({"action": ["raed"]}, "/permission/0/action/0", "read"),
        ({"duties": []}, "/permission/0/duties", "duty"),
        ({"target": "urn:civic:asset:3.12"}, "/permission/0/target", None),
        (
            {"constraint": [{"leftOperand": "purpos", "operator": "isA", "rightOperand": "dpv:Marketing"}]},
            "/permission/0/constraint/0/leftOperand",
            "purpose",
        ),
        (
            {"constraint": [{"leftOperand": "purpose", "operator": "isa", "rightOperand": "dpv:Marketing"}]},
            "/permission/0/constraint/0/operator",
            "isA",
        ),
        (
            {
                "constraint": [
                    {"leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:AcademicReserch"}
                ]
            },
            "/permission/0/constraint/0/rightOperand",
            "dpv:AcademicResearch",
        ),
        (
            {
                "constraint": [
                    {"leftOperand": "count", "operator": "lteq", "rightOperand": 5, "unit": "xsd:day"}
                ]
            },
            "/permission/0/constraint/0/unit",
            None,
        ),
        (
            {
                "constraint": [
                    {"or": [{"leftOperand": "dateTime", "operator": "lt", "rightOperand": "2027-01-01"}]}
                ]
            },
            "/permission/0/constraint/0/or/0/rightOperand",
            None,
        ),
        (
            {"constraint": [{"leftOperand": "elapsedTime", "operator": "lteq", "rightOperand": "P1M"}]},
            "/permission/0/constraint/0/rightOperand",
            None,
        ),
        ({"duty": [{"action": "delete"}]}, "/permission/0/duty/0", None),
        ({"duty": [{"uid": "#d", "action": "deleet"}]}, "/permission/0/duty/0/action", "delete"),
    ],
)
def test_an_error_inside_a_rule_names_its_pointer_and_what_was_meant(document, rule, pointer, match):
    error = refused(document(permission=rule))
    assert error.pointer == pointer
    assert match is None or match in error.matches


def test_row_filters_and_transforms_are_typed_and_their_errors_keep_the_pointer(document):
    def target(rows: Any = None, transforms: Any = None) -> dict[str, Any]:
        whole = document()["permission"][0]["target"]
        for name, value in (("rows", rows), ("transforms", transforms)):
            if value is not None:
                right = {"@type": "@json", "@value": value}
                whole["refinement"].append({"leftOperand": name, "operator": "eq", "rightOperand": right})
        return document(permission={"target": whole})

    good = target({"column": "state", "op": "eq", "value": "nsw"}, {"id": {"type": "pseudonym"}})
    assert render(parse_terms(good)) == good
    place = "/permission/0/target/refinement/1/rightOperand/@value"
    assert refused(target({"column": "state", "op": "like", "value": "n%"})).pointer == f"{place}/op"
    assert refused(target(None, {"id": {"type": "hash"}})).pointer == f"{place}/id/type"
    assert "not among the columns" in refused(target(None, {"salary": {"type": "pseudonym"}})).message


def test_what_the_slot_on_chain_repeats_can_be_read_from_the_agreement(granted, noon):
    later = noon.replace(year=2027)
    terms = granted(not_before=noon, expiry=later, max_uses=100)
    assert slot_bounds(terms) == (noon, later, 100)
    assert slot_bounds(granted()) == (None, None, None)
    assert slot_parties(terms) == ("urn:civic:dept:3", "urn:civic:dept:9", "urn:civic:asset:3.12")


def test_the_example_of_the_docs_is_in_normal_form():
    text = (Path(__file__).resolve().parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    example = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert render(parse_terms(example)) == example


# --- hostile documents -----------------------------------------------------------------------------------------------

MALFORMED: dict[str, bytes] = {
    "not UTF-8": b"\xff\xfe{}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "empty": b"",
    "an array": b"[]",
    "a number": b"1e400",
    "NaN": b'{"uid": NaN}',
    "infinity by size": b'{"uid": 1e999}',
    "a member twice": b'{"uid": "a:b", "uid": "a:c"}',
    "a member twice, once escaped": b'{"uid": "a:b", "u\\u0069d": "a:c"}',
    "lone surrogate": b'{"uid": "\\ud800"}',
    "long integer": b'{"uid": ' + b"9" * 10_000 + b"}",
    "XML with an entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "truncated": b'{"uid": "a',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_a_json_object_is_refused(name):
    assert refused(MALFORMED[name]).code == "terms.invalid"


def _bomb(kind: str) -> bytes:
    return {
        "100 MB": b'{"uid":"' + b"a" * 100_000_000 + b'"}',
        "deep lists": b'{"a":' + b"[" * 100_000,
        "deep objects": b'{"a":' * 40_000,
        "wide": b"[" + b"1," * 100_000 + b"1]",
        "many members": b"{" + b",".join(b'"%d":1' % i for i in range(24_000)) + b"}",
    }[kind]


@pytest.mark.parametrize("kind", ["100 MB", "deep lists", "deep objects", "wide", "many members"])
def test_exhausting_document_is_refused_at_once(kind):
    document = _bomb(kind)
    started = time.thread_time()
    refused(document)
    assert time.thread_time() - started < 1.0


def test_a_mapping_that_contains_itself_is_refused(document):
    cyclic = document()
    cyclic["permission"].append(cyclic)
    assert "deep" in refused(cyclic).message


@pytest.mark.parametrize(
    "context",
    [
        "https://example.org/evil.jsonld",
        ["http://www.w3.org/ns/odrl.jsonld", "urn:civic:context:1", "https://example.org/evil.jsonld"],
        {"read": "https://example.org/delete"},
        ["http://www.w3.org/ns/odrl.jsonld"],
        ["http://www.w3.org/ns/odrl.jsonld", "urn:civic:context:1", {"@vocab": "https://example.org/"}],
        "file:///etc/passwd",
    ],
)
def test_a_foreign_context_is_refused_without_touching_the_network(document, context, monkeypatch):
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the parser opened a socket")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    assert refused(document(**{"@context": context})).pointer.startswith("/@context")


def test_look_alike_word_is_refused(document):
    cyrillic = document(permission={"action": ["rеad"]})  # The second letter is U+0435.
    assert refused(cyrillic).pointer == "/permission/0/action/0"


def test_more_rules_than_the_limit_are_refused(document):
    many = document()
    many["permission"] = [copy.deepcopy(many["permission"][0]) for _ in range(257)]
    assert "at most 256 rules" in refused(many).message


def test_the_size_limit_leaves_room_for_real_terms(document):
    assert len(canonical(document())) * 50 < MAX_BYTES
