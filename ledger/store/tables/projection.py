"""Rows of the projection: the state that results from the contracts' events. They can be rebuilt from the first block.

The rules are in ``ledger.projection.apply``. Hashes and ids are 0x-hex in lower case, addresses 0x-hex with the
EIP-55 checksum, times unix seconds UTC; numbers of roles, rights, classes and states are those of
``contracts/src/types/Codes.sol``.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel


class DepartmentRow(SQLModel, table=True):
    """An admitted department. ``standing``: 1 active, 2 suspended."""

    __tablename__ = "department"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    standing: int
    recovery: str
    profile: str
    admitted_at: int = Field(sa_type=BigInteger)
    reason: str | None = None


class SeatRow(SQLModel, table=True):
    """An officer or attest key: an address bound to one department. ``flags``: 1 removed, 2 rotated out."""

    __tablename__ = "seat"

    holder: str = Field(primary_key=True)
    department: int = Field(index=True)
    roles: int
    not_before: int = Field(sa_type=BigInteger)
    not_after: int = Field(sa_type=BigInteger)
    flags: int
    successor: str | None = None


class ServiceKeyRow(SQLModel, table=True):
    """An Ed25519 key with which a department's machines call. A removed key cannot be added again."""

    __tablename__ = "service_key"

    department: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: str = Field(primary_key=True, index=True)
    hpke: str
    roles: int
    not_before: int = Field(sa_type=BigInteger)
    not_after: int = Field(sa_type=BigInteger)
    removed: bool


class RecoveryRow(SQLModel, table=True):
    """A running recovery of a seat."""

    __tablename__ = "seat_recovery"

    holder: str = Field(primary_key=True)
    successor: str
    department: int
    recovery: str
    ready_at: int = Field(sa_type=BigInteger)
    epoch: int = Field(
        sa_type=BigInteger, description="of the council that began it: it ends with that council"
    )
    state: str = Field(description="pending | vetoed | overridden | cancelled | finished")


class AdmissionRow(SQLModel, table=True):
    """A proposed admission."""

    __tablename__ = "admission"

    id: str = Field(primary_key=True)
    department: int
    ready_at: int = Field(sa_type=BigInteger)
    epoch: int = Field(
        sa_type=BigInteger, description="of the council that proposed it: it ends with that council"
    )
    state: str = Field(description="proposed | used | cancelled")


class CouncilRow(SQLModel, table=True):
    """The council and the guardian of the deployment: one row."""

    __tablename__ = "council"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    members: str = Field(default="[]", description="JSON list of addresses")
    threshold: int = 0
    guardian: str = ""
    epoch: int = 0
    paused_until: int = Field(default=0, sa_type=BigInteger)
    pause_allowed_at: int = Field(default=0, sa_type=BigInteger)
    successor: str | None = None
    hand_over: str | None = None
    freeze_at: int = Field(default=0, sa_type=BigInteger)
    hand_over_at: int = Field(default=0, sa_type=BigInteger)


class AssetRow(SQLModel, table=True):
    """An asset. ``grade`` and ``sharing`` are its own values; its lineage may require stricter ones."""

    __tablename__ = "asset"
    __table_args__ = (Index("asset_order", "department", "sequence"),)

    id: str = Field(
        primary_key=True, description="7.12: its number has 64 bits without a sign, SQL's have not"
    )
    department: int
    sequence: int = Field(sa_type=BigInteger)
    holder: int = Field(index=True)
    processor: int
    operator: int
    grade: int
    sharing: int
    version: int = Field(sa_type=BigInteger)
    status: int
    metadata_hash: str
    since: int = Field(sa_type=BigInteger)
    versioned_at: int = Field(sa_type=BigInteger)
    officer: str
    reason: str | None = None


class AssetParentRow(SQLModel, table=True):
    """A parent of a derived asset, and the grant under which it was processed (None: by right)."""

    __tablename__ = "asset_parent"

    asset: str = Field(primary_key=True)
    parent: str = Field(primary_key=True, index=True)
    under: str | None = None


