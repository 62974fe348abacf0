"""Rows of access requests. The rules are in ``ledger.requests``."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class AccessRequestRow(SQLModel, table=True):
    """A department's request for access to one asset: submitted -> granted | refused | withdrawn."""

    __tablename__ = "access_request"

    id: str = Field(primary_key=True, description="UUID")
    requester: int = Field(index=True)
    provider: int = Field(index=True)
    asset: str = Field(index=True, description="7.12")
    columns: str = Field(description="JSON list; empty list: every column")
    purpose: str
    legal_basis: str
    starts_at: int = Field(sa_type=BigInteger, description="unix seconds, UTC")
    ends_at: int = Field(sa_type=BigInteger, description="unix seconds, UTC")
    note: str
    sha256: str = Field(description="of the canonical request, as the first entry names it")
    state: str = Field(index=True)
    submitted_at: int = Field(sa_type=BigInteger, description="unix microseconds, UTC")
    submitted_by: str
    decided_at: int | None = Field(default=None, sa_type=BigInteger, description="unix microseconds, UTC")
    decided_by: str | None = None
    reason: str | None = None
    explanation: str | None = None
    grant_id: str | None = Field(default=None, index=True)
