"""The keys of pseudonyms and of the order of rows: one key per grant, from which those of columns and order are derived.

A pseudonym is the first 128 bits of HMAC-SHA256 (RFC 2104) over the value's text, in hex. Its key comes from
a secret of the gateway by HKDF-SHA256 (RFC 5869) with the grant and the column in ``info``: two grantees'
extracts do not link by pseudonym, and a pseudonymised column cannot be used to look up another one.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

MINIMUM_SECRET = 32
"""The least bytes of the gateway secret."""

PSEUDONYM_HEX = 32
"""The length of a pseudonym in hex digits (128 bits)."""

_BLOCK = 64


def derive_grant_key(secret: bytes, grant: str, *, generation: int = 1) -> bytes:
    """The 32-byte pseudonym key of one grant; a new ``generation`` rotates it.

    Raises ValueError when the secret is shorter than 32 bytes.
    """
    if len(secret) < MINIMUM_SECRET:
        raise ValueError(f"the gateway's pseudonym secret has at least {MINIMUM_SECRET} bytes")
    info = b"civic/pseudonym/v1\x00" + generation.to_bytes(4, "big") + grant.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def column_pads(grant_key: bytes, column: str) -> tuple[bytes, bytes]:
    """The inner and outer HMAC pads (64 bytes each) of one column under a grant's key.

    With them, HMAC-SHA256(k, m) is ``SHA-256(outer || SHA-256(inner || m))``: the engine computes it on
    whole vectors from bound parameters, and never sees the key in a statement's text.
    """
    key = HKDFExpand(algorithm=SHA256(), length=32, info=b"column\x00" + column.encode()).derive(grant_key)
    padded = key.ljust(_BLOCK, b"\x00")
    return bytes(b ^ 0x36 for b in padded), bytes(b ^ 0x5C for b in padded)


def shuffle_key(grant_key: bytes) -> bytes:
    """The 32-byte key for the order of a grant's protected rows. It is the same for all calls of the grant, and different for
    each grant, so that two extracts cannot be joined by position."""
    return HKDFExpand(algorithm=SHA256(), length=32, info=b"order of rows").derive(grant_key)
