"""Which grants a call may rest on: recomputed from what was signed, and live on the chain.

The projection only proposes. For every proposed grant the id is recomputed from the signed Terms and from the
canonical agreement; the slot of that id must be live on the chain; and no revocation may be waiting in the
outbox. An operator who changes the stored terms and the projected hash together changes the id, and the slot of
the new id is empty. A delegated grant depends on its ancestors: each of them is recomputed, live and accepted like itself,
and its terms are asked with those of the grant. Where an ancestor was replaced, the slot names the newer grant, and its
terms are asked besides: what either of them leaves out is not given below.
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
    """The grants that stand, in an engine of their own, and the reasons why others do not.

    ``ids`` are those of the grants that stand, ``standing`` is what was proposed of them, and ``rejected`` says why others
    do not; ``agreements`` and ``signed`` (the signed Terms) are those of the grants that stand, ``bounds`` their state on chain, ``chains`` their Terms and those above them where
    they were delegated, ``replaced`` the newer grant of each of these that was replaced: ``ancestors`` has the newer ones
    last. ``used`` and ``first_used`` are the charges of all these: a use counts for every grant above.
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
    """Parsed agreements and compiled engines, by the bytes they were made from; bounded."""

    def __init__(self) -> None:
        self._agreements: OrderedDict[bytes, Agreement] = OrderedDict()
        self._engines: OrderedDict[tuple[tuple[str, bytes, tuple[str, ...]], ...], Engine] = OrderedDict()
        self._lock = threading.Lock()

    def agreement(self, body: bytes) -> Agreement:
        """Parse, or recall; PolicyError when the bytes are not an agreement."""
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
        """An engine that holds exactly these grants. Of ancestors the key has the ids: each is a hash over its terms."""
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
    """The grants that the projection proposes for a call, which of them are denied before the chain is asked, and which
    were accepted. Read before the chain is asked: what is on its way is on one of the two."""

    candidates: tuple[CandidateGrant, ...]
    revoked: Mapping[str, str]
    accepted: Mapping[str, str]

    @property
    def chains(self) -> dict[str, Chain]:
        """What the chain is asked about."""
        return {one.id: one.chain for one in self.candidates}


@dataclass(frozen=True, slots=True)
class GrantSources:
    """Where it is known of grants what the chain does not say: denials on their way, acceptances, uses."""

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
        """Which of the proposed grants stand, given what the chain says of each."""
        standing: dict[str, bytes] = {}
        agreements: dict[str, Agreement] = {}
        ancestors: dict[str, tuple[tuple[str, Agreement], ...]] = {}
        replaced: dict[str, str] = {}
        stand: list[CandidateGrant] = []
        rejected: list[Reason] = []
        for one in proposed.candidates:
            state = states.get(one.id)
            candidate = with_newer(connection, one, state)
            reason = why_not(candidate, state, proposed.revoked, proposed.accepted, now)
            line = _parsed(candidate) if reason is None else reason
            if isinstance(line, Reason):
                rejected.append(line)
                continue
            stand.append(candidate)
            standing[candidate.id] = candidate.agreement
            (_, agreements[candidate.id]), *above = line
            if above:
                ancestors[candidate.id] = tuple(above)
                replaced |= _replaced(state)
        charges = self.charges(connection, stand)
        return CandidateGrants(
            engine=_engines.engine(standing, agreements, ancestors),
            agreements=agreements,
            signed={candidate.id: candidate.terms for candidate in stand},
            ids=tuple(standing),
            standing={candidate.id: candidate for candidate in stand},
            rejected=tuple(rejected),
            bounds={grant: states[grant] for grant in standing},
            ancestors=ancestors,
            replaced=replaced,
            chains={candidate.id: candidate.chain for candidate in stand},
            used={grant: charge.used for grant, charge in charges.items()},
            first_used={grant: charge.first for grant, charge in charges.items()},
        )

    def charges(self, connection: Connection, stand: Sequence[CandidateGrant]) -> dict[str, Charges]:
        """The charges of these grants and of those above them. A use under a delegated grant is one under each grant above:
        it counts there, and the first of all uses is the first there. Under a grant that replaced one above it does not
        count: its share was taken from the older one."""
        lines = [one for candidate in stand for one in asked_of(candidate)]
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
    """The signed Terms of these grants and of those above them."""
    return {one.id: one.terms for candidate in candidates for one in line_of(candidate)}


