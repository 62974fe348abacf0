"""The layer around every exchange: the address and body limits of the request, the gateway's signature of the
answer.

A small answer is buffered until it is complete, then digested (RFC 9530) and signed (RFC 9421) as a whole.
The signature of a stream (marked by ``Civic-Stream``) covers only its head, because its digest is not known
yet; the signed release record has the digest after the last byte was sent. Every answer 401 says how to sign.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.http.addresses import asked_of
from api.http.problems import Problem
from api.protocol.http_signatures import (
    AnswerMessage,
    RequestMessage,
    challenge,
    content_digest,
    sign_answer,
)
from languages.texts import in_both

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAM_HEADER = b"civic-stream"
_ASKED = "civic.asked"


def request_message(scope: Scope) -> RequestMessage:
    """The request as its caller signed it, as `SignedAnswers` found it."""
    message: RequestMessage = scope[_ASKED]
    return message


class BodyLimit:
    """Refuses a body over the limit: at once by its declared length, otherwise while it arrives."""

    def __init__(self, app: App, *, limit: int, upload_limit: int) -> None:
        self._app, self._limit, self._upload_limit = app, limit, upload_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._upload_limit if scope["method"] == "PUT" else self._limit
        problem = Problem("body.too-large", in_both("a body has at most {limit} bytes here", limit=limit))
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await send_problem(problem, send)
            return
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > limit:
                raise problem
            return message

        async def checked(message: Message) -> None:
            """The answer says that the body was too large, instead of the application's answer to the
            incomplete body."""
            if arrived <= limit:
                await send(message)
            elif message["type"] == "http.response.start":
                await send_problem(problem, send)

        await self._app(scope, counted, checked)


async def send_problem(problem: Problem, send: Send) -> None:
    """Answer with a problem outside of the application."""
    body = json.dumps(problem.document(), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class SignedAnswers:
    """Signs every answer with the gateway's key, and accepts only requests for this service's address."""

    def __init__(self, app: App, *, key: Ed25519PrivateKey, key_id: str, public_url: str) -> None:
        self._app, self._key, self._key_id, self._public_url = app, key, key_id, public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = asked_of(scope, self._public_url)
        scope[_ASKED] = asked.message
        start: Message | None = None
        body = bytearray()
        streaming = False

        async def signed(message: Message) -> None:
            nonlocal start, streaming
            if message["type"] == "http.response.start":
                start = message
                streaming = any(name.lower() == STREAM_HEADER for name, _ in message["headers"])
                if streaming:
                    await send(self._sign(scope, message, None))
                return
            if message["type"] != "http.response.body" or streaming:
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body") or start is None:
                return
            await send(self._sign(scope, start, bytes(body)))
            await send({"type": "http.response.body", "body": bytes(body), "more_body": False})

        if asked.refusal is not None:
            await send_problem(asked.refusal, signed)
            return
        await self._app(scope, receive, signed)

    def _sign(self, scope: Scope, start: Message, body: bytes | None) -> Message:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        if start["status"] == HTTPStatus.UNAUTHORIZED:
            headers |= challenge(request_message(scope).headers)
        if body is not None:
            headers["Content-Digest"] = content_digest(body)
        answer = AnswerMessage(start["status"], headers, request_message(scope))
        sign_answer(answer, self._key_id, self._key)
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return {"type": "http.response.start", "status": start["status"], "headers": raw}
