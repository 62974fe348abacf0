"""Row predicates: the closed, typed AST that terms (row filters) and grantee queries (``where``) use.

There are no text expressions: a predicate is parsed from JSON to these frozen values and is passed to the database only as
bound parameters. JSON form::

    {"column": "state", "op": "eq", "value": "nsw"}
    {"column": "state", "op": "in", "value": ["nsw", "vic"]}
    {"column": "died_on", "op": "isNull"}
    {"and": [P, ...]}   {"or": [P, ...]}   {"not": P}

Values are JSON strings, integers, finite numbers or booleans; dates and times are ISO 8601 strings and are
compared by the column's declared type when the plan is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from access_policy.errors import PolicyError, QueryError

Scalar: TypeAlias = str | int | float | bool
Operator: TypeAlias = Literal["eq", "neq", "lt", "lteq", "gt", "gteq"]
OPERATORS: tuple[Operator, ...] = ("eq", "neq", "lt", "lteq", "gt", "gteq")

MAX_DEPTH = 8
MAX_NODES = 256
MAX_VALUES = 1_000
MAX_TEXT = 1_024


@dataclass(frozen=True, slots=True)
class Compare:
    """``column op value``; null never satisfies it."""

    column: str
    op: Operator
    value: Scalar


@dataclass(frozen=True, slots=True)
class In:
    """``column`` equals one of ``values`` (at most MAX_VALUES)."""

    column: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """``column`` is null."""

    column: str


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[RowPredicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[RowPredicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: RowPredicate


RowPredicate: TypeAlias = Compare | In | IsNull | And | Or | Not


def parse_rows(document: object, *, pointer: str = "", error: type[PolicyError] = QueryError) -> RowPredicate:
    """Parse the JSON form; raise ``error`` with a JSON pointer on anything outside it."""
    budget = [MAX_NODES]
    return _parse(document, pointer, 0, budget, error)


def _parse(
    document: object, pointer: str, depth: int, budget: list[int], error: type[PolicyError]
) -> RowPredicate:
    budget[0] -= 1
    if budget[0] < 0:
        raise error(f"a row predicate has at most {MAX_NODES} parts", pointer=pointer)
    if depth > MAX_DEPTH:
        raise error(f"a row predicate nests at most {MAX_DEPTH} deep", pointer=pointer)
    if not isinstance(document, Mapping):
        raise error("a row predicate is a JSON object", pointer=pointer)
    keys = set(document)
    for name, build in (("and", And), ("or", Or)):
        if keys == {name}:
            parts = document[name]
            if not isinstance(parts, list) or not parts:
                raise error(f"'{name}' takes a non-empty list", pointer=f"{pointer}/{name}")
            return build(
                tuple(
                    _parse(p, f"{pointer}/{name}/{i}", depth + 1, budget, error) for i, p in enumerate(parts)
                )
            )
    if keys == {"not"}:
        return Not(_parse(document["not"], f"{pointer}/not", depth + 1, budget, error))
    if not keys <= {"column", "op", "value"} or "column" not in keys or "op" not in keys:
        raise error(
            "a row predicate has the members column, op, value; or one of and, or, not", pointer=pointer
        )
    column, op = document["column"], document["op"]
    if not isinstance(column, str) or not column or len(column) > MAX_TEXT:
        raise error("'column' is the name of a column", pointer=f"{pointer}/column")
    if op == "isNull":
        if "value" in keys:
            raise error("'isNull' takes no value", pointer=f"{pointer}/value")
        return IsNull(column)
    if "value" not in keys:
        raise error("a comparison needs a 'value'", pointer=pointer)
    value = document["value"]
    if op == "in":
        if not isinstance(value, list) or not value or len(value) > MAX_VALUES:
            raise error(f"'in' takes a list of 1 to {MAX_VALUES} values", pointer=f"{pointer}/value")
        return In(column, tuple(_scalar(v, f"{pointer}/value/{i}", error) for i, v in enumerate(value)))
    if op not in OPERATORS:
        raise error(
            f"unknown operator {str(op)[:40]!r}",
            pointer=f"{pointer}/op",
            matches=(*OPERATORS, "in", "isNull"),
        )
    return Compare(column, op, _scalar(value, f"{pointer}/value", error))


def _scalar(value: object, pointer: str, error: type[PolicyError]) -> Scalar:
    if isinstance(value, bool | str):
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise error(f"a value has at most {MAX_TEXT} characters", pointer=pointer)
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise error("a value is a string, a boolean, an integer below 2^53 or a finite number", pointer=pointer)


def rows_to_json(predicate: RowPredicate) -> dict[str, object]:
    """The JSON form of a predicate; ``parse_rows(rows_to_json(p)) == p``."""
    match predicate:
        case Compare(column, op, value):
            return {"column": column, "op": op, "value": value}
        case In(column, values):
            return {"column": column, "op": "in", "value": list(values)}
        case IsNull(column):
            return {"column": column, "op": "isNull"}
        case And(parts):
            return {"and": [rows_to_json(p) for p in parts]}
        case Or(parts):
            return {"or": [rows_to_json(p) for p in parts]}
        case Not(part):
            return {"not": rows_to_json(part)}


def columns_of(predicate: RowPredicate) -> frozenset[str]:
    """All columns that a predicate uses."""
    match predicate:
        case Compare(column) | In(column) | IsNull(column):
            return frozenset((column,))
        case And(parts) | Or(parts):
            return frozenset().union(*(columns_of(p) for p in parts))
        case Not(part):
            return columns_of(part)
