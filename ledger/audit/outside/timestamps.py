"""RFC 3161 timestamps: an independent proof of time, when a service is configured (extra ``timestamps``).

A timestamp over a head proves that its entries existed at that time, even if the log's key is stolen later. The log
works without the service: while it is unreachable nothing waits for it, and the head is stamped when it answers again.
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
"""Sends a DER TimeStampReq to the service (application/timestamp-query) and returns the DER TimeStampResp; raises
`TimestampUnavailable` when there is no answer."""


class TimestampUnavailable(AuditError):
    """The timestamp service did not answer."""

    code = "audit.timestamp_unavailable"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A stored token: the size of the head that it covers, and the time that it states."""

    size: int
    time: datetime


def stamp(log: LogReader, signed: SignedCheckpoint, post: Post, roots: Sequence[Certificate]) -> datetime:
    """Request a timestamp over a head, verify it, publish the head and store the token. Returns the time in the token.

    A head that already has a token keeps the earlier one. Raises `TimestampUnavailable` and `TimestampInvalid`.
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
    """The newest token of the log's current epoch; None before the first. Raises `TimestampInvalid` when the stored token
    is damaged."""
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
    """Stamps the newest head every ``every_s`` seconds, when entries were appended since the last stamp.

    Thread-safe: `step` holds a lock.
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
        """Stamp when it is due. Returns the stamp, or None when nothing was due. Raises as `stamp`."""
        with self._alone:
            last = latest_stamp(self._log)
            age = None if last is None else (now or datetime.now(UTC)) - last.time
            # A token of a future time means that a clock is wrong; the head is then stamped again.
            if age is not None and timedelta(0) <= age < self._every:
                return None
            return self._stamp(last)

    def stamp_now(self) -> Stamp | None:
        """Stamp the newest head even when it is not due; None when this head already has a token. Raises as `stamp`."""
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
