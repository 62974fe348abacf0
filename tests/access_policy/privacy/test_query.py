"""A grantee's query is a closed document: any other content is refused, with a pointer."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_policy.errors import QueryError
from access_policy.privacy.query import OrderKey, parse_query

FULL = {
    "columns": ["a", "b"],
    "where": {
        "and": [
            {"column": "c", "op": "in", "value": ["secret-1", "secret-2"]},
            {"not": {"column": "a", "op": "lt", "value": 41}},
            {"or": [{"column": "b", "op": "isNull"}]},
        ]
    },
    "order": [{"column": "d", "descending": True}],
    "limit": 7,
}


def test_round_trip() -> None:
    query = parse_query(FULL)
    assert parse_query(query.to_json()) == query
    assert query.order == (OrderKey("d", True),)
    assert query.limit == 7


def test_empty_query_means_every_granted_column() -> None:
    query = parse_query({})
    assert (query.columns, query.where, query.limit, query.order) == ((), None, None, ())
    assert query.request_columns() == ()


def test_filtered_columns_are_part_of_the_decision() -> None:
    query = parse_query(FULL)
    assert query.filter_columns() == ("a", "b", "c", "d")
    assert query.request_columns() == ("a", "b", "c", "d")


def test_the_shape_holds_no_literal_and_the_literals_are_complete() -> None:
    query = parse_query(FULL)
    shape = json.dumps(query.literal_free())
    assert query.literals() == ("secret-1", "secret-2", 41)
    assert "secret" not in shape
    assert "41" not in shape
    assert '"count": 2' in shape


def test_two_queries_that_differ_by_a_literal_have_one_shape() -> None:
    shapes = [
        parse_query({"where": {"column": "a", "op": "eq", "value": value}}).literal_free()
        for value in ("x", "y")
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ("SELECT 1", ""),
        (["a"], ""),
        (None, ""),
        ({"select": ["a"]}, "/select"),
        ({"Columns": ["a"]}, "/Columns"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"\ud800": 1}, "/?"),
        ({"columns": "a"}, "/columns"),
        ({"columns": ["a", 5]}, "/columns/1"),
        ({"columns": ["a", {"name": "b"}]}, "/columns/1"),
        ({"columns": [""]}, "/columns/0"),
        ({"columns": ["a", "a"]}, "/columns/1"),
        ({"columns": ["x" * 129]}, "/columns/0"),
        ({"columns": [f"c{i}" for i in range(1001)]}, "/columns"),
        ({"limit": 0}, "/limit"),
        ({"limit": -1}, "/limit"),
        ({"limit": True}, "/limit"),
        ({"limit": 1.0}, "/limit"),
        ({"limit": "1; DROP TABLE x"}, "/limit"),
        ({"limit": 10**18}, "/limit"),
        ({"order": "a"}, "/order"),
        ({"order": ["a"]}, "/order/0"),
        ({"order": [{"column": "a", "nulls": "first"}]}, "/order/0"),
        ({"order": [{"column": "a", "descending": "yes"}]}, "/order/0/descending"),
        ({"order": [{"column": "a"}, {"column": "a"}]}, "/order/1/column"),
        ({"order": [{"column": "a"}] * 17}, "/order"),
        ({"where": "a = 1"}, "/where"),
        ({"where": {"column": "a", "op": "like", "value": "%"}}, "/where/op"),
        ({"where": {"column": "a", "op": "eq", "value": {"column": "b"}}}, "/where/value"),
        ({"where": {"column": "a", "op": "eq", "value": None}}, "/where/value"),
        ({"where": {"column": "a", "op": "eq", "value": float("nan")}}, "/where/value"),
        ({"where": {"column": "a", "op": "eq", "value": 2**53}}, "/where/value"),
        ({"where": {"column": "a", "op": "in", "value": []}}, "/where/value"),
        ({"where": {"column": "a", "op": "in", "value": [1] * 1001}}, "/where/value"),
        ({"where": {"column": ["a"], "op": "eq", "value": 1}}, "/where/column"),
        ({"where": {"column": "a", "op": "eq", "value": 1, "cast": "text"}}, "/where"),
        ({"where": {"and": []}}, "/where/and"),
        ({"where": {"and": [{"column": "a", "op": "isNull"}], "or": []}}, "/where"),
        ({"where": {"and": [{"column": "a", "op": "isNull"}, {"not": 3}]}}, "/where/and/1/not"),
    ],
)
def test_what_is_outside_the_language_is_refused_with_its_place(document: object, pointer: str) -> None:
    with pytest.raises(QueryError) as refused:
        parse_query(document)
    assert refused.value.pointer == pointer
    assert refused.value.code == "query.invalid"
    refused.value.pointer.encode()


def test_a_misspelt_member_is_answered_with_the_right_one() -> None:
    with pytest.raises(QueryError) as refused:
        parse_query({"colums": ["a"]})
    assert refused.value.matches == ("columns",)


def test_deep_and_wide_predicates_are_refused_early() -> None:
    deep: object = {"column": "a", "op": "isNull"}
    for _ in range(50_000):
        deep = {"not": deep}
    with pytest.raises(QueryError):
        parse_query({"where": deep})
    with pytest.raises(QueryError):
        parse_query({"where": {"or": [{"column": "a", "op": "isNull"}] * 10_000}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["columns", "where", "order", "limit", "column", "op", "value", "and", "or", "not"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_query_or_a_typed_error(document: object) -> None:
    with suppress(QueryError):
        query = parse_query(document)
        assert parse_query(query.to_json()) == query
