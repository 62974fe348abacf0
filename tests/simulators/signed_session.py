"""Signs each request of `requests` before it is sent, as a department's machine does: its final bytes and
address."""

from __future__ import annotations

from requests import PreparedRequest
from requests.auth import AuthBase

from api.protocol.http_signatures import RequestMessage, content_digest, sign_request
from api.sdk.transport import ServiceKey

SIGNED = ("Content-Digest", "Signature-Input", "Signature")


class SignedBy(AuthBase):
    """RFC 9421 with a service key; without one a call is not signed."""

    def __init__(self, key: ServiceKey | None) -> None:
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._key is None:
            return request
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        assert request.method is not None
        assert request.url is not None
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        for name in SIGNED:
            headers.pop(name.lower(), None)
        message = RequestMessage(request.method, request.url, headers)
        sign_request(message, content_digest(body), self._key.key_id, self._key.private)
        for name in SIGNED:
            request.headers[name] = message.headers[name]
        return request


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
