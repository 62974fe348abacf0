"""What a plan means, said a second time in plain Python: the oracle that the scanner is compared with."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import math
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from access_policy.privacy.plan import Plan, PlannedColumn
from access_policy.privacy.schema import AssetSchema, FieldType, bind_value
from access_policy.privacy.transforms import (
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
from access_policy.rows import And, Compare, In, IsNull, Not, Or, RowPredicate


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
    match predicate:
        case Compare(column, op, value):
            left, right = row[column], bind_value(types[column], value)
            if left is None:
                return None
            left, right = _comparable(left), _comparable(right)
            return {
                "eq": left == right,
                "neq": left != right,
                "lt": left < right,
                "lteq": left <= right,
                "gt": left > right,
                "gteq": left >= right,
            }[op]
        case In(column, values):
            if row[column] is None:
                return None
            return row[column] in [bind_value(types[column], value) for value in values]
        case IsNull(column):
            return row[column] is None
        case And(parts):
            found = [holds(part, row, types) for part in parts]
            return False if False in found else None if None in found else True
        case Or(parts):
            found = [holds(part, row, types) for part in parts]
            return True if True in found else None if None in found else False
        case Not(part):
            inner = holds(part, row, types)
            return None if inner is None else not inner


def _comparable(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def transform(column: PlannedColumn, value: Any, key: bytes) -> Any:
    """One cell."""
    if value is None:
        return None
    return _applied(column.transform, value, column.name, column.source_type, key)


def _applied(rule: Transform, value: Any, name: str, kind: FieldType, key: bytes) -> Any:
    text = value.isoformat() if isinstance(value, dt.date) else str(value)
    match rule:
        case Keep():
            return value
        case Mask(first, last, character):
            hidden = len(text) - first - last
            if hidden <= 0:
                return character * len(text)
            return text[:first] + character * hidden + text[len(text) - last :]
        case Pseudonym():
            own = HKDFExpand(SHA256(), 32, b"column\x00" + name.encode()).derive(key)
            return hmac.new(own, text.encode(), hashlib.sha256).hexdigest()[:32]
        case Truncate(to):
            return value.strftime("%Y-%m") if to == "month" else value.year
        case Band(width, origin):
            if kind == "integer":
                low = math.floor((value - origin) / width) * width + origin
                return f"{low}-{low + width - 1}"
            low = float(math.floor((value - origin) / width) * width + origin)
            return f"[{low}, {low + width})"
        case Ladder(steps, otherwise):
            return dict(steps).get(text, otherwise)
        case Round(step):
            rounded = math.copysign(math.floor(abs(value) / step + 0.5), value) * step
            return rounded if kind == "number" else int(rounded)
        case Clamp(bottom, top):
            kept = type(value)
            value = value if bottom is None else max(value, kept(bottom))
            return value if top is None else min(value, kept(top))
