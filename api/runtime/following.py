"""How far the projection has followed the chain."""

from __future__ import annotations

import math
from dataclasses import dataclass

from api.runtime.errors import RefusedError
from languages.texts import in_both
from ledger.chain.errors import ChainUnreachable
from ledger.clock import Timekeeper, stamp
from ledger.projection.follower import Follower


@dataclass(frozen=True, slots=True)
class Following:
    """The follower as other modules use it. ``outage_s``: how many seconds the projection may be older than the
    chain."""

    follower: Follower
    clock: Timekeeper
    outage_s: float

    @property
    def depth(self) -> int:
        """How many blocks must follow a block before it is read."""
        return self.follower.confirmations

    def reaches_chain(self) -> bool:
        """Whether the follower reached the chain at its last attempt; so that not every call waits for a node that
        hangs."""
        return not isinstance(self.follower.failure, ChainUnreachable)

    def why_behind(self) -> RefusedError | None:
        """``projection.behind`` if the chain was not read to its end for too long; None otherwise."""
        if self.follower.behind_s <= self.outage_s:
            return None
        return RefusedError(
            "projection.behind",
            in_both("the service has not read the chain to its end for too long; nothing is released"),
        )

    def level_at(self) -> str | None:
        """When the projection was last level with the chain; None before the first time."""
        behind = self.follower.behind_s
        return None if math.isinf(behind) else stamp(self.clock.now() - behind)
