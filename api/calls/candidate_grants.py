"""The grants that may permit a call: recomputed from what was signed, and live on the chain.

The projection only proposes grants. For every proposed grant the id is recomputed from the signed Terms and
from the canonical agreement; the slot of that id must be live on the chain; and no revocation may be waiting
in the outbox. An operator who changes the stored terms and the projected hash together changes the id, and
the slot of the new id is empty. A delegated grant depends on its ancestors: each of them must be recomputed,
live and accepted in the same way, and its terms apply together with those of the grant. If an ancestor was
replaced, the slot names the newer grant, and its terms apply as well: a descendant may do only what both
permit.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from access_policy.decision.answers import Reason
from access_policy.decision.compiled import Ancestors
from access_policy.decision.engine import Engine
from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement, parse_terms
from api.runtime.chain_states import Chain
from api.runtime.grant_uses import GrantUses
from contracts.codes import MAY_DERIVE
from ledger.chain.grants import GrantState
from ledger.chain.messages import record_id
from ledger.grants.acceptances import AcceptanceProofs
from ledger.outbox import PendingRevocations
from ledger.projection.call_grants import candidate_grants, delegated_from, recorded_grants
from ledger.projection.views import AncestorGrant, CandidateGrant
from ledger.releases import Charges

_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class CandidateGrants:
    """The usable grants, in an engine of their own, and the reasons why the others are not usable.

    ``ids`` are the ids of the usable grants, ``standing`` is what was proposed of them, and ``rejected`` says
    why the others are not usable. Of the usable grants, ``agreements`` and ``signed`` are the agreements and
    the signed Terms, ``bounds`` is their state on the chain, and ``chains`` their Terms and the Terms of
    their ancestors. ``replaced`` names the newer grant of each of these that was replaced; ``ancestors``
    lists the newer ones last. ``used`` and ``first_used`` are the charges of all these grants: a use counts
    for every ancestor too.
    """

    engine: Engine
    agreements: Mapping[str, Agreement]
    signed: Mapping[str, Mapping[str, Any]]
    ids: tuple[str, ...]
    standing: Mapping[str, CandidateGrant]
    rejected: tuple[Reason, ...]
    bounds: Mapping[str, GrantState]
    ancestors: Mapping[str, tuple[tuple[str, Agreement], ...]]
    replaced: Mapping[str, str]
    chains: Mapping[str, Chain]
    used: Mapping[str, int]
    first_used: Mapping[str, datetime]


class _Engines:
    """A bounded cache of parsed agreements and compiled engines, keyed by the bytes they were made from."""

    def __init__(self) -> None:
        self._agreements: OrderedDict[bytes, Agreement] = OrderedDict()
        self._engines: OrderedDict[tuple[tuple[str, bytes, tuple[str, ...]], ...], Engine] = OrderedDict()
        self._lock = threading.Lock()

    def agreement(self, body: bytes) -> Agreement:
        """Parse an agreement, or return it from the cache; PolicyError if the bytes are not an agreement."""
        key = hashlib.sha256(body).digest()
        with self._lock:
            known = self._agreements.get(key)
        if known is None:
            terms = parse_terms(body)
            if not isinstance(terms, Agreement):
                raise PolicyError("only an agreement can permit a call")
            known = terms
            with self._lock:
                _keep(self._agreements, key, known)
        return known

    def engine(
        self,
        standing: Mapping[str, bytes],
        agreements: Mapping[str, Agreement],
        ancestors: Mapping[str, Ancestors],
    ) -> Engine:
        """An engine that holds exactly these grants. The cache key contains the ids of ancestors: each id is
        a hash over the terms."""
        key = tuple(
            sorted(
                (grant, hashlib.sha256(body).digest(), tuple(one for one, _ in ancestors.get(grant, ())))
                for grant, body in standing.items()
            )
        )
        with self._lock:
            known = self._engines.get(key)
        if known is None:
            known = Engine()
            for grant, agreement in agreements.items():
                known.add(grant, agreement, ancestors=ancestors.get(grant, ()))
            with self._lock:
                _keep(self._engines, key, known)
        return known


def _keep(store: OrderedDict[Any, Any], key: object, value: object) -> None:
    store[key] = value
    while len(store) > _KEPT:
        store.popitem(last=False)


_engines = _Engines()


@dataclass(frozen=True, slots=True)
class ProposedGrants:
    """The grants that the projection proposes for a call, those of them that are denied before the chain is
    asked, and those that were accepted. They are read before the chain is asked, so that a revocation in
    progress is seen in the outbox or on the chain."""

    candidates: tuple[CandidateGrant, ...]
    revoked: Mapping[str, str]
    accepted: Mapping[str, str]

    @property
    def chains(self) -> dict[str, Chain]:
        """The grants, with their ancestors, whose state the chain is asked for."""
        return {one.id: one.chain for one in self.candidates}


@dataclass(frozen=True, slots=True)
class GrantSources:
    """Sources of what the chain does not record about grants: pending denials, acceptances, uses."""

    revocations: PendingRevocations
    acceptances: AcceptanceProofs
    uses: GrantUses

    def proposed(
        self, connection: Connection, asset: int, department: int, now: datetime, only: str | None = None
    ) -> ProposedGrants:
        """The grants of a department (its own and standing offers) on an asset; ``only`` names one of them."""
        candidates = tuple(candidate_grants(connection, asset, department, now, only))
        revoked = self.revocations.of(connection)
        return ProposedGrants(candidates, revoked, self.acceptances.of(connection, terms_in(candidates)))

    def candidates(
        self,
        connection: Connection,
        proposed: ProposedGrants,
        states: Mapping[str, GrantState],
        now: datetime,
    ) -> CandidateGrants:
        """The usable ones of the proposed grants, given the state of each on the chain."""
        standing: dict[str, bytes] = {}
        agreements: dict[str, Agreement] = {}
        ancestors: dict[str, tuple[tuple[str, Agreement], ...]] = {}
        replaced: dict[str, str] = {}
        usable: list[CandidateGrant] = []
        rejected: list[Reason] = []
        for one in proposed.candidates:
            state = states.get(one.id)
            candidate = with_newer(connection, one, state)
            reason = why_not(candidate, state, proposed.revoked, proposed.accepted, now)
            line = _parsed(candidate) if reason is None else reason
            if isinstance(line, Reason):
                rejected.append(line)
                continue
            usable.append(candidate)
            standing[candidate.id] = candidate.agreement
            (_, agreements[candidate.id]), *above = line
            if above:
                ancestors[candidate.id] = tuple(above)
                replaced |= _replaced(state)
        charges = self.charges(connection, usable)
        return CandidateGrants(
            engine=_engines.engine(standing, agreements, ancestors),
            agreements=agreements,
            signed={candidate.id: candidate.terms for candidate in usable},
            ids=tuple(standing),
            standing={candidate.id: candidate for candidate in usable},
            rejected=tuple(rejected),
            bounds={grant: states[grant] for grant in standing},
            ancestors=ancestors,
            replaced=replaced,
            chains={candidate.id: candidate.chain for candidate in usable},
            used={grant: charge.used for grant, charge in charges.items()},
            first_used={grant: charge.first for grant, charge in charges.items()},
        )

    def charges(self, connection: Connection, usable: Sequence[CandidateGrant]) -> dict[str, Charges]:
        """The charges of these grants and of their ancestors. A use of a delegated grant counts for each
        ancestor, and the first of all these uses is the ancestor's first use. It does not count for a grant
        that replaced an ancestor, because its share was taken from the older one."""
        lines = [one for candidate in usable for one in applying_to(candidate)]
        below = dict.fromkeys((one.id for one in lines), frozenset[str]())
        parents = {one.id for one in lines if one.terms.get("depth", 0) & ~MAY_DERIVE}
        if parents:
            below |= delegated_from(connection, parents)
            below |= {parent: below[parent] | self.uses.below(parent) for parent in parents}
        own = self.uses.of(connection, {*below, *(child for each in below.values() for child in each)})
        found: dict[str, Charges] = {}
        for grant, children in below.items():
            each = [own[one] for one in (grant, *children) if one in own]
            if each:
                found[grant] = Charges(sum(one.used for one in each), min(one.first for one in each))
        return found


def terms_in(candidates: Iterable[CandidateGrant]) -> dict[str, Mapping[str, Any]]:
    """The signed Terms of these grants and of their ancestors."""
    return {one.id: one.terms for candidate in candidates for one in with_ancestors(candidate)}


def with_ancestors(candidate: CandidateGrant) -> tuple[CandidateGrant | AncestorGrant, ...]:
    """The grant and its ancestors."""
    return candidate, *candidate.ancestors


def applying_to(candidate: CandidateGrant) -> tuple[CandidateGrant | AncestorGrant, ...]:
    """The grants whose terms apply: the grant, its ancestors and the grants that replaced one of these."""
    return *with_ancestors(candidate), *candidate.newer


def with_newer(connection: Connection, candidate: CandidateGrant, state: GrantState | None) -> CandidateGrant:
    """The candidate with the grants that, according to the chain, replaced one of its ancestors."""
    newer = tuple(_replaced(state).values())
    return replace(candidate, newer=recorded_grants(connection, newer)) if newer else candidate


def _replaced(state: GrantState | None) -> dict[str, str]:
    """The newer grant of each replaced ancestor."""
    above = state.ancestors or () if state is not None else ()
    return {old: new for one in above for old, new in zip((one.id, *one.newer), one.newer, strict=False)}


def why_not(
    candidate: CandidateGrant,
    state: GrantState | None,
    revoked: Mapping[str, str],
    accepted: Mapping[str, str],
    now: datetime,
) -> Reason | None:
    """The reason why the candidate must not be used, otherwise None. ``revoked`` has the reason of each grant
    that is denied before the chain is asked."""
    above = _why_not_above(candidate, state, revoked, accepted, now)
    if above is not None:
        return above
    code = _why_denied(candidate, revoked)
    if code is not None:
        return Reason(f"grant.{code}", grant=candidate.id)
    if state is None or state.status == "unknown":
        return Reason("grant.not-on-chain", grant=candidate.id)
    # The engine checks time and uses by the agreement, which states the same as the slot, so that its refusal
    # can be re-decided.
    if (why := state.why_ended(now)) not in (None, "expired", "not-yet"):
        return Reason(f"grant.{why}", grant=candidate.id)
    if candidate.terms["grantee"] != 0 and candidate.id not in accepted:
        return Reason("grant.not-accepted", grant=candidate.id)
    return None


def _why_not_above(
    candidate: CandidateGrant,
    state: GrantState | None,
    revoked: Mapping[str, str],
    accepted: Mapping[str, str],
    now: datetime,
) -> Reason | None:
    """The reason of the ancestor nearest to the root that must not be used, otherwise None. The state on the
    chain says whether the chain of Terms is complete (``ancestors-unknown``)."""
    known = {one.id: one for one in (state.ancestors or ())} if state is not None else {}
    newer = {one.id for one in candidate.newer}
    for ancestor in reversed((*candidate.ancestors, *candidate.newer)):
        code = _why_denied(ancestor, revoked)
        if code is None and ancestor.id in known:
            code = known[ancestor.id].why_ended(now)
        # For descendants the acceptance of the older grant is enough; the terms of a newer one apply even if
        # it was not accepted.
        if code is None and ancestor.id not in newer and ancestor.id not in accepted:
            code = "not-accepted"
        if code is not None:
            return Reason(f"grant.ancestor-{code}", grant=candidate.id, ancestor=ancestor.id)
    return None


def _why_denied(one: CandidateGrant | AncestorGrant, revoked: Mapping[str, str]) -> str | None:
    """Why a grant is not usable, before the chain is asked: its terms are missing or are not those that were
    signed, or it is denied."""
    if not one.agreement:
        return "terms-missing"
    if recomputed_id(one.terms, one.agreement) != one.id:
        return "id-mismatch"
    return revoked.get(one.id)


def _parsed(candidate: CandidateGrant) -> tuple[tuple[str, Agreement], ...] | Reason:
    """The agreements that apply, with their ids, the grant's own first; the reason if one cannot be
    parsed."""
    found: list[tuple[str, Agreement]] = []
    for one in applying_to(candidate):
        try:
            found.append((one.id, _engines.agreement(one.agreement)))
        except PolicyError:
            if one.id == candidate.id:
                return Reason("grant.terms-invalid", grant=candidate.id)
            return Reason("grant.ancestor-terms-invalid", grant=candidate.id, ancestor=one.id)
    return tuple(found)


def recomputed_id(terms: Mapping[str, Any], agreement: bytes) -> str:
    """The grant id of the signed fields and these agreement bytes."""
    return record_id("Terms", {**terms, "termsHash": "0x" + hashlib.sha256(agreement).hexdigest()})


def merged_reasons(rejected: Sequence[Reason], refused: Sequence[Reason]) -> tuple[Reason, ...]:
    """The reasons of a denial: the engine's first, then those of the rejected grants. ``grant.none`` is left
    out if a grant was rejected."""
    if not rejected:
        return tuple(refused)
    others = tuple(reason for reason in refused if reason.code != "grant.none")
    return (*others, *rejected)
