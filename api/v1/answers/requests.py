"""Access requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import WithJsonSchema

from api.http.spellings import Asset, Hash, Moment
from api.v1.answers.form import Answer, Evidence
from ledger.requests.workflow import State

RequestId = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]


class AccessRequest(Answer):
    """A request of a department to a provider, and its state."""

    id: RequestId
    state: State
    requester: int
    provider: int
    asset: Asset
    columns: list[str]
    purpose: str
    legal_basis: str
    starts: Moment
    ends: Moment
    note: str
    submitted_at: Moment
    reason: str | None
    explanation: str | None
    grant: Hash | None


class TakenRequest(AccessRequest, Evidence):
    """The request after this call, with the receipt of the call."""
