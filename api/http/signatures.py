"""The caller of a request: its RFC 9421 signature is checked, with a stable code for every fault.

The library alone accepts a signature without nonce, a long age and several signatures; a Civic Ledger call
must have exactly one signature over ``@method``, ``@target-uri`` and ``content-digest``, and over ``accept``
and ``idempotency-key`` when it has them, with ``created``, ``nonce`` and ``keyid``, at most ``max_age`` old.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import http_sf
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.http.problems import Problem
from api.protocol.http_signatures import (
    InvalidSignature,
    RequestMessage,
    call_digest,
    request_components,
    sha256_of,
    verify_request,
)
from api.runtime.signed_call import SKEW, SignedCall
from languages.texts import in_both
from ledger.ids import IdError, parse_key_id


def verify_call(
    message: RequestMessage,
    body_sha256: bytes | None,
    is_registered: Callable[[int, str], bool],
    *,
    max_age: timedelta = timedelta(seconds=60),
    now: datetime,
) -> SignedCall:
    """Check digest, form, age, key and signature of a call; raise Problem with a ``signature.*`` code.

    ``body_sha256`` is that of the received body; None if the body has not arrived yet, and then the caller of
    this function compares the digest. ``is_registered`` returns whether a key is in force for a department.
    The age is judged by ``now``, the installation's time.
    """
    headers = {name.lower(): value for name, value in message.headers.items()}
    parameters, signature = _only_signature(headers)
    signed_sha256 = _signed_digest(headers)
    if body_sha256 is not None and signed_sha256 != body_sha256:
        raise Problem(
            "digest.mismatch", in_both("the body is not the one whose SHA-256 Content-Digest names")
        )
    moment = now.timestamp()
    created = _moments(parameters, moment, max_age)
    key_id, nonce = parameters.get("keyid"), parameters.get("nonce")
    if not isinstance(nonce, str) or not 16 <= len(nonce) <= 128:
        raise Problem(
            "signature.nonce-missing", in_both("the signature needs a 'nonce' of 16 to 128 characters")
        )
    if not isinstance(key_id, str):
        raise Problem("signature.unknown-key", in_both("the signature has no 'keyid' parameter"))
    try:
        department, public_key = parse_key_id(key_id)
    except IdError as other:
        raise Problem("signature.unknown-key", other.hint) from other
    if not is_registered(department, public_key):
        raise Problem(
            "signature.unknown-key",
            in_both("no key in force of department {department} has this id", department=department),
        )
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        result = verify_request(message, key)
    except (InvalidSignature, ValueError) as refused:
        raise Problem(
            "signature.invalid", in_both("the signature does not verify with the registered key")
        ) from refused
    base = "\n".join(f"{name}: {value}" for name, value in result.covered_components.items()).encode()
    return SignedCall(
        key_id,
        department,
        public_key,
        nonce,
        datetime.fromtimestamp(created, UTC),
        base,
        signed_sha256,
        call_digest(base, signature),
    )


def _signed_digest(headers: dict[str, str]) -> bytes:
    field = headers.get("content-digest")
    if field is None:
        raise Problem(
            "digest.missing", in_both("Content-Digest names the SHA-256 of the body, also of an empty one")
        )
    try:
        return sha256_of(field)
    except KeyError as other:
        raise Problem("digest.algorithm", in_both("Content-Digest needs a member sha-256")) from other
    except ValueError as malformed:
        raise Problem(
            "digest.malformed",
            in_both("Content-Digest is a dictionary such as sha-256=:BASE64:, each member once"),
        ) from malformed


def _moments(parameters: dict[str, object], now: float, max_age: timedelta) -> int:
    """The time of the signature; Problem if it is too old, in the future, or expired."""
    created, expires = parameters.get("created"), parameters.get("expires", now)
    if type(created) is not int:
        raise Problem("signature.created-missing", in_both("the signature has no 'created' parameter"))
    if not isinstance(expires, int | float):
        raise Problem("signature.malformed", in_both("the 'expires' parameter is a number of seconds"))
    if created < now - (max_age + SKEW).total_seconds():
        raise Problem(
            "signature.stale",
            in_both("the signature is older than {seconds} s", seconds=int(max_age.total_seconds())),
        )
    if expires < now - SKEW.total_seconds():
        raise Problem("signature.stale", in_both("the time in the signature's 'expires' parameter is over"))
    if created > now + SKEW.total_seconds():
        raise Problem("signature.future", in_both("the signature was created in the future: check the clock"))
    return created


def _only_signature(headers: dict[str, str]) -> tuple[dict[str, object], bytes]:
    """The parameters of the one signature, and its bytes; Problem if there is none, several, or one of another form."""
    inputs, signatures = headers.get("signature-input"), headers.get("signature")
    if not inputs or not signatures:
        raise Problem("signature.missing", in_both("the call has no Signature and Signature-Input"))

    def twice(label: str, _: str) -> None:
        raise Problem(
            "signature.multiple",
            in_both("a call has exactly one signature; {label} stands twice", label=label[:40]),
        )

    try:
        members: dict[str, Any] = cast(
            Any, http_sf.parse(inputs.encode(), tltype="dictionary", on_duplicate_key=twice)
        )
        values: dict[str, Any] = cast(
            Any, http_sf.parse(signatures.encode(), tltype="dictionary", on_duplicate_key=twice)
        )
    except (ValueError, UnicodeError) as malformed:
        raise Problem(
            "signature.malformed", in_both("Signature-Input or Signature is not a structured field")
        ) from malformed
    if len(members) != 1 or len(values) != 1:
        raise Problem("signature.multiple", in_both("a call has exactly one signature"))
    [(components, parameters)] = members.values()
    if not isinstance(components, list):
        raise Problem("signature.malformed", in_both("the Signature-Input member is a list of components"))
    [(signature, _)] = values.values()
    if not isinstance(signature, bytes):
        raise Problem("signature.malformed", in_both("the Signature member is a byte sequence"))
    _must_cover(components, headers)
    return dict(parameters), signature


def _must_cover(components: list[tuple[object, Any]], headers: dict[str, str]) -> None:
    """Check the covered components: each once, without parameters, present in the request; and all that a call must
    cover."""
    if any(options for _, options in components):
        raise Problem(
            "signature.components", in_both("the components of a call's signature have no parameters")
        )
    covered = [str(name) for name, _ in components]
    if len(set(covered)) != len(covered):
        raise Problem("signature.components", in_both("the signature covers a component twice"))
    absent = [name for name in covered if not name.startswith("@") and name not in headers]
    if absent:
        raise Problem(
            "signature.components", in_both("the signature covers a header that the call does not have")
        )
    missing = [name for name in request_components(headers) if name not in covered]
    if missing:
        raise Problem(
            "signature.components",
            in_both("the signature does not cover {missing}", missing=", ".join(missing)),
        )
