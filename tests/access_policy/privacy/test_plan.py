"""A plan is the intersection of query and permit, and can only narrow."""

from __future__ import annotations

import dataclasses

import pytest

from access_policy.decision.answers import Permit
from access_policy.errors import PlanError
from access_policy.privacy.plan import Plan, compile_plan
from access_policy.privacy.query import OrderKey, parse_query
from access_policy.privacy.schema import AssetSchema, FieldType, parse_schema
from access_policy.terms.rows import Compare, In, IsNull, Not, RowPredicate
from access_policy.terms.transforms import (
    Band,
    Clamp,
    Keep,
    Ladder,
    Mask,
    Pseudonym,
    Round,
    Transform,
    Truncate,
)

SCHEMA = parse_schema(
    {
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "born", "type": "date"},
            {"name": "age", "type": "integer"},
            {"name": "pay", "type": "number"},
            {"name": "alive", "type": "boolean"},
            {"name": "seen", "type": "datetime"},
            {"name": "at", "type": "time"},
            {"name": "secret", "type": "string"},
        ]
    }
)
GRANTED = ("id", "born", "age", "pay", "alive", "seen", "at")


def compiled(
    query: object, transforms: dict[str, Transform] | None = None, rows: RowPredicate | None = None
) -> Plan:
    return compile_plan(parse_query(query), Permit("0x01", "r", GRANTED, rows, transforms or {}), SCHEMA)


def refused(query: object, transforms: dict[str, Transform] | None = None, **more: object) -> PlanError:
    with pytest.raises(PlanError) as error:
        compiled(query, transforms, **more)  # type: ignore[arg-type]
    return error.value


def test_every_granted_column_when_none_is_named() -> None:
    assert tuple(column.name for column in compiled({}).columns) == GRANTED


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"columns": ["id", "secret"]}, "/columns/1"),
        ({"columns": ["id"], "where": {"column": "secret", "op": "isNull"}}, "/where/column"),
        (
            {"where": {"and": [{"not": {"column": "secret", "op": "eq", "value": "x"}}]}},
            "/where/and/0/not/column",
        ),
        ({"order": [{"column": "secret"}]}, "/order/0/column"),
    ],
)
def test_column_not_granted_is_refused_anywhere_in_a_query(query: object, pointer: str) -> None:
    error = refused(query)
    assert (error.code, error.pointer) == ("column.not-granted", pointer)


@pytest.mark.parametrize(
    "name", ["ID", "id ", 'id"', "id; --", "*", "rowid", "s.id", "civic:invalid-cells", "filename"]
)
def test_a_column_that_is_not_of_the_schema_is_unknown(name: str) -> None:
    assert refused({"columns": [name]}).code == "column.unknown"


