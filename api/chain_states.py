"""Grants as the chain holds them, read once for each block.

A grant's slot cannot change between blocks, so within one block every call may share what was read. What has been
received and not mined yet (a revocation in the outbox) is looked at separately, for every call.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ledger.chain.client import ChainClient
from ledger.chain.contracts import Deployment
from ledger.chain.grants import GrantState, grant_states

_KEPT = 10_000

Chain = Sequence[Mapping[str, Any]]
"""The Terms of a delegated grant, its parent's, ... up to the root; empty for a direct one."""


class ChainStates:
    """A cache that lives as long as a block. Thread-safe."""

    def __init__(self, client: ChainClient, deployment: Deployment) -> None:
        self._client = client
        self._deployment = deployment
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._block = ""
        self._known: dict[str, GrantState] = {}

    def of(self, grants: Mapping[str, Chain]) -> dict[str, GrantState]:
        """The state of each grant after the newest block; may raise the chain's errors."""
        head = self._client.head().hash
        with self._lock:
            if head != self._block or len(self._known) > _KEPT:
                self._block, self._known = head, {}
            known = self._known
        if any(grant not in known for grant in grants):
            with self._reading:  # after a block everybody asks at once: one reads, the others find it
                missing = [grant for grant in grants if grant not in known]
                chains = {grant: grants[grant] for grant in missing if grants[grant]}
                known.update(grant_states(self._client, self._deployment, missing, chains))
        return {grant: known[grant] for grant in grants}
