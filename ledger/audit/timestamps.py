"""RFC 3161 timestamps: a second witness of time, where a service is configured (extra ``timestamps``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from cryptography.x509 import Certificate
from sqlalchemy import Table, insert, select

from ledger.audit.checkpoint import SignedCheckpoint
from ledger.audit.errors import AuditError
from ledger.audit.log import AuditLog
from ledger.audit.publish import keep
from ledger.store.tables.audit import AuditTimestamp

timestamp_table: Table = AuditTimestamp.__table__  # type: ignore[attr-defined]

Post = Callable[[bytes], bytes]
"""Sends a DER TimeStampReq to the service (application/timestamp-query) and answers the DER TimeStampResp."""


class TimestampInvalid(AuditError):
    """The service's answer is no timestamp of this head, or its certificate is not a trusted one."""

    code = "audit.timestamp"


def _client() -> Any:
    try:
        import rfc3161_client
    except ImportError as error:
        raise TimestampInvalid(
            "rfc3161-client is not installed", hint="install civicledger[timestamps]"
        ) from error
    return rfc3161_client


def stamp(log: AuditLog, signed: SignedCheckpoint, post: Post, roots: Sequence[Certificate]) -> datetime:
    """Have a published head's text timestamped, verify the answer, and keep it; the time it states."""
    client = _client()
    request = client.TimestampRequestBuilder().data(signed.note.text).nonce(nonce=True).build()
    token = post(request.as_bytes())
    moment = check_token(signed.note.text, token, roots)
    with log.engine.begin() as conn:
        keep(conn, signed)
        at = (timestamp_table.c.size == signed.size, timestamp_table.c.epoch == log.epoch)
        if conn.execute(select(timestamp_table.c.size).where(*at)).first() is None:
            conn.execute(insert(timestamp_table), {"size": signed.size, "epoch": log.epoch, "token": token})
    return moment


def check_token(text: bytes, token: bytes, roots: Sequence[Certificate]) -> datetime:
    """Verify a stored token over a checkpoint's text against trusted certificates; the time it states."""
    client = _client()
    try:
        response = client.decode_timestamp_response(token)
        builder = client.VerifierBuilder()
        for root in roots:
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(response, text)
        moment: datetime = response.tst_info.gen_time
    except (ValueError, client.VerificationError) as error:
        raise TimestampInvalid(f"the timestamp does not hold: {error}") from error
    return moment
