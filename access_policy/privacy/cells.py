"""What one cell of a file becomes: a value of its declared type, nothing, or neither of the two.

| the cell | the value | in the steward's row filter |
| --- | --- | --- |
| is of its declared type | that value | compared as it is |
| is missing (Parquet null, a CSV text of ``missingValues``) | null | ``isNull`` is true, comparisons are unknown |
| is anything else (``31/12/2024`` in a date column, NaN, infinity, 1.7 in an integer column) | null, counted as a defect | everything about it is unknown: ``isNull`` too, negated or not |

A value is never another one than the cell's: what the type cannot hold exactly is of the third kind, and so are days and
instants outside the years 1 to 9999, which many readers of an answer could not hold. Instants without
a zone are local to the schema's ``zone``; without one, and where the clock of the zone skipped or repeated that hour,
they are of the third kind.
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
"""Physical types whose every cell is a value of the declared type."""

Zone: TypeAlias = Callable[[], str]
"""Gives the marker of the parameter that holds a zone; a statement takes no parameter that its text does not use."""

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
"""How a value is written as text. No leap second, no 24:00: both are counted as defects."""

_YEARS: dict[FieldType, str] = {
    "date": "BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'",
    "datetime": "BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'",
}
_LOCAL_YEARS = "BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
_ZONED_TYPES = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
_DOUBLES = {"DOUBLE": sys.float_info.dig, "FLOAT": 6}
"""Binary floating-point types, and how many digits of any decimal survive in them (DBL_DIG, FLT_DIG of C)."""


def quote(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def can_break(kind: FieldType, physical: str) -> bool:
    """Whether a cell of this physical type may be no value of the declared type."""
    return physical not in _WIDENING.get(kind, ())


def value_of(
    name: str,
    kind: FieldType,
    physical: str,
    zone: Zone | None = None,
    normalise: tuple[Normalisation, ...] = (),
) -> str:
    """The cell as a value of its declared type, or null. ``zone`` gives the parameter that holds the schema's zone;
    ``normalise`` are the rules of a column of texts."""
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
    if kind == "date" and physical in _ZONED_TYPES:  # which day it is depends on where
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
    """Whether anything is in the cell, of its type or not."""
    return f"({quote(name)} IS NOT NULL)"


def is_broken(value: str, there: str) -> str:
    """Whether something is in the cell that is no value of its declared type."""
    return f"({there} AND {value} IS NULL)"


def is_missing(value: str, there: str) -> str:
    """Whether nothing is in the cell; unknown for one that is broken."""
    return f"CASE WHEN NOT {there} THEN true WHEN {value} IS NOT NULL THEN false END"


def is_rounded(name: str) -> str:
    """Whether a text has more digits than a double carries, and is another number once it is one."""
    column = quote(name)
    digits = f"length(ltrim(regexp_replace(regexp_replace({column}, '[eE].*', ''), '[^0-9]', '', 'g'), '0'))"
    value = value_of(name, "number", "VARCHAR")
    most = sys.float_info.dig
    long = f"coalesce({digits} > {most} AND CAST({value} AS VARCHAR) <> {column}, false)"
    return f"CASE WHEN length({column}) > {most} THEN {long} ELSE false END"  # few cells are that long


def _written(column: str, kind: FieldType) -> str:
    return f"regexp_full_match({column}, '{_WRITTEN[kind]}')"


def _bounded(kind: FieldType, value: str) -> str:
    """NaN, infinity and years beyond 9999 are no values: they would pass or fail a comparison by the engine's own rules."""
    inside = (
        f"isfinite({value})" if kind == "number" else f"{value} {_YEARS[kind]}" if kind in _YEARS else None
    )
    return value if inside is None else f"CASE WHEN {inside} THEN {value} END"


def _decimal_of_double(column: str, decimal: str, physical: str) -> str:
    """A double as an exact decimal: a whole one as it is, another one as the decimal that it was made of, where that has
    no more digits than survive in a double. A cast would multiply, and invent digits."""
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
    """An hour that the zone's clock skipped comes back as another one; one that it repeated comes twice."""
    instant = f"timezone({zone}, m)"
    back = f"timezone({zone}, {instant}) = m"
    twice = " OR ".join(f"timezone({zone}, {instant} {sign} INTERVAL 1 HOUR) = m" for sign in "+-")
    once = f"CASE WHEN {back} AND NOT ({twice}) THEN {instant} END"
    return f"list_transform([{moment}], lambda m: {once})[1]"
