"""Checks, while data are sent, that what permitted the call is still in force."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from api.runtime.callers import Callers
from api.runtime.chain_states import Chain, ChainStates
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from api.runtime.withholding import Withholding
from languages.texts import in_both
from ledger.clock import Timekeeper
from ledger.outbox import PendingRevocations


@dataclass(frozen=True, slots=True)
class Rights:
    """Checks the right to an answer. ``reading`` is the database without a write lock."""

    reading: Engine
    revocations: PendingRevocations
    states: ChainStates
    callers: Callers
    withholding: Withholding
    clock: Timekeeper

    def must_last(self, call: SignedCall, grant: str, chain: Chain = ()) -> None:
        """RefusedError if the service may not release data, or if the grant or the key of the call is no
        longer in force.

        ``chain`` holds the ancestors of a delegated grant, which must be in force as well.
        """
        self.withholding.must_be_able_to_release()
        why = self._why_ended(call, grant, chain)
        if why is not None:
            raise RefusedError(why, in_both("what permitted the call ended while its data were leaving"))

    def _why_ended(self, call: SignedCall, grant: str, chain: Chain) -> str | None:
        """The code of the first reason, or None if no revocation waits in the outbox, the grant is live on
        the chain and the caller's key is in force."""
        with self.reading.connect() as connection:
            denied = self.revocations.of(connection).get(grant)
        if denied is not None:
            return f"grant.{denied}"
        why = self.states.of({grant: chain})[grant].why(self.clock.utc())
        if why is not None:
            return f"grant.{why}"
        registered = self.callers.is_registered(call.department, call.public_key)
        return None if registered else "caller.key-ended"
