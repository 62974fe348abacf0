"""docs/values.md implemented a second time in plain Python: the value of a cell. Nothing of the product is
imported."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Document = Mapping[str, Any]


class Cell(Enum):
    """A cell without a value: it is empty, or its content is not of the declared type."""

    MISSING = 1
    BROKEN = 2


MISSING, BROKEN = Cell.MISSING, Cell.BROKEN
EXACT = Context(prec=1_000)


def scale_of(kind: str) -> int | None:
    """The decimal places of ``decimal(N)``."""
    return int(kind[8:-1]) if kind.startswith("decimal") else None


def of_text(kind: str, text: str, zone: str | None = None) -> Any:
    """A text, of a CSV file or of a Parquet column of texts, as a value of the type, or BROKEN."""

    def written(pattern: str) -> bool:
        return re.fullmatch(pattern, text, re.ASCII | re.DOTALL) is not None

    try:
        match kind:
            case "string":
                return text
            case "integer" if written(r"[+-]?\d+"):
                return _whole(int(text))
            case "year" if written(r"-?\d{4}"):
                return int(text)
            case "number" if written(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"):
                return _finite(float(text))
            case "boolean" if text in ("true", "True", "TRUE", "1", "false", "False", "FALSE", "0"):
                return text.lower() in ("true", "1")
            case "date" if written(r"\d{4}-\d\d-\d\d"):
                return dt.date.fromisoformat(text)
            case "time" if written(r"\d\d:\d\d:\d\d(\.\d{1,6})?"):
                return dt.time(int(text[:2]), int(text[3:5]), int(text[6:8]), int(text[9:].ljust(6, "0")))
            case "datetime":
                return _instant(text, zone)
            case "yearmonth" if written(r"\d{4}-(0[1-9]|1[0-2])") and text[:4] != "0000":
                return text
        scale = scale_of(kind)
        places = rf"(\.\d{{1,{scale}}})?" if scale else ""
        if scale is not None and written(r"[+-]?\d+" + places):
            return exact(Decimal(text), scale)
    except ValueError:
        return BROKEN
    return BROKEN


def _instant(text: str, zone: str | None) -> Any:
    found = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d(?::?\d\d)?)?",
        text,
        re.ASCII,
    )
    if found is None:
        return BROKEN
    *parts, micro, offset = found.groups()
    moment = dt.datetime(*(int(part or 0) for part in parts), int((micro or "").ljust(6, "0")))  # type: ignore[arg-type]
    if offset is None:
        return BROKEN if zone is None else local(moment, zone)
    hours, minutes = (
        (0, 0) if offset == "Z" else (int(offset[1:3]), int(offset[-2:]) if len(offset) > 3 else 0)
    )
    if hours > 23 or minutes > 59:
        return BROKEN
    apart = dt.timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1)
    return _since_epoch(moment - EPOCH - apart)


EPOCH = dt.datetime(1970, 1, 1)
_LEAST, _MOST = dt.datetime.min - EPOCH, dt.datetime.max - EPOCH


def _since_epoch(apart: dt.timedelta) -> Any:
    return (EPOCH + apart).replace(tzinfo=dt.UTC) if _LEAST <= apart <= _MOST else BROKEN


def local(moment: dt.datetime, zone: str) -> Any:
    """An instant in local time of the zone; BROKEN if the zone skips or repeats that hour."""
    known = ZoneInfo(zone)
    offsets = {moment.replace(tzinfo=known, fold=fold).utcoffset() for fold in (0, 1)}
    if len(offsets) > 1:
        return BROKEN
    return _since_epoch(moment - EPOCH - (offsets.pop() or dt.timedelta()))


def _whole(number: int) -> Any:
    return number if -(2**63) <= number < 2**63 else BROKEN


def _finite(number: float) -> Any:
    return number if math.isfinite(number) else BROKEN


def exact(number: Decimal, scale: int) -> Any:
    """The number with all its places, if it fits into 38 digits."""
    if not number.is_finite() or number != number.quantize(Decimal(1).scaleb(-scale), context=EXACT):
        return BROKEN
    placed = number.quantize(Decimal(1).scaleb(-scale), context=EXACT)
    return (
        placed.copy_abs()
        if placed == 0
        else placed
        if placed.copy_abs() < Decimal(10) ** (38 - scale)
        else BROKEN
    )


def of_parquet(kind: str, physical: str, raw: Any, zone: str | None = None) -> Any:
    """A cell of a Parquet column. ``physical`` is Arrow's name of its type; instants, days and times are raw numbers
    of its unit, everything else is Python's value."""
    family = re.split(r"[\[(]", physical)[0].rstrip("0123456789")
    if family in ("string", "large_string"):
        return of_text(kind, raw, zone)
    if family in ("int", "uint", "decimal", "float", "double", "halffloat") and kind != "string":
        return _of_number(kind, raw, 15 if family == "double" else 6)
    if family == "timestamp":
        return _of_instant(kind, physical, raw, zone)
    if family == "date":
        days = dt.timedelta(raw) if physical.startswith("date32") else dt.timedelta(milliseconds=raw)
        if not _LEAST <= days <= _MOST or kind not in ("date", "string"):
            return BROKEN
        return (EPOCH + days).date() if kind == "date" else (EPOCH + days).date().isoformat()
    if family == "time":
        micro, rest = divmod(raw * {"[ms]": 1_000_000, "[us]": 1_000, "[ns]": 1}[physical[6:]], 1_000)
        fits = kind == "time" and not rest and 0 <= micro < 86_400_000_000
        return (EPOCH + dt.timedelta(microseconds=micro)).time() if fits else BROKEN
    if family == "bool":
        return raw if kind == "boolean" else str(raw).lower() if kind == "string" else BROKEN
    if kind == "string" and family == "decimal":
        places = int(physical.split(",")[1][:-1])
        return f"{raw.quantize(Decimal(1).scaleb(-places), context=EXACT):f}"
    if kind == "string" and family in ("int", "uint"):
        return str(raw)
    return BROKEN


