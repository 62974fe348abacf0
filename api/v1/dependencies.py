"""What the routes share: the gateway of the app, the verified signature of a call, and an auditor's look, which is logged."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from api.envelope import request_message
from api.gateway import Gateway
from api.newer_heads import SEEN
from api.problems import Problem
from api.signatures import SignedCall, verify_call
from ledger.audit.append import NewEntry
from ledger.audit.events import Event, new_event_id
from ledger.audit.writer import JobResult

LOOK = "auditor:log:"
"""How the type of the entry begins that an auditor's look makes."""


def gateway_of(request: Request) -> Gateway:
    """The installation this app serves."""
    gateway: Gateway = request.app.state.gateway
    gateway.newer.heed(request.headers.get(SEEN))
    return gateway


GatewayOf = Annotated[Gateway, Depends(gateway_of)]


async def written(request: Request) -> None:
    """Every text of a JSON body can be written as UTF-8; Problem ``request.text`` before anything else looks at it.

    What cannot be written could neither be logged, hashed, nor compared with any data. Paths, queries and headers
    hold no such text: they are decoded from bytes.
    """
    if request.method != "POST":
        return
    try:
        json.dumps(await request.json(), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Problem("request.text", "a text holds half a surrogate pair, which is no character") from None
    except (ValueError, RecursionError):
        return  # it is no JSON, which the route says


async def signed(request: Request, gateway: GatewayOf) -> SignedCall:
    """The call's signature, verified over its body; Problem ``signature.*`` otherwise."""
    body = await request.body()
    return await run_in_threadpool(verified, request, gateway, hashlib.sha256(body).digest())


def verified(request: Request, gateway: Gateway, body_sha256: bytes | None) -> SignedCall:
    """Verify a call whose body has this SHA-256; None: the body is still to come."""
    message = request_message(request.scope)
    max_age = timedelta(seconds=gateway.settings.call_max_age_s)
    try:
        call = verify_call(message, body_sha256, gateway.is_registered, max_age=max_age, now=gateway.now())
    except Problem as refused:
        doubt = gateway.time.doubt()
        if doubt is None or refused.code not in ("signature.stale", "signature.future"):
            raise
        raise Problem(
            doubt.code, f"{doubt}; {refused.detail}"
        ) from refused  # the caller's clock may be right
    if request.method == "GET":
        gateway.replays.claim(call)
    return call


Signed = Annotated[SignedCall, Depends(signed)]


def must_audit(gateway: Gateway, call: SignedCall) -> int | None:
    """The department an auditor may look at (None: the whole city); Problem when the key is no auditor's."""
    key = gateway.service_key(call.department, call.public_key)
    if key is not None and "city-auditor" in key.roles:
        return None
    if key is not None and "auditor" in key.roles:
        return call.department
    raise Problem("caller.not-auditor", "this key has no AUDITOR role")


def audits(gateway: Gateway, call: SignedCall) -> bool:
    """Whether the key is an auditor's, of the city or of its department. Whatever it is shown of others' doings, or of
    its department's, is a look (`note_look`)."""
    key = gateway.service_key(call.department, call.public_key)
    return key is not None and not key.roles.isdisjoint(("auditor", "city-auditor"))


def note_look(gateway: Gateway, call: SignedCall, what: str, **facts: int | str) -> int:
    """Who audits is audited: the look is logged before it is answered; the index of its entry."""
    event = Event(
        id=new_event_id(),
        type=f"{LOOK}{what}",
        time=gateway.now(),
        department=call.department,
        service=call.key_id,
        facts=facts,
    )
    done = gateway.commit(lambda _: JobResult(None, [NewEntry(event)]))
    return done.receipts[0].index
