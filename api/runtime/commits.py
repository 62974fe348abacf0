"""Commits an effect and its log entries in one transaction of the writer."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from api.runtime.call_nonces import CallNonces
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from api.runtime.withholding import Withholding
from languages.texts import in_both
from ledger.audit.formats.errors import LogClosed, LogUnavailable
from ledger.audit.log.log import AuditLog
from ledger.audit.log.writer import Committed, GroupCommit, Job, JobResult
from ledger.audit.verify.receipts import Receipt

T = TypeVar("T")

COMMIT_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Commits:
    """Commits jobs to the log."""

    writer: GroupCommit
    withholding: Withholding
    nonces: CallNonces

    def commit(self, job: Job[T]) -> Committed[T]:
        """Run a job in the writer's transaction and wait until it is durable; RefusedError ``log.unavailable``
        otherwise, ``audit.rollback`` if the log is known to be an older one."""
        self.withholding.must_be_newest()
        try:
            pending: Future[Committed[T]] = self.writer.submit(job)
            return pending.result(COMMIT_TIMEOUT_S)
        except (LogUnavailable, LogClosed, FutureTimeout) as failed:
            raise RefusedError(
                "log.unavailable",
                in_both("the audit log did not acknowledge the entry; nothing was released"),
            ) from failed

    def commit_call(self, call: SignedCall, job: Job[T]) -> Committed[T]:
        """As `commit`, for a signed call: its nonce is spent in the same transaction; RefusedError
        ``call.replayed``."""

        def once(connection: Connection) -> JobResult[T]:
            if not self.nonces.claim(connection, call):
                raise RefusedError("call.replayed", in_both("this signature's nonce was used before"))
            return job(connection)

        return self.commit(once)


def receipt_of(log: AuditLog, entry_id: str) -> Receipt:
    """The receipt of an entry by its event id, under the newest checkpoint."""
    index = log.find(UUID(entry_id))
    if index is None:
        raise RefusedError("log.unavailable", in_both("the entry is not in the log"))
    return log.receipt(index)
