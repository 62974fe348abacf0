"""Agreements compiled for decisions: rules with their checks, closures of actions, and an order of privilege.

Compiling is a pure function; the result is immutable and may be shared by threads.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from access_policy.decision.answers import Context, Permit, Request
from access_policy.decision.evaluation import (
    Check,
    Group,
    Leaf,
    Node,
    all_of,
    compile_constraint,
    concept_set,
)
from access_policy.errors import PolicyError
from access_policy.terms.agreement import ActionUse, Agreement, Permission, Prohibition
from access_policy.terms.constraints import PINS, ConstraintNode, Logical
from access_policy.terms.duties import Duty
from access_policy.terms.rows import And, In, IsNull, Not, Or, RowPredicate
from access_policy.terms.rows import Compare as RowCompare
from access_policy.terms.slots import bounds_of, pin_of
from access_policy.terms.transforms import Keep, Transform
from access_policy.terms.vocabulary import ANY_DEPARTMENT, DEPARTMENT, actions, purposes

GrantState: TypeAlias = Literal["live", "suspended"]
Ancestors: TypeAlias = Sequence[tuple[str, Agreement]]
"""The ids and terms of the ancestors of a delegated grant: the parent first, the root last."""
NO_ANCESTORS: Mapping[str, Ancestors] = MappingProxyType({})
"""The ancestors by grant when no grant is delegated."""
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)
_NO_TRANSFORMS: Mapping[str, Transform] = MappingProxyType({})
_NO_OPTIONS: Mapping[str, str | int] = MappingProxyType({})
_EVERY_PURPOSE = frozenset(purposes().concepts)


class Groups(NamedTuple):
    """The constraint nodes of a rule, grouped by the value that represents them; ``rest`` are those without one."""

    purpose: tuple[Leaf, ...]
    start: tuple[Leaf, ...]
    end: tuple[Leaf, ...]
    uses: tuple[Leaf, ...]
    pins: tuple[Leaf, ...]
    rest: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled permission.

    ``covers`` maps every covered action to its refinement (None: no refinement). The frequent conditions are stored as values
    (``purposes``, ``start <= now < end``, fewer than ``limit`` uses, ``pin``: the version that is read), the others as
    ``rest``; ``nodes`` are all conditions, for explanations. ``bare`` states that only these conditions and prohibitions can
    refuse a call. ``privilege`` orders rules from the least to the most privileged, in the same order in every process.
    """

    grant: str
    id: str
    pointer: str
    permission: Permission
    covers: dict[str, Node | None]
    purposes: frozenset[str]
    start: datetime
    end: datetime
    limit: int | None
    pin: int | None
    rest: Check | None
    bare: bool
    nodes: tuple[Node, ...]
    groups: Groups
    columns: frozenset[str]
    transforms: Mapping[str, Transform]
    options: Mapping[str, str | int]
    max_uses: int | None
    until: datetime | None
    privilege: tuple[object, ...]
    permits: dict[tuple[tuple[str, ...], tuple[str, ...]], Permit] = field(compare=False, repr=False)
    """A cache of permits by requested columns and filter columns."""


