"""Checks every JSON body once, at the edge, before anything else parses it: the work that it causes a parser, and
whether every parser reads it in the same way.

It runs in threads, because the event loop serves all callers.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from api.http.envelope import App, Message, Receive, Scope, Send, send_problem
from api.http.problems import Problem
from languages.texts import in_both

VALUES_MOST = 50_000
"""The limit of values in a body, members counted once: the largest accepted act has some thousand."""
DEPTH_MOST = 64
"""The limit of nested objects and lists."""
DIGITS_MOST = 400
"""The limit of characters of a number: the contracts' have 78 digits, and the longest double in full has 309."""


class CheckedBodies:
    """Reads the body of each POST completely and passes on those that `must_read_alike`; at most two are checked at
    once."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._looking = CapacityLimiter(2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await _whole(receive)
            if body is None:
                return
            await run_sync(must_read_alike, body, limiter=self._looking)
        except Problem as refused:
            await send_problem(refused, send)
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


async def _whole(receive: Receive) -> bytes | None:
    """A body; None if its caller disconnected before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def must_read_alike(body: bytes) -> None:
    """Check a body: UTF-8 without a byte order mark, of bounded size and depth, no repeated member, every number
    finite and of bounded length, and every text encodable as UTF-8; Problem ``request.*`` otherwise. A body that is
    not JSON is left to the route.

    A text that cannot be encoded can be neither logged, hashed, nor compared with data. Paths, queries and
    headers contain no such text, because they are decoded from bytes. U+0000 is refused as well, because
    PostgreSQL cannot store it.
    """
    try:
        text = body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Problem("request.encoding", in_both("a body is UTF-8")) from None
    if text.startswith("\ufeff") or "\0" in text[:4]:
        raise Problem("request.encoding", in_both("a body is UTF-8, without a byte order mark"))
    _must_be_small(body)
    if _NUL.search(text):
        raise Problem("request.text", in_both("a text holds U+0000, which is kept in none"))
    try:
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_whole_number,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Problem(
            "request.text", in_both("a text holds half a surrogate pair, which is no character")
        ) from None
    except (ValueError, RecursionError):
        return


def _must_be_small(body: bytes) -> None:
    """Problem ``request.too-complex``: an error in each of a million values, or a thousand nested lists at each
    position, costs seconds. The structural characters outside of texts are counted before anything is parsed."""
    marks = _TEXT.sub(b"", body).translate(None, _OTHERS)
    if len(marks) - marks.count(b"]") - marks.count(b"}") > VALUES_MOST:
        raise Problem("request.too-complex", in_both("a body has at most {most} values", most=VALUES_MOST))
    depth = 0
    for mark in marks:
        depth += _STEP.get(mark, 0)
        if depth > DEPTH_MOST:
            raise Problem(
                "request.too-complex",
                in_both("a body is at most {most} objects and lists deep", most=DEPTH_MOST),
            )


_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[]{},"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""The escape of U+0000, the only way to write it in JSON: after an even number of backslashes."""


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise Problem("request.member-twice", in_both("an object of the body has a member twice"))
    return found


def _finite(text: str) -> float:
    if len(text) > DIGITS_MOST or not math.isfinite(value := float(text)):
        raise Problem("request.number", in_both("a number of the body is none, or too large"))
    return value


def _whole_number(text: str) -> int:
    if len(text) > DIGITS_MOST:
        raise Problem("request.number", in_both("a number of the body is too large"))
    return int(text)