def _of_number(kind: str, raw: int | float | Decimal, digits: int) -> Any:
    """``digits``: the precision of the column's binary floating-point type."""
    if not math.isfinite(raw):
        return BROKEN
    if kind == "boolean":
        return bool(raw) if isinstance(raw, int) and raw in (0, 1) else BROKEN
    if kind in ("integer", "year"):
        return _whole(int(raw)) if int(raw) == raw else BROKEN
    if kind == "number":
        number = float(raw)
        if isinstance(raw, Decimal):
            places = -int(raw.as_tuple().exponent)
            return number if round(Fraction(number), places) == Fraction(raw) else BROKEN
        return number if number == raw else BROKEN
    scale = scale_of(kind)
    if scale is None:
        return BROKEN
    if isinstance(raw, float) and raw != int(raw):
        made_of = Decimal(repr(raw)).normalize()
        return exact(made_of, scale) if len(made_of.as_tuple().digits) <= digits else BROKEN
    return exact(Decimal(raw), scale)


def _of_instant(kind: str, physical: str, raw: int, zone: str | None) -> Any:
    unit = physical[10:12] if physical[10] != "s" else "s"
    nanos = raw * {"s": 10**9, "ms": 10**6, "us": 1_000, "ns": 1}[unit]
    micro, rest = divmod(nanos, 1_000)
    if (
        rest
        or not _LEAST
        <= (apart := dt.timedelta(microseconds=micro) if abs(micro) < 10**18 else _MOST * 2)
        <= _MOST
    ):
        return BROKEN
    moment = EPOCH + apart
    zoned = "tz=" in physical
    if kind == "datetime":
        return moment.replace(tzinfo=dt.UTC) if zoned else BROKEN if zone is None else local(moment, zone)
    return moment.date() if kind == "date" and not zoned and moment.time() == dt.time() else BROKEN


def read(field: Document, physical: str | None, raw: Any, schema: Document) -> Any:
    """One cell. ``physical`` None: a CSV file."""
    zone = schema.get("zone")
    if raw is None or (physical is None and raw in schema.get("missingValues", [""])):
        return MISSING
    kind = field["type"]
    value = of_text(kind, raw, zone) if physical is None else of_parquet(kind, physical, raw, zone)
    return normal(value, field.get("normalise", ())) if isinstance(value, str) else value


SPACE = "".join(c for c in map(chr, range(0x110000)) if c.isspace())


def normal(text: str, rules: Sequence[str]) -> str:
    """The normal spelling."""
    if "width" in rules:
        text = "".join(
            unicodedata.normalize("NFKC", c) if 0xFF01 <= ord(c) <= 0xFF5E or c == "\u3000" else c
            for c in text
        )
    if "nfc" in rules:
        text = unicodedata.normalize("NFC", text)
    if "case" in rules:
        text = "".join("i" if c == "İ" else c.lower() for c in text)
        text = unicodedata.normalize("NFC", text) if "nfc" in rules else text
    return text.strip(SPACE) if "trim" in rules else text