def line_of(candidate: CandidateGrant) -> tuple[CandidateGrant | AncestorGrant, ...]:
    """The grant and those above it."""
    return candidate, *candidate.ancestors


def asked_of(candidate: CandidateGrant) -> tuple[CandidateGrant | AncestorGrant, ...]:
    """The grants whose terms are asked: the grant, those above it and those that replaced one of these."""
    return *line_of(candidate), *candidate.newer


def with_newer(connection: Connection, candidate: CandidateGrant, state: GrantState | None) -> CandidateGrant:
    """The candidate with the grants that, by the chain, replaced one above it."""
    newer = tuple(_replaced(state).values())
    return replace(candidate, newer=recorded_grants(connection, newer)) if newer else candidate


def _replaced(state: GrantState | None) -> dict[str, str]:
    """The newer grant of each above this one that was replaced."""
    above = state.ancestors or () if state is not None else ()
    return {old: new for one in above for old, new in zip((one.id, *one.newer), one.newer, strict=False)}


def why_not(
    candidate: CandidateGrant,
    state: GrantState | None,
    revoked: Mapping[str, str],
    accepted: Mapping[str, str],
    now: datetime,
) -> Reason | None:
    """The reason why the candidate must not be used, otherwise None. ``revoked`` says why of the grants that are denied
    before the chain is asked."""
    above = _why_not_above(candidate, state, revoked, accepted, now)
    if above is not None:
        return above
    code = _why_denied(candidate, revoked)
    if code is not None:
        return Reason(f"grant.{code}", grant=candidate.id)
    if state is None or state.status == "unknown":
        return Reason("grant.not-on-chain", grant=candidate.id)
    # The engine tells time and uses by the agreement, which says the same as the slot: its refusal can be run again.
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
    """The reason of the ancestor nearest to the root that must not be used, otherwise None. That the chain of Terms is
    whole and theirs, the state says (``ancestors-unknown``)."""
    known = {one.id: one for one in (state.ancestors or ())} if state is not None else {}
    newer = {one.id for one in candidate.newer}
    for ancestor in reversed((*candidate.ancestors, *candidate.newer)):
        code = _why_denied(ancestor, revoked)
        if code is None and ancestor.id in known:
            code = known[ancestor.id].why_ended(now)
        # The grantee's word for the older one holds below; a newer one that it did not accept binds it all the same.
        if code is None and ancestor.id not in newer and ancestor.id not in accepted:
            code = "not-accepted"
        if code is not None:
            return Reason(f"grant.ancestor-{code}", grant=candidate.id, ancestor=ancestor.id)
    return None


def _why_denied(one: CandidateGrant | AncestorGrant, revoked: Mapping[str, str]) -> str | None:
    """Why a grant is not one, before the chain is asked: its terms are not here or not those that were signed, or it is
    denied."""
    if not one.agreement:
        return "terms-missing"
    if recomputed_id(one.terms, one.agreement) != one.id:
        return "id-mismatch"
    return revoked.get(one.id)


def _parsed(candidate: CandidateGrant) -> tuple[tuple[str, Agreement], ...] | Reason:
    """The agreements that are asked, by their ids, the grant's own first; the reason when one cannot be read."""
    found: list[tuple[str, Agreement]] = []
    for one in asked_of(candidate):
        try:
            found.append((one.id, _engines.agreement(one.agreement)))
        except PolicyError:
            if one.id == candidate.id:
                return Reason("grant.terms-invalid", grant=candidate.id)
            return Reason("grant.ancestor-terms-invalid", grant=candidate.id, ancestor=one.id)
    return tuple(found)


def recomputed_id(terms: Mapping[str, Any], agreement: bytes) -> str:
    """The grant id that the signed fields and these agreement bytes stand for."""
    return record_id("Terms", {**terms, "termsHash": "0x" + hashlib.sha256(agreement).hexdigest()})


def merged_reasons(rejected: Sequence[Reason], refused: Sequence[Reason]) -> tuple[Reason, ...]:
    """The reasons of a denial: those about grants that fell come first when no grant stood at all."""
    if not rejected:
        return tuple(refused)
    others = tuple(reason for reason in refused if reason.code != "grant.none")
    return (*others, *rejected)
