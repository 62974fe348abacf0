"""An answer that leaves piece by piece, at the pace of its reader."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from access_policy.errors import PolicyError
from api.problems import Problem
from api.turns import Turns
from ledger.errors import LedgerError

_log = logging.getLogger(__name__)


class LeavingAnswer(Response):
    """Sends ``chunks``, which have begun, and brings them to their end whatever becomes of the reader; then ``over``.

    What breaks off is one line in the operator's log; the reader sees an answer without its end.
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
    ) -> None:
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.init_headers(headers)
        self._chunks, self._first, self._turns, self._over = chunks, first, turns, over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                await self._send(send)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await self._turns.run(self._chunks.close)
                except (Problem, PolicyError, LedgerError) as failed:
                    _log.error("the end of an answer could not be recorded: %s", failed)
                finally:
                    self._over()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        chunk: bytes | None = self._first
        while chunk is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            try:
                chunk = await self._turns.run(next, self._chunks, None)
            except (Problem, PolicyError, LedgerError) as broken:
                _log.warning("an answer broke off: %s", getattr(broken, "code", broken))
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive, answering: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    answering.cancel()
