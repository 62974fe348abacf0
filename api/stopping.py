"""The end of a program that serves: SIGTERM and SIGINT let answers leave, everything is closed, and the process ends
with the signal that it got.

uvicorn raises a signal again as soon as it has stopped serving, and knows nothing of a signal that arrives before.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

LAST_REQUESTS_S = 0.5
"""How long a stopping server takes new requests, and again how long it answers those on open connections."""

QUIET_S = 0.1
"""Without a request for so long, it does not wait for one."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Ended(BaseException):
    """A signal arrived while the program was opening."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by `Ending`, from before the first request until everything is closed."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer for a moment longer, close the door, answer what has arrived, and then close what is idle.

        uvicorn closes idle connections at once. A request that is in the system's buffers then is lost, and its caller
        cannot know whether it was executed; a caller who has an answer cannot ask for the record of its release.
        """
        await self._until_quiet()
        for server in self.servers:
            server.close()
        await self._until_quiet(last=True)
        await super().shutdown(sockets)

    async def _until_quiet(self, *, last: bool = False) -> None:
        """Wait until no request is answered, but not longer than `LAST_REQUESTS_S`. With ``last``, a connection is
        closed after the answer it has begun."""
        began = quiet = time.monotonic()
        while (now := time.monotonic()) < began + LAST_REQUESTS_S and now < quiet + QUIET_S:
            busy = [one for one in list(self.server_state.connections) if _answers(one)]
            if self.force_exit or not self.server_state.connections:
                return
            if busy:
                quiet = now
            for connection in busy if last else ():
                connection.shutdown()
            await asyncio.sleep(0.02)


def _answers(connection: object) -> bool:
    """Whether the connection has a request that is not answered to its end."""
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and not cycle.response_complete


class Ending:
    """The first signal of a process and what it stops."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._server: _Server | None = None

    def server(self, config: uvicorn.Config) -> uvicorn.Server:
        """The server that signals stop from now on, also before it runs: then it answers nothing and returns."""
        self._server = _Server(config)
        return self._server

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The first signal stops the server, or the opening of what it serves. A second SIGINT does not wait for
        answers. While everything is being closed, no signal interrupts it."""
        first = self.signal is None
        self.signal = self.signal or number
        if self._server is not None:
            self._server.handle_exit(number, frame)
        elif first:
            raise _Ended


@contextmanager
def ended_in_order() -> Iterator[Ending]:
    """A signal closes everything inside, and then ends the process as it would have without this."""
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():  # No signal arrives here.
        yield ending
        return
    before = {number: signal.signal(number, ending.handle) for number in SIGNALS}
    try:
        yield ending
    except _Ended:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if ending.signal is not None:
        signal.raise_signal(ending.signal)
