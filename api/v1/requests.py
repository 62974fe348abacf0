"""Access requests: a department asks, the provider answers, both by signed calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from api.acts.assets_at_hand import shelf_of
from api.acts.evidence import Evidence, commit_to, entry_about
from api.cursors import Cursor, Limit, page
from api.gateway import Gateway
from api.problems import Problem
from api.signatures import SignedCall
from api.v1.dependencies import GatewayOf, Signed, audits, note_look
from api.v1.parameters import Instant, Purpose, Uuid
from ledger.audit.writer import JobResult
from ledger.ids import asset_text, parse_asset
from ledger.projection.queries import asset as find_asset
from ledger.requests import (
    AccessRequest,
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


class RequestBody(BaseModel):
    """What a department asks for, on which legal basis, from when to when."""

    model_config = ConfigDict(extra="forbid")

    id: Uuid = Field(
        default_factory=uuid4, description="chosen by the caller: the same id twice is one request"
    )
    asset: str = Field(max_length=80)
    columns: list[str] = Field(default_factory=list, max_length=1_000)
    purpose: Purpose = Field(max_length=200)
    legal_basis: str = Field(max_length=500)
    starts: Instant
    ends: Instant
    note: str = Field(default="", max_length=2_000)


class AnswerBody(BaseModel):
    """Refuse (the provider) or withdraw (the requester). Granting is the grant itself, by signature."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["refused", "withdrawn"]
    reason: str = Field(default="", max_length=60)
    explanation: str = Field(default="", max_length=2_000)


@router.post("", summary="Ask a provider for access")
def post_request(body: RequestBody, call: Signed, gateway: GatewayOf) -> dict[str, Any]:
    asset = parse_asset(body.asset)
    with gateway.reading.connect() as connection:
        row = find_asset(connection, asset)
        if row is None:
            raise Problem("asset.unknown", f"no asset {asset_text(asset)} is registered")
        if row.status == "retired":
            raise Problem("asset.retired", f"{asset_text(asset)} is retired: nobody can grant it any more")
        unknown = [
            name for name in body.columns if name not in shelf_of(gateway, connection, asset).schema.names()
        ]
    if unknown:
        raise Problem("column.unknown", "the asset has no such column", {"pointer": "/columns"})
    draft = Draft(
        id=body.id,
        requester=call.department,
        asset=asset,
        purpose=body.purpose,
        legal_basis=body.legal_basis,
        starts=body.starts.astimezone(UTC),
        ends=body.ends.astimezone(UTC),
        columns=tuple(body.columns),
        note=body.note,
    )

    def take(connection: Connection) -> Step:
        return submit(connection, draft, provider=row.holder, actor=call.key_id, now=gateway.now())

    return _taken(gateway, call, take)


@router.get("", summary="Requests this department made or has to answer")
def get_requests(
    call: Signed,
    gateway: GatewayOf,
    state: Annotated[Literal["submitted", "granted", "refused", "withdrawn"] | None, Query()] = None,
    side: Annotated[Literal["requester", "provider"], Query()] = "requester",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    if audits(gateway, call):
        note_look(gateway, call, "requests")
    mine = {side: call.department}
    with gateway.reading.connect() as connection:
        found = list_requests(connection, state=state, after=cursor, limit=limit, **mine)
    return page(found.items, found.next, _render)


@router.post("/{request_id}/answer", summary="Refuse or withdraw a request")
def answer(request_id: Uuid, body: AnswerBody, call: Signed, gateway: GatewayOf) -> dict[str, Any]:
    with gateway.reading.connect() as connection:
        known = find_request(connection, request_id)
    if known is None:
        raise Problem("not-found.request", "no such request is recorded")
    entitled = known.provider if body.state == "refused" else known.draft.requester
    if call.department != entitled:
        raise Problem("caller.not-party", "only the provider refuses and only the requester withdraws")

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


def _taken(gateway: Gateway, call: SignedCall, take: Callable[[Connection], Step]) -> dict[str, Any]:
    """A step of a request with its entry about this call: also the same step once more is a call of its own."""
    about = commit_to(call)

    def job(connection: Connection) -> JobResult[AccessRequest]:
        step = take(connection)
        event = step.event if step.new else repeated(step, actor=call.key_id, now=gateway.now())
        return JobResult(step.request, [entry_about(event, about, *step.openings, fresh=not step.new)])

    done = gateway.commit_call(call, job)
    return _render(done.value) | Evidence(done.receipts[0], about).members()


def _render(request: AccessRequest) -> dict[str, Any]:
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
