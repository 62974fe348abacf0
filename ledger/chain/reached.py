"""The last block that an installation has read. A node whose newest block is below it is late."""

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
    """The highest block that was read, at least the first block of the contracts. Thread-safe.

    The state after an older block is outdated: keys and grants may be missing, and its nonces may be used. Nothing is
    decided, signed or sent with such a state.
    """

    def __init__(self, block: int = 0) -> None:
        self._lock = threading.Lock()
        self._block = block

    def note(self, block: int) -> None:
        """Record that the chain was read up to this block."""
        with self._lock:
            self._block = max(self._block, block)

    def went_back(self, block: int) -> None:
        """Set the block back, after the operator stated that the chain was restored."""
        with self._lock:
            self._block = block

    def head_of(self, client: ChainClient, *, patient: bool = False) -> BlockRef:
        """The newest block; raises `ChainWentBack` when it is below a block that was read.

        With ``patient`` the query is repeated for up to a second first, because a difference of one block is often short.
        """
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
