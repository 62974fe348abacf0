"""The decision: which grant lets a request through, within which bounds, or every reason why none does.

``decide`` and ``Engine.decide`` are pure, total and deterministic: no input or output, no clock, no dependence on the
order in which grants were added. A permission counts only when everything it asks for is known and holds; a
prohibition counts unless something it asks for is known not to hold (indeterminate denies). Prohibitions reach over
all grants of the caller on the asset; only within one agreement can ``conflict: perm`` let its permission win.
A delegated grant lets a call through only where the terms of every ancestor let it through as well.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from access_policy.decision.answers import (
    CURRENT,
    Context,
    Decision,
    Deny,
    DutyNotice,
    Permit,
    Reason,
    Request,
    fits,
    in_order,
)
from access_policy.decision.bans import Effective, Limits, effective, limit, released_columns
from access_policy.decision.chains import narrowed
from access_policy.decision.compiled import (
    NO_ANCESTORS,
    Ancestors,
    Ban,
    Grant,
    GrantState,
    Rule,
    compile_grant,
)
from access_policy.decision.dutystate import standing, unremedied
from access_policy.decision.evaluation import Call
from access_policy.decision.reasons import MAX_RULES_EXPLAINED, closest_first, failures, uses_left
from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement
from access_policy.terms.rows import And
from access_policy.terms.vocabulary import ANY_DEPARTMENT, DEPARTMENT, actions, call_purposes

ENGINE_VERSION = "2"
"""Recorded with each decision; a change of any answer changes it."""

_PURPOSES = call_purposes()
_ACTIONS = frozenset(actions().concepts)

Key: TypeAlias = tuple[str, str]
Member: TypeAlias = tuple[str, Agreement, GrantState, Ancestors]


class View:
    """What concerns one call: rules from the least privileged on with their grants, prohibitions by grant and place."""

    __slots__ = ("bans", "grants", "pins", "rules")

    bans: tuple[tuple[Ban, Grant], ...]
    grants: tuple[Grant, ...]
    rules: tuple[Rule, ...]
    pins: tuple[int | None, ...]
    """What each rule pins; empty where none does."""

    def fill(self, pairs: Iterable[tuple[Rule, Grant]], bans: Iterable[tuple[Ban, Grant]]) -> View:
        """Put them in their order."""
        ordered = sorted(pairs, key=lambda pair: pair[0].privilege)
        self.bans = tuple(sorted(bans, key=lambda pair: (pair[0].grant, pair[0].pointer)))
        self.grants = tuple(grant for _, grant in ordered)
        self.rules = tuple(rule for rule, _ in ordered)
        pins = tuple(rule.pin for rule in self.rules)
        self.pins = pins if any(pin is not None for pin in pins) else ()
        return self


class Bucket(View):
    """The grants of one assignee on one target, compiled when they are first asked about."""

    __slots__ = ("compiled", "members", "target")

    def __init__(self, members: tuple[Member, ...], target: str) -> None:
        self.members = members
        self.target = target
        self.compiled = False

    def view(self) -> View:
        """The compiled rules and prohibitions; two threads that race compile the same thing."""
        if not self.compiled:
            grants = [compile_grant(*member) for member in self.members]
            rules = [(r, g) for g in grants for r in g.rules if r.permission.target.asset == self.target]
            bans = [(b, g) for g in grants for b in g.bans if b.prohibition.target.asset == self.target]
            self.fill(rules, bans)
            self.compiled = True
        return self


class Engine:
    """The live grants, indexed by assignee and asset.

    Thread-safe: ``add`` and ``revoke`` replace whole buckets under a lock, ``decide`` takes none and sees of a grant on
    each asset either the old version or the new; of a grant on several assets, its prohibitions first.
    ``inactive_without_duties=False`` turns off the rule that an unfulfilled duty makes its permission inactive.
    """

    def __init__(self, *, inactive_without_duties: bool = True) -> None:
        self._strict = inactive_without_duties
        self._lock = threading.Lock()
        self._members: dict[str, Member] = {}
        self._buckets: dict[Key, Bucket] = {}
        self._standing = False
        """Whether there ever was a grant to any department; if not, nobody looks for one."""

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, grant_id: object) -> bool:
        return grant_id in self._members

    def grants(self) -> dict[str, Agreement]:
        """The agreements now in force, by grant id (a copy)."""
        with self._lock:
            return {grant_id: agreement for grant_id, agreement, *_ in self._members.values()}

    def add(
        self, grant_id: str, agreement: Agreement, state: GrantState = "live", ancestors: Ancestors = ()
    ) -> None:
        """Add a grant, or replace it whole; PolicyError when the terms are not an agreement.

        ``ancestors`` are those of a delegated grant: it permits only what the terms of each of them permit too.
        """
        if type(agreement) is not Agreement:
            raise PolicyError(f"only an agreement can be a grant, not {type(agreement).__name__}")
        member = (grant_id, agreement, state, tuple(ancestors))
        with self._lock:
            old = self._members.get(grant_id)
            self._members[grant_id] = member
            keys = _keys(agreement)
            if keys[0][0] == ANY_DEPARTMENT:
                self._standing = True
            for key in keys:
                before = self._buckets.get(key)
                others = () if before is None else before.members
                if old is not None:
                    others = tuple(m for m in others if m[0] != grant_id)
                self._buckets[key] = Bucket((*others, member), key[1])
            if old is not None:
                self._remove(grant_id, [key for key in _keys(old[1]) if key not in keys])

    def revoke(self, grant_id: str) -> bool:
        """Forget a grant; False when it was not there."""
        with self._lock:
            member = self._members.pop(grant_id, None)
            if member is None:
                return False
            self._remove(grant_id, _keys(member[1]))
            return True

    def _remove(self, grant_id: str, keys: Sequence[Key]) -> None:
        for key in reversed(keys):
            rest = tuple(m for m in self._buckets[key].members if m[0] != grant_id)
            if rest:
                self._buckets[key] = Bucket(rest, key[1])
            else:
                del self._buckets[key]

    def decide(self, request: Request, context: Context) -> Decision:
        """Permit or deny one request; never raises for what is in ``request`` or ``context``."""
        unfit = _unfit(request, context)
        if unfit is not None:
            return unfit
        return _judge(self.find(request, context), request, context, self._strict)

    def find(self, request: Request, context: Context) -> View:
        """The rules and prohibitions that concern the caller and every collection it or the asset is in."""
        buckets, assignee, asset = self._buckets, request.assignee, request.asset
        own = buckets.get((assignee, asset))
        if not context.collections and not self._standing:
            return own.view() if own is not None else _NOTHING
        parties = [assignee, *context.collections.get(assignee, ())]
        if assignee.startswith(DEPARTMENT):
            parties.append(ANY_DEPARTMENT)
        assets = (asset, *context.collections.get(asset, ()))
        keys = dict.fromkeys((party, target) for party in parties for target in assets)
        found = [bucket.view() for key in keys if (bucket := buckets.get(key)) is not None]
        if len(found) == 1:
            return found[0]
        return View().fill(
            [pair for view in found for pair in zip(view.rules, view.grants, strict=True)],
            [pair for view in found for pair in view.bans],
        )


_NOTHING = View().fill((), ())


def decide(
    request: Request,
    grants: Mapping[str, Agreement] | Iterable[tuple[str, Agreement]],
    context: Context,
    *,
    inactive_without_duties: bool = True,
    ancestors: Mapping[str, Ancestors] = NO_ANCESTORS,
) -> Decision:
    """The decision over a handful of grants, given by id; the same answer as an Engine that holds them.

    ``ancestors`` are those of the delegated ones among them.
    """
    engine = Engine(inactive_without_duties=inactive_without_duties)
    for grant_id, agreement in grants.items() if isinstance(grants, Mapping) else grants:
        engine.add(grant_id, agreement, ancestors=ancestors.get(grant_id, ()))
    return engine.decide(request, context)


def _keys(agreement: Agreement) -> tuple[Key, ...]:
    """Where a grant is found: prohibited targets first, so that a half-added grant denies rather than permits."""
    assert agreement.assignee is not None
    assignee = agreement.assignee.id
    if len(agreement.permissions) == 1 and not agreement.prohibitions:
        return ((assignee, agreement.permissions[0].target.asset),)
    targets = [p.target.asset for p in agreement.prohibitions] + [
        p.target.asset for p in agreement.permissions
    ]
    return tuple((assignee, target) for target in dict.fromkeys(targets))


def _unfit(request: Request, context: Context) -> Deny | None:
    now = context.now
    if now.utcoffset() is None or not 1970 <= now.year <= 9000:
        return Deny((Reason("context.invalid", seen=now.isoformat(), wanted="an instant with its zone"),))
    if request.purpose not in _PURPOSES:
        return Deny((Reason("purpose.unknown", seen=request.purpose),))
    if request.action not in _ACTIONS:
        return Deny((Reason("action.unknown", seen=request.action),))
    if request.assignee == ANY_DEPARTMENT:
        return Deny((Reason("assignee.invalid", seen=request.assignee),))
    return None


def _judge(view: View, request: Request, context: Context, strict: bool) -> Decision:
    call = Call(request, context)
    banned = effective(view.bans, call) if view.bans else ()
    refused: list[tuple[Rule, list[Reason]]] = []
    action, purpose, now, used = request.action, request.purpose, context.now, context.used
    columns, filtered = request.columns, request.filter_columns
    versions = bool(view.pins) or request.version is not None
    rules = enumerate(view.rules)
    for place, rule in rules if not view.pins else _by_version(view, request, context):
        if versions and fits(rule.pin, request, context) is not True:
            continue
        if action not in rule.covers or purpose not in rule.purposes or not rule.start <= now < rule.end:
            continue
        if rule.limit is not None and not uses_left(used.get(rule.grant, 0), rule.limit):
            continue
        if not rule.columns.issuperset(columns) or (filtered and not rule.columns.issuperset(filtered)):
            continue
        call.grant = rule.grant
        if rule.rest is not None and rule.rest(call) is not True:
            continue
        if rule.bare and not banned:
            return _plain_permit(rule, request)
        grant = view.grants[place]
        if not _in_force(rule, grant, call):
            continue
        notices, owed = _duties(rule, grant, call)
        if owed and strict:
            continue
        limits = limit(rule, grant, banned, request)
        if not isinstance(limits, Limits):
            refused.append((rule, list(limits)))
            continue
        permit = _permit(rule, limits, notices, request)
        if not grant.ancestors:
            return permit
        answer = _under(grant.ancestors, permit, request, context, strict)
        if isinstance(answer, Permit):
            return answer
        refused.append((rule, list(answer.reasons)))
    return Deny(_explain(view, banned, refused, call, strict))


def _by_version(view: View, request: Request, context: Context) -> list[tuple[int, Rule]]:
    return [(place, view.rules[place]) for place in in_order(view.pins, request, context)]


def _under(
    ancestors: Sequence[Grant], permit: Permit, request: Request, context: Context, strict: bool
) -> Decision:
    """What the terms of every ancestor leave of a permit; the reasons of the first that refuses. Each is asked about the
    version that the permit is for."""
    read = permit.version or context.version
    for ancestor in ancestors:
        asked = replace(request, assignee=ancestor.assignee, version=read or request.version)
        answer = _judge(_alone(ancestor, permit.columns, request, context), asked, context, strict)
        if isinstance(answer, Permit) and answer.version not in (None, read):
            # It pins a version, and nobody said which one is the current.
            answer = Deny((Reason("context.incomplete", answer.grant, answer.rule, None, None, CURRENT),))
        if isinstance(answer, Permit):
            answer = narrowed(permit, answer)
        if isinstance(answer, Deny):
            told = (r._replace(grant=permit.grant, ancestor=ancestor.id) for r in answer.reasons)
            return Deny(tuple(told))
        permit = answer
    return permit


def _alone(grant: Grant, columns: tuple[str, ...], request: Request, context: Context) -> View:
    """What this grant alone says of the asset; of its rules those that give any of the columns, if there are such."""
    assets = (request.asset, *context.collections.get(request.asset, ()))
    rules = [r for r in grant.rules if r.permission.target.asset in assets]
    giving = [r for r in rules if not r.columns.isdisjoint(columns)]
    bans = [(b, grant) for b in grant.bans if b.prohibition.target.asset in assets]
    return View().fill([(r, grant) for r in giving or rules], bans)


def _in_force(rule: Rule, grant: Grant, call: Call) -> bool:
    """Whether the grant is live and unencumbered, and action and party are as the terms refine them."""
    refinement = rule.covers[call.request.action]
    return (
        grant.state == "live"
        and (refinement is None or refinement.check(call) is True)
        and all(n.check(call) is True for n in grant.party)
        and not unremedied(grant.id, grant.remedies, call)
    )


def _duties(rule: Rule, grant: Grant, call: Call) -> tuple[tuple[DutyNotice, ...], tuple[Reason, ...]]:
    """Notices of the rule's duties and of the standing obligations; only the former can bar the call."""
    notices: tuple[DutyNotice, ...] = ()
    owed: tuple[Reason, ...] = ()
    if rule.permission.duties:
        notices, owed = standing(grant.id, rule.id, rule.permission.duties, call)
    if grant.agreement.obligations:
        notices += standing(grant.id, rule.id, grant.agreement.obligations, call)[0]
    return notices, owed


