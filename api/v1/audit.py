"""Routes of auditors: entries by filter, receipts, and the whole log as a bundle for the offline check."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from annotated_types import Ge, Lt
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.calls.readers import WHY
from api.http.cursors import Cursor, Limit
from api.http.described import one_file, refusals
from api.http.leaving import LeavingAnswer
from api.http.parameters import NUMBER, Actor, AnyDepartment, Instant, Purpose, Size
from api.http.spellings import Asset as AssetId
from api.http.spellings import Grant as GrantId
from api.v1.answers.audit import Entry, Openings, Readers, Receipt
from api.v1.answers.form import Page
from api.v1.dependencies import GatewayOf, Signed, TurnsOf

router = APIRouter(prefix="/audit", tags=["audit"])

_FILTER = ("id.invalid", "request.time", "request.purpose")

After = Annotated[int, Ge(-1), Lt(1 << 62), NUMBER]
Text = Annotated[str | None, Query(max_length=200)]


@router.get(
    "/entries",
    summary="Search the log; each look of an auditor is logged",
    responses=refusals("caller.not-auditor", "audit.cursor", "cursor.invalid", *_FILTER),
)
def entries(
    call: Signed,
    gateway: GatewayOf,
    department: AnyDepartment | None = None,
    actor: Annotated[Actor | None, Query(max_length=200)] = None,
    asset: Annotated[AssetId | None, Query(max_length=200)] = None,
    grant: Annotated[GrantId | None, Query(max_length=200)] = None,
    purpose: Annotated[Purpose | None, Query(max_length=200)] = None,
    decision: Literal["permit", "deny"] | None = None,
    type: Text = None,
    since: Instant | None = None,
    until: Instant | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Entry]:
    found = gateway.audit.search.page(
        call,
        cursor,
        limit,
        department=department,
        actor=actor,
        asset=asset,
        grant=grant,
        purpose=purpose,
        decision=decision,
        type_prefix=type,
        since=since,
        until=until,
    )
    return Page(items=[Entry(**_members(hit.index, hit.leaf)) for hit in found.hits], next=found.next)


@router.get(
    "/entries/{index}/receipt",
    summary="The receipt of one entry, under the newest checkpoint; it contains the entry, so the look is logged",
    responses=refusals("caller.not-auditor", "not-found.entry", "not-found.anchor"),
)
def receipt(
    index: Size,
    call: Signed,
    gateway: GatewayOf,
    anchored: Annotated[
        bool, Query(description="under the first anchored head that covers it, with its proof")
    ] = False,
) -> Receipt:
    found = gateway.audit.entries.receipt(call, index, anchored=anchored)
    return Receipt(index=index, receipt=str(found))


@router.get(
    "/bundle",
    summary="The whole log as a bundle that is verified offline",
    response_class=Response,
    responses={
        200: one_file("application/octet-stream"),
        **refusals("caller.not-auditor", "call.too-many", "service.busy", "export.too-long"),
    },
)
async def bundle(request: Request, call: Signed, gateway: GatewayOf, turns: TurnsOf) -> Response:
    bundles, exports, gone = gateway.audit.bundles, turns.exports, threading.Event()
    exports.take(call.department)
    waiting = asyncio.create_task(_until_gone(request, gone))
    answer: Response | None = None
    try:
        made = await exports.run(bundles.make, call, gone)
        chunks = bundles.sent(call, made)
        first = await exports.run(
            next, chunks
        )  # A generator that has started runs its `finally`, which deletes the bundle.
        answer = LeavingAnswer(
            chunks,
            first,
            exports,
            partial(exports.give, call.department),
            media_type="application/octet-stream",
            headers={"Civic-Stream": "1"},
        )
        return answer
    finally:
        waiting.cancel()
        if answer is None:
            exports.give(call.department)


async def _until_gone(request: Request, gone: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


@router.get(
    "/readers",
    summary="Who read one person's record: reads that named the person, releases that could contain the person, and "
    "releases that cannot be judged",
    response_model=Readers,
    response_model_exclude_unset=True,
    responses=refusals("caller.not-auditor", "id.invalid"),
)
def readers(
    asset: Annotated[AssetId, Query(max_length=80)],
    subject: Annotated[
        str, Query(min_length=1, max_length=200, description="the value of the asset's person key")
    ],
    call: Signed,
    gateway: GatewayOf,
    cursor: After = -1,
    limit: Limit = 50,
) -> dict[str, Any]:
    found = gateway.audit.entries.readers(call, asset, subject, after=cursor, limit=limit)
    answer: dict[str, Any] = {"named": [], "could_contain": [], "unknown": list(found.whole)}
    for read in found.reads:
        more: dict[str, Any] = {"filters": read.filters} if read.finding == "could_contain" else {}
        more |= {"why": read.why, "meaning": WHY[read.why]} if read.finding == "unknown" else {}
        answer[read.finding].append(_members(read.found.index, read.found.leaf) | more)
    return answer | {"next": None if found.next is None else str(found.next)}


@router.get(
    "/entries/{index}/openings",
    summary="The openings of an entry, without the erased ones; the look is logged",
    responses=refusals("caller.not-auditor", "not-found.entry"),
)
def openings(index: Size, call: Signed, gateway: GatewayOf) -> Openings:
    return Openings(index=index, disclosures=gateway.audit.entries.disclosures(call, index))


def _members(index: int, leaf: bytes) -> dict[str, Any]:
    """The members of an entry; its leaf is None after it was archived or erased."""
    return {"index": index, "entry": orjson.loads(leaf) if leaf else None}
