"""The persons that a predicate names, and whether rows of a person could satisfy it.

A person is identified by a value of the schema's person key. Every literal that a predicate compares with that column names a
person: in ``eq``, ``neq``, ``in`` or as a bound of a range, alone or under ``and``, ``or``, ``not``. All spellings of a value
that select the same rows are one name.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal, InvalidOperation

from access_policy.privacy.query import predicate_comparisons
from access_policy.privacy.schema import FieldType, bind_value, decimal_scale
from access_policy.terms.rows import And, Compare, In, IsNull, Not, Or, RowPredicate, Scalar


def person_name(kind: FieldType, spelled: Scalar) -> str:
    """The canonical name of a person for any spelling of the key's value. Texts are compared exactly, as in the engine. A
    value of another type is unchanged."""
    text = str(spelled).lower() if isinstance(spelled, bool) else str(spelled)
    try:
        match kind:
            case "integer" | "year" | "number":
                return _number(text.strip())
            case _ if decimal_scale(kind) is not None:
                return f"{bind_value(kind, text.strip()):f}"
            case "date":
                return dt.date.fromisoformat(text.strip()).isoformat()
            case "datetime":
                instant = dt.datetime.fromisoformat(text.strip())
                return (instant.astimezone(dt.UTC) if instant.tzinfo else instant).isoformat()
            case "time":
                return dt.time.fromisoformat(text.strip()).isoformat()
            case "boolean" | "yearmonth":
                return text.strip()
            case "string":
                whole = isinstance(spelled, float) and spelled.is_integer()
                return str(int(spelled)) if whole else text
    except (ValueError, InvalidOperation, OverflowError):
        pass
    return text


def _number(text: str) -> str:
    """The canonical text of a number: ``7`` for 7, 7.0, 007 and +7; the shortest text of any other number."""
    try:
        return str(int(text))
    except ValueError:
        value = Decimal(text)
    if value.is_finite() and value == value.to_integral_value() and abs(value) < 2**63:
        return str(int(value))
    return repr(float(value))


def persons_named(predicate: RowPredicate | None, column: str, kind: FieldType) -> dict[str, list[Scalar]]:
    """The names of all persons in the comparisons of a predicate with the column, in reading order, with their spellings."""
    found: dict[str, list[Scalar]] = {}
    for compared, value in predicate_comparisons(predicate) if predicate is not None else ():
        if compared == column:
            found.setdefault(person_name(kind, value), []).append(value)
    return found


def could_hold(predicate: RowPredicate, column: str, kind: FieldType, spelled: str) -> bool:
    """Whether a row with this value in ``column`` could satisfy the predicate, for some values of its other columns."""
    return _holds(predicate, column, kind, spelled) is not False


def _holds(predicate: RowPredicate, column: str, kind: FieldType, spelled: str) -> bool | None:
    """Evaluate a predicate in Kleene's logic; None when the result depends on other columns or is unknown."""
    match predicate:
        case Compare(name, op, value) if name == column:
            return _compared(kind, spelled, op, value)
        case In(name, values) if name == column:
            return _any([_compared(kind, spelled, "eq", value) for value in values])
        case IsNull(name) if name == column:
            return False
        case Compare() | In() | IsNull():
            return None
        case And(parts):
            told = _any([_inverted(_holds(part, column, kind, spelled)) for part in parts])
            return _inverted(told)
        case Or(parts):
            return _any([_holds(part, column, kind, spelled) for part in parts])
        case Not(part):
            return _inverted(_holds(part, column, kind, spelled))


def _compared(kind: FieldType, spelled: str, op: str, value: Scalar) -> bool | None:
    try:
        own, other = _ordered(kind, _typed(kind, spelled)), _ordered(kind, value)
    except ValueError:
        return None
    if own == other:
        return op in ("eq", "lteq", "gteq")
    if op in ("eq", "neq"):
        return op == "neq"
    return (own < other) == (op in ("lt", "lteq"))


def _ordered(kind: FieldType, value: Scalar) -> tuple[bytes, float | int | Decimal]:
    """The sort key of a value in the engine's order: texts by their bytes, times by their instant."""
    bound = bind_value(kind, value)
    match bound:
        case str():
            return bound.encode(), 0
        case dt.datetime():
            return b"", _micros(bound)
        case dt.date():
            return b"", bound.toordinal()
        case dt.time():
            seconds = (bound.hour * 60 + bound.minute) * 60 + bound.second
            return b"", seconds * 1_000_000 + bound.microsecond
        case float() if math.isnan(bound):
            raise ValueError("not a number has no order here")
    return b"", bound


def _micros(instant: dt.datetime) -> int:
    return (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _typed(kind: FieldType, spelled: str) -> Scalar:
    """The text of a person's key as a JSON value of the column's type; raises ValueError."""
    name = person_name(kind, spelled)
    match kind:
        case "integer" | "year":
            return int(name)
        case "number":
            return float(name)
        case "boolean":
            if name not in ("true", "false"):
                raise ValueError("true or false")
            return name == "true"
    return name


def _any(told: list[bool | None]) -> bool | None:
    return True if True in told else None if None in told else False


def _inverted(told: bool | None) -> bool | None:
    return None if told is None else not told


def is_of_type(kind: FieldType, spelled: str) -> bool:
    """Whether a text is a possible value of the key."""
    try:
        _ordered(kind, _typed(kind, spelled))
    except ValueError:
        return False
    return True
