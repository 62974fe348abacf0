"""The situations that terms can distinguish: a finite set of calls that represents all calls.

Every constraint uses one dimension of a call (purpose, time, one attribute, ...). In each dimension the constraints divide the
values into finitely many classes, and one value of each class is sufficient. The product of these values is exact: two calls
with the same classes get the same decision. When the product is too large, a part of it can still give a witness, but cannot
prove that there is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from access_policy.decision.answers import Context, Request, situations
from access_policy.decision.compiled import Grant
from access_policy.decision.evaluation import Call, Leaf, Node
from access_policy.terms.constraints import PARTY_KINDS, Constraint, distinguishable_areas
from access_policy.terms.duties import Duty, duty_key, with_consequences
from access_policy.terms.vocabulary import ANY_DEPARTMENT, DEPARTMENT, call_purposes, legal_bases

MAX_SITUATIONS = 50_000
MAX_TRIALS = 500_000
MAX_CHECKS = 500_000
FEWEST_SITUATIONS = 50
"""Limits of the work: terms come from untrusted sources, and a steward waits for the result."""

FRESH_DEPARTMENT = "urn:civic:dept:16777215"
_OTHER_DEPARTMENT = "urn:civic:dept:16777214"
"""A recipient that no terms name. The analysis may put it into any collection, so it does not represent an arbitrary caller."""
_TICK = timedelta(microseconds=1)
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

Point = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Space:
    """The dimensions of some grants with their values; `situations` makes calls from them.

    ``complete`` is False when a dimension is not covered exactly.
    """

    grants: tuple[Grant, ...]
    dimensions: Mapping[str, tuple[Any, ...]]
    assignees: tuple[str, ...]
    assets: tuple[str, ...]
    actions: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    complete: bool = True

    @property
    def size(self) -> int:
        """The number of situations, over all dimensions."""
        total = len(self.assignees) * len(self.assets) * len(self.actions) * len(self.columns)
        for values in self.dimensions.values():
            total *= len(values)
        return total

    def _may_be_in(self, recipient: str, members: tuple[str, ...], declared: tuple[str, ...]) -> bool:
        """Whether the analysis may put a recipient into these collections: not when the recipient is the caller, whose
        collections are known."""
        return recipient not in declared or set(members) <= set(self.collections.get(recipient, ()))

    @property
    def limit(self) -> int:
        """The number of situations that are tried; it is smaller when there are many rules."""
        rules, bans = sum(len(g.rules) for g in self.grants), sum(len(g.bans) for g in self.grants)
        return min(MAX_SITUATIONS, max(FEWEST_SITUATIONS, MAX_TRIALS // max(1, rules + bans)))

    @property
    def exhaustive(self) -> bool:
        """Whether trying all situations proves that there is no witness."""
        return self.complete and self.size <= self.limit

    def situations(self) -> Iterator[tuple[Request, Context]]:
        """All situations, or the first ``limit``, in the same order in every process."""
        names = list(self.dimensions)
        points = itertools.product(*self.dimensions.values())
        who = self.assignees, self.assets, self.actions, self.columns
        walk = (
            self.call(dict(zip(names, point, strict=True)), *subject)
            for point in points
            for subject in itertools.product(*who)  # a generator: there may be many more than are tried
        )
        return itertools.islice((call for call in walk if call is not None), self.limit)

    def call(
        self, point: Point, assignee: str, asset: str, action: str, columns: tuple[str, ...]
    ) -> tuple[Request, Context] | None:
        """The call at one point; None for an impossible point (elapsed time without a use)."""
        now = point.get("dateTime", datetime(2026, 1, 1, tzinfo=UTC))
        used, first, duties = {}, {}, {}
        groups = {member: tuple(names) for member, names in self.collections.items()}
        attributes: dict[str, Any] = {}
        for name, value in point.items():
            kind, _, rest = name.partition(":")
            if kind == "count":
                used[rest] = value
            elif kind == "elapsedTime":
                if value and point.get(f"count:{rest}", 1) == 0:
                    return None
                first[rest] = now - value
            elif kind == "duty" and value is not None:
                duties[rest] = value
            elif kind == "attribute" and value is not None:
                recipient, members = value if isinstance(value, tuple) else (value, ())
                attributes[rest] = recipient
                if members and not self._may_be_in(recipient, members, (assignee, asset)):
                    return None
                if members:
                    groups[recipient] = tuple(sorted({*groups.get(recipient, ()), *members}))
        purpose = point.get("purpose", "dpv:PublicBenefit")
        asked, current = point.get("version", (None, None))
        request = Request(assignee, asset, action, purpose, columns, (), attributes, asked)
        used.update({g: 1 for g, since in first.items() if g not in used and since < now})
        return request, Context(now, used, duties, groups, first, current)


def space_of(
    grants: Iterable[Grant],
    *,
    collections: Mapping[str, tuple[str, ...]] | None = None,
    with_duties: bool = True,
    version: int | None = None,
) -> Space:
    """The space of these grants; ``version`` is the current version if it matters. ``collections`` (member -> all its
    collections) must be complete.

    Any declared member may be caller or asset of a call. One member represents all members of the same named collections.
    """
    known = tuple(grants)
    leaves_of = _Leaves(known)
    complete = True
    dimensions: dict[str, tuple[Any, ...]] = {}
    for name, leaves in sorted(leaves_of.by_dimension.items()):
        if name == "version":
            dimensions[name] = tuple(situations(_pins(leaves), version))
            continue
        values, exact = _values(name, leaves, leaves_of)
        complete = complete and exact
        dimensions[name] = values
    if with_duties:
        for name, states in _duty_states(known).items():
            dimensions[name] = tuple(states)
    assignees, assets = _subjects(known)
    columns, exact = _column_sets(known)
    complete = complete and exact
    declared = dict(collections or {})
    return Space(
        known,
        dimensions,
        _with_members(assignees, declared),
        _with_members(assets, declared),
        tuple(sorted({a for g in known for r in g.rules for a in r.covers}.union(*_banned_actions(known)))),
        columns,
        declared,
        complete and _single(assignees, DEPARTMENT) and _single(assets, "urn:civic:asset:"),
    )


def _duty_states(grants: tuple[Grant, ...]) -> dict[str, dict[str | None, None]]:
    """The states of each duty that can be distinguished. Two versions of a grant may have different duties with one uid."""
    found: dict[str, dict[str | None, None]] = {}
    for grant in grants:
        plain = {d.uid for r in grant.rules for d in r.permission.duties if not d.consequences}
        remedies = {d.uid for d in grant.remedies}
        for duty in _duties(grant):
            if duty.uid in remedies:
                states: tuple[str | None, ...] = (None, "unfulfilled")
            elif duty.uid in plain and duty.when == "before":
                states = ("fulfilled", None)
            else:
                states = (None, "unfulfilled", "fulfilled")
            found.setdefault(f"duty:{duty_key(grant.id, duty.uid)}", {}).update(dict.fromkeys(states))
    return found


def _banned_actions(grants: tuple[Grant, ...]) -> list[frozenset[str]]:
    return [frozenset(b.covers) for g in grants for b in g.bans]


def _single(names: tuple[str, ...], prefix: str) -> bool:
    """Whether the overlap of these names is known: there is one name only, or none of them is a collection."""
    return len(names) == 1 or all(n.startswith(prefix) for n in names)


def _subjects(grants: tuple[Grant, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    named = {g.assignee for g in grants} - {ANY_DEPARTMENT}
    if any(g.assignee == ANY_DEPARTMENT for g in grants):
        named.add(FRESH_DEPARTMENT)
    assets = {r.permission.target.asset for g in grants for r in g.rules}
    assets |= {b.prohibition.target.asset for g in grants for b in g.bans}
    return tuple(sorted(named)), tuple(sorted(assets))


def _with_members(named: tuple[str, ...], collections: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The named parties or assets, and one member for each combination of these collections that some member has. Every
    department is also in "any department"."""
    kinds: dict[tuple[frozenset[str], bool], str] = {}
    for member in sorted(set(collections) - set(named)):
        inside = frozenset(collections[member]).intersection(named)
        if inside:
            kinds.setdefault((inside, member.startswith(DEPARTMENT)), member)
    return (*named, *sorted(kinds.values()))


