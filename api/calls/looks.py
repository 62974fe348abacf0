"""An auditor's right to look at the log, and the entry of each look.

A look is logged before it is answered. This module checks the auditor's role and department; `log_search`,
`log_entries`, `log_bundles`, `log_proofs` and `release_records` produce the answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from api.runtime.callers import Callers
from api.runtime.commits import Commits
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import JobResult
from ledger.clock import Timekeeper

LOOK = "auditor:log:"
"""The prefix of the event types of auditors' looks."""

_AUDITORS = frozenset({"auditor", "city-auditor"})


@dataclass(frozen=True, slots=True)
class Looks:
    """Checks who may look at the log, and logs each look."""

    callers: Callers
    commits: Commits
    clock: Timekeeper

    def must_audit(self, call: SignedCall) -> int | None:
        """The department whose entries the key audits; None for the whole city. RefusedError
        ``caller.not-auditor`` if it is not an auditor's key."""
        roles = self.callers.roles(call)
        if "city-auditor" in roles:
            return None
        if "auditor" in roles:
            return call.department
        raise RefusedError("caller.not-auditor", in_both("this key has no AUDITOR role"))

    def must_audit_city(self, call: SignedCall, otherwise: str) -> None:
        """RefusedError ``caller.not-auditor`` if the key is not a city-wide auditor's; ``otherwise`` is the
        detail for an auditor of one department."""
        if self.must_audit(call) is not None:
            raise RefusedError("caller.not-auditor", otherwise)

    def audits(self, call: SignedCall) -> bool:
        """Whether the key is an auditor's, of the city or of its department. Every answer to it about calls
        of others or of its department must be logged (`note`)."""
        return not self.callers.roles(call).isdisjoint(_AUDITORS)

    def audits_city(self, call: SignedCall) -> bool:
        """Whether the key is that of a city-wide auditor."""
        return "city-auditor" in self.callers.roles(call)

    def note(self, call: SignedCall, what: str, **facts: int | str) -> int:
        """Log a look and return the index of its entry. RefusedError as from `Commits.commit`; then nothing
        may be shown."""
        event = Event(
            id=new_event_id(),
            type=f"{LOOK}{what}",
            time=self.clock.utc(),
            department=call.department,
            service=call.key_id,
            facts=facts,
        )
        done = self.commits.commit(lambda _: JobResult(None, [NewEntry(event)]))
        return done.receipts[0].index
