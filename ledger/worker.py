"""Periodic background work of a service: rounds on a separate thread, repeated after any error.

The follower, the relayer, the anchorer, the use recorder and the periodic tasks run on it. Each round continues from the
stored state, so it does not depend on how the last round ended. The pauses between failing rounds grow (tenacity).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_when_event_set, wait_exponential

from ledger.errors import LedgerError
from ledger.failures import failure_code, log_failure

STILL_AFTER_S = 300.0
"""The default time limit of a round in seconds."""

_log = logging.getLogger(__name__)

State = Literal["new", "well", "failing", "stands-still", "ended"]


class StandsStill(LedgerError):
    """A round exceeds its time limit, or the thread has ended unexpectedly."""

    code = "service.stands-still"


class Worker:
    """Repeats ``step`` until `close`. A step runs one round and returns the seconds to wait before the next one.

    ``delay_s`` is the wait before the first round. ``first_pause_s`` is the pause after one failed round,
    ``longest_pause_s`` after many. ``still_after_s`` is the time limit of a round, without the waiting between rounds.
    ``met`` returns the error of a part that a successful round could not complete.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], float],
        *,
        delay_s: float = 0.0,
        first_pause_s: float = 0.2,
        longest_pause_s: float = 5.0,
        still_after_s: float = STILL_AFTER_S,
        met: Callable[[], BaseException | None] = lambda: None,
    ) -> None:
        self.name = name
        self.failure: BaseException | None = None
        """The error of the last round, or of a part of it; None if there was none."""
        self._step = step
        self._delay_s = delay_s
        self._still_after_s = still_after_s
        self._met = met
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._due = 0.0
        self._succeeded: datetime | None = None
        self._last_error: dict[str, Any] | None = None
        self._retrying = Retrying(
            retry=retry_if_exception(lambda _: True),
            wait=wait_exponential(multiplier=first_pause_s, max=longest_pause_s),
            stop=stop_when_event_set(self._stop),
            sleep=self._wait,
            retry_error_callback=_over,
        )

    # -- the thread

    def start(self) -> None:
        """Run rounds on a thread until `close`."""
        self._due = time.monotonic() + self._delay_s
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Start the next round now."""
        self._woken.set()

    def close(self, timeout: float = 30.0) -> None:
        """Stop after the current round; waits at most ``timeout`` seconds."""
        self._stop.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        self._wait(self._delay_s)
        while not self._stop.is_set():
            self._wait(self._retrying(self._round))

    def _round(self) -> float:
        try:
            pause = self._step()
        except BaseException as error:
            self.failed(error)
            raise
        self._succeeded = datetime.now(UTC)
        if (met := self._met()) is not None:
            self.failed(met)
        elif self.failure is not None:
            _log.info("%s: works again", self.name)
            self.failure = None
        return pause

    def _wait(self, seconds: float) -> None:
        self._due = time.monotonic() + seconds
        if seconds > 0:
            self._woken.wait(seconds)
        self._woken.clear()
        self._due = time.monotonic()

    # -- status

    def failed(self, error: BaseException) -> None:
        """Record the error of a round, also of one before `start`."""
        log_failure(_log, self.name, error, self.failure)
        self.failure = error
        self._last_error = {"code": failure_code(error), "time": datetime.now(UTC).isoformat()}

    @property
    def state(self) -> State:
        """``well`` between rounds that succeed, ``failing`` between those that do not."""
        if self._thread is None:
            return "new"
        if self._stop.is_set():
            return "ended"
        late = time.monotonic() - self._due > self._still_after_s
        if late or not self._thread.is_alive():
            return "stands-still"
        return "well" if self.failure is None else "failing"

    @property
    def problem(self) -> str | None:
        """The code of the present error; None without one."""
        return StandsStill.code if self.state == "stands-still" else failure_code(self.failure)

    def status(self) -> dict[str, Any]:
        """``state``, ``problem`` (a code), the time of the last success (``succeeded``, ISO 8601), and ``last_error`` (code and
        time), which is kept after a success."""
        return {
            "state": self.state,
            "succeeded": None if self._succeeded is None else self._succeeded.isoformat(),
            "problem": self.problem,
            "last_error": self._last_error,
        }


def _over(_: RetryCallState) -> float:
    """No pause, because there is no further round."""
    return 0.0
