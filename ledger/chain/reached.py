"""Up to which block an installation has read its chain. A newest block below it is that of a node that is behind."""

from __future__ import annotations

import threading
import time

from ledger.chain.client import BlockRef, ChainClient
from ledger.chain.errors import ChainWentBack

_LOOKS, _PAUSE_S = 5, 0.2

RESTORED_HINT = (
    "nothing is decided by it until it has caught up; if the chain was restored from a backup and makes no blocks of its own, "
    "whoever runs the service says so: civic chain restored"
)


class Reached:
    """The highest block that was read, at least that of the contracts. Thread-safe.

    What a node says of the state after an older block is about yesterday: keys and grants that it does not know yet, nonces
    that are used. Nothing is decided, signed or sent by it.
    """

    def __init__(self, block: int = 0) -> None:
        self._lock = threading.Lock()
        self._block = block

    def note(self, block: int) -> None:
        """The chain was read up to here."""
        with self._lock:
            self._block = max(self._block, block)

    def went_back(self, block: int) -> None:
        """The chain was restored, and was read up to here: whoever runs the service has said so."""
        with self._lock:
            self._block = block

    def head_of(self, client: ChainClient, *, patient: bool = False) -> BlockRef:
        """The newest block; `ChainWentBack` where it is older than one that was read. ``patient``: asked again within a
        second first, since nodes that differ by a block pass."""
        for look in range(_LOOKS if patient else 1):
            if look:
                time.sleep(_PAUSE_S)
            head = client.head()
            if client.never_behind or head.number >= self._block:
                return head
        raise ChainWentBack(
            f"the chain ends at block {head.number}, and {self._block} was read before",
            hint=RESTORED_HINT,
        )
