"""The catalogue, public, and handing in the data behind it, signed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from api.acts.upload import expected_file, keep_file, receive_file
from api.catalogue import metadata_of, public_entry, source_path
from api.cursors import Cursor, Limit, page
from api.gateway import Gateway
from api.problems import Problem
from api.signatures import SignedCall
from api.v1.dependencies import GatewayOf, Signed, audits, must_audit, note_look, verified
from api.v1.parameters import Number
from ledger.ids import asset_iri, parse_asset
from ledger.outbox.holds import ASSET, held_targets
from ledger.projection.queries import Asset, asset, asset_parents, assets

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.get("", summary="Every registered dataset")
def get_datasets(
    gateway: GatewayOf,
    department: Annotated[Number | None, Query(ge=1, lt=1 << 24)] = None,
    holder: Annotated[Number | None, Query(ge=1, lt=1 << 24)] = None,
    status: Annotated[str | None, Query(max_length=20)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    with gateway.reading.connect() as connection:
        found = assets(
            connection, department=department, holder=holder, status=status, after=cursor, limit=limit
        )
        return page(found.items, found.next, lambda item: _render(gateway, connection, item))


@router.get("/{dataset}", summary="One dataset with its catalogue entry")
def get_dataset(dataset: str, gateway: GatewayOf) -> dict[str, Any]:
    with gateway.reading.connect() as connection:
        found = asset(connection, parse_asset(dataset))
        if found is None:
            raise Problem("asset.unknown", "no asset is registered under this id")
        parents = [
            {"asset": parent, "under": under} for parent, under in asset_parents(connection, found.number)
        ]
        return _render(gateway, connection, found) | {"parents": parents}


@router.get(
    "/{dataset}/source", summary="Digest and size of the file, for the dataset's parties and city auditors"
)
def get_source(dataset: str, call: Signed, gateway: GatewayOf) -> dict[str, Any]:
    with gateway.reading.connect() as connection:
        found = asset(connection, parse_asset(dataset))
        if found is None:
            raise Problem("asset.unknown", "no asset is registered under this id")
        known = gateway.states.asset(found.number, found.version)
        parties = (known.holder, known.processor, known.operator)
        if call.department not in parties and not _audits(gateway, call):
            raise Problem(
                "caller.not-party",
                "the digest of a file is for who holds a right in the dataset, and for city-wide auditors",
            )
        source = metadata_of(connection, found.metadata_hash)["source"]
    if audits(gateway, call):
        note_look(gateway, call, "source", asset=found.id)
    return {"id": found.id, "version": found.version, "metadata_hash": found.metadata_hash, **source}


def _audits(gateway: Gateway, call: SignedCall) -> bool:
    try:
        return must_audit(gateway, call) is None
    except Problem:
        return False


@router.put("/{dataset}/source", summary="Hand in the file whose SHA-256 the register entry names")
async def put_source(dataset: str, request: Request, gateway: GatewayOf) -> dict[str, Any]:
    # The signature covers the declared digest, so what may not be handed in is refused before a byte is kept.
    call = await run_in_threadpool(verified, request, gateway, None)
    declared = request.headers.get("content-length")
    length = int(declared) if declared is not None else None
    expected = await run_in_threadpool(expected_file, gateway, call, dataset, length)
    path = await receive_file(gateway, expected, request.stream())
    try:
        return await run_in_threadpool(keep_file, gateway, call, dataset, path, expected)
    finally:
        path.unlink(missing_ok=True)


def _render(gateway: Gateway, connection: Connection, item: Asset) -> dict[str, Any]:
    metadata = metadata_of(connection, item.metadata_hash)
    return {
        "id": item.id,
        "iri": asset_iri(item.number),
        "department": item.department,
        "holder": item.holder,
        "processor": item.processor,
        "operator": item.operator,
        "grade": item.grade,
        "sharing": item.sharing,
        "version": item.version,
        "status": item.status,
        "held": item.id in held_targets(connection).get(ASSET, ()),
        "metadata_hash": item.metadata_hash,
        "since": item.since.isoformat(),
        "versioned_at": item.versioned_at.isoformat(),
        "readable": source_path(gateway.home.data, item.number, metadata).is_file(),
        "metadata": public_entry(connection, item.metadata_hash),
    }
