"""Dependencies of the routes: the gateway of the app, its turns, and the verified signature of a call."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from api.http.described import MessageSignature, refuses
from api.http.envelope import request_message
from api.http.problems import Problem
from api.http.signatures import verify_call
from api.http.turns import EveryTurn
from api.operator.gateway import Gateway
from api.runtime.newer_heads import SEEN
from api.runtime.signed_call import SignedCall
from ledger.chain.edition import must_be_second

_HEAD_THREADS = CapacityLimiter(4)
"""Threads that only check the heads that callers send."""


async def gateway_of(request: Request) -> Gateway:
    """The installation that this app serves. A head that a caller sends is checked in threads of its own, so
    calls that wait for the node cannot block the check."""
    gateway: Gateway = request.app.state.gateway
    if (seen := request.headers.get(SEEN)) is not None:
        await to_thread.run_sync(gateway.newer.note_head, seen, limiter=_HEAD_THREADS)
    return gateway


GatewayOf = Annotated[Gateway, Depends(gateway_of)]


async def turns_of(request: Request) -> EveryTurn:
    """The turns of this app: how many calls of each kind run at once."""
    turns: EveryTurn = request.app.state.turns
    return turns


TurnsOf = Annotated[EveryTurn, Depends(turns_of)]


@refuses("contracts.first-edition")
async def second_edition(gateway: GatewayOf) -> None:
    """Raise `FirstEdition` if the contracts are of the first edition: then acts, decisions and releases are
    refused."""
    must_be_second(gateway.deployment)


SIGNED = ("signature.", "digest.", "call.replayed")
CALLER = Depends(MessageSignature())
"""Marks an operation in the description as taking signed calls."""


@refuses(*SIGNED)
async def signed(request: Request, gateway: GatewayOf, _: Annotated[None, CALLER]) -> SignedCall:
    """The call, with its signature verified over its body; Problem ``signature.*`` otherwise."""
    body = await request.body()
    return await run_in_threadpool(verified, request, gateway, hashlib.sha256(body).digest())


def verified(request: Request, gateway: Gateway, body_sha256: bytes | None) -> SignedCall:
    """Verify a call whose body has this SHA-256; None if the body has not arrived yet."""
    message = request_message(request.scope)
    max_age = timedelta(seconds=gateway.settings.call_max_age_s)
    try:
        call = verify_call(
            message, body_sha256, gateway.callers.is_registered, max_age=max_age, now=gateway.now()
        )
    except Problem as refused:
        doubt = gateway.clock.doubt()
        if doubt is None or refused.code not in ("signature.stale", "signature.future"):
            raise
        raise Problem(
            doubt.code, f"{doubt}; {refused.detail}"
        ) from refused  # The service's clock is in doubt; the caller's may be right.
    if request.method == "GET":
        gateway.replays.claim(call)
    return call


Signed = Annotated[SignedCall, Depends(signed)]
