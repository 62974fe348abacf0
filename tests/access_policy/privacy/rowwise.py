"""docs/values.md implemented a second time, row by row in plain Python: the answer for a file under given
terms and a query.

Nothing of the product is imported. Terms, queries and schemas are JSON documents; cells are the values in the
file.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from .rowwise_cells import BROKEN, EXACT, MISSING, Cell, Document, exact, normal, read, scale_of

# Which rows.


def holds(predicate: Document, row: Mapping[str, Any], types: Mapping[str, str]) -> bool | None:
    """Whether a predicate holds for a row; None if that is unknown."""
    if "and" in predicate:
        found = [holds(part, row, types) for part in predicate["and"]]
        return False if False in found else None if None in found else True
    if "or" in predicate:
        found = [holds(part, row, types) for part in predicate["or"]]
        return True if True in found else None if None in found else False
    if "not" in predicate:
        inner = holds(predicate["not"], row, types)
        return None if inner is None else not inner
    cell, kind = row[predicate["column"]], types[predicate["column"]]
    if predicate["op"] == "isNull":
        return None if cell is BROKEN else cell is MISSING
    if isinstance(cell, Cell):
        return None
    if predicate["op"] == "in":
        return any(cell == literal(kind, value) for value in predicate["value"])
    return _COMPARED[predicate["op"]](cell, literal(kind, predicate["value"]))


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "neq": lambda a, b: bool(a != b),
    "lt": lambda a, b: bool(a < b),
    "lteq": lambda a, b: bool(a <= b),
    "gt": lambda a, b: bool(a > b),
    "gteq": lambda a, b: bool(a >= b),
}


def literal(kind: str, value: Any) -> Any:
    """The literals of a predicate."""
    if kind == "number":
        return float(value)
    if kind in ("date", "time", "datetime"):
        reads: Any = {"date": dt.date, "time": dt.time, "datetime": dt.datetime}[kind]
        return reads.fromisoformat(value)
    if kind == "integer":
        return int(value)
    return value if scale_of(kind) is None else Decimal(repr(value) if isinstance(value, float) else value)


def spelled(predicate: Document, rules: Mapping[str, Sequence[str]]) -> Document:
    """A predicate whose texts are normalised like the values of their columns."""
    for word in ("and", "or"):
        if word in predicate:
            return {word: [spelled(part, rules) for part in predicate[word]]}
    if "not" in predicate:
        return {"not": spelled(predicate["not"], rules)}
    own = rules.get(predicate["column"], ())
    if not own or "value" not in predicate:
        return predicate
    value = predicate["value"]
    written = [normal(one, own) for one in value] if isinstance(value, list) else normal(value, own)
    return {**predicate, "value": written}


# The released values.


def released_type(transform: Document, kind: str) -> str:
    """The type of the result of a transform."""
    match transform["type"]:
        case "mask" | "ladder" | "band":
            return "string"
        case "truncate":
            return "yearmonth" if transform["to"] == "month" else "year"
    return kind


def transformed(
    transform: Document, kind: str, value: Any, zone: str | None, rules: Sequence[str] = ()
) -> Any:
    """The released value of a cell; MISSING for null."""
    if isinstance(value, Cell):
        return MISSING
    text = value if isinstance(value, str) else f"{value:f}" if isinstance(value, Decimal) else str(value)
    match transform["type"]:
        case "mask":
            first, last = transform.get("keep_first", 0), transform.get("keep_last", 0)
            hidden, sign = len(text) - first - last, transform.get("with", "*")
            kept = text[:first] + sign * hidden + text[len(text) - last :]
            return kept if hidden > 0 else sign * len(text)
        case "truncate":
            year, month = _month(value, zone if kind == "datetime" else None)
            return f"{year:04}-{month:02}" if transform["to"] == "month" else year
        case "ladder":
            steps: dict[str, str] = {}
            for code, label in sorted(transform["steps"].items()):
                steps.setdefault(normal(code, rules), label)
            return steps.get(text, transform.get("otherwise", "*"))
        case "clamp":
            for bound, beyond in ((transform.get("bottom"), -1), (transform.get("top"), 1)):
                if bound is not None and (_fraction(value) - _fraction(bound)) * beyond > 0:
                    value = _as(kind, _fraction(bound))
            return value
        case "round":
            return _round(kind, value, _fraction(transform["step"]))
        case "band":
            return _band(kind, value, transform["width"], transform.get("origin", 0))
    return value


def _month(value: dt.date, zone: str | None) -> tuple[int, int]:
    """Year and month, also beyond Python's calendar, by its period of 400 years."""
    if not isinstance(value, dt.datetime) or zone is None:
        return value.year, value.month
    cycle = 400 if value.year < 5 else -400 if value.year > 9990 else 0
    day = value.replace(year=value.year + cycle).astimezone(ZoneInfo(zone))
    return day.year - cycle, day.month


