"""Service keys in force: the projection finds a candidate, and the chain confirms it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Engine

from api.runtime.chain_states import ChainStates
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from contracts.codes import ServiceRole
from languages.texts import in_both
from ledger.clock import Timekeeper
from ledger.projection.queries import ServiceKey, service_key
from ledger.projection.views import words


@dataclass(frozen=True, slots=True)
class Callers:
    """The permitted callers. ``reading`` is the database without a write lock."""

    reading: Engine
    states: ChainStates
    clock: Timekeeper

    def service_key(self, department: int, public_key: str) -> ServiceKey | None:
        """A service key in force of an active department, None otherwise; may raise the chain's errors.

        The projection finds the key and the acts that are being sent; the chain says whether the key is in force,
        and its roles.
        """
        key, now = bytes.fromhex(public_key), self.clock.utc()
        with self.reading.connect() as connection:
            found = service_key(connection, department, key, now)
        if found is None:
            return None
        state = self.states.key(department, key)
        if not state.in_force(now):
            return None
        return replace(
            found,
            roles=words(ServiceRole, state.roles),
            not_before=state.not_before,
            not_after=state.not_after,
        )

    def is_registered(self, department: int, public_key: str) -> bool:
        """Whether a service key is in force."""
        return self.service_key(department, public_key) is not None

    def roles(self, call: SignedCall) -> frozenset[str]:
        """The roles of the key that signed a call; none if it is not in force."""
        key = self.service_key(call.department, call.public_key)
        return frozenset() if key is None else frozenset(key.roles)

    def must_read(self, call: SignedCall) -> None:
        """RefusedError ``caller.not-reader`` for a key without the role READER: one OVERSIGHT officer can register
        an auditor's key, which opens the log and no data."""
        if "reader" not in self.roles(call):
            raise RefusedError("caller.not-reader", in_both("this key has no READER role"))
