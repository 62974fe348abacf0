"""Rows of the call path: nonces, charges and releases. The rules are in ``ledger.releases``."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class NonceRow(SQLModel, table=True):
    """A nonce that a service key has used; kept until a signature with it would be too old."""

    __tablename__ = "call_nonce"

    key_id: str = Field(primary_key=True)
    nonce: str = Field(primary_key=True)
    expires: int = Field(sa_type=BigInteger, index=True, description="unix seconds, UTC")


class ChargeRow(SQLModel, table=True):
    """The number of charged uses of a grant; lowered only when both departments corrected the total on chain."""

    __tablename__ = "grant_charge"

    grant_id: str = Field(primary_key=True)
    used: int = Field(sa_type=BigInteger)
    first: int = Field(sa_type=BigInteger, description="unix microseconds, UTC, of the first use")


class ReleaseRow(SQLModel, table=True):
    """One release of data under one charge: streaming -> done | aborted; small answers are done at once."""

    __tablename__ = "release"

    id: str = Field(primary_key=True)
    key_id: str = Field(index=True)
    idempotency_key: str = Field(index=True)
    request_hash: str
    department: int
    asset: str
    grant_id: str = Field(index=True)
    purpose: str
    action: str
    plan_hash: str
    media_type: str
    state: str
    entry_id: str = Field(description="the id of the decision's audit entry")
    charged_at: int = Field(sa_type=BigInteger, description="unix microseconds, UTC")
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    rows: int | None = Field(default=None, sa_type=BigInteger)
    size: int | None = Field(default=None, sa_type=BigInteger)
    digest: str | None = None
    version: int | None = Field(
        default=None, sa_type=BigInteger, description="of the asset; None in releases of before it was kept"
    )
    metadata_hash: str | None = Field(
        default=None, description="0x-hex, of that version, as it stands on chain"
    )


class AcceptanceRow(SQLModel, table=True):
    """The acceptance of a grant: the signature of the grantee's officer over the Terms."""

    __tablename__ = "grant_acceptance"

    grant_id: str = Field(primary_key=True)
    officer: str
    signature: bytes
    accepted_at: int = Field(sa_type=BigInteger, description="unix microseconds, UTC")
