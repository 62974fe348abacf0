"""What anybody may ask of the service itself: status, trust, checkpoints, proofs and hash tiles."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response

from api.problems import Problem
from api.v1.dependencies import GatewayOf, must_audit, note_look, verified
from api.v1.parameters import Number
from ledger.audit.errors import NoSuchEntry
from ledger.audit.note import b64
from ledger.audit.tiles import parse_tile_path

router = APIRouter(tags=["service"])
tiles = APIRouter(tags=["log tiles"])

HASHES_KEPT = "public, max-age=86400"
"""A tile never changes within an epoch. After a loss a new epoch writes other tiles under the same paths: no cache
keeps one longer than a day."""

ENTRIES_KEPT = "private, no-store"
"""Each look at entries is itself an entry of the log: none is answered out of a cache."""

Size = Annotated[Number, Query(ge=0, lt=1 << 62)]


@router.get("/status", summary="Chain, log and version of this service")
def status(gateway: GatewayOf) -> dict[str, Any]:
    return gateway.status()


@router.get(
    "/trust", summary="The trust document; compare it with a copy from a second source before using it"
)
def trust(gateway: GatewayOf) -> dict[str, Any]:
    return dict(gateway.trust)


@router.get("/log/consistency", summary="RFC 6962 consistency proof between two sizes")
def consistency(old: Size, new: Size, gateway: GatewayOf) -> dict[str, Any]:
    try:
        return {"old": old, "new": new, "proof": [b64(item) for item in gateway.log.consistency(old, new)]}
    except (NoSuchEntry, ValueError) as beyond:
        raise Problem("request.size", f"the log has {gateway.log.size} entries") from beyond


@router.get("/log/cosigned", summary="The heads that the log's witnesses cosigned last, the newest last")
def cosigned(gateway: GatewayOf) -> dict[str, Any]:
    return {"checkpoints": [str(head) for head in gateway.cosign.recent]}


@router.get("/log/inclusion", summary="RFC 6962 inclusion proof of an entry in the tree of a size")
def inclusion(index: Size, size: Size, gateway: GatewayOf) -> dict[str, Any]:
    try:
        return {
            "index": index,
            "size": size,
            "proof": [b64(item) for item in gateway.log.inclusion(index, size)],
        }
    except (NoSuchEntry, ValueError) as beyond:
        raise Problem("request.size", f"the log has {gateway.log.size} entries") from beyond


@tiles.get("/checkpoint", summary="The newest checkpoint (C2SP tlog-checkpoint)")
def checkpoint(gateway: GatewayOf) -> Response:
    return PlainTextResponse(str(gateway.log.checkpoint()), headers={"Cache-Control": "no-cache"})


@tiles.get(
    "/tile/{path:path}",
    summary="Tiles of the log (C2SP tlog-tiles): hash tiles for anybody, entries for auditors",
)
def tile(path: str, request: Request, gateway: GatewayOf) -> Response:
    try:
        level, number, width = parse_tile_path(f"tile/{path}")
        if level != "entries":
            return _octets(gateway.log.tile_bytes(level, number, width), HASHES_KEPT)
        call = verified(request, gateway, hashlib.sha256().digest())
        if must_audit(gateway, call) is not None:
            raise Problem("caller.not-auditor", "entry tiles need a city-wide AUDITOR key")
        content = gateway.log.tile_bytes(level, number, width)
        note_look(gateway, call, "tile", tile=number)
        return _octets(content, ENTRIES_KEPT)
    except LookupError as missing:
        raise Problem("not-found.tile", "the log has no such tile") from missing


def _octets(content: bytes, kept: str) -> Response:
    return Response(content, media_type="application/octet-stream", headers={"Cache-Control": kept})
