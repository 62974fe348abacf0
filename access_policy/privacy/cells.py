"""The three states of a cell of a file: a value of its declared type, missing, or invalid.

| the cell | the value | in the steward's row filter |
| --- | --- | --- |
| is of its declared type | that value | compared as it is |
| is missing (Parquet null, a CSV text of ``missingValues``) | null | ``isNull`` is true, comparisons are unknown |
| is anything else (``31/12/2024`` in a date column, NaN, infinity, 1.7 in an integer column) | null, counted as a defect | everything about it is unknown: ``isNull`` too, negated or not |

A value is always exactly that of the cell: a cell that the type cannot represent exactly is invalid, and so are days and
instants outside the years 1 to 9999, which many programs cannot represent. Instants without a zone are local to the schema's
``zone``; without a ``zone``, and in an hour that the zone's clock skipped or repeated, they are invalid.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias, get_args

from access_policy.privacy.schema import DECIMAL_DIGITS, DecimalType, FieldType, decimal_scale
from access_policy.privacy.spelling import Normalisation, normalised_sql

ENGINE_TYPES: dict[FieldType, str] = {
    **{kind: f"DECIMAL({DECIMAL_DIGITS},{decimal_scale(kind)})" for kind in get_args(DecimalType)},
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMP WITH TIME ZONE",
    "time": "TIME",
    "year": "BIGINT",
    "yearmonth": "VARCHAR",
}
_WIDENING: dict[FieldType, frozenset[str]] = {
    "string": frozenset({"VARCHAR"}),
    "integer": frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}),
    "number": frozenset({"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"}),
    "boolean": frozenset({"BOOLEAN"}),
    "time": frozenset({"TIME"}),
    "year": frozenset({"SMALLINT", "INTEGER", "USMALLINT", "UINTEGER", "BIGINT"}),
}
"""For each declared type the physical types whose cells are always valid."""

Zone: TypeAlias = Callable[[], str]
"""Returns the marker of the parameter with the zone. The parameter is bound at the first call, because a statement may not
have unused parameters."""

_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LOCAL = _YEAR + r"-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_ZONED = _LOCAL + r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
_WRITTEN: dict[FieldType, str] = {
    "decimal(0)": "[+-]?[0-9]+",
    **{
        kind: rf"[+-]?[0-9]+(\.[0-9]{{1,{decimal_scale(kind)}}})?"
        for kind in get_args(DecimalType)
        if decimal_scale(kind)
    },
    "integer": r"[+-]?[0-9]+",
    "number": r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?",
    "boolean": r"true|True|TRUE|1|false|False|FALSE|0",
    "date": _YEAR + "-[0-9]{2}-[0-9]{2}",
    "time": _TIME,
    "year": r"-?[0-9]{4}",
    "yearmonth": _YEAR + "-(0[1-9]|1[0-2])",
}
"""The patterns of values in text cells. Leap seconds and 24:00 are defects."""

_YEARS: dict[FieldType, str] = {
    "date": "BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'",
    "datetime": "BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'",
}
_LOCAL_YEARS = "BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
_ZONED_TYPES = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
_DOUBLES = {"DOUBLE": sys.float_info.dig, "FLOAT": 6}
"""The binary floating-point types, with the number of decimal digits that they preserve (DBL_DIG, FLT_DIG of C)."""


def quote(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def can_break(kind: FieldType, physical: str) -> bool:
    """Whether a cell of this physical type may be invalid for the declared type."""
    return physical not in _WIDENING.get(kind, ())


def value_of(
    name: str,
    kind: FieldType,
    physical: str,
    zone: Zone | None = None,
    normalise: tuple[Normalisation, ...] = (),
) -> str:
    """The SQL expression of the cell as a value of its declared type, or null. ``zone`` gives the parameter with the schema's
    zone; ``normalise`` are the rules of a text column."""
    if normalise:
        return normalised_sql(value_of(name, kind, physical, zone), normalise)
    column, target = quote(name), ENGINE_TYPES[kind]
    if not can_break(kind, physical):
        return column if physical == target else f"CAST({column} AS {target})"
    if kind == "datetime":
        return _bounded(kind, _instant(column, physical, zone))
    if physical == "VARCHAR" and kind in _WRITTEN:
        return _bounded(kind, f"CASE WHEN {_written(column, kind)} THEN TRY_CAST({column} AS {target}) END")
    if kind == "yearmonth":
        text = f"CAST({column} AS VARCHAR)"
        return f"CASE WHEN regexp_full_match({text}, '{_WRITTEN[kind]}') THEN {text} END"
    if kind == "date" and physical in _ZONED_TYPES:  # the day depends on the zone
        return f"CASE WHEN {column} IS NULL THEN NULL::{target} END"
    if physical in _DOUBLES and decimal_scale(kind) is not None:
        return _decimal_of_double(column, target, physical)
    cast = f"TRY_CAST({column} AS {target})"
    if kind == "string" and physical in ("DATE", *_DOUBLES):
        return f"CASE WHEN {_bounded('date' if physical == 'DATE' else 'number', column)} IS NOT NULL THEN {cast} END"
    exact = (
        cast if physical == target else f"CASE WHEN TRY_CAST({cast} AS {physical}) = {column} THEN {cast} END"
    )
    return _bounded(kind, exact)


def is_there(name: str) -> str:
    """The SQL condition that the cell is not missing (valid or invalid)."""
    return f"({quote(name)} IS NOT NULL)"


def is_broken(value: str, there: str) -> str:
    """The SQL condition that the cell is invalid."""
    return f"({there} AND {value} IS NULL)"


def is_missing(value: str, there: str) -> str:
    """The SQL condition that the cell is missing; unknown (null) for an invalid cell."""
    return f"CASE WHEN NOT {there} THEN true WHEN {value} IS NOT NULL THEN false END"


def is_rounded(name: str) -> str:
    """The SQL condition that a text has more digits than a double preserves, and is changed by the conversion."""
    column = quote(name)
    digits = f"length(ltrim(regexp_replace(regexp_replace({column}, '[eE].*', ''), '[^0-9]', '', 'g'), '0'))"
    value = value_of(name, "number", "VARCHAR")
    most = sys.float_info.dig
    long = f"coalesce({digits} > {most} AND CAST({value} AS VARCHAR) <> {column}, false)"
    return f"CASE WHEN length({column}) > {most} THEN {long} ELSE false END"  # the length is checked first, because few cells are that long


def _written(column: str, kind: FieldType) -> str:
    return f"regexp_full_match({column}, '{_WRITTEN[kind]}')"


def _bounded(kind: FieldType, value: str) -> str:
    """Exclude NaN, infinity and years after 9999, which the engine would compare by its own rules."""
    inside = (
        f"isfinite({value})" if kind == "number" else f"{value} {_YEARS[kind]}" if kind in _YEARS else None
    )
    return value if inside is None else f"CASE WHEN {inside} THEN {value} END"


def _decimal_of_double(column: str, decimal: str, physical: str) -> str:
    """A double as an exact decimal: an integer unchanged, another number as its shortest decimal, if it has no more digits
    than a double preserves. A cast would add wrong digits."""
    text = f"CAST({column} AS VARCHAR)"
    digits = f"length(trim(regexp_replace(regexp_replace({text}, 'e.*', ''), '[^0-9]', '', 'g'), '0'))"
    written = f"TRY_CAST({text} AS {decimal})"
    same = f"{digits} <= {_DOUBLES[physical]} AND TRY_CAST({written} AS {physical}) = {column}"
    whole = f"TRY_CAST(TRY_CAST({column} AS HUGEINT) AS {decimal})"
    return f"CASE WHEN {column} = trunc({column}) THEN {whole} WHEN {same} THEN {written} END"


def _instant(column: str, physical: str, zone: Zone | None) -> str:
    if physical in _ZONED_TYPES:
        moment = f"TRY_CAST({column} AS {ENGINE_TYPES['datetime']})"
        return (
            f"CASE WHEN TRY_CAST({moment} AS {physical}) = {column} THEN {moment} END"
            if physical.endswith("NS")
            else column
        )
    if physical == "VARCHAR":
        zoned = f"CASE WHEN regexp_full_match({column}, '{_ZONED}') THEN TRY_CAST({column} AS {ENGINE_TYPES['datetime']}) END"
        if zone is None:
            return zoned
        text = f"CASE WHEN regexp_full_match({column}, '{_LOCAL}') THEN TRY_CAST({column} AS TIMESTAMP) END"
        return f"coalesce({zoned}, {_local(text, zone())})"
    if not physical.startswith("TIMESTAMP") or zone is None:
        return f"CASE WHEN {column} IS NULL THEN NULL::{ENGINE_TYPES['datetime']} END"
    moment = f"TRY_CAST({column} AS TIMESTAMP)"
    return _local(
        f"CASE WHEN {moment} {_LOCAL_YEARS} AND TRY_CAST({moment} AS {physical}) = {column} THEN {moment} END",
        zone(),
    )


def _local(moment: str, zone: str) -> str:
    """A local time as an instant; null in an hour that the zone's clock skipped or repeated."""
    instant = f"timezone({zone}, m)"
    back = f"timezone({zone}, {instant}) = m"
    twice = " OR ".join(f"timezone({zone}, {instant} {sign} INTERVAL 1 HOUR) = m" for sign in "+-")
    once = f"CASE WHEN {back} AND NOT ({twice}) THEN {instant} END"
    return f"list_transform([{moment}], lambda m: {once})[1]"
