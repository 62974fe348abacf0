"""The FastAPI application over an open gateway: routes, the envelope, and every refusal as a problem."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from access_policy.errors import PolicyError
from api.http.bodies import CheckedBodies
from api.http.envelope import App, BodyLimit, SignedAnswers
from api.http.exchanges import Exchange, Exchanges, log_exchange, route_of
from api.http.openapi import PROBLEM, describe
from api.http.problems import Problem, problem_of
from api.http.turns import EveryTurn
from api.operator.gateway import Gateway
from api.protocol.version import installed
from api.runtime.errors import SOON_S, RefusedError
from api.v1 import acts, audit, conditions, datasets, departments, grants, policy, reads, requests, service
from api.v1.dependencies import second_edition
from languages.texts import in_both
from ledger.errors import LedgerError
from ledger.failures import known_failure
from ledger.store.stored import StoreDamaged

_log = logging.getLogger(__name__)

_STATUS_CODES = {400: "request.invalid", 404: "not-found.path", 405: "request.method", 413: "body.too-large"}


def create_app(gateway: Gateway) -> FastAPI:
    """The service over an open installation; the caller closes the installation."""

    app = FastAPI(
        title="Civic Ledger",
        version=installed()[1],
        # FastAPI's own pages load scripts from another host, so they are disabled; /openapi.json remains.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.gateway = gateway
    app.state.turns = EveryTurn.of(gateway.settings)
    for module in (service, departments, audit):
        app.include_router(module.router, prefix="/v1")
    for module in (datasets, grants, conditions, acts, requests, reads, policy):
        app.include_router(module.router, prefix="/v1", dependencies=[Depends(second_edition)])
    app.include_router(service.tiles)
    app.include_router(service.health)
    app.openapi = cache(partial(describe, app))  # type: ignore[method-assign]
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(PolicyError, _policy_error)
    app.add_exception_handler(LedgerError, _ledger_error)
    app.add_exception_handler(SQLAlchemyError, _error_below)
    app.add_exception_handler(OSError, _error_below)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
    return app


def enveloped(app: FastAPI, gateway: Gateway, heard: Callable[[Exchange], None] = log_exchange) -> App:
    """The application in its envelope, so that even the answer to a defect is signed; ``heard`` is told of each exchange."""
    settings = gateway.settings
    limited = BodyLimit(CheckedBodies(app), limit=settings.body_bytes, upload_limit=settings.upload_bytes)
    signed = SignedAnswers(
        limited, key=gateway.keys.answers, key_id=gateway.keys.answers_id, public_url=settings.public_url
    )
    return Exchanges(signed, heard)


def _answer(problem: Problem) -> JSONResponse:
    headers = ({"Retry-After": str(SOON_S)} if problem.status == 503 else {}) | dict(problem.headers)
    return JSONResponse(problem.document(), problem.status, headers, media_type=PROBLEM)


def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return _answer(error)


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return _answer(problem_of(error))


def _policy_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PolicyError)
    members: dict[str, Any] = {"pointer": error.pointer} if error.pointer else {}
    if error.matches:
        members["matches"] = list(error.matches)
    return _answer(Problem(error.code, error.message, members))


def _ledger_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LedgerError)
    if isinstance(error, StoreDamaged):
        _log.error("%s %s: %s [%s]", request.method, route_of(request.scope), error.message, error.code)
    members: dict[str, Any] = {}
    if pointer := getattr(error, "pointer", ""):
        members["pointer"] = pointer
    if error.hint:
        members["hint"] = error.hint
    return _answer(Problem(error.code, error.message, members))


def _error_below(request: Request, error: Exception) -> JSONResponse:
    """An unreachable or slow database, and a full disk, are answered with a code that permits a retry; other
    database errors are defects."""
    refused = known_failure(error)
    if refused is None:
        return _unexpected(request, error)
    _log.warning("%s %s: %s [%s]", request.method, route_of(request.scope), error, refused.code)
    return _ledger_error(request, refused)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    """The position and the rule only, never the value that was sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "header", "path")]
    return _answer(
        Problem("request.invalid", str(first["type"]).replace("_", " "), {"pointer": "/" + "/".join(place)})
    )


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    problem = Problem(_STATUS_CODES.get(error.status_code, "request.refused"), str(error.detail))
    return JSONResponse(
        problem.document() | {"status": error.status_code},
        error.status_code,
        error.headers,
        media_type=PROBLEM,
    )


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """A defect: logged with its traceback for the operator, and not described to the caller."""
    _log.error("unexpected error at %s %s", request.method, route_of(request.scope), exc_info=error)
    return _answer(Problem("service.failed", in_both("an unexpected error; the operator's log has it")))
