"""Access requests: a department submits one and the provider answers, both by signed calls."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.calls import access_requests
from api.http.cursors import Cursor, Limit
from api.http.described import refusals
from api.http.parameters import Instant, Purpose, Uuid
from api.http.spellings import Asset as AssetId
from api.v1.answers.form import Page
from api.v1.answers.requests import AccessRequest, TakenRequest
from api.v1.dependencies import GatewayOf, Signed
from ledger import requests
from ledger.ids import asset_text, parse_asset
from ledger.requests import Draft

router = APIRouter(prefix="/requests", tags=["requests"])

_REFUSED = ("caller.not-reader", "request.state")


class RequestBody(BaseModel):
    """What a department requests, with its legal basis and period."""

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
    """A refusal by the provider or a withdrawal by the requester. A provider approves a request by signing
    the grant itself."""

    model_config = ConfigDict(extra="forbid", strict=True)

    state: Literal["refused", "withdrawn"]
    reason: str = Field(default="", max_length=60)
    explanation: str = Field(default="", max_length=2_000)


@router.post(
    "",
    summary="Submit a request for access to a provider",
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
    draft = Draft(
        id=body.id,
        requester=call.department,
        asset=parse_asset(body.asset),
        purpose=body.purpose,
        legal_basis=body.legal_basis,
        starts=body.starts,
        ends=body.ends,
        columns=tuple(body.columns),
        note=body.note,
    )
    return _taken(gateway.calls.requests.submit(call, draft))


@router.get(
    "",
    summary="The requests that this department made or has to answer",
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
    found = gateway.calls.requests.listed(call, side, state, after=cursor, limit=limit)
    return Page(items=[AccessRequest(**_members(item)) for item in found.items], next=found.next)


@router.post(
    "/{request_id}/answer",
    summary="Refuse or withdraw a request",
    responses=refusals("not-found.request", "caller.not-party", *_REFUSED),
)
def answer(request_id: Uuid, body: AnswerBody, call: Signed, gateway: GatewayOf) -> TakenRequest:
    requests = gateway.calls.requests
    if body.state == "refused":
        return _taken(requests.refuse(call, request_id, body.reason, body.explanation))
    return _taken(requests.withdraw(call, request_id))


def _taken(taken: access_requests.TakenRequest) -> TakenRequest:
    return TakenRequest(**_members(taken.request), **taken.evidence.members())


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
