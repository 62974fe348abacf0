"""Who may call for data now: a bounded number of calls at once, in all and of each department.

Calls for data wait (for a scanning process, for the log, for their reader) in threads of their own, so that those which
answer everything else stay free.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio.to_thread import run_sync

from api.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

RETRY_AFTER = {"Retry-After": "2"}
"""Seconds until it makes sense to call again."""


class Turns:
    """At most ``size`` calls at once, at most ``share`` of one department. Thread-safe."""

    def __init__(self, size: int, share: int) -> None:
        self._size, self._share = size, share
        self._of: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._threads = anyio.CapacityLimiter(size)

    def take(self, department: int) -> None:
        """Count a call; Problem ``call.too-many`` or ``service.busy``. `give` it back when its answer has left."""
        with self._lock:
            if self._of[department] >= self._share:
                raise Problem(
                    "call.too-many",
                    f"a department makes at most {self._share} calls for data at once",
                    headers=RETRY_AFTER,
                )
            if self._of.total() >= self._size:
                raise Problem(
                    "service.busy", "too many calls for data are being answered", headers=RETRY_AFTER
                )
            self._of[department] += 1

    def give(self, department: int) -> None:
        """The call has been answered, or failed."""
        with self._lock:
            self._of[department] -= 1
            if self._of[department] <= 0:
                del self._of[department]

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work of a counted call in one of its threads."""
        return await run_sync(partial(work, *args, **kwargs), limiter=self._threads)
