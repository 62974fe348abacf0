"""Compiling a grantee's query and a permit to a frozen, hashed plan, which the scanner runs.

The plan is an intersection: a column must exist, be granted, and be requested. The steward's row filter uses source values.
The grantee's predicates and sort keys use *released* values only, so that a masked column cannot be searched by its hidden
values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import rfc8785

from access_policy.decision.answers import Permit
from access_policy.errors import PlanError, PolicyError
from access_policy.privacy.query import OrderKey, Query, predicate_shape
from access_policy.privacy.schema import AssetSchema, Column, FieldType, bind_value, decimal_scale
from access_policy.privacy.spelling import Normalisation, normalised
from access_policy.terms.rows import And, Compare, In, IsNull, Not, Or, RowPredicate, Scalar, columns_of
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
    transform_to_json,
)

PLAN_VERSION = 2
_WITH_ONE_TEXT: frozenset[FieldType] = frozenset({"string", "integer", "date", "year", "yearmonth"})
"""Types whose values have one text form, which masks and codes need."""
SUPPORTED_OPTIONS: frozenset[str] = frozenset()
"""The options of a permit that this compiler enforces; it refuses any other option."""


class UnknownColumn(PlanError):
    """The asset has no such column."""

    code = "column.unknown"


class ColumnNotGranted(PlanError):
    """The column exists, but is not granted."""

    code = "column.not-granted"


class PredicateTypeError(PlanError):
    """A predicate's value or operator does not fit the type of the released column."""

    code = "predicate.type"


class TransformNotApplicable(PlanError):
    """The terms prescribe a transform that is not possible for the column's type."""

    code = "transform.not-applicable"


class RowFilterError(PlanError):
    """The steward's row filter does not fit the asset's schema; nothing can be released under it."""

    code = "plan.row-filter"


class UnsupportedOption(PlanError):
    """The permit carries a condition that this engine does not enforce, so it refuses."""

    code = "plan.option-unsupported"


@dataclass(frozen=True, slots=True)
class PlannedColumn:
    """A source column, its transform, and the type of the released values."""

    name: str
    source_type: FieldType
    transform: Transform
    released_type: FieldType


@dataclass(frozen=True, slots=True)
class Plan:
    """The complete input of the scanner.

    ``columns`` are released in this order. ``looked_at`` are granted columns that only the grantee's predicates or sort keys
    use; ``filter_columns`` are source columns that only the steward's filter uses. ``order`` holds the sort keys. A
    ``shuffled`` plan sorts rows by the requested keys and then by a keyed hash of the released row. This order depends only on
    the released values and the grant's key, so two extracts cannot be joined by position. A plan is shuffled when a column is
    transformed, or a column of a table about persons is not released. In other plans ``order`` contains all released columns,
    so that the same release gives the same bytes, or is empty for source order.
    """

    grant: str
    columns: tuple[PlannedColumn, ...]
    looked_at: tuple[PlannedColumn, ...]
    filter_columns: tuple[Column, ...]
    row_filter: RowPredicate | None
    where: RowPredicate | None
    order: tuple[OrderKey, ...]
    limit: int | None
    shuffled: bool = False

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the canonical JSON (RFC 8785) of ``to_json()``: free of literals."""
        return hashlib.sha256(rfc8785.dumps(self.to_json())).hexdigest()  # type: ignore[arg-type]

    @property
    def needs_key(self) -> bool:
        """Whether the grant's key must be given to the scanner: for pseudonyms, or for the order of rows."""
        return self.shuffled or any(isinstance(c.transform, Pseudonym) for c in self.columns + self.looked_at)

    def to_json(self) -> dict[str, object]:
        """The plan for logs: columns, types, transforms and operators, without compared values."""
        return {
            "version": PLAN_VERSION,
            "columns": [_planned_to_json(column) for column in self.columns],
            "looked_at": [_planned_to_json(column) for column in self.looked_at],
            "row_filter": None if self.row_filter is None else predicate_shape(self.row_filter),
            "where": None if self.where is None else predicate_shape(self.where),
            "order": [{"column": key.column, "descending": key.descending} for key in self.order],
            "limit": self.limit,
            "shuffled": self.shuffled,
        }


