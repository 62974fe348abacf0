"""Codes of a request before its content is known: its signature, its form, its size, its caller."""

from __future__ import annotations

from collections.abc import Mapping

from api.advice.advice import Advice as _A

EDGE: Mapping[str, _A] = {
    # the caller
    "signature": _A(
        401,
        "The call's signature is not acceptable",
        "sign anew: exactly one Ed25519 signature over @method, @target-uri, content-digest and, when present, accept and idempotency-key, with created, nonce, keyid",
    ),
    "signature.unknown-key": _A(
        401, "The key is not registered", "ask your department's ADMIN officer to register the key"
    ),
    "digest": _A(400, "The body does not match its Content-Digest", "send the body you signed"),
    **{
        code: _A(
            400,
            "Content-Digest does not name the SHA-256 of the body",
            "send Content-Digest: sha-256=:BASE64: (RFC 9530), also for an empty body",
        )
        for code in ("digest.missing", "digest.algorithm", "digest.malformed")
    },
    "request.too-slow": _A(408, "The request did not arrive in time", "send the whole request at once"),
    "request.head-too-large": _A(
        431, "The head of the request is too large", "send fewer or shorter headers"
    ),
    "caller": _A(403, "The caller may not do this", "use a key with the role this call needs"),
    "idempotency": _A(
        409, "The idempotency key belongs to another request", "use a new Idempotency-Key for a new request"
    ),
    "idempotency.expired": _A(
        409,
        "The idempotency key is no longer in force",
        "use a new Idempotency-Key: it is a new call and a new charge",
    ),
    "idempotency.changed": _A(
        409,
        "The data, the grant or the plan changed since the first call with this key",
        "use a new Idempotency-Key: it is a new call and a new charge",
    ),
    # the content
    "request": _A(400, "The request is malformed", "correct the member the pointer names"),
    "request.too-complex": _A(
        400,
        "The body has too many values, or is too deep",
        "divide it into several requests, or write it with fewer lists and objects",
    ),
    "request.status": _A(
        400,
        "The status is not one a grant can have",
        "use one of the words in `matches`, or one of them after `ancestor-`",
    ),
    "request.misdirected": _A(
        421,
        "The request names another address than this service's",
        "call the service at its own address; an operator sets it with CIVIC_PUBLIC_URL",
    ),
    "request.host": _A(
        400,
        "The request does not say which host it is for",
        "send one Host header with the service's host and port",
    ),
    "request.header-twice": _A(400, "A header that may appear once is repeated", "send the header once"),
    "request.target": _A(
        400,
        "The request target is malformed",
        "write a path of visible ASCII characters; encode all others with per cent",
    ),
    "id": _A(400, "The identifier is malformed", "see the form in the detail"),
    "cursor": _A(400, "The cursor is not valid", "start again without a cursor"),
    "caller.not-auditor": _A(
        403,
        "The call needs an auditor's key",
        "sign with a key that has the role AUDITOR; the explanation says whether it must be city-wide",
    ),
    "caller.not-reader": _A(403, "The call needs a reader's key", "sign with a key that has the role READER"),
    "body.too-large": _A(413, "The body is too large", "send less, or ask the operator for a higher limit"),
    "signature.components": _A(
        401,
        "The signature does not cover what a call must cover",
        "cover @method, @target-uri and content-digest, and accept and idempotency-key where they are sent",
    ),
    "signature.created-missing": _A(
        401, "The signature does not say when it was made", "add the created parameter"
    ),
    "signature.future": _A(
        401, "The signature was made in the future", "set the clock of the calling machine"
    ),
    "signature.invalid": _A(
        401, "The signature does not hold", "sign the exact bytes that are sent, with the registered key"
    ),
    "signature.malformed": _A(
        401,
        "The signature's headers are malformed",
        "write Signature and Signature-Input as RFC 9421 has them",
    ),
    "signature.missing": _A(
        401, "The call is not signed", "sign it with a READER or AUDITOR key of your department"
    ),
    "signature.multiple": _A(401, "The call has more than one signature", "sign each call once"),
    "signature.nonce-missing": _A(
        401, "The signature has no nonce", "add a nonce of 16 to 128 characters, new for each call"
    ),
    "signature.stale": _A(
        401, "The signature is too old", "sign the call again now; set the clock of the calling machine"
    ),
    "caller.not-grantee": _A(
        403, "The signer holds no office of the grantee", "have an officer in office of the grantee sign"
    ),
    "caller.not-holder": _A(
        403, "Only the holder of the dataset may do this", "have the holder's department do it"
    ),
    "caller.not-party": _A(403, "This is between other departments", "ask one of the parties"),
    "request.action": _A(
        400,
        "The action is not one of the profile",
        "name an action of the profile: docs/policy.md lists them",
    ),
    "request.encoding": _A(
        400, "The body is not UTF-8, or begins with a mark", "send UTF-8 without a byte order mark"
    ),
    "request.format": _A(
        400, "The service does not give this format", "ask for CSV, JSON, NDJSON, Arrow or Parquet"
    ),
    "request.member-twice": _A(
        400, "A member stands twice in an object of the body", "send every member once"
    ),
    "request.number": _A(
        400,
        "A number of the body is none, or too large",
        "send whole numbers below 2^53 as numbers, others as text",
    ),
    "request.purpose": _A(400, "The purpose is not in the vocabulary", "see the list: civic purposes list"),
    "request.size": _A(400, "The body is too long", "send less at once"),
    "request.text": _A(
        400, "A text of the body holds a character that is none", "leave out U+0000 and half surrogate pairs"
    ),
    "request.time": _A(
        400,
        "A time is malformed, or has no zone",
        "write times with their zone, such as 2026-01-31T08:00:00Z",
    ),
    "digest.mismatch": _A(
        400,
        "The body does not match its Content-Digest",
        "compute the digest of the exact bytes that are sent",
    ),
}
