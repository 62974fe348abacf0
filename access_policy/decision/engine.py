"""The decision engine: the grant that permits a request, with its bounds, or every reason why no grant does.

``decide`` and ``Engine.decide`` are pure, total and deterministic: no input or output, no clock, and the order of adding
grants has no effect. A permission applies only when all its conditions are known and satisfied; a prohibition applies unless
one of its conditions is known not to be satisfied (indeterminate denies). Prohibitions apply to all grants of the caller on
the asset; only within one agreement can ``conflict: perm`` give the permission priority. A delegated grant permits a call
only when the terms of every ancestor permit it as well.

This module finds the rules that concern a call; `access_policy.decision.judge` evaluates them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from access_policy.decision.answers import Context, Decision, Request
from access_policy.decision.compiled import NO_ANCESTORS, Ancestors, GrantState, compile_grant
from access_policy.decision.judge import RuleSet, judge, malformed
from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement
from access_policy.terms.vocabulary import ANY_DEPARTMENT, DEPARTMENT

ENGINE_VERSION = "2"
"""The version that is recorded with each decision. It must change when any decision changes."""

Key: TypeAlias = tuple[str, str]
Member: TypeAlias = tuple[str, Agreement, GrantState, Ancestors]


class Bucket(RuleSet):
    """The grants of one assignee on one target, compiled at the first use."""

    __slots__ = ("compiled", "members", "target")

    def __init__(self, members: tuple[Member, ...], target: str) -> None:
        self.members = members
        self.target = target
        self.compiled = False

    def rule_set(self) -> RuleSet:
        """The compiled rules and prohibitions. Two threads at the same time compute the same result."""
        if not self.compiled:
            grants = [compile_grant(*member) for member in self.members]
            rules = [(r, g) for g in grants for r in g.rules if r.permission.target.asset == self.target]
            bans = [(b, g) for g in grants for b in g.bans if b.prohibition.target.asset == self.target]
            self.fill(rules, bans)
            self.compiled = True
        return self


class Engine:
    """The live grants, indexed by assignee and asset.

    Thread-safe: ``add`` and ``revoke`` replace whole buckets under a lock. ``decide`` takes no lock and uses either the old
    or the new version of a grant on each asset; of a new grant on several assets, prohibitions take effect first. With
    ``inactive_without_duties=False``, a permission is active even when its duty is not fulfilled.
    """

    def __init__(self, *, inactive_without_duties: bool = True) -> None:
        self._strict = inactive_without_duties
        self._lock = threading.Lock()
        self._members: dict[str, Member] = {}
        self._buckets: dict[Key, Bucket] = {}
        self._standing = False
        """Whether there ever was a grant to every department; otherwise none is searched for."""

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
        """Add or replace a grant; raises PolicyError when the terms are not an agreement.

        ``ancestors`` are those of a delegated grant: it permits only what the terms of each ancestor permit too.
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
        """Remove a grant; returns False when it was not there."""
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
        """Permit or deny one request. It never raises for the content of ``request`` or ``context``."""
        refusal = malformed(request, context)
        if refusal is not None:
            return refusal
        return judge(self.find(request, context), request, context, self._strict)

    def find(self, request: Request, context: Context) -> RuleSet:
        """The rules and prohibitions for the caller and the asset, and for all collections that contain one of them."""
        buckets, assignee, asset = self._buckets, request.assignee, request.asset
        own = buckets.get((assignee, asset))
        if not context.collections and not self._standing:
            return own.rule_set() if own is not None else _NOTHING
        parties = [assignee, *context.collections.get(assignee, ())]
        if assignee.startswith(DEPARTMENT):
            parties.append(ANY_DEPARTMENT)
        assets = (asset, *context.collections.get(asset, ()))
        keys = dict.fromkeys((party, target) for party in parties for target in assets)
        found = [bucket.rule_set() for key in keys if (bucket := buckets.get(key)) is not None]
        if len(found) == 1:
            return found[0]
        return RuleSet().fill(
            [pair for rule_set in found for pair in zip(rule_set.rules, rule_set.grants, strict=True)],
            [pair for rule_set in found for pair in rule_set.bans],
        )


_NOTHING = RuleSet().fill((), ())


def decide(
    request: Request,
    grants: Mapping[str, Agreement] | Iterable[tuple[str, Agreement]],
    context: Context,
    *,
    inactive_without_duties: bool = True,
    ancestors: Mapping[str, Ancestors] = NO_ANCESTORS,
) -> Decision:
    """The decision over a few grants, given by id; the same as that of an Engine with these grants.

    ``ancestors`` has those of the delegated grants.
    """
    engine = Engine(inactive_without_duties=inactive_without_duties)
    for grant_id, agreement in grants.items() if isinstance(grants, Mapping) else grants:
        engine.add(grant_id, agreement, ancestors=ancestors.get(grant_id, ()))
    return engine.decide(request, context)


def _keys(agreement: Agreement) -> tuple[Key, ...]:
    """The index keys of a grant. Prohibited targets come first, so that a partly added grant denies."""
    assert agreement.assignee is not None
    assignee = agreement.assignee.id
    if len(agreement.permissions) == 1 and not agreement.prohibitions:
        return ((assignee, agreement.permissions[0].target.asset),)
    targets = [p.target.asset for p in agreement.prohibitions] + [
        p.target.asset for p in agreement.permissions
    ]
    return tuple((assignee, target) for target in dict.fromkeys(targets))
