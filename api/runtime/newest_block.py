"""The newest block for the status; a slow node is not waited for."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeout

from api.runtime.asked_once import AskedOnce
from ledger.chain.client import BlockRef, ChainClient
from ledger.chain.errors import ChainError

ANSWERED_WITHIN_S = 1.0
"""How long a caller waits for the node, in seconds."""


class NewestBlock:
    """Asks the node for its newest block: one query at a time, shared by all callers."""

    def __init__(self, chain: ChainClient) -> None:
        self.query = AskedOnce("newest-block", chain.head)

    def ask(self, within_s: float = ANSWERED_WITHIN_S) -> BlockRef | None:
        """The newest block; None if the node does not answer, or not within ``within_s`` seconds."""
        try:
            return self.query.begin().result(within_s)
        except (ChainError, FutureTimeout):
            return None