MAX_PERMITS_KEPT = 64


def _plain_permit(rule: Rule, request: Request) -> Permit:
    """A permit without duties or prohibitions depends on the rule and the columns alone."""
    key = (request.columns, request.filter_columns)
    permit = rule.permits.get(key)
    if permit is None:
        permit = _permit(rule, Limits(released_columns(rule, request)), (), request)
        if len(rule.permits) < MAX_PERMITS_KEPT:
            rule.permits[key] = permit
    return permit


def _permit(rule: Rule, limits: Limits, notices: tuple[DutyNotice, ...], request: Request) -> Permit:
    rows = rule.permission.target.rows
    if limits.rows:
        rows = And(((rows,) if rows is not None else ()) + limits.rows)
    transforms = rule.transforms
    if transforms and (request.columns or limits.narrowed):
        kept = {*limits.columns, *request.filter_columns}
        transforms = MappingProxyType({c: t for c, t in transforms.items() if c in kept})
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
        bool(rule.transforms),
        rule.pin,
    )


def _explain(
    view: View,
    banned: tuple[Effective, ...],
    refused: list[tuple[Rule, list[Reason]]],
    call: Call,
    strict: bool,
) -> tuple[Reason, ...]:
    barring = _barring(view, banned, call.request) if banned else ()
    if not view.rules:
        none = Reason("grant.none", seen=call.request.assignee, wanted=call.request.asset)
        return (*barring, none)
    if refused:
        told = closest_first(refused)
    elif len(view.rules) == 1:
        told = tuple(failures(view.rules[0], view.grants[0], call, strict=strict))
    else:
        pairs = list(zip(view.rules, view.grants, strict=True))[:MAX_RULES_EXPLAINED]
        told = closest_first([(rule, failures(rule, grant, call, strict=strict)) for rule, grant in pairs])
    if not barring:
        return told
    said = {(reason.grant, reason.constraint) for reason in told}
    return (*told, *(reason for reason in barring if (reason.grant, reason.constraint) not in said))


def _barring(view: View, banned: tuple[Effective, ...], request: Request) -> tuple[Reason, ...]:
    """The prohibitions that apply to what is asked for, but those that every permission there is wins over."""
    asked = {*request.columns, *request.filter_columns}
    grants = {grant.id for grant in view.grants}
    return tuple(
        e.reason(request, None if e.ban.columns is None else e.ban.columns & asked)
        for e in banned
        if (e.ban.columns is None or not e.ban.columns.isdisjoint(asked))
        and not (e.grant.agreement.conflict == "perm" and grants == {e.grant.id})
    )
