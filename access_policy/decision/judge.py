"""The evaluation of one call against the rules that concern it: the bounds of a permit, or every reason against one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType

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
from access_policy.decision.compiled import Ban, Grant, Rule
from access_policy.decision.dutystate import standing, unremedied
from access_policy.decision.evaluation import Call
from access_policy.decision.reasons import MAX_RULES_EXPLAINED, closest_first, failures, uses_left
from access_policy.terms.rows import And
from access_policy.terms.vocabulary import ANY_DEPARTMENT, actions, call_purposes

_PURPOSES = call_purposes()
_ACTIONS = frozenset(actions().concepts)
_MAX_CACHED_PERMITS = 64


class RuleSet:
    """The rules that concern one call: permissions from the least privileged on with their grants, and prohibitions by
    grant and place in the terms."""

    __slots__ = ("bans", "grants", "pins", "rules")

    bans: tuple[tuple[Ban, Grant], ...]
    grants: tuple[Grant, ...]
    rules: tuple[Rule, ...]
    pins: tuple[int | None, ...]
    """The version that each permission pins; empty when none pins one."""

    def fill(self, pairs: Iterable[tuple[Rule, Grant]], bans: Iterable[tuple[Ban, Grant]]) -> RuleSet:
        """Sort and store permissions and prohibitions; returns itself."""
        ordered = sorted(pairs, key=lambda pair: pair[0].privilege)
        self.bans = tuple(sorted(bans, key=lambda pair: (pair[0].grant, pair[0].pointer)))
        self.grants = tuple(grant for _, grant in ordered)
        self.rules = tuple(rule for rule, _ in ordered)
        pins = tuple(rule.pin for rule in self.rules)
        self.pins = pins if any(pin is not None for pin in pins) else ()
        return self


def malformed(request: Request, context: Context) -> Deny | None:
    """The refusal of a request or context with invalid values; None for valid ones."""
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


def judge(rule_set: RuleSet, request: Request, context: Context, strict: bool) -> Decision:
    """Permit or deny a call by these rules: the first permission that permits it decides.

    With ``strict``, an unfulfilled duty makes its permission inactive. `malformed` must have accepted the call.
    """
    call = Call(request, context)
    banned = effective(rule_set.bans, call) if rule_set.bans else ()
    refused: list[tuple[Rule, list[Reason]]] = []
    action, purpose, now, used = request.action, request.purpose, context.now, context.used
    columns, filtered = request.columns, request.filter_columns
    versions = bool(rule_set.pins) or request.version is not None
    rules = enumerate(rule_set.rules)
    for place, rule in rules if not rule_set.pins else _by_version(rule_set, request, context):
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
        grant = rule_set.grants[place]
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
    return Deny(_explain(rule_set, banned, refused, call, strict))


def _by_version(rule_set: RuleSet, request: Request, context: Context) -> list[tuple[int, Rule]]:
    return [(place, rule_set.rules[place]) for place in in_order(rule_set.pins, request, context)]


def _under(
    ancestors: Sequence[Grant], permit: Permit, request: Request, context: Context, strict: bool
) -> Decision:
    """Narrow a permit by the terms of every ancestor; the reasons of the first ancestor that refuses.

    Each ancestor is asked for the version that the permit reads.
    """
    read = permit.version or context.version
    for ancestor in ancestors:
        asked = replace(request, assignee=ancestor.assignee, version=read or request.version)
        answer = judge(_alone(ancestor, permit.columns, request, context), asked, context, strict)
        if isinstance(answer, Permit) and answer.version not in (None, read):
            # The ancestor pins a version, and the current version is unknown.
            answer = Deny((Reason("context.incomplete", answer.grant, answer.rule, None, None, CURRENT),))
        if isinstance(answer, Permit):
            answer = narrowed(permit, answer)
        if isinstance(answer, Deny):
            reasons = (r._replace(grant=permit.grant, ancestor=ancestor.id) for r in answer.reasons)
            return Deny(tuple(reasons))
        permit = answer
    return permit


def _alone(grant: Grant, columns: tuple[str, ...], request: Request, context: Context) -> RuleSet:
    """The rules of this grant alone for the asset: those that give any of the columns, or all if none does."""
    assets = (request.asset, *context.collections.get(request.asset, ()))
    rules = [r for r in grant.rules if r.permission.target.asset in assets]
    giving = [r for r in rules if not r.columns.isdisjoint(columns)]
    bans = [(b, grant) for b in grant.bans if b.prohibition.target.asset in assets]
    return RuleSet().fill([(r, grant) for r in giving or rules], bans)


def _in_force(rule: Rule, grant: Grant, call: Call) -> bool:
    """Whether the grant is live, no remedy is owed, and action and party satisfy the refinements of the terms."""
    refinement = rule.covers[call.request.action]
    return (
        grant.state == "live"
        and (refinement is None or refinement.check(call) is True)
        and all(n.check(call) is True for n in grant.party)
        and not unremedied(grant.id, grant.remedies, call)
    )


def _duties(rule: Rule, grant: Grant, call: Call) -> tuple[tuple[DutyNotice, ...], tuple[Reason, ...]]:
    """The notices of the rule's duties and of the agreement's obligations, and the reasons of unfulfilled duties.

    Obligations never refuse a call.
    """
    notices: tuple[DutyNotice, ...] = ()
    owed: tuple[Reason, ...] = ()
    if rule.permission.duties:
        notices, owed = standing(grant.id, rule.id, rule.permission.duties, call)
    if grant.agreement.obligations:
        notices += standing(grant.id, rule.id, grant.agreement.obligations, call)[0]
    return notices, owed


def _plain_permit(rule: Rule, request: Request) -> Permit:
    """The permit of a rule without duties and prohibitions. It depends only on the rule and the columns, so it is cached."""
    key = (request.columns, request.filter_columns)
    permit = rule.permits.get(key)
    if permit is None:
        permit = _permit(rule, Limits(released_columns(rule, request)), (), request)
        if len(rule.permits) < _MAX_CACHED_PERMITS:
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
    rule_set: RuleSet,
    banned: tuple[Effective, ...],
    refused: list[tuple[Rule, list[Reason]]],
    call: Call,
    strict: bool,
) -> tuple[Reason, ...]:
    barring = _barring(rule_set, banned, call.request) if banned else ()
    if not rule_set.rules:
        none = Reason("grant.none", seen=call.request.assignee, wanted=call.request.asset)
        return (*barring, none)
    if refused:
        reasons = closest_first(refused)
    elif len(rule_set.rules) == 1:
        reasons = tuple(failures(rule_set.rules[0], rule_set.grants[0], call, strict=strict))
    else:
        pairs = list(zip(rule_set.rules, rule_set.grants, strict=True))[:MAX_RULES_EXPLAINED]
        reasons = closest_first([(rule, failures(rule, grant, call, strict=strict)) for rule, grant in pairs])
    if not barring:
        return reasons
    given = {(reason.grant, reason.constraint) for reason in reasons}
    return (*reasons, *(reason for reason in barring if (reason.grant, reason.constraint) not in given))


def _barring(rule_set: RuleSet, banned: tuple[Effective, ...], request: Request) -> tuple[Reason, ...]:
    """The reasons of prohibitions that apply to the requested columns. Prohibitions of an agreement with ``conflict: perm``
    are left out when all permissions are of this agreement."""
    asked = {*request.columns, *request.filter_columns}
    grants = {grant.id for grant in rule_set.grants}
    return tuple(
        e.reason(request, None if e.ban.columns is None else e.ban.columns & asked)
        for e in banned
        if (e.ban.columns is None or not e.ban.columns.isdisjoint(asked))
        and not (e.grant.agreement.conflict == "perm" and grants == {e.grant.id})
    )
