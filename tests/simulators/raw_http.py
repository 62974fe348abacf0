"""Calls written byte by byte and signed by hand, as an external client with RFC 9421 and a socket would make
them."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from api.sdk.transport import ServiceKey

Lines = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """An unverified answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The problem's code; empty if the call was answered."""
        return str(json.loads(self.body).get("code", "")) if self.status >= 400 else ""


def send(url: str, *request: bytes, wait: float = 0.0) -> Reply:
    """Write these bytes to a service, with a pause between the parts, and read one answer."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=30) as line:
        for place, part in enumerate(request):
            time.sleep(wait if place else 0.0)
            line.sendall(part)
        arrived = b""
        while b"\r\n\r\n" not in arrived:
            part = line.recv(65_536)
            assert part, arrived
            arrived += part
        head, _, body = arrived.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest)}
        size = int(headers.get("content-length", "0"))
        while len(body) < size:
            body += line.recv(65_536)
    return Reply(int(first.split()[1]), headers, body)


def digest_of(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@dataclass
class Call:
    """A signed call, of which a test may change each part.

    ``covers`` are the identifiers of the components in Signature-Input; ``values`` replaces the value that
    the signer used for a component.
    """

    key: ServiceKey
    base: str
    target: str = "/v1/read"
    method: str = "POST"
    body: bytes = b""
    headers: Lines = ()
    host: tuple[str, ...] | None = None
    written: str = ""
    version: str = "1.1"
    digest: tuple[str, ...] | None = None
    covers: Sequence[str] = ('"@method"', '"@target-uri"', '"content-digest"')
    values: dict[str, str] = field(default_factory=dict)
    parameters: str = ""
    key_id: str = ""
    created: int | None = None

    def lines(self) -> list[tuple[str, str]]:
        """Its header lines, signature included."""
        digests = (digest_of(self.body),) if self.digest is None else self.digest
        lines = [*self.headers, *(("Content-Digest", text) for text in digests)]
        known = {
            '"@method"': self.method,
            '"@target-uri"': self.base + self.target,
            '"@authority"': urlsplit(self.base).netloc,
        }
        for name in {name.lower() for name, _ in lines}:
            known[f'"{name}"'] = ", ".join(value for each, value in lines if each.lower() == name)
        known |= self.values
        created = int(time.time()) if self.created is None else self.created
        said = (
            f'({" ".join(self.covers)});created={created};nonce="{secrets.token_urlsafe(16)}"'
            f';keyid="{self.key_id or self.key.key_id}"{self.parameters}'
        )
        base = "\n".join(
            [*(f"{name}: {known[name]}" for name in self.covers), f'"@signature-params": {said}']
        )
        made = base64.b64encode(self.key.private.sign(base.encode())).decode()
        return [*lines, ("Signature-Input", f"civic={said}"), ("Signature", f"civic=:{made}:")]

    def bytes(self) -> bytes:
        """The bytes of the request."""
        hosts = (urlsplit(self.base).netloc,) if self.host is None else self.host
        lines = [*(("Host", host) for host in hosts), *self.lines(), ("Content-Length", str(len(self.body)))]
        first = f"{self.method} {self.written or self.target} HTTP/{self.version}"
        text = "\r\n".join([first, *(f"{name}: {value}" for name, value in lines), "", ""])
        return text.encode("latin-1") + self.body

    def send(self, url: str) -> Reply:
        return send(url, self.bytes())


def read_body(**changes: Any) -> bytes:
    document = {"asset": "6.1", "purpose": "dpv:PublicPolicyMaking", "query": {"limit": 1}, "dry_run": True}
    return json.dumps(document | changes).encode()
