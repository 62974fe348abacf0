"""POST /v1/read and GET /v1/releases/{id}: the calls that departments make."""

from __future__ import annotations

import base64
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from access_policy.privacy.encoding import parse_format
from api.acts.decisions import Ask
from api.acts.read import charge_call, dry_run
from api.acts.release import Charged, stream
from api.acts.repeats import entry_of, opening_of, outcomes_of
from api.gateway import Gateway
from api.leaving import LeavingAnswer
from api.problems import Problem
from api.sdk.wire import CALL_HEADER, IDEMPOTENCY_HEADER, RECEIPT_HEADER, RELEASE_HEADER, RESPONSE
from api.signatures import SignedCall
from api.v1.dependencies import GatewayOf, Signed, audits, must_audit, note_look
from api.v1.parameters import Action, Purpose, Uuid
from ledger import releases
from ledger.audit.errors import LogCorrupt
from ledger.audit.receipts import Receipt
from ledger.releases import Release

router = APIRouter(tags=["reads"])


class ReadBody(BaseModel):
    """What a department asks for. ``query`` is the closed typed query: columns, where, order, limit."""

    model_config = ConfigDict(extra="forbid")

    asset: str = Field(max_length=80, examples=["7.12"])
    purpose: Purpose = Field(max_length=200, examples=["dpv:FraudPreventionAndDetection"])
    action: Action = Field(default="read", max_length=40)
    query: dict[str, Any] = Field(default_factory=dict)
    grant: str | None = Field(default=None, max_length=80)
    attributes: dict[str, str | int | list[str]] = Field(default_factory=dict, max_length=32)
    dry_run: bool = False


@router.post("/read", summary="Read what was granted, or (dry_run) see what would be decided and why")
async def read(
    body: ReadBody,
    call: Signed,
    gateway: GatewayOf,
    accept: Annotated[str, Header()] = "application/json",
    idempotency_key: Annotated[
        str | None, Header(alias=IDEMPOTENCY_HEADER, min_length=8, max_length=128)
    ] = None,
) -> Response:
    gateway.turns.take(call.department)
    answer: Response | None = None
    try:
        answer = await gateway.turns.run(_answer, gateway, call, body, accept, idempotency_key)
        return answer
    finally:
        if not isinstance(answer, LeavingAnswer):
            gateway.turns.give(call.department)


def _answer(
    gateway: Gateway, call: SignedCall, body: ReadBody, accept: str, idempotency_key: str | None
) -> Response:
    attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in body.attributes.items()}
    ask = Ask(body.asset, body.purpose, body.action, body.query, body.grant, attributes)
    if body.dry_run:
        gateway.replays.claim(call)  # it changes nothing, but a captured one must not be answered again
        return JSONResponse(dry_run(gateway, call, ask))
    answer = parse_format("json" if accept in ("*/*", "") else accept)
    charged = charge_call(gateway, call, ask, answer, idempotency_key)
    return _respond(gateway, call, charged)


def _respond(gateway: Gateway, call: SignedCall, charged: Charged) -> Response:
    """Small answers whole, with their digest under the signature; large ones as a stream."""
    draft = charged.draft
    headers = {
        RECEIPT_HEADER: header_text(charged.evidence.receipt),
        CALL_HEADER: charged.evidence.call.disclosure,
        RELEASE_HEADER: charged.release.id,
        "Cache-Control": "no-store",
    }
    if draft.complete:
        return Response(draft.whole(), media_type=draft.media_type, headers=headers)
    headers["Civic-Stream"] = "1"
    chunks = stream(gateway, charged)
    first = next(chunks)  # a stream that has begun is brought to its end even if nobody ever reads on
    over = partial(gateway.turns.give, call.department)
    return LeavingAnswer(chunks, first, gateway.turns, over, media_type=draft.media_type, headers=headers)


def header_text(receipt: Receipt) -> str:
    """A receipt as one header value: base64url of its text."""
    return base64.urlsafe_b64encode(str(receipt).encode()).rstrip(b"=").decode()


@router.get(
    "/releases/{release_id}",
    summary="The record of a release; for its department with the entry of its outcome, for an auditor a logged look",
)
def release(release_id: Uuid, call: Signed, gateway: GatewayOf) -> dict[str, Any]:
    with gateway.reading.connect() as connection:
        found = releases.get(connection, str(release_id))
    if found is None:
        raise Problem("not-found.release", "no such release is recorded")
    entry = entry_of(gateway, found)
    if entry is None and not gateway.log.pruned:
        raise LogCorrupt("the record of the release is not what its entry says", hint="civic audit fsck")
    if found.department != call.department and must_audit(gateway, call) not in (None, found.department):
        raise Problem("caller.not-party", "this release is another department's")
    if found.key_id != call.key_id and audits(gateway, call):
        note_look(gateway, call, "release", release=found.id)
        return _record(found)
    return _record(found) | {"outcome": _outcome(gateway, found)}


def _record(found: Release) -> dict[str, Any]:
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


def _outcome(gateway: Gateway, found: Release) -> dict[str, Any] | None:
    """The entry of the outcome, and what opens its commitment to the bytes that left: None once that was erased."""
    _, last = outcomes_of(gateway, found)
    if last is None or found.state == "streaming":
        return None
    with gateway.reading.connect() as connection:
        opening = opening_of(gateway, connection, last, RESPONSE)
    return {
        "receipt": str(gateway.receipt_of(str(last))),
        "disclosure": opening.disclosure if opening else None,
    }
