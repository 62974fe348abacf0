"""The HTTP client for all outgoing calls, with a deadline and a size limit for each of them.

A call has one deadline from the connection to the last byte, so a server cannot prolong it by sending single bytes. The size
of a body is limited. Redirects are not followed. Content encodings are neither requested nor accepted, so the counted bytes
are those received. Proxies of the environment are not used; SSL_CERT_FILE and SSL_CERT_DIR are. The system's name lookup
cannot be interrupted, but the caller returns at the deadline.

`Outgoing.ask` holds the whole answer in memory. `Outgoing.open` streams it, with a deadline for each piece (at least `LEAST`
bytes in ``within_s``) and one for the whole answer.
"""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

import httpcore
import httpx

from ledger.errors import LedgerError

Request = httpx.Request
"""A prepared request."""

LEAST = 1024
"""The least bytes of a stream that must be received or sent in each period of ``within_s``."""

_CONNECTIONS, _KEPT_S = 100, 30.0


class CallFailed(LedgerError):
    """There is no usable answer."""

    code = "outgoing.failed"


class NotAsked(CallFailed):
    """The values do not form a valid request."""


class Disconnected(CallFailed):
    """There was no connection, or it was interrupted."""


class TooSlow(CallFailed):
    """The answer was not complete at the deadline."""


class AnswerUnusable(CallFailed):
    """The answer is too long, or has a content encoding."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A complete answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Arriving:
    """An answer whose headers were received and whose body is streamed."""

    def __init__(self, response: httpcore.Response, clock: _Clock) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in httpx.Headers(response.headers).items()}
        self._stream: Iterable[bytes] = response.iter_stream()
        self._clock = clock
        if self.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            raise AnswerUnusable("the answer is encoded, which nobody asked for")

    def chunks(self) -> Iterator[bytes]:
        """The pieces of the body. The time that the caller needs for a piece counts for the whole deadline only."""
        with _failures():
            for part in self._stream:
                self._clock.moved(len(part))
                given = time.monotonic()
                yield part
                self._clock.wait(time.monotonic() - given)

    def read(self, most: int) -> bytes:
        """The whole body of at most ``most`` bytes; raises `AnswerUnusable`."""
        stated = self.headers.get("content-length", "")
        if stated.isascii() and stated.isdigit() and int(stated[:20]) > most:
            raise AnswerUnusable(f"the answer is longer than {most} bytes")
        body = bytearray()
        for part in self.chunks():
            body += part
            if len(body) > most:
                raise AnswerUnusable(f"the answer is longer than {most} bytes")
        return bytes(body)


class Outgoing:
    """A client that reuses connections. Thread-safe. ``proxy`` is the URL of an HTTP proxy."""

    def __init__(self, *, proxy: str | None = None, user_agent: str = "civicledger") -> None:
        self._user_agent = user_agent
        self._pool = httpcore.ConnectionPool(
            ssl_context=_certificates(),
            proxy=None if proxy is None else httpcore.Proxy(proxy),
            max_connections=_CONNECTIONS,
            keepalive_expiry=_KEPT_S,
            network_backend=_Network(),
        )

    def __enter__(self) -> Outgoing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._pool.close()

    def prepare(
        self,
        method: str,
        url: str,
        *,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> Request:
        """Prepare a request; raises `NotAsked`."""
        merged = httpx.Headers(
            {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": self._user_agent}
        )
        merged.update(headers)
        try:
            request = Request(method, url, params=params, content=body, headers=merged)
            if request.url.scheme not in ("http", "https") or not request.url.host:
                raise NotAsked(f"{url[:200]!r} is not an http(s) URL")
            if request.url.userinfo and "authorization" not in request.headers:
                secret = base64.b64encode(unquote(request.url.userinfo.decode()).encode()).decode()
                request.headers["Authorization"] = f"Basic {secret}"
        except (httpx.InvalidURL, UnicodeError) as refused:
            raise NotAsked(f"this cannot be asked: {refused}") from refused
        return request

    def ask(self, request: Request, *, within_s: float, most: int) -> Answered:
        """Send a request and return the whole answer: within ``within_s`` seconds, and with at most ``most`` bytes of body.
        Raises `CallFailed`."""
        with self.open(request, within_s=within_s, whole_s=within_s) as arriving:
            return Answered(arriving.status, arriving.headers, arriving.read(most))

    @contextmanager
    def open(self, request: Request, *, within_s: float, whole_s: float) -> Iterator[Arriving]:
        """Send a request and stream its answer. Raises `CallFailed`, also while the answer is read.

        The headers, and each `LEAST` bytes of both bodies, have a deadline of ``within_s`` seconds, and the whole call one
        of ``whole_s`` seconds.
        """
        clock = _Clock(within_s, whole_s)
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise NotAsked("the body cannot be sent")
        with _failures():
            response = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), clock)},
                )
            )
        try:
            yield Arriving(response, clock)
        finally:
            response.close()


class _Clock(float):
    """A deadline in the form of a timeout: httpcore passes it unchanged to the socket, which reads the remaining time."""

    def __new__(cls, within_s: float, whole_s: float) -> _Clock:
        return super().__new__(cls, min(within_s, whole_s))

    def __init__(self, within_s: float, whole_s: float) -> None:
        now = time.monotonic()
        self._within_s = within_s
        self._piece_ends, self._ends = now + within_s, now + whole_s
        self._bytes = 0

    def left(self) -> float:
        """The seconds until the deadline; raises TimeoutError after it."""
        left = min(self._piece_ends, self._ends) - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline is over")
        return left

    def moved(self, count: int) -> None:
        """Count bytes of a body that were sent or received; after `LEAST` bytes the deadline of the piece starts again."""
        self._bytes += count
        if self._bytes >= LEAST:
            self._bytes = 0
            self._piece_ends = time.monotonic() + self._within_s

    def wait(self, seconds: float) -> None:
        """Extend the deadline of a piece by the time that the caller, not the peer, used."""
        self._piece_ends += seconds


class _Socket(httpcore.NetworkStream):
    """A socket that uses the remaining time of the deadline for each operation."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._sock.settimeout(_left(timeout))
            return self._sock.recv(max_bytes)
        except TimeoutError as late:
            raise httpcore.ReadTimeout(str(late)) from late
        except OSError as broken:
            raise httpcore.ReadError(str(broken)) from broken

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        try:
            while rest:
                self._sock.settimeout(_left(timeout))
                sent = self._sock.send(rest)
                if isinstance(timeout, _Clock):
                    timeout.moved(sent)
                rest = rest[sent:]
        except TimeoutError as late:
            raise httpcore.WriteTimeout(str(late)) from late
        except OSError as broken:
            raise httpcore.WriteError(str(broken)) from broken

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            self._sock.settimeout(_left(timeout))
            return _Socket(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname))
        except TimeoutError as late:
            self.close()
            raise httpcore.ConnectTimeout(str(late)) from late
        except OSError as broken:
            self.close()
            raise httpcore.ConnectError(str(broken)) from broken

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            return bool(poll.poll(0))
        return None


