"""Analyses of terms before signing: contradictions, rules without effect, and the effect of a change.

Every positive result has a witness: a request and a context for which the engine gives this result. A negative result is given
only when all situations that the terms can distinguish were tried; otherwise the result is ``unknown``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from access_policy.analysis.space import Space, space_of
from access_policy.decision.answers import Context, Decision, Permit, Request
from access_policy.decision.bans import Effective, Limits, effective, limit
from access_policy.decision.compiled import Grant, Rule, compile_grant, concerns
from access_policy.decision.engine import Engine
from access_policy.decision.evaluation import Call
from access_policy.decision.reasons import failures
from access_policy.terms.agreement import Agreement

Verdict: TypeAlias = Literal["conflict", "compatible", "unknown"]
Cause: TypeAlias = Literal["unsatisfiable", "prohibited", "shadowed", "unknown"]
MAX_WITNESSES = 20
MAX_PAIRS = 1_000


@dataclass(frozen=True, slots=True)
class Witness:
    """A call that shows the result: the arguments of ``decide``."""

    request: Request
    context: Context


@dataclass(frozen=True, slots=True)
class Conflict:
    """A permission and a prohibition that both apply to ``witness``."""

    permission: tuple[str, str]
    prohibition: tuple[str, str]
    witness: Witness


@dataclass(frozen=True, slots=True)
class Conflicts:
    """``conflict`` with all pairs found, ``compatible`` when it is proved that there is none, otherwise ``unknown``."""

    verdict: Verdict
    found: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A rule (grant, rule id) that never has an effect, and the cause."""

    grant: str
    rule: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions of terms: the decisions for the witness before and after."""

    kind: Literal["newly permitted", "newly denied", "bounds changed"]
    before: Decision
    after: Decision
    witness: Witness


@dataclass(frozen=True, slots=True)
class Difference:
    """The effect of a change of terms. With ``exhaustive`` False the list may be incomplete."""

    changes: tuple[Change, ...]
    exhaustive: bool

    @property
    def newly_permitted(self) -> tuple[Change, ...]:
        """The calls that were denied before and are permitted now."""
        return tuple(c for c in self.changes if c.kind == "newly permitted")

    @property
    def newly_denied(self) -> tuple[Change, ...]:
        """The calls that were permitted before and are denied now."""
        return tuple(c for c in self.changes if c.kind == "newly denied")


def compiled(grants: Mapping[str, Agreement]) -> tuple[Grant, ...]:
    """The compiled grants in the order of their ids."""
    return tuple(compile_grant(grant_id, grants[grant_id]) for grant_id in sorted(grants))


def conflicts(
    grants: Mapping[str, Agreement], *, collections: Mapping[str, tuple[str, ...]] | None = None
) -> Conflicts:
    """The pairs of permission and prohibition, within and across these grants, that apply to the same call.

    Different assignees or assets overlap only by ``collections`` (member -> its collections).
    """
    known = compiled(grants)
    bans = tuple((b, g) for g in known for b in g.bans)
    if not bans:
        return Conflicts("compatible")
    space = space_of(known, collections=collections, with_duties=False)
    found: dict[tuple[tuple[str, str], tuple[str, str]], Conflict] = {}
    for request, context in space.situations():
        call = Call(request, context)
        reached = [e for e in effective(bans, call) if e.certain and _reaches(e, request, context)]
        if not reached:
            continue
        applying = [(g.id, r.id) for g in known for r in g.rules if _applies(r, g, call)]
        for permission in applying:
            for e in reached:
                pair = (permission, (e.ban.grant, e.ban.id))
                if pair not in found and len(found) < MAX_PAIRS:
                    found[pair] = Conflict(*pair, Witness(request, context))
    if found:
        return Conflicts("conflict", tuple(found[p] for p in sorted(found)))
    return Conflicts("compatible" if space.exhaustive else "unknown")


def _reaches(e: Effective, request: Request, context: Context) -> bool:
    columns = e.ban.columns
    touched = columns is None or not columns.isdisjoint(request.columns)
    return touched and concerns(e.grant, e.ban.prohibition.target.asset, request, context)


def _applies(rule: Rule, grant: Grant, call: Call) -> bool:
    about = concerns(grant, rule.permission.target.asset, call.request, call.context)
    return about and not failures(rule, grant, call, strict=False)


def unreachable(
    grants: Mapping[str, Agreement], *, collections: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Unreachable, ...]:
    """The permissions that never permit a call and the prohibitions that never apply.

    ``unsatisfiable``: its conditions contradict each other; ``prohibited``: prohibitions remove everything; ``shadowed``:
    another permission always decides first; ``unknown``: not proved.
    """
    known = compiled(grants)
    engine = engine_of(known)
    space = space_of(known, collections=collections)
    bans = tuple((b, g) for g in known for b in g.bans)
    used: set[tuple[str, str]] = set()
    applied: set[tuple[str, str]] = set()
    survived: set[tuple[str, str]] = set()
    rules = [(r, g) for g in known for r in g.rules]
    for request, context in space.situations():
        decision = engine.decide(request, context)
        if isinstance(decision, Permit):
            used.add((decision.grant, decision.rule))
        call = Call(request, context)
        banned = tuple(e for e in effective(bans, call) if _reaches(e, request, context))
        used.update((e.ban.grant, e.ban.id) for e in banned if e.certain)
        for rule, grant in rules:
            name = (grant.id, rule.id)
            if name in survived or name in used or not _applies(rule, grant, call):
                continue
            applied.add(name)
            if isinstance(limit(rule, grant, banned, request), Limits):
                survived.add(name)

    def cause(name: tuple[str, str]) -> Cause:
        if not space.exhaustive:
            return "unknown"
        if name not in applied:
            return "unsatisfiable"
        return "shadowed" if name in survived else "prohibited"

    everything = [(g.id, r.id) for g in known for r in g.rules]
    everything += [(g.id, b.id) for g in known for b in g.bans]
    return tuple(Unreachable(*name, cause(name)) for name in everything if name not in used)


def engine_of(grants: Iterable[Grant]) -> Engine:
    """An engine with these grants."""
    engine = Engine()
    for grant in grants:
        engine.add(grant.id, grant.agreement, grant.state)
    return engine


def diff(
    old: Mapping[str, Agreement] | Agreement | None,
    new: Mapping[str, Agreement] | Agreement | None,
    *,
    collections: Mapping[str, tuple[str, ...]] | None = None,
) -> Difference:
    """The effect of replacing ``old`` by ``new`` (each is an agreement, several by id, or None).

    There is at most one witness for each kind of change, action, set of columns and reason, the simplest one first.
    """
    before, after = _versions(old), _versions(new)
    space = _joint_space(before, after, collections)
    engines = engine_of(before), engine_of(after)
    found: dict[tuple[object, ...], Change] = {}
    for request, context in space.situations():
        was, now = engines[0].decide(request, context), engines[1].decide(request, context)
        kind = _kind(was, now)
        if kind is None:
            continue
        key = (
            kind,
            request.assignee,
            request.asset,
            request.action,
            request.columns,
            _essence(was),
            _essence(now),
        )
        if key not in found and len(found) < MAX_WITNESSES * 10:
            found[key] = Change(kind, was, now, Witness(request, context))
    kept = sorted(found.values(), key=_plainness)
    shown: list[Change] = []
    for name in ("newly permitted", "newly denied", "bounds changed"):
        shown += [c for c in kept if c.kind == name][:MAX_WITNESSES]
    return Difference(tuple(shown), space.exhaustive)


def _plainness(change: Change) -> tuple[object, ...]:
    w = change.witness
    return (
        len(w.request.attributes),
        len(w.request.columns),
        w.request.action,
        w.request.columns,
        w.request.purpose,
    )


def _versions(version: Mapping[str, Agreement] | Agreement | None) -> tuple[Grant, ...]:
    if version is None:
        return ()
    return compiled({"grant": version} if isinstance(version, Agreement) else version)


def _joint_space(
    before: Sequence[Grant], after: Sequence[Grant], collections: Mapping[str, tuple[str, ...]] | None
) -> Space:
    return space_of((*before, *after), collections=collections)


def _kind(
    was: Decision, now: Decision
) -> Literal["newly permitted", "newly denied", "bounds changed"] | None:
    if isinstance(now, Permit):
        if not isinstance(was, Permit):
            return "newly permitted"
        return None if bounds(was) == bounds(now) else "bounds changed"
    return "newly denied" if isinstance(was, Permit) else None


def bounds(permit: Permit) -> tuple[object, ...]:
    """The content of a permit (what is released, under which conditions) without the ids of grant and rule."""
    duties = tuple((d.action, d.due) for d in permit.duties)
    rows = (permit.columns, permit.row_filter, dict(permit.transforms))
    return (*rows, duties, permit.max_uses, dict(permit.options), permit.until, permit.version)


def _essence(decision: Decision) -> object:
    if isinstance(decision, Permit):
        return repr(bounds(decision))
    return frozenset(r.code for r in decision.reasons)
