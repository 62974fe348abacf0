"""Detects replayed reads: the nonces of calls that change nothing, kept in memory.

Calls that change something commit their nonce with their effect (``ledger.releases.claim_nonce``). A signed GET has
no effect, so a durable nonce would only cost a write; but a captured GET must not be answered twice. Nonces are
kept while their signature could still be fresh, by the installation's time and by the steady clock. A signature
from before this process started is refused, since its nonce may have been lost.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from api.runtime.errors import RefusedError
from api.runtime.signed_call import SKEW, SignedCall
from languages.texts import in_both
from ledger.clock import Clock, Forgetting

MOST = 1_000_000


class ReplayMemory:
    """The nonces of recent signed GET calls. Thread-safe, bounded: when it is full, calls are refused and no nonce
    is dropped early."""

    def __init__(self, max_age: timedelta, clock: Clock) -> None:
        self._clock = clock
        self._started = datetime.fromtimestamp(clock.now(), UTC)
        self._keep_s = (max_age + 2 * SKEW).total_seconds()
        self._forgetting = Forgetting(clock, self._keep_s)
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def claim(self, call: SignedCall) -> None:
        """Record the call's nonce; RefusedError ``call.replayed`` if it was used, ``signature.stale`` if the call
        is too old."""
        if call.created < self._started - SKEW:
            raise RefusedError("signature.stale", in_both("the service restarted since: sign the call again"))
        with self._lock:
            before = self._forgetting.before()
            while before is not None and self._seen and next(iter(self._seen.values())) < before:
                self._seen.popitem(last=False)
            key = (call.key_id, call.nonce)
            if key in self._seen:
                raise RefusedError("call.replayed", in_both("this signature's nonce was used before"))
            if len(self._seen) >= MOST:
                raise RefusedError("service.busy", in_both("too many calls within the last minute"))
            self._seen[key] = self._clock.now() + self._keep_s
