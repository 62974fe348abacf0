"""The schema of an asset: Frictionless Table Schema types, classes, units, and the person key.

JSON form: a Frictionless Table Schema (https://specs.frictionlessdata.io/table-schema/) with five
properties of our own, ``class``, ``unit`` and ``normalise`` on a field, ``personKey`` and ``zone`` on the schema::

    {"fields": [{"name": "citizen_id", "type": "string", "class": "identifier"},
                {"name": "pm25", "type": "number", "class": "plain", "unit": "ug/m3"}],
     "personKey": "citizen_id", "missingValues": [""], "zone": "Asia/Shanghai"}
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from difflib import get_close_matches
from functools import cache
from typing import Literal, TypeAlias, TypeVar, cast, get_args
from zoneinfo import available_timezones

from access_policy.errors import PolicyError
from access_policy.privacy.query import MAX_COLUMNS, MAX_NAME
from access_policy.privacy.spelling import NORMALISATIONS, Normalisation
from access_policy.terms.rows import Scalar

DecimalType: TypeAlias = Literal[
    "decimal(0)",
    "decimal(1)",
    "decimal(2)",
    "decimal(3)",
    "decimal(4)",
    "decimal(5)",
    "decimal(6)",
    "decimal(7)",
    "decimal(8)",
    "decimal(9)",
    "decimal(10)",
    "decimal(11)",
    "decimal(12)",
    "decimal(13)",
    "decimal(14)",
    "decimal(15)",
    "decimal(16)",
    "decimal(17)",
    "decimal(18)",
]
FieldType: TypeAlias = (
    Literal["string", "integer", "number", "boolean", "date", "datetime", "time", "year", "yearmonth"]
    | DecimalType
)
"""Those of Frictionless Table Schema, and exact decimals: ``decimal(2)`` has two places and 38 digits in all."""
FIELD_TYPES: tuple[FieldType, ...] = tuple(name for kinds in get_args(FieldType) for name in get_args(kinds))
DECIMAL_DIGITS = 38
ColumnClass: TypeAlias = Literal["identifier", "quasi-identifier", "sensitive", "plain"]
COLUMN_CLASSES: tuple[ColumnClass, ...] = get_args(ColumnClass)
Bound: TypeAlias = str | int | float | bool | Decimal | dt.date | dt.datetime | dt.time
_Moment = TypeVar("_Moment", dt.date, dt.datetime, dt.time)

RESERVED_PREFIX = "civic:"
_FIELD_MEMBERS = frozenset(
    {"name", "type", "title", "description", "class", "unit", "constraints", "normalise"}
)
_SCHEMA_MEMBERS = frozenset({"fields", "personKey", "missingValues", "zone"})
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,38}(\.\d{1,18})?", re.ASCII)
_EXACT = Context(prec=80)
_YEARMONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


class SchemaError(PolicyError):
    """A schema document is outside the supported part of Frictionless Table Schema."""

    code = "schema.invalid"


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column. ``unit`` is a label such as ``ug/m3``; ``required`` forbids null.
    ``normalise``: the rules by which its texts, and what they are compared with, are written; in the order in which they
    are applied."""

    name: str
    type: FieldType
    classification: ColumnClass = "plain"
    unit: str | None = None
    title: str | None = None
    description: str | None = None
    required: bool = False
    normalise: tuple[Normalisation, ...] = ()


