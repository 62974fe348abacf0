"""The metadata document of an asset: its permitted content, the position of errors, and what its hash
covers."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.catalogue.metadata import MetadataError, canonical_json, metadata_hash, parse_metadata

AIR: dict[str, Any] = {
    "title": {"zh": "空气质量", "en": "Air quality"},
    "description": {"en": "Hourly readings of the city's stations."},
    "schema": {
        "fields": [
            {"name": "station", "type": "string", "class": "plain"},
            {"name": "pm25", "type": "number", "class": "plain", "unit": "ug/m3"},
        ],
        "missingValues": ["", "NA"],
    },
    "source": {"format": "csv", "sha256": "ab" * 32, "bytes": 1024},
    "updateCycle": "PT1H",
    "sharing": "conditional",
    "grade": "general",
    "contact": {"department": 7, "unit": "Air office", "email": "air@city.example"},
    "legalBasis": "Environmental Protection Law, art. 54",
    "related": ["7.3"],
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The document with one value replaced, or removed where ``value`` is ``...``."""
    document = copy.deepcopy(AIR)
    *steps, last = path.strip("/").split("/")
    at: Any = document
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at[step]
    if value is ...:
        del at[last]
    elif isinstance(at, list):
        at[int(last)] = value
    else:
        at[last] = value
    return document


def test_the_hash_is_sha256_of_the_canonical_form_whatever_the_spelling() -> None:
    metadata = parse_metadata(AIR)
    assert metadata.sha256 == hashlib.sha256(metadata.canonical).hexdigest()
    respelled = json.loads(json.dumps(AIR, sort_keys=True, indent=3, ensure_ascii=True))
    assert metadata_hash(respelled) == metadata.chain_hash == "0x" + metadata.sha256
    assert metadata.columns == ("station", "pm25")
    assert (metadata.title("zh"), metadata.title("en")) == ("空气质量", "Air quality")


def test_everything_the_document_says_is_under_the_hash() -> None:
    for path, value in [("/source/bytes", 1025), ("/grade", "core"), ("/schema/fields/1/unit", "mg/m3")]:
        assert metadata_hash(changed(path, value)) != metadata_hash(AIR)


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        ("/title", {}, "/title"),
        ("/title/zh", "", "/title/zh"),
        ("/title", {"fr": "Air"}, "/title/fr"),
        ("/description", ..., "/description"),
        ("/colour", "blue", "/colour"),
        ("/a~b", 1, "/a~0b"),
        ("/schema/fields", [], "/schema/fields"),
        ("/schema/fields/0/type", "text", "/schema/fields/0/type"),
        ("/schema/fields/0/class", ..., "/schema/fields/0/class"),
        ("/schema/fields/1/name", "STATION", "/schema/fields/1/name"),
        ("/schema/fields/1/constraints", {"required": 1}, "/schema/fields/1/constraints/required"),
        ("/schema/personKey", "citizen", "/schema/personKey"),
        ("/schema/missingValues/0", None, "/schema/missingValues/0"),
        ("/source/sha256", "AB" * 32, "/source/sha256"),
        ("/source/bytes", True, "/source/bytes"),
        ("/source/bytes", -1, "/source/bytes"),
        ("/source/format", "xlsx", "/source/format"),
        ("/updateCycle", "monthly", "/updateCycle"),
        ("/updateCycle", "P", "/updateCycle"),
        ("/updateCycle", "P1DT", "/updateCycle"),
        ("/sharing", "open", "/sharing"),
        ("/grade", 1, "/grade"),
        ("/contact/department", 0, "/contact/department"),
        ("/contact/department", 1 << 24, "/contact/department"),
        ("/contact/email", "air office", "/contact/email"),
        ("/related/0", "7", "/related/0"),
    ],
)
def test_a_mistake_is_named_by_its_pointer(path: str, value: object, pointer: str) -> None:
    with pytest.raises(MetadataError) as caught:
        parse_metadata(changed(path, value))
    assert caught.value.pointer == pointer
    assert caught.value.code == "metadata.invalid"


@pytest.mark.parametrize("document", [None, [], "text", 3, {}])
def test_empty_or_non_object_metadata_is_refused(document: object) -> None:
    with pytest.raises(MetadataError):
        parse_metadata(document)


@pytest.mark.parametrize("value", [float("nan"), 1 << 60, "\ud800"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(MetadataError):
        canonical_json({"x": value})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(where=st.sampled_from(sorted(AIR)), value=_JSON)
def test_any_value_is_accepted_or_refused_without_a_crash(where: str, value: object) -> None:
    document = copy.deepcopy(AIR) | {where: value}
    with contextlib.suppress(MetadataError):
        assert parse_metadata(document).canonical
