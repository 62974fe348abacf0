"""Who can do what: the grants that permit access now, with their remaining conditions.

An access is ``certain`` when there are no further conditions; otherwise ``conditions`` states what the call must contain or
what must be done before. Parties that are not listed are always refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from access_policy.decision.answers import CURRENT, Context, Reason, Request
from access_policy.decision.bans import Effective, effective
from access_policy.decision.compiled import NO_ANCESTORS, Ancestors, Ban, Grant, Rule, compile_grant, concerns
from access_policy.decision.evaluation import Call
from access_policy.decision.reasons import failures
from access_policy.terms.agreement import Agreement
from access_policy.terms.vocabulary import ANY_DEPARTMENT, actions, call_purposes, purposes

LACKING = frozenset(
    (
        "attribute.missing",
        "duty.unfulfilled",
        "consequence.unfulfilled",
        "context.incomplete",
        "remedy.unfulfilled",
    )
)
"""The reasons that can be removed by the call or by an action; any other reason excludes access."""


@dataclass(frozen=True, slots=True)
class Access:
    """One access: ``assignee`` (a party, a collection, or any department) may do ``action`` to ``asset``.

    ``purposes`` are the broadest permitted purposes now. ``conditions`` are reasons that refuse the call until its content or
    an action removes them. ``limits`` are the prohibitions that remove columns or rows, or may apply. ``version`` is the
    pinned version; None for the current one.
    """

    assignee: str
    asset: str
    action: str
    grant: str
    rule: str
    purposes: tuple[str, ...]
    columns: tuple[str, ...]
    until: datetime | None
    conditions: tuple[Reason, ...] = ()
    limits: tuple[str, ...] = ()
    version: int | None = None

    @property
    def certain(self) -> bool:
        """Whether a call without further attributes is permitted."""
        return not self.conditions and not self.limits


def who_can(
    asset: str,
    action: str,
    purpose: str,
    at: datetime,
    grants: Mapping[str, Agreement],
    *,
    context: Context | None = None,
    ancestors: Mapping[str, Ancestors] = NO_ANCESTORS,
) -> tuple[Access, ...]:
    """All accesses to ``asset`` for this action and purpose at the time ``at`` by these grants.

    ``context`` may add uses, duties and collections; its ``now`` is replaced by ``at``. ``ancestors`` has those of delegated
    grants.
    """
    known = _compiled(grants, ancestors)
    situation = _at(context, at)
    found = []
    for assignee in sorted({g.assignee for g in known}):
        request = Request(_party(assignee), asset, action, purpose)
        for access in _ways(request, known, situation):
            if access.assignee == assignee:
                found.append(access)
    return tuple(found)


def what_can(
    department: str,
    grants: Mapping[str, Agreement],
    at: datetime,
    *,
    context: Context | None = None,
    ancestors: Mapping[str, Ancestors] = NO_ANCESTORS,
) -> tuple[Access, ...]:
    """All accesses of a department at the time ``at`` by these grants: each asset and action with its permitted purposes."""
    known = _compiled(grants, ancestors)
    situation = _at(context, at)
    targets = sorted({r.permission.target.asset for g in known for r in g.rules})
    found: dict[tuple[object, ...], tuple[Access, set[str]]] = {}
    for asset in targets:
        for action in sorted(actions().concepts):
            for purpose in sorted(call_purposes()):
                for way in _ways(Request(department, asset, action, purpose), known, situation):
                    key = (asset, action, way.grant, way.rule, way.columns, way.conditions, way.limits)
                    found.setdefault(key, (way, set()))[1].add(purpose)
    return tuple(_with_purposes(way, open_to) for way, open_to in found.values())


def _compiled(grants: Mapping[str, Agreement], ancestors: Mapping[str, Ancestors]) -> list[Grant]:
    return [compile_grant(g, grants[g], ancestors=ancestors.get(g, ())) for g in sorted(grants)]


def _party(assignee: str) -> str:
    return "urn:civic:dept:16777215" if assignee == ANY_DEPARTMENT else assignee


def _at(context: Context | None, at: datetime) -> Context:
    if context is None:
        return Context(at)
    return replace(context, now=at)


def _ways(request: Request, grants: Iterable[Grant], context: Context) -> Iterator[Access]:
    """The rules that permit this request, or would permit it when their `LACKING` conditions were satisfied."""
    if request.purpose not in call_purposes():
        return
    call = Call(request, context)
    known = list(grants)
    bans = tuple((b, g) for g in known for b in g.bans if _concerned(b, g, request, context))
    banned = effective(bans, call)
    for grant in known:
        for rule in grant.rules:
            target = rule.permission.target
            if request.action not in rule.covers or not concerns(grant, target.asset, request, context):
                continue
            lacking = failures(rule, grant, call, strict=True)
            if any(r.code not in LACKING for r in lacking):
                continue
            limits = _limits(rule, grant, banned)
            if limits is None:
                continue
            way = Access(
                grant.assignee,
                target.asset,
                request.action,
                grant.id,
                rule.id,
                (request.purpose,),
                target.columns or (),
                rule.until,
                tuple(lacking),
                limits,
                rule.pin,
            )
            below = _below(way, grant.ancestors, request, context)
            if below is not None:
                yield below


def _below(way: Access, ancestors: Iterable[Grant], request: Request, context: Context) -> Access | None:
    """Narrow an access by the terms of every ancestor; None when nothing remains."""
    read = way.version or context.version
    for ancestor in ancestors:
        above = _ways(replace(request, assignee=ancestor.assignee, version=read), [ancestor], context)
        fitting = next((a for a in above if not set(a.columns).isdisjoint(way.columns)), None)
        if fitting is None:
            return None
        unsure: tuple[Reason, ...] = ()
        if fitting.version not in (None, read):
            unsure = (Reason("context.incomplete", fitting.grant, fitting.rule, None, None, CURRENT),)
        way = replace(
            way,
            columns=tuple(c for c in way.columns if c in fitting.columns),
            until=min((u for u in (way.until, fitting.until) if u is not None), default=None),
            conditions=way.conditions + fitting.conditions + unsure,
            limits=way.limits + fitting.limits,
            version=way.version or fitting.version,
        )
    return way


def _concerned(ban: Ban, grant: Grant, request: Request, context: Context) -> bool:
    return concerns(grant, ban.prohibition.target.asset, request, context)


def _limits(rule: Rule, grant: Grant, banned: tuple[Effective, ...]) -> tuple[str, ...] | None:
    """The prohibitions that narrow the rule or may apply; None when one of them removes everything."""
    limits = []
    for e in banned:
        own = e.grant.id == grant.id
        if own and grant.agreement.conflict == "perm":
            continue
        whole = e.ban.columns is None or rule.columns <= e.ban.columns
        partial = e.ban.columns is not None and not rule.columns.isdisjoint(e.ban.columns)
        if not whole and not partial:
            continue
        void = own and grant.agreement.conflict == "invalid"
        if e.certain and (void or (whole and e.ban.kept_rows is None)):
            return None
        limits.append(f"{e.ban.grant} {e.ban.id}")
    return tuple(limits)


def _with_purposes(way: Access, open_to: set[str]) -> Access:
    """The same access with the broadest of these purposes: those without a broader permitted purpose."""
    scheme = purposes()
    tops = sorted(p for p in open_to if not (scheme.ancestors[p] - {p}) & open_to)
    return replace(way, purposes=tuple(tops))