def compile_plan(query: Query, permit: Permit, schema: AssetSchema) -> Plan:
    """Intersect a query with a permit; raises a PlanError with a pointer into the query.

    ``permit.columns`` must cover ``query.request_columns()``. Codes: ``column.unknown``,
    ``column.not-granted``, ``predicate.type``, ``transform.not-applicable``, ``plan.row-filter``,
    ``plan.option-unsupported``.
    """
    unsupported = sorted(set(permit.options) - SUPPORTED_OPTIONS)
    if unsupported:
        raise UnsupportedOption(f"this engine does not enforce {', '.join(unsupported)}")
    granted = frozenset(permit.columns)
    names = query.columns or permit.columns
    for index, name in enumerate(names):
        _require(name, granted, schema, f"/columns/{index}" if query.columns else "")
    if not names:
        raise ColumnNotGranted("the grant gives no column", pointer="/columns")
    for index, key in enumerate(query.order):
        _require(key.column, granted, schema, f"/order/{index}/column")
    if query.where is not None:
        _require_all(query.where, granted, schema, "/where")
    released = tuple(_planned(name, permit, schema) for name in names)
    looked_at = tuple(_planned(name, permit, schema) for name in query.filter_columns() if name not in names)
    if query.where is not None:
        types = {column.name: column for column in released + looked_at}
        _check_types(
            query.where, {name: (c.released_type, _is_ordered(c)) for name, c in types.items()}, "/where"
        )
    shuffled = (
        permit.protected
        or any(t != Keep() for t in permit.transforms.values())
        or (schema.concerns_persons() and {c.name for c in released + looked_at} != set(schema.names()))
    )
    return Plan(
        grant=permit.grant,
        columns=released,
        looked_at=looked_at,
        filter_columns=_filter_columns(permit.row_filter, released + looked_at, schema),
        row_filter=_spelled(permit.row_filter, {c.name: c.normalise for c in schema.columns}),
        where=_spelled(query.where, _released_spelling(released + looked_at, schema)),
        order=query.order if shuffled else _complete_order(query.order, released),
        limit=query.limit,
        shuffled=shuffled,
    )


def released_type(column: Column, transform: Transform) -> FieldType:
    """The type of a transform's result; raises TransformNotApplicable."""
    kind, places = column.type, decimal_scale(column.type)
    match transform:
        case Keep():
            return kind
        case Pseudonym() | Mask() | Ladder() if places is not None or kind in _WITH_ONE_TEXT:
            return "string"
        case Truncate(to) if kind in ("date", "datetime"):
            return "yearmonth" if to == "month" else "year"
        case Band(width, origin) if _has(kind, width, origin, off_whole=True):
            return "string"
        case Round(step) if _has(kind, step):
            return kind
        case Clamp(bottom, top) if _has(kind, *(bound for bound in (bottom, top) if bound is not None)):
            return kind
    raise TransformNotApplicable(
        f"{transform_to_json(transform)['type']} does not fit column {column.name!r} of type {kind}"
    )


def _has(kind: FieldType, *values: int | float, off_whole: bool = False) -> bool:
    """Whether a numeric column can represent these values exactly. With ``off_whole``, bands of integers may begin at
    fractions."""
    if kind in ("integer", "year"):
        return off_whole or all(float(value).is_integer() for value in values)
    try:
        for value in values:
            bind_value(kind, value)
    except ValueError:
        return False
    return kind == "number" or decimal_scale(kind) is not None


def _planned(name: str, permit: Permit, schema: AssetSchema) -> PlannedColumn:
    column = schema.column(name)
    if column is None:
        raise UnknownColumn(f"the asset has no column {name[:80]!r}", matches=schema.close_to(name))
    transform = permit.transforms.get(name, Keep())
    released = released_type(column, transform)
    if isinstance(transform, Ladder) and column.normalise:
        steps: dict[str, str] = {}
        for code, label in transform.steps:
            steps.setdefault(normalised(code, column.normalise), label)
        transform = replace(transform, steps=tuple(steps.items()))
    return PlannedColumn(name, column.type, transform, released)


def _released_spelling(
    columns: tuple[PlannedColumn, ...], schema: AssetSchema
) -> dict[str, tuple[Normalisation, ...]]:
    """The normalisation rules of released text columns: those of the source column if it is released unchanged."""
    kept = {column.name for column in columns if column.transform == Keep()}
    return {column.name: column.normalise for column in schema.columns if column.name in kept}


def _spelled(
    predicate: RowPredicate | None, rules: Mapping[str, tuple[Normalisation, ...]]
) -> RowPredicate | None:
    """The predicate with every compared text normalised by the rules of its column."""
    return None if predicate is None else _rewritten(predicate, rules)


