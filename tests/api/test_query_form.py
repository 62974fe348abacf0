"""The described form of a query is that of the parser: each takes what the other takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import pytest

from access_policy.errors import QueryError
from access_policy.privacy.query import parse_query
from api.app import create_app
from api.runtime.settings import Settings

COMPARED = {"column": "age", "op": "gteq", "value": 18}
TAKEN: list[dict[str, Any]] = [
    {},
    {"columns": None, "where": None, "order": None, "limit": None},
    {"columns": ["a", "b"], "order": [{"column": "a"}, {"column": "b", "descending": True}], "limit": 1},
    *({"where": COMPARED | {"op": op}} for op in ("eq", "neq", "lt", "lteq", "gt", "gteq")),
    *({"where": COMPARED | {"value": value}} for value in ("x" * 1_024, True, -1.5, "")),
    {"where": {"column": "age", "op": "in", "value": [1, "2", False]}},
    {"where": {"column": "age", "op": "isNull"}},
    {"where": {"and": [{"or": [COMPARED, {"not": COMPARED}]}]}},
]
REFUSED: list[Any] = [
    {"select": ["a"]},
    *({"columns": value} for value in ("a", ["a", "a"], [""], ["x" * 129], [1])),
    *({"limit": value} for value in (0, -1, 1.5, "1", True, 1_000_000_001)),
    *({"order": value} for value in ({"column": "a"}, [{}], [{"column": "a", "descending": 1}], ["a"])),
    *({"where": value} for value in ([], {}, {"and": []}, {"and": COMPARED}, {"not": [COMPARED]})),
    *({"where": COMPARED | more} for more in ({"op": "like"}, {"value": None}, {"value": [1]}, {"x": 1})),
    *({"where": COMPARED | more} for more in ({"column": ""}, {"value": "x" * 1_025}, {"op": "isNull"})),
    {"where": {"column": "age", "op": "gteq"}},
    {"where": {"column": "age", "op": "in", "value": []}},
    {"where": {"and": [COMPARED], "or": [COMPARED]}},
]


@pytest.fixture(scope="module")
def form() -> jsonschema_rs.Draft202012Validator:
    document = create_app(SimpleNamespace(settings=Settings())).openapi()  # type: ignore[arg-type]
    schema = {"$ref": "#/components/schemas/Query", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


@pytest.mark.parametrize("query", TAKEN, ids=str)
def test_what_is_read_fits_the_description(form: jsonschema_rs.Draft202012Validator, query: Any) -> None:
    parse_query(query)
    assert form.is_valid(query)


@pytest.mark.parametrize("query", REFUSED, ids=lambda query: str(query)[:60])
def test_what_is_refused_does_not_fit(form: jsonschema_rs.Draft202012Validator, query: Any) -> None:
    with pytest.raises(QueryError):
        parse_query(query)
    assert not form.is_valid(query)
