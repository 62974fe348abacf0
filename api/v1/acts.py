"""POST /v1/acts and GET /v1/acts/{digest}: signed acts of officers and of the council."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.acts.acceptance import accept_grant
from api.acts.govern import act_state, submit_act
from api.v1.dependencies import GatewayOf

router = APIRouter(tags=["acts"])

Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait until the act is recorded")]


class ActBody(BaseModel):
    """A signed EIP-712 message of the contracts, with the documents whose hashes it names."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(max_length=64, examples=["Terms", "Revoke", "RegisterAsset"])
    message: dict[str, Any]
    signatures: list[str] | dict[str, list[str]] = Field(max_length=64)
    arguments: dict[str, Any] = Field(default_factory=dict)
    documents: list[dict[str, Any]] = Field(default_factory=list, max_length=1_000)
    request: str | None = None


class AcceptanceBody(BaseModel):
    """An officer's signature (0x, 65 bytes) over the digest of the grant's own Terms."""

    model_config = ConfigDict(extra="forbid")

    signature: str = Field(max_length=132)


@router.post(
    "/acts", summary="Hand in a signed act; answers once it is recorded, or 202 while it is under way"
)
def post_act(body: ActBody, gateway: GatewayOf, response: Response, wait: Wait = 10.0) -> dict[str, Any]:
    document = body.model_dump(exclude_none=True)
    state = submit_act(gateway, document, wait)
    if state["state"] != "recorded":
        response.status_code = 202
    return state


@router.get("/acts/{digest}", summary="What became of an act")
def get_act(digest: str, gateway: GatewayOf, wait: Wait = 0.0) -> dict[str, Any]:
    return act_state(gateway, digest, wait)


@router.post("/grants/{grant}/acceptance", summary="The grantee's officer accepts a grant")
def post_acceptance(grant: str, body: AcceptanceBody, gateway: GatewayOf) -> dict[str, Any]:
    return accept_grant(gateway, grant, body.signature)
