"""Public routes about the service itself: health, status, trust, checkpoints, proofs and hash tiles."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from api.calls.log_proofs import named_tile
from api.http.described import SIGNATURE, one_file, refusals
from api.http.parameters import Size
from api.http.problems import Problem
from api.http.spellings import spelled
from api.v1.answers.service import Alive, Consistency, Cosigned, Fault, Inclusion, Ready, Status, Trust
from api.v1.dependencies import SIGNED, GatewayOf, verified
from languages.texts import in_both

_STATUS_THREADS = CapacityLimiter(4)
"""Threads for the status only, so calls that wait for the node cannot block it."""

_READY_THREADS = CapacityLimiter(4)
"""Threads of probes alone: they answer also while every other thread waits."""

router = APIRouter(tags=["service"])
health = APIRouter(tags=["health"])
tiles = APIRouter(tags=["log tiles"])

HASHES_KEPT = "public, max-age=86400"
"""A tile never changes within an epoch. After a loss, a new epoch writes other tiles under the same paths, so
a cache may keep a tile for one day at most."""

ENTRIES_KEPT = "private, no-store"
"""Each request for entries is logged, so no cache may answer it."""

TilePath = Annotated[
    str,
    spelled(
        r"(entries|0|[1-9][0-9]?)/(x[0-9]{3}/){0,5}[0-9]{3}(\.p/[1-9][0-9]{0,2})?",
        "0/000.p/7",
        "level or `entries`, number in groups of three digits, and the width of a partial tile; slashes stay slashes",
    ),
]


@health.get("/healthz", summary="Whether the process answers; nothing else is asked")
async def healthz() -> Alive:
    return Alive(alive=True)


@health.get(
    "/readyz",
    summary="Whether calls can be decided and logged now; each fault by its code",
    responses=refusals("service.not-ready"),
)
async def readyz(gateway: GatewayOf) -> Ready:
    report = await to_thread.run_sync(gateway.ready.report, limiter=_READY_THREADS)
    if report.reasons:
        raise Problem(
            "service.not-ready", in_both("calls cannot be decided and logged now"), report.to_json()
        )
    return Ready(ready=True, warnings=[Fault(part=one.part, code=one.code) for one in report.warnings])


@router.get(
    "/status",
    summary="Chain, log and version of this service",
    response_model=Status,
    response_model_exclude_unset=True,
)
async def status(gateway: GatewayOf) -> dict[str, Any]:
    return await to_thread.run_sync(gateway.status, limiter=_STATUS_THREADS)


@router.get(
    "/trust",
    summary="The trust document; compare it with a copy from a second source before using it",
    response_model=Trust,
)
def trust(gateway: GatewayOf) -> dict[str, Any]:
    return dict(gateway.trust)


@router.get(
    "/log/consistency",
    summary="RFC 6962 consistency proof between two sizes",
    responses=refusals("request.size"),
)
def consistency(old: Size, new: Size, gateway: GatewayOf) -> Consistency:
    return Consistency(old=old, new=new, proof=gateway.audit.proofs.consistency(old, new))


@router.get("/log/cosigned", summary="The heads that the log's witnesses cosigned last, the newest last")
def cosigned(gateway: GatewayOf) -> Cosigned:
    return Cosigned(checkpoints=[str(head) for head in gateway.cosign.recent])


@router.get(
    "/log/inclusion",
    summary="RFC 6962 inclusion proof of an entry in the tree of a size",
    responses=refusals("request.size"),
)
def inclusion(index: Size, size: Size, gateway: GatewayOf) -> Inclusion:
    return Inclusion(index=index, size=size, proof=gateway.audit.proofs.inclusion(index, size))


@tiles.get(
    "/checkpoint",
    summary="The newest checkpoint (C2SP tlog-checkpoint)",
    response_class=PlainTextResponse,
)
def checkpoint(gateway: GatewayOf) -> Response:
    return PlainTextResponse(str(gateway.log.checkpoint()), headers={"Cache-Control": "no-cache"})


@tiles.get(
    "/tile/{path:path}",
    summary="Tiles of the log (C2SP tlog-tiles): hash tiles for anybody, entries for auditors",
    response_class=Response,
    openapi_extra={"security": [{}, {SIGNATURE: []}]},
    responses={
        200: one_file("application/octet-stream"),
        **refusals("not-found.tile", "caller.not-auditor", *SIGNED),
    },
)
def tile(path: TilePath, request: Request, gateway: GatewayOf) -> Response:
    proofs, named = gateway.audit.proofs, named_tile(path)
    if not named.has_entries:
        return _octets(proofs.hash_tile(named), HASHES_KEPT)
    call = verified(request, gateway, hashlib.sha256().digest())
    return _octets(proofs.entry_tile(call, named), ENTRIES_KEPT)


def _octets(content: bytes, kept: str) -> Response:
    return Response(content, media_type="application/octet-stream", headers={"Cache-Control": kept})
