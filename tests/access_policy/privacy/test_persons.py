"""The persons that a predicate names, in any form and spelling, and the persons that its rows could
contain."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_policy.errors import QueryError
from access_policy.privacy.persons import could_hold, is_of_type, person_name, persons_named
from access_policy.privacy.query import parse_query, predicate_literals, predicate_of, predicate_shape
from access_policy.privacy.schema import FieldType, parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.rows import parse_rows

from .conftest import Register


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        ("integer", [7, 7.0, "7", "007", " 7", "+7", "7.0", "7e0"]),
        ("year", [1990, "1990", 1990.0]),
        ("number", [0.5, "0.5", ".50", "5e-1"]),
        ("number", [7, 7.0, "7", "007"]),
        ("number", [0, -0.0, "0.0", "-0"]),
        ("date", ["1990-01-31", " 1990-01-31", "19900131"]),
        ("datetime", ["2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00", "2026-01-01 00:00:00.000+00:00"]),
        ("time", ["10:00", "10:00:00"]),
        ("string", [7, 7.0, "7"]),
    ],
)
def test_spellings_that_select_the_same_rows_are_one_name(kind: FieldType, spellings: list[Any]) -> None:
    assert len({person_name(kind, spelled) for spelled in spellings}) == 1


@pytest.mark.parametrize("spellings", [["7", "007", " 7", "7 "], ["é", "e\u0301", "É"], ["ａ", "a", "A"]])
def test_texts_that_select_different_rows_are_different_names(spellings: list[str]) -> None:
    assert len({person_name("string", spelled) for spelled in spellings}) == len(spellings)


def test_a_value_of_another_type_keeps_its_spelling() -> None:
    assert person_name("integer", "C001") == "C001"
    assert person_name("date", "yesterday") == "yesterday"
    assert not is_of_type("integer", "C001")
    assert is_of_type("integer", "007")


def test_every_form_names_the_person() -> None:
    one = {"column": "id", "op": "eq", "value": "C1"}
    for where in (
        one,
        {"column": "id", "op": "in", "value": ["C2", "C1"]},
        {"not": {"column": "id", "op": "neq", "value": "C1"}},
        {"and": [{"column": "x", "op": "eq", "value": 1}, {"or": [{"not": one}]}]},
        *({"column": "id", "op": op, "value": "C1"} for op in ("lt", "lteq", "gt", "gteq", "neq")),
    ):
        assert "C1" in persons_named(parse_rows(where), "id", "string")
    assert persons_named(parse_rows({"column": "x", "op": "eq", "value": "C1"}), "id", "string") == {}


KEYS: dict[FieldType, list[Any]] = {
    "string": ["", "C1", "C2", "c1", "é", "e\u0301", "王"],
    "integer": [-5, 0, 7, 8, 2**40],
    "number": [-0.5, 0.0, 7.0, 7.25, 1e300],
    "date": ["1990-01-31", "1990-02-01", "2026-12-31"],
    "datetime": ["2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00", "2026-01-01T00:00:00.000001Z"],
    "boolean": [True, False],
}


@st.composite
def predicates(draw: st.DrawFn, kind: FieldType) -> dict[str, Any]:
    values = st.sampled_from(KEYS[kind])
    ops = ["eq", "neq"] if kind == "boolean" else ["eq", "neq", "lt", "lteq", "gt", "gteq"]
    leaf = st.one_of(
        st.builds(lambda op, v: {"column": "key", "op": op, "value": v}, st.sampled_from(ops), values),
        st.builds(
            lambda vs: {"column": "key", "op": "in", "value": vs}, st.lists(values, min_size=1, max_size=3)
        ),
        st.just({"column": "key", "op": "isNull"}),
        st.builds(lambda n: {"column": "other", "op": "eq", "value": n}, st.integers(0, 2)),
        st.just({"column": "other", "op": "isNull"}),
    )
    found: dict[str, Any] = draw(
        st.recursive(
            leaf,
            lambda inner: st.one_of(
                st.builds(lambda parts: {"and": parts}, st.lists(inner, min_size=1, max_size=3)),
                st.builds(lambda parts: {"or": parts}, st.lists(inner, min_size=1, max_size=3)),
                st.builds(lambda part: {"not": part}, inner),
            ),
            max_leaves=6,
        )
    )
    return found


ARROW: dict[FieldType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "date": pa.string(),
    "datetime": pa.string(),
    "boolean": pa.bool_(),
}


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(sorted(KEYS)))
def test_every_person_in_an_answer_is_a_possible_one(
    register: Register, data: st.DataObject, kind: FieldType
) -> None:
    """Compared with the engine: each key with another column that has each value, and none."""
    where = data.draw(predicates(kind))
    schema = parse_schema(
        {"fields": [{"name": "key", "type": kind}, {"name": "other", "type": "integer"}], "personKey": "key"}
    )
    rows = [{"key": key, "other": other} for key in KEYS[kind] for other in (0, 1, 2, None)]
    path = register.directory / f"persons-{kind}.parquet"
    fields = pa.schema([("key", ARROW[kind]), ("other", pa.int64())])
    pq.write_table(pa.Table.from_pylist(rows, schema=fields), path)
    changed = Register(register.directory, register.scanner, schema)
    with register.scanner.scan(changed.plan({"where": where}), Source(str(path), "parquet", schema)) as scan:
        released = [row["key"] for batch in scan for row in batch.to_pylist()]
    predicate = parse_rows(where)
    released_names = {
        person_name(kind, key if isinstance(key, bool | int | float) else _text(key)) for key in released
    }
    for key in KEYS[kind]:
        spelled = str(key).lower() if isinstance(key, bool) else str(key)
        if person_name(kind, spelled) in released_names:
            assert could_hold(predicate, "key", kind, spelled)
        elif "other" not in str(where):
            assert not could_hold(predicate, "key", kind, spelled)
    again = predicate_of(predicate_shape(predicate), predicate_literals(predicate))
    assert again == predicate


def _text(key: Any) -> str:
    return key if isinstance(key, str) else str(key.isoformat())


def test_shape_accepts_exactly_its_values() -> None:
    shape = predicate_shape(parse_rows({"column": "a", "op": "in", "value": [1, 2]}))
    for values in ([1], [1, 2, 3], []):
        with pytest.raises(QueryError):
            predicate_of(shape, values)


def test_the_values_of_one_query_are_bounded() -> None:
    def query(count: int) -> dict[str, Any]:
        parts = [{"column": "a", "op": "in", "value": [0] * 500} for _ in range(count)]
        return {"where": {"or": parts}}

    assert parse_query(query(4)).where is not None
    with pytest.raises(QueryError) as refused:
        parse_query(query(5))
    assert refused.value.pointer == "/where"