def _column_sets(grants: tuple[Grant, ...]) -> tuple[tuple[tuple[str, ...], ...], bool]:
    """Sets of columns to request: one column of each kind (columns that no rule distinguishes are of one kind), and the whole
    set of each rule. The flag is False when `MAX_CHECKS` ended the search.

    These sets are sufficient: if a set is permitted by one version of terms and not by another, the same is true of the whole
    set of the rule that permits it.
    """
    rules = [r for g in grants for r in g.rules]
    bans = [frozenset(b.columns) for g in grants for b in g.bans if b.columns is not None]
    names = sorted({c for r in rules for c in r.columns}.union(*bans) if rules or bans else ())
    affordable = max(1, MAX_CHECKS // max(1, 2 * len(rules) + len(bans)))
    kinds: dict[tuple[object, ...], str] = {}
    for name in names[:affordable]:
        signature = (*(name in r.columns for r in rules), *(name in b for b in bans))
        kinds.setdefault((signature, *(repr(r.transforms.get(name)) for r in rules)), name)
    whole = [tuple(r.permission.target.columns or ()) for r in rules]
    banned = frozenset().union(*bans)
    whole += [tuple(c for c in columns if c not in banned) for columns in whole]
    sets = dict.fromkeys([*((n,) for n in kinds.values()), *(w for w in whole if w)])
    looks, exact = 0, len(names) <= affordable
    for columns, ban in itertools.product(dict.fromkeys(whole), bans):
        looks += len(columns)
        if looks > MAX_CHECKS:
            exact = False
            break
        if rest := tuple(c for c in columns if c not in ban):
            sets.setdefault(rest)
    return tuple(sets) or ((),), exact


# --- one dimension ---------------------------------------------------------------------------------------------------


class _Leaves:
    """The leaves of all grants by their dimension, and the duties with limits in it."""

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        self.by_dimension: dict[str, list[Leaf]] = {}
        self.limits: dict[str, list[timedelta]] = {}
        self.instants: list[datetime] = []
        for grant in grants:
            for node in grant.party:
                self._add(node, grant, party=True)
            for rule in grant.rules:
                self._add_all(rule.nodes, rule.covers, grant)
            for ban in grant.bans:
                self._add_all(ban.nodes, ban.covers, grant)
            for duty in _duties(grant):
                if duty.until is not None:
                    self.instants.append(duty.until)
                    self.by_dimension.setdefault("dateTime", [])
                if duty.within is not None:
                    self.limits.setdefault(f"elapsedTime:{grant.id}", []).append(duty.within)
                    self.by_dimension.setdefault(f"elapsedTime:{grant.id}", [])

    def _add_all(self, nodes: tuple[Node, ...], covers: Mapping[str, Node | None], grant: Grant) -> None:
        for node in (*nodes, *(n for n in covers.values() if n is not None)):
            self._add(node, grant, party=False)

    def _add(self, node: Node, grant: Grant, *, party: bool) -> None:
        if not isinstance(node, Leaf):
            for part in node.parts:
                self._add(part, grant, party=party)
            return
        operand = node.constraint.operand
        if operand in ("purpose", "dateTime", "version"):
            name = operand
        elif operand in ("count", "elapsedTime"):
            name = f"{operand}:{grant.id}"
        else:
            name = f"attribute:assignee/{operand}" if party else f"attribute:{operand}"
        self.by_dimension.setdefault(name, []).append(node)


def _pins(leaves: Iterable[Leaf]) -> set[int]:
    return {leaf.constraint.value for leaf in leaves if isinstance(leaf.constraint.value, int)}


def _duties(grant: Grant) -> Iterator[Duty]:
    for rule in grant.rules:
        yield from with_consequences(rule.permission.duties)
    yield from grant.remedies


def _values(name: str, leaves: list[Leaf], known: _Leaves) -> tuple[tuple[Any, ...], bool]:
    """One value for each class, in a stable order, and whether every class has one."""
    constraints = [leaf.constraint for leaf in leaves]
    candidates, exact = _candidates(name, constraints, known)
    affordable = max(2, MAX_CHECKS // max(1, len(leaves)))
    if len(candidates) > affordable:
        candidates, exact = candidates[:affordable], False
    limits = known.limits.get(name, [])
    classes: dict[tuple[object, ...], Any] = {}
    for value in candidates:
        call = _probe(name, value)
        signature: tuple[object, ...] = tuple(leaf.check(call) for leaf in leaves)
        if name == "dateTime":
            signature = (*signature, *(value > instant for instant in known.instants))
        classes.setdefault((*signature, *(value > limit for limit in limits)), value)
    return tuple(classes.values()), exact


def _probe(name: str, value: Any) -> Call:
    empty = Space((), {}, (), (), (), ())
    made = empty.call({name: value}, "", "", "", ())
    assert made is not None
    call = Call(*made)
    call.grant = name.partition(":")[2] if name.startswith(("count:", "elapsedTime:")) else ""
    return call


def _candidates(name: str, constraints: list[Constraint], known: _Leaves) -> tuple[list[Any], bool]:
    kind, _, rest = name.partition(":")
    each = (c.value if isinstance(c.value, tuple) else (c.value,) for c in constraints)
    mentioned: list[Any] = sorted({value for values in each for value in values})
    if kind == "purpose":
        return sorted(call_purposes()), True
    if kind == "dateTime":
        instants = sorted({*mentioned, *known.instants})
        near = [i + step for i in instants for step in (-_TICK, timedelta(0), _TICK)]
        inside = [i for i in near if _EARLIEST <= i < _LATEST]
        return inside or [datetime(2026, 1, 1, tzinfo=UTC)], True
    if kind == "count":
        return sorted({max(0, v + step) for v in mentioned for step in (-2, -1, 0, 1)} | {0}), True
    if kind == "elapsedTime":
        near = [
            v + step
            for v in (*mentioned, *known.limits.get(name, ()))
            for step in (-_TICK, timedelta(0), _TICK)
        ]
        return sorted({v for v in near if v >= timedelta(0)} | {timedelta(0)}), True
    operand = rest.removeprefix("assignee/")
    return _ATTRIBUTES[operand](list(map(str, mentioned)))


def _bases(mentioned: list[str]) -> tuple[list[Any], bool]:
    return [*sorted(legal_bases().concepts), None], True


def _tags(mentioned: list[str]) -> tuple[list[Any], bool]:
    return [*mentioned, "und-x-other", None], True


def _media(mentioned: list[str]) -> tuple[list[Any], bool]:
    return [*mentioned, "application/x-other", None], True


def _kinds(mentioned: list[str]) -> tuple[list[Any], bool]:
    return [*PARTY_KINDS, None], True


def _recipients(mentioned: list[str]) -> tuple[list[Any], bool]:
    """An unnamed party and every mentioned party, each in all combinations of the others as collections."""
    few = mentioned[:4]
    found: list[Any] = [None]
    for party in (_OTHER_DEPARTMENT, *mentioned):
        others = [m for m in few if m != party]
        for n in range(len(others) + 1):
            found += [(party, groups) for groups in itertools.combinations(others, n)]
    return found, len(mentioned) <= len(few)


_ATTRIBUTES: dict[str, Callable[[list[str]], tuple[list[Any], bool]]] = {
    "legalBasis": _bases,
    "language": _tags,
    "fileFormat": _media,
    "partyKind": _kinds,
    "spatial": distinguishable_areas,
    "recipient": _recipients,
}
