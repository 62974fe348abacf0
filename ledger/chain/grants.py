"""Whether grants live, read from the contract's storage slots (`ledger.chain.slots`): a data call asks about every
grant it may rest on. The bits are those of ``contracts/src/types/GrantWord.sol``; a test holds them against the views.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from ledger.chain.client import ChainClient
from ledger.chain.contracts import Deployment
from ledger.chain.messages import struct_hash
from ledger.chain.slots import GRANTS, Slots

UNLIMITED = 2**32 - 1
MAX_ANCESTORS = 256

Status = Literal["unknown", "active", "revoked", "cancelled"]
_STATUS: tuple[Status, ...] = ("unknown", "active", "revoked", "cancelled")


@dataclass(frozen=True, slots=True)
class GrantState:
    """A grant as the chain holds it, and what it hangs on. Times are unix seconds, ``expiry`` the first dead one.

    ``max_uses`` is what is left to this grant itself after delegations; ``uses`` the last total on chain.
    ``asset`` says whether the asset is active (with its ancestors), ``parties`` whether the department that holds
    the right and the grantee are. ``ancestors`` are those of a delegated grant, None where their terms were not
    given: such a grant is not live.
    """

    id: str
    status: Status
    delegated: bool = False
    emergency: bool = False
    ratified: bool = False
    right: int = 0
    grantee: int = 0
    asset_number: int = 0
    not_before: int = 0
    expiry: int = 0
    max_uses: int = 0
    uses: int = 0
    depth: int = 0
    asset: str = "unknown"
    parties: tuple[str, ...] = ()
    ancestors: tuple[GrantState, ...] | None = ()

    def live(self, now: datetime) -> bool:
        """Whether it may be used at ``now``, by everything the chain knows."""
        return self.why(now) is None

    def why(self, now: datetime) -> str | None:
        """A word for why it may not be used: unknown, revoked, cancelled, not-yet, expired, asset-suspended,
        asset-barred, asset-retired, department-suspended, ancestor-..., ancestors-unknown; None when it may."""
        if self.status != "active":
            return self.status
        moment = now.timestamp()
        if moment < self.not_before:
            return "not-yet"
        if moment >= self.expiry:
            return "expired"
        if self.asset != "active":
            return f"asset-{self.asset}"
        for party in self.parties:
            if party != "active":
                return f"department-{party}"
        if self.ancestors is None:
            return "ancestors-unknown"
        for ancestor in self.ancestors:
            dead = ancestor.why(now)
            if dead is not None:
                return f"ancestor-{dead}"
        return None


def grant_states(
    client: ChainClient,
    deployment: Deployment,
    ids: Iterable[str],
    chains: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    *,
    slots: Slots | None = None,
) -> dict[str, GrantState]:
    """The state of each grant, in the order given; one the chain does not know has the status ``unknown``.

    ``chains`` gives for each delegated grant its Terms, those of its parent, and so on up to the root: they are
    checked by their hashes, so that nobody chooses a grant's ancestors. ``slots`` are those of the newest block, where
    the caller keeps them.
    """
    reader = _Reader(Slots(client, deployment) if slots is None else slots)
    return {grant: reader.state(grant, (chains or {}).get(grant)) for grant in ids}


class _Reader:
    """Makes states of words."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def state(self, grant: str, chain: Sequence[Mapping[str, Any]] | None) -> GrantState:
        word = self._slots.mapped(GRANTS, bytes.fromhex(grant[2:]))
        status = word & 0xF
        if status == 0 or status >= len(_STATUS):
            return GrantState(grant, "unknown")
        asset = word >> 40 & (1 << 64) - 1
        right = word >> 8 & 0xFF
        grantee = word >> 16 & 0xFFFFFF
        about = self._slots.asset(asset)
        holder = (about.holder, about.processor, about.operator)[right - 1] if 1 <= right <= 3 else 0
        delegated = bool(word >> 4 & 1)
        return GrantState(
            id=grant,
            status=_STATUS[status],
            delegated=delegated,
            emergency=bool(word >> 5 & 1),
            ratified=bool(word >> 6 & 1),
            right=right,
            grantee=grantee,
            asset_number=asset,
            not_before=word >> 104 & (1 << 40) - 1,
            expiry=word >> 144 & (1 << 40) - 1,
            max_uses=word >> 184 & UNLIMITED,
            uses=word >> 216 & UNLIMITED,
            depth=word >> 248,
            asset=about.status,
            parties=tuple(self._slots.standing(number) for number in (holder, grantee) if number),
            ancestors=self._ancestors(grant, chain) if delegated else (),
        )

    def _ancestors(
        self, grant: str, chain: Sequence[Mapping[str, Any]] | None
    ) -> tuple[GrantState, ...] | None:
        """States of the parent, its parent, ... or None unless ``chain`` proves who they are."""
        if not chain or len(chain) > MAX_ANCESTORS:
            return None
        found: list[GrantState] = []
        expected = grant
        for terms in chain:
            if "0x" + struct_hash("Terms", terms).hex() != expected:
                return None
            if expected != grant:
                # Each ancestor is judged alone here: its own ancestors follow in this very list.
                found.append(_without_ancestors(self.state(expected, None)))
            expected = str(terms["parent"]).lower()
        return tuple(found) if int(expected, 16) == 0 else None


def _without_ancestors(state: GrantState) -> GrantState:
    return replace(state, ancestors=())
