"""The status of a grant at an instant: the one answer to whether it can be used, and how often still.

The words are those of the refusals that a call under the grant would get, without ``grant.``; ``active`` when it would
get none for the grant's own sake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from api.calls.candidate_grants import GrantSources, asked_of, terms_in, why_not, with_newer
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
    """Whether a grant can have this status: by itself, or by the grants above it (``ancestor-expired``)."""
    return word.removeprefix("ancestor-") in (*STANDINGS, "not-yet")


@dataclass(frozen=True, slots=True)
class Standing:
    """``word`` is the grant's status, ``used`` how often it was used itself, ``left`` how many uses there still are
    under it and under every grant above it; None for no bound. ``chain_asked`` is whether the chain answered: if it did
    not, this is the status at ``block``, the last one that was followed."""

    word: str
    used: int
    left: int | None
    chain_asked: bool
    block: int
    accepted: str | None


@dataclass(frozen=True, slots=True)
class Standings:
    """What the status of a grant is read from. ``reading`` is the database without a write lock."""

    reading: Engine
    following: Following
    states: ChainStates
    grants: GrantSources

    def of(self, grants: Sequence[Grant], now: datetime) -> dict[str, Standing]:
        """The status of each grant: by the chain, or by what was followed of it when it does not answer. The caller holds no
        connection to the database."""
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
                # An emergency grant has no terms that could be accepted or hashed again.
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
        """The states by the chain; None when it does not answer."""
        if not self.following.reaches_chain():
            return None
        try:
            return self.states.of(chains)
        except ChainError:
            return None


def _in_time(item: Grant, word: str | None, left: int | None, now: datetime) -> str:
    """The word that a reader needs: that a grant has ended comes before that it is not accepted."""
    if word in (None, "not-accepted", "not-yet", EXPIRED) and now.timestamp() >= item.expiry:
        return EXPIRED
    if word == "not-yet" or (word is None and now.timestamp() < item.not_before):
        return NOT_YET
    return word or (SPENT if left == 0 else ACTIVE)


def _left(
    state: GrantState, times: int, candidate: CandidateGrant | None, charged: Mapping[str, Charges]
) -> int | None:
    """What the slot leaves to this grant, and what the terms of it and of each above it leave to all below them."""
    bounds = list(_bound(state.max_uses, times))
    for one in asked_of(candidate) if candidate is not None else ():
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
