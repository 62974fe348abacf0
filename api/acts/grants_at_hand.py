"""Which grants a call may rest on: recomputed from what was signed, and live on the chain.

The projection only proposes. For every proposed grant the id is recomputed from the signed Terms and from the
canonical agreement; the slot of that id must be live on the chain; and no revocation may be waiting in the
outbox. An operator who changes the stored terms and the projected hash together changes the id, and the slot of
the new id is empty. A delegated grant stands on its ancestors: each of them is recomputed, live and accepted like itself,
and its terms are asked with those of the grant.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from access_policy.compiled import Ancestors
from access_policy.decision import Reason
from access_policy.engine import Engine
from access_policy.errors import PolicyError
from access_policy.terms import Agreement, parse_terms
from api.chain_states import Chain
from api.gateway import Gateway
from ledger.chain.grants import GrantState
from ledger.chain.messages import struct_hash
from ledger.projection.queries import AncestorGrant, CandidateGrant, candidate_grants, delegated_from
from ledger.releases import Charges

_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class AtHand:
    """The grants that stand, in an engine of their own, and the reasons why others do not.

    ``candidates`` are the ids of those that stand, ``standing`` is what was proposed of them, and ``fallen`` says why others do not; ``agreements`` and ``signed`` (the signed Terms) are
    those of the grants that stand, ``bounds`` their state on chain, ``chains`` their Terms and those above them where
    they were delegated; ``used`` and ``first_used`` are the charges of all these: a use counts for every grant above.
    """

    engine: Engine
    agreements: Mapping[str, Agreement]
    signed: Mapping[str, Mapping[str, Any]]
    candidates: tuple[str, ...]
    standing: Mapping[str, CandidateGrant]
    fallen: tuple[Reason, ...]
    bounds: Mapping[str, GrantState]
    ancestors: Mapping[str, tuple[tuple[str, Agreement], ...]]
    chains: Mapping[str, Chain]
    used: Mapping[str, int]
    first_used: Mapping[str, datetime]


class _Engines:
    """Parsed agreements and compiled engines, by the bytes they were made from; bounded."""

    def __init__(self) -> None:
        self._agreements: OrderedDict[bytes, Agreement] = OrderedDict()
        self._engines: OrderedDict[tuple[tuple[str, bytes], ...], Engine] = OrderedDict()
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
        """An engine that holds exactly these grants. Ancestors are no part of the key: a grant's id is a hash over
        theirs."""
        key = tuple(sorted((grant, hashlib.sha256(body).digest()) for grant, body in standing.items()))
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


def grants_at_hand(
    gateway: Gateway,
    connection: Connection,
    asset: int,
    department: int,
    now: datetime,
    only: str | None = None,
) -> AtHand:
    """The grants of a department (its own and standing offers) on an asset; ``only`` names one of them."""
    proposed = [
        candidate
        for candidate in candidate_grants(connection, asset, department, now)
        if only is None or candidate.id == only
    ]
    revoked = gateway.revocations.of(connection)
    accepted = gateway.acceptances.of(connection, terms_in(proposed))
    states = gateway.states.of({candidate.id: candidate.chain for candidate in proposed})
    standing: dict[str, bytes] = {}
    agreements: dict[str, Agreement] = {}
    ancestors: dict[str, tuple[tuple[str, Agreement], ...]] = {}
    stand: list[CandidateGrant] = []
    fallen: list[Reason] = []
    for candidate in proposed:
        reason = why_not(candidate, states.get(candidate.id), revoked, accepted, now)
        line = _parsed(candidate) if reason is None else reason
        if isinstance(line, Reason):
            fallen.append(line)
            continue
        stand.append(candidate)
        standing[candidate.id] = candidate.agreement
        (_, agreements[candidate.id]), *above = line
        if above:
            ancestors[candidate.id] = tuple(above)
    charges = charges_of(gateway, connection, stand)
    return AtHand(
        engine=_engines.engine(standing, agreements, ancestors),
        agreements=agreements,
        signed={candidate.id: candidate.terms for candidate in stand},
        candidates=tuple(standing),
        standing={candidate.id: candidate for candidate in stand},
        fallen=tuple(fallen),
        bounds={grant: states[grant] for grant in standing},
        ancestors=ancestors,
        chains={candidate.id: candidate.chain for candidate in stand},
        used={grant: charge.used for grant, charge in charges.items()},
        first_used={grant: charge.first for grant, charge in charges.items()},
    )


def terms_in(candidates: Iterable[CandidateGrant]) -> dict[str, Mapping[str, Any]]:
    """The signed Terms of these grants and of those above them."""
    return {one.id: one.terms for candidate in candidates for one in line_of(candidate)}


def line_of(candidate: CandidateGrant) -> tuple[CandidateGrant | AncestorGrant, ...]:
    """The grant and those above it."""
    return candidate, *candidate.ancestors


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
    code: str | None = None
    if recomputed_id(candidate.terms, candidate.agreement) != candidate.id:
        code = "grant.id-mismatch"
    elif candidate.id in revoked:
        code = f"grant.{revoked[candidate.id]}"
    elif state is None or state.status == "unknown":
        code = "grant.not-on-chain"
    # The engine tells time by the agreement, which says the same as the slot: its refusal can be run again.
    elif (why := state.why(now)) not in (None, "expired", "not-yet"):
        code = f"grant.{why}"
    elif candidate.terms["grantee"] != 0 and candidate.id not in accepted:
        code = "grant.not-accepted"
    return None if code is None else Reason(code, grant=candidate.id)


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
    for ancestor in reversed(candidate.ancestors):
        code: str | None = None
        if not ancestor.agreement:
            code = "terms-missing"
        elif recomputed_id(ancestor.terms, ancestor.agreement) != ancestor.id:
            code = "id-mismatch"
        elif ancestor.id in revoked:
            code = revoked[ancestor.id]
        elif ancestor.id in known:
            code = known[ancestor.id].why(now)
        if code is None and ancestor.id not in accepted:
            code = "not-accepted"
        if code is not None:
            return Reason(f"grant.ancestor-{code}", grant=candidate.id, ancestor=ancestor.id)
    return None


def _parsed(candidate: CandidateGrant) -> tuple[tuple[str, Agreement], ...] | Reason:
    """The agreements of the grant and of those above it, by their ids; the reason when one cannot be read."""
    found: list[tuple[str, Agreement]] = []
    for one in line_of(candidate):
        try:
            found.append((one.id, _engines.agreement(one.agreement)))
        except PolicyError:
            if one.id == candidate.id:
                return Reason("grant.terms-invalid", grant=candidate.id)
            return Reason("grant.ancestor-terms-invalid", grant=candidate.id, ancestor=one.id)
    return tuple(found)


def charges_of(
    gateway: Gateway, connection: Connection, stand: Sequence[CandidateGrant]
) -> dict[str, Charges]:
    """The charges of these grants and of those above them. A use under a delegated grant is one under each grant above:
    it counts there, and the first of all uses is the first there."""
    lines = [one for candidate in stand for one in line_of(candidate)]
    below = dict.fromkeys((one.id for one in lines), frozenset[str]())
    parents = {one.id for one in lines if one.terms["depth"] > 0}
    if parents:
        below |= delegated_from(connection, parents)
        below |= {parent: below[parent] | gateway.uses.below(parent) for parent in parents}
    own = gateway.used(connection, {*below, *(child for each in below.values() for child in each)})
    found: dict[str, Charges] = {}
    for grant, children in below.items():
        each = [own[one] for one in (grant, *children) if one in own]
        if each:
            found[grant] = Charges(sum(one.used for one in each), min(one.first for one in each))
    return found


def recomputed_id(terms: Mapping[str, Any], agreement: bytes) -> str:
    """The grant id that the signed fields and these agreement bytes stand for."""
    return (
        "0x"
        + struct_hash("Terms", {**terms, "termsHash": "0x" + hashlib.sha256(agreement).hexdigest()}).hex()
    )


def merged_reasons(fallen: Sequence[Reason], refused: Sequence[Reason]) -> tuple[Reason, ...]:
    """The reasons of a denial: those about grants that fell come first when no grant stood at all."""
    if not fallen:
        return tuple(refused)
    others = tuple(reason for reason in refused if reason.code != "grant.none")
    return (*others, *fallen)
