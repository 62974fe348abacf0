"""One RFC 3161 token: the text that it covers, its time, and the check of its signature (extra ``timestamps``).

``rfc3161-client`` (Rust, from the sigstore project) parses tokens and verifies certificate chains. `must_be_over` needs
no trusted certificate, `check_token` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography.x509 import Certificate

from ledger.audit.formats.errors import AuditError

_HASHES = {
    "2.16.840.1.101.3.4.2.1": hashlib.sha256,
    "2.16.840.1.101.3.4.2.2": hashlib.sha384,
    "2.16.840.1.101.3.4.2.3": hashlib.sha512,
}


class TimestampInvalid(AuditError):
    """The token is not a timestamp of this head, or its certificate is not trusted."""

    code = "audit.timestamp"


class TimestampsUnavailable(TimestampInvalid):
    """The extra ``timestamps`` is not installed."""

    code = "audit.timestamp_extra"


def client() -> Any:
    """Import ``rfc3161_client``; raises `TimestampsUnavailable` without the extra."""
    try:
        import rfc3161_client
    except ImportError as error:
        raise TimestampsUnavailable(
            "rfc3161-client is not installed", hint="install civicledger[timestamps]"
        ) from error
    return rfc3161_client


def must_be_over(text: bytes, token: bytes) -> datetime:
    """Check that a token covers ``text``, and return its time. The signature is not checked.

    Raises `TimestampInvalid`.
    """
    info = _info(token)
    imprint = info.message_imprint
    hashed = _HASHES.get(imprint.hash_algorithm.dotted_string)
    if hashed is None or imprint.message != hashed(text).digest():
        raise TimestampInvalid("the timestamp is over something else")
    moment: datetime = info.gen_time
    return moment


def check_token(
    text: bytes, token: bytes, roots: Sequence[Certificate], *, nonce: int | None = None
) -> datetime:
    """Verify a token over ``text`` against trusted certificates, and return its time.

    ``nonce`` is the nonce of a request just made: the token must contain it, so a replayed answer is refused. Raises
    `TimestampInvalid`.
    """
    library = client()
    if not roots:
        raise TimestampInvalid("no trusted certificate was given")
    moment = must_be_over(text, token)
    try:
        response = library.decode_timestamp_response(token)
        verifier = library.VerifierBuilder(roots=list(roots), nonce=nonce).build()
        verifier.verify_message(response, text)
    except (ValueError, TypeError, library.VerificationError) as error:
        raise TimestampInvalid(f"the timestamp does not hold: {error}") from error
    return moment


def _info(token: bytes) -> Any:
    try:
        response = client().decode_timestamp_response(token)
        if response.as_bytes() != token:
            raise TimestampInvalid("the timestamp is not spelled as DER")
        return response.tst_info
    except (ValueError, TypeError) as error:
        raise TimestampInvalid(f"not a timestamp: {error}") from error
