"""POST /v1/acts and GET /v1/acts/{digest}: signed acts of officers and of the council."""

from __future__ import annotations

import math
from typing import Annotated, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from typing_extensions import TypeAliasType

from api.http.described import refusals
from api.http.spellings import Act as ActId
from api.http.spellings import Grant as GrantId
from api.operator.gateway import Gateway
from api.v1.answers.acts import Acceptance, ActState
from api.v1.answers.form import Document
from api.v1.dependencies import GatewayOf

router = APIRouter(tags=["acts"])

_WAITING = CapacityLimiter(math.inf)

_CONTRACT = ("act.refused", "act.frozen", "act.paused", "act.successor-unfit", "act.contract-missing")
_OVER = (*_CONTRACT, "act.expired")
"""The codes of acts that ended without being recorded."""
_TAKEN = (
    *(f"{family}." for family in ("act", "terms", "metadata", "parts", "grant", "condition", "version")),
    *(
        "act.invalid",
        "terms.invalid",
        "metadata.invalid",
        "grant.id-mismatch",
        "asset.unknown",
        "asset.retired",
        "asset.graded-higher",
        "column.unknown",
        "column.not-granted",
    ),
    *(
        "transform.invalid",
        "transform.not-applicable",
        "parts.types",
        "id.invalid",
        "source.unchecked",
        "query.invalid",
    ),
)
"""The codes of rejected acts: form, documents, signers, and checks of the contract."""

Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait until the act is recorded")]


Signatures = Annotated[list[str], Field(max_length=64)]
SignaturesByPart = TypeAliasType("SignaturesByPart", dict[str, Signatures])
"""The signatures of an act that several parties sign, each party's under its name."""


class ActBody(BaseModel):
    """A signed EIP-712 message of the contracts, with the documents whose hashes it names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str = Field(max_length=64, examples=["Terms", "Revoke", "RegisterAsset"])
    message: Document
    signatures: Signatures | SignaturesByPart = Field(max_length=64)
    arguments: Document = Field(default_factory=dict)
    documents: list[Document] = Field(default_factory=list, max_length=1_000)
    request: str | None = None


class AcceptanceBody(BaseModel):
    """An officer's signature (0x, 65 bytes) over the digest of the grant's own Terms."""

    model_config = ConfigDict(extra="forbid", strict=True)

    signature: str = Field(max_length=132)


@router.post(
    "/acts",
    summary="Submit a signed act; the answer comes when it is recorded, or is 202 while it is pending",
    response_model=ActState,
    response_model_exclude_unset=True,
    responses={
        202: {"model": ActState, "description": "accepted, and not recorded yet"},
        **refusals(*_OVER, *_TAKEN),
    },
)
async def post_act(
    body: ActBody, gateway: GatewayOf, response: Response, wait: Wait = 10.0
) -> dict[str, Any]:
    document = body.model_dump(exclude_none=True)
    kept = await run_in_threadpool(gateway.acts.acts.keep_documents, document)
    if kept is not None:
        return kept
    act, warnings = await run_in_threadpool(gateway.acts.acts.submit, document)
    state = await _state(gateway, act, wait)
    if state["state"] != "recorded":
        response.status_code = 202
    return state | ({"warnings": warnings} if warnings else {})


@router.get(
    "/acts/{digest}",
    summary="The state of an act",
    response_model=ActState,
    response_model_exclude_unset=True,
    responses=refusals("not-found.act", *_OVER),
)
async def get_act(digest: ActId, gateway: GatewayOf, wait: Wait = 0.0) -> dict[str, Any]:
    return await _state(gateway, digest, wait)


async def _state(gateway: Gateway, act: str, wait: float) -> dict[str, Any]:
    """Waiting calls have threads of their own, apart from those that answer other calls; the limit of
    connections bounds their number."""
    return await run_sync(gateway.acts.outcomes.of, act, wait, limiter=_WAITING)


@router.post(
    "/grants/{grant}/acceptance",
    summary="The grantee's officer accepts a grant",
    response_model=Acceptance,
    responses=refusals(
        "act.signature",
        "not-found.grant",
        "act.nothing-to-accept",
        "grant.id-mismatch",
        "act.lost-act",
        "act.accepted",
        "caller.not-grantee",
    ),
)
def post_acceptance(grant: GrantId, body: AcceptanceBody, gateway: GatewayOf) -> dict[str, Any]:
    return gateway.acts.acceptances.accept(grant, body.signature)
