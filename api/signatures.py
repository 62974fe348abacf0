"""Who is calling: the RFC 9421 signature of a request, with a stable code for every way it can be wrong.

The library by itself accepts a signature without nonce, a long age and several signatures; a Civic Ledger
call has exactly one signature over ``@method``, ``@target-uri`` and ``content-digest``, with ``created``,
``nonce`` and ``keyid``, at most ``max_age`` old.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import http_sf
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.problems import Problem
from api.sdk.wire import REQUEST_COMPONENTS, InvalidSignature, RequestMessage, verify_request

SKEW = timedelta(seconds=5)
_KEY_ID = re.compile(r"(\d{1,8}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A request whose signature holds.

    ``signature_base`` is the RFC 9421 base that was signed (it goes into the log as a salted commitment);
    ``key_id`` is ``<department>:<Ed25519 public key, hex>``.
    """

    key_id: str
    department: int
    public_key: str
    nonce: str
    created: datetime
    signature_base: bytes


def parse_key_id(key_id: str) -> tuple[int, str]:
    """Department and public key of a key id; Problem ``signature.unknown-key`` when it is not of the form."""
    found = _KEY_ID.fullmatch(key_id)
    if found is None:
        raise Problem("signature.unknown-key", "a key id is <department>:<64 hex digits of the Ed25519 key>")
    return int(found[1]), found[2]


def verify_call(
    message: RequestMessage,
    body_digest: str,
    is_registered: Callable[[int, str], bool],
    *,
    max_age: timedelta = timedelta(seconds=60),
    now: datetime | None = None,
) -> SignedCall:
    """Check digest, form, age, key and signature of a call; raise Problem with a ``signature.*`` code.

    ``body_digest`` is the Content-Digest field computed over the body that arrived. ``is_registered`` tells
    whether a key is in force for a department. ``now`` is UTC; the default is the present.
    """
    headers = {name.lower(): value for name, value in message.headers.items()}
    parameters = _only_signature(headers)
    if headers.get("content-digest", "").strip() != body_digest:
        code = "digest.missing" if "content-digest" not in headers else "digest.mismatch"
        raise Problem(code, "Content-Digest must be the SHA-256 of the body, also of an empty one")
    key_id, nonce, created = (parameters.get(name) for name in ("keyid", "nonce", "created"))
    if not isinstance(created, int):
        raise Problem("signature.created-missing", "the signature has no 'created' parameter")
    if not isinstance(nonce, str) or not 16 <= len(nonce) <= 128:
        raise Problem("signature.nonce-missing", "the signature needs a 'nonce' of 16 to 128 characters")
    if not isinstance(key_id, str):
        raise Problem("signature.unknown-key", "the signature has no 'keyid' parameter")
    moment = (now or datetime.now(UTC)).timestamp()
    if created < moment - (max_age + SKEW).total_seconds():
        raise Problem("signature.stale", f"the signature is older than {int(max_age.total_seconds())} s")
    if created > moment + SKEW.total_seconds():
        raise Problem("signature.future", "the signature was created in the future: check the clock")
    department, public_key = parse_key_id(key_id)
    if not is_registered(department, public_key):
        raise Problem("signature.unknown-key", f"no key in force of department {department} has this id")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        result = verify_request(message, key, max_age)
    except (InvalidSignature, ValueError) as refused:
        raise Problem(
            "signature.invalid", "the signature does not verify with the registered key"
        ) from refused
    base = "\n".join(f"{name}: {value}" for name, value in result.covered_components.items())
    return SignedCall(
        key_id, department, public_key, nonce, datetime.fromtimestamp(created, UTC), base.encode()
    )


def _only_signature(headers: dict[str, str]) -> dict[str, object]:
    """The parameters of the one signature; Problem when there is none, several, or one of another form."""
    inputs, signatures = headers.get("signature-input"), headers.get("signature")
    if not inputs or not signatures:
        raise Problem("signature.missing", "the call has no Signature and Signature-Input")
    try:
        members: dict[str, Any] = cast(Any, http_sf.parse(inputs.encode(), tltype="dictionary"))
        values: dict[str, Any] = cast(Any, http_sf.parse(signatures.encode(), tltype="dictionary"))
    except (ValueError, UnicodeError) as malformed:
        raise Problem(
            "signature.malformed", "Signature-Input or Signature is not a structured field"
        ) from malformed
    if len(members) != 1 or len(values) != 1:
        raise Problem("signature.multiple", "a call has exactly one signature")
    [(components, parameters)] = members.values()
    if not isinstance(components, list):
        raise Problem("signature.malformed", "the Signature-Input member is a list of components")
    covered = {name for name, options in components if not options}
    missing = [name for name in REQUEST_COMPONENTS if name not in covered]
    if missing:
        raise Problem("signature.components", f"the signature does not cover {', '.join(missing)}")
    return dict(parameters)
