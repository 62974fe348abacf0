"""The record of a release: with the entry of its outcome for the key that called, and as a logged look for an
auditor."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from api.calls.looks import Looks
from api.calls.repeats import Repeats
from api.protocol.http_signatures import RESPONSE
from api.runtime.commits import receipt_of
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger import releases
from ledger.audit.formats.errors import LogCorrupt
from ledger.audit.log.log import AuditLog
from ledger.audit.verify.receipts import Receipt
from ledger.releases import Release


@dataclass(frozen=True, slots=True)
class Outcome:
    """The receipt of an outcome, and the disclosure of its commitment to the bytes that were sent; None after
    an erasure."""

    receipt: Receipt
    disclosure: str | None


@dataclass(frozen=True, slots=True)
class SeenByAuditor:
    """A release as an auditor sees it."""

    release: Release


@dataclass(frozen=True, slots=True)
class SeenByCaller:
    """A release as its department sees it; ``outcome`` is None while the answer is being sent."""

    release: Release
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class ReleaseRecords:
    """Shows the records of releases. ``reading`` is the database without a write lock."""

    reading: Engine
    log: AuditLog
    repeats: Repeats
    looks: Looks

    def shown(self, call: SignedCall, release_id: str) -> SeenByCaller | SeenByAuditor:
        """The record of a release. It must agree with its entry; `LogCorrupt` otherwise.

        RefusedError ``not-found.release``, ``caller.not-party``, ``caller.not-auditor``.
        """
        with self.reading.connect() as connection:
            found = releases.get(connection, release_id)
            entry = self.repeats.entry_of(connection, found) if found is not None else None
        if found is None:
            raise RefusedError("not-found.release", in_both("no such release is recorded"))
        if entry is None and not self.log.pruned:
            raise LogCorrupt("the record of the release is not what its entry says", hint="civic audit fsck")
        own = found.department == call.department
        if not own and self.looks.must_audit(call) not in (None, found.department):
            raise RefusedError("caller.not-party", in_both("this release is another department's"))
        if found.key_id != call.key_id and self.looks.audits(call):
            self.looks.note(call, "release", release=found.id)
            return SeenByAuditor(found)
        return SeenByCaller(found, self._outcome(found))

    def _outcome(self, found: Release) -> Outcome | None:
        with self.reading.connect() as connection:
            _, last = self.repeats.outcomes_of(connection, found)
            if last is None or found.state == "streaming":
                return None
            opening = self.repeats.opening_of(connection, last, RESPONSE)
        return Outcome(receipt_of(self.log, str(last)), opening.disclosure if opening else None)
