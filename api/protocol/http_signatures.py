"""HTTP Message Signatures (RFC 9421) and Content-Digest (RFC 9530) for client and server.

The library signs and verifies; this module defines what a Civic Ledger message must cover. A *request* covers
``@method``, ``@target-uri`` and ``content-digest``, and ``accept`` and ``idempotency-key`` if it has them, with
``created``, ``nonce`` and ``keyid``. An *answer* covers its status, digest and receipt together with the request it
answers.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import http_sf
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    VerifyResult,
)
from http_message_signatures.algorithms import ED25519

REQUEST_COMPONENTS = ("@method", "@target-uri", "content-digest")
REQUEST_FIELDS = ("accept", "idempotency-key")
"""Headers that change the effect of a call: covered if they are present."""
ANSWER_FIELDS = ("content-digest", "civic-receipt", "civic-release", "civic-call")
"""Headers of an answer that its signature covers if they are present."""

_ASKED_FIELDS = ("content-digest", "signature")

LABEL = "civic"
"""The label of every signature in Signature-Input and Signature."""

RECEIPT_HEADER = "Civic-Receipt"
RELEASE_HEADER = "Civic-Release"
CALL_HEADER = "Civic-Call"
"""The header with the disclosure that proves the receipt's entry to be about the call: it opens the commitment
``call``."""
CALL = "call"
"""The name of an entry's commitment to the digest of its call (`call_digest`)."""
RESPONSE = "response"
"""The name of the commitment of a release's outcome to the SHA-256 (hex) of the bytes that were sent."""
IDEMPOTENCY_HEADER = "Idempotency-Key"


@dataclass(slots=True)
class RequestMessage:
    """The parts of a request that its signature can cover; ``url`` is absolute."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass(slots=True)
class AnswerMessage:
    """The parts of an answer that its signature can cover, with the request it answers."""

    status_code: int
    headers: dict[str, str]
    request: RequestMessage = field(repr=False)


class _OneKey(HTTPSignatureKeyResolver):
    """Resolves every key id to one key, which the caller has chosen."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        self._public = public

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        raise LookupError(key_id)

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey | None:
        return self._public


REALM = "Civic Ledger"
CHALLENGE_HEADER = "WWW-Authenticate"
WANTED_HEADER = "Accept-Signature"


def challenge(headers: Mapping[str, str]) -> dict[str, str]:
    """What an answer 401 to a request with these headers says about signing: the scheme (RFC 9110, section 11.6.1), and the
    signature that such a request needs (RFC 9421, section 5.1), with a nonce that is new.

    No scheme is registered for message signatures; ``Signature`` is the name in use. How to sign stands in Accept-Signature alone.
    """
    covered = " ".join(f'"{name}"' for name in request_components(headers))
    parameters = f';created;nonce="{secrets.token_urlsafe(16)}";alg="{ED25519.algorithm_id}"'
    return {CHALLENGE_HEADER: f'Signature realm="{REALM}"', WANTED_HEADER: f"{LABEL}=({covered}){parameters}"}


_SIGNER = HTTPMessageSigner(signature_algorithm=ED25519)


def content_digest(body: bytes) -> str:
    """``sha-256=:...:`` of a body, which may be empty."""
    return digest_field(hashlib.sha256(body).digest())


def digest_field(sha256: bytes) -> str:
    """The Content-Digest field for a SHA-256 already computed (uploads are hashed while they stream)."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


def sha256_of(field: str) -> bytes:
    """The SHA-256 in a Content-Digest field, which may have other members (RFC 9530, section 2: it is a
    dictionary).

    KeyError if it has none; ValueError if it is not such a field, or names an algorithm twice.
    """

    def twice(key: str, _: str) -> None:
        raise ValueError(f"{key} stands twice")

    members = cast(Any, http_sf.parse(field.encode(), tltype="dictionary", on_duplicate_key=twice))
    digest = members["sha-256"][0]
    if not isinstance(digest, bytes) or len(digest) != hashlib.sha256().digest_size:
        raise ValueError("a SHA-256 is a byte sequence of 32 bytes")
    return digest


def request_components(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The components that the signature of a request with these headers covers."""
    present = {name.lower() for name in headers}
    return (*REQUEST_COMPONENTS, *(name for name in REQUEST_FIELDS if name in present))


