"""A lying gateway: it is a proxy in front of the real one, has its key, and signs the answers that it
changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.demo.participants import PASSPHRASE
from api.protocol.http_signatures import AnswerMessage, RequestMessage, content_digest, sign_answer
from api.protocol.keystore import open_ed25519
from tests.simulators.local_server import LocalServer, QuietHandler

_HOP = {"content-length", "transfer-encoding", "connection", "date", "server", "signature", "signature-input"}


@dataclass(frozen=True, slots=True)
class Given:
    """An answer in transit, with its request."""

    method: str
    path: str
    asked: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def of(self, document: Mapping[str, Any]) -> Given:
        """The same answer with another JSON body."""
        return replace(self, body=json.dumps(document).encode())

    def under(self, **headers: str | None) -> Given:
        """The same answer with headers changed or (None) dropped; ``civic_receipt`` is ``civic-receipt``."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name not in changed}
        return replace(self, headers=kept | {name: value for name, value in changed.items() if value})


Twist = Callable[[Given], Given]


class EvilGateway(LocalServer):
    """An HTTP proxy whose ``twist`` changes answers before they are signed; ``instead`` answers without forwarding.

    An unchanged answer is forwarded with its signature. ``given`` are the answers of the real service.
    """

    def __init__(self, home: Path, upstream: str) -> None:
        key: Ed25519PrivateKey = open_ed25519(home / "keys" / "gateway.json", PASSPHRASE)
        self.twist: Twist = lambda given: given
        self.instead: Callable[[str, str, bytes], Given | None] = lambda method, path, asked: None
        self.given: list[Given] = []
        evil = self

        class Handler(QuietHandler):
            def handle_any(self) -> None:
                asked = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                path = self.path.removeprefix(upstream)
                answer = evil.instead(self.command, path, asked)
                raw: dict[str, str] = {}
                if answer is None:
                    sent = {name: value for name, value in headers.items() if name != "connection"}
                    real = httpx.request(
                        self.command,
                        upstream + path,
                        content=asked,
                        headers=sent | {"accept-encoding": "identity"},
                        timeout=30,
                        trust_env=False,
                    )
                    raw = {name.lower(): value for name, value in real.headers.items()}
                    kept = {name: value for name, value in raw.items() if name not in _HOP}
                    answer = Given(self.command, path, asked, real.status_code, kept, real.content)
                    evil.given.append(answer)
                    twisted = evil.twist(answer)
                    signatures = {n: raw[n] for n in ("signature", "signature-input")}
                    raw = signatures if twisted == answer else {}
                    answer = twisted
                out = dict(answer.headers)
                if not raw:
                    if "content-digest" in out or "civic-stream" not in out:
                        out["content-digest"] = content_digest(answer.body)
                    request = RequestMessage(self.command, upstream + path, headers)
                    message = AnswerMessage(answer.status, out, request)
                    sign_answer(message, "gateway", key)
                self.send_response_only(answer.status)
                for name, value in (out | raw).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = handle_any

        self.serve(Handler)

    def posted(self) -> list[Given]:
        """The answers of the real service to POST calls."""
        return [given for given in self.given if given.method == "POST"]

    def honest(self) -> None:
        """Stop lying and delete the recorded answers."""
        self.twist = lambda given: given
        self.instead = lambda method, path, asked: None
        self.given.clear()
