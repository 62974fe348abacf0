"""The caller of a request whose signature was verified."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

SKEW = timedelta(seconds=5)
"""The permitted difference between a caller's clock and the installation's time."""


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A request with a verified signature.

    ``signature_base`` is the RFC 9421 base that was signed; ``digest`` identifies the call and is in the log as a
    salted commitment; ``key_id`` is ``<department>:<Ed25519 public key, hex>``; ``body_sha256`` is the value in the
    signed Content-Digest.
    """

    key_id: str
    department: int
    public_key: str
    nonce: str
    created: datetime
    signature_base: bytes
    body_sha256: bytes
    digest: str
