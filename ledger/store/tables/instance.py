"""Whose database this is, and of which revision its tables are: one row each."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData, PrimaryKeyConstraint, String, Table
from sqlmodel import Field, SQLModel


class StoreInstance(SQLModel, table=True):
    """``home`` is the id that a home drew when it was made. ``term`` counts the services that had this database to
    themselves: a service that finds another number than its own was replaced, and writes nothing more."""

    __tablename__ = "store_instance"

    id: int = Field(primary_key=True)
    home: str
    chain_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    ledger: str
    term: int = Field(sa_column=Column(BigInteger, nullable=False))


REVISION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, as alembic makes it; `ledger.store.revisions` reads it."""
