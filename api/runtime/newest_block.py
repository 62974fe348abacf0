"""The newest block for the status; a slow node is not waited for."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from ledger.chain.client import BlockRef, ChainClient
from ledger.chain.errors import ChainError

ANSWERED_WITHIN_S = 1.0
"""How long a caller waits for the node, in seconds."""


class NewestBlock:
    """Asks the node for its newest block: one query at a time, on its own thread, shared by all callers."""

    def __init__(self, chain: ChainClient) -> None:
        self._chain = chain
        self._lock = threading.Lock()
        self._asked: Future[BlockRef] | None = None

    def ask(self) -> BlockRef | None:
        """The newest block; None if the node does not answer, or not within `ANSWERED_WITHIN_S`."""
        try:
            return self._question().result(ANSWERED_WITHIN_S)
        except (ChainError, FutureTimeout):
            return None

    def _question(self) -> Future[BlockRef]:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(
                    target=self._answer, args=(self._asked,), name="newest-block", daemon=True
                ).start()
            return self._asked

    def _answer(self, asked: Future[BlockRef]) -> None:
        try:
            asked.set_result(self._chain.head())
        except BaseException as failed:  # noqa: BLE001 - raised where it is waited for
            asked.set_exception(failed)
