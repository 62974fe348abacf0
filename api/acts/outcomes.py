"""The outcome of a signed act: in progress, recorded with its receipt, or refused with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from api.runtime.commits import receipt_of
from api.runtime.errors import RefusedError
from languages.texts import in_both
from ledger.acts.act import AWAITING_FILE
from ledger.audit.log.log import AuditLog
from ledger.clock import Timekeeper
from ledger.ids import ACTIVATION, parse_digest
from ledger.outbox import ActPending, ActRecord, admission_of, find
from ledger.outbox.check import OWN_CODES
from ledger.outbox.denials import REVOCATIONS
from ledger.outbox.undecided import taken_act
from ledger.projection.follower import Follower
from ledger.projection.queries import events


@dataclass(frozen=True, slots=True)
class ActOutcomes:
    """Reads the outcomes of acts. ``reading`` is the database without a write lock."""

    reading: Engine
    follower: Follower
    log: AuditLog
    clock: Timekeeper

    def of(self, digest: str, wait_s: float = 0.0) -> dict[str, Any]:
        """The state of an act, waiting up to ``wait_s`` seconds; RefusedError ``not-found.act`` for an unknown
        digest."""
        parse_digest(digest.removesuffix(ACTIVATION))
        record = self._found(digest)
        if record is None:
            raise RefusedError("not-found.act", in_both("no act has this digest"))
        if digest.endswith(ACTIVATION):
            return self._activation_state(record, wait_s)
        record = self._waited(record, wait_s)
        return self.state_of(record) | _readiness(self._ready_at(record))

    def _activation_state(self, record: ActRecord, wait_s: float) -> dict[str, Any]:
        """As `of`, for an admission's second step: with its proposal, and with the time at which it is ready if it
        waits.

        The call does not wait if that time is later than ``wait_s`` from now.
        """
        until = self.clock.utc() + timedelta(seconds=wait_s)
        proposal = self._found(record.id.removesuffix(ACTIVATION))
        members: dict[str, Any] = {}
        if proposal is not None:
            members["proposal"] = self.state_of(self._waited(proposal, wait_s))
        ready_at = self._ready_at(record)
        if ready_at is None or ready_at < until:
            record = self._waited(record, (until - self.clock.utc()).total_seconds())
        return self.state_of(record) | members | ({} if record.final else _readiness(ready_at))

    def _ready_at(self, record: ActRecord) -> datetime | None:
        """The time from which a proposed admission can be activated; None for other acts and for a final one."""
        if record.type != "Admission":
            return None
        with self.reading.connect() as connection:
            found = admission_of(connection, record.message)
        proposed = found is not None and found.state == "proposed"
        return datetime.fromtimestamp(found.ready_at, UTC) if found is not None and proposed else None

    def _found(self, digest: str) -> ActRecord | None:
        with self.reading.connect() as connection:
            return find(connection, digest)

    def _waited(self, record: ActRecord, wait_s: float) -> ActRecord:
        """The act once it is final, or its state after so many seconds; returned at once if it awaits its file."""
        if wait_s <= 0 or record.final or record.state == AWAITING_FILE:
            return record
        try:
            return self.follower.wait(record.id, timeout=wait_s)
        except ActPending:
            return self._found(record.id) or record

    def state_of(self, record: ActRecord) -> dict[str, Any]:
        """The answer about an act; RefusedError ``act.refused``, ``act.expired`` or a more specific code if it
        failed."""
        document: dict[str, Any] = {"digest": record.id, "state": record.state}
        for name in ("reason", "tx_hash", "block"):
            if (value := getattr(record, name)) is not None:
                document[name] = value
        if record.state == "recorded" and (skipped := self._skipped(record)):
            document["skipped"] = skipped
        if record.entry_id is not None:
            document["receipt"] = str(receipt_of(self.log, str(record.entry_id)))
        if record.state in ("failed", "expired"):
            if self._denies(record):
                document["denies"] = True
            raise RefusedError(
                _failure(record),
                record.reason or record.state,
                document,
            )
        return document

    def _denies(self, record: ActRecord) -> bool:
        """Whether an act that is not sent to the chain still denies."""
        if record.state == "expired" and record.type in REVOCATIONS:
            return True
        with self.reading.connect() as connection:
            return taken_act(connection, record.id) is not None

    def _skipped(self, record: ActRecord) -> list[dict[str, Any]]:
        """What a recorded batch skipped: the grants with their state, or with the total and why it was not recorded."""
        name = {"RevokeBatch": "RevokeSkipped", "UseBatch": "UseSkipped"}.get(record.type)
        found: list[dict[str, Any]] = []
        if name is None or record.tx_hash is None:
            return found
        with self.reading.connect() as connection:
            after: str | None = None
            while True:
                page = events(connection, name=name, tx_hash=record.tx_hash, after=after, limit=100)
                found += [dict(event.args) for event in page.items]
                if (after := page.next) is None:
                    return found


def _readiness(ready_at: datetime | None) -> dict[str, str]:
    return {} if ready_at is None else {"ready_at": ready_at.isoformat()}


def _failure(record: ActRecord) -> str:
    """The code of a failed act."""
    if record.state == "expired":
        return "act.expired"
    return record.code if record.code in OWN_CODES else "act.refused"
