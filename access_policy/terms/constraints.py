"""Constraints of the profile: one table defines the operators and the type of value of each operand.

A constraint compares a left operand (a property of the call) with a right operand (a value in the terms). The table
``OPERANDS`` is the whole profile: an unknown operand raises TermsError and is never ignored (ODRL 2.2 Information
Model, section 2.5; the operators' names are those of its section 3 in the Vocabulary).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeGuard

from access_policy.terms.documents import Reader
from access_policy.terms.vocabulary import Scheme, legal_bases, purposes

OPERATORS: tuple[str, ...] = (
    "eq",
    "neq",
    "lt",
    "lteq",
    "gt",
    "gteq",
    "isA",
    "isPartOf",
    "hasPart",
    "isAnyOf",
    "isAllOf",
    "isNoneOf",
)
LIST_OPERATORS = frozenset(("isAnyOf", "isAllOf", "isNoneOf"))
ORDER: tuple[str, ...] = ("eq", "neq", "lt", "lteq", "gt", "gteq")
CONCEPTS: tuple[str, ...] = ("eq", "neq", "isA", "isPartOf", "hasPart", "isAnyOf", "isAllOf", "isNoneOf")
MEMBERS: tuple[str, ...] = ("eq", "neq", "isPartOf", "isAnyOf", "isNoneOf")
VALUES: tuple[str, ...] = ("eq", "neq", "isAnyOf", "isNoneOf")

LogicalKind: TypeAlias = Literal["and", "or", "xone", "andSequence"]
LOGICAL: tuple[LogicalKind, ...] = ("and", "or", "xone", "andSequence")

Value: TypeAlias = str | int | datetime | timedelta
MAX_COUNT = 2**32 - 2
MAX_VERSION = 2**32 - 1
PARTY_KINDS = (
    "department",
    "enterprise",
    "socialOrganisation",
    "community",
    "researchBody",
    "public",
)


@dataclass(frozen=True, slots=True)
class Constraint:
    """``operand operator value``; ``value`` is a tuple for the list operators."""

    operand: str
    operator: str
    value: Value | tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Logical:
    """Constraints joined by ``and``, ``or``, ``xone`` (exactly one) or ``andSequence`` (in this order)."""

    kind: LogicalKind
    parts: tuple[ConstraintNode, ...]


ConstraintNode: TypeAlias = Constraint | Logical


@dataclass(frozen=True, slots=True)
class Operand:
    """One left operand: the type of its value, its operators, and the functions that read and write a value."""

    name: str
    type: str
    operators: tuple[str, ...]
    read: Callable[[Reader], Value]
    write: Callable[[Any], object]


# --- values --------------------------------------------------------------------------------------------------------

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
"""An RFC 3339 time with a zone."""
_DURATION = re.compile(
    r"P(?:(\d{1,4})W|(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?)",
    re.ASCII,
)
_AREA = re.compile(r"\d{6}(?:\d{3}){0,2}|[A-Z]{2}[0-9A-Z]{0,3}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,80}")


def read_instant(reader: Reader) -> datetime:
    """An RFC 3339 instant with an explicit zone, as UTC."""
    inner = reader.literal("xsd:dateTime", "xsd:dateTimeStamp")
    text = inner.text("an instant")
    if not INSTANT.fullmatch(text):
        inner.fail("an instant with its zone belongs here, such as 2027-01-01T00:00:00Z")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        inner.fail("there is no such instant")


def write_instant(value: datetime) -> dict[str, str]:
    """The normal form: UTC with ``Z``, and fractions only if there are some."""
    return {"@type": "xsd:dateTime", "@value": instant_text(value)}


@lru_cache(maxsize=4096)
def instant_text(value: datetime) -> str:
    """An instant as RFC 3339 text in UTC."""
    return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def read_duration(reader: Reader) -> timedelta:
    """Weeks, or days and a time; months and years are refused because their length depends on the day."""
    inner = reader.literal("xsd:duration")
    text = inner.text("a duration")
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groups()):
        inner.fail("a duration in weeks, days, hours, minutes or seconds belongs here, such as P30D")
    weeks, days, hours, minutes, seconds = (int(g or 0) for g in found.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def duration_text(value: timedelta) -> str:
    """The shortest ISO 8601 form in days, hours, minutes and seconds."""
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    days = f"{value.days}D" if value.days else ""
    return f"P{days}T{time}" if time else f"P{days}" if days else "PT0S"


def _read_count(reader: Reader) -> int:
    inner = reader.literal("xsd:integer", "xsd:nonNegativeInteger")
    value = inner.value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        inner.fail(f"an integer from 0 to {MAX_COUNT} belongs here")
    return value


def _read_version(reader: Reader) -> int:
    inner = reader.literal("xsd:integer", "xsd:positiveInteger")
    value = inner.value
    if not is_version(value):
        inner.fail(f"a version is a whole number from 1 to {MAX_VERSION}")
    return value


def is_version(value: object) -> TypeGuard[int]:
    """Whether this is a number that a version of a dataset can have."""
    return type(value) is int and 1 <= value <= MAX_VERSION


def _concept(scheme: Callable[[], Scheme], what: str) -> Callable[[Reader], str]:
    def read(reader: Reader) -> str:
        if isinstance(reader.value, dict) and set(reader.value) == {"@id"}:
            return read(reader["@id"])
        term = scheme().compact(reader.text(what))
        if term not in scheme():
            reader.fail(f"{term[:80]!r} is not {what} of DPV 2.3", matches=scheme().close_to(term))
        return term

    return read


def _pattern(pattern: re.Pattern[str], what: str) -> Callable[[Reader], str]:
    def read(reader: Reader) -> str:
        text = reader.literal("xsd:string").text(what)
        if not pattern.fullmatch(text):
            reader.fail(f"{what} belongs here")
        return text

    return read


def _read_party(reader: Reader) -> str:
    return reader.iri("a party")


def _read_kind(reader: Reader) -> str:
    text = reader.literal("xsd:string").text("a kind of party")
    if text not in PARTY_KINDS:
        reader.fail(f"{text[:80]!r} is not a kind of party", known=PARTY_KINDS)
    return text


def _plain(value: object) -> object:
    return value


def _identified(value: object) -> object:
    return {"@id": value}


OPERANDS: dict[str, Operand] = {
    o.name: o
    for o in (
        Operand("purpose", "purpose", CONCEPTS, _concept(purposes, "a purpose"), _identified),
        Operand("legalBasis", "legal basis", CONCEPTS, _concept(legal_bases, "a legal basis"), _identified),
        Operand("dateTime", "instant", ORDER, read_instant, write_instant),
        Operand(
            "elapsedTime",
            "duration",
            ORDER,
            read_duration,
            lambda v: {"@type": "xsd:duration", "@value": duration_text(v)},
        ),
        Operand("count", "integer", ORDER, _read_count, _plain),
        Operand(
            "spatial",
            "area code",
            ("eq", "neq", "isPartOf", "hasPart", "isAnyOf", "isNoneOf"),
            _pattern(_AREA, "an administrative code (GB/T 2260 digits or NUTS)"),
            _plain,
        ),
        Operand("recipient", "party", MEMBERS, _read_party, _identified),
        Operand("language", "language tag", VALUES, _pattern(_LANGUAGE, "a language tag (BCP 47)"), _plain),
        Operand("fileFormat", "media type", VALUES, _pattern(_MEDIA_TYPE, "a media type (RFC 6838)"), _plain),
        Operand("partyKind", "kind of party", VALUES, _read_kind, _plain),
        Operand("version", "integer", ("eq",), _read_version, _plain),
    )
}

PINS = frozenset(("version",))
"""Operands that select the file to read. In a permission a pin may occur once, not inside a logical constraint, and with
``eq`` only."""
RULE_OPERANDS = frozenset(OPERANDS) - {"partyKind"} - PINS
ACTION_OPERANDS = frozenset(("fileFormat", "language", "recipient", "spatial"))
PARTY_OPERANDS = frozenset(("spatial", "partyKind"))


# --- reading and writing -------------------------------------------------------------------------------------------


def read_constraint(reader: Reader, allowed: frozenset[str] = RULE_OPERANDS) -> ConstraintNode:
    """Read a constraint or logical constraint with operands of ``allowed``; raises TermsError."""
    for kind in LOGICAL:
        if kind in reader:
            reader.members((kind, "@type"))
            if "@type" in reader and reader.value["@type"] != "LogicalConstraint":
                reader["@type"].fail("a LogicalConstraint belongs here")
            parts = tuple(read_constraint(r, allowed - PINS) for r in reader[kind].items())
            if not parts:
                reader[kind].fail(f"{kind!r} joins at least one constraint")
            return Logical(kind, parts)
    reader.members(
        ("leftOperand", "operator", "rightOperand", "@type"),
        required=("leftOperand", "operator", "rightOperand"),
    )
    if "@type" in reader and reader.value["@type"] != "Constraint":
        reader["@type"].fail("a Constraint belongs here")
    operand = OPERANDS[read_name(reader["leftOperand"], "left operand", allowed)]
    operator = read_name(reader["operator"], "operator", OPERATORS)
    if operator not in operand.operators:
        reader["operator"].fail(
            f"{operand.name!r} is not compared by {operator!r}", matches=operand.operators
        )
    right = reader["rightOperand"]
    if operator not in LIST_OPERATORS:
        return Constraint(operand.name, operator, operand.read(right))
    values = tuple(operand.read(r) for r in right.items())
    if not values or len(set(values)) != len(values):
        right.fail("a list of different values belongs here")
    return Constraint(operand.name, operator, values)


def read_name(reader: Reader, what: str, known: frozenset[str] | tuple[str, ...]) -> str:
    """Read a term of the profile, given alone, with the prefix ``odrl:`` or ``civic:``, or as full ODRL IRI."""
    if isinstance(reader.value, dict) and set(reader.value) == {"@id"}:
        return read_name(reader["@id"], what, known)
    text = reader.text(f"a {what}")
    for prefix in ("odrl:", "civic:", "http://www.w3.org/ns/odrl/2/", "urn:civic:terms:"):
        text = text.removeprefix(prefix)
    if text not in known:
        Reader(text, reader.pointer).fail(f"{text[:80]!r} is not a known {what} here", known=known)
    return text


def write_constraint(node: ConstraintNode) -> dict[str, object]:
    """The normal form: ``read_constraint(write_constraint(c)) == c``."""
    if isinstance(node, Logical):
        parts = [write_constraint(p) for p in node.parts]
        return {node.kind: {"@list": parts} if node.kind == "andSequence" else parts}
    write = OPERANDS[node.operand].write
    value = node.value
    right = [write(v) for v in value] if isinstance(value, tuple) else write(value)
    return {"leftOperand": node.operand, "operator": node.operator, "rightOperand": right}


def leaves(node: ConstraintNode) -> tuple[Constraint, ...]:
    """All single constraints in a constraint or logical constraint."""
    if isinstance(node, Constraint):
        return (node,)
    return tuple(leaf for part in node.parts for leaf in leaves(part))


# --- areas ---------------------------------------------------------------------------------------------------------


def is_area(code: str) -> bool:
    """Whether this is an administrative code in digits (GB/T 2260 and its extensions) or a NUTS code."""
    if code.isascii() and code.isdigit():
        return len(code) in (6, 9, 12)
    return (
        2 <= len(code) <= 5
        and code[:2].isalpha()
        and code.isascii()
        and code.isalnum()
        and code.upper() == code
    )


def area_prefix(code: str) -> str:
    """The prefix of all codes inside this area: 310000 -> 31, 310100 -> 3101, DE2 -> DE2."""
    if not code[:1].isdigit():
        return code
    head, tail = code[:6], code[6:]
    while tail.endswith("000"):
        tail = tail[:-3]
    if tail:
        return head + tail
    while head.endswith("00"):
        head = head[:-2]
    return head


def within_area(inner: str, outer: str) -> bool:
    """Whether area ``inner`` is ``outer`` or a part of it."""
    return area_prefix(inner).startswith(area_prefix(outer)) and inner[:1].isdigit() == outer[:1].isdigit()


@lru_cache(maxsize=1024)
def inside_any(areas: tuple[str, ...]) -> Callable[[str], bool]:
    """A function that tests whether an area is one of these or a part of one. Its cost does not depend on the number of
    areas: it makes one lookup for each prefix length."""
    digits = frozenset(area_prefix(a) for a in areas if a[:1].isdigit())
    letters = frozenset(area_prefix(a) for a in areas if not a[:1].isdigit())

    def inside(area: str) -> bool:
        prefix = area_prefix(area)
        outer = digits if area[:1].isdigit() else letters
        return any(prefix[:n] in outer for n in range(len(prefix) + 1))

    return inside


def distinguishable_areas(mentioned: list[str]) -> tuple[list[Any], bool]:
    """All areas that these constraints can distinguish: each mentioned area, all areas that contain it, and in each of these
    one area that is not mentioned. The flag states whether the list is complete."""
    prefixes: set[str] = set()
    for code in mentioned:
        prefix = area_prefix(code)
        steps = (2, 4, 6, 9, 12) if code[:1].isdigit() else (2, 3, 4, 5)
        prefixes |= {prefix[:n] for n in steps if n <= len(prefix)}
    found: list[Any] = [_area_code(p) for p in sorted(prefixes)]
    for prefix in sorted(prefixes | ({""} if any(p[:1].isdigit() for p in prefixes) else set())):
        found.extend(_fresh_part(prefix, prefixes))
    return [*found, "000000", "ZZ", None], True


def _area_code(prefix: str) -> str:
    return prefix.ljust(6, "0") if prefix[:1].isdigit() and len(prefix) < 6 else prefix


def _fresh_part(prefix: str, taken: set[str]) -> list[str]:
    if prefix and not prefix[:1].isdigit():
        parts = [prefix + c for c in "XYZWVU0123456789"] if len(prefix) < 5 else []
    else:
        width = 2 if len(prefix) < 6 else 3
        parts = [prefix + str(n).zfill(width) for n in range(99, 0, -1)] if len(prefix) < 12 else []
    return [_area_code(p) for p in parts if p not in taken][:1]
