"""An answer that is sent piece by piece, at the speed of its reader."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping
from functools import partial

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from access_policy.errors import PolicyError
from access_policy.privacy.execution.pace import Pace
from api.http.problems import Problem
from api.http.turns import Turns
from ledger.errors import LedgerError

PIECE = 64 << 10
"""The bytes given to the connection at a time: the next piece follows when the reader has read the previous ones."""

_log = logging.getLogger(__name__)


class LeavingAnswer(Response):
    """Sends ``chunks``, which have begun, and always runs them to their end, even if the reader disconnects; then
    ``over``.

    ``pace`` records how fast the reader reads, and ends the answer if another caller needs its place; an
    answer without a pace is never ended for another. An answer that breaks off is one line in the operator's
    log; the reader receives an incomplete answer.
    """

    def __init__(
        self,
        chunks: Generator[bytes],
        first: bytes,
        turns: Turns,
        over: Callable[[], None],
        *,
        media_type: str,
        headers: Mapping[str, str],
        pace: Pace | None = None,
    ) -> None:
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.init_headers(headers)
        self._chunks, self._first, self._turns, self._over = chunks, first, turns, over
        self._pace, self._broken = pace or Pace(), False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with anyio.create_task_group() as tasks:
                stop = partial(loop.call_soon_threadsafe, tasks.cancel_scope.cancel)
                self._pace.when_ended(stop)
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                await self._send(send)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await self._turns.run(self._end)
                except (Problem, PolicyError, LedgerError) as failed:
                    _log.error("the end of an answer could not be recorded: %s", failed)
                finally:
                    self._over()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        chunk: bytes | None = self._first
        while chunk is not None:
            for start in range(0, len(chunk), PIECE):
                piece = chunk[start : start + PIECE]
                self._pace.waits()
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self._pace.took(len(piece))
            try:
                chunk = await self._turns.run(next, self._chunks, None)
            except (Problem, PolicyError, LedgerError) as broken:
                self._broke_off(broken)
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _end(self) -> None:
        """Run the chunks to their end, with its reason if there is one."""
        why = self._pace.ended
        if why is None or self._broken:
            self._chunks.close()
            return
        try:
            self._chunks.throw(why)
        except StopIteration:
            return
        except PolicyError as broken:
            if broken is not why:
                raise
            self._broke_off(broken)

    def _broke_off(self, broken: Exception) -> None:
        self._broken = True
        _log.warning("an answer broke off: %s", getattr(broken, "code", broken))


async def _until_gone(receive: Receive, answering: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    answering.cancel()
