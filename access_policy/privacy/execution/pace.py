"""At what pace a reader takes an answer, and who gives way when somebody else waits for the place."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from access_policy.privacy.execution.scan_errors import GaveWay, ReaderTooSlow

FAIR_RATE = 64 << 10
"""Bytes a second that a reader takes at least while others wait for its place."""

PATIENCE_SECONDS = 5.0
"""How far a reader may fall behind that rate; who takes more gains no more than this for later."""


class Pace:
    """The pace of one reader. Only the time in which the reader is waited for counts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credit = PATIENCE_SECONDS
        self._since: float | None = None
        self._then: Callable[[], object] | None = None
        self.begun = False
        self.ended: GaveWay | None = None

    def waits(self) -> None:
        """From now on the reader is waited for, who is given something."""
        with self._lock:
            self.begun = True
            self._since = time.monotonic()

    def took(self, size: int) -> None:
        """The reader has taken so many bytes, and is not waited for any more."""
        with self._lock:
            left = self._left() + size / FAIR_RATE
            self._credit = max(-PATIENCE_SECONDS, min(PATIENCE_SECONDS, left))
            self._since = None

    def behind(self) -> float:
        """Seconds by which the reader is too slow; zero or less when it is not."""
        with self._lock:
            return -self._left()

    def end(self, why: GaveWay) -> None:
        """Tell whoever waits for the reader that its answer was ended."""
        with self._lock:
            self.ended, then = why, self._then
        if then is not None:
            then()

    def when_ended(self, then: Callable[[], object]) -> None:
        """Call this, from whatever thread, when the answer is ended; at once if it was."""
        with self._lock:
            self._then, ended = then, self.ended
        if ended is not None:
            then()

    def _left(self) -> float:
        return self._credit - (0.0 if self._since is None else time.monotonic() - self._since)


class Paced(Protocol):
    """Something that holds a place at the pace of its reader."""

    @property
    def holder(self) -> str: ...

    @property
    def pace(self) -> Pace | None: ...


S = TypeVar("S", bound=Paced)


def who_gives_way(running: Sequence[S], newcomer: str) -> Iterator[tuple[S, GaveWay]]:
    """Whose place a newcomer may have, the first one first, and why.

    First those who are too slow, the slowest first. Then, where a holder would still have more places than the
    newcomer, the slowest of that holder: holders come to have equally many.
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
                yield one, GaveWay()