def test_close_matches_never_name_a_column_that_was_not_granted() -> None:
    assert "secret" not in refused({"columns": ["secrets"]}).matches
    assert refused({"columns": ["borne"]}).matches == ("born",)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", 5),
        ("id", True),
        ("id", "\ud800"),
        ("age", "5.0"),
        ("age", 5.5),
        ("age", True),
        ("pay", "5"),
        ("pay", False),
        ("alive", 1),
        ("alive", "true"),
        ("born", 19900101),
        ("born", "1990-02-30"),
        ("born", "1990-W01-1"),
        ("born", "19900101"),
        ("born", "1990-01-01T00:00:00Z"),
        ("seen", "2026-01-01T00:00:00"),
        ("seen", "2026-01-01"),
        ("at", "25:00:00"),
        ("at", "10:00:00+08:00"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(column: str, value: object) -> None:
    error = refused({"where": {"or": [{"column": column, "op": "eq", "value": value}]}})
    assert (error.code, error.pointer) == ("predicate.type", "/where/or/0/value")
    error = refused({"where": {"column": column, "op": "in", "value": [value]}})
    assert error.pointer == "/where/value/0"


@pytest.mark.parametrize(
    ("column", "transform", "good", "bad"),
    [
        ("id", Mask(1, 1), "a*c", 5),
        ("id", Pseudonym(), "0" * 32, 5),
        ("age", Band(10), "30-39", 35),
        ("age", Ladder((("1", "one"),)), "one", 1),
        ("born", Truncate("year"), 1990, "1990-01-01"),
        ("born", Truncate("month"), "1990-01", "1990-13"),
        ("born", Pseudonym(), "0" * 32, 19900101),
        ("seen", Truncate("year"), 1990, "2026-01-01T00:00:00Z"),
        ("pay", Round(0.5), 1.5, "1.5"),
        ("age", Clamp(18, 90), 18, 18.5),
    ],
)
def test_predicates_are_typed_by_what_is_released(
    column: str, transform: Transform, good: object, bad: object
) -> None:
    transforms = {column: transform}
    compiled({"where": {"column": column, "op": "eq", "value": good}}, transforms)
    assert (
        refused({"where": {"column": column, "op": "eq", "value": bad}}, transforms).code == "predicate.type"
    )


@pytest.mark.parametrize("transform", [Mask(), Pseudonym(), Ladder((("a", "b"),))])
def test_hidden_values_have_no_order_to_search_by(transform: Transform) -> None:
    error = refused({"where": {"column": "id", "op": "lt", "value": "m"}}, {"id": transform})
    assert (error.code, error.pointer) == ("predicate.type", "/where/op")


@pytest.mark.parametrize(
    ("column", "transform"),
    [
        ("alive", Pseudonym()),
        ("pay", Mask()),
        ("age", Truncate("year")),
        ("id", Band(10)),
        ("id", Round(5)),
        ("age", Round(0.5)),
        ("age", Clamp(0.5, 90)),
        ("born", Clamp(1, 2)),
        ("pay", Ladder((("1", "one"),))),
        ("seen", Mask()),
        ("at", Truncate("month")),
    ],
)
def test_a_transform_that_does_not_fit_its_column_is_refused(column: str, transform: Transform) -> None:
    assert refused({}, {column: transform}).code == "transform.not-applicable"


@pytest.mark.parametrize(
    "rows",
    [IsNull("gone"), Compare("age", "lt", "old"), Not(Compare("alive", "gt", True)), In("born", ("x",))],
)
def test_a_steward_s_filter_that_does_not_fit_releases_nothing(rows: RowPredicate) -> None:
    assert refused({}, rows=rows).code == "plan.row-filter"


def test_a_condition_this_engine_does_not_enforce_is_refused() -> None:
    permit = Permit("0x01", "r", GRANTED, None, {}, options={"cohort": 10})
    with pytest.raises(PlanError) as error:
        compile_plan(parse_query({}), permit, SCHEMA)
    assert error.value.code == "plan.option-unsupported"


def test_a_permit_without_columns_releases_nothing() -> None:
    with pytest.raises(PlanError) as error:
        compile_plan(parse_query({}), Permit("0x01", "r", (), None, {}), SCHEMA)
    assert error.value.code == "column.not-granted"


def test_with_a_pseudonym_the_order_is_total_and_begins_with_it() -> None:
    asked = {"columns": ["born", "id"], "order": [{"column": "born", "descending": True}]}
    for rule in (Pseudonym(), Mask(1, 1), Ladder((("a", "A"),))):
        plan = compiled({"columns": ["born", "id", "age"]}, {"id": rule})
        assert (plan.order, plan.shuffled) == ((), True)
        plan = compiled(asked, {"id": rule})
        assert (plan.order, plan.shuffled) == ((OrderKey("born", True),), True)
        plan = compiled({"columns": ["born"], "where": {"column": "id", "op": "isNull"}}, {"id": rule})
        assert plan.shuffled
    for kept in ({}, {"id": Keep()}):
        assert not compiled({"columns": ["born"]}, kept).shuffled
        plan = compiled(asked, kept)
        assert (plan.order, plan.shuffled) == ((OrderKey("born", True), OrderKey("id")), False)


def test_plan_hash_ignores_only_literals() -> None:
    def query(value: str, **more: object) -> dict[str, object]:
        return {"columns": ["id"], "where": {"column": "id", "op": "eq", "value": value}, **more}

    plan = compiled(query("x"))
    assert plan.hash == compiled(query("y")).hash
    assert len(bytes.fromhex(plan.hash)) == 32
    others = [
        compiled(query("x", limit=5)),
        compiled(query("x", columns=["id", "age"])),
        compiled(query("x", order=[{"column": "id"}])),
        compiled(query("x"), {"id": Mask()}),
        compiled(query("x"), {"id": Mask(1)}),
        compiled(query("x"), rows=IsNull("secret")),
        compiled({"columns": ["id"], "where": {"column": "id", "op": "neq", "value": "x"}}),
    ]
    assert len({plan.hash, *(other.hash for other in others)}) == 1 + len(others)


def test_plan_hash_does_not_reveal_the_stewards_literals() -> None:
    assert (
        compiled({}, rows=Compare("id", "eq", "x")).hash == compiled({}, rows=Compare("id", "eq", "y")).hash
    )


def test_a_plan_is_frozen_and_hashable() -> None:
    plan = compiled({"where": {"column": "id", "op": "in", "value": ["a"]}}, {"id": Keep()})
    assert plan in {plan}
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.limit = 1  # type: ignore[misc]


def test_only_a_grant_that_alters_a_column_needs_a_key() -> None:
    for rule in (Pseudonym(), Mask()):
        transforms: dict[str, Transform] = {"id": rule}
        assert compiled({"columns": ["id"]}, transforms).needs_key
        assert compiled({"columns": ["age"], "where": {"column": "id", "op": "isNull"}}, transforms).needs_key
        assert compiled({"columns": ["age"]}, transforms).needs_key
    assert not compiled({"columns": ["age"]}, {"id": Keep()}).needs_key


def test_the_steward_may_filter_by_a_column_that_is_not_granted() -> None:
    plan = compiled({"columns": ["age"]}, rows=Compare("secret", "eq", "x"))
    assert [column.name for column in plan.filter_columns] == ["secret"]
    assert [column.name for column in plan.columns] == ["age"]


def test_types_cover_the_schema_language() -> None:
    kinds: tuple[FieldType, ...] = ("year", "yearmonth")
    schema: AssetSchema = parse_schema({"fields": [{"name": kind, "type": kind} for kind in kinds]})
    permit = Permit("0x01", "r", kinds, None, {"year": Band(10)})
    query = {
        "where": {
            "and": [
                {"column": "year", "op": "eq", "value": "1990-1999"},
                {"column": "yearmonth", "op": "lt", "value": "1990-02"},
            ]
        }
    }
    assert compile_plan(parse_query(query), permit, schema).columns[0].released_type == "string"
