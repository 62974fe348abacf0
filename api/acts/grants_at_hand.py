"""Which grants a call may rest on: recomputed from what was signed, and live on the chain.

The projection only proposes. For every proposed grant the id is recomputed from the signed Terms and from the
canonical agreement; the slot of that id must be live on the chain; and no revocation may be waiting in the
outbox. An operator who changes the stored terms and the projected hash together changes the id, and the slot of
the new id is empty.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from access_policy.decision import Reason
from access_policy.engine import Engine
from access_policy.errors import PolicyError
from access_policy.terms import Agreement, parse_terms
from api.gateway import Gateway
from ledger.acceptances import accepted_by
from ledger.chain.grants import GrantState
from ledger.chain.messages import struct_hash
from ledger.projection.queries import CandidateGrant, candidate_grants
from ledger.releases import used

_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class AtHand:
    """The grants that stand, in an engine of their own, and the reasons why others do not.

    ``candidates`` are the ids of those that stand and ``fallen`` says why others do not; ``agreements`` and ``signed`` (the signed Terms) are
    those of the grants that stand, ``bounds`` their state on chain; ``used`` and ``first_used`` their charges.
    """

    engine: Engine
    agreements: Mapping[str, Agreement]
    signed: Mapping[str, Mapping[str, Any]]
    candidates: tuple[str, ...]
    fallen: tuple[Reason, ...]
    bounds: Mapping[str, GrantState]
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

    def engine(self, standing: Mapping[str, bytes], agreements: Mapping[str, Agreement]) -> Engine:
        """An engine that holds exactly these grants."""
        key = tuple(sorted((grant, hashlib.sha256(body).digest()) for grant, body in standing.items()))
        with self._lock:
            known = self._engines.get(key)
        if known is None:
            known = Engine()
            for grant, agreement in agreements.items():
                known.add(grant, agreement)
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
    accepted = accepted_by(connection, [candidate.id for candidate in proposed])
    states = gateway.states.of({candidate.id: candidate.chain for candidate in proposed})
    standing: dict[str, bytes] = {}
    agreements: dict[str, Agreement] = {}
    signed: dict[str, Mapping[str, Any]] = {}
    fallen: list[Reason] = []
    for candidate in proposed:
        code = _why_not(candidate, states.get(candidate.id), revoked, now)
        if code is None and candidate.terms["grantee"] != 0 and candidate.id not in accepted:
            code = "grant.not-accepted"
        if code is not None:
            fallen.append(Reason(code, grant=candidate.id))
            continue
        try:
            agreements[candidate.id] = _engines.agreement(candidate.agreement)
        except PolicyError:
            fallen.append(Reason("grant.terms-invalid", grant=candidate.id))
            continue
        standing[candidate.id] = candidate.agreement
        signed[candidate.id] = candidate.terms
    charges = used(connection, list(standing))
    return AtHand(
        engine=_engines.engine(standing, agreements),
        agreements=agreements,
        signed=signed,
        candidates=tuple(standing),
        fallen=tuple(fallen),
        bounds={grant: states[grant] for grant in standing},
        used={grant: charge.used for grant, charge in charges.items()},
        first_used={grant: charge.first for grant, charge in charges.items()},
    )


def _why_not(
    candidate: CandidateGrant, state: GrantState | None, revoked: frozenset[str], now: datetime
) -> str | None:
    """A reason code when the candidate must not be used, otherwise None."""
    if recomputed_id(candidate.terms, candidate.agreement) != candidate.id:
        return "grant.id-mismatch"
    if candidate.id in revoked:
        return "grant.revoked"
    if state is None or state.status == "unknown":
        return "grant.not-on-chain"
    why = state.why(now)
    # The engine tells time by the agreement, which says the same as the slot: its refusal can be run again.
    return None if why in (None, "expired", "not-yet") else f"grant.{why}"


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
