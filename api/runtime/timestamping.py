"""The RFC 3161 service of an installation: its certificates, and requests to it over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cryptography.x509 import Certificate, load_pem_x509_certificates

from api.runtime.settings import HomeError, Settings
from ledger.audit.outside.timestamps import Post, TimestampUnavailable
from ledger.audit.verify.tokens import TimestampsUnavailable, client
from ledger.outgoing import CallFailed, Outgoing

ASK_TIMEOUT_S = 10.0
MOST_BYTES = 1 << 16
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"


class TimestampSettings(HomeError):
    """The configuration of the timestamp service does not permit a check of its tokens."""

    code = "settings.timestamps"


def service_of(settings: Settings) -> tuple[Post, Sequence[Certificate]] | None:
    """A function that asks the configured service, and the roots to which its tokens must chain; None if none is
    configured.

    Raises `TimestampSettings` if tokens could not be checked: an unchecked timestamp proves nothing, so the service
    does not start.
    """
    if not settings.timestamp_url:
        if settings.timestamp_roots is not None:
            raise TimestampSettings(
                "certificates of a timestamp service are given, but no service",
                hint="set CIVIC_TIMESTAMP_URL, or leave CIVIC_TIMESTAMP_ROOTS out",
            )
        return None
    if not settings.timestamp_url.startswith(("http://", "https://")):
        raise TimestampSettings(
            "the timestamp service is not an http(s) URL", hint="check CIVIC_TIMESTAMP_URL"
        )
    if settings.timestamp_roots is None:
        raise TimestampSettings(
            "the timestamp service's root certificates are missing",
            hint="set CIVIC_TIMESTAMP_ROOTS to a PEM file that was had from the service by another way",
        )
    try:
        roots = load_pem_x509_certificates(settings.timestamp_roots.read_bytes())
    except OSError as unreadable:
        raise TimestampSettings(
            f"{settings.timestamp_roots} cannot be read", hint="check CIVIC_TIMESTAMP_ROOTS"
        ) from unreadable
    except ValueError as damaged:
        raise TimestampSettings(
            f"{settings.timestamp_roots} holds no PEM certificates", hint="check CIVIC_TIMESTAMP_ROOTS"
        ) from damaged
    try:
        client()
    except TimestampsUnavailable as absent:
        raise TimestampSettings(absent.message, hint=absent.hint) from absent
    return partial(_ask, settings.timestamp_url), roots


def _ask(url: str, request: bytes) -> bytes:
    """One RFC 3161 request over HTTP (section 3.4)."""
    try:
        with Outgoing() as line:
            call = line.prepare("POST", url, body=request, headers={"Content-Type": QUERY, "Accept": REPLY})
            answer = line.ask(call, within_s=ASK_TIMEOUT_S, most=MOST_BYTES)
    except CallFailed as gone:
        raise TimestampUnavailable(f"the timestamp service gives no answer: {gone.message}") from gone
    if answer.status != 200:
        raise TimestampUnavailable(f"the timestamp service answers {answer.status}")
    if answer.headers.get("content-type", "").partition(";")[0].strip() != REPLY:
        raise TimestampUnavailable("the timestamp service answers with something else than a timestamp")
    return answer.body
