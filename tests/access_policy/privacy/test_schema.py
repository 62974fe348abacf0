"""A schema is a Frictionless Table Schema with classes, units and a person key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_policy.privacy.schema import COLUMN_CLASSES, FIELD_TYPES, SchemaError, parse_schema

from .conftest import SCHEMA

FIELD = {"name": "a", "type": "string"}


def test_round_trip() -> None:
    assert parse_schema(SCHEMA.to_json()) == SCHEMA
    assert SCHEMA.person_key == "citizen id"
    age = SCHEMA.column("age")
    assert age is not None
    assert (age.unit, age.classification) == ("a", "quasi-identifier")


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9),
                "type": st.sampled_from(FIELD_TYPES),
            },
            optional={
                "class": st.sampled_from(COLUMN_CLASSES),
                "unit": st.text(max_size=5),
                "title": st.text(max_size=5),
                "description": st.text(max_size=5),
                "constraints": st.sampled_from([{}, {"required": True}, {"required": False}]),
            },
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda field: str(field["name"]).casefold(),
    )
)
def test_every_schema_of_the_language_round_trips(fields: list[dict[str, object]]) -> None:
    schema = parse_schema({"fields": fields})
    assert parse_schema(schema.to_json()) == schema


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], ""),
        ({}, "/fields"),
        ({"fields": []}, "/fields"),
        ({"fields": [FIELD], "primaryKey": "a"}, ""),
        ({"fields": ["a"]}, "/fields/0"),
        ({"fields": [{"type": "string"}]}, "/fields/0/name"),
        ({"fields": [{"name": "", "type": "string"}]}, "/fields/0/name"),
        ({"fields": [{"name": " a", "type": "string"}]}, "/fields/0/name"),
        ({"fields": [{"name": "a\nb", "type": "string"}]}, "/fields/0/name"),
        ({"fields": [{"name": "CIVIC:x", "type": "string"}]}, "/fields/0/name"),
        ({"fields": [{"name": "x" * 129, "type": "string"}]}, "/fields/0/name"),
        ({"fields": [FIELD, {"name": "A", "type": "string"}]}, "/fields/1/name"),
        ({"fields": [{"name": "a", "type": "text"}]}, "/fields/0/type"),
        ({"fields": [{"name": "a", "type": ["string"]}]}, "/fields/0/type"),
        ({"fields": [FIELD | {"class": "secret"}]}, "/fields/0/class"),
        ({"fields": [FIELD | {"unit": 5}]}, "/fields/0/unit"),
        ({"fields": [FIELD | {"sql": "1=1"}]}, "/fields/0"),
        ({"fields": [FIELD | {"constraints": {"pattern": ".*"}}]}, "/fields/0/constraints"),
        ({"fields": [FIELD | {"constraints": {"required": "yes"}}]}, "/fields/0/constraints"),
        ({"fields": [FIELD], "personKey": "b"}, "/personKey"),
        ({"fields": [FIELD], "personKey": ["a"]}, "/personKey"),
        ({"fields": [FIELD], "missingValues": []}, "/missingValues"),
        ({"fields": [FIELD], "missingValues": ['"']}, "/missingValues"),
        ({"fields": [FIELD], "missingValues": ["a,b"]}, "/missingValues"),
    ],
)
def test_what_is_outside_is_refused_with_its_place(document: object, pointer: str) -> None:
    with pytest.raises(SchemaError) as refused:
        parse_schema(document)
    assert (refused.value.pointer, refused.value.code) == (pointer, "schema.invalid")
