"""The time that blocks are stamped with."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where a chain takes its time from, and how it lets time pass."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""

    def elapsed(self) -> float:
        """Seconds on a clock that nobody sets; only differences mean something."""

    def pause(self, seconds: float, until: threading.Event) -> None:
        """Let this much time pass, less when ``until`` is set."""


class WallClock:
    """The machine's clock: what every installation uses."""

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float, until: threading.Event) -> None:
        until.wait(seconds)


class SimulatedClock:
    """A clock that stands still and jumps exactly when a chain would wait for it.

    Simulations and tests run a day of acts in seconds with it: block times stay strictly increasing and
    nobody waits a second for the next block.
    """

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else start
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def elapsed(self) -> float:
        return self._now

    def pause(self, seconds: float, until: threading.Event) -> None:
        del until
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds

    def set(self, now: float) -> None:
        """Set the clock, also backwards, as somebody may set a machine's clock."""
        with self._lock:
            self._now = now
