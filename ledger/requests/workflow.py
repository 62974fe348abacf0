"""The states of an access request: submitted -> granted | refused | withdrawn.

Every function takes a connection in the writer's transaction, does not commit, and returns the request with the audit event
of the step. The caller appends the event in the same transaction, so that row and entry are committed together. A repeated
step is one step: its event has the same id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid5

import rfc8785
from sqlalchemy import Connection, insert, select, update

from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.openings import Opening, commit
from ledger.errors import LedgerError
from ledger.ids import IdError, asset_text, parse_asset, parse_grant, parse_uuid
from ledger.pages import CursorError, Page, check_limit, number_cursor, page_of
from ledger.store.stored import made_of
from ledger.store.tables import table_of
from ledger.store.tables.requests import AccessRequestRow

State = Literal["submitted", "granted", "refused", "withdrawn"]
STATES: tuple[State, ...] = ("submitted", "granted", "refused", "withdrawn")

REFUSAL_REASONS = (
    "not-necessary",
    "no-legal-basis",
    "scope-too-wide",
    "security",
    "quality",
    "not-held",
    "prohibited",
)
"""The stable codes of a provider's refusal. An explanation is also required (Guizhou's rules: a refusal needs reasons)."""

DRAFT = "draft"
"""The name of the commitment to the SHA-256 of the draft in the entry of a request."""

MAX_COLUMNS = 1_000
MAX_TEXT = 2_000

_ROW = table_of(AccessRequestRow)


class RequestError(LedgerError):
    """A request is malformed, or its state does not allow the step."""

    code = "request.invalid"


class RequestState(RequestError):
    """The request was already answered or withdrawn by another step."""

    code = "request.state"


class RequestUnknown(RequestError):
    """There is no request with this id."""

    code = "not-found.request"


@dataclass(frozen=True, slots=True)
class Draft:
    """The content of a request. Empty ``columns`` means all columns. The period is in UTC; ``purpose`` is a DPV concept id."""

    id: UUID
    requester: int
    asset: int
    purpose: str
    legal_basis: str
    starts: datetime
    ends: datetime
    columns: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A request with its state. ``sha256`` is that of the canonical draft; the request's first entry commits to it."""

    draft: Draft
    provider: int
    sha256: str
    state: State
    submitted_at: datetime
    submitted_by: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    explanation: str | None = None
    grant_id: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A request after a step, the event to append, and whether the step is new.

    ``openings`` belong to the event's commitment to the hash of the draft. The draft's free text may name persons, so the
    hash is salted.
    """

    request: AccessRequest
    event: Event
    new: bool
    openings: tuple[Opening, ...] = ()


def submit(connection: Connection, draft: Draft, *, provider: int, actor: str, now: datetime) -> Step:
    """Submit a request. ``provider`` holds the asset; ``actor`` is the key that signed the call.

    The same draft submitted again is the same request; another draft with the same id raises `RequestState`.
    """
    _check(draft)
    digest = hashlib.sha256(_canonical(draft)).hexdigest()
    known = find_request(connection, draft.id)
    if known is not None:
        if known.sha256 != digest:
            raise RequestState("another request stands under this id", hint="choose a new id")
        return Step(known, _event(known, "submitted"), new=False)
    request = AccessRequest(draft, provider, digest, "submitted", now, actor)
    connection.execute(insert(_ROW).values(**_values(request)))
    return Step(request, _event(request, "submitted"), new=True, openings=(commit(DRAFT, digest),))


def repeated(step: Step, *, actor: str, now: datetime) -> Event:
    """The event of a call that repeated a step: it changed nothing, but the call is logged."""
    facts = dict(step.event.facts) | {"state": step.request.state}
    return replace(
        step.event,
        id=new_event_id(),
        type="gateway:request:repeated",
        time=now,
        service=actor,
        officer=None,
        facts=facts,
    )


def mark_granted(
    connection: Connection, request_id: UUID, grant_id: str, *, actor: str, now: datetime
) -> Step:
    """Mark a request as granted. The function that records the grant calls it in the same transaction."""
    return _decide(connection, request_id, "granted", actor=actor, now=now, grant_id=parse_grant(grant_id))


def reopen(connection: Connection, grant_id: str, *, now: datetime) -> Step | None:
    """Reopen the request that this grant answered, because the grant is no longer on the chain; None without one."""
    row = connection.execute(select(_ROW).where(_ROW.c.grant_id == grant_id)).mappings().one_or_none()
    if row is None or row["state"] != "granted":
        return None
    request = replace(_request(row), decided_at=now)
    event = replace(_event(request, "granted"), type="chain:reorg:request-reopened")
    event = replace(event, id=uuid5(request.draft.id, f"reopened:{grant_id}:{_micros(now)}"))
    waiting = replace(request, state="submitted", decided_at=None, decided_by=None, grant_id=None)
    connection.execute(update(_ROW).where(_ROW.c.id == row["id"]).values(**_values(waiting)))
    return Step(waiting, event, new=True)


def refuse(
    connection: Connection, request_id: UUID, *, reason: str, explanation: str, actor: str, now: datetime
) -> Step:
    """Refuse a request, with one of `REFUSAL_REASONS` and an explanation."""
    if reason not in REFUSAL_REASONS:
        raise RequestError(f"unknown reason {reason[:40]!r}", hint=f"one of {', '.join(REFUSAL_REASONS)}")
    if not explanation.strip() or len(explanation) > MAX_TEXT:
        raise RequestError(f"a refusal is explained in 1 to {MAX_TEXT} characters")
    return _decide(
        connection, request_id, "refused", actor=actor, now=now, reason=reason, explanation=explanation
    )


def withdraw(connection: Connection, request_id: UUID, *, actor: str, now: datetime) -> Step:
    """Withdraw a request, by its requester."""
    return _decide(connection, request_id, "withdrawn", actor=actor, now=now)


def find_request(connection: Connection, request_id: UUID) -> AccessRequest | None:
    """The request with this id; None without one."""
    row = connection.execute(select(_ROW).where(_ROW.c.id == str(request_id))).mappings().one_or_none()
    return None if row is None else _request(row)


def list_requests(
    connection: Connection,
    *,
    requester: int | None = None,
    provider: int | None = None,
    asset: int | None = None,
    state: State | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[AccessRequest]:
    """One page of requests, in the order of submission; ``after`` is the ``next`` of the page before."""
    query = select(_ROW).order_by(_ROW.c.submitted_at, _ROW.c.id).limit(check_limit(limit) + 1)
    filters: dict[str, object] = {
        "requester": requester,
        "provider": provider,
        "asset": None if asset is None else asset_text(asset),
        "state": state,
    }
    for column, value in filters.items():
        if value is not None:
            query = query.where(_ROW.c[column] == value)
    if after is not None:
        moment, _, last = after.partition("~")
        at = number_cursor(moment)
        try:
            last = str(parse_uuid(last))
        except IdError as other:
            raise CursorError(
                "the cursor is not one of this list", hint="start again without a cursor"
            ) from other
        query = query.where((_ROW.c.submitted_at > at) | ((_ROW.c.submitted_at == at) & (_ROW.c.id > last)))
    found = [_request(row) for row in connection.execute(query).mappings()]
    return page_of(found, limit, lambda r: f"{_micros(r.submitted_at)}~{r.draft.id}")


# --------------------------------------------------------------------------- inside


def _decide(
    connection: Connection,
    request_id: UUID,
    state: State,
    *,
    actor: str,
    now: datetime,
    reason: str | None = None,
    explanation: str | None = None,
    grant_id: str | None = None,
) -> Step:
    request = find_request(connection, request_id)
    if request is None:
        raise RequestUnknown(f"there is no request {request_id}")
    if request.state == state and (request.grant_id, request.reason) == (grant_id, reason):
        return Step(request, _event(request, state), new=False)
    if request.state != "submitted":
        raise RequestState(f"the request is {request.state} already")
    decided = replace(
        request,
        state=state,
        decided_at=now,
        decided_by=actor,
        reason=reason,
        explanation=explanation,
        grant_id=grant_id,
    )
    changed = connection.execute(
        update(_ROW)
        .where(_ROW.c.id == str(request_id), _ROW.c.state == "submitted")
        .values(**_values(decided))
    )
    if changed.rowcount != 1:
        raise RequestState("the request was answered at this moment")
    return Step(decided, _event(decided, state), new=True)


def _check(draft: Draft) -> None:
    if not 0 < draft.requester < 1 << 24:
        raise RequestError("the requester is a department")
    if not draft.purpose.strip() or len(draft.purpose) > 200:
        raise RequestError("the purpose is a concept of the vocabulary, such as dpv:PublicBenefit")
    if not draft.legal_basis.strip() or len(draft.legal_basis) > MAX_TEXT:
        raise RequestError(f"the legal basis is stated in 1 to {MAX_TEXT} characters")
    if len(draft.note) > MAX_TEXT or len(draft.columns) > MAX_COLUMNS:
        raise RequestError(
            f"a note has at most {MAX_TEXT} characters, a request at most {MAX_COLUMNS} columns"
        )
    if len(set(draft.columns)) != len(draft.columns):
        raise RequestError("a column is named twice")
    if draft.starts.utcoffset() is None or draft.ends.utcoffset() is None:
        raise RequestError("the period states its zone")
    if draft.ends <= draft.starts:
        raise RequestError("the period ends after it starts")


def _canonical(draft: Draft) -> bytes:
    body = asdict(draft) | {
        "id": str(draft.id),
        "asset": asset_text(draft.asset),
        "columns": list(draft.columns),
        "starts": int(draft.starts.timestamp()),
        "ends": int(draft.ends.timestamp()),
    }
    try:
        return rfc8785.dumps(body)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise RequestError(f"the request has no canonical form: {error}") from None


def _event(request: AccessRequest, state: State) -> Event:
    """The entry of a step. It has no free text, which may name persons, but a commitment to the draft."""
    draft = request.draft
    moment = request.submitted_at if state == "submitted" else request.decided_at
    assert moment is not None
    facts: dict[str, str | int | bool] = {"request": str(draft.id), "requester": draft.requester}
    if state == "submitted":
        facts |= {"starts": int(draft.starts.timestamp()), "ends": int(draft.ends.timestamp())}
    theirs = state in ("submitted", "withdrawn")
    actor = request.submitted_by if state == "submitted" else request.decided_by
    signed_by_officer = bool(actor and actor.startswith("0x") and len(actor) == 42)
    return Event(
        id=uuid5(draft.id, state if state == "submitted" else f"{state}:{_micros(moment)}"),
        type=f"gateway:request:{state}",
        time=moment.astimezone(UTC),
        department=draft.requester if theirs else request.provider,
        service=None if signed_by_officer else actor,
        officer=actor if signed_by_officer else None,
        asset=asset_text(draft.asset),
        grant=request.grant_id,
        reasons=(request.reason,) if request.reason else (),
        purpose=draft.purpose,
        facts=facts,
    )


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _values(request: AccessRequest) -> dict[str, Any]:
    draft = request.draft
    return {
        "id": str(draft.id),
        "requester": draft.requester,
        "provider": request.provider,
        "asset": asset_text(draft.asset),
        "columns": json.dumps(draft.columns),
        "purpose": draft.purpose,
        "legal_basis": draft.legal_basis,
        "starts_at": int(draft.starts.timestamp()),
        "ends_at": int(draft.ends.timestamp()),
        "note": draft.note,
        "sha256": request.sha256,
        "state": request.state,
        "submitted_at": _micros(request.submitted_at),
        "submitted_by": request.submitted_by,
        "decided_at": None if request.decided_at is None else _micros(request.decided_at),
        "decided_by": request.decided_by,
        "reason": request.reason,
        "explanation": request.explanation,
        "grant_id": request.grant_id,
    }


@made_of("access_request")
def _request(row: Mapping[Any, Any]) -> AccessRequest:
    draft = Draft(
        UUID(row["id"]),
        row["requester"],
        parse_asset(row["asset"]),
        row["purpose"],
        row["legal_basis"],
        datetime.fromtimestamp(row["starts_at"], UTC),
        datetime.fromtimestamp(row["ends_at"], UTC),
        tuple(json.loads(row["columns"])),
        row["note"],
    )
    decided = row["decided_at"]
    return AccessRequest(
        draft,
        row["provider"],
        row["sha256"],
        row["state"],
        _moment(row["submitted_at"]),
        row["submitted_by"],
        None if decided is None else _moment(decided),
        row["decided_by"],
        row["reason"],
        row["explanation"],
        row["grant_id"],
    )


def _moment(micros: int) -> datetime:
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
