"""GET /v1/grants: the transparency register, which shows who may read what, for which purpose and until when;
public."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from sqlalchemy import Connection

from api.calls.standings import STANDINGS, Standing, is_standing
from api.http.cursors import Cursor, Limit
from api.http.described import refusals
from api.http.parameters import AnyDepartment, DepartmentNumber
from api.http.problems import Problem
from api.http.spellings import Asset as AssetId
from api.http.spellings import Grant as GrantId
from api.runtime.catalogue import public_document
from api.v1.answers.form import Page
from api.v1.answers.grants import BoundCondition, Grant
from api.v1.answers.grants import Standing as Status
from api.v1.dependencies import GatewayOf
from languages.texts import in_both
from ledger.ids import asset_text, parse_asset, parse_grant
from ledger.projection import views
from ledger.projection.conditions import conditions_of
from ledger.projection.queries import grant, grants

router = APIRouter(prefix="/grants", tags=["grants"])

_MOST_PAGES = 20
"""The limit of pages searched for a grant with the requested status; an empty page may have a next page."""


@router.get(
    "",
    summary="Every grant, in the order in which the chain recorded them",
    responses=refusals("cursor.invalid", "id.invalid", "request.status"),
)
def get_grants(
    gateway: GatewayOf,
    asset: Annotated[AssetId | None, Query(max_length=80)] = None,
    grantee: AnyDepartment | None = None,
    grantor: DepartmentNumber | None = None,
    status: Annotated[
        Status | None,
        Query(max_length=60, description="the status of the grant, such as active, expired or spent"),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Grant]:
    number = None if asset is None else parse_asset(asset)
    if status is not None and not is_standing(status):
        raise Problem("request.status", in_both("no grant stands like that"), {"matches": list(STANDINGS)})
    now = gateway.now()
    for _ in range(_MOST_PAGES):
        with gateway.reading.connect() as connection:
            found = grants(
                connection, asset=number, grantee=grantee, grantor=grantor, after=cursor, limit=limit
            )
        standings = gateway.calls.standings.of(found.items, now)
        chosen = [item for item in found.items if status in (None, standings[item.id].word)]
        cursor = found.next
        if chosen or cursor is None:
            break
    with gateway.reading.connect() as connection:
        return Page(items=[_render(connection, item, standings[item.id]) for item in chosen], next=cursor)


@router.get(
    "/{grant_id}",
    summary="One grant with its signed Terms and its agreement",
    responses=refusals("not-found.grant"),
)
def get_grant(grant_id: GrantId, gateway: GatewayOf) -> Grant:
    with gateway.reading.connect() as connection:
        found = grant(connection, parse_grant(grant_id))
    if found is None:
        raise Problem("not-found.grant", in_both("no such grant is recorded"))
    standing = gateway.calls.standings.of([found], gateway.now())[found.id]
    with gateway.reading.connect() as connection:
        return _render(connection, found, standing)


def _render(connection: Connection, item: views.Grant, standing: Standing) -> Grant:
    body = public_document(connection, str(item.terms["termsHash"])) if item.terms else None
    return Grant(
        id=item.id,
        asset=asset_text(item.asset),
        grantor=item.grantor,
        grantee=item.grantee,
        right=item.right,
        kind=item.kind,
        status=standing.word,
        not_before=item.not_before,
        expiry=item.expiry,
        left=standing.left,
        used=standing.used,
        uses_on_chain=item.uses,
        chain_asked=standing.chain_asked,
        as_of_block=standing.block,
        granted_at=item.granted_at.isoformat(),
        officer=item.officer,
        accepted_by=standing.accepted,
        parent=item.parent,
        replaced_by=item.replaced_by,
        conditions=[
            BoundCondition(id=one.id, kind=one.kind, status=one.status)
            for one in conditions_of(connection, item.id)
        ],
        ended_at=item.ended_at.isoformat() if item.ended_at else None,
        terms=_portable(dict(item.terms)),
        agreement=orjson.loads(body) if body else None,
    )


def _portable(terms: dict[str, Any]) -> dict[str, Any]:
    """The Terms with integers of 2^53 and more as decimal text, because some JSON parsers lose digits of
    them."""
    return {
        name: str(value) if isinstance(value, int) and value >= 1 << 53 else value
        for name, value in terms.items()
    }
