"""Compiled constraints: three-valued checks without a clock.

A check returns True (satisfied), False (not satisfied) or None (indeterminate: the call has no value or one of a wrong type).
None never permits and never lifts a prohibition. Concept operators are compiled to membership in a set of concepts, so the
hierarchy is not used at decision time.
"""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from access_policy.decision.answers import Context, Request, fits, version_seen
from access_policy.terms.constraints import (
    Constraint,
    ConstraintNode,
    Logical,
    Value,
    duration_text,
    inside_any,
    instant_text,
    is_area,
    within_area,
)
from access_policy.terms.vocabulary import Scheme, call_purposes, legal_bases, purposes

State: TypeAlias = bool | None
Check: TypeAlias = Callable[["Call"], State]

ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": op.eq,
    "neq": op.ne,
    "lt": op.lt,
    "lteq": op.le,
    "gt": op.gt,
    "gteq": op.ge,
}

CODES: dict[str, str] = {
    "purpose": "purpose.mismatch",
    "legalBasis": "legal-basis.mismatch",
    "elapsedTime": "period.elapsed",
    "count": "uses.exhausted",
    "spatial": "area.mismatch",
    "recipient": "recipient.mismatch",
    "language": "language.mismatch",
    "fileFormat": "format.mismatch",
    "partyKind": "party.mismatch",
    "version": "version.mismatch",
}
TIME_CODES = {
    "lt": "grant.expired",
    "lteq": "grant.expired",
    "gt": "grant.not-yet-valid",
    "gteq": "grant.not-yet-valid",
}


class Call:
    """One request and its context for the checks; ``grant`` is the id of the grant that is being evaluated."""

    __slots__ = ("attributes", "context", "grant", "now", "purpose", "request")

    def __init__(self, request: Request, context: Context) -> None:
        self.request = request
        self.context = context
        self.purpose = request.purpose
        self.now = context.now
        self.attributes: Mapping[str, str | int | tuple[str, ...]] = request.attributes
        self.grant = ""


class Leaf(NamedTuple):
    """One constraint with its check; ``pointer`` is its JSON pointer in the normal form of the terms.

    ``code``, ``seen`` (of the call) and ``wanted`` (in the terms) are for the reason when it is not satisfied.
    """

    pointer: str
    constraint: Constraint
    check: Check
    seen: Callable[[Call], str | None]
    code: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Group:
    """A logical constraint over compiled parts."""

    kind: str
    parts: tuple[Node, ...]
    pointer: str
    check: Check


Node: TypeAlias = Leaf | Group


def value_text(value: Value) -> str:
    """A right operand as text, in the form of the terms."""
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    return str(value)


def compile_constraint(node: ConstraintNode, pointer: str, *, party: bool = False) -> Node:
    """Compile one constraint. With ``party``, it reads attributes of the assignee (``assignee/spatial``)."""
    if isinstance(node, Logical):
        path = f"{pointer}/{node.kind}" + ("/@list" if node.kind == "andSequence" else "")
        parts = tuple(compile_constraint(p, f"{path}/{i}", party=party) for i, p in enumerate(node.parts))
        return Group(node.kind, parts, pointer, _JOINS[node.kind](tuple(p.check for p in parts)))
    return Leaf(pointer, *_prepare(node, party))


@lru_cache(maxsize=16_384)
def _prepare(c: Constraint, party: bool) -> tuple[Constraint, Check, Callable[[Call], str | None], str, str]:
    """The parts of a compiled constraint that do not depend on its pointer; cached, because many grants share constraints."""
    check, seen = _leaf(c, f"assignee/{c.operand}" if party else c.operand)
    code = TIME_CODES.get(c.operator, "time.mismatch") if c.operand == "dateTime" else CODES[c.operand]
    text = ", ".join(map(value_text, c.value)) if isinstance(c.value, tuple) else value_text(c.value)
    return c, check, seen, code, f"{c.operator} {text}"


# --- one constraint ------------------------------------------------------------------------------------------------


def _leaf(c: Constraint, key: str) -> tuple[Check, Callable[[Call], str | None]]:
    match c.operand:
        case "purpose":
            allowed, known = concept_set(purposes(), c), call_purposes()

            def purpose(call: Call) -> State:
                return True if call.purpose in allowed else False if call.purpose in known else None

            return purpose, lambda call: call.purpose
        case "dateTime":
            compare, instant = ORDERINGS[c.operator], c.value
            return lambda call: compare(call.now, instant), lambda call: instant_text(call.now)
        case "count":
            return _count(ORDERINGS[c.operator], c.value), lambda call: str(
                call.context.used.get(call.grant, 0)
            )
        case "elapsedTime":
            return _elapsed(ORDERINGS[c.operator], c.value), _elapsed_seen
        case "version":
            return _version(c.value)
        case "legalBasis":
            bases = legal_bases()
            allowed = concept_set(bases, c)
            return _each(key, lambda v, call: v in allowed if v in bases else None), _attribute_seen(key)
        case "spatial":
            return _each(key, _area(c)), _attribute_seen(key)
        case "recipient":
            return _each(key, _recipient(c)), _attribute_seen(key)
        case _:
            return _each(key, _plain(c)), _attribute_seen(key)


def _version(pin: object) -> tuple[Check, Callable[[Call], str | None]]:
    assert isinstance(pin, int)
    return (
        lambda call: fits(pin, call.request, call.context),
        lambda call: version_seen(call.request, call.context),
    )


