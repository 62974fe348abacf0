"""POST /v1/read and GET /v1/releases/{id}: the calls of departments."""

from __future__ import annotations

import base64
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from api.calls.charge import NotCharged
from api.calls.decisions import Ask, denial
from api.calls.release_records import SeenByAuditor
from api.calls.releases import Charged
from api.http.described import REASONS, one_file, refusals
from api.http.leaving import LeavingAnswer
from api.http.negotiation import MEDIA_TYPES, negotiated
from api.http.parameters import Action, Purpose, Uuid, VersionNumber
from api.http.query_form import QueryDocument
from api.http.spellings import Asset as AssetId
from api.http.spellings import Grant as GrantId
from api.http.turns import Turns
from api.operator.gateway import Gateway
from api.protocol.http_signatures import (
    CALL_HEADER,
    IDEMPOTENCY_HEADER,
    RECEIPT_HEADER,
    RELEASE_HEADER,
)
from api.runtime.signed_call import SignedCall
from api.v1.answers.reads import DryRun, Outcome, Release, Row
from api.v1.dependencies import GatewayOf, Signed, TurnsOf
from ledger import releases

router = APIRouter(tags=["reads"])


_OTHERS = one_file(*(name for name in MEDIA_TYPES if name != "application/json"))
_UNREAD = (
    *(
        "asset.unknown",
        "caller.not-reader",
        "format.unknown",
        "query.invalid",
        "id.invalid",
        "request.format",
    ),
    *(
        "request.purpose",
        "request.action",
        "release.in-progress",
        "call.too-many",
        "scan.busy",
        "service.busy",
    ),
    *("source.missing", "source.unreadable", "policy.error", "plan.", "transform.", "predicate."),
)
"""The codes of calls that are refused before the decision or because their data cannot be read now."""

Listed = Annotated[list[str], Field(max_length=1_000)]


class ReadBody(BaseModel):
    """What a department requests. ``query`` is the closed typed query: columns, where, order, limit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    asset: AssetId = Field(max_length=80)
    purpose: Purpose = Field(max_length=200)
    action: Action = Field(default="read", max_length=40)
    query: QueryDocument = Field(default_factory=dict)
    grant: GrantId | None = Field(default=None, max_length=80)
    attributes: dict[str, str | int | Listed] = Field(default_factory=dict, max_length=32)
    dry_run: bool = False
    version: VersionNumber | None = None


@router.post(
    "/read",
    summary="Read granted data, or (dry_run) get the decision and its reasons only",
    response_class=JSONResponse,
    responses={
        200: {
            "model": list[Row] | DryRun,
            "description": "the rows in the format that `Accept` prefers",
            **_OTHERS,
        },
        **refusals(*REASONS, *_UNREAD),
    },
)
async def read(
    body: ReadBody,
    call: Signed,
    gateway: GatewayOf,
    turns: TurnsOf,
    accept: Annotated[str, Header(include_in_schema=False)] = "application/json",
    idempotency_key: Annotated[
        str | None, Header(alias=IDEMPOTENCY_HEADER, min_length=8, max_length=128)
    ] = None,
) -> Response:
    reads = turns.reads
    reads.take(call.department)
    answer: Response | None = None
    try:
        answer = await reads.run(_answer, gateway, reads, call, body, accept, idempotency_key)
        return answer
    finally:
        if not isinstance(answer, LeavingAnswer):
            reads.give(call.department)


def _answer(
    gateway: Gateway,
    reads: Turns,
    call: SignedCall,
    body: ReadBody,
    accept: str,
    idempotency_key: str | None,
) -> Response:
    gateway.callers.must_read(call)
    attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in body.attributes.items()}
    ask = Ask(body.asset, body.purpose, body.action, body.query, body.grant, attributes, body.version)
    if body.dry_run:
        gateway.replays.claim(
            call
        )  # A dry run changes nothing, but a captured one must not be answered again.
        # The format of the dry run's answer is not checked against the terms.
        shown = DryRun.model_validate(gateway.calls.reads.decisions.dry_run(call, ask))
        return JSONResponse(shown.model_dump(exclude_unset=True))
    media = negotiated(accept)
    done = gateway.calls.reads.charge(call, ask, media, idempotency_key)
    if isinstance(done, NotCharged):
        raise denial(done.denied, done.evidence)
    return _respond(gateway, reads, call, done)


def _respond(gateway: Gateway, reads: Turns, call: SignedCall, charged: Charged) -> Response:
    """A small answer is sent as a whole, and the signature covers its digest; a large one is streamed."""
    headers = {
        RECEIPT_HEADER: header_text(str(charged.evidence.receipt)),
        CALL_HEADER: charged.evidence.call.disclosure,
        RELEASE_HEADER: charged.release.id,
        "Cache-Control": "no-store",
    }
    answer = charged.answer
    if answer.complete:
        return Response(answer.whole(), media_type=answer.media_type, headers=headers)
    headers["Civic-Stream"] = "1"
    chunks = gateway.calls.releases.stream(charged)
    first = next(chunks)  # A generator that has started records its outcome even if the reader disconnects.
    over = partial(reads.give, call.department)
    return LeavingAnswer(
        chunks,
        first,
        reads,
        over,
        pace=answer.pace,
        media_type=answer.media_type,
        headers=headers,
    )


def header_text(receipt: str) -> str:
    """A receipt as one header value, in base64url."""
    return base64.urlsafe_b64encode(receipt.encode()).rstrip(b"=").decode()


@router.get(
    "/releases/{release_id}",
    summary="The record of a release; with the receipt of its outcome for its department, as a logged look for an auditor",
    response_model_exclude_unset=True,
    responses=refusals("not-found.release", "caller.not-party", "caller.not-auditor"),
)
def release(release_id: Uuid, call: Signed, gateway: GatewayOf) -> Release:
    shown = gateway.calls.records.shown(call, str(release_id))
    if isinstance(shown, SeenByAuditor):
        return Release(**_record(shown.release))
    last = shown.outcome
    outcome = None if last is None else Outcome(receipt=str(last.receipt), disclosure=last.disclosure)
    return Release(**_record(shown.release), outcome=outcome)


def _record(found: releases.Release) -> dict[str, Any]:
    return {
        "id": found.id,
        "state": found.state,
        "department": found.department,
        "asset": found.asset,
        "version": found.version,
        "metadata_hash": found.metadata_hash,
        "grant": found.grant_id,
        "purpose": found.purpose,
        "action": found.action,
        "charged_at": found.charged_at.isoformat(),
        "finished_at": found.finished_at.isoformat() if found.finished_at else None,
        "rows": found.rows,
        "bytes": found.size,
        "response": found.digest,
        "entry": found.entry_id,
    }
