"""The meaning of a plan, implemented a second time in plain Python: the oracle for the scanner."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from access_policy.privacy.plan import Plan, PlannedColumn
from access_policy.privacy.schema import AssetSchema, FieldType
from access_policy.terms.rows import RowPredicate, rows_to_json
from access_policy.terms.transforms import Pseudonym, transform_to_json

from . import rowwise
from .rowwise_cells import MISSING


def answer(plan: Plan, rows: list[dict[str, Any]], schema: AssetSchema, key: bytes) -> list[dict[str, Any]]:
    """The rows that a plan releases, in its order."""
    source_types = {column.name: column.type for column in schema.columns}
    planned = plan.columns + plan.looked_at
    released = [
        {column.name: transform(column, row[column.name], key) for column in planned}
        for row in rows
        if plan.row_filter is None or holds(plan.row_filter, row, source_types) is True
    ]
    types: dict[str, FieldType] = {column.name: column.released_type for column in planned}
    if plan.where is not None:
        released = [row for row in released if holds(plan.where, row, types) is True]
    names = [column.name for column in plan.columns]
    if plan.shuffled:
        own = HKDFExpand(SHA256(), 32, b"order of rows").derive(key)
        released.sort(key=lambda row: hashlib.sha256(own + _encoded([row[name] for name in names])).digest())
    for sort in reversed(plan.order):
        present = [row for row in released if row[sort.column] is not None]
        absent = [row for row in released if row[sort.column] is None]
        present.sort(key=lambda row: _sortable(row[sort.column]), reverse=sort.descending)
        released = present + absent
    return [{name: row[name] for name in names} for row in released[: plan.limit]]


def _encoded(cells: list[Any]) -> bytes:
    """Each cell's length and text; no length for null."""
    texts = [None if cell is None else _engine_text(cell).encode() for cell in cells]
    return b"".join(b":" if text is None else b"%d:%s" % (len(text), text) for text in texts)


def _engine_text(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(cell).replace("+00:00", "+00") if isinstance(cell, dt.datetime) else str(cell)


def _sortable(value: object) -> object:
    return value.encode() if isinstance(value, str) else value


def holds(predicate: RowPredicate, row: dict[str, Any], types: dict[str, FieldType]) -> bool | None:
    """SQL's three-valued logic."""
    cells = {name: MISSING if cell is None else cell for name, cell in row.items()}
    return rowwise.holds(rows_to_json(predicate), cells, types)


def transform(column: PlannedColumn, value: Any, key: bytes) -> Any:
    """One cell."""
    if value is None:
        return None
    if isinstance(column.transform, Pseudonym):
        text = value.isoformat() if isinstance(value, dt.date) else str(value)
        own = HKDFExpand(SHA256(), 32, b"column\x00" + column.name.encode()).derive(key)
        return hmac.new(own, text.encode(), hashlib.sha256).hexdigest()[:32]
    return rowwise.transformed(transform_to_json(column.transform), column.source_type, value, None)
