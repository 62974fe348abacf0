"""Answers each signed call that changes something once: its nonce is spent together with its effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from api.runtime.settings import Settings
from api.runtime.signed_call import SignedCall
from api.runtime.spent_nonces import SpentNonces
from ledger.clock import Forgetting, Timekeeper
from ledger.releases import claim_nonce, forget_nonces


def nonces_kept_s(settings: Settings) -> float:
    """How long a call's nonce is kept, in seconds: longer than its signature can be fresh."""
    return 2.0 * settings.call_max_age_s + 10


class CallNonces:
    """The nonces of calls, in the database and in a file (``spent``). One is kept for ``keep_s`` seconds."""

    def __init__(self, spent: SpentNonces, clock: Timekeeper, keep_s: float) -> None:
        self._spent, self._clock, self._keep = spent, clock, timedelta(seconds=keep_s)
        self._forgetting = Forgetting(clock, keep_s)

    def claim(self, connection: Connection, call: SignedCall) -> bool:
        """Spend a call's nonce in the writer's transaction; False if it was spent before."""
        before = self._forgetting.before()
        if before is not None:
            forget_nonces(connection, datetime.fromtimestamp(before, UTC))
        unspent = self._spent.spend(call.key_id, call.nonce)
        return claim_nonce(connection, call.key_id, call.nonce, self._clock.utc(), self._keep) and unspent
