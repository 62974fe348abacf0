"""All clocks: the machine's clock, a simulated one for tests, and the time of an installation's decisions.

A clock can be set wrongly by mistake, by a time server, or by an attacker who wants an expired grant to be valid again. The
time of `Timekeeper` therefore never decreases: it is the latest of the machine's clock, the newest block and the newest
entry of the log. It reports a clock that is not plausible (`Doubt`), and code that releases data or mines blocks checks this
first.

The clock is compared with the machine's steady clock, which cannot be set and which also runs while the machine sleeps. A
time server that slews the clock changes both; only setting the clock makes them differ. No tolerance is needed for slewing
or for suspend and resume.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from ledger.errors import LedgerError

BEHIND_S = 15.0
"""How many seconds the machine's clock may be behind the known time; the nodes of a chain differ by less."""

AHEAD_S = 3_600.0
"""How many seconds in a day the clock may be set forward while the installation runs, as after a halt of the machine."""

AHEAD_AT_START_S = 10 * 86_400.0
"""How many seconds may pass without entries before a start requires a stated time: more than the longest holidays."""

STATED_S = 3_600.0
"""How many seconds the machine's clock may differ from the time that the operator states at the start."""

DAY_S = 86_400.0
_LAST = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""

    def elapsed(self) -> float:
        """Seconds of a clock that cannot be set and that also runs while the machine sleeps. Only differences have a
        meaning."""

    def pause(self, seconds: float, until: threading.Event) -> None:
        """Wait for this many seconds, or until ``until`` is set."""

    def doubt(self) -> Doubt | None:
        """Why the clock is not plausible; None if it is. With a clock in doubt, nothing is mined or released."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The machine's clock states the time ``said``, but the other sources give ``known``. Both are POSIX seconds."""

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
    """At the start the machine's clock is far ahead of the newest block and entry, and the operator stated no time."""

    code = "clock.ahead"


class ClockNotAsStated(LedgerError):
    """The machine's clock differs from the time that the operator stated."""

    code = "clock.not-as-stated"


def stamp(moment: float) -> str:
    """A time (POSIX seconds) as ISO 8601 text in UTC; times after the year 9999 give its last second."""
    return datetime.fromtimestamp(min(moment, _LAST), UTC).isoformat(timespec="seconds")


class WallClock:
    """The machine's clock, which installations use."""

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.clock_gettime(_STEADY) if _STEADY is not None else time.monotonic()

    def pause(self, seconds: float, until: threading.Event) -> None:
        until.wait(seconds)

    def doubt(self) -> Doubt | None:
        return None


_STEADY: int | None = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux's steady clock, which also runs while the machine sleeps; None on other systems."""


class SimulatedClock:
    """A clock that advances only when code waits for it.

    With it, simulations and tests run a day of acts in seconds: block times still increase, and no real second passes
    between two blocks.
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
        """Advance the time."""
        with self._lock:
            self._now += seconds
            self._elapsed += seconds

    def set(self, now: float) -> None:
        """Set the clock, also backwards, as a machine's clock can be set."""
        with self._lock:
            self._now = now


class Forgetting:
    """Decides which notes with a limited lifetime may be deleted. Not thread-safe.

    A note is made at ``clock.now()`` and kept for ``keep_s`` seconds. It may be deleted when this time is over by that clock
    *and* by the steady clock since the start of the process. A clock that was set ahead by mistake therefore deletes no note
    that is still needed after it is set back.
    """

    def __init__(self, clock: Clock, keep_s: float) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._mark = clock.elapsed(), clock.now()

    def before(self) -> float | None:
        """Notes whose lifetime ended before this time (POSIX seconds) may be deleted; None when it is too early to check."""
        steady, now = self._clock.elapsed(), self._clock.now()
        then, marked = self._mark
        if steady - then <= self._keep_s:
            return None
        self._mark = steady, now
        return min(now, marked + self._keep_s)


class Timekeeper:
    """The time of an installation's decisions; it never decreases. Thread-safe. It is a `Clock` itself.

    Before `begin` it is in doubt, so that a chain that is opened earlier mines nothing with an unchecked clock.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or WallClock()
        self._lock = threading.Lock()
        self._begun = False
        self._newest = 0.0
        self._apart = (
            0.0  # the machine's clock minus the steady clock, when the machine's clock was last accepted
        )
        self._believed_at = 0.0
        self._set_back = False  # by more than the tolerance, and not caught up yet
        self._most = AHEAD_S
        self._claimed = 0.0  # the time of the newest block, when it is implausibly late

    def begin(self, known: float, stated: float | None = None, *, block: float = 0.0) -> None:
        """Check the machine's clock against the times of the newest entry (``known``) and block (POSIX seconds).

        Raises `ClockAhead` when the clock is too far ahead of them. A block that is much later than both clock and entry is
        ignored (`note`). ``stated`` is the time that the operator read from another clock: if the machine's clock is near it,
        it is accepted however far ahead it is; otherwise `ClockNotAsStated` is raised.
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
            else:  # the true time is known when the clock has caught up
                self._apart, self._most = known - steady, AHEAD_AT_START_S

    def note(self, moment: float) -> None:
        """Take the time of the newest block (POSIX seconds) as a lower bound of the present time.

        A block time that is more than `AHEAD_S` ahead is not used, because time never decreases and a node may state any
        time. While this block is the newest, the clock is in doubt.
        """
        with self._lock:
            believed = not self._begun or moment <= self._apart + self._clock.elapsed() + AHEAD_S
            self._claimed = 0.0 if believed else moment
            if believed:
                self._newest = max(self._newest, moment)

    def now(self) -> float:
        return self._look()[0]

    def utc(self) -> datetime:
        """`now` as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def earliest(self) -> datetime:
        """The earliest possible present time: with a clock in doubt, the earlier of the two times. It is used for acts that
        must not be refused as late."""
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
        ):  # set forward in one step, or in several steps of a day
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
