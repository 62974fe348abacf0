"""Callers that send a valid call and then read the answer slowly or not at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from api.sdk.transport import ServiceKey
from tests.simulators.raw_http import Call


def connect(url: str, *, window: int | None = None, source: str | None = None) -> socket.socket:
    """A connection; ``window`` is its receive buffer, ``source`` the address it comes from."""
    parts = urlsplit(url)
    line = socket.socket()
    line.settimeout(30)
    if window is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    if source is not None:
        line.bind((source, 0))
    line.connect((parts.hostname, parts.port or 80))
    return line


def read_call(
    url: str, key: ServiceKey, asset: str, purpose: str, query: Mapping[str, Any], **more: str
) -> bytes:
    """A signed read, as bytes."""
    body = json.dumps({"asset": asset, "purpose": purpose, "query": query}).encode()
    headers = [("Content-Type", "application/json"), *more.items()]
    covers = ['"@method"', '"@target-uri"', '"content-digest"', *(f'"{name.lower()}"' for name in more)]
    return Call(key, url, body=body, headers=headers, covers=covers).bytes()


def head_of(line: socket.socket) -> tuple[int, dict[str, str]]:
    """Read the status and headers of an answer, and not a byte more."""
    arrived = b""
    while not arrived.endswith(b"\r\n\r\n"):
        part = line.recv(1)
        assert part, arrived
        arrived += part
    first, *rest = arrived.decode("latin-1").strip().split("\r\n")
    return int(first.split()[1]), {
        name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)
    }


class SlowReader:
    """Calls for data and reads only the head of the answer."""

    def __init__(
        self, url: str, key: ServiceKey, asset: str, purpose: str, query: Mapping[str, Any], **headers: str
    ) -> None:
        self.line = connect(url, window=4096)
        self.line.sendall(read_call(url, key, asset, purpose, query, **headers))
        self.status, self.headers = head_of(self.line)

    @property
    def release(self) -> str:
        return self.headers["civic-release"]

    def drip(self, size: int, pause: float, over: threading.Event) -> None:
        """Read this many bytes after each pause, until `over` is set or the answer has ended."""
        while not over.wait(pause):
            left = size
            try:
                while left > 0 and (part := self.line.recv(min(left, 1 << 16))):
                    left -= len(part)
            except OSError:
                return
            if left:
                return

    def close(self) -> None:
        self.line.close()
