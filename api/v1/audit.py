"""What an auditor asks: entries by filter, receipts, and the whole log as a bundle for the offline check."""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from annotated_types import Ge, Lt
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from access_policy.privacy.execution.pace import Pace
from api.calls.readers import WHY, readers_of
from api.http.cursors import Cursor, Limit
from api.http.described import one_file, refusals
from api.http.leaving import LeavingAnswer
from api.http.parameters import NUMBER, Actor, AnyDepartment, Instant, Purpose, Size
from api.http.problems import Problem
from api.http.spellings import Asset as AssetId
from api.http.spellings import Grant as GrantId
from api.operator.gateway import Gateway
from api.runtime.signed_call import SignedCall
from api.v1.answers.audit import Entry, Openings, Readers, Receipt
from api.v1.answers.form import Page
from api.v1.bundle import make_bundle, sent
from api.v1.dependencies import LOOK, GatewayOf, Signed, TurnsOf, must_audit, note_look
from languages.texts import in_both
from ledger.audit.formats.errors import NoSuchEntry
from ledger.audit.log.search import CursorInvalid, Found
from ledger.audit.log.search import Query as Search
from ledger.audit.outside.anchor import anchored_receipt
from ledger.ids import IdError, parse_asset, parse_number

router = APIRouter(prefix="/audit", tags=["audit"])

_FILTER = ("id.invalid", "request.time", "request.purpose")

SEARCH_LASTS = timedelta(hours=1)
"""So long after its look a search may be continued; whoever looks later looks anew."""

After = Annotated[int, Ge(-1), Lt(1 << 62), NUMBER]
Text = Annotated[str | None, Query(max_length=200)]


@router.get(
    "/entries",
    summary="Search the log; an auditor's look is itself an entry",
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
    own = must_audit(gateway, call)
    if own is not None and department not in (None, own):
        raise Problem("caller.not-auditor", in_both("this key audits its own department only"))
    query = Search(
        department=own if own is not None else department,
        actor=actor,
        asset=asset,
        grant=grant,
        purpose=purpose,
        decision=decision,
        type_prefix=type,
        since=since,
        until=until,
    )
    if cursor is None:
        after, look = None, note_look(gateway, call, "search")
    else:
        after, look = _continued(gateway, call, query, cursor)
    found = gateway.log.search(query, cursor=after, limit=limit)
    hits = [hit for hit in found.hits if hit.index < look]
    more = found.cursor is not None and len(hits) == len(found.hits)
    following = f"{found.cursor}-{look}-{_bound(gateway, call, query, look)}" if more else None
    return Page(items=[Entry(**_members(hit)) for hit in hits], next=following)


def _bound(gateway: Gateway, call: SignedCall, query: Search, look: int) -> str:
    """What binds a cursor to one look: the key that looked and what it looked for."""
    told = json.dumps([call.key_id, look, asdict(query)], default=str).encode()
    return hmac.digest(gateway.keys.secret, b"civic search cursor" + told, "sha256").hex()[:32]


def _continued(gateway: Gateway, call: SignedCall, query: Search, cursor: str) -> tuple[str, int]:
    """Where a search goes on, and the entry of the look it belongs to: this key's own, for the same filters and not
    long ago, and it shows what stood in the log before it and nothing later. So no page is seen without a look, and a
    search ends however fast the log grows.
    """
    after, _, rest = cursor.partition("-")
    look, _, bound = rest.partition("-")
    try:
        entry = parse_number(look)
        if not hmac.compare_digest(bound.encode(), _bound(gateway, call, query, entry).encode()):
            raise IdError("a cursor of another search")
        event = orjson.loads(gateway.log.entry(entry).leaf or b"{}")
    except (IdError, NoSuchEntry) as missing:
        raise CursorInvalid("not a cursor of this search", hint="start again without a cursor") from missing
    if (event.get("type"), event.get("service")) != (f"{LOOK}search", call.key_id):
        raise CursorInvalid("not a cursor of a search by this key", hint="start again without a cursor")
    if gateway.now() - datetime.fromisoformat(str(event["time"])) > SEARCH_LASTS:
        raise CursorInvalid("the search is over", hint="start again without a cursor")
    return after, entry


def _members(hit: Found) -> dict[str, Any]:
    return {"index": hit.index, "entry": orjson.loads(hit.leaf) if hit.leaf else None}


@router.get(
    "/entries/{index}/receipt",
    summary="The receipt of one entry, under the newest checkpoint; it shows the entry, so the look is logged",
    responses=refusals("caller.not-auditor", "not-found.entry", "not-found.anchor"),
)
def receipt(
    index: Size,
    call: Signed,
    gateway: GatewayOf,
    anchored: Annotated[
        bool, Query(description="under the first head on chain that covers it, with that proof")
    ] = False,
) -> Receipt:
    own = must_audit(gateway, call)
    try:
        found = anchored_receipt(gateway.log, index) if anchored else gateway.log.receipt(index)
    except NoSuchEntry as missing:
        raise Problem("not-found.entry", in_both("the log has no entry {index}", index=index)) from missing
    if found is None:
        raise Problem("not-found.anchor", in_both("no head on chain covers entry {index} yet", index=index))
    if own is not None and found.event.get("department") != own:
        raise Problem("caller.not-auditor", in_both("this key audits its own department only"))
    note_look(gateway, call, "receipt", entry=index)
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
    exports, gone = turns.exports, threading.Event()
    exports.take(call.department)
    waiting = asyncio.create_task(_until_gone(request, gone))
    answer: Response | None = None
    try:
        made = await exports.run(make_bundle, gateway, call, gone)
        chunks = sent(gateway, call, made)
        first = await exports.run(next, chunks)  # what has begun is brought to its end: the bundle is deleted
        answer = LeavingAnswer(
            chunks,
            first,
            exports,
            partial(exports.give, call.department),
            pace=Pace(),
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
    "what cannot be told",
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
    if must_audit(gateway, call) is not None:
        raise Problem("caller.not-auditor", in_both("openings need a city-wide AUDITOR key"))
    number = parse_asset(asset)
    note_look(gateway, call, "readers")
    with gateway.reading.connect() as connection:
        found = readers_of(gateway.log, gateway.vault, connection, number, subject, after=cursor, limit=limit)
    answer: dict[str, Any] = {"named": [], "could_contain": [], "unknown": list(found.whole)}
    for read in found.reads:
        more: dict[str, Any] = {"filters": read.filters} if read.told == "could_contain" else {}
        more |= {"why": read.why, "meaning": WHY[read.why]} if read.told == "unknown" else {}
        answer[read.told].append(_members(read.found) | more)
    return answer | {"next": None if found.next is None else str(found.next)}


@router.get(
    "/entries/{index}/openings",
    summary="What an entry committed to; the look is logged, an erased one is gone",
    responses=refusals("caller.not-auditor", "not-found.entry"),
)
def openings(index: Size, call: Signed, gateway: GatewayOf) -> Openings:
    if must_audit(gateway, call) is not None:
        raise Problem("caller.not-auditor", in_both("openings need a city-wide AUDITOR key"))
    if index >= gateway.log.size:
        raise Problem("not-found.entry", in_both("the log has no entry {index}", index=index))
    note_look(gateway, call, "openings", entry=index)
    with gateway.reading.connect() as connection:
        found = gateway.vault.openings(connection, index)
    disclosures = {name: opening.disclosure for name, opening in found.items()}
    return Openings(index=index, disclosures=disclosures)
