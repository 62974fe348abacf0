"""The embedded chain over HTTP, for ``civic chain serve``.

It is for tools on the same machine or behind a gateway of the city; there is no authentication, as with other nodes. Web
pages in a browser cannot call it: only ``application/json`` is accepted, and only under host names of this machine.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from ledger.chain.embedded.chain import EmbeddedChain
from ledger.chain.embedded.jsonrpc import PARSE, JsonRpc
from ledger.chain.errors import ChainFault

MAX_BODY = 1 << 20
"""The most bytes of a request: four of the largest transactions."""

MAX_CONNECTIONS = 64
READING_SECONDS = 30.0
"""The time limit from the end of an answer, or the start of a connection, to the end of the next request; also for sending
one piece of an answer."""

_LOG = logging.getLogger(__name__)


class Server:
    """A listening server at ``url``. Call ``close`` before closing the chain."""

    def __init__(self, listener: _Listener) -> None:
        host, port = listener.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        self.url = f"http://{shown}:{port}"
        self._listener = listener
        self._thread = threading.Thread(
            target=listener.serve_forever, args=(0.1,), name="civic-chain-rpc", daemon=True
        )
        self._thread.start()

    @property
    def methods(self) -> frozenset[str]:
        """The names of the available methods."""
        return self._listener.rpc.methods

    def close(self) -> None:
        """Stop listening; running requests are still answered."""
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.hang_up()
        self._thread.join()

    def wait(self) -> None:
        """Wait until the server is closed by another thread or a signal."""
        self._thread.join()


def serve_chain(
    chain: EmbeddedChain, host: str = "127.0.0.1", port: int = 8545, *, names: Collection[str] = ()
) -> Server:
    """Serve ``chain``; port 0 takes any free one. ``names``: host names by which clients may call it, beside
    localhost and IP addresses."""
    try:
        return Server(_Listener((host, port), chain, names))
    except OSError as error:
        raise ChainFault(f"cannot listen on {host}:{port}: {error}", hint="choose another port") from error


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], chain: EmbeddedChain, names: Collection[str]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.rpc = JsonRpc(chain)
        self.names = frozenset(names) | {"localhost"}
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: dict[socket.socket, float] = {}
        """For each connection the time since when a request is awaited; infinity while a request is answered."""
        self.ended = False
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False) and not self._make_room():
            self.shutdown_request(request)
            return
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.pop(request, None)
            self._free.release()

    def service_actions(self) -> None:
        """Close connections on which a request is awaited for too long."""
        now = time.monotonic()
        for connection, since in tuple(self._open.items()):
            if now - since > READING_SECONDS:
                _end(connection)

    def reads(self, connection: socket.socket, *, answering: bool = False) -> None:
        """Record that a request is awaited from now on, or with ``answering`` that it is answered."""
        if connection in self._open:
            self._open[connection] = math.inf if answering else time.monotonic()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest and wait until it is free; False when all are being answered."""
        longest = min(self._open.items(), key=lambda one: one[1], default=None)
        if longest is None or longest[1] == math.inf:
            return False
        _end(longest[0])
        return self._free.acquire(timeout=1.0)

    def hang_up(self) -> None:
        """Stop reading from open connections; running requests are still answered. After ``SHUT_RD`` alone, new data could
        still be read."""
        self.ended = True
        for connection, since in tuple(self._open.items()):
            if since == math.inf:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
            else:
                _end(connection)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "civicledger"
    sys_version = ""
    timeout = READING_SECONDS
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            self.close_connection = True
            self._reply(refusal[0], {"error": refusal[1]})
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.ended:
            self.close_connection = True
            return
        self.server.reads(self.connection, answering=True)
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            answer: Any = {
                "jsonrpc": "2.0",
                "id": None,
                "error": {"code": PARSE, "message": "the body is not JSON"},
            }
        else:
            answer = self.server.rpc.answer(message)
        self._reply(200, answer)
        self.close_connection = self.close_connection or self.server.ended
        self.server.reads(self.connection)

    def _refusal(self) -> tuple[int, str] | None:
        """Status and reason when this request is refused before reading its body; None otherwise."""
        if self.path != "/":
            return 404, "requests go to /"
        if not self._is_called_by_name():
            return 403, "use an IP address, localhost or a name the server was given"
        if self.headers.get_content_type() != "application/json":
            return 415, "Content-Type must be application/json"
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return 411, "Content-Length is required"
        if int(length) > MAX_BODY:
            return 413, f"at most {MAX_BODY} bytes"
        return None

    def _is_called_by_name(self) -> bool:
        """Whether the Host header is an accepted name; otherwise a web page could use DNS rebinding."""
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if name in self.server.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _reply(self, status: int, answer: Any) -> None:
        body = b"" if answer is None else json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(204 if answer is None else status)
        if answer is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        _LOG.debug("%s %s", self.address_string(), format % args)