@dataclass(frozen=True, slots=True)
class AssetSchema:
    """The declared columns of an asset, in order; names differ also without regard to case.

    ``person_key`` names the column that tells persons apart (cohorts count persons, not rows).
    ``missing_values`` are the texts that mean null in a CSV file. ``zone`` is the name of the time zone, in the IANA
    database, in which days and months begin and to which instants without a zone are local; None: they begin in UTC,
    and an instant without a zone is none.
    """

    columns: tuple[Column, ...]
    person_key: str | None = None
    missing_values: tuple[str, ...] = ("",)
    zone: str | None = None

    def column(self, name: str) -> Column | None:
        """The column of exactly this name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(column.name for column in self.columns)

    def concerns_persons(self) -> bool:
        """Whether rows are about persons: there is a person key, or a column of a class other than ``plain``."""
        return self.person_key is not None or any(c.classification != "plain" for c in self.columns)

    def close_to(self, name: str) -> tuple[str, ...]:
        """Column names similar to ``name``."""
        return tuple(get_close_matches(name[:MAX_NAME], self.names(), n=3))

    def to_json(self) -> dict[str, object]:
        """The JSON form; ``parse_schema(schema.to_json()) == schema``."""
        document: dict[str, object] = {"fields": [_field_to_json(column) for column in self.columns]}
        if self.person_key is not None:
            document["personKey"] = self.person_key
        if self.missing_values != ("",):
            document["missingValues"] = list(self.missing_values)
        if self.zone is not None:
            document["zone"] = self.zone
        return document


def parse_schema(document: object) -> AssetSchema:
    """Parse the JSON form; raise SchemaError with a JSON pointer on anything outside it."""
    if not isinstance(document, Mapping):
        raise SchemaError("a schema is a JSON object with 'fields'")
    for member in document:
        if member not in _SCHEMA_MEMBERS:
            raise SchemaError(
                f"a schema has no member {str(member)[:40]!r}", matches=tuple(sorted(_SCHEMA_MEMBERS))
            )
    fields = document.get("fields")
    if not isinstance(fields, list) or not 1 <= len(fields) <= MAX_COLUMNS:
        raise SchemaError(f"'fields' is a list of 1 to {MAX_COLUMNS} fields", pointer="/fields")
    columns = tuple(_field(field, f"/fields/{index}") for index, field in enumerate(fields))
    folded: set[str] = set()
    for index, column in enumerate(columns):
        if column.name.casefold() in folded:
            raise SchemaError(
                "two columns have the same name, or names that differ only by case",
                pointer=f"/fields/{index}/name",
            )
        folded.add(column.name.casefold())
    key = document.get("personKey")
    if key is not None and not any(key == column.name for column in columns):
        raise SchemaError("'personKey' names one of the fields", pointer="/personKey")
    if any(column.normalise for column in columns if column.name == key):
        raise SchemaError(
            "the person key is not normalised: persons are told apart by every character",
            pointer="/personKey",
        )
    missing = document.get("missingValues", [""])
    if not isinstance(missing, list) or not missing or not all(_means_null(text) for text in missing):
        raise SchemaError(
            "'missingValues' is a list of at least one short text without comma, quote or line end",
            pointer="/missingValues",
        )
    zone = document.get("zone")
    if zone is not None and not is_zone(zone):
        raise SchemaError(
            "'zone' is a name of the IANA time zone database, such as Asia/Shanghai", pointer="/zone"
        )
    return AssetSchema(columns, key, tuple(missing), zone)


def is_zone(name: object) -> bool:
    """Whether the IANA time zone database has exactly this name."""
    return isinstance(name, str) and name in _zones()


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def _means_null(text: object) -> bool:
    return isinstance(text, str) and len(text) <= 64 and not set(text) & set(',"\r\n\x00')


def bind_value(kind: FieldType, value: Scalar) -> Bound:
    """A predicate's JSON value as the column's type; raises ValueError with the expected form."""
    match kind:
        case "string" if isinstance(value, str):
            if value.isascii() or value.encode("utf-8", "replace").decode() == value:
                return value
            raise ValueError("the text holds half a surrogate pair, which no data can equal")
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" | "year" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "integer" if isinstance(value, str) and _WHOLE.fullmatch(value):
            return int(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case "yearmonth" if isinstance(value, str) and _YEARMONTH.fullmatch(value):
            return value
        case "date" if isinstance(value, str) and _DATE.fullmatch(value):
            return _iso(dt.date.fromisoformat, value, "a date written YYYY-MM-DD")
        case "time" if isinstance(value, str):
            moment = _iso(dt.time.fromisoformat, value, "a time written HH:MM:SS")
            if moment.tzinfo is None:
                return moment
        case "datetime" if isinstance(value, str):
            instant = _iso(dt.datetime.fromisoformat, value, "an instant written YYYY-MM-DDTHH:MM:SSZ")
            if instant.tzinfo is not None:
                return instant
            raise ValueError("an instant needs its zone, such as Z or +08:00")
    scale = decimal_scale(kind)
    if scale is not None and not isinstance(value, bool):
        return _decimal(value, scale)
    raise ValueError(f"the column is of type {kind}; the value is not")


def decimal_scale(kind: FieldType) -> int | None:
    """The places after the point of an exact decimal; None for every other type."""
    return int(kind[8:-1]) if kind.startswith("decimal(") else None


def _decimal(value: Scalar, scale: int) -> Decimal:
    """The exact number. A JSON number with a point was parsed as a double and may have changed beyond 15 digits; such numbers
    must be given as text."""
    text = repr(value) if isinstance(value, float) else str(value)
    if _DECIMAL.fullmatch(text):
        number = Decimal(text)
        digits = len(number.as_tuple().digits)
        exact = not isinstance(value, float) or digits <= sys.float_info.dig
        if exact and number == number.quantize(Decimal(1).scaleb(-scale), context=_EXACT):
            return number
    raise ValueError(f'the value is not a text such as "-12.50" with at most {scale} places after the point')


def _iso(read: Callable[[str], _Moment], value: str, wanted: str) -> _Moment:
    try:
        return read(value)
    except ValueError:
        raise ValueError(f"the value is not {wanted}") from None


def _field(document: object, pointer: str) -> Column:
    if not isinstance(document, Mapping):
        raise SchemaError("a field is a JSON object", pointer=pointer)
    for member in document:
        if member not in _FIELD_MEMBERS:
            raise SchemaError(
                f"a field has no member {str(member)[:40]!r}",
                pointer=pointer,
                matches=tuple(sorted(_FIELD_MEMBERS)),
            )
    name = document.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise SchemaError(
            f"a name is a printable text of 1 to {MAX_NAME} characters", pointer=f"{pointer}/name"
        )
    if name.casefold().startswith(RESERVED_PREFIX) or name != name.strip():
        raise SchemaError(
            f"a name does not start with {RESERVED_PREFIX!r}, nor start or end with a space",
            pointer=f"{pointer}/name",
        )
    kind = document.get("type")
    if kind not in FIELD_TYPES:
        raise SchemaError(
            f"unknown field type {str(kind)[:40]!r}", pointer=f"{pointer}/type", matches=FIELD_TYPES
        )
    classification = document.get("class", "plain")
    if classification not in COLUMN_CLASSES:
        raise SchemaError(
            f"unknown column class {str(classification)[:40]!r}",
            pointer=f"{pointer}/class",
            matches=COLUMN_CLASSES,
        )
    constraints = document.get("constraints", {})
    if (
        not isinstance(constraints, Mapping)
        or not set(constraints) <= {"required"}
        or not isinstance(constraints.get("required", False), bool)
    ):
        raise SchemaError("'constraints' may hold 'required'", pointer=f"{pointer}/constraints")
    texts: dict[str, str | None] = {}
    for member in ("unit", "title", "description"):
        text = document.get(member)
        if text is not None and (not isinstance(text, str) or len(text) > 1_024):
            raise SchemaError(f"'{member}' is a text", pointer=f"{pointer}/{member}")
        texts[member] = text
    return Column(
        name,
        cast(FieldType, kind),
        cast(ColumnClass, classification),
        texts["unit"],
        texts["title"],
        texts["description"],
        constraints.get("required", False),
        _normalise(document.get("normalise", []), kind, f"{pointer}/normalise"),
    )


def _normalise(rules: object, kind: object, pointer: str) -> tuple[Normalisation, ...]:
    if not isinstance(rules, list) or not all(
        rules.count(rule) == 1 and rule in NORMALISATIONS for rule in rules
    ):
        raise SchemaError(
            f"'normalise' is a list of {', '.join(NORMALISATIONS)}, each at most once",
            pointer=pointer,
            matches=NORMALISATIONS,
        )
    if rules and kind != "string":
        raise SchemaError("only a column of type string is normalised", pointer=pointer)
    return tuple(rule for rule in NORMALISATIONS if rule in rules)


def _field_to_json(column: Column) -> dict[str, object]:
    document: dict[str, object] = {
        "name": column.name,
        "type": column.type,
        "class": column.classification,
    }
    for member, text in (
        ("unit", column.unit),
        ("title", column.title),
        ("description", column.description),
    ):
        if text is not None:
            document[member] = text
    if column.required:
        document["constraints"] = {"required": True}
    if column.normalise:
        document["normalise"] = list(column.normalise)
    return document
