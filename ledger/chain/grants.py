"""The states of grants, read from the contract's storage slots (`ledger.chain.slots`). A data call reads every grant that
may permit it. The bits are those of ``contracts/src/types/GrantWord.sol``; a test compares them with the views.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from contracts.codes import UNLIMITED, GrantFlag, GrantStatus
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.limits import MAX_ANCESTORS
from ledger.chain.messages import record_id
from ledger.chain.slots import GRANTS, REPLACED_BY, Slots

Status = Literal["unknown", "active", "revoked", "cancelled", "replaced"]
STATUS: Mapping[int, Status] = {
    GrantStatus.ACTIVE: "active",
    GrantStatus.REVOKED: "revoked",
    GrantStatus.CANCELLED: "cancelled",
    GrantStatus.REPLACED: "replaced",
}


ENDED = frozenset({"expired", "revoked", "replaced", "cancelled", "condition-ended"})
"""The words of `GrantState.why_ended` for a permanent end."""


@dataclass(frozen=True, slots=True)
class GrantState:
    """The state of a grant on chain and of everything it depends on. Times are unix seconds; ``expiry`` is exclusive.

    ``max_uses`` is the number of uses of the grant minus delegated uses; ``uses`` is the last total on chain. ``asset`` is the
    status of the asset with its ancestors; ``parties`` are the statuses of the department that holds the right and of the
    grantee. ``condition_ended`` states that a condition of the grant has ended. ``ancestors`` are those of a delegated grant;
    None when their terms were not given, and then the grant is not live. A replaced ancestor has the state of its replacement
    but its own id; its ``newer`` lists the replacements, the newest last. ``depth`` is the number of further delegations that
    are allowed.
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
    may_derive: bool = False
    asset: str = "unknown"
    parties: tuple[str, ...] = ()
    ancestors: tuple[GrantState, ...] | None = ()
    newer: tuple[str, ...] = ()
    condition_ended: bool = False

    def live(self, now: datetime) -> bool:
        """Whether the grant may be used at ``now``, by the state of the chain."""
        return self.why(now) is None

    @property
    def spent(self) -> bool:
        """Whether all uses of a counted grant are recorded on chain as used."""
        return self.max_uses != UNLIMITED and self.uses >= self.max_uses

    def why(self, now: datetime) -> str | None:
        """The word for why it may not be used: that of `why_ended`, or ``spent``; None when it may be used."""
        return self.why_ended(now) or ("spent" if self.spent else None)

    def why_ended(self, now: datetime) -> str | None:
        """The word for why the grant permits neither a use nor a delegated grant: unknown, revoked, cancelled, replaced,
        condition-ended, not-yet, expired, asset-suspended, asset-barred, asset-suspended-and-barred, asset-retired,
        department-suspended, ancestor-..., ancestors-unknown; None when it does."""
        if self.status != "active":
            return self.status
        if self.condition_ended:
            return "condition-ended"
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
            dead = ancestor.why_ended(now)
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
    """The state of each grant, in the given order; a grant that the chain does not know has the status ``unknown``.

    ``chains`` has for each delegated grant its Terms, those of its parent, and so on up to the root. Their hashes are
    checked, so false ancestors are not accepted. ``slots`` are those of the newest block, if the caller has them.
    """
    reader = _Reader(Slots(client, deployment) if slots is None else slots)
    return {grant: reader.state(grant, (chains or {}).get(grant)) for grant in ids}


class _Reader:
    """Reads grant states from storage words."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def state(self, grant: str, chain: Sequence[Mapping[str, Any]] | None) -> GrantState:
        word = self._slots.mapped(GRANTS, bytes.fromhex(grant[2:]))
        status = word & 0xF
        if status not in STATUS:
            return GrantState(grant, "unknown")
        asset = word >> 40 & (1 << 64) - 1
        right = word >> 8 & 0xFF
        grantee = word >> 16 & 0xFFFFFF
        about = self._slots.asset(asset)
        holder = (about.holder, about.processor, about.operator)[right - 1] if 1 <= right <= 3 else 0
        delegated = bool(word & GrantFlag.DELEGATED)
        return GrantState(
            id=grant,
            status=STATUS[status],
            delegated=delegated,
            emergency=bool(word & GrantFlag.EMERGENCY),
            ratified=bool(word & GrantFlag.RATIFIED),
            right=right,
            grantee=grantee,
            asset_number=asset,
            not_before=word >> 104 & (1 << 40) - 1,
            expiry=word >> 144 & (1 << 40) - 1,
            max_uses=word >> 184 & UNLIMITED,
            uses=word >> 216 & UNLIMITED,
            depth=word >> 248 & 0x7F,
            may_derive=bool(word >> 255),
            asset=about.status,
            parties=tuple(self._slots.standing(number) for number in (holder, grantee) if number),
            ancestors=self._ancestors(grant, chain) if delegated else (),
            condition_ended=self._slots.condition_ended(bytes.fromhex(grant[2:])),
        )

    def _ancestors(
        self, grant: str, chain: Sequence[Mapping[str, Any]] | None
    ) -> tuple[GrantState, ...] | None:
        """The states of all ancestors, the parent first; None unless ``chain`` proves them."""
        if not chain or len(chain) > MAX_ANCESTORS:
            return None
        found: list[GrantState] = []
        expected = grant
        for terms in chain:
            if record_id("Terms", terms) != expected:
                return None
            if expected != grant:
                # Each state is read without ancestors: these follow in the same list.
                found.append(self._above(expected))
            expected = str(terms["parent"]).lower()
        return tuple(found) if int(expected, 16) == 0 else None

    def _above(self, grant: str) -> GrantState:
        """The state of one ancestor. For a replaced ancestor it is that of the newest replacement, with the ancestor's id."""
        state, newer = self.state(grant, None), list[str]()
        while state.status == "replaced":
            by = self._slots.mapped(REPLACED_BY, bytes.fromhex(state.id[2:]))
            newer.append(f"0x{by:064x}")
            state = self.state(newer[-1], None)
        return replace(state, id=grant, ancestors=(), newer=tuple(newer))
