"""One signed call over HTTP, and the checks of its answer.

A call is signed with the department's service key; calls without a key are public reads. The gateway signs every
answer over its status, digest and receipt and over the request. A body that does not match its digest, a signature
that does not verify, and an unsigned answer are refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from api.protocol.http_signatures import (
    AnswerMessage,
    HTTPMessageSignaturesException,
    InvalidSignature,
    RequestMessage,
    content_digest,
    digest_field,
    sign_request,
    verify_answer,
)
from api.protocol.names import SEEN_HEADER
from api.sdk.errors import AnswerRefused, CallMalformed, ServiceUnreachable
from ledger.outgoing import AnswerUnusable, Arriving, CallFailed, NotAsked, Outgoing, Request

USER_AGENT = "civicledger-sdk"


MOST_BYTES = 64 << 20
"""The limit of bytes of an answer in memory, except data."""

STREAM_S = 3600.0
"""The time limit for the data of one read, or of one upload, in seconds."""


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A department's key for calls: ``key_id`` is ``<department>:<public key, hex>``."""

    department: int
    private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        return self.private.public_key().public_bytes_raw().hex()

    @property
    def key_id(self) -> str:
        return f"{self.department}:{self.public}"


@dataclass(frozen=True, slots=True)
class Sent:
    """A call as it was sent: its key, its time (UTC), and, if it was signed, its digest
    (`api.protocol.http_signatures.call_digest`)."""

    key_id: str | None
    digest: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with verified signature and digest, and the call it answers. ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    sent: Sent

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; AnswerRefused if it is not one."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError) as malformed:
            raise AnswerRefused("the answer is not JSON") from malformed
        if not isinstance(document, dict):
            raise AnswerRefused("the answer is not a JSON object")
        return document


T = TypeVar("T")


def part(document: object, name: str, kind: type[T]) -> T:
    """A required member of an answer, of this type; AnswerRefused otherwise. The gateway's signature proves who
    gave an answer, not that it has the right form."""
    value = document.get(name) if isinstance(document, Mapping) else None
    if type(value) is not kind:
        raise AnswerRefused(f"the answer has no {name}, or another kind of it")
    return value


def items_of(document: object, name: str) -> list[dict[str, Any]]:
    """As `part`, for a list of objects."""
    found = part(document, name, list)
    if not all(isinstance(item, dict) for item in found):
        raise AnswerRefused(f"what the answer lists under {name} are no objects")
    return found


class Stream:
    """An answer that is still arriving: its head is verified, and its bytes are hashed as they are read."""

    def __init__(self, arriving: Arriving, headers: Mapping[str, str], sent: Sent) -> None:
        self._arriving = arriving
        self._hash = hashlib.sha256()
        self.status = arriving.status
        self.headers = headers
        self.sent = sent
        self.size = 0
        self.ended = False

    def chunks(self) -> Iterator[bytes]:
        """The body, chunk by chunk."""
        with _refused("the answer broke off"):
            for chunk in self._arriving.chunks():
                self._hash.update(chunk)
                self.size += len(chunk)
                yield chunk
        self.ended = True

    def read(self, most: int = MOST_BYTES) -> bytes:
        """The whole body, at most ``most`` bytes; if the answer carries a digest it must match."""
        with _refused("the answer broke off"):
            body = self._arriving.read(most)
        self._hash.update(body)
        self.size, self.ended = len(body), True
        promised = self.headers.get("content-digest")
        if promised is not None and promised != digest_field(self._hash.digest()):
            raise AnswerRefused("the body does not match the digest that was signed")
        return body

    def answer(self, most: int = MOST_BYTES) -> Answer:
        """The whole answer, at most ``most`` bytes."""
        return Answer(self.status, self.headers, self.read(most), self.sent)

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the bytes read so far."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A signed call that has not been sent."""

    request: Request
    message: RequestMessage
    sent: Sent


