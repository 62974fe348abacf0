"""The closed, typed query of a grantee: columns, rows, order and limit.

It contains no SQL and no expression text. JSON form (every member is optional)::

    {"columns": ["region", "age"],
     "where": {"column": "region", "op": "eq", "value": "north"},
     "order": [{"column": "age", "descending": true}],
     "limit": 100}

An absent or empty ``columns`` asks for every granted column. Names and values are judged against the
asset's schema and the permit later, by ``access_policy.privacy.plan.compile_plan``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from access_policy.errors import QueryError
from access_policy.terms.rows import (
    And,
    Compare,
    In,
    IsNull,
    Not,
    Or,
    RowPredicate,
    Scalar,
    columns_of,
    parse_rows,
    rows_to_json,
)

MEMBERS = ("columns", "where", "order", "limit")
MAX_COLUMNS = 1_000
MAX_ORDER = 16
MAX_NAME = 128
MAX_LIMIT = 1_000_000_000
MAX_LITERALS = 2_000
"""The most compared values of one query; each value that names a person is stored and erased separately."""


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One sort key over released values; nulls are last."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A grantee's query. Empty ``columns`` means every granted column; ``limit`` None means every row."""

    columns: tuple[str, ...] = ()
    where: RowPredicate | None = None
    limit: int | None = None
    order: tuple[OrderKey, ...] = ()

    def filter_columns(self) -> tuple[str, ...]:
        """The columns in ``where`` and ``order``, sorted by name."""
        looked_at = columns_of(self.where) if self.where is not None else frozenset()
        return tuple(sorted(looked_at | {key.column for key in self.order}))

    def request_columns(self) -> tuple[str, ...]:
        """The columns a decision must grant for this query to run: asked for or looked at.

        Empty when every granted column is asked for. Use it as ``Request.columns``.
        """
        if not self.columns:
            return ()
        return self.columns + tuple(name for name in self.filter_columns() if name not in self.columns)

    def literal_free(self) -> dict[str, object]:
        """The query without compared values; it can be logged in the clear."""
        shape: dict[str, object] = {"columns": list(self.columns)}
        if self.where is not None:
            shape["where"] = predicate_shape(self.where)
        if self.order:
            shape["order"] = [{"column": k.column, "descending": k.descending} for k in self.order]
        if self.limit is not None:
            shape["limit"] = self.limit
        return shape

    def literals(self) -> tuple[Scalar, ...]:
        """The compared values, which ``literal_free()`` leaves out, in reading order. Log them only as commitments."""
        return predicate_literals(self.where) if self.where is not None else ()

    def to_json(self) -> dict[str, object]:
        """The JSON form; ``parse_query(query.to_json()) == query``."""
        document = self.literal_free()
        if self.where is not None:
            document["where"] = rows_to_json(self.where)
        return document


def parse_query(document: object) -> Query:
    """Parse the JSON form; raise QueryError with a JSON pointer on anything outside it."""
    if not isinstance(document, Mapping):
        raise QueryError("a query is a JSON object with columns, where, order, limit")
    for member in document:
        if member not in MEMBERS:
            close = tuple(get_close_matches(str(member)[:MAX_NAME], MEMBERS, n=2))
            raise QueryError(
                f"a query has no member {str(member)[:40]!r}", pointer=f"/{escape(member)}", matches=close
            )
    where = document.get("where")
    return Query(
        columns=_columns(document.get("columns")),
        where=None if where is None else _where(where),
        limit=_limit(document.get("limit")),
        order=_order(document.get("order")),
    )


def _where(document: object) -> RowPredicate:
    predicate = parse_rows(document, pointer="/where")
    if len(predicate_comparisons(predicate)) > MAX_LITERALS:
        raise QueryError(f"a query compares with at most {MAX_LITERALS} values in all", pointer="/where")
    return predicate


def escape(member: object) -> str:
    """A reference token of an RFC 6901 JSON pointer, truncated to a readable length."""
    readable = str(member)[:MAX_NAME].encode("utf-8", "replace").decode()
    return readable.replace("~", "~0").replace("/", "~1")


