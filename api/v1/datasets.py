"""The public catalogue, and the signed upload of its data."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from api.acts.upload import receive_file
from api.http.cursors import Cursor, Limit
from api.http.described import one_file, refusals
from api.http.parameters import DepartmentNumber, Version
from api.http.problems import Problem
from api.http.spellings import Asset as AssetId
from api.http.spellings import one_of
from api.operator.gateway import Gateway
from api.runtime.catalogue import metadata_of, public_entry, source_files
from api.runtime.stored_files import spellings_of
from api.v1.answers.datasets import Dataset, DatasetDetail, Parent, Received, Source, Spelling
from api.v1.answers.form import Page
from api.v1.dependencies import (
    CALLER,
    SIGNED,
    GatewayOf,
    Signed,
    TurnsOf,
    verified,
)
from contracts.codes import AssetStatus
from languages.texts import in_both
from ledger.ids import asset_iri, parse_asset
from ledger.lost.holds import held_targets
from ledger.lost.lost_act import ASSET
from ledger.projection.queries import Asset, asset, asset_parents, asset_version, assets

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.get("", summary="Every registered dataset", responses=refusals("cursor.invalid"))
def get_datasets(
    gateway: GatewayOf,
    department: DepartmentNumber | None = None,
    holder: DepartmentNumber | None = None,
    status: Annotated[Annotated[str, one_of(AssetStatus)] | None, Query(max_length=20)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Dataset]:
    with gateway.reading.connect() as connection:
        found = assets(
            connection, department=department, holder=holder, status=status, after=cursor, limit=limit
        )
        items = [Dataset(**_members(gateway, connection, item)) for item in found.items]
        return Page(items=items, next=found.next)


@router.get(
    "/{dataset}",
    summary="One dataset with its catalogue entry",
    responses=refusals("asset.unknown", "not-found.version"),
)
def get_dataset(dataset: AssetId, gateway: GatewayOf, version: Version | None = None) -> DatasetDetail:
    with gateway.reading.connect() as connection:
        found = asset(connection, parse_asset(dataset))
        if found is None:
            raise Problem("asset.unknown", in_both("no asset is registered under this id"))
        parents = [
            Parent(asset=parent, under=under) for parent, under in asset_parents(connection, found.number)
        ]
        current = found.version
        if version is not None:
            named = asset_version(connection, found.id, version)
            if named is None:
                raise Problem("not-found.version", in_both("the dataset has no version of this number"))
            found = replace(found, version=version, metadata_hash=named.metadata_hash)
        return DatasetDetail(**_members(gateway, connection, found), current=current, parents=parents)


@router.get(
    "/{dataset}/source",
    summary="Digest, size and rows of the file, for the dataset's parties and city auditors",
    response_model=Source,
    response_model_exclude_unset=True,
    responses=refusals("asset.unknown", "caller.not-party"),
)
def get_source(dataset: AssetId, call: Signed, gateway: GatewayOf) -> dict[str, Any]:
    return gateway.acts.sources.shown(call, parse_asset(dataset))


@router.put(
    "/{dataset}/source",
    summary="Upload the file whose SHA-256 is in the register entry, or in a new version that awaits it",
    response_model=Received,
    response_model_exclude_unset=True,
    openapi_extra={"requestBody": {"required": True, **one_file("application/octet-stream")}},
    dependencies=[CALLER],
    responses=refusals(
        *(
            "asset.unknown",
            "asset.retired",
            "caller.not-holder",
            "caller.not-party",
            "caller.not-reader",
            "request.size",
        ),
        *(*SIGNED, "source.", "parts.types", "scan.busy", "call.too-many", "act.expired", "not-found.act"),
    ),
)
async def put_source(
    dataset: AssetId, request: Request, gateway: GatewayOf, turns: TurnsOf
) -> dict[str, Any]:
    # The signature covers the declared digest, so a file that may not be uploaded is refused before a byte is
    # stored.
    call = await run_in_threadpool(verified, request, gateway, None)
    await run_in_threadpool(gateway.callers.must_read, call)
    declared = request.headers.get("content-length")
    length = int(declared) if declared is not None else None
    uploads, taking = turns.uploads, gateway.acts.uploads
    uploads.take(call.department)
    try:
        expected = await uploads.run(taking.files.expected, call, dataset, length)
        path = await receive_file(gateway.home.data, expected, request.stream(), uploads.run)
        try:
            return await uploads.run(taking.keep, call, dataset, path, expected)
        finally:
            path.unlink(missing_ok=True)
    finally:
        uploads.give(call.department)


def _members(gateway: Gateway, connection: Connection, item: Asset) -> dict[str, Any]:
    metadata = metadata_of(connection, item.metadata_hash)
    files = source_files(gateway.home.data, item.number, metadata["source"])
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
        "readable": files.here,
        "spellings": [
            Spelling(column=name, values=count) for name, count in spellings_of(files.spellings).items()
        ],
        "metadata": public_entry(connection, item.metadata_hash),
    }
