"""A limited number of places that callers take and return, with a limit for each holder."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque


class Places:
    """``size`` places, at most ``share`` of them for one holder. Thread-safe.

    Waiting holders take turns: the holder that got a place longest ago is next, independent of the number of its waiting
    calls. The empty holder is the service itself, which has no limit.
    """

    def __init__(self, size: int, share: int) -> None:
        self._free = size
        self._share = share
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[object]] = {}
        self._served: dict[str, int] = {}
        self._serial = 0
        self._changed = threading.Condition()

    def take(self, holder: str, wait: float = 0.0) -> bool:
        """Take a place, waiting at most ``wait`` seconds; False when there is none."""
        deadline, ticket = time.monotonic() + wait, object()
        with self._changed:
            self._waiting.setdefault(holder, deque()).append(ticket)
            try:
                while not self._is_next(holder, ticket):
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    self._changed.wait(left)
                self._free -= 1
                self._held[holder] += 1
                self._serial += 1
                self._served[holder] = self._serial
                return True
            finally:
                self._waiting[holder].remove(ticket)
                if not self._waiting[holder]:
                    del self._waiting[holder]
                self._changed.notify_all()

    def give(self, holder: str) -> None:
        """Return a place."""
        with self._changed:
            self._free += 1
            self._held[holder] -= 1
            if self._held[holder] <= 0:
                del self._held[holder]
            self._changed.notify_all()

    @property
    def free(self) -> int:
        """The number of free places."""
        return self._free

    def has_share(self, holder: str) -> bool:
        """Whether a holder has its maximum number of places."""
        with self._changed:
            return not self._may(holder)

    def wanted_beside(self, holder: str) -> bool:
        """Whether another holder without a place is waiting."""
        with self._changed:
            return any(other != holder and not self._held[other] for other in self._waiting)

    def _may(self, holder: str) -> bool:
        return not holder or self._held[holder] < self._share

    def _is_next(self, holder: str, ticket: object) -> bool:
        if not self._free or not self._may(holder) or self._waiting[holder][0] is not ticket:
            return False
        others = [one for one in self._waiting if self._may(one)]
        return min(others, key=lambda one: self._served.get(one, 0)) == holder
