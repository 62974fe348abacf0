"""A faulty server on a raw socket: its fault is its ``mood``, one of `MOODS`."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from functools import cache
from types import TracebackType
from typing import Self

HEAD = b"HTTP/1.1 200 OK\r\n"
MOODS = {
    "drips its head": "time",
    "drips its body": "time",
    "drips chunks": "time",
    "never answers": "time",
    "says 100 for ever": "time",
    "answers endlessly": "bytes",
    "states too much and sends it": "bytes",
    "sends a bomb": "encoded",
    "sends a bomb unasked in chunks": "encoded",
    "redirects": "status",
    "redirects to itself for ever": "status",
    "states more than it sends": "broken",
    "closes": "broken",
    "closes in the head": "broken",
    "is no HTTP": "broken",
}
"""Each mood, and what a careful caller detects."""

PAUSE_S = 0.1


@cache
def _bomb() -> bytes:
    """256 MiB compressed to 1 MB, made without holding them in memory."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(b"0" * (1 << 20)) for _ in range(256)) + packer.flush()


class BadServer:
    """Serves on a free port until closed. ``sent`` counts bytes of bodies, ``asked`` connections with a request."""

    def __init__(self, mood: str) -> None:
        self.mood = mood
        self.sent = 0
        self.asked = 0
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(1 << 16)
                self.asked += 1
                self._misbehave(connection)
            except OSError:
                return

    def _misbehave(self, to: socket.socket) -> None:
        bomb = _bomb()
        encoded = HEAD + b"Content-Type: application/timestamp-reply\r\nContent-Encoding: gzip\r\n"
        match self.mood:
            case "drips its head":
                self._drip(to, HEAD + b"X-Slow: " + b"a" * 5000)
            case "drips its body":
                to.sendall(HEAD + b"Content-Length: 5000\r\n\r\n")
                self._drip(to, b"a" * 5000)
            case "drips chunks":
                to.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
                for _ in range(5000):
                    self._drip(to, b"1\r\na\r\n")
            case "never answers":
                self._closed.wait(60)
            case "says 100 for ever":
                while not self._closed.is_set():
                    to.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    time.sleep(PAUSE_S)
            case "answers endlessly":
                to.sendall(HEAD + b"Content-Type: application/timestamp-reply\r\n\r\n")
                self._pour(to, 1 << 40)
            case "states too much and sends it":
                to.sendall(
                    HEAD
                    + b"Content-Type: application/timestamp-reply\r\nContent-Length: %d\r\n\r\n" % (1 << 40)
                )
                self._pour(to, 1 << 40)
            case "sends a bomb":
                to.sendall(encoded + b"Content-Length: %d\r\n\r\n" % len(bomb) + bomb)
            case "sends a bomb unasked in chunks":
                chunk = b"%x\r\n" % len(bomb) + bomb + b"\r\n0\r\n\r\n"
                to.sendall(encoded.replace(b"gzip", b"GZip") + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
            case "sends a megabyte":  # A good answer.
                to.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (1 << 20) + b"0" * (1 << 20))
            case "redirects":
                to.sendall(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")
            case "redirects to itself for ever":
                to.sendall(
                    b"HTTP/1.1 302 X\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
            case "states more than it sends":
                to.sendall(
                    HEAD + b"Content-Type: application/timestamp-reply\r\nContent-Length: 500\r\n\r\n{}"
                )
            case "closes":
                return
            case "closes in the head":
                to.sendall(HEAD + b"Content-Le")
            case "is no HTTP":
                to.sendall(b"\x15\x03\x01\x00\x02\x02\x28 what do you want")

    def _drip(self, to: socket.socket, data: bytes) -> None:
        for byte in data:
            if self._closed.is_set():
                return
            to.sendall(bytes([byte]))
            time.sleep(PAUSE_S)

    def _pour(self, to: socket.socket, size: int) -> None:
        while self.sent < size and not self._closed.is_set():
            to.sendall(b"0" * (1 << 16))
            self.sent += 1 << 16
