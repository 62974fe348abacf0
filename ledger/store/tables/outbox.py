"""Rows of the outbox: signed acts, their transactions, and their documents. The rules are in ``ledger.outbox``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary
from sqlmodel import Field, SQLModel


class OutboxActRow(SQLModel, table=True):
    """One signed act, known by its EIP-712 digest: [awaiting-file ->] received -> submitted -> mined -> recorded | failed |
    expired."""

    __tablename__ = "outbox_act"

    seq: int | None = Field(
        default=None,
        sa_column=Column(
            BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
    )
    digest: str = Field(unique=True, description="0x-hex")
    type: str
    message: str = Field(description="JSON, as the signers signed it")
    signatures: str = Field(description="JSON list of 0x-hex")
    arguments: str = Field(description="JSON object: call data that nobody signs")
    deadline: int | None = Field(default=None, sa_type=BigInteger, description="unix seconds, UTC")
    signer: str = Field(description="the address of the first signature")
    request_id: str | None = Field(default=None, description="the access request a grant answers")
    state: str = Field(index=True)
    code: str | None = None
    detail: str | None = None
    received_at: int = Field(sa_type=BigInteger, description="unix microseconds, UTC")
    size: int | None = Field(
        default=None, sa_type=BigInteger, description="bytes of the act with its documents"
    )
    tx_hash: str | None = None
    block_number: int | None = Field(default=None, sa_type=BigInteger)
    entry_id: str | None = Field(default=None, description="UUID of the audit entry of its first event")


class OutboxTransactionRow(SQLModel, table=True):
    """A transaction signed by the relayer, stored before it is sent, so that a crash sends the same one again."""

    __tablename__ = "outbox_transaction"

    tx_hash: str = Field(primary_key=True)
    nonce: int = Field(sa_type=BigInteger, index=True)
    digest: str = Field(index=True)
    raw: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    fee: int = Field(sa_type=BigInteger, description="wei per gas")
    signed_at: int = Field(sa_type=BigInteger, description="unix microseconds, UTC")
    open: bool = Field(index=True, description="neither mined nor replaced by one that is")


class OutboxDenialRow(SQLModel, table=True):
    """A denial of an accepted revocation or suspension, until the chain has decided the act."""

    __tablename__ = "outbox_denial"

    digest: str = Field(primary_key=True)
    kind: str = Field(primary_key=True, description="grant | asset | department | key")
    target: str = Field(primary_key=True)


class LostActRow(SQLModel, table=True):
    """An event of the contracts that is in the log and not on the present chain: its denial is held until the act is signed
    again."""

    __tablename__ = "lost_act"

    entry: str = Field(primary_key=True, description="UUID of the entry that recorded it")
    position: int = Field(sa_type=BigInteger, description="index of that entry in the log that was lost")
    event: str
    kind: str = Field(index=True, description="what is held, such as grant or key; empty: nothing")
    target: str
    detail: str = Field(description="what else the event must say that lifts the hold")
    department: int
    act: str | None = Field(default=None, description="id of the act, where the entry names it")
    since_block: int = Field(sa_type=BigInteger, description="only events of later blocks lift it")
    lifted_block: int | None = Field(default=None, sa_type=BigInteger)


class DocumentRow(SQLModel, table=True):
    """A canonical JSON document by its SHA-256: agreements, metadata and other documents that a message names."""

    __tablename__ = "document"

    sha256: str = Field(primary_key=True, description="64 hex digits")
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
