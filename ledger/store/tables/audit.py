"""The tables of the audit log. The classes have no logic; `ledger.audit` uses the tables with SQLAlchemy Core."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, text
from sqlmodel import Field, SQLModel

_Place = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite keeps an INTEGER PRIMARY KEY in the table itself; a BIGINT one would be a second tree."""


class AuditEntry(SQLModel, table=True):
    """One entry. The columns from ``time`` to ``decision`` repeat values of the leaf for searching; the leaf is authoritative.

    ``leaf`` is empty after retention has archived it; ``leaf_hash`` is always kept.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("audit_entry_department", "department", "idx"),
        Index("audit_entry_actor", "actor", "idx", sqlite_where=text("actor IS NOT NULL"), postgresql_where=text("actor IS NOT NULL")),
        Index("audit_entry_asset", "asset", "idx", sqlite_where=text("asset IS NOT NULL"), postgresql_where=text("asset IS NOT NULL")),
        Index("audit_entry_grant", "grant_id", "idx", sqlite_where=text("grant_id IS NOT NULL"), postgresql_where=text("grant_id IS NOT NULL")),
        Index("audit_entry_denied", "department", "idx", sqlite_where=text("decision = 'deny'"), postgresql_where=text("decision = 'deny'")),
        Index("audit_entry_time", "time"),
    )  # fmt: skip

    idx: int = Field(sa_column=Column(_Place, primary_key=True, autoincrement=False))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    event_id: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False, unique=True))
    time: int = Field(sa_column=Column(BigInteger, nullable=False))
    type: str
    department: int
    actor: str | None = None
    asset: str | None = None
    grant_id: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32), nullable=True))
    purpose: str | None = None
    decision: str | None = None
    leaf: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class AuditTile(SQLModel, table=True):
    """A full tile of tlog-tiles: ``data`` is 256 hashes and then the 16 roots of its rows of 16."""

    __tablename__ = "audit_tile"

    level: int = Field(primary_key=True)
    n: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class AuditState(SQLModel, table=True):
    """The single row with the head of the log; an append updates it by compare-and-swap."""

    __tablename__ = "audit_state"

    id: int = Field(primary_key=True)
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    root: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    frontier: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: str
    pruned: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, default=0))


class AuditCheckpoint(SQLModel, table=True):
    """Published heads: those that witnesses cosigned, the chain anchored, or a rotation closed."""

    __tablename__ = "audit_checkpoint"

    size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    epoch: int = Field(primary_key=True)
    root: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    note: str


class AuditKey(SQLModel, table=True):
    """The keys of the log, each with the size from which it signs and the handover note of the key before it."""

    __tablename__ = "audit_key"

    vkey: str = Field(primary_key=True)
    epoch: int
    from_size: int = Field(sa_column=Column(BigInteger, nullable=False))
    handover: str = ""


class AuditEpoch(SQLModel, table=True):
    """An epoch that the council opened after a loss: the kept and the lost head, the reason and the evidence."""

    __tablename__ = "audit_epoch"

    epoch: int = Field(primary_key=True)
    origin: str
    kept_size: int = Field(sa_column=Column(BigInteger, nullable=False))
    kept_root: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    lost_size: int = Field(sa_column=Column(BigInteger, nullable=False))
    lost_root: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    reason: str
    evidence: str


class AuditAnchor(SQLModel, table=True):
    """An anchored head: its transaction and block, and the proof up to the block header once it was fetched."""

    __tablename__ = "audit_anchor"

    size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    epoch: int = Field(primary_key=True)
    root: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    tx_hash: str
    block_number: int = Field(sa_column=Column(BigInteger, nullable=False))
    block_hash: str
    proof: str = ""


class AuditTimestamp(SQLModel, table=True):
    """An RFC 3161 token over a published checkpoint's note."""

    __tablename__ = "audit_timestamp"

    size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    epoch: int = Field(primary_key=True)
    token: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class AuditSubject(SQLModel, table=True):
    """The key of one data subject, wrapped; erasure deletes this row. ``tag`` is a keyed hash of the subject."""

    __tablename__ = "audit_subject"

    tag: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class AuditOpening(SQLModel, table=True):
    """One opening of one commitment of one entry, encrypted under its subject's key."""

    __tablename__ = "audit_opening"
    __table_args__ = (Index("audit_opening_subject", "tag", "idx"),)

    idx: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    name: str = Field(primary_key=True)
    tag: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