def sign_request(message: RequestMessage, body_digest: str, key_id: str, key: Ed25519PrivateKey) -> str:
    """Sign in place with a nonce of 128 random bits; return the `call_digest` of the request."""
    nonce = secrets.token_urlsafe(16)
    message.headers["Content-Digest"] = body_digest
    prepared = _SIGNER.prepare(
        message,
        key_id=key_id,
        created=datetime.now(UTC),
        nonce=nonce,
        label=LABEL,
        covered_component_ids=request_components(message.headers),
        use_existing_digest=True,
    )
    # ``apply`` would build the base again, to check whether the message changed while a remote signer worked.
    signature = key.sign(prepared.signature_base)
    message.headers |= _fields(prepared.signature_params, signature)
    return call_digest(prepared.signature_base, signature)


_ANY_TIME = timedelta(days=365 * 1_000)


def call_digest(signature_base: bytes, signature: bytes) -> str:
    """The digest that identifies a signed call: SHA-256 (hex) of its RFC 9421 signature base and its signature.

    The base contains method, target, digest of the body, time and nonce. The signature is included too, because
    there are keys under which one signature is valid for several bases.
    """
    return hashlib.sha256(signature_base + signature).hexdigest()


def verify_request(message: RequestMessage, key: Ed25519PublicKey) -> VerifyResult:
    """Verify the one signature of a request; raise InvalidSignature.

    The caller checks coverage, nonce, digest and age; this function checks the signature. The library would compare
    the age with the machine's clock, which may be wrong.
    """
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=_OneKey(key))
    verifier.max_clock_skew = _ANY_TIME
    [result] = verifier.verify(message, max_age=None, require_components=request_components(message.headers))
    return result


def sign_answer(message: AnswerMessage, key_id: str, key: Ed25519PrivateKey) -> None:
    """Sign an answer in place over its status, its covered fields and the request's signed parts.

    The signature base (RFC 9421, section 2.5) is built here: these few components are a line each, and every answer
    needs one. Clients verify it with the library.
    """
    headers = {name.lower(): value for name, value in message.headers.items()}
    asked = {name.lower(): value for name, value in message.request.headers.items()}
    lines = {'"@status"': str(message.status_code)}
    lines |= {f'"{name}"': headers[name] for name in ANSWER_FIELDS if name in headers}
    lines |= {'"@method";req': message.request.method, '"@target-uri";req': message.request.url}
    lines |= {f'"{name}";req': asked[name] for name in _ASKED_FIELDS if name in asked}
    created = int(datetime.now(UTC).timestamp())
    signed = f'({" ".join(lines)});created={created};keyid="{key_id}";alg="{ED25519.algorithm_id}"'
    base = "".join(f"{name}: {value.strip()}\n" for name, value in lines.items())
    message.headers |= _fields(signed, key.sign(f'{base}"@signature-params": {signed}'.encode()))


def _fields(signed: str, signature: bytes) -> dict[str, str]:
    """The two fields of the one signature of a message."""
    return {
        "Signature-Input": f"{LABEL}={signed}",
        "Signature": f"{LABEL}=:{base64.b64encode(signature).decode()}:",
    }


def verify_answer(
    message: AnswerMessage, key: Ed25519PublicKey, max_age: timedelta = timedelta(minutes=5)
) -> None:
    """Verify an answer against the request it answers; raise InvalidSignature.

    Every covered field that is present must be covered, so a receipt or digest that was added later is refused.
    """
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=_OneKey(key))
    verifier.verify(
        message,
        max_age=max_age,
        require_components=_answer_components(message.headers, message.request.headers),
    )


def _answer_components(headers: Mapping[str, str], request_headers: Mapping[str, str]) -> tuple[str, ...]:
    present = {name.lower() for name in headers}
    asked = {name.lower() for name in request_headers}
    bound = ['"@method";req', '"@target-uri";req']
    bound += [f'"{name}";req' for name in _ASKED_FIELDS if name in asked]
    return ("@status", *(name for name in ANSWER_FIELDS if name in present), *bound)


__all__ = [
    "AnswerMessage",
    "HTTPMessageSignaturesException",
    "InvalidSignature",
    "RequestMessage",
    "call_digest",
    "challenge",
    "content_digest",
    "digest_field",
    "request_components",
    "sha256_of",
    "sign_answer",
    "sign_request",
    "verify_answer",
    "verify_request",
]
