"""One sender at a time for each account: between asking for a nonce and sending with it, nobody else may send."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.chain.client import Address

_locks: dict[tuple[int, Address], threading.RLock] = {}
_guard = threading.Lock()


@contextmanager
def sending(chain_id: int, sender: Address) -> Iterator[None]:
    """Hold an account of a chain while signing and sending; within one process."""
    with _guard:
        lock = _locks.setdefault((chain_id, sender), threading.RLock())
    with lock:
        yield