def predicate_shape(predicate: RowPredicate) -> dict[str, object]:
    """A predicate's JSON form with every value replaced by ``"?"``, and a list by its length."""
    match predicate:
        case Compare(column, op):
            return {"column": column, "op": op, "value": "?"}
        case In(column, values):
            return {"column": column, "op": "in", "value": "?", "count": len(values)}
        case IsNull(column):
            return {"column": column, "op": "isNull"}
        case And(parts):
            return {"and": [predicate_shape(part) for part in parts]}
        case Or(parts):
            return {"or": [predicate_shape(part) for part in parts]}
        case Not(part):
            return {"not": predicate_shape(part)}


def predicate_literals(predicate: RowPredicate) -> tuple[Scalar, ...]:
    """The values of a predicate in reading order."""
    return tuple(value for _, value in predicate_comparisons(predicate))


def predicate_of(shape: object, literals: Iterable[Scalar]) -> RowPredicate:
    """The inverse of ``predicate_shape`` and ``predicate_literals``; raises QueryError when they do not match."""
    following = iter(literals)
    filled = parse_rows(_filled(shape, following))
    if next(following, None) is not None:
        raise QueryError("there are more values than the predicate has places")
    return filled


def _filled(shape: object, literals: Iterator[Scalar]) -> object:
    if not isinstance(shape, Mapping):
        raise QueryError("the shape of a row predicate is a JSON object")
    document = dict(shape)
    try:
        for name in ("and", "or"):
            if name in document:
                return {name: [_filled(part, literals) for part in document[name]]}
        if "not" in document:
            return {"not": _filled(document["not"], literals)}
        if "count" in document:
            document["value"] = [next(literals) for _ in range(document.pop("count"))]
        elif "value" in document:
            document["value"] = next(literals)
    except StopIteration:
        raise QueryError("there are fewer values than the predicate has places") from None
    return document


def predicate_comparisons(predicate: RowPredicate) -> tuple[tuple[str, Scalar], ...]:
    """The pairs of column and compared value in a predicate, in reading order."""
    match predicate:
        case Compare(column, value=value):
            return ((column, value),)
        case In(column, values):
            return tuple((column, value) for value in values)
        case IsNull():
            return ()
        case And(parts) | Or(parts):
            return tuple(pair for part in parts for pair in predicate_comparisons(part))
        case Not(part):
            return predicate_comparisons(part)


def _columns(document: object) -> tuple[str, ...]:
    if document is None:
        return ()
    if not isinstance(document, list):
        raise QueryError("'columns' is a list of column names", pointer="/columns")
    if len(document) > MAX_COLUMNS:
        raise QueryError(f"'columns' has at most {MAX_COLUMNS} names", pointer="/columns")
    seen: set[str] = set()
    for index, name in enumerate(document):
        if _name(name, f"/columns/{index}") in seen:
            raise QueryError("a column is asked for once", pointer=f"/columns/{index}")
        seen.add(name)
    return tuple(document)


def _order(document: object) -> tuple[OrderKey, ...]:
    if document is None:
        return ()
    if not isinstance(document, list) or len(document) > MAX_ORDER:
        raise QueryError(f"'order' is a list of at most {MAX_ORDER} keys", pointer="/order")
    keys: list[OrderKey] = []
    for index, key in enumerate(document):
        pointer = f"/order/{index}"
        if not isinstance(key, Mapping) or not {"column"} <= set(key) <= {"column", "descending"}:
            raise QueryError("an order key has the members column and descending", pointer=pointer)
        descending = key.get("descending", False)
        if not isinstance(descending, bool):
            raise QueryError("'descending' is true or false", pointer=f"{pointer}/descending")
        name = _name(key["column"], f"{pointer}/column")
        if any(name == earlier.column for earlier in keys):
            raise QueryError("a column orders once", pointer=f"{pointer}/column")
        keys.append(OrderKey(name, descending))
    return tuple(keys)


def _limit(document: object) -> int | None:
    if document is None:
        return None
    if isinstance(document, bool) or not isinstance(document, int) or not 1 <= document <= MAX_LIMIT:
        raise QueryError(f"'limit' is an integer from 1 to {MAX_LIMIT}", pointer="/limit")
    return document


def _name(value: object, pointer: str) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_NAME:
        raise QueryError(f"a column name is a text of 1 to {MAX_NAME} characters", pointer=pointer)
    return value