@lru_cache(maxsize=16_384)
def concept_set(scheme: Scheme, c: Constraint) -> frozenset[str]:
    """The concepts with which a call satisfies ``c``.

    ``isA`` and ``isPartOf``: the concept or a narrower one; ``hasPart``: the concept or a broader one; list operators: each
    member or a narrower concept; ``eq`` and ``neq``: exactly the concept.
    """
    if isinstance(c.value, tuple):
        below = [scheme.descendants[str(v)] for v in c.value]
        if c.operator == "isAnyOf":
            return frozenset().union(*below)
        if c.operator == "isAllOf":
            return below[0].intersection(*below[1:])
        return frozenset(scheme.concepts).difference(*below)
    value = str(c.value)
    if c.operator in ("isA", "isPartOf"):
        return scheme.descendants[value]
    if c.operator == "hasPart":
        return scheme.ancestors[value]
    return frozenset((value,)) if c.operator == "eq" else frozenset(scheme.concepts) - {value}


def _count(compare: Callable[[Any, Any], bool], limit: object) -> Check:
    """A check of the number of uses, including this use: the first use is number 1."""

    def count(call: Call) -> State:
        used = call.context.used.get(call.grant, 0)
        if isinstance(used, bool) or not isinstance(used, int) or used < 0:
            return None
        return compare(used + 1, limit)

    return count


def elapsed(call: Call) -> timedelta | None:
    """The time since the grant's first use; zero before any use; None when it is missing."""
    first = call.context.first_used.get(call.grant)
    if first is None:
        return timedelta(0) if call.context.used.get(call.grant, 0) == 0 else None
    if first.tzinfo is None or first > call.now:
        return None
    return call.now - first


def _elapsed(compare: Callable[[Any, Any], bool], limit: object) -> Check:
    def check(call: Call) -> State:
        since = elapsed(call)
        return None if since is None else compare(since, limit)

    return check


def _elapsed_seen(call: Call) -> str | None:
    since = elapsed(call)
    return None if since is None else duration_text(since)


def _attribute_seen(key: str) -> Callable[[Call], str | None]:
    def seen(call: Call) -> str | None:
        value = call.attributes.get(key)
        if value is None:
            return None
        return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    return seen


def _each(key: str, one: Callable[[str, Call], State]) -> Check:
    """A check of an attribute with several values: they must give the same result, otherwise it is indeterminate."""

    def check(call: Call) -> State:
        value = call.attributes.get(key)
        if isinstance(value, str):
            return one(value, call)
        if not isinstance(value, tuple) or not value or not all(isinstance(v, str) for v in value):
            return None
        states = {one(v, call) for v in value}
        return states.pop() if len(states) == 1 else None

    return check


def _area(c: Constraint) -> Callable[[str, Call], State]:
    values = tuple(map(str, c.value)) if isinstance(c.value, tuple) else (str(c.value),)
    first = values[0]
    rules: dict[str, Callable[[str], bool]] = {
        "eq": lambda v: v == first,
        "neq": lambda v: v != first,
        "isPartOf": lambda v: within_area(v, first),
        "hasPart": lambda v: within_area(first, v),
        "isAnyOf": inside_any(values),
        "isNoneOf": lambda v: not inside_any(values)(v),
    }
    rule = rules[c.operator]
    return lambda v, call: rule(v) if is_area(v) else None


def _recipient(c: Constraint) -> Callable[[str, Call], State]:
    wanted = frozenset(map(str, c.value)) if isinstance(c.value, tuple) else frozenset((str(c.value),))

    def among(v: str, call: Call) -> bool:
        return v in wanted or not wanted.isdisjoint(call.context.collections.get(v, ()))

    match c.operator:
        case "eq":
            return lambda v, call: v in wanted
        case "neq":
            return lambda v, call: v not in wanted
        case "isNoneOf":
            return lambda v, call: not among(v, call)
        case _:
            return among


def _plain(c: Constraint) -> Callable[[str, Call], State]:
    """A check of exact values, without regard to case (RFC 5646 section 2.1.1, RFC 2045 section 5.1)."""
    values = c.value if isinstance(c.value, tuple) else (c.value,)
    wanted = frozenset(str(v).lower() for v in values)
    if c.operator in ("eq", "isAnyOf"):
        return lambda v, call: v.lower() in wanted
    return lambda v, call: v.lower() not in wanted


# --- joined constraints --------------------------------------------------------------------------------------------


def _all(checks: tuple[Check, ...]) -> Check:
    def check(call: Call) -> State:
        state: State = True
        for c in checks:
            part = c(call)
            if part is False:
                return False
            if part is None:
                state = None
        return state

    return check


def _any(checks: tuple[Check, ...]) -> Check:
    def check(call: Call) -> State:
        state: State = False
        for c in checks:
            part = c(call)
            if part is True:
                return True
            if part is None:
                state = None
        return state

    return check


def _one(checks: tuple[Check, ...]) -> Check:
    """Exactly one check is satisfied. With an indeterminate check the result is False if two are satisfied, else None."""

    def check(call: Call) -> State:
        states = [c(call) for c in checks]
        satisfied = states.count(True)
        if satisfied > 1:
            return False
        return None if None in states else satisfied == 1

    return check


def _in_order(checks: tuple[Check, ...]) -> Check:
    """All checks in this order: the first one that is not satisfied, or is indeterminate, gives the result."""

    def check(call: Call) -> State:
        for c in checks:
            part = c(call)
            if part is not True:
                return part
        return True

    return check


_JOINS: dict[str, Callable[[tuple[Check, ...]], Check]] = {
    "and": _all,
    "or": _any,
    "xone": _one,
    "andSequence": _in_order,
}


def all_of(checks: tuple[Check, ...]) -> Check:
    """The conjunction of checks (True for none)."""
    return checks[0] if len(checks) == 1 else _all(checks)
