"""The one room for time: the machine's clock, one that tests set, and the time by which an installation decides.

A clock can be set by mistake, by a time server or by somebody who wants an expired grant back. `Timekeeper` therefore
never lets time fall: it is the latest of the machine's clock, the newest block and the newest entry of the log. What it
cannot believe it says (`Doubt`); the parts that let data out or mine blocks ask for that first.

The second witness is the machine's steady clock, which nobody sets and which goes on while the machine sleeps. A time
server that slows or speeds up the clock moves both; only setting the clock moves them apart. So nothing has to be
allowed for slewing or for suspend and resume.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from ledger.errors import LedgerError

BEHIND_S = 15.0
"""So far the machine's clock may stand behind what is known: nodes of one chain differ by less."""

AHEAD_S = 3_600.0
"""So far the clock may be set forward while the installation runs, a day; a machine that was halted is set so."""

AHEAD_AT_START_S = 10 * 86_400.0
"""So long an installation may have written nothing before its start asks for the time: the longest holidays and more."""

STATED_S = 3_600.0
"""How far the machine's clock may be from the time that the operator states at the start."""

DAY_S = 86_400.0
_LAST = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


class Clock(Protocol):
    """Where time comes from, and how it passes."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""

    def elapsed(self) -> float:
        """Seconds on a clock that nobody sets and that goes on while the machine sleeps; only differences mean
        something."""

    def pause(self, seconds: float, until: threading.Event) -> None:
        """Let this much time pass, less when ``until`` is set."""

    def doubt(self) -> Doubt | None:
        """What speaks against this clock; nothing new is mined or released by one in doubt."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The machine's clock says ``said``; by everything else it is ``known``. Both are seconds since 1970."""

    code: Literal["clock.behind", "clock.ahead"]
    said: float
    known: float

    def __str__(self) -> str:
        way = "behind" if self.code == "clock.behind" else "ahead of"
        return (
            f"the machine's clock says {stamp(self.said)}, {abs(self.said - self.known):.0f} s {way} "
            f"what is known, {stamp(self.known)}"
        )


class ClockAhead(LedgerError):
    """At the start the machine's clock is far ahead of the newest block and entry, and nobody said that it is right."""

    code = "clock.ahead"


class ClockNotAsStated(LedgerError):
    """The machine's clock is not at the time that the operator stated."""

    code = "clock.not-as-stated"


def stamp(moment: float) -> str:
    """An instant as people and commands read it, in UTC; the last one there is for what lies beyond."""
    return datetime.fromtimestamp(min(moment, _LAST), UTC).isoformat(timespec="seconds")


class WallClock:
    """The machine's clock: what every installation uses."""

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.clock_gettime(_STEADY) if _STEADY is not None else time.monotonic()

    def pause(self, seconds: float, until: threading.Event) -> None:
        until.wait(seconds)

    def doubt(self) -> Doubt | None:
        return None


_STEADY: int | None = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux has a steady clock that counts while the machine sleeps."""


class SimulatedClock:
    """A clock that stands still and jumps exactly when a chain would wait for it.

    Simulations and tests run a day of acts in seconds with it: block times stay strictly increasing and
    nobody waits a second for the next block.
    """

    def __init__(self, start: float | None = None) -> None:
        self._now = self._elapsed = time.time() if start is None else start
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def pause(self, seconds: float, until: threading.Event) -> None:
        del until
        self.advance(seconds)

    def doubt(self) -> Doubt | None:
        return None

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds
            self._elapsed += seconds

    def set(self, now: float) -> None:
        """Set the clock, also backwards, as somebody may set a machine's clock."""
        with self._lock:
            self._now = now


class Forgetting:
    """Until when what was noted for a time may be forgotten. Not thread-safe.

    A note is made at ``clock.now()`` and kept for ``keep_s``. It may be forgotten once this time is over by that clock
    *and* by the steady one, since the process started at the earliest: a clock that was set ahead forgets nothing that
    counts again when it is set back.
    """

    def __init__(self, clock: Clock, keep_s: float) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._mark = clock.elapsed(), clock.now()

    def before(self) -> float | None:
        """Notes that were to be kept until before this may go; None when it is too early to look again."""
        steady, now = self._clock.elapsed(), self._clock.now()
        then, marked = self._mark
        if steady - then <= self._keep_s:
            return None
        self._mark = steady, now
        return min(now, marked + self._keep_s)


