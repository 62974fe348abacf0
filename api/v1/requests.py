"""Access requests: a department asks, the provider answers, both by signed calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from api.calls.evidence import Evidence, commit_to, entry_about
from api.http.cursors import Cursor, Limit
from api.http.described import refusals
from api.http.parameters import Instant, Purpose, Uuid
from api.http.problems import Problem
from api.http.spellings import Asset as AssetId
from api.operator.gateway import Gateway
from api.runtime.signed_call import SignedCall
from api.v1.answers.form import Page
from api.v1.answers.requests import AccessRequest, TakenRequest
from api.v1.dependencies import GatewayOf, Signed, audits, must_read, note_look
from languages.texts import in_both
from ledger import requests
from ledger.audit.log.writer import JobResult
from ledger.ids import asset_text, parse_asset
from ledger.projection.queries import asset as find_asset
from ledger.requests import (
    Draft,
    Step,
    find_request,
    list_requests,
    refuse,
    repeated,
    submit,
    withdraw,
)

router = APIRouter(prefix="/requests", tags=["requests"])

_REFUSED = ("caller.not-reader", "request.state")


class RequestBody(BaseModel):
    """What a department asks for, on which legal basis, from when to when."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Uuid = Field(
        default_factory=uuid4, description="chosen by the caller: the same id twice is one request"
    )
    asset: AssetId = Field(max_length=80)
    columns: list[str] = Field(default_factory=list, max_length=1_000)
    purpose: Purpose = Field(max_length=200)
    legal_basis: str = Field(max_length=500)
    starts: Instant
    ends: Instant
    note: str = Field(default="", max_length=2_000)


class AnswerBody(BaseModel):
    """Refuse (the provider) or withdraw (the requester). Granting is the grant itself, by signature."""

    model_config = ConfigDict(extra="forbid", strict=True)

    state: Literal["refused", "withdrawn"]
    reason: str = Field(default="", max_length=60)
    explanation: str = Field(default="", max_length=2_000)


@router.post(
    "",
    summary="Ask a provider for access",
    responses=refusals(
        *(
            "asset.unknown",
            "asset.retired",
            "column.unknown",
            "id.invalid",
            "request.purpose",
            "request.time",
        ),
        *_REFUSED,
    ),
)
def post_request(body: RequestBody, call: Signed, gateway: GatewayOf) -> TakenRequest:
    asset = parse_asset(body.asset)
    with gateway.reading.connect() as connection:
        row = find_asset(connection, asset)
        if row is None:
            raise Problem("asset.unknown", in_both("no asset {asset} is registered", asset=asset_text(asset)))
        if row.status == "retired":
            raise Problem(
                "asset.retired",
                in_both("{asset} is retired: nobody can grant it any more", asset=asset_text(asset)),
            )
        columns = gateway.calls.sources.stored(connection, asset).schema.names()
    unknown = [name for name in body.columns if name not in columns]
    if unknown:
        raise Problem("column.unknown", in_both("the asset has no such column"), {"pointer": "/columns"})
    draft = Draft(
        id=body.id,
        requester=call.department,
        asset=asset,
        purpose=body.purpose,
        legal_basis=body.legal_basis,
        starts=body.starts,
        ends=body.ends,
        columns=tuple(body.columns),
        note=body.note,
    )

    def take(connection: Connection) -> Step:
        return submit(connection, draft, provider=row.holder, actor=call.key_id, now=gateway.now())

    return _taken(gateway, call, take)


@router.get(
    "",
    summary="Requests this department made or has to answer",
    responses=refusals("cursor.invalid"),
)
def get_requests(
    call: Signed,
    gateway: GatewayOf,
    state: Annotated[Literal["submitted", "granted", "refused", "withdrawn"] | None, Query()] = None,
    side: Annotated[Literal["requester", "provider"], Query()] = "requester",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[AccessRequest]:
    if audits(gateway, call):
        note_look(gateway, call, "requests")
    mine = {side: call.department}
    with gateway.reading.connect() as connection:
        found = list_requests(connection, state=state, after=cursor, limit=limit, **mine)
    return Page(items=[AccessRequest(**_members(item)) for item in found.items], next=found.next)


@router.post(
    "/{request_id}/answer",
    summary="Refuse or withdraw a request",
    responses=refusals("not-found.request", "caller.not-party", *_REFUSED),
)
def answer(request_id: Uuid, body: AnswerBody, call: Signed, gateway: GatewayOf) -> TakenRequest:
    with gateway.reading.connect() as connection:
        known = find_request(connection, request_id)
    if known is None:
        raise Problem("not-found.request", in_both("no such request is recorded"))
    entitled = known.provider if body.state == "refused" else known.draft.requester
    if call.department != entitled:
        raise Problem(
            "caller.not-party", in_both("only the provider refuses and only the requester withdraws")
        )

    def take(connection: Connection) -> Step:
        now: datetime = gateway.now()
        if body.state == "refused":
            return refuse(
                connection,
                request_id,
                reason=body.reason,
                explanation=body.explanation,
                actor=call.key_id,
                now=now,
            )
        return withdraw(connection, request_id, actor=call.key_id, now=now)

    return _taken(gateway, call, take)


def _taken(gateway: Gateway, call: SignedCall, take: Callable[[Connection], Step]) -> TakenRequest:
    """A step of a request with its entry about this call: also the same step once more is a call of its own."""
    must_read(gateway, call)
    about = commit_to(call)

    def job(connection: Connection) -> JobResult[requests.AccessRequest]:
        step = take(connection)
        event = step.event if step.new else repeated(step, actor=call.key_id, now=gateway.now())
        return JobResult(step.request, [entry_about(event, about, *step.openings, fresh=not step.new)])

    done = gateway.commits.commit_call(call, job)
    return TakenRequest(**_members(done.value), **Evidence(done.receipts[0], about).members())


def _members(request: requests.AccessRequest) -> dict[str, Any]:
    draft = request.draft
    return {
        "id": str(draft.id),
        "state": request.state,
        "requester": draft.requester,
        "provider": request.provider,
        "asset": asset_text(draft.asset),
        "columns": list(draft.columns),
        "purpose": draft.purpose,
        "legal_basis": draft.legal_basis,
        "starts": draft.starts.isoformat(),
        "ends": draft.ends.isoformat(),
        "note": draft.note,
        "submitted_at": request.submitted_at.isoformat(),
        "reason": request.reason,
        "explanation": request.explanation,
        "grant": request.grant_id,
    }
