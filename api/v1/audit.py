"""What an auditor asks: entries by filter, receipts, and the whole log as a bundle for the offline check."""

from __future__ import annotations

import hmac
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse

from api.acts.readers import WHY, readers_of
from api.cursors import Cursor, Limit, page
from api.gateway import Gateway
from api.problems import Problem
from api.signatures import SignedCall
from api.v1.dependencies import LOOK, GatewayOf, Signed, must_audit, note_look
from api.v1.parameters import Actor, Instant, Number, Purpose
from ledger.audit.anchor import anchored_receipt
from ledger.audit.errors import NoSuchEntry
from ledger.audit.export import export_bundle
from ledger.audit.search import CursorInvalid, Found
from ledger.audit.search import Query as Search
from ledger.ids import IdError, parse_asset, parse_number

router = APIRouter(prefix="/audit", tags=["audit"])

SEARCH_LASTS = timedelta(hours=1)
"""So long after its look a search may be continued; whoever looks later looks anew."""

Index = Annotated[Number, PathParameter(ge=0, lt=1 << 62)]
Text = Annotated[str | None, Query(max_length=200)]


@router.get("/entries", summary="Search the log; an auditor's look is itself an entry")
def entries(
    call: Signed,
    gateway: GatewayOf,
    department: Annotated[Number | None, Query(ge=0, lt=1 << 24)] = None,
    actor: Annotated[Actor | None, Query(max_length=200)] = None,
    asset: Text = None,
    grant: Text = None,
    purpose: Annotated[Purpose | None, Query(max_length=200)] = None,
    decision: Literal["permit", "deny"] | None = None,
    type: Text = None,
    since: Instant | None = None,
    until: Instant | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    own = must_audit(gateway, call)
    if own is not None and department not in (None, own):
        raise Problem("caller.not-auditor", "this key audits its own department only")
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
    return page(hits, following, _render)


def _bound(gateway: Gateway, call: SignedCall, query: Search, look: int) -> str:
    """What binds a cursor to one look: the key that looked and what it looked for."""
    told = json.dumps([call.key_id, look, asdict(query)], default=str).encode()
    return hmac.digest(gateway.pseudonym_secret, b"civic search cursor" + told, "sha256").hex()[:32]


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


def _render(hit: Found) -> dict[str, Any]:
    return {"index": hit.index, "entry": orjson.loads(hit.leaf) if hit.leaf else None}


@router.get(
    "/entries/{index}/receipt",
    summary="The receipt of one entry, under the newest checkpoint; it shows the entry, so the look is logged",
)
def receipt(
    index: Index,
    call: Signed,
    gateway: GatewayOf,
    anchored: Annotated[
        bool, Query(description="under the first head on chain that covers it, with that proof")
    ] = False,
) -> dict[str, Any]:
    own = must_audit(gateway, call)
    try:
        found = anchored_receipt(gateway.log, index) if anchored else gateway.log.receipt(index)
    except NoSuchEntry as missing:
        raise Problem("not-found.entry", f"the log has no entry {index}") from missing
    if found is None:
        raise Problem("not-found.anchor", f"no head on chain covers entry {index} yet")
    if own is not None and found.event.get("department") != own:
        raise Problem("caller.not-auditor", "this key audits its own department only")
    note_look(gateway, call, "receipt", entry=index)
    return {"index": index, "receipt": str(found)}


@router.get("/bundle", summary="The whole log as a bundle that is verified offline")
def bundle(call: Signed, gateway: GatewayOf) -> StreamingResponse:
    if must_audit(gateway, call) is not None:
        raise Problem("caller.not-auditor", "the whole log needs a city-wide AUDITOR key")
    note_look(gateway, call, "export")
    folder = Path(tempfile.mkdtemp(prefix="civic-bundle-"))  # readable by this user alone
    try:
        export_bundle(
            gateway.log,
            folder / "bundle.tar",
            checkpoint=gateway.cosign(gateway.log.checkpoint()),
            witnesses=gateway.cosign.keys,
        )
    except BaseException:
        shutil.rmtree(folder)
        raise
    return StreamingResponse(_file(folder), media_type="application/x-tar", headers={"Civic-Stream": "1"})


def _file(folder: Path) -> Iterator[bytes]:
    try:
        with (folder / "bundle.tar").open("rb") as file:
            while chunk := file.read(1 << 18):
                yield chunk
    finally:
        shutil.rmtree(folder)


@router.get(
    "/readers",
    summary="Who read one person's record: reads that named the person, releases that could contain the person, and "
    "what cannot be told",
)
def readers(
    asset: Annotated[str, Query(max_length=80)],
    subject: Annotated[
        str, Query(min_length=1, max_length=200, description="the value of the asset's person key")
    ],
    call: Signed,
    gateway: GatewayOf,
    cursor: Annotated[Number, Query(ge=-1, lt=1 << 62)] = -1,
    limit: Limit = 50,
) -> dict[str, Any]:
    if must_audit(gateway, call) is not None:
        raise Problem("caller.not-auditor", "openings need a city-wide AUDITOR key")
    number = parse_asset(asset)
    note_look(gateway, call, "readers")
    with gateway.reading.connect() as connection:
        found = readers_of(gateway, connection, number, subject, after=cursor, limit=limit)
    answer: dict[str, Any] = {"named": [], "could_contain": [], "unknown": list(found.whole)}
    for read in found.reads:
        more: dict[str, Any] = {"filters": read.filters} if read.told == "could_contain" else {}
        more |= {"why": read.why, "meaning": WHY[read.why]} if read.told == "unknown" else {}
        answer[read.told].append(_render(read.found) | more)
    return answer | {"next": None if found.next is None else str(found.next)}


@router.get(
    "/entries/{index}/openings",
    summary="What an entry committed to; the look is logged, an erased one is gone",
)
def openings(index: Index, call: Signed, gateway: GatewayOf) -> dict[str, Any]:
    if must_audit(gateway, call) is not None:
        raise Problem("caller.not-auditor", "openings need a city-wide AUDITOR key")
    if index >= gateway.log.size:
        raise Problem("not-found.entry", f"the log has no entry {index}")
    note_look(gateway, call, "openings", entry=index)
    with gateway.reading.connect() as connection:
        found = gateway.vault.openings(connection, index)
    return {"index": index, "disclosures": {name: opening.disclosure for name, opening in found.items()}}