@dataclass(frozen=True, slots=True)
class Ban:
    """A compiled prohibition; ``covers`` also has the actions broader than the prohibited ones."""

    grant: str
    id: str
    pointer: str
    prohibition: Prohibition
    covers: dict[str, Node | None]
    nodes: tuple[Node, ...]
    check: Check | None
    columns: frozenset[str] | None
    kept_rows: RowPredicate | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant: its agreement, whether it is live, and its compiled rules."""

    id: str
    agreement: Agreement
    state: GrantState
    party: tuple[Node, ...]
    rules: tuple[Rule, ...]
    bans: tuple[Ban, ...]
    remedies: tuple[Duty, ...]
    ancestors: tuple[Grant, ...] = ()
    """The ancestors of a delegated grant: the parent first, the root last."""

    @property
    def assignee(self) -> str:
        """The party or collection of parties to which the grant is given."""
        assert self.agreement.assignee is not None
        return self.agreement.assignee.id


def concerns(grant: Grant, target: str, request: Request, context: Context) -> bool:
    """Whether a rule of this grant on ``target`` is about the caller and the asset of this request."""
    groups = context.collections.get
    if target != request.asset and target not in groups(request.asset, ()):
        return False
    if grant.assignee == ANY_DEPARTMENT:
        return request.assignee.startswith(DEPARTMENT)
    return grant.assignee == request.assignee or grant.assignee in groups(request.assignee, ())


def compile_grant(
    grant: str, agreement: Agreement, state: GrantState = "live", ancestors: Ancestors = ()
) -> Grant:
    """Compile a grant. Raises PolicyError for an offer or a request, which are never evaluated."""
    if not isinstance(agreement, Agreement) or agreement.assignee is None:
        raise PolicyError(f"only an agreement can be a grant, not {type(agreement).__name__}")
    party = tuple(
        compile_constraint(r, f"/assignee/refinement/{i}", party=True)
        for i, r in enumerate(agreement.assignee.refinements)
    )
    remedies = tuple(d for p in agreement.prohibitions for d in p.remedies)
    above = tuple(compile_grant(*ancestor) for ancestor in ancestors)
    bare = state == "live" and not party and not remedies and not agreement.obligations and not above
    rules = tuple(_rule(grant, i, p, bare) for i, p in enumerate(agreement.permissions))
    bans = tuple(_ban(grant, f"/prohibition/{i}", p) for i, p in enumerate(agreement.prohibitions))
    return Grant(grant, agreement, state, party, rules, bans, remedies, above)


def _rule(grant: str, index: int, permission: Permission, bare: bool) -> Rule:
    pointer = sys.intern(f"/permission/{index}")
    nodes = _nodes(permission.constraints, pointer)
    plain, groups = _plain_conditions(nodes)
    target = permission.target
    assert target.columns is not None
    covers = _covers(permission.actions, pointer, upwards=False)
    options: dict[str, str | int] = {}
    if target.cohort is not None:
        options["cohort"] = target.cohort
    if target.epsilon is not None:
        options["epsilon"] = format(target.epsilon, "f")
    bounds = bounds_of(permission)
    transforms: dict[str, Transform] = {c: t for c, t in target.transforms if not isinstance(t, Keep)}
    privilege = (
        len(target.columns),
        -len(transforms),
        0 if target.rows is not None else 1,
        -(target.cohort or 0),
        float(target.epsilon) if target.epsilon is not None else float("inf"),
        len(covers),
        len(plain.purposes),
        bounds.expiry or _NEVER,
        bounds.max_uses if bounds.max_uses is not None else float("inf"),
        grant,
        index,
    )
    return Rule(
        grant,
        permission.uid or pointer,
        pointer,
        permission,
        covers,
        plain.purposes,
        plain.start,
        plain.end,
        plain.limit,
        pin_of(permission),
        all_of(tuple(n.check for n in groups.rest)) if groups.rest else None,
        bare and not permission.duties and not any(covers.values()),
        nodes,
        groups,
        _column_set(target.columns),
        MappingProxyType(transforms) if transforms else _NO_TRANSFORMS,
        MappingProxyType(options) if options else _NO_OPTIONS,
        bounds.max_uses,
        bounds.expiry,
        privilege,
        {},
    )


class Plain(NamedTuple):
    """The conditions that are tested as values: purpose, validity and number of uses."""

    purposes: frozenset[str]
    start: datetime
    end: datetime
    limit: int | None


def _plain_conditions(nodes: tuple[Node, ...]) -> tuple[Plain, Groups]:
    """Split a conjunction into the conditions that are compared as values and the others."""
    allowed = _EVERY_PURPOSE
    start, end, limit = _BEGINNING, _NEVER, None
    by_purpose: list[Leaf] = []
    starts: list[Leaf] = []
    ends: list[Leaf] = []
    counts: list[Leaf] = []
    pins: list[Leaf] = []
    rest: list[Node] = []
    for node in nodes:
        if not isinstance(node, Leaf):
            rest.append(node)
            continue
        c = node.constraint
        if c.operand == "purpose":
            chosen = concept_set(purposes(), c)
            allowed = chosen if allowed is _EVERY_PURPOSE else allowed & chosen
            by_purpose.append(node)
        elif isinstance(c.value, datetime) and c.operator == "gteq":
            start = max(start, c.value)
            starts.append(node)
        elif isinstance(c.value, datetime) and c.operator == "lt":
            end = min(end, c.value)
            ends.append(node)
        elif c.operand == "count" and isinstance(c.value, int) and c.operator == "lteq":
            limit = c.value if limit is None else min(limit, c.value)
            counts.append(node)
        elif c.operand in PINS:
            pins.append(node)
        else:
            rest.append(node)
    groups = Groups(tuple(by_purpose), tuple(starts), tuple(ends), tuple(counts), tuple(pins), tuple(rest))
    return Plain(allowed, start, end, limit), groups


def _ban(grant: str, pointer: str, prohibition: Prohibition) -> Ban:
    nodes = _nodes(prohibition.constraints, pointer)
    target = prohibition.target
    return Ban(
        grant,
        prohibition.uid or pointer,
        pointer,
        prohibition,
        _covers(prohibition.actions, pointer, upwards=True),
        nodes,
        all_of(tuple(n.check for n in nodes)) if nodes else None,
        frozenset(target.columns) if target.columns is not None else None,
        _surely_outside(target.rows) if target.rows is not None else None,
    )


def _nodes(constraints: tuple[ConstraintNode, ...], pointer: str) -> tuple[Node, ...]:
    return tuple([compile_constraint(c, _place(pointer, i)) for i, c in enumerate(constraints)])


@lru_cache(maxsize=4096)
def _column_set(columns: tuple[str, ...]) -> frozenset[str]:
    """The set of these columns. Grants with the same columns share one set, which remains in the processor's cache."""
    return frozenset(columns)