class Timekeeper:
    """The time by which an installation decides. It never falls. Thread-safe; it is a `Clock` itself.

    Before `begin` it is in doubt, so that a chain which is opened first mines nothing by a clock that nobody judged.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or WallClock()
        self._lock = threading.Lock()
        self._begun = False
        self._newest = 0.0
        self._apart = 0.0  # the machine's clock less the steady one, when the former was last believed
        self._believed_at = 0.0
        self._set_back = False  # further than a clock may be, and not caught up yet
        self._most = AHEAD_S
        self._claimed = 0.0  # the time of the newest block, where it cannot be yet

    def begin(self, known: float, stated: float | None = None, *, block: float = 0.0) -> None:
        """Judge the machine's clock by the newest entry (``known``) and block; `ClockAhead` when it is too far ahead of
        them. A block that is much later than both clock and entry is not believed (`note`).

        ``stated`` is the time that the operator gives from another clock: near it, the machine's is believed however
        far ahead it is. `ClockNotAsStated` when it is not near.
        """
        wall, steady = self._clock.now(), self._clock.elapsed()
        believed = not known or block <= max(wall, known) + AHEAD_AT_START_S
        known = max(known, block) if believed else known
        if stated is not None and abs(wall - stated) > STATED_S:
            raise ClockNotAsStated(
                f"the machine's clock says {stamp(wall)}, the operator {stamp(stated)}",
                hint="set the machine's clock, then start again",
            )
        if stated is None and wall - known > AHEAD_AT_START_S:
            raise ClockAhead(
                f"the machine's clock says {stamp(wall)}; the newest block and entry are of {stamp(known)}",
                hint="look at another clock: if this time is right, start with --clock-is (or CIVIC_CLOCK_IS) and that time; "
                "if not, set the machine's clock first",
            )
        with self._lock:
            self._begun = True
            self._claimed = 0.0 if believed else block
            self._newest = max(known, wall)
            self._believed_at = steady
            if wall >= known:
                self._apart, self._most = wall - steady, AHEAD_S
            else:  # what time it is will be seen when the clock has caught up
                self._apart, self._most = known - steady, AHEAD_AT_START_S

    def note(self, moment: float) -> None:
        """It is at least this late: the time of the newest block.

        One that is further ahead than a clock may be set (`AHEAD_S`) moves no time, since time does not fall again and a
        node can say anything; while it is the newest, the clock is in doubt.
        """
        with self._lock:
            believed = not self._begun or moment <= self._apart + self._clock.elapsed() + AHEAD_S
            self._claimed = 0.0 if believed else moment
            if believed:
                self._newest = max(self._newest, moment)

    def now(self) -> float:
        return self._look()[0]

    def utc(self) -> datetime:
        """The same as an aware datetime."""
        return datetime.fromtimestamp(self.now(), UTC)

    def earliest(self) -> datetime:
        """The earlier of the two in doubt: what must not be refused for being late is judged by it."""
        now, _ = self._look()
        return datetime.fromtimestamp(min(now, self._clock.now()), UTC)

    def elapsed(self) -> float:
        return self._clock.elapsed()

    def pause(self, seconds: float, until: threading.Event) -> None:
        self._clock.pause(seconds, until)

    def doubt(self) -> Doubt | None:
        return self._look()[1]

    def _look(self) -> tuple[float, Doubt | None]:
        with self._lock:
            now, doubt = self._judged()
            if doubt is None and self._claimed:
                doubt = Doubt("clock.behind", self._clock.now(), self._claimed)
            return now, doubt

    def _judged(self) -> tuple[float, Doubt | None]:
        wall, steady = self._clock.now(), self._clock.elapsed()
        if not self._begun:
            return max(wall, self._newest), Doubt("clock.behind", wall, max(wall, self._newest))
        apart = wall - steady
        set_forward = apart - self._apart
        if set_forward > self._most:
            self._newest = max(self._newest, self._apart + steady)
            return self._newest, Doubt("clock.ahead", wall, self._newest)
        if (
            set_forward < -BEHIND_S and not self._set_back
        ):  # by one step, or by many of a day that were each caught up
            self._newest = max(self._newest, self._apart + steady)
            self._set_back = True
        if wall < self._newest:
            behind = self._newest - wall > BEHIND_S or self._set_back
            return self._newest, Doubt("clock.behind", wall, self._newest) if behind else None
        self._newest = wall
        caught_up, self._set_back = self._set_back and set_forward < 0, False
        if caught_up or self._most > AHEAD_S or steady - self._believed_at > DAY_S:
            self._apart, self._believed_at, self._most = apart, steady, AHEAD_S
        return wall, None