_Addresses = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]


class _LookUps:
    """Name lookups on threads. Parallel lookups of the same name share one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], Future[_Addresses]] = {}

    def addresses(self, host: str, port: int, timeout: float | None) -> _Addresses:
        """The addresses of a host. Raises TimeoutError at the deadline, OSError or UnicodeError for an unknown host."""
        try:
            return _get_addresses(host, port, socket.AI_NUMERICHOST)
        except OSError:
            pass
        with self._lock:
            found = self._pending.get((host, port))
            if found is None:
                found = self._pending[host, port] = Future()
                threading.Thread(
                    target=self._look_up, args=(found, host, port), name="name-look-up", daemon=True
                ).start()
        return found.result(_left(timeout))

    def _look_up(self, found: Future[_Addresses], host: str, port: int) -> None:
        try:
            addresses = _get_addresses(host, port)
        except (OSError, UnicodeError) as unknown:
            found.set_exception(unknown)
        else:
            found.set_result(addresses)
        finally:
            with self._lock:
                del self._pending[host, port]


def _get_addresses(host: str, port: int, flags: int = 0) -> _Addresses:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


_LOOK_UPS = _LookUps()


class _Network(httpcore.NetworkBackend):
    """Connects to the first address of a host that answers; one deadline for all addresses."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        last: OSError | None = None
        try:
            for family, kind, number, _, address in _LOOK_UPS.addresses(host, port, timeout):
                sock = socket.socket(family, kind, number)
                try:
                    sock.settimeout(_left(timeout))
                    sock.connect(address)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return _Socket(sock)
                except OSError as refused:
                    sock.close()
                    last = refused
        except TimeoutError as late:
            raise httpcore.ConnectTimeout(str(late)) from late
        except (OSError, UnicodeError) as unknown:
            raise httpcore.ConnectError(str(unknown)) from unknown
        if isinstance(last, TimeoutError):
            raise httpcore.ConnectTimeout(str(last)) from last
        raise httpcore.ConnectError(str(last or "the host has no address")) from last


def _left(timeout: float | None) -> float | None:
    return timeout.left() if isinstance(timeout, _Clock) else timeout


@contextmanager
def _failures() -> Iterator[None]:
    """Raise httpcore's errors as `CallFailed`."""
    try:
        yield
    except httpcore.TimeoutException as late:
        raise TooSlow("the answer takes too long") from late
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as broken:
        raise Disconnected(f"{type(broken).__name__}: {str(broken)[:200]}") from broken
    except httpcore.UnsupportedProtocol as refused:
        raise NotAsked(str(refused)) from refused


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()
