"""The status of a grant at an instant: whether it can be used, and how many uses are left.

The words are the codes of the refusals that a call under the grant would get, without ``grant.``; ``active``
if the grant itself causes no refusal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from api.calls.candidate_grants import GrantSources, applying_to, terms_in, why_not, with_newer
from api.runtime.chain_states import Chain, ChainStates
from api.runtime.following import Following
from contracts.codes import UNLIMITED
from ledger.chain.errors import ChainError
from ledger.chain.grants import ENDED, GrantState
from ledger.projection.call_grants import ancestors_of
from ledger.projection.queries import Grant, document, followed_block
from ledger.projection.states import projected_states
from ledger.projection.views import CandidateGrant
from ledger.releases import Charges

ACTIVE, SPENT, EXPIRED, NOT_YET = "active", "spent", "expired", "not-yet-valid"
_OWN = (
    "revoked",
    "replaced",
    "condition-ended",
    "lost-act",
    "cancelled",
    "not-accepted",
    "not-on-chain",
    "id-mismatch",
    "terms-missing",
    "asset-suspended",
    "asset-barred",
    "asset-suspended-and-barred",
    "asset-retired",
    "department-suspended",
    "ancestors-unknown",
)
STANDINGS = (ACTIVE, NOT_YET, SPENT, EXPIRED, *_OWN)


def is_standing(word: str) -> bool:
    """Whether a grant can have this status: by itself, or because of an ancestor (``ancestor-expired``)."""
    return word.removeprefix("ancestor-") in (*STANDINGS, "not-yet")


@dataclass(frozen=True, slots=True)
class Standing:
    """``word`` is the grant's status, ``used`` the number of its own uses, ``left`` the number of uses that
    it and every ancestor still permit; None if there is no limit. ``chain_asked``: the chain answered. If it
    did not, this is the status at ``block``, the last followed block."""

    word: str
    used: int
    left: int | None
    chain_asked: bool
    block: int
    accepted: str | None


@dataclass(frozen=True, slots=True)
class Standings:
    """Reads the status of grants. ``reading`` is the database without a write lock."""

    reading: Engine
    following: Following
    states: ChainStates
    grants: GrantSources

    def of(self, grants: Sequence[Grant], now: datetime) -> dict[str, Standing]:
        """The status of each grant, from the chain, or from the projection if the chain does not answer. The
        caller must not hold a connection to the database."""
        with self.reading.connect() as connection:
            candidates = {item.id: _candidate(connection, item) for item in grants if item.terms}
            revoked = self.grants.revocations.of(connection)
            accepted = self.grants.acceptances.of(connection, terms_in(candidates.values()))
        chains: Mapping[str, Chain] = {
            item.id: candidates[item.id].chain if item.id in candidates else () for item in grants
        }
        asked = self._asked(chains)
        with self.reading.connect() as connection:
            states = projected_states(connection, chains, now) if asked is None else asked
            candidates = {one: with_newer(connection, candidates[one], states[one]) for one in candidates}
            block = followed_block(connection)
            charged = self.grants.charges(connection, list(candidates.values()))
            own = self.grants.uses.of(connection, [item.id for item in grants])
        found: dict[str, Standing] = {}
        for item in grants:
            state, candidate = states[item.id], candidates.get(item.id)
            times = max(own[item.id].used if item.id in own else 0, state.uses)
            left = _left(state, times, candidate, charged)
            if candidate is None:
                # An emergency grant has no Terms, so there is nothing to accept and no id to recompute.
                word = revoked.get(item.id) or state.why(now)
            else:
                reason = why_not(candidate, state, revoked, accepted, now)
                word = None if reason is None else reason.code.removeprefix("grant.")
            word = _in_time(item, word, left, now)
            found[item.id] = Standing(
                word, times, 0 if word in ENDED else left, asked is not None, block, accepted.get(item.id)
            )
        return found

    def _asked(self, chains: Mapping[str, Chain]) -> dict[str, GrantState] | None:
        """The states on the chain; None if it does not answer."""
        if not self.following.reaches_chain():
            return None
        try:
            return self.states.of(chains)
        except ChainError:
            return None


def _in_time(item: Grant, word: str | None, left: int | None, now: datetime) -> str:
    """The most useful word: ``expired`` takes precedence over ``not-accepted`` and ``not-yet``."""
    if word in (None, "not-accepted", "not-yet", EXPIRED) and now.timestamp() >= item.expiry:
        return EXPIRED
    if word == "not-yet" or (word is None and now.timestamp() < item.not_before):
        return NOT_YET
    return word or (SPENT if left == 0 else ACTIVE)


def _left(
    state: GrantState, times: int, candidate: CandidateGrant | None, charged: Mapping[str, Charges]
) -> int | None:
    """The number of uses left: the smallest of the slot's limit for this grant and the limits that its terms
    and those of each ancestor set for all their descendants."""
    bounds = list(_bound(state.max_uses, times))
    for one in applying_to(candidate) if candidate is not None else ():
        if not one.terms:
            continue
        uses = charged[one.id].used if one.id in charged else 0
        bounds += _bound(int(one.terms["maxUses"]), uses)
    return min(bounds, default=None)


def _bound(most: int, times: int) -> Iterator[int]:
    if most != UNLIMITED:
        yield max(most - times, 0)


def _candidate(connection: Connection, item: Grant) -> CandidateGrant:
    body = document(connection, str(item.terms["termsHash"]).removeprefix("0x"))
    return CandidateGrant(
        item.id,
        item.terms,
        bytes(body or b""),
        ancestors_of(connection, item.parent),
        item.uses,
        item.grantor,
    )
