"""RFC 3161 timestamps: a second witness of time, where a service is configured (extra ``timestamps``).

A timestamp over a head proves that its entries existed by then, whoever holds the log's key since. A service out of
reach takes nothing away from the log: the head is stamped as soon as it answers again, and nothing waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.x509 import Certificate
from sqlalchemy import insert, select

from ledger.audit.formats.checkpoint import SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import AuditError
from ledger.audit.log.publish import keep
from ledger.audit.log.reading import LogReader, checkpoint_table
from ledger.audit.verify.tokens import TimestampInvalid, check_token, client, must_be_over
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditTimestamp

__all__ = [
    "Stamp",
    "Stamper",
    "TimestampInvalid",
    "TimestampUnavailable",
    "check_token",
    "latest_stamp",
    "stamp",
]

timestamp_table = table_of(AuditTimestamp)

Post = Callable[[bytes], bytes]
"""Sends a DER TimeStampReq to the service (application/timestamp-query) and answers the DER TimeStampResp; raises
`TimestampUnavailable` when there is no answer."""


class TimestampUnavailable(AuditError):
    """The timestamp service did not answer."""

    code = "audit.timestamp_unavailable"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A kept token: over the head of which size, and the time it states."""

    size: int
    time: datetime


def stamp(log: LogReader, signed: SignedCheckpoint, post: Post, roots: Sequence[Certificate]) -> datetime:
    """Have a head's text timestamped, verify the answer, publish the head and keep the token; the time it states.

    A head that has a token keeps that one, the earlier. Raises `TimestampUnavailable`, `TimestampInvalid`.
    """
    request = client().TimestampRequestBuilder().data(signed.note.text).nonce(nonce=True).build()
    token = post(request.as_bytes())
    moment = check_token(signed.note.text, token, roots, nonce=request.nonce)
    epoch = _epoch(signed)
    with log.engine.begin() as conn:
        keep(conn, signed)
        at = (timestamp_table.c.size == signed.size, timestamp_table.c.epoch == epoch)
        if conn.execute(select(timestamp_table.c.size).where(*at)).first() is None:
            conn.execute(insert(timestamp_table), {"size": signed.size, "epoch": epoch, "token": token})
    return moment


def latest_stamp(log: LogReader) -> Stamp | None:
    """The newest token of the log's present epoch; None before the first. Raises `TimestampInvalid` when it was
    damaged in the database."""
    with log.engine.connect() as conn:
        row = conn.execute(
            select(timestamp_table.c.size, timestamp_table.c.token, checkpoint_table.c.note)
            .join(
                checkpoint_table,
                (checkpoint_table.c.size == timestamp_table.c.size)
                & (checkpoint_table.c.epoch == timestamp_table.c.epoch),
            )
            .where(timestamp_table.c.epoch == _epoch(log.checkpoint()))
            .order_by(timestamp_table.c.size.desc())
            .limit(1)
        ).one_or_none()
    if row is None:
        return None
    return Stamp(row.size, must_be_over(read_checkpoint(row.note).note.text, bytes(row.token)))


class Stamper:
    """Has the newest head stamped every ``every_s`` seconds, when anything was appended since the last.

    One caller at a time: `step` holds a lock.
    """

    def __init__(
        self,
        log: LogReader,
        post: Post,
        roots: Sequence[Certificate],
        *,
        every_s: float,
        cosign: Callable[[SignedCheckpoint], SignedCheckpoint] | None = None,
    ) -> None:
        """``cosign`` may collect witnesses' cosignatures on a head before it is published with its timestamp."""
        self._log = log
        self._post = post
        self._roots = tuple(roots)
        self._every = timedelta(seconds=every_s)
        self._cosign = cosign
        self._alone = threading.Lock()

    def step(self, *, now: datetime | None = None) -> Stamp | None:
        """Stamp when it is due; what was stamped, None when nothing was due."""
        with self._alone:
            last = latest_stamp(self._log)
            age = None if last is None else (now or datetime.now(UTC)) - last.time
            # A token from the future means that a clock is wrong, not that nothing is due.
            if age is not None and timedelta(0) <= age < self._every:
                return None
            return self._stamp(last)

    def stamp_now(self) -> Stamp | None:
        """Stamp the newest head although it is not due; None when that very head has its token."""
        with self._alone:
            return self._stamp(latest_stamp(self._log))

    def _stamp(self, last: Stamp | None) -> Stamp | None:
        signed = self._log.checkpoint()
        if not signed.size or (last is not None and last.size == signed.size):
            return None
        if self._cosign is not None:
            signed = self._cosign(signed)
        return Stamp(signed.size, stamp(self._log, signed, self._post, self._roots))


def _epoch(signed: SignedCheckpoint) -> int:
    return int(signed.checkpoint.origin.rpartition("/")[2])
