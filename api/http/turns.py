"""Limits the number of concurrent calls of one kind, in all and of each department.

Calls for data, uploads and exports of the log wait (for a scanning process, for the log, for a disk) in
threads of their own, so that the threads for other calls stay free.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio.to_thread import run_sync

from api.http.problems import Problem
from api.runtime.errors import SOON_S
from api.runtime.settings import Settings
from languages.texts import N_, in_both

P = ParamSpec("P")
T = TypeVar("T")

RETRY_AFTER = {"Retry-After": str(SOON_S)}
NOBODY = 0
"""No particular department."""


class Turns:
    """At most ``size`` ``calls`` at once, at most ``share`` of one department. Thread-safe.

    The first call of a department is always accepted, so that several departments together cannot exclude
    another one; the calls beyond ``size`` are at most as many as the departments. If ``newcomers`` is false,
    ``size`` is the limit of all. Calls without a key belong to `NOBODY`, which has neither a first call nor a
    share. ``threads`` is the number of calls that are worked on at once; the others wait.
    """

    def __init__(
        self, size: int, share: int, calls: str, *, threads: float = math.inf, newcomers: bool = True
    ) -> None:
        self._size, self._share, self._calls, self._newcomers = size, share, calls, newcomers
        self._of: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._threads = anyio.CapacityLimiter(threads)  # Each counted call needs one thread at a time.

    def take(self, department: int) -> None:
        """Count a call; Problem ``call.too-many`` or ``service.busy``. Call `give` when its answer has been sent."""
        with self._lock:
            if department != NOBODY and self._of[department] >= self._share:
                raise Problem(
                    "call.too-many",
                    in_both(
                        "a department makes at most {share} {calls} at once",
                        share=self._share,
                        calls=in_both(self._calls),
                    ),
                    headers=RETRY_AFTER,
                )
            first = self._newcomers and department != NOBODY and not self._of[department]
            if not first and self._of.total() >= self._size:
                raise Problem(
                    "service.busy",
                    in_both("too many {calls} at once", calls=in_both(self._calls)),
                    headers=RETRY_AFTER,
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


@dataclass(frozen=True, slots=True)
class EveryTurn:
    """The limits of each kind of call that costs the service much work."""

    reads: Turns
    uploads: Turns
    analyses: Turns
    exports: Turns

    @classmethod
    def of(cls, settings: Settings) -> EveryTurn:
        """The limits of the settings."""
        return cls(
            reads=Turns(settings.reads, settings.department_reads, N_("calls for data")),
            uploads=Turns(settings.uploads, settings.department_uploads, N_("uploads")),
            analyses=Turns(settings.analyses, settings.analyses, N_("analyses"), threads=1),
            exports=Turns(settings.exports, 1, N_("bundles of the log"), newcomers=False),
        )
