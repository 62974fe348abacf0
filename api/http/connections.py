"""Limits of a connection before the caller is known: bytes, seconds, and the number of connections.

uvicorn's protocol reads heads of any size and waits for them without a limit. `GuardedProtocol` has deadlines
for head, body and answer; the `Door` counts connections and checks their deadlines. If there are too many,
the one that has kept the service waiting longest is closed, so that new callers are served during an attack.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.addresses import TARGET
from api.http.problems import Problem
from languages.texts import in_both

SWEEP_SECONDS = 0.5
LINGER_SECONDS = 5.0
"""How long the rest of a body is still read after its answer was sent, in seconds."""
BODY_RATE = 16 << 10
"""The minimum rate of a body after its first seconds, in bytes a second."""
SENT_LEAST = 16 << 10
"""The minimum that a reader must read within `Limits.send_s` seconds, in bytes."""

CHUNK_FRAMING = 8
"""The maximum of framing bytes for each byte of a chunked body."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits: connections in all and of one address (0: any number), bytes of a head, and seconds: for a head,
    for the first part of a body, and for a reader to read a part of an answer."""

    connections: int
    per_address: int
    head_bytes: int
    head_s: float
    body_s: float
    send_s: float


class Door:
    """The open connections. It belongs to the event loop's thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: set[GuardedProtocol] = set()
        self._of: Counter[str] = Counter()
        self._sweeping = False

    def enter(self, line: GuardedProtocol) -> bool:
        """Admit a new connection, if necessary in place of one that waits; False if it cannot be admitted."""
        own = self._of[line.address]
        if self.limits.per_address and own >= self.limits.per_address:
            if not self._make_room([one for one in self._open if one.address == line.address]):
                return False
        elif len(self._open) >= self.limits.connections and not self._make_room(list(self._open)):
            return False
        self._open.add(line)
        self._of[line.address] += 1
        if not self._sweeping:
            self._sweeping = True
            line.loop.call_later(SWEEP_SECONDS, self._sweep, line.loop)
        return True

    def leave(self, line: GuardedProtocol) -> None:
        """Forget a connection that has ended."""
        if line in self._open:
            self._open.remove(line)
            self._of[line.address] -= 1
            if self._of[line.address] <= 0:
                del self._of[line.address]

    def _make_room(self, lines: list[GuardedProtocol]) -> bool:
        """Close the most dispensable connection: of the address with most of them, never served, silent longest."""
        waiting = [line for line in lines if not line.answering]
        if not waiting:
            return False
        spared = min(waiting, key=lambda line: (-self._of[line.address], line.served > 0, line.moved))
        self.leave(spared)
        spared.transport.abort()
        return True

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for line in tuple(self._open):
            line.look(now)
        self._sweeping = bool(self._open)
        if self._sweeping:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits. It also keeps the request target as it arrived, because the signatures cover
    that.

    The headers are those of the head. uvicorn appends the trailers of a chunked body to the same list, also
    after the signature was checked; they are ignored.
    """

    door: Door
    """The door that all connections of a server share (`guarded`)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.moved = self._since = self.loop.time()
        self.served = 0
        self._in_body = False
        self._begun = True  # A connection that sends nothing has the time of a head.
        self._arrived = self._delivered = 0
        self._refusal: Problem | None = None
        self._linger: float | None = None
        self._stuck: tuple[float, int] | None = None
        if not self.door.enter(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.leave(self)
        super().connection_lost(exc)

    @property
    def answering(self) -> bool:
        """Whether a request of this connection has arrived partly or completely and is being answered."""
        return self.cycle is not None and not self.cycle.response_complete and not self._in_body

    # -- incoming data

    def data_received(self, data: bytes) -> None:
        self.moved = self.loop.time()
        if not self._in_body and not self._begun:
            self._begin()
        self._arrived += len(data)
        super().data_received(data)
        most = self.door.limits.head_bytes
        if self._in_body:  # A chunk of one byte takes six; more than that is trailers and chunk extensions.
            most += CHUNK_FRAMING * self._delivered
            beside = self._arrived - self._delivered
        else:
            beside = self._arrived if self._begun else 0
        if beside > most:
            self._refuse(_too_large(self.door.limits))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._begun:
            self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._delivered += len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.door.limits.head_bytes:
            self._refusal = _too_large(self.door.limits)
            raise ValueError(
                "the head is too large"
            )  # The parser stops, and `send_400_response` gives the reason.
        scope = cast(dict[str, Any], self.scope)
        scope[TARGET] = bytes(self.url)
        scope["headers"] = list(self.headers)
        self._in_body, self._arrived, self._since = True, 0, self.loop.time()
        self._delivered = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = self._begun = False
        self._arrived = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.served += 1
        if self._in_body:
            self._linger = self.loop.time() + LINGER_SECONDS
        super().on_response_complete()

    def _begin(self) -> None:
        self._begun, self._arrived, self._since = True, 0, self.loop.time()

    # -- limits

    def look(self, now: float) -> None:
        """Close the connection if one of its time limits has passed."""
        if self._stalled(now) or (self._linger is not None and now > self._linger):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._in_body:
            if self.flow.read_paused:  # The service itself does not read more.
                self._since += SWEEP_SECONDS
            elif now - self._since > self.door.limits.body_s + self._arrived / BODY_RATE:
                self._refuse(Problem("request.too-slow", in_both("the body did not arrive in time")))
        elif self._begun and now - self._since > self.door.limits.head_s:
            self._refuse(
                Problem("request.too-slow", in_both("the head of the request did not arrive in time"))
            )

    def _stalled(self, now: float) -> bool:
        """Whether the reader reads (almost) nothing of its answer."""
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self._stuck = None
        elif self._stuck is None or waiting > self._stuck[1]:
            self._stuck = now, waiting
        elif now - self._stuck[0] > self.door.limits.send_s:
            if self._stuck[1] - waiting < SENT_LEAST:
                return True
            self._stuck = now, waiting
        return False

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or Problem("request.invalid", in_both("this is no HTTP request")))

    def _refuse(self, problem: Problem) -> None:
        """Send the reason, if no answer has begun, and close the connection."""
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        body = json.dumps(problem.document(), ensure_ascii=False).encode()
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def guarded(limits: Limits) -> type[GuardedProtocol]:
    """The protocol of one server, whose connections share one `Door`."""
    return type("GuardedProtocol", (GuardedProtocol,), {"door": Door(limits)})


def _too_large(limits: Limits) -> Problem:
    return Problem(
        "request.head-too-large",
        in_both("the head of a request has at most {head_bytes} bytes", head_bytes=limits.head_bytes),
    )