def _fraction(value: Any) -> Fraction:
    """A number of a file unchanged; a number of the terms by its text."""
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


def _as(kind: str, value: Fraction) -> Any:
    """An exact number as a value of the type that holds it."""
    if kind in ("integer", "year"):
        return int(value)
    scale = scale_of(kind)
    if scale is None:
        return float(value)
    return exact(EXACT.divide(Decimal(value.numerator), Decimal(value.denominator)), scale)


def _limit(kind: str) -> Fraction:
    scale = scale_of(kind)
    return Fraction(2**62 if scale is None else 10 ** (36 - scale))


def _round(kind: str, value: Any, step: Fraction) -> Any:
    number = _fraction(value)
    if kind == "number":
        if abs(number) >= step * 2**52:
            return value
        return float(_nearest(number, step))
    least = step * int(number / step)
    return _as(kind, least if abs(number) > _limit(kind) else _nearest(number, step))


def _nearest(number: Fraction, step: Fraction) -> Fraction:
    """The nearest multiple, halves away from zero."""
    return step * math.floor(abs(number) / step + Fraction(1, 2)) * (1 if number > 0 else -1)


def _band(kind: str, value: Any, width: Any, origin: Any) -> str:
    w, o, number = _fraction(width), _fraction(origin), _fraction(value)
    scale = scale_of(kind)
    doubles = kind == "number" or (scale is None and not (w.denominator == o.denominator == 1))
    if abs(number) > _limit(kind) if not doubles else abs(number) >= min(w, 1) * 2**52:
        return "*"
    low = math.floor((number - o) / w) * w + o
    if doubles:
        return f"[{float(low)}, {float(low + w)})"
    if scale is None:
        return f"{low}-{low + w - 1}"
    return f"[{_as(kind, low):f}, {_as(kind, low + w):f})"


def answer(
    rows: list[list[Any]],
    physical: Sequence[str | None],
    schema: Document,
    terms: Document,
    query: Document,
) -> tuple[list[str], list[str], list[list[Any]]]:
    """Names, types and rows that are released: in the file's order, or in the one asked for, with nulls last and then by the
    other columns. ``terms``: columns, rows, transforms as the
    refinements of a target have them; ``rows`` and ``physical`` in the order of the schema's fields."""
    fields = {field["name"]: field for field in schema["fields"]}
    rules = {name: field.get("normalise", ()) for name, field in fields.items()}
    transforms = {name: terms.get("transforms", {}).get(name, {"type": "keep"}) for name in fields}
    source = {name: field["type"] for name, field in fields.items()}
    types = {name: released_type(transforms[name], kind) for name, kind in source.items()}
    kept = {name: own if transforms[name]["type"] == "keep" else () for name, own in rules.items()}
    names = query.get("columns") or terms["columns"]
    found = []
    for raw in rows:
        row = {
            name: read(field, kind, cell, schema)
            for (name, field), kind, cell in zip(fields.items(), physical, raw, strict=True)
        }
        if terms.get("rows") and holds(spelled(terms["rows"], rules), row, source) is not True:
            continue
        out = {
            name: transformed(transforms[name], source[name], row[name], schema.get("zone"), rules[name])
            for name in terms["columns"]
        }
        if query.get("where") and holds(spelled(query["where"], kept), out, types) is not True:
            continue
        found.append([out[name] for name in names])
    asked = [(key["column"], key.get("descending", False)) for key in query.get("order", ())]
    rest = [(name, False) for name in names if asked and name not in dict(asked)]
    for name, falling in reversed(asked + rest):
        place = names.index(name)
        there = [row for row in found if row[place] is not MISSING]
        there.sort(key=lambda row, at=place: row[at], reverse=falling)
        found = there + [row for row in found if row[place] is MISSING]
    return list(names), [types[name] for name in names], found[: query.get("limit")]


# How it is written.


def as_json(kind: str, value: Any) -> Any:
    """The value in a JSON answer, as Python reads it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return str(value)
    if value is MISSING or kind == "number" or isinstance(value, bool | int):
        return None if value is MISSING else value
    return as_text(kind, value)


def as_text(kind: str, value: Any) -> str:
    """The value in a CSV answer (of a number: one of its texts)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)