def _rewritten(predicate: RowPredicate, rules: Mapping[str, tuple[Normalisation, ...]]) -> RowPredicate:
    def text(column: str, value: Scalar) -> Scalar:
        return normalised(value, rules.get(column, ())) if isinstance(value, str) else value

    match predicate:
        case Compare(column, _, value):
            return replace(predicate, value=text(column, value))
        case In(column, values):
            return In(column, tuple(text(column, value) for value in values))
        case And(parts) | Or(parts):
            return type(predicate)(tuple(_rewritten(part, rules) for part in parts))
        case Not(part):
            return Not(_rewritten(part, rules))
    return predicate


def _require(name: str, granted: frozenset[str], schema: AssetSchema, pointer: str) -> None:
    """Refuse a column that does not exist or is not granted; close matches are chosen among *granted* names only."""
    if schema.column(name) is None:
        close = tuple(match for match in schema.close_to(name) if match in granted)
        raise UnknownColumn(f"the asset has no column {name[:80]!r}", pointer=pointer, matches=close)
    if name not in granted:
        raise ColumnNotGranted(f"the grant does not give column {name[:80]!r}", pointer=pointer)


def _require_all(predicate: RowPredicate, granted: frozenset[str], schema: AssetSchema, pointer: str) -> None:
    match predicate:
        case Compare(column) | In(column) | IsNull(column):
            _require(column, granted, schema, f"{pointer}/column")
        case And(parts) | Or(parts):
            name = "and" if isinstance(predicate, And) else "or"
            for index, part in enumerate(parts):
                _require_all(part, granted, schema, f"{pointer}/{name}/{index}")
        case Not(part):
            _require_all(part, granted, schema, f"{pointer}/not")


def _check_types(predicate: RowPredicate, types: dict[str, tuple[FieldType, bool]], pointer: str) -> None:
    """Check that each compared value is of its column's type, and that lt, lteq, gt and gteq are used with ordered types."""
    match predicate:
        case Compare(column, op, value):
            kind, ordered = types[column]
            if op not in ("eq", "neq") and not ordered:
                raise PredicateTypeError(
                    f"column {column!r} is released as an unordered value: use eq, neq, in or isNull",
                    pointer=f"{pointer}/op",
                    matches=("eq", "neq", "in", "isNull"),
                )
            _check_value(kind, value, f"{pointer}/value")
        case In(column, values):
            for index, value in enumerate(values):
                _check_value(types[column][0], value, f"{pointer}/value/{index}")
        case IsNull():
            return
        case And(parts) | Or(parts):
            name = "and" if isinstance(predicate, And) else "or"
            for index, part in enumerate(parts):
                _check_types(part, types, f"{pointer}/{name}/{index}")
        case Not(part):
            _check_types(part, types, f"{pointer}/not")


def _check_value(kind: FieldType, value: str | int | float | bool, pointer: str) -> None:
    try:
        bind_value(kind, value)
    except ValueError as error:
        raise PredicateTypeError(str(error), pointer=pointer) from None


def _is_ordered(column: PlannedColumn) -> bool:
    """Whether the released values have a meaningful order; pseudonyms, masks, labels and booleans have none."""
    if column.released_type == "boolean":
        return False
    return not isinstance(column.transform, Pseudonym | Mask | Ladder | Band)


def _filter_columns(
    row_filter: RowPredicate | None, planned: tuple[PlannedColumn, ...], schema: AssetSchema
) -> tuple[Column, ...]:
    if row_filter is None:
        return ()
    types: dict[str, tuple[FieldType, bool]] = {}
    extra: list[Column] = []
    for name in sorted(columns_of(row_filter)):
        column = schema.column(name)
        if column is None:
            raise RowFilterError("the steward's row filter looks at a column the asset does not have")
        types[name] = (column.type, column.type != "boolean")
        if all(name != other.name for other in planned):
            extra.append(column)
    try:
        _check_types(row_filter, types, "")
    except PolicyError:
        raise RowFilterError("the steward's row filter does not fit the asset's schema") from None
    return tuple(extra)


def _complete_order(asked: tuple[OrderKey, ...], released: tuple[PlannedColumn, ...]) -> tuple[OrderKey, ...]:
    """The requested sort keys, followed by all other released columns; empty for source order.

    The engine's sort gives ties in any order, but the same release must be the same bytes.
    """
    if not asked:
        return ()
    named = {key.column for key in asked}
    return asked + tuple(OrderKey(column.name) for column in released if column.name not in named)


def _planned_to_json(column: PlannedColumn) -> dict[str, object]:
    return {
        "name": column.name,
        "type": column.source_type,
        "transform": transform_to_json(column.transform),
        "released_type": column.released_type,
    }
