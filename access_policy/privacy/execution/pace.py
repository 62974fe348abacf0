"""The pace at which a reader takes an answer, and the choice of the answer to end when another caller needs its place."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from access_policy.privacy.execution.scan_errors import Preempted, ReaderTooSlow

FAIR_RATE = 64 << 10
"""The least bytes per second that a reader must take while others wait for its place."""

PATIENCE_SECONDS = 5.0
"""How many seconds a reader may be behind that rate, and the most that a faster reader can be ahead."""


class Pace:
    """The pace of one reader. Only the time of waiting for the reader is counted. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credit = PATIENCE_SECONDS
        self._since: float | None = None
        self._then: Callable[[], object] | None = None
        self.begun = False
        self.ended: Preempted | None = None

    def waits(self) -> None:
        """Record that data was offered to the reader and its time is counted from now on."""
        with self._lock:
            self.begun = True
            self._since = time.monotonic()

    def took(self, size: int) -> None:
        """Record that the reader has taken ``size`` bytes; its time is not counted any more."""
        with self._lock:
            left = self._left() + size / FAIR_RATE
            self._credit = max(-PATIENCE_SECONDS, min(PATIENCE_SECONDS, left))
            self._since = None

    def behind(self) -> float:
        """The seconds by which the reader is too slow; zero or less if it is fast enough."""
        with self._lock:
            return -self._left()

    def end(self, why: Preempted) -> None:
        """End the answer for this reason, and call the registered functions."""
        with self._lock:
            self.ended, then = why, self._then
        if then is not None:
            then()

    def when_ended(self, then: Callable[[], object]) -> None:
        """Register a function to call, in any thread, when the answer is ended; it is called at once if it was ended before."""
        with self._lock:
            self._then, ended = then, self.ended
        if ended is not None:
            then()

    def _left(self) -> float:
        return self._credit - (0.0 if self._since is None else time.monotonic() - self._since)


class Paced(Protocol):
    """A holder of a place that runs at the pace of its reader."""

    @property
    def holder(self) -> str: ...

    @property
    def pace(self) -> Pace | None: ...


S = TypeVar("S", bound=Paced)


def preemptible(running: Sequence[S], newcomer: str) -> Iterator[tuple[S, Preempted]]:
    """The running answers that may be ended for a newcomer, in order, each with the reason.

    Too slow readers come first, the slowest one first. Then, if a holder would still have more places than the newcomer, the
    slowest reader of that holder, so that the holders get equal numbers of places.
    """
    paced = [(one, one.pace.behind()) for one in running if one.pace is not None]
    paced.sort(key=lambda item: -item[1])
    for one, behind in paced:
        if behind > 0 and one.holder != newcomer:
            yield one, ReaderTooSlow()
    held = Counter(one.holder for one, _ in paced)
    most = max(held.values(), default=0)
    if most > held[newcomer] + 1:
        for one, _ in paced:
            if held[one.holder] == most:
                yield one, Preempted()
