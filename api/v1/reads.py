"""POST /v1/read and GET /v1/releases/{id}: the calls that departments make."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from access_policy.privacy.execution.encoding import ANSWER_FORMATS, AnswerFormat, media_type, negotiated
from access_policy.terms.constraints import MAX_VERSION
from api.calls.charge import NotCharged
from api.calls.decisions import Ask, denial
from api.calls.releases import Charged
from api.http.described import REASONS, one_file, refusals
from api.http.leaving import LeavingAnswer
from api.http.parameters import Action, Purpose, Uuid
from api.http.problems import Problem
from api.http.spellings import Asset as AssetId
from api.http.spellings import Grant as GrantId
from api.http.turns import Turns
from api.operator.gateway import Gateway
from api.protocol.http_signatures import (
    CALL_HEADER,
    IDEMPOTENCY_HEADER,
    RECEIPT_HEADER,
    RELEASE_HEADER,
    RESPONSE,
)
from api.runtime.commits import receipt_of
from api.runtime.signed_call import SignedCall
from api.v1.answers.reads import DryRun, Outcome, Release, Row
from api.v1.dependencies import GatewayOf, Signed, TurnsOf, audits, must_audit, must_read, note_look
from api.v1.query_form import QueryDocument
from languages.texts import in_both
from ledger import releases
from ledger.audit.formats.errors import LogCorrupt
from ledger.audit.verify.receipts import Receipt

router = APIRouter(tags=["reads"])


_OTHERS = one_file(*(media_type(one) for one in ANSWER_FORMATS if one != "json"))
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
"""Why a call is refused before it is decided, or because its data cannot be read now."""

Listed = Annotated[list[str], Field(max_length=1_000)]


class ReadBody(BaseModel):
    """What a department asks for. ``query`` is the closed typed query: columns, where, order, limit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    asset: AssetId = Field(max_length=80)
    purpose: Purpose = Field(max_length=200)
    action: Action = Field(default="read", max_length=40)
    query: QueryDocument = Field(default_factory=dict)
    grant: GrantId | None = Field(default=None, max_length=80)
    attributes: dict[str, str | int | Listed] = Field(default_factory=dict, max_length=32)
    dry_run: bool = False
    version: int | None = Field(default=None, ge=1, le=MAX_VERSION)


@router.post(
    "/read",
    summary="Read what was granted, or (dry_run) see what would be decided and why",
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
    must_read(gateway, call)
    attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in body.attributes.items()}
    ask = Ask(body.asset, body.purpose, body.action, body.query, body.grant, attributes, body.version)
    if body.dry_run:
        gateway.replays.claim(call)  # it changes nothing, but a captured one must not be answered again
        # its own format is not the one that is asked about
        shown = DryRun.model_validate(gateway.calls.reads.decisions.dry_run(call, ask))
        return JSONResponse(shown.model_dump(exclude_unset=True))
    media = negotiated(accept)
    must_be_stated(attributes, media)
    done = gateway.calls.reads.charge(call, ask, media, idempotency_key)
    if isinstance(done, NotCharged):
        raise denial(done.denied, done.evidence)
    return _respond(gateway, reads, call, done)


def must_be_stated(attributes: Mapping[str, Any], answer: AnswerFormat) -> None:
    """A call states its attributes itself. The format of the answer is the one that the service knows better: terms that
    want CSV would else be met by whoever says so and takes JSON."""
    stated = attributes.get("fileFormat")
    if stated is not None and (not isinstance(stated, str) or stated.lower() != media_type(answer)):
        raise Problem(
            "request.format",
            in_both(
                "the call states another fileFormat than its answer has: {answer}", answer=media_type(answer)
            ),
        )


def _respond(gateway: Gateway, reads: Turns, call: SignedCall, charged: Charged) -> Response:
    """Small answers whole, with their digest under the signature; large ones as a stream."""
    headers = {
        RECEIPT_HEADER: header_text(charged.evidence.receipt),
        CALL_HEADER: charged.evidence.call.disclosure,
        RELEASE_HEADER: charged.release.id,
        "Cache-Control": "no-store",
    }
    answer = charged.answer
    if answer.complete:
        return Response(answer.whole(), media_type=answer.media_type, headers=headers)
    headers["Civic-Stream"] = "1"
    chunks = gateway.calls.releases.stream(charged)
    first = next(chunks)  # a stream that has begun is brought to its end even if nobody ever reads on
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


def header_text(receipt: Receipt) -> str:
    """A receipt as one header value: base64url of its text."""
    return base64.urlsafe_b64encode(str(receipt).encode()).rstrip(b"=").decode()


@router.get(
    "/releases/{release_id}",
    summary="The record of a release; for its department with the entry of its outcome, for an auditor a logged look",
    response_model_exclude_unset=True,
    responses=refusals("not-found.release", "caller.not-party", "caller.not-auditor"),
)
def release(release_id: Uuid, call: Signed, gateway: GatewayOf) -> Release:
    with gateway.reading.connect() as connection:
        found = releases.get(connection, str(release_id))
        entry = gateway.calls.repeats.entry_of(connection, found) if found is not None else None
    if found is None:
        raise Problem("not-found.release", in_both("no such release is recorded"))
    if entry is None and not gateway.log.pruned:
        raise LogCorrupt("the record of the release is not what its entry says", hint="civic audit fsck")
    if found.department != call.department and must_audit(gateway, call) not in (None, found.department):
        raise Problem("caller.not-party", in_both("this release is another department's"))
    if found.key_id != call.key_id and audits(gateway, call):
        note_look(gateway, call, "release", release=found.id)
        return Release(**_record(found))
    return Release(**_record(found), outcome=_outcome(gateway, found))


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


def _outcome(gateway: Gateway, found: releases.Release) -> Outcome | None:
    """The entry of the outcome, and what opens its commitment to the bytes that left: None once that was erased."""
    repeats = gateway.calls.repeats
    with gateway.reading.connect() as connection:
        _, last = repeats.outcomes_of(connection, found)
        if last is None or found.state == "streaming":
            return None
        opening = repeats.opening_of(connection, last, RESPONSE)
    return Outcome(
        receipt=str(receipt_of(gateway.log, str(last))),
        disclosure=opening.disclosure if opening else None,
    )
