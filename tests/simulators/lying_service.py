"""A service of an operator that gives any answers, signed with the gateway's key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.protocol.http_signatures import AnswerMessage, RequestMessage, content_digest, sign_answer
from tests.simulators.local_server import LocalServer, QuietHandler

Answers = Callable[[str], bytes | Mapping[str, Any] | None]
"""The answer at a path: bytes, a JSON document, or None (the connection is closed)."""


class LyingService(LocalServer):
    """Answers every GET by ``answers``; ``asked`` are the paths, and ``public`` (hex) is its key."""

    def __init__(self, answers: Answers) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public = self._key.public_key().public_bytes_raw().hex()
        self.answers = answers
        self.asked: list[str] = []
        service = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                service.asked.append(self.path)
                found = service.answers(self.path)
                if found is None:
                    self.close_connection = True
                    return
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                out = {"content-type": "application/json", "content-digest": content_digest(body)}
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = RequestMessage("GET", service.url + self.path, headers)
                sign_answer(AnswerMessage(200, out, request), "gateway", service._key)
                self.send_response_only(200)
                for name, value in (out | {"content-length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self.serve(Handler)
