"""Prohibitions at the time of a call: which of them apply, and how they limit a permission."""

from __future__ import annotations

from dataclasses import dataclass

from access_policy.decision.answers import Reason, Request
from access_policy.decision.compiled import Ban, Grant, Rule
from access_policy.decision.evaluation import Call
from access_policy.terms.rows import RowPredicate


@dataclass(frozen=True, slots=True)
class Effective:
    """A prohibition that applies, or with ``certain`` False one that may apply."""

    ban: Ban
    grant: Grant
    certain: bool

    def reason(self, request: Request, columns: frozenset[str] | None = None) -> Reason:
        """The reason of a refusal by this prohibition."""
        code = "prohibition.matched" if self.certain else "prohibition.indeterminate"
        seen = ", ".join(sorted(columns)) if columns else request.action
        return Reason(code, self.ban.grant, self.ban.id, self.ban.pointer, seen)


@dataclass(frozen=True, slots=True)
class Limits:
    """A permission after prohibitions: the columns to release and further conditions on rows."""

    columns: tuple[str, ...]
    rows: tuple[RowPredicate, ...] = ()
    narrowed: bool = False


def effective(bans: tuple[tuple[Ban, Grant], ...], call: Call) -> tuple[Effective, ...]:
    """The prohibitions that are not known to be inapplicable."""
    found = []
    for ban, grant in bans:
        if call.request.action not in ban.covers:
            continue
        node = ban.covers[call.request.action]
        call.grant = grant.id
        states = [n.check(call) for n in grant.party]
        states.append(ban.check(call) if ban.check is not None else True)
        if node is not None:
            states.append(node.check(call))
        if False not in states:
            found.append(Effective(ban, grant, None not in states))
    return tuple(found)


def released_columns(rule: Rule, request: Request) -> tuple[str, ...]:
    """The granted columns that are requested, in the order of the terms (all if the request names none)."""
    granted = rule.permission.target.columns or ()
    asked = request.columns
    if not asked or asked == granted:
        return granted
    if len(asked) == 1:
        return tuple(asked)
    return tuple([c for c in granted if c in asked])


def limit(
    rule: Rule, grant: Grant, banned: tuple[Effective, ...], request: Request
) -> Limits | tuple[Reason, ...]:
    """Limit a permission by the prohibitions for this request; the reasons when nothing remains.

    A prohibition of columns removes them from a request that names no columns, and refuses a request that names them or
    filters by them. A prohibition of rows adds a condition. Within one agreement, ``perm`` ignores its prohibitions, and
    ``invalid`` makes the agreement void when both apply.
    """
    columns = released_columns(rule, request)
    if not banned:
        return Limits(columns)
    filtered = frozenset(request.filter_columns)
    touched = filtered.union(columns)
    taken: set[str] = set()
    rows: list[RowPredicate] = []
    reasons: list[Reason] = []
    for e in banned:
        own = e.grant.id == grant.id
        if own and grant.agreement.conflict == "perm":
            continue
        hit = touched if e.ban.columns is None else touched & e.ban.columns
        if not hit:
            continue
        if own and grant.agreement.conflict == "invalid":
            reasons.append(Reason("policy.conflict", grant.id, rule.id, e.ban.pointer))
        elif e.ban.kept_rows is not None:
            rows.append(e.ban.kept_rows)
        elif e.ban.columns is None or request.columns or hit & filtered:
            reasons.append(e.reason(request, hit if e.ban.columns is not None else None))
        else:
            taken |= hit
    if reasons:
        return tuple(reasons)
    if taken:
        columns = tuple(c for c in columns if c not in taken)
        if not columns:
            seen = ", ".join(sorted(taken))
            return (Reason("column.prohibited", grant.id, rule.id, f"{rule.pointer}/target", seen),)
    return Limits(columns, tuple(rows), narrowed=bool(taken))