class GrantRow(SQLModel, table=True):
    """A grant: the signed Terms and its state. ``state``: 1 active, 2 revoked, 3 cancelled, 4 replaced."""

    __tablename__ = "sharing_grant"
    __table_args__ = (
        Index("sharing_grant_live", "asset", "grantee", "state"),
        Index("sharing_grant_order", "block_number", "log_index"),
    )

    id: str = Field(primary_key=True)
    asset: str
    grantee: int = Field(index=True)
    right: int
    not_before: int = Field(sa_type=BigInteger)
    expiry: int = Field(sa_type=BigInteger)
    max_uses: int = Field(sa_type=BigInteger, description="as signed")
    depth: int
    deadline: int = Field(sa_type=BigInteger)
    terms_hash: str = Field(index=True)
    parent: str | None = Field(default=None, index=True)
    salt: str = Field(description="decimal: an unsigned 64-bit number fits no SQL integer")
    kind: str = Field(description="terms | emergency | cancelled")
    state: int
    left: int = Field(sa_type=BigInteger, description="max_uses less what was delegated on")
    uses: int = Field(sa_type=BigInteger, description="the last total on chain")
    grantor: int = Field(index=True)
    officer: str
    granted_at: int = Field(sa_type=BigInteger)
    block_number: int = Field(sa_type=BigInteger)
    log_index: int
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_by: str | None = None
    reason: int | None = None
    replaced_by: str | None = Field(default=None, description="the grant under which its children live on")
    ratify_by: int | None = Field(default=None, sa_type=BigInteger)
    ratified_by: int | None = None


class ConditionRow(SQLModel, table=True):
    """A condition outside the chain on which grants depend. ``state``: 1 open, 2 ended."""

    __tablename__ = "sharing_condition"
    __table_args__ = (Index("sharing_condition_order", "keeper", "sequence"),)

    id: str = Field(primary_key=True, description="3.1: keeper and the keeper's count")
    keeper: int
    sequence: int = Field(sa_type=BigInteger)
    kind: int
    commitment: str
    state: int
    officer: str
    opened_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_by: str | None = None
    reason: int | None = None


class GrantConditionRow(SQLModel, table=True):
    """The binding of a grant to a condition. A binding never ends."""

    __tablename__ = "grant_condition"

    grant: str = Field(primary_key=True)
    place: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    condition: str = Field(index=True)
    officer: str
    bound_at: int = Field(sa_type=BigInteger)


class LogHeadRow(SQLModel, table=True):
    """An audit log in the anchor contract."""

    __tablename__ = "log_head"

    origin: str = Field(primary_key=True)
    operator: int
    quorum: int
    epoch: int = Field(sa_type=BigInteger)
    size: int = Field(sa_type=BigInteger)
    root: str
    time: int = Field(sa_type=BigInteger)
    block_number: int = Field(sa_type=BigInteger)
    tx_hash: str
    successor: str | None = None
    proven: bool | None = Field(
        default=None,
        description="of an epoch: whether the chain saw that its first head was part of the old log",
    )


class ChainEventRow(SQLModel, table=True):
    """The history: all applied events in chain order. A reorganisation is undone with it."""

    __tablename__ = "chain_event"

    block_number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    log_index: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    block_hash: str
    block_time: int = Field(sa_type=BigInteger)
    tx_hash: str = Field(index=True)
    contract: str
    name: str = Field(index=True)
    args: str = Field(description="JSON object")
    subject: str | None = Field(default=None, index=True, description="grant:0x.. | asset:7.1 | department:7")


class ChainBlockRow(SQLModel, table=True):
    """Hashes of the newest read blocks, for finding the start of a reorganisation. Not part of the projected state."""

    __tablename__ = "chain_block"

    number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    hash: str


class ProjectionCursorRow(SQLModel, table=True):
    """The last block in the projection: one row, updated in the transaction that applies the events.

    ``version`` grows with every change and never decreases, not even by a rebuild.
    """

    __tablename__ = "projection_cursor"

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    block_number: int = Field(sa_type=BigInteger)
    block_hash: str
    version: int = Field(sa_type=BigInteger)
    reorgs: int = Field(default=0, sa_type=BigInteger)
