"""The closed list of transforms: parsed, written back, refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_policy.decision.answers import Permit
from access_policy.errors import TransformError
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.transforms import (
    Band,
    Ladder,
    Mask,
    Round,
    Transform,
    parse_transform,
    transform_to_json,
)

from .conftest import SECRET, Register

DOCUMENTS: list[dict[str, Any]] = [
    {"type": "keep"},
    {"type": "pseudonym"},
    {"type": "mask", "keep_first": 0, "keep_last": 4, "with": "•"},
    {"type": "truncate", "to": "month"},
    {"type": "truncate", "to": "year"},
    {"type": "band", "width": 10, "origin": 0},
    {"type": "band", "width": 0.5, "origin": -1},
    {"type": "ladder", "steps": {"a": "A", "b": "A"}, "otherwise": "?"},
    {"type": "round", "step": 100},
    {"type": "clamp", "bottom": 18, "top": 90},
    {"type": "clamp", "top": 90},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_round_trip(document: dict[str, Any]) -> None:
    transform = parse_transform(document)
    assert transform_to_json(transform) == document
    assert hash(transform) == hash(parse_transform(document))


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ("keep", ""),
        ({}, "/t/type"),
        ({"type": "md5"}, "/t/type"),
        ({"type": ["keep"]}, "/t/type"),
        ({"type": "keep", "sql": "x"}, "/t"),
        ({"type": "pseudonym", "key": "mine"}, "/t"),
        ({"type": "mask", "keep_first": -1}, "/t/keep_first"),
        ({"type": "mask", "keep_last": True}, "/t/keep_last"),
        ({"type": "mask", "with": ""}, "/t/with"),
        ({"type": "mask", "with": "**"}, "/t/with"),
        ({"type": "truncate", "to": "day"}, "/t/to"),
        ({"type": "band"}, "/t/width"),
        ({"type": "band", "width": 0}, "/t/width"),
        ({"type": "band", "width": float("inf")}, "/t/width"),
        ({"type": "band", "width": 10, "origin": "0"}, "/t/origin"),
        ({"type": "ladder"}, "/t/steps"),
        ({"type": "ladder", "steps": {}}, "/t/steps"),
        ({"type": "ladder", "steps": {"a": 1}}, "/t/steps"),
        ({"type": "ladder", "steps": {str(i): "x" for i in range(1001)}}, "/t/steps"),
        ({"type": "ladder", "steps": {"a": "b"}, "otherwise": None}, "/t/otherwise"),
        ({"type": "round", "step": -5}, "/t/step"),
        ({"type": "clamp"}, "/t"),
        ({"type": "clamp", "bottom": 2, "top": 1}, "/t/bottom"),
        ({"type": "clamp", "top": 2**53}, "/t/top"),
    ],
)
def test_what_is_outside_is_refused_with_its_place(document: object, pointer: str) -> None:
    with pytest.raises(TransformError) as refused:
        parse_transform(document, pointer="/t")
    assert refused.value.code == "transform.invalid"
    assert refused.value.pointer == pointer or (pointer == "" and refused.value.pointer == "/t")


@given(
    st.dictionaries(
        st.sampled_from(["type", "width", "steps", "with", "to"]) | st.text(max_size=3),
        st.none() | st.integers() | st.sampled_from(["keep", "mask", "band", "ladder"]) | st.floats(),
    )
)
def test_any_json_is_a_transform_or_a_typed_error(document: dict[str, Any]) -> None:
    try:
        transform = parse_transform(document)
    except TransformError:
        return
    assert parse_transform(transform_to_json(transform)) == transform


KEY = derive_grant_key(SECRET, "0x01")
EXTREMES = [-(2**63), -(2**63) + 1, -(2**62) - 1, -1, 0, 1, 2**62 + 1, 2**63 - 2, 2**63 - 1]


@pytest.mark.parametrize("rule", [Band(10), Band(7, 3), Band(1000, -1), Round(10), Round(7), Round(2**52)])
def test_any_whole_number_is_scanned_without_an_error(register: Register, rule: Transform) -> None:
    """An error at one row would reveal that the row exists."""
    schema = parse_schema({"fields": [{"name": "n", "type": "integer"}]})
    path = register.directory / "extremes.csv"
    path.write_text("n\n" + "\n".join(map(str, EXTREMES)) + "\n")
    plan = compile_plan(parse_query({}), Permit("0x01", "r", ("n",), None, {"n": rule}), schema)
    with register.scanner.scan(plan, Source(str(path), "csv", schema), KEY) as scan:
        released = [row["n"] for batch in scan for row in batch.to_pylist()]
    assert len(released) == len(EXTREMES)
    assert None not in released
    if isinstance(rule, Band):
        assert released.count("*") == sum(abs(n) > 2**62 for n in EXTREMES)
        bands = [[int(b) for b in re.findall(r"(?:(?<=-)|^)-?\d+", band)] for band in released if band != "*"]
        assert all(low <= n <= high for n, (low, high) in zip((-1, 0, 1), sorted(bands), strict=True))


def test_short_value_is_masked_completely(register: Register) -> None:
    plan = register.plan({"columns": ["name"]}, {"name": Mask(1, 1)})
    released = {row["name"] for row in register.read(plan)} - {None}
    assert released == {"**", "*", "A************l", "L*****i", "Z*ë"}


def test_unknown_ladder_code_is_not_released(register: Register) -> None:
    rule = Ladder((("north", "N"),), "elsewhere")
    released = {
        row["district"] for row in register.read(register.plan({"columns": ["district"]}, {"district": rule}))
    }
    assert released == {"N", "elsewhere", None}
