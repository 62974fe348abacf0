"""The decision: which grant lets a request through, within which bounds, or every reason why none does.

``decide`` and ``Engine.decide`` are pure, total and deterministic: no input or output, no clock, no dependence on the
order in which grants were added. A permission counts only when everything it asks for is known and holds; a
prohibition counts unless something it asks for is known not to hold (indeterminate denies). Prohibitions reach over
all grants of the caller on the asset; only within one agreement can ``conflict: perm`` let its permission win.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from access_policy.bans import Effective, Limits, effective, limit
from access_policy.compiled import Ban, Grant, GrantState, Rule, compile_grant
from access_policy.decision import Context, Decision, Deny, DutyNotice, Permit, Reason, Request
from access_policy.dutystate import standing, unremedied
from access_policy.evaluation import Call
from access_policy.reasons import MAX_RULES_EXPLAINED, closest_first, failures
from access_policy.rows import And
from access_policy.terms import Agreement
from access_policy.vocabulary import ANY_DEPARTMENT, actions, purposes

ENGINE_VERSION = "1"
"""Recorded with each decision; a change of any answer changes it."""

DEPARTMENT = "urn:civic:dept:"
Key: TypeAlias = tuple[str, str]


class Bucket:
    """The grants of one assignee on one target: rules from the least privileged on, and prohibitions."""

    __slots__ = ("bans", "grants", "rules")

    def __init__(self, grants: Iterable[Grant], target: str) -> None:
        self.grants = tuple(sorted(grants, key=lambda g: g.id))
        self.rules = by_privilege((r, g) for g in self.grants for r in g.rules if r.permission.target.asset == target)
        self.bans = tuple((b, g) for g in self.grants for b in g.bans if b.prohibition.target.asset == target)


def by_privilege(rules: Iterable[tuple[Rule, Grant]]) -> tuple[tuple[Rule, Grant], ...]:
    """Rules from the least privileged on; ties by grant id and place, so that the order is the same everywhere."""
    return tuple(sorted(rules, key=lambda pair: pair[0].privilege))


class Engine:
    """The live grants, indexed by assignee and asset.

    Thread-safe: ``add`` and ``revoke`` replace whole buckets under a lock, ``decide`` takes none and sees of each
    grant either all of it or, while it is being added, its prohibitions first.
    ``inactive_without_duties=False`` turns off the rule that an unfulfilled duty makes its permission inactive.
    """

    def __init__(self, *, inactive_without_duties: bool = True) -> None:
        self._strict = inactive_without_duties
        self._lock = threading.Lock()
        self._grants: dict[str, Grant] = {}
        self._buckets: dict[Key, Bucket] = {}

    def __len__(self) -> int:
        return len(self._grants)

    def __contains__(self, grant_id: object) -> bool:
        return grant_id in self._grants

    def grants(self) -> dict[str, Agreement]:
        """The agreements now in force, by grant id (a copy)."""
        with self._lock:
            return {g.id: g.agreement for g in self._grants.values()}

    def add(self, grant_id: str, agreement: Agreement, state: GrantState = "live") -> None:
        """Add a grant, or replace it whole; PolicyError when the terms are not an agreement."""
        grant = compile_grant(grant_id, agreement, state)
        with self._lock:
            old = self._grants.get(grant_id)
            if old is not None:
                self._remove(old)
            self._grants[grant_id] = grant
            for key in _keys(grant):
                before = self._buckets.get(key)
                self._buckets[key] = Bucket((*(before.grants if before else ()), grant), key[1])

    def revoke(self, grant_id: str) -> bool:
        """Forget a grant; False when it was not there."""
        with self._lock:
            grant = self._grants.pop(grant_id, None)
            if grant is None:
                return False
            self._remove(grant)
            return True

    def _remove(self, grant: Grant) -> None:
        for key in reversed(_keys(grant)):
            rest = [g for g in self._buckets[key].grants if g.id != grant.id]
            if rest:
                self._buckets[key] = Bucket(rest, key[1])
            else:
                del self._buckets[key]

    def decide(self, request: Request, context: Context) -> Decision:
        """Permit or deny one request; never raises for what is in ``request`` or ``context``."""
        unfit = _unfit(request, context)
        if unfit is not None:
            return unfit
        found = self._find(request, context)
        if not found:
            return Deny((Reason("grant.none", seen=request.assignee, wanted=request.asset),))
        if len(found) == 1:
            return _judge(found[0].rules, found[0].bans, request, context, self._strict)
        rules = by_privilege(pair for bucket in found for pair in bucket.rules)
        bans = sorted((p for b in found for p in b.bans), key=lambda p: (p[0].grant, p[0].pointer))
        return _judge(rules, tuple(bans), request, context, self._strict)

    def _find(self, request: Request, context: Context) -> list[Bucket]:
        """The buckets of the caller and of every collection it or the asset is in."""
        parties = [request.assignee]
        assets = [request.asset]
        if context.collections:
            parties += context.collections.get(request.assignee, ())
            assets += context.collections.get(request.asset, ())
        if request.assignee.startswith(DEPARTMENT):
            parties.append(ANY_DEPARTMENT)
        get = self._buckets.get
        if len(parties) + len(assets) > 3:
            keys = {(party, asset): None for party in parties for asset in assets}
            return [bucket for key in keys if (bucket := get(key)) is not None]
        return [bucket for party in parties if (bucket := get((party, assets[0]))) is not None]


def decide(
    request: Request,
    grants: Mapping[str, Agreement] | Iterable[tuple[str, Agreement]],
    context: Context,
    *,
    inactive_without_duties: bool = True,
) -> Decision:
    """The decision over a handful of grants, given by id; the same answer as an Engine that holds them."""
    engine = Engine(inactive_without_duties=inactive_without_duties)
    for grant_id, agreement in grants.items() if isinstance(grants, Mapping) else grants:
        engine.add(grant_id, agreement)
    return engine.decide(request, context)


def _keys(grant: Grant) -> tuple[Key, ...]:
    """Where a grant is found: prohibited targets first, so that a half-added grant denies rather than permits."""
    targets = [b.prohibition.target.asset for b in grant.bans] + [r.permission.target.asset for r in grant.rules]
    return tuple((grant.assignee, target) for target in dict.fromkeys(targets))


def _unfit(request: Request, context: Context) -> Deny | None:
    if context.now.tzinfo is None:
        return Deny((Reason("context.invalid", seen=context.now.isoformat(), wanted="an instant with its zone"),))
    if request.purpose not in purposes().concepts:
        return Deny((Reason("purpose.unknown", seen=request.purpose),))
    if request.action not in actions().concepts:
        return Deny((Reason("action.unknown", seen=request.action),))
    if request.assignee == ANY_DEPARTMENT:
        return Deny((Reason("assignee.invalid", seen=request.assignee),))
    return None


def _judge(
    rules: tuple[tuple[Rule, Grant], ...],
    bans: tuple[tuple[Ban, Grant], ...],
    request: Request,
    context: Context,
    strict: bool,
) -> Decision:
    call = Call(request, context)
    banned = effective(bans, call) if bans else ()
    refused: list[tuple[Rule, list[Reason]]] = []
    action = request.action
    asked = frozenset((*request.columns, *request.filter_columns))
    for rule, grant in rules:
        if action not in rule.covers or not asked <= rule.columns or grant.state != "live":
            continue
        call.grant = grant.id
        if rule.check is not None and rule.check(call) is not True:
            continue
        refinement = rule.covers[action]
        if refinement is not None and refinement.check(call) is not True:
            continue
        if grant.party and any(n.check(call) is not True for n in grant.party):
            continue
        if grant.remedies and unremedied(grant.id, grant.remedies, call):
            continue
        notices, owed = _duties(rule, grant, call)
        if owed and strict:
            continue
        limits = limit(rule, grant, banned, request)
        if isinstance(limits, Limits):
            return _permit(rule, limits, notices, request)
        refused.append((rule, list(limits)))
    return Deny(_explain(rules, banned, refused, call, strict))


def _duties(rule: Rule, grant: Grant, call: Call) -> tuple[tuple[DutyNotice, ...], tuple[Reason, ...]]:
    """Notices of the rule's duties and of the standing obligations; only the former can bar the call."""
    notices: tuple[DutyNotice, ...] = ()
    owed: tuple[Reason, ...] = ()
    if rule.permission.duties:
        notices, owed = standing(grant.id, rule.id, rule.permission.duties, call)
    if grant.agreement.obligations:
        notices += standing(grant.id, rule.id, grant.agreement.obligations, call)[0]
    return notices, owed


def _permit(rule: Rule, limits: Limits, notices: tuple[DutyNotice, ...], request: Request) -> Permit:
    rows = rule.permission.target.rows
    if limits.rows:
        rows = And(((rows,) if rows is not None else ()) + limits.rows)
    transforms = rule.transforms
    if transforms and (request.columns or limits.narrowed):
        kept = {*limits.columns, *request.filter_columns}
        transforms = {c: t for c, t in transforms.items() if c in kept}
    return Permit(
        rule.grant,
        rule.id,
        limits.columns,
        rows,
        transforms,
        notices,
        rule.max_uses,
        rule.options,
        request.filter_columns,
        rule.until,
    )


def _explain(
    rules: tuple[tuple[Rule, Grant], ...],
    banned: tuple[Effective, ...],
    refused: list[tuple[Rule, list[Reason]]],
    call: Call,
    strict: bool,
) -> tuple[Reason, ...]:
    if refused:
        return closest_first(refused)
    if not rules:
        return (*(b.reason(call.request) for b in banned), Reason("grant.none", wanted=call.request.asset))
    return closest_first((r, failures(r, g, call, strict=strict)) for r, g in rules[:MAX_RULES_EXPLAINED])
