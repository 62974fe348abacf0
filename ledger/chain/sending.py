"""A lock for each account: between reading a nonce and sending with it, no other thread may send."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.chain.client import Address

_locks: dict[tuple[int, Address], threading.RLock] = {}
_guard = threading.Lock()


@contextmanager
def sending(chain_id: int, sender: Address) -> Iterator[None]:
    """Lock an account of a chain while signing and sending. The lock is valid within this process."""
    with _guard:
        lock = _locks.setdefault((chain_id, sender), threading.RLock())
    with lock:
        yield
