"""GET /v1/grants: the transparency register. Who may read what, for which purpose, until when; public."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from sqlalchemy import Connection

from api.acts.standing import STANDINGS, Standing, is_standing, standings
from api.catalogue import public_document
from api.cursors import Cursor, Limit, page
from api.problems import Problem
from api.v1.dependencies import GatewayOf
from api.v1.parameters import Number
from ledger.ids import asset_text, parse_asset, parse_grant
from ledger.projection.queries import Grant, grant, grants

router = APIRouter(prefix="/grants", tags=["grants"])

_MOST_PAGES = 20
"""Pages looked through for one that holds a grant of the status asked for; an empty page may have a next one."""


@router.get("", summary="Every grant, in the order in which the chain recorded them")
def get_grants(
    gateway: GatewayOf,
    asset: Annotated[str | None, Query(max_length=80)] = None,
    grantee: Annotated[Number | None, Query(ge=0, lt=1 << 24)] = None,
    grantor: Annotated[Number | None, Query(ge=1, lt=1 << 24)] = None,
    status: Annotated[
        str | None, Query(max_length=60, description="how the grant stands, such as active, expired or spent")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    number = None if asset is None else parse_asset(asset)
    if status is not None and not is_standing(status):
        raise Problem("request.status", "no grant stands like that", {"matches": list(STANDINGS)})
    now = gateway.now()
    with gateway.reading.connect() as connection:
        for _ in range(_MOST_PAGES):
            found = grants(
                connection, asset=number, grantee=grantee, grantor=grantor, after=cursor, limit=limit
            )
            stand = standings(gateway, connection, found.items, now)
            chosen = [item for item in found.items if status in (None, stand[item.id].word)]
            cursor = found.next
            if chosen or cursor is None:
                break
        return page(chosen, cursor, lambda item: _render(connection, item, stand[item.id]))


@router.get("/{grant_id}", summary="One grant with its signed Terms and its agreement")
def get_grant(grant_id: str, gateway: GatewayOf) -> dict[str, Any]:
    with gateway.reading.connect() as connection:
        found = grant(connection, parse_grant(grant_id))
        if found is None:
            raise Problem("not-found.grant", "no such grant is recorded")
        return _render(connection, found, standings(gateway, connection, [found], gateway.now())[found.id])


def _render(connection: Connection, item: Grant, standing: Standing) -> dict[str, Any]:
    body = public_document(connection, str(item.terms["termsHash"])) if item.terms else None
    return {
        "id": item.id,
        "asset": asset_text(item.asset),
        "grantor": item.grantor,
        "grantee": item.grantee,
        "right": item.right,
        "kind": item.kind,
        "status": standing.word,
        "not_before": item.not_before,
        "expiry": item.expiry,
        "left": standing.left,
        "used": standing.used,
        "uses_on_chain": item.uses,
        "chain_asked": standing.chain_asked,
        "as_of_block": standing.block,
        "granted_at": item.granted_at.isoformat(),
        "officer": item.officer,
        "accepted_by": standing.accepted,
        "parent": item.parent,
        "ended_at": item.ended_at.isoformat() if item.ended_at else None,
        "terms": _portable(dict(item.terms)),
        "agreement": orjson.loads(body) if body else None,
    }


def _portable(terms: dict[str, Any]) -> dict[str, Any]:
    """Integers beyond 2^53 as decimal text: not every JSON reader keeps them."""
    return {
        name: str(value) if isinstance(value, int) and value >= 1 << 53 else value
        for name, value in terms.items()
    }