@cache
def _place(pointer: str, index: int) -> str:
    """The pointer of an item. Equal texts are shared, which saves memory with 100,000 grants."""
    return f"{pointer}/constraint/{index}"


def _covers(uses: tuple[ActionUse, ...], pointer: str, *, upwards: bool) -> dict[str, Node | None]:
    """The covered actions, each with its refinement: one of several refinements must be satisfied; None if a use has none."""
    if not any(use.refinements for use in uses):
        return _plain_covers(tuple(use.action for use in uses), upwards)
    scheme = actions()
    found: dict[str, list[Node | None]] = {}
    for i, use in enumerate(uses):
        node: Node | None = None
        if use.refinements:
            refined = Logical("and", use.refinements)
            node = compile_constraint(refined, f"{pointer}/action/{i}/refinement")
        reach = scheme.descendants[use.action] | (scheme.ancestors[use.action] if upwards else frozenset())
        for action in reach:
            found.setdefault(action, []).append(node)
    return {action: _either(nodes, pointer) for action, nodes in sorted(found.items())}


@cache
def _plain_covers(names: tuple[str, ...], upwards: bool) -> dict[str, Node | None]:
    scheme = actions()
    reach = scheme.below(names).union(*(scheme.ancestors[n] for n in names if upwards))
    return dict.fromkeys(sorted(reach))


def _either(nodes: list[Node | None], pointer: str) -> Node | None:
    refined = tuple(n for n in nodes if n is not None)
    if len(refined) < len(nodes):
        return None
    if len(refined) == 1:
        return refined[0]

    def check(call: object) -> bool | None:
        states = [n.check(call) for n in refined]  # type: ignore[arg-type]
        return True if True in states else None if None in states else False

    return Group("or", refined, f"{pointer}/action", check)


def _surely_outside(rows: RowPredicate) -> RowPredicate:
    """The rows that a prohibition certainly does not concern: those that do not match and whose compared columns are not null.

    A comparison with null is not satisfied, so ``not rows`` alone would release rows with unknown values.
    """
    known = tuple(Not(IsNull(c)) for c in sorted(compared_columns(rows)))
    return And((Not(rows), *known)) if known else Not(rows)


def compared_columns(rows: RowPredicate) -> frozenset[str]:
    """The columns whose values are compared (not only tested for null)."""
    match rows:
        case RowCompare(column) | In(column):
            return frozenset((column,))
        case IsNull():
            return frozenset()
        case And(parts) | Or(parts):
            return frozenset().union(*map(compared_columns, parts))
        case Not(part):
            return compared_columns(part)
