"""Places that callers take and give back, so that no holder can have all of them."""

from __future__ import annotations

import threading
import time
from collections import Counter


class Places:
    """``size`` places, of which one holder has at most ``share``. Thread-safe.

    An empty holder stands for the service itself: it has no share.
    """

    def __init__(self, size: int, share: int) -> None:
        self._free = size
        self._share = share
        self._held: Counter[str] = Counter()
        self._changed = threading.Condition()

    def take(self, holder: str, wait: float = 0.0) -> bool:
        """Take a place, waiting so many seconds for one; False when there is none."""
        deadline = time.monotonic() + wait
        with self._changed:
            while not self._free or (holder and self._held[holder] >= self._share):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            self._free -= 1
            self._held[holder] += 1
            return True

    def give(self, holder: str) -> None:
        """Give a place back."""
        with self._changed:
            self._free += 1
            self._held[holder] -= 1
            if self._held[holder] <= 0:
                del self._held[holder]
            self._changed.notify_all()
