"""One record of each request and its answer, for the access log and the figures; and the request's id.

A record has the template of the route (``/v1/grants/{grant_id}``), never the path, the query or a header: no value that a
caller sent, except a well-formed id of the request.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.http.envelope import App, Message, Receive, Scope, Send

REQUEST_ID_HEADER = "X-Request-Id"
WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", re.ASCII)
"""A request's id from its caller or a proxy: 8 to 64 characters. Another one is replaced."""

NO_ROUTE = "-"
"""The route of a request for which there is none."""
OTHER_METHOD = "-"
ABORTED = "aborted"
"""The code of an answer that was not sent to its end."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_NAME = REQUEST_ID_HEADER.lower().encode()

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that this task or thread works for; empty outside of requests."""

_log = logging.getLogger("api.access")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer. ``code`` is empty after a success, `ABORTED`, or that of the problem; ``ms`` the
    milliseconds from the head of the request to the last byte of the answer, ``bytes`` those of the answer's body."""

    method: str
    route: str
    status: int
    code: str
    ms: float
    bytes: int
    request_id: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Exchanges:
    """Gives every request an id, which its answer repeats, and tells ``heard`` of each exchange."""

    def __init__(self, app: App, heard: Callable[[Exchange], None]) -> None:
        self._app, self._heard = app, heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        name = _id_of(scope)
        header = (_NAME, name.encode())
        status = size = 0
        complete = refused = False
        body = bytearray()

        async def noted(message: Message) -> None:
            nonlocal status, size, complete, refused
            if message["type"] == "http.response.start":
                status = message["status"]
                refused = _is_problem(message)
                message["headers"] = [*message["headers"], header]
            elif message["type"] == "http.response.body":
                piece = message.get("body", b"")
                size += len(piece)
                if refused:
                    body.extend(piece)
            await send(message)
            if message["type"] == "http.response.body":
                complete = not message.get("more_body")

        within = request_id.set(name)
        try:
            await self._app(scope, receive, noted)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
            code = ABORTED if not complete else _code_of(body) if refused else ""
            ms = round(1_000 * (time.perf_counter() - began), 1)
            self._heard(Exchange(method, route_of(scope), status, code, ms, size, name))
            request_id.reset(within)


def route_of(scope: Scope) -> str:
    """The template of the route that a request was given to, such as ``/v1/grants/{grant_id}``."""
    route, app = scope.get("route"), scope.get("app")
    return NO_ROUTE if app is None else _templates(app).get(id(route), NO_ROUTE)


@cache
def _templates(app: FastAPI) -> Mapping[int, str]:
    """The templates of an application's routes, with the prefixes under which they were included."""
    return {
        id(context.original_route): context.path_format
        for context in iter_route_contexts(app.routes)
        if context.path_format
    }


def log_exchange(exchange: Exchange) -> None:
    """Write the access log's line."""
    _log.info(
        "%s %s %d %s %.1f ms, %d bytes",
        exchange.method,
        exchange.route,
        exchange.status,
        exchange.code or "ok",
        exchange.ms,
        exchange.bytes,
        extra={"members": exchange.to_json()},
    )


def _id_of(scope: Scope) -> str:
    given: list[str] = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == _NAME]
    if len(given) == 1 and WELL_FORMED.fullmatch(given[0]):
        return given[0]
    return uuid.uuid4().hex


def _is_problem(start: Message) -> bool:
    kinds = [value for name, value in start["headers"] if name.lower() == b"content-type"]
    return bool(kinds) and kinds[0].startswith(b"application/problem+json")


def _code_of(body: bytearray) -> str:
    code: Any = json.loads(bytes(body)).get("code", "")
    return str(code)
