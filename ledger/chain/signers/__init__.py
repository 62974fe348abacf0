"""secp256k1 signatures over digests with libsecp256k1, for officers' and attest keys.

A signature is 65 bytes, ``r || s || v`` with v 27 or 28 and the low s of EIP-2, as the contracts require. Keys are 32 bytes;
``api.protocol.keystore`` stores officers' keys encrypted.
"""

from __future__ import annotations

import coincurve
from eth_hash.auto import keccak

from ledger.errors import LedgerError
from ledger.ids import checksummed

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class SignatureError(LedgerError):
    """The bytes are not a signature that the contracts would accept."""

    code = "act.signature"


def sign_digest(secret: bytes, digest: bytes) -> bytes:
    """Sign a digest of 32 bytes; returns 65 bytes ``r || s || v``, deterministic (RFC 6979)."""
    if len(digest) != 32:
        raise SignatureError("a digest has 32 bytes")
    signature: bytes = coincurve.PrivateKey(secret).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


def recover(digest: bytes, signature: bytes) -> str:
    """The address (EIP-55) of the signing key. Raises SignatureError for a wrong length, v other than 27 or 28, or high s."""
    if len(digest) != 32:
        raise SignatureError("a digest has 32 bytes")
    if len(signature) != 65:
        raise SignatureError(f"a signature has 65 bytes, not {len(signature)}")
    if signature[64] not in (27, 28):
        raise SignatureError("the last byte of a signature is 27 or 28")
    if int.from_bytes(signature[32:64]) > _HALF_ORDER:
        raise SignatureError("the signature has a high s", hint="normalise it to the lower half of the order")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    except ValueError:
        raise SignatureError("the signature recovers to no key") from None
    return _address(key)


def address_of(secret: bytes) -> str:
    """The address (EIP-55) of a 32-byte secret."""
    return _address(coincurve.PrivateKey(secret).public_key)


def _address(key: coincurve.PublicKey) -> str:
    return checksummed(keccak(key.format(compressed=False)[1:])[12:])