class Transport:
    """Signs calls and verifies answers. Thread-safe; keeps connections open.

    ``timeout_s`` limits a call and its whole answer. For a streaming body it limits the head and every piece
    (`ledger.outgoing.LEAST` bytes), and ``stream_s`` limits the whole. ``seen`` returns the newest head seen, which
    is sent with each call.
    """

    def __init__(
        self,
        url: str,
        gateway_key: Ed25519PublicKey | None,
        key: ServiceKey | None = None,
        *,
        timeout_s: float = 30.0,
        stream_s: float = STREAM_S,
        line: Outgoing | None = None,
        seen: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._seen = seen
        self.url = url.rstrip("/")
        self.key = key
        self._gateway_key = gateway_key
        self._timeout_s, self._stream_s = timeout_s, stream_s
        self._line = line or Outgoing(user_agent=USER_AGENT)

    def close(self) -> None:
        self._line.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
        within_s: float | None = None,
        most: int = MOST_BYTES,
    ) -> Answer:
        """Make a call and read its whole answer, at most ``most`` bytes, within ``whole_s`` seconds instead of
        ``timeout_s`` if it is given."""
        call = self.prepare(method, path, body=body, headers=headers, params=params)
        with self.exchange(call, whole_s=self._timeout_s if within_s is None else within_s) as stream:
            return stream.answer(most)

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Iterator[bytes] = b"",
        body_digest: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> Iterator[Stream]:
        """Make a call and return its answer as a stream; a streaming body needs its ``body_digest``."""
        call = self.prepare(method, path, body=body, body_digest=body_digest, headers=headers, params=params)
        with self.exchange(call) as stream:
            yield stream

    def prepare(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Iterator[bytes] = b"",
        body_digest: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> PreparedCall:
        """Sign a call without sending it."""
        try:
            request = self._line.prepare(method, self.url + path, params=params, body=body, headers=headers)
        except NotAsked as refused:
            raise CallMalformed(refused.message) from refused
        note = self._seen()
        if note is not None:
            request.headers[SEEN_HEADER] = base64.b64encode(note.encode()).decode()
        message = RequestMessage(method, str(request.url), dict(request.headers))
        digest = None
        if self.key is not None:
            if body_digest is None:
                if not isinstance(body, bytes):
                    raise ValueError("a body that streams needs its digest beforehand")
                body_digest = content_digest(body)
            try:
                digest = sign_request(message, body_digest, self.key.key_id, self.key.private)
            except HTTPMessageSignaturesException as refused:
                raise CallMalformed(f"this cannot be signed: {refused}") from refused
            for name in ("Content-Digest", "Signature-Input", "Signature"):
                request.headers[name] = message.headers[name]
        sent = Sent(self.key.key_id if self.key else None, digest, datetime.now(UTC))
        return PreparedCall(request, message, sent)

    @contextmanager
    def exchange(self, call: PreparedCall, *, whole_s: float | None = None) -> Iterator[Stream]:
        """Send a prepared call. A second sending is a replay, which the service refuses."""
        whole = self._stream_s if whole_s is None else whole_s
        with ExitStack() as stack:
            with _refused(f"no answer from {self.url}"):
                arriving = stack.enter_context(
                    self._line.open(call.request, within_s=self._timeout_s, whole_s=whole)
                )
            yield Stream(arriving, self._verified(arriving, call.message), call.sent)

    def _verified(self, arriving: Arriving, message: RequestMessage) -> dict[str, str]:
        headers = arriving.headers
        if self._gateway_key is None:
            return headers
        answer = AnswerMessage(arriving.status, dict(headers), message)
        try:
            verify_answer(answer, self._gateway_key, timedelta(minutes=5))
        except InvalidSignature as refused:
            raise AnswerRefused(f"the answer's signature does not hold: {refused}") from refused
        return headers


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """A failed call as an error of the SDK."""
    try:
        yield
    except AnswerUnusable as bad:
        raise AnswerRefused(f"{what}: {bad.message}") from bad
    except CallFailed as broken:
        raise ServiceUnreachable(f"{what}: {broken.message}") from broken
